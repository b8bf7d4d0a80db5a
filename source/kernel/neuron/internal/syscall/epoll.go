package syscall

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/epoll"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/proc"
	"nexus/source/kernel/neuron/internal/user"
)

func sysEpollCreate1(t *proc.Thread, a *Args) (int64, abi.Errno) {
	if a[0]&^abi.O_CLOEXEC != 0 {
		return 0, abi.EINVAL
	}
	e, err := epoll.New()
	if err != abi.OK {
		return 0, err
	}
	return install(t, e, abi.O_RDWR|uint32(a[0]))
}

// poller is the epoll instance behind descriptor fd.
func poller(t *proc.Thread, fd int) (*epoll.Epoll, *file.File, abi.Errno) {
	f, err := t.File(fd)
	if err != abi.OK {
		return nil, nil, err
	}
	e, ok := f.Object.(*epoll.Epoll)
	if !ok {
		return nil, nil, abi.EINVAL
	}
	return e, f, abi.OK
}

func sysEpollCtl(t *proc.Thread, a *Args) (int64, abi.Errno) {
	op, fd := epoll.Op(a.Int(1)), a.Int(2)
	var events abi.Events
	var data uint64
	if op != epoll.Delete {
		var b [epoll.EventSize]byte
		if user.Load(t.Memory(), b[:], a[3]) != len(b) {
			return 0, abi.EFAULT
		}
		events, data = abi.Events(user.Uint32(b[0:])), user.Uint64(b[8:])
	}
	e, _, err := poller(t, a.Int(0))
	if err == abi.EBADF {
		return 0, err
	}
	f, ferr := t.Files().Get(fd)
	switch {
	case ferr != abi.OK:
		return 0, ferr
	case f.Object.Queue() == nil:
		return 0, abi.EPERM
	case err != abi.OK:
		return 0, err
	}
	return 0, e.Control(op, fd, f, events, data)
}

// mostEvents is how many events one call tells: more wait for the next, like those for which a program has no room.
const mostEvents = 1024

// sysEpollPwait: descriptor, events, how many, time-out in milliseconds, signal mask and its size.
func sysEpollPwait(t *proc.Thread, a *Args) (int64, abi.Errno) {
	n := a.Int(2)
	if n <= 0 || n > epoll.MaxEvents {
		return 0, abi.EINVAL
	}
	e, _, err := poller(t, a.Int(0))
	if err != abi.OK {
		return 0, err
	}
	if err := loadMask(t, a[4], a[5]); err != abi.OK {
		return 0, err
	}
	k, err := e.Collect(t.Memory(), a[1], min(n, mostEvents))
	if err != abi.OK || k > 0 {
		return int64(k), err
	}
	timeout := int64(a.Int(3))
	if timeout > 0 {
		timeout *= 1_000_000
	}
	if timeout == 0 || t.Expired(timeout) {
		return 0, abi.OK
	}
	return 0, t.Block(e.Queue(), abi.EPOLLIN)
}
