package proc

import (
	"unsafe"

	"nexus/source/kernel/neuron/internal/arch"
)

// threadOf is the thread whose registers c is. Every Context that reaches user mode is the first field of a Thread of the
// table.
func threadOf(c *arch.Context) *Thread { return (*Thread)(unsafe.Pointer(c)) }
