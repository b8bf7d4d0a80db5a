//go:build neuron

package main

import (
	"unsafe"

	"nexus/source/kernel/neuron/internal/mem"
)

// stackAndG are the boot hart's kernel stack and fake goroutine: package variables, which never move.
func stackAndG() (stack, g uintptr) {
	return uintptr(unsafe.Pointer(&bootStack)) + stackSize, uintptr(unsafe.Pointer(&bootG))
}

// kernelAddress is where a device's registers appear to the kernel.
func kernelAddress(p mem.Phys) uintptr { return uintptr(p) + mem.PhysmapBase }

// imageEnd is the first address behind the kernel's image and zeroed data. tools/mkkernel writes the size into the image's
// header (Linux's boot image header); the image begins at the load address, one page below the text.
func imageEnd() mem.Phys {
	base := uintptr(loadAddress) + mem.PhysmapBase
	return loadAddress + mem.Phys(*(*uint64)(unsafe.Pointer(base + 16)))
}

// loadAddress is where QEMU's virt loads a kernel for OpenSBI.
const loadAddress mem.Phys = 0x80200000
