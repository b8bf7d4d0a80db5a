package serialdev

import (
	"math/bits"

	"nexus/source/libs/virtio/queue"
)

// Kind is what an Event tells.
type Kind uint8

const (
	Nothing  Kind = iota
	Opened        // a host has opened the port
	Closed        // it has closed it, or the device was reset
	Received      // bytes of the host
)

// Event is what Pop gives.
type Event struct {
	Kind   Kind
	Buffer int    // of Received: for PostRx
	Bytes  []byte // of Received: as they lie in the buffer
}

// Pop gives the next thing that happened: Opened and Closed in turn, Received only in between. Bytes that a host sent
// before it closed the port come before its Closed.
//
// Two queues tell this, and nothing orders one by the other; but a device tells of a host before it hands over that
// host's bytes. So the receive queue is looked at first, then the control queue until it is empty: bytes that were there
// before it was empty are of the host that it told of last. When a host has closed the port and another has opened it
// before anybody looked, what is in the receive queue counts as the new one's.
func (d *Device) Pop() Event {
	for d.live {
		if d.last > 0 {
			d.last--
			if e := d.received(); e.Kind != Nothing {
				return e
			}
			continue
		}
		waiting := d.waiting()
		// Bounded: no buffer goes back to the device before Kick.
		if d.control() {
			continue
		}
		switch {
		case d.closed && !d.host && !d.sorted:
			d.last, d.sorted = waiting, true
		case d.closed:
			return d.tellClosed()
		case d.host && !d.told:
			d.told = true
			d.stats.Hosts++
			return Event{Kind: Opened}
		case waiting == 0:
			return Event{}
		default:
			d.last = waiting
		}
	}
	if d.closed {
		return d.tellClosed()
	}
	return Event{}
}

// tellClosed ends the time of a host.
func (d *Device) tellClosed() Event {
	d.told, d.closed, d.sorted = false, false, false
	// QEMU completes what it has not begun to send, but keeps the rest of what it has, for the next host to get.
	for d.live && d.PopTx() {
	}
	if d.live && d.TxPosted() > 0 {
		d.stats.Unfinished++
		d.lost = true
	}
	return Event{Kind: Closed}
}

// waiting gives the number of receive buffers that came back and were not popped.
func (d *Device) waiting() int {
	if d.port == 0 {
		return 0
	}
	return d.rxRings[d.port].Pending()
}

// received pops one receive buffer. Without bytes for the caller it gives Nothing.
func (d *Device) received() Event {
	c, ok := d.rxRings[d.port].Pop()
	if !ok {
		return Event{}
	}
	i := int(c.Token)
	d.posted[i] = false
	switch {
	case c.BadLength: // counted by the queue
	case c.Written == 0:
		d.stats.RxEmpty++
	case !d.told:
		d.stats.RxNoHost++
	default:
		d.with[i] = true
		d.stats.RxBytes += uint64(c.Written)
		return Event{Kind: Received, Buffer: i, Bytes: d.rxBuffer(i)[:c.Written]}
	}
	return Event{} // it is posted again by Kick, when the device cannot use it twice
}

// PostRx gives receive buffer i back, which Pop gave to the caller; the device has it after Kick. Error: ErrBuffer.
func (d *Device) PostRx(i int) error {
	if i < 0 || i >= RxBuffers || !d.with[i] {
		return ErrBuffer
	}
	d.with[i] = false
	return nil
}

// postControl posts every control buffer that the device does not have.
func (d *Device) postControl() {
	for d.controlIdle != 0 {
		i := bits.TrailingZeros32(d.controlIdle)
		b, err := d.memory.Cut(controlRxAt+i*controlBuffer, controlBuffer)
		if err != nil {
			return
		}
		in := [1]queue.Buffer{{Addr: b.Base, Len: controlBuffer}}
		if d.controlIn.Add(uint32(i), nil, in[:]) != nil {
			return // broken
		}
		d.controlIdle &^= 1 << i
	}
}

// postRx posts every receive buffer that nobody has.
func (d *Device) postRx() {
	for i := range RxBuffers {
		if d.with[i] || d.posted[i] {
			continue
		}
		b, err := d.memory.Cut(rxAt+i*RxBuffer, RxBuffer)
		if err != nil {
			return
		}
		in := [1]queue.Buffer{{Addr: b.Base, Len: RxBuffer}}
		if d.rxRings[d.port].Add(uint32(i), nil, in[:]) != nil {
			return // broken, or it has fewer places: the other buffers stay unused
		}
		d.posted[i] = true
	}
}

func (d *Device) rxBuffer(i int) []byte { return d.memory.Bytes[rxAt+i*RxBuffer:][:RxBuffer] }

func (d *Device) controlRx(i int) []byte {
	return d.memory.Bytes[controlRxAt+i*controlBuffer:][:controlBuffer]
}

// MaxSend gives the most bytes that PostTx takes at once.
func (d *Device) MaxSend() int { return d.txMost * TxBuffer }

// TxFree gives the number of bytes that PostTx takes now.
func (d *Device) TxFree() int { return d.MaxSend() - bits.OnesCount32(d.txBusy)*TxBuffer }

// PostTx copies p and provides it for sending, all of it or nothing; 1 byte to MaxSend. The device may not look before
// Kick. Errors: ErrNoPort, ErrFull, ErrBroken.
func (d *Device) PostTx(p []byte) error {
	switch {
	case d.Broken():
		return ErrBroken
	case !d.live || !d.told || d.closed:
		return ErrNoPort
	case len(p) > d.TxFree():
		return ErrFull
	}
	for len(p) > 0 {
		i := bits.TrailingZeros32(^d.txBusy)
		b, err := d.memory.Cut(txAt+i*TxBuffer, min(len(p), TxBuffer))
		if err != nil {
			return ErrFull // TxFree counts only buffers that are there
		}
		p = p[copy(b.Bytes, p):]
		out := [1]queue.Buffer{{Addr: b.Base, Len: uint32(len(b.Bytes))}}
		if err := d.txRings[d.port].Add(uint32(i), out[:], nil); err != nil {
			return err
		}
		d.txBusy |= 1 << i
		d.txLength[i] = uint16(len(b.Bytes))
	}
	return nil
}

// PopTx takes back a buffer whose bytes the device took. It reports false when none came back.
func (d *Device) PopTx() bool {
	if d.port == 0 {
		return false
	}
	c, ok := d.txRings[d.port].Pop()
	if !ok {
		return false
	}
	d.txBusy &^= 1 << c.Token
	d.stats.TxBytes += uint64(d.txLength[c.Token])
	return true
}

// TxPosted gives the number of transmit buffers with the device.
func (d *Device) TxPosted() int { return bits.OnesCount32(d.txBusy) }

// MessagesPosted gives the number of control messages with the device.
func (d *Device) MessagesPosted() int { return bits.OnesCount32(d.controlBusy) }
