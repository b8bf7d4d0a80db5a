package vm

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/arch"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/mem"
)

const (
	// UserEnd is the first address that no program has: Sv39's lower half, less a page so that no range ends at 2^38.
	UserEnd = 1<<38 - mem.PageSize
	// UserStart keeps nil pointers and their offsets unmapped.
	UserStart = 1 << 16
	// StackEnd is where the first thread's stack ends; above it lies the vDSO.
	StackEnd  = UserEnd - 1<<20
	StackSize = 8 << 20
	// MapEnd is the end of what mmap chooses from, downwards, and of executables.
	MapEnd = StackEnd - StackSize - 1<<20
)

// MaxSpaces bounds the address spaces.
const MaxSpaces = 64

// A Space is an address space.
type Space struct {
	root   mem.Phys
	asid   uint16
	refs   int
	first  *Area // in order of address
	recent *Area // where find looks first
	count  int
	dies   *Space // the next of those without a reference

	// Pages of its own, of objects' (archive, memfds, devices), and of tables.
	resident, shared, tables int
	peak                     int // the most that resident ever was
}

var spaces [MaxSpaces]Space

// dying are the spaces without a reference that still hold pages.
var dying struct {
	first *Space
	grew  bool // since the last call of Dropped
}

// NewSpace returns an empty space with one reference; ENOMEM if there are too many or memory is used up, Again if some are about to go.
func NewSpace() (*Space, abi.Errno) {
	for i := range spaces {
		s := &spaces[i]
		if s.root != 0 {
			continue
		}
		root, ok := mem.Alloc()
		if !ok {
			return nil, abi.ENOMEM
		}
		copy(tableAt(root)[userHalf:], tableAt(kernelRoot)[userHalf:])
		*s = Space{root: root, asid: s.asid, refs: 1, tables: 1}
		return s, abi.OK
	}
	if dying.first != nil {
		return nil, abi.Again
	}
	return nil, abi.ENOMEM
}

// Ref takes one more reference.
func (s *Space) Ref() *Space { s.refs++; return s }

// Release drops a reference. With the last one the space is left to Reap; h must not be in user mode with it.
func (s *Space) Release(h *arch.Hart) {
	if s.refs--; s.refs > 0 {
		return
	}
	s.leave(h)
	s.dies, dying.first = dying.first, s
	dying.grew = true
}

// Waiting reports whether a space waits for Reap.
func Waiting() bool { return dying.first != nil }

// Dropped reports whether a space has lost its last reference since the last call.
func Dropped() bool {
	d := dying.grew
	dying.grew = false
	return d
}

// Reap gives back a piece of what the spaces without a reference hold, and reports whether there is more.
func Reap() (more bool) {
	s := dying.first
	if s == nil {
		return false
	}
	w := walk{end: UserEnd, work: pieceWork}
	if s.unmap(&w); w.at == w.end {
		dying.first = s.dies
		s.freeRoot()
	}
	return dying.first != nil
}

// Borrowed reports whether more than one process has the space.
func (s *Space) Borrowed() bool { return s.refs > 1 }

// Usage is what the space holds, in pages: its own memory, memory it shares with others, and page tables.
func (s *Space) Usage() (resident, shared, tables int) { return s.resident, s.shared, s.tables }

// Peak is the most memory of its own that the space ever held, in pages.
func (s *Space) Peak() int { return s.peak }

// Map describes a mapping to make.
type Map struct {
	Start, Size uint64 // Start is a wish unless Fixed
	Fixed       bool   // replaces what is there
	Prot        Prot
	Shared      bool
	MayExec     bool
	MayWrite    bool
	File        *file.File // referenced by the area as long as it lives
	Index       uint64
	Bytes       uint64
	Zeros       bool
	Done        uint64 // bytes from Start on that earlier calls have replaced, see Mmap
}

func pageUp(n uint64) uint64 { return (n + mem.PageSize - 1) &^ (mem.PageSize - 1) }

// inUser checks that a page-aligned range lies where programs are.
func inUser(start, size uint64) bool {
	return start >= UserStart && start <= UserEnd && size <= UserEnd-start
}

