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
	// pteOwn is one of the bits left to software (RSW). The page is the space's own: anonymous, or a private copy, and
	// counted once, for this entry. Without it the page is an object's, and only a shared mapping may be written to.
	pteOwn
)

// leafPTE is the entry of page p for prot.
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
	if prot == 0 {
		// An entry without R, W and X would point at a table: the page is kept, and out of reach, by U=0.
		e = e&^pteUser | pteRead
	}
	return e
}

func (e pte) phys() mem.Phys { return mem.Phys(e>>10) << mem.PageShift }

func (e pte) allows(need Prot) bool {
	return e&pteUser != 0 &&
		(need&Read == 0 || e&pteRead != 0) &&
		(need&Write == 0 || e&pteWrite != 0) &&
		(need&Exec == 0 || e&pteExec != 0)
}

const (
	entries  = 512
	userHalf = entries / 2
)

type table [entries]pte

func index(va uint64, level int) uint64 { return va >> (mem.PageShift + 9*level) % entries }

// entry finds the leaf entry of va, or nil where no table is.
func (s *Space) entry(va uint64) *pte {
	r := tableAt(s.root)[index(va, 2)]
	if r&pteValid == 0 {
		return nil
	}
	m := tableAt(r.phys())[index(va, 1)]
	if m&pteValid == 0 {
		return nil
	}
	return &tableAt(m.phys())[index(va, 0)]
}

// leaf is the table of the leaf entry of va. Missing tables are added; ok is false if memory is used up. Invariant: a table has
// at least one valid entry, and its page's note says how many (of the root's, nobody counts them).
func (s *Space) leaf(va uint64) (t mem.Phys, ok bool) {
	t = s.root
	for level := 2; level > 0; level-- {
		e := &tableAt(t)[index(va, level)]
		if *e&pteValid == 0 {
			p, ok := mem.Alloc()
			if !ok {
				s.prune(va)
				arch.FlushTLB() // the processor may know a table that went
				return 0, false
			}
			s.tables++
			*e = pte(p>>mem.PageShift)<<10 | pteValid
			if t != s.root {
				*mem.Note(t)++
			}
		}
		t = e.phys()
	}
	return t, true
}

// set makes e the entry of va in t, its table.
func (s *Space) set(t mem.Phys, va uint64, e pte) {
	place := &tableAt(t)[index(va, 0)]
	if *place&pteValid != 0 {
		s.drop(*place)
	} else {
		*mem.Note(t)++
	}
	*place = e
	if e&pteOwn != 0 {
		s.resident++
		s.peak = max(s.peak, s.resident)
	} else {
		s.shared++
	}
}

// drop gives back the page of a leaf entry.
func (s *Space) drop(e pte) {
	p := e.phys()
	if e&pteOwn != 0 {
		if mem.Refs(p) != 1 {
			panic("vm: a page of a space's own is counted elsewhere too")
		}
		s.resident--
	} else {
		s.shared--
	}
	mem.Free(p)
}

// prune frees the tables that lead to va and have no entry. The processor may know them until the next FlushTLB.
func (s *Space) prune(va uint64) {
	r := &tableAt(s.root)[index(va, 2)]
	if *r&pteValid == 0 {
		return
	}
	m := &tableAt(r.phys())[index(va, 1)]
	if *m&pteValid != 0 && s.freeTable(m) {
		*mem.Note(r.phys())--
	}
	s.freeTable(r)
}

// freeTable frees the table that *e points at, if it has no entry.
func (s *Space) freeTable(e *pte) bool {
	if *mem.Note(e.phys()) != 0 {
		return false
	}
	mem.Free(e.phys())
	*e = 0
	s.tables--
	return true
}

// A walk goes upwards over the leaf tables of a range. What is not there costs little: a missing table is one entry looked
// at, however much it would map. When its work is used up it stops, wherever it is.
type walk struct {
	at, end uint64   // what is left of the range
	table   mem.Phys // that at is in, and where its part of the range ends
	stop    uint64
	work    int // that may still be done
}

