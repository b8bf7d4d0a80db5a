package vm

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/arch"
	"nexus/source/kernel/neuron/internal/mem"
)

// A Fault says why a page could not be had.
type Fault uint8

const (
	FaultNone   Fault = iota
	FaultMap          // nothing is mapped there: SIGSEGV, SEGV_MAPERR
	FaultAccess       // it is, but not for this: SIGSEGV, SEGV_ACCERR
	FaultBus          // beyond the end of the object: SIGBUS
	FaultMemory       // memory is used up
)

// Touch makes the page at va usable for need, and says why if it cannot.
func (s *Space) Touch(va uint64, need Prot) Fault {
	a := s.find(va)
	if a == nil {
		return FaultMap
	}
	if a.Prot&need != need {
		return FaultAccess
	}
	va &^= mem.PageSize - 1
	e := s.makeEntry(va)
	if e == nil {
		return FaultMemory
	}
	if *e&pteUser != 0 && e.allows(need) {
		// Another thread was first, or the processor remembered that the entry was invalid.
		arch.FlushTLB()
		return FaultNone
	}
	return s.fill(a, va, e, need)
}

// fill gives entry e of page va in a its page.
func (s *Space) fill(a *Area, va uint64, e *pte, need Prot) Fault {
	old := *e
	var p mem.Phys
	switch {
	case a.File == nil:
		var ok bool
		if p, ok = mem.Alloc(); !ok {
			return FaultMemory
		}
	case a.Shared:
		var err abi.Errno
		if p, err = a.File.Object.Map(a.Index+(va-a.Start)>>mem.PageShift, a.MayWrite); err != abi.OK {
			return objectFault(err)
		}
	default:
		var f Fault
		if p, f = s.private(a, va, need); f != FaultNone {
			return f
		}
	}
	if old&pteValid != 0 {
		s.drop(old)
	}
	if mem.Refs(p) != 0 {
		s.resident++
		s.peak = max(s.peak, s.resident)
	} else {
		s.shared++
	}
	*e = leafPTE(p, s.grant(a, p))
	if old&pteValid != 0 {
		arch.FlushTLB()
	} else if a.File != nil && !a.Shared && need&Write == 0 {
		s.fillAround(a, va)
	}
	if a.Prot&Exec != 0 {
		arch.FlushCode()
	}
	return FaultNone
}

// around is how many pages a fault on a file's page looks at: an aligned group, which lies in one table.
const around = 16

// fillAround maps the whole pages of the file near va that are not mapped yet and cost no memory. A program that
// begins touches hundreds of its file's pages, most of them beside each other, and a trap costs more than an entry.
func (s *Space) fillAround(a *Area, va uint64) {
	start := max(va&^(around*mem.PageSize-1), a.Start)
	end := min(va&^(around*mem.PageSize-1)+around*mem.PageSize, a.Start+a.Bytes&^(mem.PageSize-1))
	for at := start; at < end; at += mem.PageSize {
		e := s.entry(at)
		if *e&pteValid != 0 {
			continue
		}
		p, err := a.File.Object.Map(a.Index+(at-a.Start)>>mem.PageShift, false)
		if err != abi.OK {
			return
		}
		if mem.Refs(p) != 0 {
			mem.Free(p)
			return
		}
		s.shared++
		*e = leafPTE(p, s.grant(a, p))
	}
}

func objectFault(err abi.Errno) Fault {
	if err == abi.ENOMEM {
		return FaultMemory
	}
	return FaultBus
}

// private is the page at va of a private area: the object's own as long as it is whole and not written to, else a copy.
func (s *Space) private(a *Area, va uint64, need Prot) (mem.Phys, Fault) {
	off := va - a.Start
	have := a.Bytes - min(a.Bytes, off)
	if have == 0 && !a.Zeros {
		return 0, FaultBus
	}
	if have == 0 {
		p, ok := mem.Alloc()
		if !ok {
			return 0, FaultMemory
		}
		return p, FaultNone
	}
	src, err := a.File.Object.Map(a.Index+off>>mem.PageShift, false)
	if err != abi.OK {
		return 0, objectFault(err)
	}
	if have >= mem.PageSize && need&Write == 0 {
		return src, FaultNone
	}
	p, ok := mem.AllocDirty()
	if ok {
		n := copy(mem.Bytes(p)[:], mem.Bytes(src)[:min(have, mem.PageSize)])
		clear(mem.Bytes(p)[n:])
	}
	mem.Free(src)
	if !ok {
		return 0, FaultMemory
	}
	return p, FaultNone
}

// page finds the page at va for a copy by the kernel, with what the program itself may do there. Device registers
// are no memory to copy.
func (s *Space) page(va uint64, need Prot) (mem.Phys, bool) {
	if va >= UserEnd {
		return 0, false
	}
	e := s.entry(va)
	if e == nil || *e&pteUser == 0 || !e.allows(need) {
		if s.Touch(va, need) != FaultNone {
			return 0, false
		}
		e = s.entry(va)
	}
	p := e.phys()
	return p, mem.Contains(p)
}

// Load is user.Memory's.
func (s *Space) Load(b []byte, va uint64) int {
	n := 0
	for n < len(b) {
		p, ok := s.page(va, Read)
		if !ok {
			break
		}
		k := copy(b[n:], mem.Bytes(p)[va%mem.PageSize:])
		n += k
		va += uint64(k)
	}
	return n
}

// Store is user.Memory's.
func (s *Space) Store(va uint64, b []byte) int {
	n := 0
	for n < len(b) {
		p, ok := s.page(va, Write)
		if !ok {
			break
		}
		k := copy(mem.Bytes(p)[va%mem.PageSize:], b[n:])
		n += k
		va += uint64(k)
	}
	return n
}
