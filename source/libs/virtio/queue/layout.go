package queue

import (
	"errors"
	"fmt"

	"nexus/source/libs/virtio"
	"nexus/source/libs/virtio/dma"
)

// MaxSize is the largest split queue there is, 2.7.
const MaxSize = 1 << 15

// Sizes and offsets of the three parts, 2.7 to 2.7.8. All numbers are little-endian.
const (
	descriptorSize = 16 // 2.7.5: u64 address, u32 length, u16 flags, u16 next
	ringFlags      = 0  // u16, in both rings
	ringIndex      = 2  // u16, in both rings
	availEntries   = 4  // u16 each, then u16 used_event
	usedEntries    = 4  // u32 id, u32 length each, then u16 avail_event
	usedEntrySize  = 8

	partAlign = 64 // more than 2.7 asks for: no two parts share a cache line
)

// Descriptor flags, 2.7.5.
const (
	flagNext  = 1
	flagWrite = 2
)

const (
	availNoInterrupt = 1 // 2.7.6, in the avail ring's flags
	usedNoNotify     = 1 // 2.7.8, in the used ring's flags
)

// Errors of New.
var (
	ErrSize   = errors.New("queue: size is not a power of two from 1 to 32768")
	ErrMemory = errors.New("queue: memory is too small or not aligned to 64 bytes")
)

func validSize(size int) bool {
	return 0 < size && size <= MaxSize && size&(size-1) == 0
}

// layout holds the offsets of the parts of a queue of one size.
type layout struct {
	avail, used, end int
}

func layoutOf(size int) layout {
	avail := roundUp(size * descriptorSize)
	used := avail + roundUp(availEntries+2*size+2)
	return layout{avail: avail, used: used, end: used + roundUp(usedEntries+usedEntrySize*size+2)}
}

func roundUp(n int) int { return (n + partAlign - 1) &^ (partAlign - 1) }

// Bytes gives the memory that a queue of size entries takes: a multiple of 64.
func Bytes(size int) int { return layoutOf(size).end }

// rings gives the addresses of the parts for Transport.SetupQueue.
func (l layout) rings(base dma.Addr, size int) virtio.Rings {
	return virtio.Rings{
		Size:        size,
		Descriptors: base,
		Avail:       base + dma.Addr(l.avail),
		Used:        base + dma.Addr(l.used),
	}
}

func checkMemory(mem dma.Region, size int) error {
	if !validSize(size) {
		return fmt.Errorf("%w: %d", ErrSize, size)
	}
	if len(mem.Bytes) < Bytes(size) || !mem.Aligned(partAlign) {
		return fmt.Errorf("%w: %d bytes at %#x for %d entries", ErrMemory, len(mem.Bytes), uint64(mem.Base), size)
	}
	return nil
}
