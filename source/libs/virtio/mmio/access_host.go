//go:build !riscv64

package mmio

// No device register is mapped on a host: these serve tests over plain memory.

func read8(p *uint8) uint8        { return *p }
func read16(p *uint16) uint16     { return *p }
func read32(p *uint32) uint32     { return *p }
func write32(p *uint32, v uint32) { *p = v }
