package mmio

import "unsafe"

// at8, at16 and at32 give the register at byte off of a mapped window; the
// slice expression proves the bounds, mmap guarantees a page-aligned start and the callers
// constant offsets that are multiples of the width.

func at8(b []byte, off int) *uint8 {
	return (*uint8)(unsafe.Pointer(unsafe.SliceData(b[off : off+1])))
}

func at16(b []byte, off int) *uint16 {
	return (*uint16)(unsafe.Pointer(unsafe.SliceData(b[off : off+2])))
}

func at32(b []byte, off int) *uint32 {
	return (*uint32)(unsafe.Pointer(unsafe.SliceData(b[off : off+4])))
}
