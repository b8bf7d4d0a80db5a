package queue

import "unsafe"

// descriptor is one entry of the descriptor table, 2.7.5. It is written by the
// driver only and never read back. Every platform we build for is little-endian.
type descriptor struct {
	address uint64
	length  uint32
	flags   uint16
	next    uint16
}

// descriptorsOf views b as a table of size descriptors. New guarantees the length and the
// alignment of b.
func descriptorsOf(b []byte, size int) []descriptor {
	return unsafe.Slice((*descriptor)(unsafe.Pointer(unsafe.SliceData(b))), size)
}

// availOf views b as the size heads of the avail ring. New guarantees the length and the
// alignment of b.
func availOf(b []byte, size int) []uint16 {
	return unsafe.Slice((*uint16)(unsafe.Pointer(unsafe.SliceData(b))), size)
}
