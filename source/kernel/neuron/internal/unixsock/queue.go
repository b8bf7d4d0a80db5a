package unixsock

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/mem"
	"nexus/source/kernel/neuron/internal/user"
)

// segment is a page of a queue.
type segment struct {
	next mem.Phys
	data [segmentSize]byte
}

const (
	segmentSize = mem.PageSize - 8
	// frameHeader is the size of what stands before a frame's bytes: u32 length, u32 1 if descriptors go with it. It never
	// crosses a page.
	frameHeader = 8
)

// A queue holds frames, oldest first, in pages taken on demand; an empty queue has no page. A packet is one frame. In a
// stream a frame is what was sent with one set of descriptors, or any number of sends without.
//
// Invariant: used is the sum of frameHeader and the unread bytes over all frames, so it is zero exactly when there is none.
type queue struct {
	at     cursor   // of the first unread byte; nothing while the queue is empty
	tail   mem.Phys // page that the next byte goes to
	last   mem.Phys // page with the header of the last frame
	frames uint32
	used   uint32
	end    uint16 // where in tail
	start  uint16 // where in last
	sealed bool   // the last frame must not grow
}

// cursor is a place in a queue: between two frames, or left bytes before the end of one.
type cursor struct {
	page   mem.Phys
	left   uint32
	off    uint16
	inside bool
	rights bool // descriptors go with the frame
}

// pages is how many pages all queues hold together; they may take a quarter of memory.
var pages int

func takePage() (mem.Phys, bool) {
	if pages >= mem.Total()/4 {
		return 0, false
	}
	p, ok := mem.AllocDirty()
	if ok {
		pages++
		segmentAt(p).next = 0
	}
	return p, ok
}

func dropPage(p mem.Phys) {
	mem.Free(p)
	pages--
}

// dropPages drops p and what follows it.
func dropPages(p mem.Phys) {
	for p != 0 {
		next := segmentAt(p).next
		dropPage(p)
		p = next
	}
}

func (q *queue) empty() bool { return q.used == 0 }

// extend makes sure that at least n bytes fit behind end in the page of the tail.
func (q *queue) extend(n uint16) bool {
	if q.tail != 0 && segmentSize-q.end >= n {
		return true
	}
	p, ok := takePage()
	if !ok {
		return false
	}
	if q.tail == 0 {
		q.at = cursor{page: p}
	} else {
		segmentAt(q.tail).next = p
	}
	q.tail, q.end = p, 0
	return true
}

// undo gives the queue back its end, after a failed write.
func (q *queue) undo(tail mem.Phys, end uint16) {
	if tail == 0 {
		q.clear()
		return
	}
	dropPages(segmentAt(tail).next)
	segmentAt(tail).next = 0
	q.tail, q.end = tail, end
}

// put appends p.
func (q *queue) put(p []byte) bool {
	for len(p) > 0 {
		if !q.extend(1) {
			return false
		}
		n := copy(segmentAt(q.tail).data[q.end:], p)
		q.end += uint16(n)
		p = p[n:]
	}
	return true
}

// load appends n bytes of b and returns how many it could: ENOBUFS or EFAULT says why not all.
func (q *queue) load(b *user.Buffer, n int) (int, abi.Errno) {
	done := 0
	for done < n {
		if !q.extend(1) {
			return done, abi.ENOBUFS
		}
		to := segmentAt(q.tail).data[q.end:]
		if len(to) > n-done {
			to = to[:n-done]
		}
		k, ok := b.Get(to)
		done += k
		q.end += uint16(k)
		if !ok {
			return done, abi.EFAULT
		}
	}
	return done, abi.OK
}

// packet appends one frame of header and then n bytes of b, or nothing.
func (q *queue) packet(header []byte, b *user.Buffer, n int, rights bool) abi.Errno {
	tail, end := q.tail, q.end
	err := abi.ENOBUFS
	if q.extend(frameHeader) {
		page, start := q.tail, q.end
		q.end += frameHeader
		if q.put(header) {
			_, err = q.load(b, n)
		}
		if err == abi.OK {
			q.frame(page, start, len(header)+n, rights)
			return abi.OK
		}
	}
	q.undo(tail, end)
	return err
}

