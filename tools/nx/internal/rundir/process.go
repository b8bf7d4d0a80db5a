package rundir

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Process is a process held so that its number cannot become another's.
type Process struct {
	fd *os.File
}

// Runner holds the guest's runner; ErrEnded says that there is none.
func (i Info) Runner() (*Process, error) {
	p, err := hold(i.PID)
	if err != nil {
		return nil, err
	}
	// The runner has the lock now that its process is held: the number was its own.
	alive, err := held(i.Dir)
	now, stateErr := readState(i.Dir)
	if err != nil || stateErr != nil || !alive || now.PID != i.PID {
		p.Close()
		return nil, fmt.Errorf("%w: %s", ErrEnded, i.Name)
	}
	return p, nil
}

// Machine holds the guest's QEMU. Its runner must be held and alive.
func (i Info) Machine() (*Process, error) {
	if i.QEMU == 0 {
		return nil, fmt.Errorf("%w: %s has no QEMU", ErrEnded, i.Name)
	}
	return hold(i.QEMU)
}

func hold(pid int) (*Process, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil, fmt.Errorf("%w: there is no process %d", ErrEnded, pid)
	}
	if err != nil {
		return nil, os.NewSyscallError("pidfd_open", err)
	}
	return &Process{os.NewFile(uintptr(fd), "pidfd")}, nil
}

// FD is a descriptor that can be read, as poll(2) says it, once the process
// has ended.
func (p *Process) FD() int { return int(p.fd.Fd()) }

// Signal sends a signal. A process that has ended is not an error.
func (p *Process) Signal(sig unix.Signal) error {
	err := unix.PidfdSendSignal(p.FD(), sig, nil, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return os.NewSyscallError("pidfd_send_signal", err)
}

// Wait waits for the process's end, for so long at most, and tells whether it came.
func (p *Process) Wait(bound time.Duration) (ended bool, err error) {
	deadline := time.Now().Add(bound)
	for {
		left := max(time.Until(deadline), 0)
		fds := []unix.PollFd{{Fd: int32(p.FD()), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, int((left+time.Millisecond-1)/time.Millisecond))
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return false, os.NewSyscallError("poll", err)
		case n > 0:
			return true, nil
		case left == 0:
			return false, nil
		}
	}
}

// Close lets go of the process.
func (p *Process) Close() { _ = p.fd.Close() }
