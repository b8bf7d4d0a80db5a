// Package serialdev is the virtio console device from the driver's side, virtio 1.2 clause 5.3, with several ports
// (VIRTIO_CONSOLE_F_MULTIPORT): it finds the one port that is named PortName and moves bytes between it and the host that
// has it open.
//
// Pop gives what came (bytes, hosts that open and close), PostRx gives a receive buffer back, PostTx provides bytes to
// send, PopTx takes their buffers back. Nothing blocks, and nothing allocates after Open.
package serialdev

import (
	"fmt"

	"nexus/source/libs/virtio"
	"nexus/source/libs/virtio/dma"
	"nexus/source/libs/virtio/queue"
)

// PortName is the name of the port that is served: QEMU's -device virtserialport,name=nexus.control.
const PortName = "nexus.control"

// Stats counts what the device did since Open, resets included.
type Stats struct {
	Control, Rx, Tx queue.Stats // of both control queues, of all receive and of all transmit queues

	RxBytes, TxBytes uint64 // bytes received; bytes the device took
	RxEmpty          uint64 // receive buffers that came back with nothing
	RxNoHost         uint64 // receive buffers with bytes though no host had the port open
	Hosts            uint64 // hosts that opened the port

	Messages       uint64 // control messages received, the following included
	ControlShort   uint64 // that end before they should
	ControlLong    uint64 // that go on after their end
	ControlTooLong uint64 // that are longer than a buffer
	ControlEvent   uint64 // with an event that no device may send
	ControlPort    uint64 // of a port that is not there, cannot be, or is added twice
	ControlName    uint64 // with a name that is none, or is another than before
	ControlValue   uint64 // with a value that means nothing
	OtherPorts     uint64 // of ports that nobody serves
	Said           uint64 // control messages that the device took

	ControlDry   uint64 // times the device had no buffer left for control messages
	Removed      uint64 // times our port was removed
	Unfinished   uint64 // times the device kept bytes when their host had gone
	ConfigEvents uint64 // configuration-change interrupts
	Resets       uint64 // times Reset brought the device up again
}

// Device is a console device. Its life: Open, Start; Reset and Start again when it broke; Close. One goroutine may use
// it at a time.
//
// Invariant: with[i] is true exactly while receive buffer i is with the caller, posted[i] exactly while it is with the
// device; txBusy and controlBusy hold a bit for each transmit buffer and message with the device, controlIdle one for each
// control buffer that is not.
type Device struct {
	transport             *virtio.Transport
	memory                dma.Region
	features              virtio.Features
	maxPorts              uint32 // the device's, port 0 included
	served                int    // ports 1 to served have queues
	controlIn, controlOut *queue.Queue
	rxRings, txRings      [MaxPorts + 1]*queue.Queue // by port
	txMost                int                        // transmit buffers that every queue has room for
	live                  bool

	ports    [MaxPorts + 1]portState
	port     int  // ours, 0: not found yet
	readyDue bool // DEVICE_READY is to be sent

	controlIdle, controlBusy, txBusy uint32
	with, posted                     [RxBuffers]bool
	txLength                         [TxBuffers]uint16

	host   bool // a host has our port open
	told   bool // the caller knows of a host
	closed bool // that one has gone since
	last   int  // receive buffers that came before it went
	sorted bool // last is known

	lost  bool // only a reset can help, see Broken
	stats Stats
}

// Open brings the console device behind w up, all but DRIVER_OK (5.3.5); nothing moves before Start. memory is
// MemoryBytes at least, which only the driver and the device may reach, and stays with the device until Close or Reset
// returned nil. On an error the device is left reset or failed, and touches no memory.
//
// Errors: those of virtio.Probe, Begin, Negotiate and SetupQueue, ErrMemory, ErrNoPorts.
func Open(w virtio.Window, memory dma.Region) (*Device, error) {
	if len(memory.Bytes) < MemoryBytes {
		return nil, ErrMemory
	}
	t, err := virtio.Probe(w, virtio.Console)
	if err != nil {
		return nil, err
	}
	d := &Device{transport: t, memory: memory}
	if err := t.Begin(); err != nil {
		return nil, err
	}
	if err := d.prepare(); err != nil {
		t.Fail()
		return nil, err
	}
	return d, nil
}

// prepare negotiates and makes all queues, for the first time.
func (d *Device) prepare() error {
	wanted, maxPorts, err := choose(d.transport)
	if err != nil {
		return err
	}
	if d.features, err = d.transport.Negotiate(wanted); err != nil {
		return err
	}
	d.maxPorts, d.txMost = maxPorts, TxBuffers
	d.served = int(min(maxPorts-1, MaxPorts))
	if d.controlIn, err = d.newQueue(controlInQueue, controlSize, controlLeast, controlInAt); err != nil {
		return fmt.Errorf("control receive queue: %w", err)
	}
	if d.controlOut, err = d.newQueue(controlOutQueue, controlSize, 1, controlOutAt); err != nil {
		return fmt.Errorf("control transmit queue: %w", err)
	}
	for port := 1; port <= d.served; port++ {
		if d.rxRings[port], err = d.newQueue(rxQueueOf(port), rxSize, 1, rxRingAt(port)); err != nil {
			return fmt.Errorf("receive queue of port %d: %w", port, err)
		}
		if d.txRings[port], err = d.newQueue(txQueueOf(port), txSize, 1, txRingAt(port)); err != nil {
			return fmt.Errorf("transmit queue of port %d: %w", port, err)
		}
		d.txMost = min(d.txMost, d.txRings[port].Size())
	}
	d.forget()
	return nil
}

