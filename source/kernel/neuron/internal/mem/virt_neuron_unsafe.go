//go:build neuron

package mem

import "unsafe"

// PhysmapBase is where physical address 0 appears in the kernel's half of every address space (kernel-facts: VA = PA + this).
const PhysmapBase = 0xffffffc000000000

// virt lies in the physmap, which covers all of RAM for as long as the kernel runs.
func virt(p Phys) unsafe.Pointer { return unsafe.Pointer(uintptr(p) + PhysmapBase) }

// PhysOf is the physical address of a kernel address.
func PhysOf(va uintptr) Phys { return Phys(va - PhysmapBase) }
