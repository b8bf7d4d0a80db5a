package main

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// kept holds what address handed out, so that it lies in the heap and stays there: this program makes few such calls.
var kept []any

// address gives a system call a pointer. The kernel writes within the pointed-to value; the caller says so by v's type.
func address[T any](v *T) uintptr {
	kept = append(kept, v)
	return uintptr(unsafe.Pointer(v))
}

// raw makes a system call that the library has no function for, or whose arguments it would refuse.
func raw(number uintptr, args ...uintptr) (int, error) {
	r, err := rawAddress(number, args...)
	return int(r), err
}

// rawAddress is raw for calls that return an address.
func rawAddress(number uintptr, args ...uintptr) (uintptr, error) {
	var a [6]uintptr
	copy(a[:], args)
	r, _, errno := unix.Syscall6(number, a[0], a[1], a[2], a[3], a[4], a[5])
	if errno != 0 {
		return ^uintptr(0), errno
	}
	return r, nil
}

// bytesAt views memory that mmap returned; the caller has mapped length bytes there, or wants the fault.
func bytesAt(at uintptr, length int) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(nil), at)), length)
}
