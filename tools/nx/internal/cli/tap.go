package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"

	"github.com/spf13/cobra"

	"nexus/tools/nx/internal/hostpeer"
	"nexus/tools/nx/internal/tap"
)

// errTap says that the flags of nx tap contradict each other.
var errTap = errors.New("invalid use of nx tap")

// tapFlags are the flags of nx tap.
type tapFlags struct {
	echo            bool
	persist, remove bool
	owner           string
	prepared        bool // this is the process in the namespace
}

func newTap(s streams) *cobra.Command {
	f := new(tapFlags)
	cmd := &cobra.Command{
		Use:   "tap [flags] [--] [COMMAND [ARGUMENT...]]",
		Short: "Run a command in a private network namespace that has the TAP",
		Long: `Run COMMAND ($SHELL without one) in a private network namespace, and a user
namespace unless root, in which the interface $TAP_IF (tap0 where it is not set) has the
address 10.0.2.2/24 and is bridged to nothing. When COMMAND ends, or nx does,
whatever ends it, the TAP, the namespace and all that COMMAND has started are
gone. Flags after COMMAND are COMMAND's.

It needs /dev/net/tun to be open to the caller, and either root (CAP_SYS_ADMIN,
CAP_NET_ADMIN) or permission to make user namespaces; it changes nothing outside.

--persist instead makes the interface in this network namespace and leaves it
there until --remove, a reboot or the namespace's end. It needs root or
CAP_NET_ADMIN, and refuses a name that is taken.

Exit status:
  that of COMMAND  it ran; 128 and the signal's number when a signal ended it
  0  with --persist or --remove: done
  2  COMMAND was not run: wrong usage, no TAP can be had, there is no such program`,
		Example: `  nx tap --echo -- qemu-system-riscv64 -M virt … -netdev tap,id=n0,script=no,ifname=tap0
  TAP_IF=tap7 nx tap --persist --owner "$USER"
  TAP_IF=tap7 nx tap --remove`,
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), s, args) },
	}
	fs := cmd.Flags()
	fs.SetInterspersed(false)
	fs.BoolVar(&f.echo, "echo", false, "serve UDP echo on port 7 and HTTP on port 8080 of the TAP meanwhile")
	fs.BoolVar(&f.persist, "persist", false, "make the TAP in this network namespace and leave it there")
	fs.StringVar(&f.owner, "owner", "", "with --persist: user, by name or number, who may open the TAP too")
	fs.BoolVar(&f.remove, "remove", false, "remove the TAP that --persist made")
	fs.BoolVar(&f.prepared, "in-namespace", false, "")
	_ = fs.MarkHidden("in-namespace") // the flag exists
	return cmd
}

func (f *tapFlags) run(ctx context.Context, s streams, args []string) error {
	switch {
	case tap.CheckName(tap.Name()) != nil:
		return fmt.Errorf("%w; $TAP_IF names it", tap.CheckName(tap.Name()))
	case f.persist && f.remove:
		return fmt.Errorf("%w: --persist and --remove exclude each other", errTap)
	case (f.persist || f.remove) && (f.echo || len(args) > 0):
		return fmt.Errorf("%w: --persist and --remove run no COMMAND and no --echo (nx echo serves beside the TAP)", errTap)
	case f.owner != "" && !f.persist:
		return fmt.Errorf("%w: --owner is for --persist", errTap)
	case f.persist:
		return f.keep(s)
	case f.remove:
		return removeTap(s)
	case f.prepared:
		return runBesideTap(ctx, s, f.echo, args)
	}
	if err := tap.Usable(); err != nil {
		return fmt.Errorf("no TAP: %w; run as root or with access to /dev/net/tun", err)
	}
	inner := []string{"tap", "--in-namespace"}
	if f.echo {
		inner = append(inner, "--echo")
	}
	return inNamespace(ctx, s, tap.Enclose, append(append(inner, "--"), args...)...)
}

// keep makes the TAP in this network namespace.
func (f *tapFlags) keep(s streams) error {
	owner := tap.NoOwner
	if f.owner != "" {
		var err error
		if owner, err = userID(f.owner); err != nil {
			return err
		}
	}
	name := tap.Name()
	if err := tap.Persist(name, owner); err != nil {
		return explainTap(err)
	}
	_, err := fmt.Fprintf(s.out, `%[1]s has 10.0.2.2/24 in this network namespace, bridged to nothing, and stays.
serve beside it:  tools/net/echo-host.sh
remove it:        TAP_IF=%[1]s tools/net/setup-tap.sh --remove
`, name)
	return err
}

func removeTap(s streams) error {
	name := tap.Name()
	if err := tap.Remove(name); err != nil {
		return explainTap(err)
	}
	_, err := fmt.Fprintf(s.out, "%s is removed.\n", name)
	return err
}

// userID is the number of a user given by name or number.
func userID(who string) (int, error) {
	if id, err := strconv.ParseUint(who, 10, 31); err == nil {
		return int(id), nil
	}
	u, err := user.Lookup(who)
	if err != nil {
		return 0, fmt.Errorf("%w: --owner: %w", errTap, err)
	}
	return strconv.Atoi(u.Uid)
}

// explainTap adds what to do.
func explainTap(err error) error {
	switch {
	case errors.Is(err, tap.ErrPermission):
		return fmt.Errorf("%w; it needs root or CAP_NET_ADMIN, and /dev/net/tun (without --persist, nx tap needs neither where user namespaces are permitted)", err)
	case errors.Is(err, tap.ErrExists):
		return fmt.Errorf("%w; remove it (--remove, or ip link delete), or choose another with TAP_IF", err)
	case errors.Is(err, tap.ErrNoDevice):
		return fmt.Errorf("%w; load the module (modprobe tun), or give the container the device", err)
	case errors.Is(err, tap.ErrMissing):
		return fmt.Errorf("%w; `ip -br link` lists those that are there, TAP_IF names one", err)
	case errors.Is(err, tap.ErrBusy):
		return fmt.Errorf("%w: end who has it open, e.g. QEMU, first", err)
	}
	return err
}

// runBesideTap makes the TAP in this process's namespaces, whose first process this
// is, and runs args.
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
		if _, err := fmt.Fprintf(s.err, "nx: a shell beside %s (10.0.2.2/24); its end ends the TAP\n", tap.Name()); err != nil {
			return err
		}
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "TAP_IF="+tap.Name())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.in, s.out, s.err
	status, err := tap.RunFirst(ctx, cmd, stopBound)
	if err != nil {
		return err
	}
	if status != exitDone {
		return statusError(status)
	}
	return nil
}

func shell() string {
	if sh := os.Getenv("SHELL"); sh != "" {
		return sh
	}
	return "/bin/sh"
}