// newQueue makes queue index with most entries, or as many as the device supports but at least least, at byte off of the
// memory.
func (d *Device) newQueue(index, most, least, off int) (*queue.Queue, error) {
	limit, err := d.transport.QueueMax(index)
	if err != nil {
		return nil, err
	}
	size := most
	for size > limit { // powers of two only, 2.7
		size /= 2
	}
	if size < least {
		return nil, fmt.Errorf("%w: %d, at least %d wanted", virtio.ErrQueueSize, limit, least)
	}
	mem, err := d.memory.Cut(off, queue.Bytes(size))
	if err != nil {
		return nil, err
	}
	q, err := queue.New(mem, size)
	if err != nil {
		return nil, err
	}
	return q, d.transport.SetupQueue(index, q.Rings())
}

// forget makes everything as it is before a device said anything. Buffers with the caller stay there.
func (d *Device) forget() {
	d.ports, d.port, d.readyDue = [MaxPorts + 1]portState{}, 0, true
	d.controlIdle, d.controlBusy, d.txBusy = 1<<d.controlIn.Size()-1, 0, 0
	d.posted = [RxBuffers]bool{}
	d.last, d.sorted, d.lost = 0, false, false
	d.setHost(false)
}

// Start makes the device live (DRIVER_OK) and asks it for its ports.
func (d *Device) Start() error {
	if err := d.transport.Start(); err != nil {
		return err
	}
	d.live = true
	d.Kick()
	return nil
}

// Reset brings the device up again after it broke, all but DRIVER_OK. Bytes with the device are lost, and a host that
// had the port open has gone, which Pop tells; receive buffers with the caller stay there. Errors as Open's; the device
// is then not live, and Reset may be tried again.
func (d *Device) Reset() error {
	d.live = false
	d.setHost(false)
	if err := d.transport.Begin(); err != nil {
		return err
	}
	// Only now may the rings be touched: the device has forgotten them (2.4.2).
	d.controlIn.Reset()
	d.controlOut.Reset()
	for port := 1; port <= d.served; port++ {
		d.rxRings[port].Reset()
		d.txRings[port].Reset()
	}
	d.forget()
	if err := d.again(); err != nil {
		d.transport.Fail()
		return err
	}
	d.stats.Resets++
	return nil
}

// again negotiates what was negotiated before and gives all queues back.
func (d *Device) again() error {
	got, err := d.transport.Negotiate(d.features)
	if err != nil {
		return err
	}
	if got != d.features {
		return fmt.Errorf("%w (offered %#x before, %#x after a reset)", virtio.ErrFeatures, uint64(d.features), uint64(got))
	}
	if err := d.transport.SetupQueue(controlInQueue, d.controlIn.Rings()); err != nil {
		return err
	}
	if err := d.transport.SetupQueue(controlOutQueue, d.controlOut.Rings()); err != nil {
		return err
	}
	for port := 1; port <= d.served; port++ {
		if err := d.transport.SetupQueue(rxQueueOf(port), d.rxRings[port].Rings()); err != nil {
			return err
		}
		if err := d.transport.SetupQueue(txQueueOf(port), d.txRings[port].Rings()); err != nil {
			return err
		}
	}
	return nil
}

// Close tells the device that the port is closed, and resets it for good. After a nil return it touches no memory.
func (d *Device) Close() error {
	if d.live && d.port != 0 && d.post(message{id: uint32(d.port), event: eventPortOpen}) {
		d.Kick()
	}
	d.live = false
	d.setHost(false)
	return d.transport.Stop()
}

// Features gives the accepted feature bits.
func (d *Device) Features() virtio.Features { return d.features }

// Port gives the number of the port named PortName; 0: the device has told of none.
func (d *Device) Port() int { return d.port }

// Broken reports whether the device must be Reset: one of its queues broke, it removed our port, control messages may
// have been lost, or it kept bytes for a host that has gone.
func (d *Device) Broken() bool {
	return d.lost || d.controlIn.Broken() || d.controlOut.Broken() ||
		d.port != 0 && (d.rxRings[d.port].Broken() || d.txRings[d.port].Broken())
}

// Stats gives the counters.
func (d *Device) Stats() Stats {
	s := d.stats
	add(&s.Control, d.controlIn.Stats())
	add(&s.Control, d.controlOut.Stats())
	for port := 1; port <= d.served; port++ {
		add(&s.Rx, d.rxRings[port].Stats())
		add(&s.Tx, d.txRings[port].Stats())
	}
	return s
}

func add(to *queue.Stats, s queue.Stats) {
	to.Completed += s.Completed
	to.BadID += s.BadID
	to.NotInFlight += s.NotInFlight
	to.BadLength += s.BadLength
	to.IndexJumps += s.IndexJumps
	to.Broken += s.Broken
}
