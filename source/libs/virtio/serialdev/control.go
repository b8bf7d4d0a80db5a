package serialdev

import (
	"math/bits"

	"nexus/source/libs/virtio/queue"
)

// portState is what the device has said of a port, and what is to be said to it. It is small and of a fixed number, so
// that however much a device says, the driver's answers need no queue.
type portState struct {
	added    bool
	host     bool // a host has it open
	readyDue bool // PORT_READY is to be sent
	openDue  bool // PORT_OPEN 1 is to be sent
}

// control takes one message of the device. It reports false when there is none.
func (d *Device) control() bool {
	c, ok := d.controlIn.Pop()
	if !ok {
		return false
	}
	d.stats.Messages++
	d.controlIdle |= 1 << c.Token
	// Every buffer that the device had is used: what it had to say meanwhile it may have dropped, as QEMU does, and
	// whether a host is there is not known any more.
	if d.controlIn.InFlight() == 0 && d.port != 0 {
		d.stats.ControlDry++
		d.lost = true
	}
	if c.BadLength { // QEMU cuts off what does not fit, and says how long it was
		d.stats.ControlTooLong++
		return true
	}
	var b [controlBuffer]byte // the device may still write to its own: it is read once
	n := copy(b[:], d.controlRx(int(c.Token))[:c.Written])
	m, err := decode(b[:n])
	if err == nil {
		err = d.apply(m)
	}
	switch err {
	case errShort:
		d.stats.ControlShort++
	case errLong:
		d.stats.ControlLong++
	case errEvent:
		d.stats.ControlEvent++
	case errPort:
		d.stats.ControlPort++
	case errName:
		d.stats.ControlName++
	case errValue:
		d.stats.ControlValue++
	}
	return true
}

// apply does what a message says. Errors: errPort, errName.
func (d *Device) apply(m message) error {
	if m.id >= d.maxPorts { // 5.3.6.2.1
		return errPort
	}
	if m.id == 0 || m.id > uint32(d.served) {
		d.stats.OtherPorts++ // left unanswered: to the device, nobody is ready to serve it
		return nil
	}
	p := &d.ports[m.id]
	if p.added == (m.event == eventPortAdd) { // 5.3.6.2.1
		return errPort
	}
	switch m.event {
	case eventPortAdd:
		*p = portState{added: true, readyDue: true}
	case eventPortRemove:
		*p = portState{}
		if int(m.id) == d.port {
			d.stats.Removed++
			d.lost = true // its buffers come back by a reset only
			d.setHost(false)
		}
	case eventConsolePort:
		p.openDue = true // 5.3.6.2.2
	case eventPortOpen:
		p.host = m.value == 1
		if int(m.id) == d.port {
			d.setHost(p.host)
		}
	case eventPortName:
		return d.named(int(m.id), m.name)
	case eventResize: // nobody looks at the console
	}
	return nil
}

// named hears the name of a port. The first of the right name is ours.
func (d *Device) named(id int, name []byte) error {
	ours := string(name) == PortName
	switch {
	case id == d.port && !ours:
		return errName
	case id == d.port: // said again
	case !ours || d.port != 0:
		d.stats.OtherPorts++
	default:
		d.port = id
		d.ports[id].openDue = true
		d.setHost(d.ports[id].host)
	}
	return nil
}

// setHost hears that a host has opened or closed our port.
func (d *Device) setHost(open bool) {
	d.host = open
	if !open && d.told {
		d.closed = true
	}
}

// say posts what is to be said to the device, as far as its queue has room.
func (d *Device) say() {
	for c, ok := d.controlOut.Pop(); ok; c, ok = d.controlOut.Pop() {
		d.controlBusy &^= 1 << c.Token
		d.stats.Said++
	}
	if d.readyDue && d.post(message{event: eventDeviceReady, value: 1}) {
		d.readyDue = false
	}
	if d.readyDue {
		return // the first that is said, 5.3.6.2
	}
	for id := range d.ports {
		p := &d.ports[id]
		if p.readyDue && d.post(message{id: uint32(id), event: eventPortReady, value: 1}) {
			p.readyDue = false
		}
		if !p.readyDue && p.openDue && d.post(message{id: uint32(id), event: eventPortOpen, value: 1}) {
			p.openDue = false
		}
	}
}

// post posts one control message. It reports false when there is no room.
func (d *Device) post(m message) bool {
	at := bits.TrailingZeros32(^d.controlBusy)
	if at >= d.controlOut.Size() {
		return false
	}
	b, err := d.memory.Cut(controlTxAt+at*messageBytes, messageBytes)
	if err != nil {
		return false
	}
	m.encode(b.Bytes)
	out := [1]queue.Buffer{{Addr: b.Base, Len: messageBytes}}
	if d.controlOut.Add(uint32(at), out[:], nil) != nil {
		return false // broken
	}
	d.controlBusy |= 1 << at
	return true
}
