package dma

import "unsafe"

// at32 gives the word at byte off of b; the slice expression proves the bounds, the callers of
// this package guarantee the alignment.
func at32(b []byte, off int) *uint32 {
	return (*uint32)(unsafe.Pointer(unsafe.SliceData(b[off : off+4])))
}

// Aligned reports whether both views of r start at a multiple of n, a power of two.
func (r Region) Aligned(n int) bool {
	p := uint64(uintptr(unsafe.Pointer(unsafe.SliceData(r.Bytes)))) // only the address's value is used
	return (p|uint64(r.Base))&uint64(n-1) == 0
}
