package unixsock

import (
	"unsafe"

	"nexus/source/kernel/neuron/internal/mem"
)

// segmentAt views a page that a queue owns as a segment, which is exactly a page.
func segmentAt(p mem.Phys) *segment { return (*segment)(unsafe.Pointer(mem.Bytes(p))) }