// pieceWork is what a piece of a long call may do, in entries looked at: about 200,000 instructions. Tests have smaller pieces.
var pieceWork = 1 << 14

// What a page or an area that goes counts for, and a table that is gone through.
const (
	pageWork  = 12
	tableWork = 24
	areaWork  = 16
)

// next goes on to the table that is next, and reports whether there is one, and work for it.
func (s *Space) next(w *walk) bool {
	for w.at < w.end && w.work > 0 {
		w.work--
		r := tableAt(s.root)[index(w.at, 2)]
		if r&pteValid == 0 {
			w.at = min((w.at|(1<<30-1))+1, w.end)
			continue
		}
		w.stop = min((w.at|(1<<21-1))+1, w.end)
		if m := tableAt(r.phys())[index(w.at, 1)]; m&pteValid != 0 {
			w.table = m.phys()
			return true
		}
		w.at = w.stop
	}
	return false
}

// clear drops every page mapped in w's range, and the tables that nothing is in then. It reports whether there was one: then the
// processor may know what went, until FlushTLB.
func (s *Space) clear(w *walk) (any bool) {
	for s.next(w) {
		t, left := tableAt(w.table), mem.Note(w.table)
		va := w.at
		for ; w.at < w.stop && w.work > 0 && *left > 0; w.at += mem.PageSize {
			w.work--
			if e := &t[index(w.at, 0)]; *e&pteValid != 0 {
				w.work -= pageWork
				s.drop(*e)
				*e = 0
				*left--
				any = true
			}
		}
		if w.work -= tableWork; *left == 0 {
			s.prune(va)
			w.at = w.stop
		}
	}
	return any
}

// reprotect brings every entry in w's range in line with what its area is now.
func (s *Space) reprotect(w *walk) {
	a := s.first
	for s.next(w) {
		t, left := tableAt(w.table), *mem.Note(w.table)
		for ; w.at < w.stop && w.work > 0 && left > 0; w.at += mem.PageSize {
			w.work--
			e := &t[index(w.at, 0)]
			if *e&pteValid == 0 {
				continue
			}
			w.work--
			left--
			for a != nil && a.End <= w.at {
				a = a.next
			}
			if a == nil || a.Start > w.at {
				panic("vm: a page mapped where no area is")
			}
			*e = a.entry(e.phys(), *e&pteOwn)
		}
		if w.work -= tableWork; left == 0 {
			w.at = w.stop
		}
	}
}

// freeRoot gives the last table back.
func (s *Space) freeRoot() {
	for _, e := range tableAt(s.root)[:userHalf] {
		if e&pteValid != 0 {
			panic("vm: a space went, and a page is mapped where no area was")
		}
	}
	mem.Free(s.root)
	s.root, s.tables = 0, 0
}

func satp(root mem.Phys, asid uint16) uint64 {
	return arch.SatpSv39 | uint64(asid)<<arch.SatpASIDShift | uint64(root>>mem.PageShift)
}

// Active reports whether s is the hart's address space.
func (s *Space) Active(h *arch.Hart) bool { return h.Satp == satp(s.root, s.asid) }

// Activate makes s the hart's address space. A write to satp is dear (QEMU forgets all translations), so an
// unchanged one is not written.
func (s *Space) Activate(h *arch.Hart) {
	if !s.Active(h) {
		h.Satp = satp(s.root, s.asid)
		arch.WriteSatp(h.Satp)
		if s.asid == 0 {
			arch.FlushTLB() // what others that share the id left
		}
	}
}

// leave puts the hart on the kernel's table if it is on s, which is about to go.
func (s *Space) leave(h *arch.Hart) {
	if s.Active(h) {
		h.Satp = satp(kernelRoot, 0)
		arch.WriteSatp(h.Satp)
	}
	arch.FlushTLB() // the number asid may serve another space next
}
