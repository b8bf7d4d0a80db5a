package qtest

import (
	"strconv"
	"sync"
)

// Window is the register window of one virtio-mmio slot. The interface it
// serves knows no errors: the first one is kept, and reads give 0 from then on.
type Window struct {
	machine *Machine
	base    uint64

	mu  sync.Mutex
	err error
}

// Window gives slot n's window, `virtio-mmio-bus.n`.
func (m *Machine) Window(n int) *Window {
	return &Window{machine: m, base: slotBase + slotStride*uint64(n)}
}

// Base gives the window's address.
func (w *Window) Base() uint64 { return w.base }

// Err gives the first error of any access.
func (w *Window) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

func (w *Window) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
}

func (w *Window) read(command string, off int) uint32 {
	answer, err := w.machine.Command("%s %#x", command, w.base+uint64(off))
	if err != nil {
		w.fail(err)
		return 0
	}
	v, err := strconv.ParseUint(answer, 0, 64)
	if err != nil {
		w.fail(err)
		return 0
	}
	return uint32(v)
}

// Read8 reads one byte.
func (w *Window) Read8(off int) uint8 { return uint8(w.read("readb", off)) }

// Read16 reads two bytes.
func (w *Window) Read16(off int) uint16 { return uint16(w.read("readw", off)) }

// Read32 reads four bytes.
func (w *Window) Read32(off int) uint32 { return w.read("readl", off) }

// Write32 writes four bytes.
func (w *Window) Write32(off int, v uint32) {
	if _, err := w.machine.Command("writel %#x %#x", w.base+uint64(off), v); err != nil {
		w.fail(err)
	}
}
