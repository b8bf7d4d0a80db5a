package frameq

import (
	"errors"
	"fmt"
)

// Queue memory. Words are in the byte order of the machine: both sides run on it.
//
//	0     u64 magic
//	64    rx-filled: producer line 64 bytes, consumer line 64 bytes
//	192   rx-free
//	320   tx-filled
//	448   tx-free
//	4096  four rings of Slots entries of 8 bytes, in the same order
//
// Producer line: u32 producer index @0. Consumer line: u32 consumer index @0,
// u64 wake-up word @8. Indices run freely and wrap at 2^32.
//
// An entry is one u64, so that it is never seen half written: slot in bits
// 0-15, offset of the frame in the slot in 16-31, its length in 32-47, zero
// above.
//
// Wake-up word: bit 32 says that the consumer sleeps, bits 0-31 are the producer
// index at which it wants the bell.
const (
	queueMagic  = 0x3130_5145_4d52_4651 // "QFRMEQ01"
	controlSize = 4096
	lineSize    = 64
	entrySize   = 8
	ringSize    = Slots * entrySize

	consumerLine = lineSize
	wakeWord     = lineSize + 8

	armed = 1 << 32
)

// Position of each queue in the queue memory.
const (
	rxFilled = iota
	rxFree
	txFilled
	txFree
)

// Errors of Create and Attach.
var (
	ErrPoolSize  = errors.New("frameq: frame pool has the wrong size")
	ErrQueueSize = errors.New("frameq: queue memory has the wrong size")
	ErrAlign     = errors.New("frameq: memory is not aligned to 8 bytes")
	ErrMagic     = errors.New("frameq: queue memory was not made by this version's driver")
)

func checkMemory(pool, queue []byte) error {
	if len(pool) != PoolSize {
		return fmt.Errorf("%w: %d bytes, want %d", ErrPoolSize, len(pool), PoolSize)
	}
	if len(queue) != QueueSize {
		return fmt.Errorf("%w: %d bytes, want %d", ErrQueueSize, len(queue), QueueSize)
	}
	if !aligned(queue) {
		return ErrAlign
	}
	return nil
}

// entry is one queue entry as it lies in shared memory.
type entry uint64

func makeEntry(slot Slot, offset, length int) entry {
	return entry(slot) | entry(uint16(offset))<<16 | entry(uint16(length))<<32
}

func (e entry) slot() Slot       { return Slot(e) }
func (e entry) offset() int      { return int(uint16(e >> 16)) }
func (e entry) length() int      { return int(uint16(e >> 32)) }
func (e entry) reserved() uint16 { return uint16(e >> 48) }
