// Package netdev is the virtio network device from the driver's side, virtio
// 1.2 clause 5.1: one receive queue and one transmit queue of whole Ethernet
// frames in buffers that the caller provides.
//
// It speaks four verbs: PostRx (provide a receive buffer), PopRx (it comes back with a frame),
// PostTx (provide a frame to send), PopTx (its buffer comes back). Nothing
// blocks, and nothing allocates after Open.
package netdev

import (
	"errors"
	"fmt"

	"nexus/source/libs/virtio"
	"nexus/source/libs/virtio/dma"
	"nexus/source/libs/virtio/queue"
)

const (
	// HeaderSize is the length of struct virtio_net_hdr with VERSION_1, 5.1.6:
	// num_buffers belongs to it whether or not buffers are merged.
	HeaderSize = 12
	// MinFrame is an Ethernet header without anything behind it.
	MinFrame = 14
	// MinRxBuffer is the least receive buffer without merged buffers, 5.1.6.3.1.
	MinRxBuffer = 1526

	ethernetHeader = 14
)

// Header of each frame, 5.1.6: u8 flags, u8 gso_type, then lengths and offsets that mean nothing
// without offloads, and num_buffers, which a receiver without merged buffers does not look at.
const (
	headerFlags = 0
	headerGSO   = 1

	flagNeedsChecksum = 1
)

// Queues, 5.1.2, and how many descriptors each has at most. A frame to send
// takes two: the header and the frame.
const (
	rxQueue = 0
	txQueue = 1

	rxSize = 256
	txSize = 512
)

// Errors of Open and of the verbs.
var (
	ErrMemory = errors.New("netdev: ring memory or receive buffer is too small")
	ErrFrame  = errors.New("netdev: frame is not of 14 bytes to MTU and header within the frame memory")
	ErrFull   = queue.ErrFull
	ErrBroken = queue.ErrBroken
)

// RingBytes is the ring memory that Open needs, aligned to 64 bytes.
var RingBytes = queue.Bytes(rxSize) + queue.Bytes(txSize) + HeaderSize

// Memory is what Open works with. All of it stays with the device until
// Close or Reset returned nil.
type Memory struct {
	Rings    dma.Region // RingBytes at least; only the driver and the device may reach it
	Frames   dma.Region // where receive buffers and frames lie
	RxBuffer int        // bytes of each receive buffer, header included
}

// Stats counts what the device did since Open, resets included.
type Stats struct {
	Rx, Tx queue.Stats

	RxFrames     uint64 // frames received
	RxShort      uint64 // buffers that came back with less than a header and an Ethernet header
	RxBadHeader  uint64 // frames that need a checksum or segmentation which nobody agreed on
	TxFrames     uint64 // frames sent
	ConfigEvents uint64 // configuration-change interrupts
	Resets       uint64 // times Reset brought the device up again
}

// Device is a network device. Its life: Open, PostRx for each buffer, Start; Reset
// and again PostRx and Start when it broke; Close. One goroutine may use it at a time.
type Device struct {
	transport *virtio.Transport
	memory    Memory
	header    dma.Region // the header of every frame sent: zero, and nobody writes it
	rx, tx    *queue.Queue
	features  virtio.Features
	config    config
	live      bool
	stats     Stats
}

// Open brings the network device behind w up, all but DRIVER_OK (5.1.5):
// receive buffers can be posted, nothing moves before Start. On an error the device is left
// reset or failed, and touches no memory.
//
// Errors: those of virtio.Probe, Begin, Negotiate and SetupQueue, ErrMemory, ErrNoMAC, ErrBadMAC.
func Open(w virtio.Window, m Memory) (*Device, error) {
	if len(m.Rings.Bytes) < RingBytes || m.RxBuffer < MinRxBuffer {
		return nil, ErrMemory
	}
	t, err := virtio.Probe(w, virtio.Net)
	if err != nil {
		return nil, err
	}
	d := &Device{transport: t, memory: m}
	if err := t.Begin(); err != nil {
		return nil, err
	}
	if err := d.prepare(); err != nil {
		t.Fail()
		return nil, err
	}
	return d, nil
}

