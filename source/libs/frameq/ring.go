package frameq

import "sync/atomic"

// ring is one index queue in shared memory. Its words may change at any time to
// any value.
type ring struct {
	producer *atomic.Uint32 // written by the producer only
	consumer *atomic.Uint32 // written by the consumer only
	wake     *atomic.Uint64 // set by the consumer, taken by the producer
	entries  *[Slots]atomic.Uint64
}

func ringOf(queue []byte, which int) ring {
	control := lineSize + which*2*lineSize
	return ring{
		producer: word32(queue, control),
		consumer: word32(queue, control+consumerLine),
		wake:     word64(queue, control+wakeWord),
		entries:  ringAt(queue, controlSize+which*ringSize),
	}
}

// producer is the writing end. next is private and the only truth about how
// far this side has written; it is atomic because Flush may read it from another
// goroutine than the one that pushes.
type producer struct {
	ring
	next atomic.Uint32
}

// push publishes e. It reports false when the consumer's index leaves no room,
// which an honest consumer's never does.
func (p *producer) push(e entry) bool {
	next := p.next.Load()
	if next-p.consumer.Load() >= Slots {
		return false
	}
	p.entries[next%Slots].Store(uint64(e))
	p.next.Store(next + 1)
	p.ring.producer.Store(next + 1)
	return true
}

// takeWake reports whether the consumer sleeps and has what it waits for, and
// if so takes the request, so that one sleep gets one bell.
func (p *producer) takeWake() bool {
	w := p.wake.Load()
	if w&armed == 0 || int32(p.next.Load()-uint32(w)) < 0 {
		return false
	}
	return p.wake.CompareAndSwap(w, 0)
}

// consumer is the reading end. next is private and the only truth about how
// far this side has read.
type consumer struct {
	ring
	next uint32
}

// waiting gives the number of entries to read. An index that claims more than
// the queue can hold is a lie: everything up to it is skipped, the lie is
// counted, and the queue counts as empty.
func (c *consumer) waiting(jumps *counter) uint32 {
	written := c.producer.Load()
	n := written - c.next
	if n > Slots {
		jumps.add()
		c.next = written
		c.ring.consumer.Store(written)
		return 0
	}
	return n
}

// pop reads one entry and gives its place back to the producer.
func (c *consumer) pop(jumps *counter) (entry, bool) {
	if c.waiting(jumps) == 0 {
		return 0, false
	}
	e := entry(c.entries[c.next%Slots].Load())
	c.next++
	c.ring.consumer.Store(c.next)
	return e, true
}

// arm asks for a bell once n entries wait. It reports false, and asks for
// nothing, when they already do.
func (c *consumer) arm(n int, jumps *counter) bool {
	n = min(max(n, 1), Slots)
	c.wake.Store(armed | uint64(c.next+uint32(n)))
	// The request is visible before the index is read again: the producer either
	// sees the request or has published before this load.
	if c.waiting(jumps) < uint32(n) {
		return true
	}
	c.wake.Store(0)
	return false
}
