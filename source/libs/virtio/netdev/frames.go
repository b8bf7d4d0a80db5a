package netdev

import (
	"nexus/source/libs/virtio"
	"nexus/source/libs/virtio/queue"
)

// Buffers and frames are named by their byte offset in Memory.Frames, which is
// also the token of their chain.

// PostRx provides the receive buffer of Memory.RxBuffer bytes at off. The device may not
// look before Kick or Start. Errors: ErrFull, ErrBroken, dma.ErrBounds.
func (d *Device) PostRx(off int) error {
	b, err := d.memory.Frames.Cut(off, d.memory.RxBuffer)
	if err != nil {
		return err
	}
	in := [1]queue.Buffer{{Addr: b.Base, Len: uint32(len(b.Bytes))}}
	return d.rx.Add(uint32(off), nil, in[:])
}

// PopRx gives back a receive buffer that the device used. Behind the header at
// off lies a frame of n bytes, MinFrame at least; n is 0 when the device put no frame
// into it: post it again. It reports false when none came back.
func (d *Device) PopRx() (off, n int, ok bool) {
	c, ok := d.rx.Pop()
	if !ok {
		return 0, 0, false
	}
	off = int(c.Token)
	if c.BadLength {
		return off, 0, true
	}
	if c.Written < HeaderSize+MinFrame {
		d.stats.RxShort++
		return off, 0, true
	}
	// The token is the driver's own record: PostRx has proved these bounds.
	header := d.memory.Frames.Bytes[off : off+HeaderSize]
	// 5.1.6.4: neither a checksum to complete nor segmentation was agreed on. Other
	// flags mean nothing to this driver and are ignored, as the clause asks; a TAP sets
	// DATA_VALID unasked.
	if header[headerFlags]&flagNeedsChecksum != 0 || header[headerGSO] != 0 {
		d.stats.RxBadHeader++
		return off, 0, true
	}
	d.stats.RxFrames++
	return off, c.Written - HeaderSize, true
}

// PostTx provides the frame of n bytes at off for sending. The device may not look before
// Kick. The header goes before it from the driver's own memory, so that whoever
// else can write to Memory.Frames cannot forge it; all of it is 0, num_buffers
// too (5.1.6.2). Errors: ErrFrame, ErrFull, ErrBroken.
func (d *Device) PostTx(off, n int) error {
	if n < MinFrame || n > d.MaxFrame() {
		return ErrFrame
	}
	b, err := d.memory.Frames.Cut(off, n)
	if err != nil {
		return ErrFrame
	}
	out := [2]queue.Buffer{
		{Addr: d.header.Base, Len: HeaderSize},
		{Addr: b.Base, Len: uint32(n)},
	}
	return d.tx.Add(uint32(off), out[:], nil)
}

// PopTx gives back the buffer of a frame that the device took. It reports
// false when none came back.
func (d *Device) PopTx() (off int, ok bool) {
	c, ok := d.tx.Pop()
	if !ok {
		return 0, false
	}
	d.stats.TxFrames++
	return int(c.Token), true
}

// RxPosted gives the number of receive buffers with the device.
func (d *Device) RxPosted() int { return d.rx.InFlight() }

// RxFree gives the number of receive buffers that can still be posted.
func (d *Device) RxFree() int { return d.rx.Free() }

// TxPosted gives the number of frames with the device.
func (d *Device) TxPosted() int { return d.tx.InFlight() }

// TxFree gives the number of frames that can still be posted.
func (d *Device) TxFree() int { return d.tx.Free() / 2 }

// Kick publishes what was posted and notifies the device where it wants that. Before Start
// it does nothing (3.1.1: no notification before DRIVER_OK).
func (d *Device) Kick() {
	if !d.live {
		return
	}
	if d.rx.Publish() {
		d.transport.Notify(rxQueue)
	}
	if d.tx.Publish() {
		d.transport.Notify(txQueue)
	}
}

// QuietRx asks for no interrupts for received frames, while the caller looks
// at the ring anyway.
func (d *Device) QuietRx() { d.rx.Quiet() }

// ArmRx asks for an interrupt at the next received frame. It reports false
// when one already waits: PopRx again before sleeping.
func (d *Device) ArmRx() bool { return d.rx.Arm() }

// QuietTx asks for no interrupts for sent frames.
func (d *Device) QuietTx() { d.tx.Quiet() }

// ArmTx asks for an interrupt at the next sent frame. It reports false when
// one already waits: PopTx again before sleeping.
func (d *Device) ArmTx() bool { return d.tx.Arm() }

// Interrupt reads and acknowledges why the device interrupts; pop afterwards.
// A configuration change re-reads the link's state. It reports whether used buffers were a reason.
// Errors: virtio.ErrConfig, and virtio.ErrNotReady when the device asks to be
// reset (2.1.2).
func (d *Device) Interrupt() (used bool, err error) {
	cause := d.transport.Interrupt()
	used = cause&virtio.InterruptUsed != 0
	if cause&virtio.InterruptConfig == 0 {
		return used, nil
	}
	d.stats.ConfigEvents++
	if s := d.transport.Status(); s&(virtio.StatusNeedsReset|virtio.StatusDriverOK) != virtio.StatusDriverOK {
		return used, virtio.ErrNotReady
	}
	c, err := readConfig(d.transport, d.features)
	if err != nil {
		return used, err
	}
	d.config.linkUp = c.linkUp // MAC and MTU do not change under a running stack
	return used, nil
}
