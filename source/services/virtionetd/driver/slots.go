package driver

import (
	"nexus/source/libs/frameq"
	"nexus/source/libs/virtio/netdev"
)

// The frame pool is divided once and for all: slots to receive into, slots for
// frames of net.capnp's send, slots lent to the stack for sending.
const (
	rxSlots   = 256
	sendSlots = 8

	firstSend  = frameq.Slot(rxSlots)
	firstStack = frameq.Slot(rxSlots + sendSlots)
	stackSlots = frameq.Slots - rxSlots - sendSlots
)

// rxBuffer is the length of a receive buffer: from the header, which ends where
// the frame begins, to the end of the slot.
const (
	headerOffset = frameq.FrameOffset - netdev.HeaderSize
	rxBuffer     = frameq.SlotSize - headerOffset
)

// rxOffset gives the place of slot's receive buffer in the pool.
func rxOffset(slot frameq.Slot) int { return int(slot)*frameq.SlotSize + headerOffset }

// frameOffset gives the place of slot's frame in the pool.
func frameOffset(slot frameq.Slot) int { return int(slot)*frameq.SlotSize + frameq.FrameOffset }

// slotAt gives the slot that byte off of the pool lies in.
func slotAt(off int) frameq.Slot { return frameq.Slot(off / frameq.SlotSize) }

// place says where a slot is.
type place uint8

const (
	here       place = iota // with the driver, idle
	withDevice              // posted to the device
	withStack               // lent to the stack
)
