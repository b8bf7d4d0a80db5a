package dma

func load16(b []byte, off int) uint16     { return loadAcquire16(at16(b, off)) }
func store16(b []byte, off int, v uint16) { storeRelease16(at16(b, off), v) }

// Implemented in order_riscv64.s.

//go:noescape
func loadAcquire16(p *uint16) uint16

//go:noescape
func storeRelease16(p *uint16, v uint16)

//go:noescape
func load32(p *uint32) uint32

func fence()
