//go:build riscv64

package main

import (
	"syscall"
	"unsafe"
)

// hasVector asks riscv_hwprobe, as a program should. The pair is alive and does not move during the call (rule 4 of package unsafe).
func hasVector() bool {
	pair := [2]uint64{4, 0}
	_, _, e := syscall.Syscall6(258, uintptr(unsafe.Pointer(&pair)), 1, 0, 0, 0, 0)
	return e == 0 && pair[0] == 4 && pair[1]&4 != 0
}
