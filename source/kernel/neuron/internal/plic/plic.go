// Package plic drives the platform-level interrupt controller (RISC-V PLIC specification 1.0.0).
//
// sync/atomic and plain pointers never touch its registers: a load of the claim register claims.
package plic

import "nexus/source/kernel/neuron/internal/arch"

// MaxSources bounds the interrupt numbers, 1 to MaxSources-1 (QEMU's virt has 96).
const MaxSources = 128

// Register offsets (chapters 4 to 8).
const (
	priority       = 0x0      // + 4 * source
	enable         = 0x2000   // + 0x80 * context + 4 * (source/32)
	enableStride   = 0x80     //
	threshold      = 0x200000 // + 0x1000 * context
	claim          = 0x200004
	contextStride  = 0x1000
	sourcesPerWord = 32
)

var controller struct {
	base    uintptr
	context uintptr
}

// Init takes the controller at kernel address base; context is the boot hart's supervisor mode. All sources start masked.
func Init(base uintptr, context int) {
	controller.base, controller.context = base, uintptr(context)
	for i := uintptr(0); i < MaxSources/sourcesPerWord; i++ {
		arch.Store32(base+enable+enableStride*controller.context+4*i, 0)
	}
	arch.Store32(base+threshold+contextStride*controller.context, 0)
}

func enableWord(source int) uintptr {
	return controller.base + enable + enableStride*controller.context + uintptr(source/sourcesPerWord)*4
}

// Unmask lets source interrupt, also if it is pending already. The priority comes last: QEMU 7.2 looks for what is pending when
// a priority is written, not when a source is enabled.
func Unmask(source int) {
	w := enableWord(source)
	arch.Store32(w, arch.Load32(w)|1<<(source%sourcesPerWord))
	arch.Store32(controller.base+priority+uintptr(source)*4, 1)
}

// Mask keeps source from interrupting.
func Mask(source int) {
	w := enableWord(source)
	arch.Store32(w, arch.Load32(w)&^(1<<(source%sourcesPerWord)))
}

// Claim takes the most urgent pending interrupt; 0 is none.
func Claim() int {
	return int(arch.Load32(controller.base + claim + contextStride*controller.context))
}

// Complete tells the controller that source was handled; it must still be unmasked.
func Complete(source int) {
	arch.Store32(controller.base+claim+contextStride*controller.context, uint32(source))
}
