package syscall

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/proc"
	"nexus/source/kernel/neuron/internal/user"
	"nexus/source/kernel/neuron/internal/wait"
)

// struct pollfd: i32 fd, u16 events, u16 revents (poll(2)). The event bits are epoll's.
const (
	pollSize  = 8
	pollNval  = 0x20
	maxPolled = 256
)

// nothing is a queue that nobody notifies: a poll waits on its own queues.
var nothing wait.Queue

// sysPpoll: descriptors, how many, time-out, signal mask and its size.
func sysPpoll(t *proc.Thread, a *Args) (int64, abi.Errno) {
	t.EndPoll()
	timeout := int64(-1)
	switch {
	case a[1] > maxPolled || a[3] != 0:
		return 0, abi.EINVAL
	case a[2] != 0:
		ns, err := loadTime(t, a[2])
		if err != abi.OK {
			return 0, err
		}
		timeout = int64(ns)
	}
	ready, err := pollAll(t, a[0], int(a[1]), false)
	if err != abi.OK || ready > 0 || timeout == 0 || t.Expired(timeout) {
		return int64(ready), err
	}
	if _, err := pollAll(t, a[0], int(a[1]), true); err != abi.OK {
		t.EndPoll()
		return 0, err
	}
	return 0, t.Block(&nothing, 0)
}

// pollAll looks at n descriptors and counts those with something to tell; with join t joins their queues instead.
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
		got, queue := polled(t, fd)
		switch {
		case join && queue != nil:
			if err := t.Poll(queue, want); err != abi.OK {
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

// polled is what holds of a descriptor and where to wait for more. A negative one is passed over.
func polled(t *proc.Thread, fd int) (abi.Events, *wait.Queue) {
	if fd < 0 {
		return 0, nil
	}
	f, err := t.Files().Get(fd)
	if err != abi.OK {
		return pollNval, nil
	}
	return f.Object.Ready(), f.Object.Queue()
}
