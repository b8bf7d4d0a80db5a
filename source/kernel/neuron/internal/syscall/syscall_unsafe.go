package syscall

import (
	"unsafe"

	"nexus/source/kernel/neuron/internal/abi"
)

// statBytes views st as the bytes that a program sees. The struct has the layout of the ABI, checked by a test.
func statBytes(st *abi.Stat) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(st)), unsafe.Sizeof(*st))
}
