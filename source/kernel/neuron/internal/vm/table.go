// Package vm is the address spaces of programs: what is mapped where (areas), and the Sv39 tables through which the
// processor sees it. Memory comes lazily, page by page, at the first touch by the program or by a copy on its behalf.
package vm

import (
	"nexus/source/kernel/neuron/internal/arch"
	"nexus/source/kernel/neuron/internal/mem"
)

// pte is a page-table entry (privileged specification 1.12, §4.4.1).
type pte uint64

const (
	pteValid pte = 1 << iota
	pteRead
	pteWrite
	pteExec
	pteUser
	pteGlobal
	pteAccessed
	pteDirty
)

func leafPTE(p mem.Phys, prot Prot) pte {
	// A and D are set beforehand: the kernel does not page out and has no use for them.
	e := pte(p>>mem.PageShift)<<10 | pteValid | pteUser | pteAccessed | pteDirty
	if prot&Read != 0 {
		e |= pteRead
	}
	if prot&Write != 0 {
		e |= pteWrite
	}
	if prot&Exec != 0 {
		e |= pteExec
	}
	return e
}

func (e pte) phys() mem.Phys { return mem.Phys(e>>10) << mem.PageShift }

func (e pte) allows(need Prot) bool {
	return e&pteValid != 0 &&
		(need&Read == 0 || e&pteRead != 0) &&
		(need&Write == 0 || e&pteWrite != 0) &&
		(need&Exec == 0 || e&pteExec != 0)
}

const (
	entries  = 512
	userHalf = entries / 2
)

type table [entries]pte

func index(va uint64, level int) int { return int(va>>(mem.PageShift+9*level)) % entries }

// entry finds the leaf entry of va, or nil where no table is.
func (s *Space) entry(va uint64) *pte {
	t := tableAt(s.root)
	for level := 2; level > 0; level-- {
		e := t[index(va, level)]
		if e&pteValid == 0 {
			return nil
		}
		t = tableAt(e.phys())
	}
	return &t[index(va, 0)]
}

// makeEntry is entry that adds the missing tables; nil if memory is used up.
func (s *Space) makeEntry(va uint64) *pte {
	t := tableAt(s.root)
	for level := 2; level > 0; level-- {
		e := &t[index(va, level)]
		if *e&pteValid == 0 {
			p, ok := mem.Alloc()
			if !ok {
				return nil
			}
			s.tables++
			*e = pte(p>>mem.PageShift)<<10 | pteValid
		}
		t = tableAt(e.phys())
	}
	return &t[index(va, 0)]
}

// clearRange drops every page mapped from start to end, and reports whether there was one.
func (s *Space) clearRange(start, end uint64) (any bool) {
	for va := start; va < end; {
		e := s.entry(va)
		if e == nil {
			va = (va | (1<<21 - 1)) + 1 // no leaf table: on to the next
			continue
		}
		if *e&pteValid != 0 {
			s.drop(*e)
			*e = 0
			any = true
		}
		va += mem.PageSize
	}
	return any
}

func (s *Space) drop(e pte) {
	if p := e.phys(); mem.Refs(p) != 0 {
		s.resident--
		mem.Free(p)
	} else {
		s.shared--
	}
}

// freeTables gives the tables of the user half back. No page is mapped any more.
func (s *Space) freeTables() {
	root := tableAt(s.root)
	for i := range root[:userHalf] {
		if root[i]&pteValid == 0 {
			continue
		}
		middle := tableAt(root[i].phys())
		for j := range middle {
			if middle[j]&pteValid != 0 {
				mem.Free(middle[j].phys())
			}
		}
		mem.Free(root[i].phys())
	}
	mem.Free(s.root)
	s.root, s.tables = 0, 0
}

// kernelRoot is the table that the kernel started on; every space has its upper half.
var kernelRoot mem.Phys

// Init takes root as the kernel's own table, which is also the address space of no program.
func Init(root mem.Phys) {
	kernelRoot = root
	for i := range spaces {
		spaces[i] = Space{asid: uint16(i + 1)}
	}
}

func satp(root mem.Phys, asid uint16) uint64 {
	return arch.SatpSv39 | uint64(asid)<<arch.SatpASIDShift | uint64(root>>mem.PageShift)
}

// Activate makes s the hart's address space. A write to satp is dear (QEMU forgets all translations), so an
// unchanged one is not written.
func (s *Space) Activate(h *arch.Hart) {
	if v := satp(s.root, s.asid); h.Satp != v {
		h.Satp = v
		arch.WriteSatp(v)
	}
}

// leave puts the hart on the kernel's table if it is on s, which is about to go.
func (s *Space) leave(h *arch.Hart) {
	if h.Satp == satp(s.root, s.asid) {
		h.Satp = satp(kernelRoot, 0)
		arch.WriteSatp(h.Satp)
	}
	arch.FlushTLB() // the number asid may serve another space next
}
