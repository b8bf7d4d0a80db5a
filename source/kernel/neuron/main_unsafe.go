//go:build neuron

package main

import (
	"unsafe"

	"nexus/source/kernel/neuron/internal/mem"
)

// stackAndG are the boot hart's kernel stack and fake goroutine: package variables, which never move.
func stackAndG() (stack, g uintptr) {
	return uintptr(unsafe.Pointer(&bootStack)) + stackRoom, uintptr(unsafe.Pointer(&bootG))
}

// bootGuard is the page at the low end of bootStack.
func bootGuard() uintptr {
	return (uintptr(unsafe.Pointer(&bootStack)) + mem.PageSize - 1) &^ (mem.PageSize - 1)
}

// kernelAddress is where a device's registers appear to the kernel.
func kernelAddress(p mem.Phys) uintptr { return uintptr(p) + mem.PhysmapBase }

// physical is where a variable of the kernel, or its code, lies.
func physical(at uintptr) mem.Phys { return mem.Phys(at - mem.PhysmapBase) }

// headerWord is a number of the image's header, which tools/mkkernel writes (Linux's boot image header, and what follows it of neuron's
// own); the image begins at the load address, one page below the text.
func headerWord(offset uintptr) mem.Phys {
	return mem.Phys(*(*uint64)(unsafe.Pointer(uintptr(loadAddress) + mem.PhysmapBase + offset)))
}

// The first address behind the text, behind the read-only data, and behind the image and its zeroed data. The former two are on
// page borders.
func textEnd() mem.Phys   { return loadAddress + headerWord(64) }
func rodataEnd() mem.Phys { return loadAddress + headerWord(72) }
func imageEnd() mem.Phys  { return loadAddress + headerWord(16) }

// loadAddress is where QEMU's virt loads a kernel for OpenSBI.
const loadAddress mem.Phys = 0x80200000
