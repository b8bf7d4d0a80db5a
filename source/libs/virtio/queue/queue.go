// Package queue is a virtio split queue from the driver's side, virtio 1.2
// clause 2.7: chains of buffers go to the device and come back.
//
// The used ring is the device's to write, and the device is not trusted: every
// entry is read once, checked against the driver's own record, counted by
// reason when it is wrong, and consumed either way. The driver's record is never kept in
// memory that the device can reach.
package queue

import (
	"errors"

	"nexus/source/libs/virtio"
	"nexus/source/libs/virtio/dma"
)

// Errors of Add.
var (
	ErrFull   = errors.New("queue: not enough free descriptors")
	ErrChain  = errors.New("queue: a chain needs a buffer, and a buffer at least one byte")
	ErrBroken = errors.New("queue: the device broke the queue; reset it")
)

// maxBad is the number of bad used entries after which a device counts as
// broken.
const maxBad = 64

// Buffer is one piece of DMA memory.
type Buffer struct {
	Addr dma.Addr
	Len  uint32 // bytes, not 0
}

// Chain is a chain of buffers that the device gave back.
type Chain struct {
	Token     uint32 // from Add
	Written   int    // bytes the device says it wrote, at most what the chain can hold
	BadLength bool   // it claimed more; Written is 0 then
}

// flight is the driver's own record of the chain that starts at a descriptor.
type flight struct {
	token    uint32
	writable uint32 // bytes the device may write
	last     uint16 // last descriptor of the chain
	length   uint16 // descriptors of the chain, 0 when none starts here
}

// Queue is one split queue. Its indices run freely and wrap at 2^16; they are
// taken modulo the size only to find a place in a ring. One goroutine may use it at a
// time.
type Queue struct {
	size        int
	layout      layout
	mem         dma.Region
	descriptors []descriptor // shared, written only
	heads       []uint16     // avail ring, shared, written only
	avail, used []byte       // the rings, shared

	flights   []flight
	next      []uint16 // links of the free list and of chains in flight
	free      uint16   // first free descriptor, when freeCount > 0
	freeCount int
	chains    int // in flight

	added     uint16 // avail index, with what is not yet published
	published uint16 // avail index as the device sees it
	seen      uint16 // used index up to which entries were consumed

	broken bool
	bad    int // since the last Reset
	stats  Stats
}

// Stats counts what the device did since New, resets included.
type Stats struct {
	Completed   uint64 // chains that came back
	BadID       uint64 // used entries whose id is no descriptor
	NotInFlight uint64 // used entries whose id starts no chain in flight, or came back before
	BadLength   uint64 // used entries that claim more bytes than the chain can hold
	IndexJumps  uint64 // used indices that claim more entries than the ring has
	Broken      uint64 // times the queue was declared broken
}

// New makes a queue of size entries, a power of two, in mem: at least
// Bytes(size) bytes aligned to 64. Errors: ErrSize, ErrMemory.
func New(mem dma.Region, size int) (*Queue, error) {
	if err := checkMemory(mem, size); err != nil {
		return nil, err
	}
	l := layoutOf(size)
	mem, err := mem.Cut(0, l.end)
	if err != nil {
		return nil, err
	}
	q := &Queue{
		size:        size,
		layout:      l,
		mem:         mem,
		descriptors: descriptorsOf(mem.Bytes, size),
		heads:       availOf(mem.Bytes[l.avail+availEntries:], size),
		avail:       mem.Bytes[l.avail:l.used],
		used:        mem.Bytes[l.used:l.end],
		flights:     make([]flight, size),
		next:        make([]uint16, size),
	}
	q.Reset()
	return q, nil
}

// Reset forgets every chain and clears the rings. The device must have been
// reset before, and be given the queue again after.
func (q *Queue) Reset() {
	clear(q.mem.Bytes)
	clear(q.flights)
	for i := range q.next {
		q.next[i] = uint16(i + 1)
	}
	q.free, q.freeCount, q.chains = 0, q.size, 0
	q.added, q.published, q.seen = 0, 0, 0
	q.broken, q.bad = false, 0
}

// Rings says where the queue lies, for Transport.SetupQueue.
func (q *Queue) Rings() virtio.Rings { return q.layout.rings(q.mem.Base, q.size) }

// Size gives the number of descriptors.
func (q *Queue) Size() int { return q.size }

// Free gives the number of free descriptors.
func (q *Queue) Free() int { return q.freeCount }

// InFlight gives the number of chains with the device.
func (q *Queue) InFlight() int { return q.chains }

// Stats gives the counters.
func (q *Queue) Stats() Stats { return q.stats }

