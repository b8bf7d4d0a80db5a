package tap

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// RunFirst executes cmd from the first process of a process namespace (see Enclose), waits
// for it and gives its exit status, 128 and the signal's number when one ended it. Meanwhile
// it takes care of every process whose parent has gone, as the first process
// must. When ctx ends, cmd gets SIGTERM, and SIGKILL after grace.
func RunFirst(ctx context.Context, cmd *exec.Cmd, grace time.Duration) (int, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	defer cmd.Process.Release() // waited for below
	end := func(sig os.Signal) { _ = cmd.Process.Signal(sig) }
	killer := time.AfterFunc(time.Hour, func() { end(syscall.SIGKILL) })
	killer.Stop()
	defer killer.Stop()
	defer context.AfterFunc(ctx, func() {
		killer.Reset(grace)
		end(syscall.SIGTERM)
	})()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case err != nil:
			return 0, fmt.Errorf("wait: %w", err)
		case pid != cmd.Process.Pid:
			continue
		case status.Signaled():
			return 128 + int(status.Signal()), nil
		default:
			return status.ExitStatus(), nil
		}
	}
}
