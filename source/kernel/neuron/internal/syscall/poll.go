package syscall

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/proc"
	"nexus/source/kernel/neuron/internal/user"
)

// struct pollfd: i32 fd, u16 events, u16 revents (poll(2)). The event bits are epoll's.
const (
	pollSize  = 8
	pollNval  = 0x20
	maxPolled = 256
)

// sysPpoll: descriptors, how many, time-out, signal mask and its size.
func sysPpoll(t *proc.Thread, a *Args) (int64, abi.Errno) {
	if a[1] > maxPolled {
		return 0, abi.EINVAL
	}
	timeout, err := loadTimeout(t, a[2])
	if err != abi.OK {
		return 0, err
	}
	if err := loadMask(t, a[3], a[4]); err != abi.OK {
		return 0, err
	}
	ready, err := pollAll(t, a[0], int(a[1]), false)
	switch {
	case err != abi.OK || ready > 0:
		return int64(ready), err
	case t.Signalled():
		return 0, t.Block(nil, 0) // EINTR, whatever the time
	case timeout == 0 || t.Expired(timeout):
		return 0, abi.OK
	}
	if _, err := pollAll(t, a[0], int(a[1]), true); err != abi.OK {
		return 0, err
	}
	return 0, t.Block(nil, 0)
}

// pollAll looks at n descriptors, each time anew as Linux does, and counts those with something to tell; with join t joins their
// queues instead.
func pollAll(t *proc.Thread, va uint64, n int, join bool) (ready int, err abi.Errno) {
	m := t.Memory()
	for i := range n {
		at := va + uint64(i)*pollSize
		var b [pollSize]byte
		if user.Load(m, b[:], at) != len(b) {
			return 0, abi.EFAULT
		}
		fd := int(int32(user.Uint32(b[0:])))
		want := abi.Events(b[4]) | abi.Events(b[5])<<8
		got, f := polled(t, fd)
		switch {
		case join && f != nil:
			if err := t.Poll(f, want); err != abi.OK {
				return 0, err
			}
		case !join:
			got &= want | abi.EPOLLERR | abi.EPOLLHUP | pollNval
			b[6], b[7] = byte(got), byte(got>>8)
			if user.Store(m, at, b[:]) != len(b) {
				return 0, abi.EFAULT
			}
			if got != 0 {
				ready++
			}
		}
	}
	return ready, abi.OK
}

// polled is what holds of a descriptor and the file to wait for. A negative one is passed over.
func polled(t *proc.Thread, fd int) (abi.Events, *file.File) {
	if fd < 0 {
		return 0, nil
	}
	f, err := t.Files().Get(fd)
	if err != abi.OK {
		return pollNval, nil
	}
	return file.Ready(f.Object), f
}
