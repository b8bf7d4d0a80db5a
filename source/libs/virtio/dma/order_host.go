//go:build !riscv64

package dma

import "sync/atomic"

// On a host the other side is a fake device or QEMU: threads of the same
// machine, on ordinary memory. There Go's atomics are right, and the race
// detector understands them. They know no 16 bits, so a u16 is a half of the
// aligned u32 around it; hosts are little-endian.

func load16(b []byte, off int) uint16 {
	return uint16(load32(at32(b, off&^3)) >> ((off & 2) * 8))
}

func store16(b []byte, off int, v uint16) {
	word, shift := at32(b, off&^3), (off&2)*8
	for {
		old := atomic.LoadUint32(word)
		if atomic.CompareAndSwapUint32(word, old, old&^(0xffff<<shift)|uint32(v)<<shift) {
			return
		}
	}
}

func load32(p *uint32) uint32 { return atomic.LoadUint32(p) }

var fenced atomic.Uint32

func fence() { fenced.Add(1) }