// stream appends n > 0 bytes of b, or as many as there is memory for, to the last frame if possible. It returns their number.
func (q *queue) stream(b *user.Buffer, n int, rights bool) (int, abi.Errno) {
	tail, end := q.tail, q.end
	fresh := q.empty() || q.sealed || rights
	page, start := q.last, q.start
	if fresh {
		if !q.extend(frameHeader) {
			return 0, abi.ENOBUFS
		}
		page, start = q.tail, q.end
		q.end += frameHeader
	}
	done, err := q.load(b, n)
	if done == 0 || err == abi.EFAULT {
		q.undo(tail, end)
		return 0, err
	}
	if fresh {
		q.frame(page, start, done, rights)
		return done, abi.OK
	}
	q.used += uint32(done)
	if q.frames == 1 && q.at.inside {
		q.at.left += uint32(done)
		return done, abi.OK
	}
	h := segmentAt(page).data[start:]
	user.PutUint32(h, user.Uint32(h)+uint32(done))
	return done, abi.OK
}

// frame makes what was written behind the place of its header a frame of n bytes.
func (q *queue) frame(page mem.Phys, start uint16, n int, rights bool) {
	h := segmentAt(page).data[start : start+frameHeader]
	user.PutUint32(h, uint32(n))
	user.PutUint32(h[4:], 0)
	if rights {
		h[4] = 1
	}
	q.last, q.start, q.sealed = page, start, rights
	q.frames++
	q.used += frameHeader + uint32(n)
}

// enter moves c to the first byte of its frame, if it stands before one.
func (c *cursor) enter() {
	if c.inside {
		return
	}
	if segmentSize-c.off < frameHeader {
		c.page, c.off = segmentAt(c.page).next, 0
	}
	h := segmentAt(c.page).data[c.off : c.off+frameHeader]
	c.left, c.rights, c.inside = user.Uint32(h), h[4] != 0, true
	c.off += frameHeader
}

// bytes is what of the frame lies in one piece at c. The frame has bytes left.
func (c *cursor) bytes() []byte {
	if c.off == segmentSize {
		c.page, c.off = segmentAt(c.page).next, 0
	}
	return segmentAt(c.page).data[c.off:min(segmentSize, uint32(c.off)+c.left)]
}

// get copies the next bytes of the frame to p, and zeroes what the frame is too short for.
func (c *cursor) get(p []byte) (n int) {
	for n < len(p) && c.left > 0 {
		k := copy(p[n:], c.bytes())
		c.skip(k)
		n += k
	}
	clear(p[n:])
	return n
}

// store copies to b what of the frame it has room for.
func (c *cursor) store(b *user.Buffer) (done int, ok bool) {
	for c.left > 0 && b.Len() > 0 {
		k, ok := b.Put(c.bytes())
		c.skip(k)
		done += k
		if !ok {
			return done, false
		}
	}
	return done, true
}

// skip moves on by n bytes that lie in one piece.
func (c *cursor) skip(n int) {
	c.off += uint16(n)
	c.left -= uint32(n)
}

// finish moves to the end of the frame.
func (c *cursor) finish() {
	for c.left > 0 {
		c.skip(len(c.bytes()))
	}
	c.inside = false
}

// consume drops everything before c: done frames and read bytes.
func (q *queue) consume(c cursor, frames, read uint32) {
	q.frames -= frames
	q.used -= frames*frameHeader + read
	if q.used == 0 {
		q.clear()
		return
	}
	for q.at.page != c.page {
		next := segmentAt(q.at.page).next
		dropPage(q.at.page)
		q.at.page = next
	}
	q.at = c
}

// clear drops everything.
func (q *queue) clear() {
	dropPages(q.at.page)
	*q = queue{}
}
