package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"nexus/tools/nx/internal/boot"
	"nexus/tools/nx/internal/tap"
)

// waiterFD is the descriptor on which a detached nx tells its starter the status
// to end with: the first of ExtraFiles.
const waiterFD = 3

// detach runs nx again with args in a session of its own, and with own in a
// private network namespace, and ends with the verdict's status. Until then
// the boot is shown by it, and an interrupt of this process ends it.
func detach(ctx context.Context, s streams, own bool, args []string) error {
	verdict, tell, err := os.Pipe()
	if err != nil {
		return err
	}
	defer verdict.Close()
	cmd := exec.Command("/proc/self/exe", append(args, fmt.Sprintf("--waiter=%d", waiterFD))...)
	cmd.ExtraFiles = []*os.File{tell}
	cmd.Stdout, cmd.Stderr = s.out, s.err
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if own {
		cmd.SysProcAttr = tap.Detached()
	}
	cmd.Env = sameRunDirectory()
	err = cmd.Start()
	tell.Close()
	if err != nil {
		return fmt.Errorf("detach: %w", err)
	}
	told := make(chan int, 1)
	go func() {
		defer close(told)
		var status [1]byte
		if n, _ := verdict.Read(status[:]); n == 1 { // its end without a word shows in its status
			told <- int(status[0])
		}
	}()
	select {
	case status, ok := <-told:
		if ok {
			return asStatus(status)
		}
	case <-ctx.Done():
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
		kill := time.AfterFunc(stopBound, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
	}
	_ = cmd.Wait() // its status says all
	if code := cmd.ProcessState.ExitCode(); code >= 0 {
		return asStatus(code)
	}
	return fmt.Errorf("detach: nx ended: %v", cmd.ProcessState)
}

// asStatus ends nx with status.
func asStatus(status int) error {
	if status == exitDone {
		return nil
	}
	return statusError(status)
}

// detached is the console of a guest that stays when its starter has gone.
type detached struct {
	*console
	waiter int
	save   func(*boot.Report) error
	errs   io.Writer
}

// Standing implements boot.Watcher: it shows the verdict, tells the starter, and
// lets go of the terminal.
func (d *detached) Standing(r *boot.Report) {
	d.verdict(r.Verdict)
	d.printf("nexus: %s runs on: `nx logs -f %s` follows it, `nx stop %s` ends it\n", r.Name, r.Name, r.Name)
	status := byte(exitDone)
	if !r.Verdict.Proven {
		status = exitUnproven
	}
	if err := d.save(r); err != nil {
		_, _ = fmt.Fprintln(d.errs, "nx:", err) // nobody else can be told
		status = exitFailed
	}
	// A starter that has gone needs no word.
	_, _ = unix.Write(d.waiter, []byte{status})
	_ = unix.Close(d.waiter)
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(null)
	for _, fd := range []int{1, 2} {
		_ = unix.Dup3(null, fd, 0) // both are open
	}
}
