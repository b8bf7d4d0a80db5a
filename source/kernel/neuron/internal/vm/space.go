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

	// Pages of its own, of objects' (archive, memfds, devices), and of tables.
	resident, shared, tables int
	peak                     int // the most that resident ever was
}

var spaces [MaxSpaces]Space

// NewSpace returns an empty space with one reference; ENOMEM if there are too many or memory is used up.
func NewSpace() (*Space, abi.Errno) {
	for i := range spaces {
		s := &spaces[i]
		if s.refs != 0 {
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
	return nil, abi.ENOMEM
}

// Ref takes one more reference.
func (s *Space) Ref() *Space { s.refs++; return s }

// Release drops a reference. With the last one everything in the space goes; h must not be in user mode with it.
func (s *Space) Release(h *arch.Hart) {
	if s.refs--; s.refs > 0 {
		return
	}
	s.leave(h)
	for a := s.first; a != nil; {
		next := a.next
		s.clear(a.Start, a.End)
		s.remove(a)
		a = next
	}
	s.first = nil
	s.freeRoot()
}

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
}

func pageUp(n uint64) uint64 { return (n + mem.PageSize - 1) &^ (mem.PageSize - 1) }

// inUser checks that a page-aligned range lies where programs are.
func inUser(start, size uint64) bool {
	return start >= UserStart && start <= UserEnd && size <= UserEnd-start
}

// Mmap makes a mapping and returns its address. EINVAL for an empty or unaligned one, EACCES for a right that it may not have,
// ENOMEM if there is no room.
func (s *Space) Mmap(m Map) (uint64, abi.Errno) {
	size := pageUp(m.Size)
	if m.Size == 0 || size == 0 || m.Start%mem.PageSize != 0 && m.Fixed {
		return 0, abi.EINVAL
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
		if err := s.Munmap(start, size); err != abi.OK {
			return 0, err
		}
	case start != 0 && inUser(start, size) && s.vacant(start, start+size):
	default:
		var ok bool
		if start, ok = s.room(size); !ok {
			return 0, abi.ENOMEM
		}
	}
	if s.count >= MaxAreasPerSpace {
		return 0, abi.ENOMEM
	}
	a := newArea()
	if a == nil {
		return 0, abi.ENOMEM
	}
	*a = Area{Start: start, End: start + size, Prot: m.Prot.normal(), MayWrite: m.MayWrite, MayExec: m.MayExec}
	if m.File != nil {
		a.File, a.Index, a.Shared = m.File.Ref(), m.Index, m.Shared
		if !m.Shared {
			a.Bytes, a.Zeros = min(m.Bytes, size), m.Zeros
		}
	}
	s.insert(a)
	return start, abi.OK
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

// Munmap removes what is mapped in the range. ENOMEM if an area had to be split and could not be.
func (s *Space) Munmap(start, size uint64) abi.Errno {
	size = pageUp(size)
	if start%mem.PageSize != 0 || size == 0 || start > UserEnd || size > UserEnd-start {
		return abi.EINVAL
	}
	end := start + size
	if err := s.cut(start, end); err != abi.OK {
		return err
	}
	flush := false
	for link := &s.first; *link != nil && (*link).Start < end; {
		a := *link
		if a.Start < start {
			link = &a.next
			continue
		}
		flush = s.clear(a.Start, a.End) || flush
		*link = a.next
		s.remove(a)
	}
	if flush {
		arch.FlushTLB()
	}
	return abi.OK
}

// Protect changes what the program may do in the range. ENOMEM if part of it is not mapped, EACCES if an area forbids it.
func (s *Space) Protect(start, size uint64, prot Prot) abi.Errno {
	prot = prot.normal()
	size = pageUp(size)
	if start%mem.PageSize != 0 || start > UserEnd || size > UserEnd-start {
		return abi.EINVAL
	}
	if size == 0 {
		return abi.OK
	}
	end := start + size
	at := start
	for a := s.find(start); a != nil && a.Start <= at && at < end; a = a.next {
		if prot&Write != 0 && !a.MayWrite || prot&Exec != 0 && !a.MayExec {
			return abi.EACCES
		}
		at = a.End
	}
	if at < end {
		return abi.ENOMEM
	}
	if err := s.cut(start, end); err != abi.OK {
		return err
	}
	for a := s.find(start); a != nil && a.Start < end; a = a.next {
		a.Prot = prot
		s.reprotect(a)
	}
	s.rejoin(start, end)
	arch.FlushTLB()
	return abi.OK
}

// rejoin joins what has become alike from start to end, and what it meets there.
func (s *Space) rejoin(start, end uint64) {
	a := s.first
	for a != nil && a.End < start {
		a = a.next
	}
	for a != nil && a.End <= end {
		if next := a.next; !s.join(a) {
			a = next
		}
	}
}

// reprotect brings the entries of a's pages in line with what a is now.
func (s *Space) reprotect(a *Area) {
	w := walk{at: a.Start, end: a.End}
	for s.next(&w) {
		t := tableAt(w.table)
		for ; w.at < w.stop; w.at += mem.PageSize {
			if e := &t[index(w.at, 0)]; *e&pteValid != 0 {
				*e = a.entry(e.phys(), *e&pteOwn)
			}
		}
	}
}

// Discard drops the program's own pages in the range, which read as zero (or as the object) afterwards. ENOMEM if part of it
// is not mapped; the rest is dropped all the same.
func (s *Space) Discard(start, size uint64) abi.Errno {
	size = pageUp(size)
	if start%mem.PageSize != 0 || start > UserEnd || size > UserEnd-start {
		return abi.EINVAL
	}
	if s.clear(start, start+size) {
		arch.FlushTLB()
	}
	if !s.covered(start, start+size) {
		return abi.ENOMEM
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
