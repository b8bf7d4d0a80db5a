package vm

import (
	"nexus/source/kernel/neuron/internal/arch"
	"nexus/source/kernel/neuron/internal/mem"
)

// The kernel's half of every address space maps all of physical memory, readable and writable and never executable, a gigabyte an
// entry; what Restrict says otherwise of is mapped in smaller pieces. There is no second mapping of anything in it.
const kernelPage = pteValid | pteRead | pteWrite | pteGlobal | pteAccessed | pteDirty

// kernelRoot is the kernel's own table; every space has its upper half.
var kernelRoot mem.Phys

// guards are the pages below the kernel's stacks.
var guards [4]mem.Phys

// Init makes root, an empty page, the kernel's table, which is also the address space of no program. Id 0 is the kernel's, and shared
// by those spaces for which the hart has no id of their own.
func Init(root mem.Phys) {
	kernelRoot = root
	t := tableAt(root)
	for i := range userHalf {
		t[userHalf+i] = pte(i)<<(30-mem.PageShift+10) | kernelPage
	}
	for i := range spaces {
		spaces[i] = Space{}
		if id := uint64(i + 1); id <= arch.CPU.MaxASID {
			spaces[i].asid = uint16(id)
		}
	}
	dying.first, dying.grew = nil, false
}

// Restrict leaves the kernel only prot of the pages from start to end, before the first space is made. False if memory is used up.
func Restrict(start, end mem.Phys, prot Prot) bool {
	flags := pte(0)
	if prot != 0 {
		flags = kernelPage &^ (pteWrite | pteExec)
	}
	if prot&Write != 0 {
		flags |= pteWrite
	}
	if prot&Exec != 0 {
		flags |= pteExec
	}
	for p := start; p < end; {
		size := mem.Phys(1 << 30)
		e := &tableAt(kernelRoot)[userHalf+p/size]
		for e.table() || p%size != 0 || end-p < size {
			if !e.table() && !split(e, size) {
				return false
			}
			size /= entries
			e = &tableAt(e.phys())[p/size%entries]
		}
		*e = 0
		if flags != 0 {
			*e = pte(p>>mem.PageShift)<<10 | flags
		}
		p += size
	}
	return true
}

// table reports whether e points at a table.
func (e pte) table() bool { return e&(pteValid|pteRead|pteWrite|pteExec) == pteValid }

// split puts a table of smaller pieces with the same rights in place of leaf e, which maps size bytes.
func split(e *pte, size mem.Phys) bool {
	p, ok := mem.Alloc()
	if !ok {
		return false
	}
	t := tableAt(p)
	for i := range t {
		t[i] = *e + pte(mem.Phys(i)*(size/entries)>>mem.PageShift)<<10
	}
	*e = pte(p>>mem.PageShift)<<10 | pteValid
	return true
}

// Guard takes the page at p, below a kernel stack, out of the kernel's map.
func Guard(p mem.Phys) bool {
	for i := range guards {
		if guards[i] == 0 {
			guards[i] = p
			return Restrict(p, p+mem.PageSize, 0)
		}
	}
	return false
}

// Enter leaves the table that the kernel started on for its own.
func Enter(h *arch.Hart) {
	h.Satp = satp(kernelRoot, 0)
	arch.WriteSatp(h.Satp)
	arch.FlushTLB()
}

// KernelFault names what the kernel did with a trap of that cause at p of its map, if it is one of the things that the map forbids.
func KernelFault(cause uint64, p mem.Phys) string {
	if kernelRoot == 0 || p >= userHalf<<30 {
		return ""
	}
	for _, g := range guards {
		if g != 0 && p&^(mem.PageSize-1) == g {
			return "kernel stack overflow"
		}
	}
	size := mem.Phys(1 << 30)
	e := tableAt(kernelRoot)[userHalf+p/size]
	for e.table() {
		size /= entries
		e = tableAt(e.phys())[p/size%entries]
	}
	switch {
	case cause == arch.CauseStoreFault && e&(pteRead|pteWrite) == pteRead:
		return "store to read-only memory of the kernel"
	case cause == arch.CauseFetchFault && e&(pteRead|pteExec) == pteRead:
		return "execution of data"
	}
	return ""
}
