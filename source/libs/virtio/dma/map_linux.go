package dma

import (
	"encoding/binary"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Map maps the DMA memory of size bytes behind f, a descriptor of the device
// directory's `dma` (docs/architecture/07-contracts-map.md): pread of 8 bytes at 0
// gives its address for the device. The mapping stays when f is closed.
func Map(f *os.File, size int) (Region, error) {
	var base [8]byte
	if _, err := f.ReadAt(base[:], 0); err != nil {
		return Region{}, fmt.Errorf("dma: address of %s: %w", f.Name(), err)
	}
	b, err := MapShared(f, size)
	if err != nil {
		return Region{}, err
	}
	return Region{Bytes: b, Base: Addr(binary.LittleEndian.Uint64(base[:]))}, nil
}

// MapShared maps the first size bytes of f, shared, readable and writable.
func MapShared(f *os.File, size int) ([]byte, error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("dma: map %s: %w", f.Name(), err)
	}
	var b []byte
	var mapErr error
	err = conn.Control(func(fd uintptr) {
		b, mapErr = unix.Mmap(int(fd), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	})
	if err == nil {
		err = mapErr
	}
	if err != nil {
		return nil, fmt.Errorf("dma: map %d bytes of %s: %w", size, f.Name(), err)
	}
	return b, nil
}
