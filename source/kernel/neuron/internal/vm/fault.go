package vm

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/arch"
	"nexus/source/kernel/neuron/internal/file"
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
	if e := s.entry(va); e != nil && *e&pteValid != 0 {
		if now := a.entry(e.phys(), *e&pteOwn); now.allows(need) {
			// Another thread was first, the processor remembered what the entry was, or an mprotect has not come to it yet.
			*e = now
			arch.FlushTLB()
			return FaultNone
		}
		if *e&pteOwn != 0 || a.File == nil || a.Shared {
			panic("vm: a page that its area cannot have put there")
		}
	}
	return s.fill(a, va, need)
}

// fill gives page va of a, which is not there or has to be copied, its page.
func (s *Space) fill(a *Area, va uint64, need Prot) Fault {
	p, own, f := a.page(va, need)
	if f != FaultNone {
		return f
	}
	t, ok := s.leaf(va)
	if !ok {
		mem.Free(p)
		return FaultMemory
	}
	copied := tableAt(t)[index(va, 0)]&pteValid != 0
	s.set(t, va, a.entry(p, own))
	switch {
	case copied:
		arch.FlushTLB()
	case own == 0 && !a.Shared:
		s.fillAround(a, t, va)
	}
	if a.Prot&Exec != 0 {
		arch.FlushCode()
	}
	return FaultNone
}

// around is how many pages a fault on a file's page looks at: an aligned group, which lies in one table.
const around = 16

// fillAround maps the whole pages of a near va, whose table is t, that are not mapped yet: of a file that never changes, whose pages
// cost no memory. A program that begins touches hundreds of its file's pages, most of them beside each other, and a trap costs more than an entry.
func (s *Space) fillAround(a *Area, t mem.Phys, va uint64) {
	if a.File.Object.Mapping() != file.MapsConstant {
		return
	}
	group := va &^ (around*mem.PageSize - 1)
	start := max(group, a.Start)
	end := min(group+around*mem.PageSize, a.Start+a.Bytes&^(mem.PageSize-1))
	for at := start; at < end; at += mem.PageSize {
		if tableAt(t)[index(at, 0)]&pteValid != 0 {
			continue
		}
		p, err := a.object(at)
		if err != abi.OK {
			return
		}
		s.set(t, at, a.entry(p, 0))
	}
}

// object is the object's page at va of a, with a reference.
func (a *Area) object(va uint64) (mem.Phys, abi.Errno) {
	return a.File.Object.Map(a.Index+(va-a.Start)>>mem.PageShift, a.Shared && a.MayWrite)
}

// entry is how a maps page p. Permission to write comes from who has the page and from what the area may do, from nothing
// else: its own (pteOwn), or an object's in a shared area whose file was opened for it.
func (a *Area) entry(p mem.Phys, own pte) pte {
	prot := a.Prot
	if own == 0 && !(a.Shared && a.MayWrite) {
		prot &^= Write
	}
	return leafPTE(p, prot) | own
}

// page is the page to map at va of a, and pteOwn if that is the space's own: an object's as long as the area is shared, or the page
// whole and not written to; else a copy, or zeros.
func (a *Area) page(va uint64, need Prot) (mem.Phys, pte, Fault) {
	have := a.Bytes - min(a.Bytes, va-a.Start)
	switch {
	case a.File == nil, !a.Shared && have == 0 && a.Zeros:
		p, ok := mem.Alloc()
		if !ok {
			return 0, 0, FaultMemory
		}
		return p, pteOwn, FaultNone
	case !a.Shared && have == 0:
		return 0, 0, FaultBus
	}
	src, err := a.object(va)
	if err != abi.OK {
		return 0, 0, objectFault(err)
	}
	if a.Shared || have >= mem.PageSize && need&Write == 0 {
		return src, 0, FaultNone
	}
	p, ok := mem.AllocDirty()
	if ok {
		n := copy(mem.Bytes(p)[:], mem.Bytes(src)[:min(have, mem.PageSize)])
		clear(mem.Bytes(p)[n:])
	}
	mem.Free(src)
	if !ok {
		return 0, 0, FaultMemory
	}
	return p, pteOwn, FaultNone
}

func objectFault(err abi.Errno) Fault {
	if err == abi.ENOMEM {
		return FaultMemory
	}
	return FaultBus
}

// page finds the page at va for a copy by the kernel, with what the program itself may do there. Device registers
// are no memory to copy.
func (s *Space) page(va uint64, need Prot) (mem.Phys, bool) {
	if va >= UserEnd {
		return 0, false
	}
	e := s.entry(va)
	if e == nil || !e.allows(need) {
		if s.Touch(va, need) != FaultNone {
			return 0, false
		}
		e = s.entry(va)
	}
	p := e.phys()
	return p, mem.Contains(p)
}

// FaultIn has the page at va there for a copy by the kernel that follows, if it can be.
func (s *Space) FaultIn(va uint64, need Prot) {
	s.page(va, need)
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
