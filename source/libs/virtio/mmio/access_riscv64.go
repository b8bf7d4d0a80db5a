package mmio

// Implemented in access_riscv64.s.

//go:noescape
func read8(p *uint8) uint8

//go:noescape
func read16(p *uint16) uint16

//go:noescape
func read32(p *uint32) uint32

//go:noescape
func write32(p *uint32, v uint32)
