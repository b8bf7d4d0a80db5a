package file

import (
	"unsafe"

	"nexus/source/kernel/neuron/internal/mem"
)

// leafAt views a page that this package owns as a part of a descriptor table; the page is zeroed, which is an empty leaf.
func leafAt(p mem.Phys) *leaf { return (*leaf)(unsafe.Pointer(mem.Bytes(p))) }