// Broken reports whether the device broke the queue: its index jumped by more
// than the ring's size, or too many of its entries were bad. Such a queue
// takes and gives nothing until Reset.
func (q *Queue) Broken() bool { return q.broken }

// Add makes a chain available: the device reads out and writes in, in this
// order (2.7.4.2). The device may not look before Publish. token comes back with
// the chain. Errors: ErrFull, ErrChain, ErrBroken.
func (q *Queue) Add(token uint32, out, in []Buffer) error {
	n := len(out) + len(in)
	switch {
	case q.broken:
		return ErrBroken
	case n == 0:
		return ErrChain
	case n > q.freeCount:
		return ErrFull
	}
	var writable uint32
	for _, b := range out {
		if b.Len == 0 {
			return ErrChain
		}
	}
	for _, b := range in {
		if b.Len == 0 || writable+b.Len < writable {
			return ErrChain
		}
		writable += b.Len
	}
	head := q.free
	last := head
	for i, b := range out {
		last = q.describe(b, 0, i+1 < n)
	}
	for i, b := range in {
		last = q.describe(b, flagWrite, len(out)+i+1 < n)
	}
	q.freeCount -= n
	q.flights[head] = flight{token: token, writable: writable, last: last, length: uint16(n)}
	q.chains++
	q.heads[int(q.added)&(q.size-1)] = head
	q.added++
	return nil
}

// describe fills the first free descriptor and takes it off the free list.
func (q *Queue) describe(b Buffer, flags uint16, more bool) uint16 {
	i := q.free
	d := descriptor{address: uint64(b.Addr), length: b.Len, flags: flags}
	if more {
		d.flags |= flagNext
		d.next = q.next[i]
	}
	q.descriptors[i] = d
	q.free = q.next[i]
	return i
}

// Publish lets the device see every chain added. It reports whether the device must be
// notified (2.7.13.4).
func (q *Queue) Publish() (notify bool) {
	if q.added == q.published {
		return false
	}
	// 2.7.13.3: descriptors and heads are visible before the index.
	dma.Store16(q.avail, ringIndex, q.added)
	q.published = q.added
	// 2.7.13.4.1: the index is visible before the device's wish is read.
	dma.Fence()
	return dma.Load16(q.used, ringFlags)&usedNoNotify == 0
}

// Pop takes back the next chain that the device used. It reports false when there is none, or
// the queue is broken. Bad entries are counted and skipped, at most as many as the ring has.
func (q *Queue) Pop() (Chain, bool) {
	for n := q.Pending(); n > 0; n-- {
		// 2.7.14: entries are read after the index; Pending's load is the barrier.
		at := usedEntries + usedEntrySize*(int(q.seen)&(q.size-1))
		id := dma.Load32(q.used, at)
		written := dma.Load32(q.used, at+4)
		q.seen++
		if c, ok := q.complete(id, written); ok {
			return c, true
		}
		if q.broken {
			return Chain{}, false
		}
	}
	return Chain{}, false
}

// Pending gives the number of used entries not yet popped. An index that
// jumped breaks the queue.
func (q *Queue) Pending() int {
	if q.broken {
		return 0
	}
	n := int(dma.Load16(q.used, ringIndex) - q.seen)
	if n > q.size {
		q.stats.IndexJumps++
		q.breakDown()
		return 0
	}
	return n
}

// complete checks one used entry against the record and frees its chain.
func (q *Queue) complete(id, written uint32) (Chain, bool) {
	if id >= uint32(q.size) {
		q.stats.BadID++
		q.noteBad()
		return Chain{}, false
	}
	f := q.flights[id]
	if f.length == 0 {
		q.stats.NotInFlight++
		q.noteBad()
		return Chain{}, false
	}
	q.flights[id] = flight{}
	q.next[f.last] = q.free
	q.free = uint16(id)
	q.freeCount += int(f.length)
	q.chains--
	q.stats.Completed++
	if written > f.writable {
		q.stats.BadLength++
		q.noteBad()
		return Chain{Token: f.token, BadLength: true}, true
	}
	return Chain{Token: f.token, Written: int(written)}, true
}

func (q *Queue) noteBad() {
	q.bad++
	if q.bad >= maxBad {
		q.breakDown()
	}
}

func (q *Queue) breakDown() {
	q.broken = true
	q.stats.Broken++
}

// Quiet asks the device for no interrupts on this queue, 2.7.7. It is a hint.
func (q *Queue) Quiet() { dma.Store16(q.avail, ringFlags, availNoInterrupt) }

// Arm asks the device for interrupts and then looks at the ring again: it
// reports false when used entries already wait, for which no interrupt may come (2.7.7.1).
func (q *Queue) Arm() bool {
	dma.Store16(q.avail, ringFlags, 0)
	dma.Fence()
	return q.Pending() == 0
}
