// Package eventfd is eventfd(2): a 64-bit counter that can be waited for.
package eventfd

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/user"
	"nexus/source/kernel/neuron/internal/wait"
)

// MaxCounters bounds the eventfds of the whole system.
const MaxCounters = 1024

// limit is the value that the counter never holds, and that cannot be added.
const limit = 1<<64 - 1

// Counter is one eventfd, a file.Object.
type Counter struct {
	file.Defaults
	value     uint64
	semaphore bool
	open      bool
	queue     wait.Queue
	next      *Counter // free list
}

var (
	counters [MaxCounters]Counter
	fresh    int // counters[fresh:] were never used
	freed    *Counter
	inUse    int
)

// size is that of the number that a program reads and writes.
const size = 8

// Open is the number of open eventfds.
func Open() int { return inUse }

// New returns a counter that starts at value; semaphore is EFD_SEMAPHORE. ENFILE if there are too many.
func New(value uint32, semaphore bool) (*Counter, abi.Errno) {
	c := freed
	switch {
	case c != nil:
		freed = c.next
	case fresh < MaxCounters:
		c = &counters[fresh]
		fresh++
	default:
		return nil, abi.ENFILE
	}
	c.value, c.semaphore, c.open, c.next = uint64(value), semaphore, true, nil
	inUse++
	return c, abi.OK
}

// Read gives the counter and zeroes it, or gives 1 and takes 1 from a semaphore. EAGAIN at zero, EINVAL for a buffer of
// fewer than 8 bytes. As on Linux, a buffer that is not there loses the count (EFAULT).
func (c *Counter) Read(b *user.Buffer, _ int64) (int, abi.Errno) {
	if b.Len() < size {
		return 0, abi.EINVAL
	}
	if c.value == 0 {
		return 0, abi.EAGAIN
	}
	v := c.value
	if c.semaphore {
		v = 1
	}
	c.value -= v
	c.queue.Notify(abi.EPOLLOUT)
	var number [size]byte
	user.PutUint64(number[:], v)
	if _, ok := b.Put(number[:]); !ok {
		return 0, abi.EFAULT
	}
	return size, abi.OK
}

// Write adds the number in b, which must be 8 bytes (EINVAL). EINVAL for 2^64-1, EAGAIN if the counter would reach that: b stays where it is.
func (c *Counter) Write(b *user.Buffer, _ int64) (int, abi.Errno) {
	if b.Len() != size {
		return 0, abi.EINVAL
	}
	var number [size]byte
	from := *b
	if _, ok := from.Get(number[:]); !ok {
		return 0, abi.EFAULT
	}
	v := user.Uint64(number[:])
	if v == limit {
		return 0, abi.EINVAL
	}
	if limit-c.value <= v {
		return 0, abi.EAGAIN
	}
	c.value += v
	*b = from
	c.queue.Notify(abi.EPOLLIN)
	return size, abi.OK
}

// Ready is file.Object's.
func (c *Counter) Ready() (ev abi.Events) {
	if c.value > 0 {
		ev |= abi.EPOLLIN
	}
	if c.value < limit-1 {
		ev |= abi.EPOLLOUT
	}
	return ev
}

// Classes is file.Object's: Linux's has none.
func (c *Counter) Classes() (in, out abi.Events) { return 0, 0 }

// Queue is file.Object's.
func (c *Counter) Queue() *wait.Queue { return &c.queue }

// Stat is file.Object's; Linux's anonymous inodes have no file type either.
func (c *Counter) Stat(st *abi.Stat) {
	st.Mode = 0o600
	st.Nlink = 1
}

// Close is file.Object's.
func (c *Counter) Close() bool {
	if !c.open {
		panic("eventfd: closed twice")
	}
	c.open = false
	c.queue.Gone()
	c.next, freed = freed, c
	inUse--
	return true
}
