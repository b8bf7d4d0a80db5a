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

// An Area is a range of addresses that are mapped alike.
//
// Without a file it is zeroed memory of the program's own. With one, Shared pages are the object's, and private ones are the
// object's until the program writes, then a copy. A private area has Bytes bytes of the object's from its start on; the
// rest of the last page reads as zeros, and so does everything behind it if Zeros is set (an ELF segment's .bss).
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
	s.count++
	if a.next != nil && joinable(a, a.next) {
		s.join(a)
	}
	if before != nil && joinable(before, a) {
		s.join(before)
	}
}

// joinable: only anonymous memory is joined, which is where programs make many areas.
func joinable(a, b *Area) bool {
	return a.End == b.Start && a.Prot == b.Prot && a.File == nil && b.File == nil &&
		a.MayWrite == b.MayWrite && a.MayExec == b.MayExec
}

func (s *Space) join(a *Area) {
	b := a.next
	a.End, a.next = b.End, b.next
	s.count--
	s.recent = nil
	freeArea(b)
}

// split cuts a at va, which lies inside, so that an area begins there.
func (s *Space) split(a *Area, va uint64) abi.Errno {
	if s.count >= MaxAreasPerSpace {
		return abi.ENOMEM
	}
	b := newArea()
	if b == nil {
		return abi.ENOMEM
	}
	*b = *a
	off := va - a.Start
	b.Start = va
	b.Index += off >> mem.PageShift
	b.Bytes -= min(b.Bytes, off)
	if b.File != nil {
		b.File.Ref()
	}
	a.End, a.next = va, b
	a.Bytes = min(a.Bytes, off)
	s.count++
	s.recent = nil
	return abi.OK
}

// cut makes start and end borders of areas.
func (s *Space) cut(start, end uint64) abi.Errno {
	if a := s.find(start); a != nil && a.Start != start {
		if err := s.split(a, start); err != abi.OK {
			return err
		}
	}
	if a := s.find(end); a != nil && a.Start != end {
		return s.split(a, end)
	}
	return abi.OK
}
