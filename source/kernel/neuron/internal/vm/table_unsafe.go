package vm

import (
	"unsafe"

	"nexus/source/kernel/neuron/internal/mem"
)

// tableAt views a page as a page table. Only pages that this package took for tables, and the kernel's own, come here.
func tableAt(p mem.Phys) *table { return (*table)(unsafe.Pointer(mem.Bytes(p))) }
