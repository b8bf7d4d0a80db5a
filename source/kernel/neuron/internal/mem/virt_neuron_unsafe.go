//go:build neuron

package mem

// PhysmapBase is where physical address 0 appears in the kernel's half of every address space (kernel-facts: VA = PA + this).
const PhysmapBase = 0xffffffc000000000

func virt(p Phys) uintptr { return uintptr(p) + PhysmapBase }

// PhysOf is the physical address of a kernel address.
func PhysOf(va uintptr) Phys { return Phys(va - PhysmapBase) }
