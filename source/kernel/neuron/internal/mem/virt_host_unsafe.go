//go:build !neuron

package mem

import "unsafe"

// arena stands for RAM on the host: physical address HostBase is its first byte.
var arena []byte

// HostBase is the physical address of the arena.
const HostBase Phys = 0x8000_0000

// InitHost gives tests n pages of RAM of which dma pages are for contiguous memory. It replaces what an earlier call gave.
func InitHost(n, dma int) {
	arena = make([]byte, (n+1)*PageSize)
	// Page aligned, as RAM is.
	skip := -uintptr(unsafe.Pointer(unsafe.SliceData(arena))) % PageSize
	arena = arena[skip:][:n*PageSize]
	Init(HostBase, HostBase+Phys(n*PageSize), uint64(dma*PageSize), nil)
}

// virt is an address inside the arena, which is kept alive by the package variable; an address outside panics.
func virt(p Phys) unsafe.Pointer { return unsafe.Pointer(&arena[p-HostBase]) }
