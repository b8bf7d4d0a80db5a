// Package pipe is pipe(7): one-way bytes between a read end and a write end, through at most 16 pages.
//
// It fills its pages as Linux does: a write whose tail fits into the last page goes there, everything else starts a new page.
// So a write of up to PIPE_BUF (4096) bytes is whole or not at all, and a pipe is full after the same writes as on Linux.
package pipe

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/mem"
	"nexus/source/kernel/neuron/internal/user"
	"nexus/source/kernel/neuron/internal/wait"
)

const (
	// MaxPipes bounds the pipes of the whole system.
	MaxPipes = 1024
	// slots is how many pages one pipe holds: 64 KiB.
	slots = 16
)

// slot is one page with the bytes [off, off+n) still to be read.
type slot struct {
	number uint32 // of the page: its address without the lower bits
	off, n uint16
}

func (s *slot) page() mem.Phys { return mem.Phys(s.number) << mem.PageShift }

// pipe is both ends and what is between them. Slots tail to head-1 (modulo slots) are in use, each with n > 0.
type pipe struct {
	slot       [slots]slot
	head, tail uint32
	r, w       End
	next       *pipe // free list
}

// End is one end of a pipe, a file.Object.
type End struct {
	file.Defaults
	pipe  *pipe
	queue wait.Queue
	open  bool
}

var (
	pipes [MaxPipes]pipe
	fresh int   // pipes[fresh:] were never used
	freed *pipe // list of those used and released
	inUse int
)

// Open is the number of pipes of which an end is open.
func Open() int { return inUse }

// New returns the two ends of a new pipe; each must be closed. ENFILE if there are too many.
func New() (r, w *End, err abi.Errno) {
	p := freed
	switch {
	case p != nil:
		freed = p.next
	case fresh < MaxPipes:
		p = &pipes[fresh]
		fresh++
	default:
		return nil, nil, abi.ENFILE
	}
	p.head, p.tail, p.next = 0, 0, nil
	p.r.pipe, p.r.open = p, true
	p.w.pipe, p.w.open = p, true
	inUse++
	return &p.r, &p.w, abi.OK
}

func (p *pipe) empty() bool { return p.head == p.tail }
func (p *pipe) full() bool  { return p.head-p.tail == slots }

func (s *slot) bytes() []byte { return mem.Bytes(s.page())[s.off : s.off+s.n] }

// live ends the machine if e is closed: what it would do now, it would do to another pipe soon.
func (e *End) live() {
	if !e.open {
		panic("pipe: used after its close")
	}
}

// Read takes what is there, at most what b holds. EAGAIN if nothing is and the write end is open; 0 bytes is the end.
func (e *End) Read(b *user.Buffer, _ int64) (int, abi.Errno) {
	e.live()
	p := e.pipe
	if e != &p.r {
		return 0, abi.EBADF
	}
	if b.Len() == 0 {
		return 0, abi.OK
	}
	if p.empty() {
		if p.w.open {
			return 0, abi.EAGAIN
		}
		return 0, abi.OK
	}
	done, freed := 0, false
	for b.Len() > 0 && !p.empty() {
		s := &p.slot[p.tail%slots]
		n, ok := b.Put(s.bytes())
		if !ok {
			// The page's bytes stay, as on Linux: only what was copied whole has been read.
			if done == 0 {
				return 0, abi.EFAULT
			}
			break
		}
		done += n
		s.off += uint16(n)
		s.n -= uint16(n)
		if s.n == 0 {
			freed = freed || p.full()
			p.drop()
		}
	}
	if freed {
		p.w.queue.Notify(abi.EPOLLOUT)
	}
	return done, abi.OK
}

// drop gives back the page of the oldest slot.
func (p *pipe) drop() {
	mem.Free(p.slot[p.tail%slots].page())
	p.tail++
}

// Write puts in what fits. EPIPE if the read end is closed, EAGAIN if nothing fits, ENOMEM if there are no pages.
func (e *End) Write(b *user.Buffer, _ int64) (int, abi.Errno) {
	e.live()
	p := e.pipe
	if e != &p.w {
		return 0, abi.EBADF
	}
	if b.Len() == 0 {
		return 0, abi.OK
	}
	if !p.r.open {
		return 0, abi.EPIPE
	}
	done, err := p.merge(b)
	for err == abi.OK && b.Len() > 0 {
		var n int
		n, err = p.push(b)
		done += n
	}
	if done == 0 {
		return 0, err
	}
	p.r.queue.Notify(abi.EPOLLIN)
	return done, abi.OK
}

// merge puts the part of b that is no whole page into the last page, if it fits there.
func (p *pipe) merge(b *user.Buffer) (int, abi.Errno) {
	tail := b.Len() % mem.PageSize
	if tail == 0 || p.empty() {
		return 0, abi.OK
	}
	s := &p.slot[(p.head-1)%slots]
	from := int(s.off + s.n)
	if from+tail > mem.PageSize {
		return 0, abi.OK
	}
	if _, ok := b.Get(mem.Bytes(s.page())[from : from+tail]); !ok {
		return 0, abi.EFAULT
	}
	s.n += uint16(tail)
	return tail, abi.OK
}

// push puts up to a page of b into a new slot.
func (p *pipe) push(b *user.Buffer) (int, abi.Errno) {
	if p.full() {
		return 0, abi.EAGAIN
	}
	page, ok := mem.AllocDirty()
	if !ok {
		return 0, abi.ENOMEM
	}
	n, ok := b.Get(mem.Bytes(page)[:])
	if !ok {
		mem.Free(page)
		return 0, abi.EFAULT
	}
	p.slot[p.head%slots] = slot{number: uint32(page >> mem.PageShift), n: uint16(n)}
	p.head++
	return n, abi.OK
}

// Ready is what poll(2) tells of a pipe: for the read end data and EPOLLHUP once the write end is closed, for the write end
// room and EPOLLERR once the read end is closed.
func (e *End) Ready() (ev abi.Events) {
	p := e.pipe
	if e == &p.r {
		if !p.empty() {
			ev |= abi.EPOLLIN
		}
		if !p.w.open {
			ev |= abi.EPOLLHUP
		}
		return ev
	}
	if !p.full() {
		ev |= abi.EPOLLOUT
	}
	if !p.r.open {
		ev |= abi.EPOLLERR
	}
	return ev
}

// Queue is file.Object's.
func (e *End) Queue() *wait.Queue { return &e.queue }

// Stat is file.Object's.
func (e *End) Stat(st *abi.Stat) {
	st.Mode = abi.S_IFIFO | 0o600
	st.Nlink = 1
	st.Blksize = mem.PageSize
}

// Close is file.Object's: the other end learns of it, the second close frees the pipe.
func (e *End) Close() bool {
	e.live()
	p := e.pipe
	e.open = false
	e.queue.Gone()
	if other := p.other(e); other.open {
		other.queue.Notify(abi.EPOLLIN | abi.EPOLLOUT | abi.EPOLLERR | abi.EPOLLHUP)
		return true
	}
	for !p.empty() {
		p.drop()
	}
	p.next, freed = freed, p
	inUse--
	return true
}

func (p *pipe) other(e *End) *End {
	if e == &p.r {
		return &p.w
	}
	return &p.r
}
