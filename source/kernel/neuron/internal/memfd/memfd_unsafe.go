package memfd

import (
	"unsafe"

	"nexus/source/kernel/neuron/internal/mem"
)

// nodeAt views a page that this package owns as a node; the page was zeroed, which is an empty node.
func nodeAt(p mem.Phys) *node { return (*node)(unsafe.Pointer(mem.Bytes(p))) }
