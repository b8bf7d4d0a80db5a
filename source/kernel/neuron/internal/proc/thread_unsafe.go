package proc

import (
	"unsafe"

	"nexus/source/kernel/neuron/internal/arch"
)

// threadOf is the thread whose registers c is. Every Context that reaches user mode is the first field of a Thread of the
// table.
func threadOf(c *arch.Context) *Thread { return (*Thread)(unsafe.Pointer(c)) }

// hartOf is the Hart that h is the first field of, as every arch.Hart is that a thread or a trap points at.
func hartOf(h *arch.Hart) *Hart { return (*Hart)(unsafe.Pointer(h)) }