// Mmap makes a mapping and returns its address. EINVAL for an empty or unaligned one, EACCES for a right that it may not have,
// ENOMEM if there is no room. A Fixed one that replaces much is made in pieces, each of them whole: with Again the result is how many
// bytes are done, and the next call's Done.
func (s *Space) Mmap(m Map) (uint64, abi.Errno) {
	size := pageUp(m.Size)
	if m.Size == 0 || m.Start%mem.PageSize != 0 && m.Fixed {
		return 0, abi.EINVAL
	}
	if size == 0 {
		return 0, abi.ENOMEM
	}
	if m.Prot&Write != 0 && !m.MayWrite || m.Prot&Exec != 0 && !m.MayExec {
		return 0, abi.EACCES
	}
	start := m.Start &^ (mem.PageSize - 1)
	switch {
	case m.Fixed:
		if !inUser(start, size) {
			return 0, abi.ENOMEM
		}
	case start != 0 && inUser(start, size) && s.vacant(start, start+size):
	default:
		var ok bool
		if start, ok = s.room(size); !ok {
			return 0, abi.ENOMEM
		}
	}
	a := s.newArea()
	if a == nil {
		return 0, abi.ENOMEM
	}
	w := walk{at: start + m.Done, end: start + size, work: pieceWork}
	if err := s.unmap(&w); err != abi.OK {
		s.remove(a)
		return 0, err
	}
	*a = m.area(start)
	a.trim(start+m.Done, w.at)
	if a.File != nil {
		a.File.Ref()
	}
	s.insert(a)
	if w.at < w.end {
		return w.at - start, abi.Again
	}
	return start, abi.OK
}

// area is what m says of memory from start on.
func (m *Map) area(start uint64) (a Area) {
	a = Area{Start: start, Prot: m.Prot.normal(), MayWrite: m.MayWrite, MayExec: m.MayExec}
	if m.File != nil {
		a.File, a.Index, a.Shared = m.File, m.Index, m.Shared
		if !m.Shared {
			a.Bytes, a.Zeros = m.Bytes, m.Zeros
		}
	}
	return a
}

// Vacant reports whether nothing is mapped in the range.
func (s *Space) Vacant(start, size uint64) bool { return s.vacant(start, start+pageUp(size)) }

// vacant reports whether nothing is mapped from start to end.
func (s *Space) vacant(start, end uint64) bool {
	for a := s.first; a != nil && a.Start < end; a = a.next {
		if a.End > start {
			return false
		}
	}
	return true
}

// room is the highest free place below MapEnd for size bytes.
func (s *Space) room(size uint64) (uint64, bool) {
	best, ok := uint64(0), false
	low := uint64(UserStart)
	for a := s.first; ; a = a.next {
		high := uint64(MapEnd)
		if a != nil {
			high = min(high, a.Start)
		}
		if high > low && high-low >= size {
			best, ok = high-size, true
		}
		if a == nil {
			return best, ok
		}
		low = max(low, a.End)
	}
}

// Munmap removes what is mapped in the range. ENOMEM if an area had to be split and could not be. What takes long is done in pieces: with
// Again the result is how many bytes are done, and done of the next call.
func (s *Space) Munmap(start, size, done uint64) (uint64, abi.Errno) {
	size = pageUp(size)
	if start%mem.PageSize != 0 || size == 0 || start > UserEnd || size > UserEnd-start {
		return 0, abi.EINVAL
	}
	w := walk{at: start + done, end: start + size, work: pieceWork}
	if err := s.unmap(&w); err != abi.OK {
		return 0, err
	}
	return w.result(start)
}

// result is what a call in pieces tells of a range from start on.
func (w *walk) result(start uint64) (done uint64, err abi.Errno) {
	if w.at < w.end {
		return w.at - start, abi.Again
	}
	return 0, abi.OK
}

// unmap removes what is mapped in w's range, as far as its work lasts: at least a little.
func (s *Space) unmap(w *walk) abi.Errno {
	end := w.end
	if a := s.find(w.at); a != nil && a.Start != w.at {
		if err := s.split(a, w.at); err != abi.OK {
			return err
		}
	}
	link := &s.first
	for *link != nil && (*link).Start < w.at {
		link = &(*link).next
	}
	any := false
	a := *link
	for ; a != nil && a.Start < end && w.work > 0; a = *link {
		w.at, w.end = a.Start, min(a.End, end)
		any = s.clear(w) || any
		if w.at < a.End {
			a.trim(w.at, a.End)
			break
		}
		w.work -= areaWork
		*link = a.next
		s.remove(a)
	}
	if w.end = end; a == nil || a.Start >= end {
		w.at = end
	}
	if any {
		arch.FlushTLB()
	}
	return abi.OK
}

