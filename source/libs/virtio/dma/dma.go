// Package dma is memory that a device reads and writes too: bytes together with
// the address by which the device knows them, and the few accessors whose order the
// device sees.
//
// Such memory lies outside the Go heap. Bytes of it that belong to the device at the
// moment may change at any time; whoever reads them reads each once and believes nothing.
package dma

import (
	"errors"
	"fmt"
)

// Addr is an address as the device sees it. It is never a pointer.
type Addr uint64

// ErrBounds: a piece of a region would reach beyond the region.
var ErrBounds = errors.New("dma: out of the region")

// Region is a piece of DMA memory: contiguous for both sides.
type Region struct {
	Bytes []byte // as this process sees it
	Base  Addr   // address of Bytes[0] for the device
}

// Cut gives the n bytes at offset off of r. Error: ErrBounds.
func (r Region) Cut(off, n int) (Region, error) {
	if off < 0 || n < 0 || off > len(r.Bytes) || n > len(r.Bytes)-off {
		return Region{}, fmt.Errorf("%w: %d bytes at %d of %d", ErrBounds, n, off, len(r.Bytes))
	}
	return Region{Bytes: r.Bytes[off : off+n : off+n], Base: r.Base + Addr(off)}, nil
}
