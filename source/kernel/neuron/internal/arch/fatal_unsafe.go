//go:build neuron

package arch

import "unsafe"

// FatalGuard is the page at the low end of the fatal path's stack: a package variable, which never moves.
func FatalGuard() uintptr { return (uintptr(unsafe.Pointer(&fatalStack)) + 4095) &^ 4095 }