// Protect changes what the program may do in the range, up to what is not mapped (ENOMEM) or must not have prot (EACCES), as Linux does. Pieces as for
// Munmap: the areas change with the first, and the entries of pages that are there follow.
func (s *Space) Protect(start, size uint64, prot Prot, done uint64) (uint64, abi.Errno) {
	prot = prot.normal()
	switch {
	case start%mem.PageSize != 0:
		return 0, abi.EINVAL
	case size == 0:
		return 0, abi.OK
	case start+pageUp(size) <= start:
		return 0, abi.ENOMEM
	}
	end, refused := s.protectable(start, start+pageUp(size), prot)
	if end <= start+done {
		return 0, refused
	}
	w := walk{at: start + done, end: end, work: pieceWork}
	if done == 0 {
		if err := s.cut(start, w.end); err != abi.OK {
			return 0, err
		}
		for a := s.find(start); a != nil && a.Start < w.end; a = a.next {
			a.Prot = prot
		}
		s.rejoin(start, w.end)
	}
	s.reprotect(&w)
	arch.FlushTLB()
	if done, err := w.result(start); err != abi.OK {
		return done, err
	}
	return 0, refused
}

// protectable says up to where all from start to end is mapped and may have prot, and if that is not end, what is wrong there.
func (s *Space) protectable(start, end uint64, prot Prot) (uint64, abi.Errno) {
	at := start
	for a := s.find(start); a != nil && a.Start <= at && at < end; a = a.next {
		if prot&Write != 0 && !a.MayWrite || prot&Exec != 0 && !a.MayExec {
			return at, abi.EACCES
		}
		at = a.End
	}
	if at < end {
		return at, abi.ENOMEM
	}
	return end, abi.OK
}

// rejoin joins what has become alike from start to end, and what it meets there; not more than is a piece's work.
func (s *Space) rejoin(start, end uint64) {
	a := s.first
	for a != nil && a.End < start {
		a = a.next
	}
	for work := pieceWork; a != nil && a.End <= end && work > 0; {
		if s.join(a) {
			work -= areaWork
		} else {
			a = a.next
		}
	}
}

// Discard drops the program's own pages in the range, which read as zero (or as the object) afterwards. ENOMEM if part of it
// is not mapped; the rest is dropped all the same. Pieces as for Munmap.
func (s *Space) Discard(start, size, done uint64) (uint64, abi.Errno) {
	end := start + pageUp(size)
	if start%mem.PageSize != 0 || end < start || end == start && size != 0 {
		return 0, abi.EINVAL
	}
	w := walk{at: start + done, end: min(end, UserEnd), work: pieceWork}
	if s.clear(&w) {
		arch.FlushTLB()
	}
	if w.at >= w.end && !s.covered(start, end) {
		return 0, abi.ENOMEM
	}
	return w.result(start)
}

// Present tells of each page from start on whether it is there (mincore(2)), a byte each: what is mapped, and what a file holds that
// never changes. ENOMEM if part of the range is not mapped.
func (s *Space) Present(start uint64, there []byte) abi.Errno {
	if !s.covered(start, start+uint64(len(there))<<mem.PageShift) {
		return abi.ENOMEM
	}
	for i := range there {
		va := start + uint64(i)<<mem.PageShift
		e, a := s.entry(va), s.find(va)
		constant := a.File != nil && a.File.Object.Mapping() == file.MapsConstant && va-a.Start < a.Bytes
		there[i] = 0
		if constant || e != nil && *e&pteValid != 0 {
			there[i] = 1
		}
	}
	return abi.OK
}

// covered reports whether everything from start to end is mapped.
func (s *Space) covered(start, end uint64) bool {
	for a := s.find(start); start < end; a = a.next {
		if a == nil || a.Start > start {
			return false
		}
		start = a.End
	}
	return true
}
