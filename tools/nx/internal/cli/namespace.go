package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"nexus/tools/nx/internal/boot"
	"nexus/tools/nx/internal/hostpeer"
	"nexus/tools/nx/internal/rundir"
	"nexus/tools/nx/internal/tap"
)

// stopBound is how long a child may take to end after it was asked to.
const stopBound = 5 * time.Second

// inNamespace runs nx again with args in a private network namespace, and ends
// with its status. An interrupt of this process is handed on as SIGTERM.
func inNamespace(ctx context.Context, s streams, args ...string) error {
	cmd := exec.CommandContext(ctx, "/proc/self/exe", args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopBound
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.in, s.out, s.err
	cmd.Env = sameRunDirectory()
	err := tap.Run(cmd)
	if cmd.ProcessState == nil {
		return fmt.Errorf("private network namespace: %w", err)
	}
	if code := cmd.ProcessState.ExitCode(); code != exitDone {
		if code < 0 {
			code = exitFailed
		}
		return statusError(code)
	}
	return nil
}

// sameRunDirectory is this process's environment for a child in which this user
// may be known as root: the run directory stays the same.
func sameRunDirectory() []string {
	return append(os.Environ(), rundir.Environment+"="+rundir.Default())
}

// ownNamespace tells whether a back end wants a network namespace of its own.
func ownNamespace(nic string) bool { return nic == boot.NICTap || nic == boot.NICUser }

// prepareNamespace makes in this process's network namespace what the back end
// needs.
func prepareNamespace(nic string) error {
	switch nic {
	case boot.NICTap:
		return tap.Setup(tap.Name())
	case boot.NICUser:
		return tap.Loopback()
	}
	return nil
}

func newTap(s streams) *cobra.Command {
	var echo, prepared bool
	cmd := &cobra.Command{
		Use:   "tap [flags] [--] [COMMAND [ARGUMENT...]]",
		Short: "Run a command in a private network namespace that has the TAP",
		Long: `Run COMMAND ($SHELL without one) in a private network namespace, and a user
namespace unless root, in which the interface $TAP_IF (tap0 where it is not set) has the address
10.0.2.2/24 and is bridged to nothing. When COMMAND ends, both are gone.

It needs /dev/net/tun to be open to the caller, and either root or permission
to make user namespaces; it changes nothing outside.`,
		Example: `  nx tap --echo -- qemu-system-riscv64 -M virt … -netdev tap,id=n0,script=no,ifname=tap0`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !prepared {
				if err := tap.Usable(); err != nil {
					return fmt.Errorf("no TAP: %w; run as root or with access to /dev/net/tun", err)
				}
				inner := []string{"tap", "--in-namespace"}
				if echo {
					inner = append(inner, "--echo")
				}
				return inNamespace(cmd.Context(), s, append(append(inner, "--"), args...)...)
			}
			return runBesideTap(cmd.Context(), s, echo, args)
		},
	}
	cmd.Flags().BoolVar(&echo, "echo", false, "serve UDP echo on port 7 and HTTP on port 8080 of the TAP meanwhile")
	cmd.Flags().BoolVar(&prepared, "in-namespace", false, "")
	_ = cmd.Flags().MarkHidden("in-namespace") // the flag exists
	return cmd
}

// runBesideTap makes the TAP in this process's namespace and runs args.
func runBesideTap(ctx context.Context, s streams, echo bool, args []string) error {
	if err := tap.Setup(tap.Name()); err != nil {
		return err
	}
	if echo {
		peer, err := hostpeer.Start(hostpeer.Config{Sockets: tap.Sockets{}})
		if err != nil {
			return err
		}
		defer peer.Close()
	}
	if len(args) == 0 {
		args = []string{shell()}
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "TAP_IF="+tap.Name())
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopBound
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.in, s.out, s.err
	err := tap.RunHere(cmd)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return statusError(exit.ExitCode())
	}
	return err
}

func newEcho() *cobra.Command {
	return &cobra.Command{
		Use:   "echo",
		Short: "Serve the host's UDP echo and HTTP /hello at 10.0.2.2 until ended",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			peer, err := hostpeer.Start(hostpeer.Config{Sockets: tap.Sockets{}})
			if err != nil {
				return fmt.Errorf("%w; run it beside a TAP, e.g. in `nx tap`", err)
			}
			<-cmd.Context().Done()
			peer.Close()
			return nil
		},
	}
}

func shell() string {
	if sh := os.Getenv("SHELL"); sh != "" {
		return sh
	}
	return "/bin/sh"
}
