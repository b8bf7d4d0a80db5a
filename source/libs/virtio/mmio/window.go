// Package mmio is a memory-mapped window of device registers.
//
// Every register is read and written by exactly one instruction of the width
// asked for, in program order: on the target by assembly, because the compiler
// may drop, merge or split what goes through Go pointers, and sync/atomic's
// instructions mean something else to a device.
package mmio

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"nexus/source/libs/virtio/dma"
)

// ErrWindow: the descriptor is no register window that can be used.
var ErrWindow = errors.New("mmio: no usable register window")

// maxSize bounds what Map maps; device windows are pages.
const maxSize = 1 << 24

// Window is a mapped register window.
type Window struct {
	bytes []byte
	base  uint64
}

// Map maps the window behind f, a `NODE/window` descriptor: st_size bytes of
// registers at the physical address st_ino. It must have at least need bytes.
func Map(f *os.File, need int) (*Window, error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrWindow, f.Name(), err)
	}
	var stat unix.Stat_t
	var statErr error
	if err := conn.Control(func(fd uintptr) { statErr = unix.Fstat(int(fd), &stat) }); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrWindow, f.Name(), err)
	}
	if statErr != nil {
		return nil, fmt.Errorf("%w: fstat of %s: %w", ErrWindow, f.Name(), statErr)
	}
	if stat.Size < int64(need) || stat.Size > maxSize {
		return nil, fmt.Errorf("%w: %s has %d bytes, want %d at least", ErrWindow, f.Name(), stat.Size, need)
	}
	b, err := dma.MapShared(f, int(stat.Size))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWindow, err)
	}
	return &Window{bytes: b, base: stat.Ino}, nil
}

// Base gives the window's physical address, for messages only.
func (w *Window) Base() uint64 { return w.base }

// Size gives the window's length in bytes.
func (w *Window) Size() int { return len(w.bytes) }

// Read8 reads the byte at off, which lies in the window.
func (w *Window) Read8(off int) uint8 { return read8(at8(w.bytes, off)) }

// Read16 reads the u16 at off, a multiple of 2 in the window.
func (w *Window) Read16(off int) uint16 { return read16(at16(w.bytes, off)) }

// Read32 reads the u32 at off, a multiple of 4 in the window.
func (w *Window) Read32(off int) uint32 { return read32(at32(w.bytes, off)) }

// Write32 writes the u32 at off, a multiple of 4 in the window.
func (w *Window) Write32(off int, v uint32) { write32(at32(w.bytes, off), v) }
