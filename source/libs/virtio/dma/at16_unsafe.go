//go:build riscv64

package dma

import "unsafe"

// at16 gives the half word at byte off of b; the slice expression proves the
// bounds, the callers of this package guarantee the alignment.
func at16(b []byte, off int) *uint16 {
	return (*uint16)(unsafe.Pointer(unsafe.SliceData(b[off : off+2])))
}
