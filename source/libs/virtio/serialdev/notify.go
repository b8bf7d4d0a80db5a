package serialdev

import (
	"nexus/source/libs/virtio"
	"nexus/source/libs/virtio/queue"
)

// Kick says what is to be said to the device, publishes what was posted and notifies the device where it wants that.
// Before Start it does nothing (3.1.1: no notification before DRIVER_OK).
func (d *Device) Kick() {
	if !d.live {
		return
	}
	d.postControl()
	d.say()
	d.publish(d.controlIn, controlInQueue)
	d.publish(d.controlOut, controlOutQueue)
	if d.port != 0 {
		d.postRx()
		d.publish(d.rxRings[d.port], rxQueueOf(d.port))
		d.publish(d.txRings[d.port], txQueueOf(d.port))
	}
}

func (d *Device) publish(q *queue.Queue, index int) {
	if q.Publish() {
		d.transport.Notify(index)
	}
}

// Quiet asks for no interrupts for what Pop gives, while the caller looks anyway.
func (d *Device) Quiet() {
	d.controlIn.Quiet()
	d.controlOut.Quiet()
	if d.port != 0 {
		d.rxRings[d.port].Quiet()
	}
}

// Arm asks for an interrupt at the next thing that Pop gives, and when the device takes a message while more are to be
// said. It reports false when there is something already: Pop and Kick again before sleeping.
func (d *Device) Arm() bool {
	idle := d.controlIn.Arm()
	if d.speechless() {
		idle = d.controlOut.Arm() && idle
	}
	if d.port != 0 {
		idle = d.rxRings[d.port].Arm() && idle
	}
	return idle
}

// speechless reports whether something is to be said for which there was no room.
func (d *Device) speechless() bool {
	for id := range d.ports {
		if d.ports[id].readyDue || d.ports[id].openDue {
			return true
		}
	}
	return d.readyDue
}

// QuietTx asks for no interrupts for bytes that were taken.
func (d *Device) QuietTx() {
	if d.port != 0 {
		d.txRings[d.port].Quiet()
	}
}

// ArmTx asks for an interrupt when bytes were taken. It reports false when some already were: PopTx again before
// sleeping.
func (d *Device) ArmTx() bool { return d.port == 0 || d.txRings[d.port].Arm() }

// Interrupt reads and acknowledges why the device interrupts; Pop afterwards. The configuration holds the console's
// size and, of a port plugged in later, nothing that is not in a message too: a change of it is counted. Error:
// virtio.ErrNotReady when the device asks to be reset (2.1.2).
func (d *Device) Interrupt() error {
	cause := d.transport.Interrupt()
	if cause&virtio.InterruptConfig == 0 {
		return nil
	}
	d.stats.ConfigEvents++
	if s := d.transport.Status(); s&(virtio.StatusNeedsReset|virtio.StatusDriverOK) != virtio.StatusDriverOK {
		return virtio.ErrNotReady
	}
	return nil
}
