package frameq

import (
	"sync/atomic"
	"unsafe"
)

// aligned reports whether b starts at a multiple of 8.
func aligned(b []byte) bool {
	return uintptr(unsafe.Pointer(unsafe.SliceData(b)))%8 == 0 // only the address's value is used
}

// word32 gives the shared u32 at byte off of b.
func word32(b []byte, off int) *atomic.Uint32 {
	// checkMemory guarantees the alignment and the caller a constant off that is a
	// multiple of 4; the slice expression proves the bounds.
	return (*atomic.Uint32)(unsafe.Pointer(unsafe.SliceData(b[off : off+4])))
}

// word64 gives the shared u64 at byte off of b.
func word64(b []byte, off int) *atomic.Uint64 {
	// checkMemory guarantees the alignment and the caller a constant off that is a
	// multiple of 8; the slice expression proves the bounds.
	return (*atomic.Uint64)(unsafe.Pointer(unsafe.SliceData(b[off : off+8])))
}

// ringAt gives the ring of Slots entries at byte off of b.
func ringAt(b []byte, off int) *[Slots]atomic.Uint64 {
	// checkMemory guarantees the alignment and the caller a constant off that is a
	// multiple of 8; the slice expression proves the bounds.
	return (*[Slots]atomic.Uint64)(unsafe.Pointer(unsafe.SliceData(b[off : off+ringSize])))
}
