package vm

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/mem"
)

// Prot is what a program may do with memory (PROT_READ, PROT_WRITE, PROT_EXEC).
type Prot uint8

const (
	Read  Prot = 1
	Write Prot = 2
	Exec  Prot = 4
)

// normal adds Read to Write: an entry with W but not R is reserved (privileged specification 1.12, table 4.5).
func (p Prot) normal() Prot {
	if p&Write != 0 {
		p |= Read
	}
	return p
}

// An Area is a range of addresses that are mapped alike. It owns the entries of its range: nothing is mapped outside of areas, and no
// fault in one touches another's.
//
// Without a file it is zeroed memory of the program's own. With one, Shared pages are the object's, and private ones are the
// object's until the program writes, then a copy. A private area has Bytes bytes of the object's from its start on; the
// rest of the last page reads as zeros, and so does everything behind it if Zeros is set (an ELF segment's .bss). Bytes is never more than the
// area holds; Index, Bytes and Zeros of an anonymous area are zero, as are the latter two of a shared one.
type Area struct {
	Start, End uint64
	Prot       Prot
	Shared     bool
	// MayExec and MayWrite bound what mprotect can give: a device window never becomes executable.
	MayWrite, MayExec bool
	File              *file.File
	Index             uint64 // page of the object at Start
	Bytes             uint64
	Zeros             bool

	next *Area
}

// MaxAreas bounds the areas of all spaces together, MaxAreasPerSpace those of one (ENOMEM).
const (
	MaxAreas         = 8192
	MaxAreasPerSpace = 2048
)

var (
	areas     [MaxAreas]Area
	areasUsed int // areas[areasUsed:] were never used
	areasFree *Area
)

func newArea() *Area {
	if a := areasFree; a != nil {
		areasFree = a.next
		a.next = nil
		return a
	}
	if areasUsed == MaxAreas {
		return nil
	}
	areasUsed++
	return &areas[areasUsed-1]
}

func freeArea(a *Area) {
	if a.File != nil {
		a.File.Release()
	}
	*a = Area{next: areasFree}
	areasFree = a
}

// newArea returns an area that counts as the space's, or nil if there are too many.
func (s *Space) newArea() *Area {
	if s.count >= MaxAreasPerSpace {
		return nil
	}
	a := newArea()
	if a != nil {
		s.count++
	}
	return a
}

// find is the area that holds va, or nil.
func (s *Space) find(va uint64) *Area {
	if a := s.recent; a != nil && va >= a.Start && va < a.End {
		return a
	}
	for a := s.first; a != nil && a.Start <= va; a = a.next {
		if va < a.End {
			s.recent = a
			return a
		}
	}
	return nil
}

// insert puts a, which meets no other, into the list, and joins it with its neighbours where they are alike.
func (s *Space) insert(a *Area) {
	link := &s.first
	var before *Area
	for *link != nil && (*link).Start < a.Start {
		before = *link
		link = &before.next
	}
	a.next = *link
	*link = a
	s.join(a)
	if before != nil {
		s.join(before)
	}
}

// trim leaves of a what it says of its range from start to end.
func (a *Area) trim(start, end uint64) {
	if a.File != nil {
		a.Index += (start - a.Start) >> mem.PageShift
		a.Bytes -= min(a.Bytes, start-a.Start)
		a.Bytes = min(a.Bytes, end-start)
	}
	a.Start, a.End = start, end
}

// continues reports whether a goes on in b, so that trim would make the two of one.
func (a *Area) continues(b *Area) bool {
	size := b.Start - a.Start
	return a.End == b.Start && a.File == b.File && a.Prot == b.Prot && a.Shared == b.Shared &&
		a.MayWrite == b.MayWrite && a.MayExec == b.MayExec && a.Zeros == b.Zeros &&
		(a.File == nil || b.Index == a.Index+size>>mem.PageShift && (a.Bytes == size || b.Bytes == 0))
}

// join makes one area of a and the next, if a continues in it.
func (s *Space) join(a *Area) bool {
	b := a.next
	if b == nil || !a.continues(b) {
		return false
	}
	a.End, a.Bytes, a.next = b.End, a.Bytes+b.Bytes, b.next
	s.remove(b)
	return true
}

// remove frees a, which is in no list any more.
func (s *Space) remove(a *Area) {
	s.count--
	if s.recent == a {
		s.recent = nil
	}
	freeArea(a)
}

// split cuts a at va, which lies inside, so that an area begins there.
func (s *Space) split(a *Area, va uint64) abi.Errno {
	b := s.newArea()
	if b == nil {
		return abi.ENOMEM
	}
	*b = *a
	b.trim(va, a.End)
	if b.File != nil {
		b.File.Ref()
	}
	a.trim(a.Start, va)
	a.next = b
	return abi.OK
}

// cut makes start and end borders of areas, or nothing of both.
func (s *Space) cut(start, end uint64) abi.Errno {
	before := s.find(start)
	if before != nil && before.Start != start {
		if err := s.split(before, start); err != abi.OK {
			return err
		}
	} else {
		before = nil
	}
	a := s.find(end)
	if a == nil || a.Start == end {
		return abi.OK
	}
	err := s.split(a, end)
	if err != abi.OK && before != nil {
		s.join(before)
	}
	return err
}
