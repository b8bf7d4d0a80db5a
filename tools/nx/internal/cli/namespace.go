package cli

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"nexus/tools/nx/internal/boot"
	"nexus/tools/nx/internal/rundir"
	"nexus/tools/nx/internal/tap"
)

// stopBound is how long a child may take to end after it was asked to.
const stopBound = 5 * time.Second

// inNamespace runs nx again with args in new namespaces (tap.Run or tap.Enclose), and ends
// with its status. An interrupt of this process is handed on as SIGTERM.
func inNamespace(ctx context.Context, s streams, run runner, args ...string) error {
	cmd := exec.CommandContext(ctx, "/proc/self/exe", args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopBound
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.in, s.out, s.err
	cmd.Env = sameRunDirectory()
	err := run(cmd)
	if cmd.ProcessState == nil {
		return fmt.Errorf("private network namespace: %w", err)
	}
	if code := cmd.ProcessState.ExitCode(); code != exitDone {
		if code < 0 {
			return fmt.Errorf("the process in the private network namespace was ended: %w", err)
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
