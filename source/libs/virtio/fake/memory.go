// Package fake is virtio-mmio devices in software, a network device and a console device, for tests. A device has its
// own mapping of the DMA memory and reaches it only by device address, as a real device does; it behaves as the standard
// asks, or wrongly in the way a test asks; and it writes down whatever the driver does against the
// standard.
package fake

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"nexus/source/libs/virtio/dma"
)

// Memory is DMA memory with two views: the driver's and the device's.
type Memory struct {
	file   *os.File
	driver dma.Region
	device []byte
}

// NewMemory makes size bytes of zeroed memory at device address base.
func NewMemory(base dma.Addr, size int) (*Memory, error) {
	fd, err := unix.MemfdCreate("dma", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), "dma")
	if err := f.Truncate(int64(size)); err != nil {
		return nil, err
	}
	driver, err := dma.MapShared(f, size)
	if err != nil {
		return nil, err
	}
	device, err := dma.MapShared(f, size)
	if err != nil {
		return nil, err
	}
	return &Memory{file: f, driver: dma.Region{Bytes: driver, Base: base}, device: device}, nil
}

// Region gives the driver's view.
func (m *Memory) Region() dma.Region { return m.driver }

// File gives the memfd behind both views.
func (m *Memory) File() *os.File { return m.file }

// Close unmaps both views. Nothing may use them any more.
func (m *Memory) Close() error {
	for _, b := range [][]byte{m.driver.Bytes, m.device} {
		if err := unix.Munmap(b); err != nil {
			return err
		}
	}
	return m.file.Close()
}

// at gives the device's view of n bytes at address a.
func (m *Memory) at(a dma.Addr, n int) ([]byte, error) {
	off := a - m.driver.Base
	if a < m.driver.Base || off > dma.Addr(len(m.device)) || n > len(m.device)-int(off) {
		return nil, fmt.Errorf("device was sent to %d bytes at %#x, outside its memory", n, uint64(a))
	}
	return m.device[off : int(off)+n : int(off)+n], nil
}
