// Package slot is what a driver has of its virtio-mmio slot: the register window and the interrupt that nexus-init handed it.
package slot

import (
	"nexus/source/libs/irq"
	"nexus/source/libs/svc"
	"nexus/source/libs/virtio"
	"nexus/source/libs/virtio/mmio"
)

// Slot is a virtio-mmio slot.
type Slot struct {
	Window    virtio.Window
	Base      uint64 // the window's physical address, to be shown
	Interrupt irq.Line
	Number    uint64 // the interrupt's number, to be shown
}

// Open opens the slot of the descriptors window and irq.
func Open(s *svc.Service) (Slot, error) {
	window, err := s.Descriptor("window")
	if err != nil {
		return Slot{}, err
	}
	w, err := mmio.Map(window, virtio.WindowSize)
	if err != nil {
		return Slot{}, err
	}
	line, err := s.Descriptor("irq")
	if err != nil {
		return Slot{}, err
	}
	slot := Slot{Window: w, Base: w.Base()}
	slot.Interrupt, slot.Number, err = irq.Open(line)
	return slot, err
}