// prepare negotiates and makes both queues, for the first time.
func (d *Device) prepare() error {
	wanted, config, err := choose(d.transport, d.memory.RxBuffer-HeaderSize-ethernetHeader)
	if err != nil {
		return err
	}
	if d.features, err = d.transport.Negotiate(wanted); err != nil {
		return err
	}
	d.config = config
	if d.rx, err = d.newQueue(rxQueue, rxSize, 0); err != nil {
		return fmt.Errorf("receive queue: %w", err)
	}
	if d.tx, err = d.newQueue(txQueue, txSize, queue.Bytes(rxSize)); err != nil {
		return fmt.Errorf("transmit queue: %w", err)
	}
	d.header, err = d.memory.Rings.Cut(queue.Bytes(rxSize)+queue.Bytes(txSize), HeaderSize)
	if err != nil {
		return err
	}
	clear(d.header.Bytes)
	return nil
}

// newQueue makes queue index with most entries, or as many as the device supports, at byte off of the ring memory.
func (d *Device) newQueue(index, most, off int) (*queue.Queue, error) {
	limit, err := d.transport.QueueMax(index)
	if err != nil {
		return nil, err
	}
	size := most
	for size > limit { // powers of two only, 2.7
		size /= 2
	}
	if size < 2 { // a frame to send takes two
		return nil, fmt.Errorf("%w: %d", virtio.ErrQueueSize, limit)
	}
	mem, err := d.memory.Rings.Cut(off, queue.Bytes(size))
	if err != nil {
		return nil, err
	}
	q, err := queue.New(mem, size)
	if err != nil {
		return nil, err
	}
	return q, d.transport.SetupQueue(index, q.Rings())
}

// Start makes the device live (DRIVER_OK) and hands it the buffers posted so far.
func (d *Device) Start() error {
	if err := d.transport.Start(); err != nil {
		return err
	}
	d.live = true
	d.Kick()
	return nil
}

// Reset brings the device up again after it broke, all but DRIVER_OK. Every buffer is the
// caller's again, and must be posted anew. MAC and MTU stay what they were. Errors as Open's; the
// device is then not live, and Reset may be tried again.
func (d *Device) Reset() error {
	d.live = false
	if err := d.transport.Begin(); err != nil {
		return err
	}
	// Only now may the rings be touched: the device has forgotten them (2.4.2).
	d.rx.Reset()
	d.tx.Reset()
	if err := d.again(); err != nil {
		d.transport.Fail()
		return err
	}
	d.stats.Resets++
	return nil
}

// again negotiates what was negotiated before and gives both queues back.
func (d *Device) again() error {
	got, err := d.transport.Negotiate(d.features)
	if err != nil {
		return err
	}
	if got != d.features {
		return fmt.Errorf("%w (offered %#x before, %#x after a reset)", virtio.ErrFeatures, uint64(d.features), uint64(got))
	}
	if err := d.transport.SetupQueue(rxQueue, d.rx.Rings()); err != nil {
		return err
	}
	return d.transport.SetupQueue(txQueue, d.tx.Rings())
}

// Close resets the device for good. After a nil return it touches no memory.
func (d *Device) Close() error {
	d.live = false
	return d.transport.Stop()
}

// MAC gives the device's address.
func (d *Device) MAC() MAC { return d.config.mac }

// MTU gives the largest IP packet, in bytes.
func (d *Device) MTU() int { return d.config.mtu }

// MaxFrame gives the longest frame that may be sent, in bytes.
func (d *Device) MaxFrame() int { return d.config.mtu + ethernetHeader }

// LinkUp reports whether the cable is in, as far as the device says.
func (d *Device) LinkUp() bool { return d.config.linkUp }

// Features gives the accepted feature bits.
func (d *Device) Features() virtio.Features { return d.features }

// Stats gives the counters.
func (d *Device) Stats() Stats {
	s := d.stats
	s.Rx, s.Tx = d.rx.Stats(), d.tx.Stats()
	return s
}

// Broken reports whether the device must be Reset: one of its queues broke.
func (d *Device) Broken() bool { return d.rx.Broken() || d.tx.Broken() }
