package fake

import "encoding/binary"

// Features the fake console device offers: what QEMU's does, 5.3.3.
const (
	FeatureSize       = 1 << 0
	FeatureMultiport  = 1 << 1
	FeatureEmergency  = 1 << 2
	FeatureIndirect   = 1 << 28
	serialOffered     = FeatureMultiport | FeatureEmergency | FeatureIndirect | FeatureEventIdx | FeatureVersion1
	serialAcceptable  = FeatureMultiport | FeatureVersion1
	controlIn         = 2
	controlOut        = 3
	serialConfigBytes = 12
)

// Control events, 5.3.6.2.
const (
	EventDeviceReady = 0
	EventPortAdd     = 1
	EventPortRemove  = 2
	EventPortReady   = 3
	EventConsolePort = 4
	EventResize      = 5
	EventPortOpen    = 6
	EventPortName    = 7
)

// Serial is a fake console device with several ports, which acts as QEMU's virtio-serial: a name ends with a NUL,
// a control message without a buffer is lost, what the driver sends while no host is there is discarded, and a buffer that
// the host had taken half of when it went away is finished for the next host.
type Serial struct {
	Device

	// Hold: control messages of the driver are taken but never completed.
	HoldControl bool

	ports []*serialPort
	lost  int // control messages that found no buffer
}

// serialPort is one port and the host's end of it.
type serialPort struct {
	id          uint32
	name        string
	console     bool
	host, guest bool
	room        int // bytes that the host still takes, -1: any number

	head    uint16 // the chain that the host took half of
	partial []byte // what is left of it; nil: none

	in, out []byte // bytes on the way to the driver, and from it
}

// NewSerial makes a device that can have ports 0 to maxPorts-1, over memory. It has none yet.
func NewSerial(maxPorts int, memory ...*Memory) *Serial {
	s := &Serial{Device: newDevice(memory)}
	s.ID = 3
	s.Features = serialOffered
	s.Config = make([]byte, serialConfigBytes) // u16 columns, u16 rows, u32 max_nr_ports, u32 emerg_wr: 5.3.4
	binary.LittleEndian.PutUint32(s.Config[4:], uint32(maxPorts))
	for range 2 * (maxPorts + 1) {
		s.QueueMax = append(s.QueueMax, 1024)
	}
	s.queues = make([]ring, len(s.QueueMax))
	s.notify = s.notified
	s.onReset = func() {
		for _, p := range s.ports {
			p.guest, p.partial = false, nil
		}
	}
	return s
}

// portQueue gives the receive queue of port id, 5.3.2; its transmit queue is the next.
func portQueue(id uint32) int {
	if id == 0 {
		return 0
	}
	return int(2 + 2*id)
}

func (s *Serial) notified(q int) {
	if s.driverFeatures&^serialAcceptable != 0 {
		s.violate("driver accepted features %#x", s.driverFeatures&^serialAcceptable)
	}
	if q == controlOut {
		s.control()
		return
	}
	for _, p := range s.ports {
		switch q {
		case portQueue(p.id):
			s.input(p)
		case portQueue(p.id) + 1:
			s.output(p)
		}
	}
}

// port gives the port with that id; nil when there is none.
func (s *Serial) port(id uint32) *serialPort {
	for _, p := range s.ports {
		if p.id == id {
			return p
		}
	}
	return nil
}

// AddPort plugs a port in.
func (s *Serial) AddPort(id uint32, name string) {
	s.addPort(&serialPort{id: id, name: name, room: -1})
}

// AddConsole plugs a port in that is a console.
func (s *Serial) AddConsole(id uint32, name string) {
	s.addPort(&serialPort{id: id, name: name, console: true, room: -1})
}

func (s *Serial) addPort(p *serialPort) {
	s.Do(func() {
		s.ports = append(s.ports, p)
		s.tell(p.id, EventPortAdd, 1)
		if s.status&4 != 0 {
			s.generation++ // as QEMU does, though nothing in the configuration changed
			s.raise(2)
		}
	})
}

// RemovePort pulls a port out.
func (s *Serial) RemovePort(id uint32) {
	s.Do(func() {
		p := s.port(id)
		s.discard(p)
		s.tell(id, EventPortRemove, 1)
		for i := range s.ports {
			if s.ports[i] == p {
				s.ports = append(s.ports[:i], s.ports[i+1:]...)
				return
			}
		}
	})
}

// control handles what the driver says.
func (s *Serial) control() {
	if s.HoldControl {
		return
	}
	defer s.interrupt(controlOut) // QEMU says so whether or not there was a message
	for {
		head, chain, ok := s.next(controlOut)
		if !ok {
			return
		}
		var all []byte
		for _, b := range chain {
			if b.write {
				s.violate("5.3.6.1: writable buffer in the control transmit queue")
			}
			all = append(all, b.bytes...)
		}
		s.used(controlOut, uint32(head), 0)
		if len(all) != 8 {
			s.violate("5.3.6.2: control message of %d bytes", len(all))
			continue
		}
		s.heard(binary.LittleEndian.Uint32(all), binary.LittleEndian.Uint16(all[4:]), binary.LittleEndian.Uint16(all[6:]))
	}
}

func (s *Serial) heard(id uint32, event, value uint16) {
	if event == EventDeviceReady {
		for _, p := range s.ports {
			s.tell(p.id, EventPortAdd, 1)
		}
		return
	}
	p := s.port(id)
	if p == nil {
		s.violate("5.3.6.2: event %d of port %d, which does not exist", event, id)
		return
	}
	switch event {
	case EventPortReady:
		if p.console {
			s.tell(id, EventConsolePort, 1)
		}
		if p.name != "" {
			s.say(append(message(id, EventPortName, 1), append([]byte(p.name), 0)...))
		}
		if p.host {
			s.tell(id, EventPortOpen, 1)
		}
	case EventPortOpen:
		p.guest = value == 1
		s.input(p)
	default:
		s.violate("5.3.6.2: event %d is not the driver's", event)
	}
}

func message(id uint32, event, value uint16) []byte {
	b := binary.LittleEndian.AppendUint32(nil, id)
	b = binary.LittleEndian.AppendUint16(b, event)
	return binary.LittleEndian.AppendUint16(b, value)
}

func (s *Serial) tell(id uint32, event, value uint16) { s.say(message(id, event, value)) }

// say puts one control message into the next buffer; without one it is lost.
func (s *Serial) say(b []byte) {
	head, chain, ok := s.next(controlIn)
	if !ok || len(chain) == 0 {
		s.lost++
		return
	}
	if !chain[0].write {
		s.violate("5.3.6.1: readable buffer in the control receive queue")
		return
	}
	copy(chain[0].bytes, b)
	s.used(controlIn, uint32(head), uint32(len(b))) // more than the buffer, when the message is
}

// Say sends any bytes as a control message. It reports false when the driver has no buffer for it.
func (s *Serial) Say(b []byte) (ok bool) {
	s.Do(func() {
		before := s.lost
		s.say(b)
		ok = s.lost == before
	})
	return ok
}

// Tell sends a control message that says so. It reports false when the driver has no buffer for it.
func (s *Serial) Tell(id uint32, event, value uint16) bool { return s.Say(message(id, event, value)) }

// Lost gives the number of control messages that found no buffer.
func (s *Serial) Lost() (n int) {
	s.Do(func() { n = s.lost })
	return n
}

// Connect lets a host open port id.
func (s *Serial) Connect(id uint32) {
	s.Do(func() {
		s.port(id).host = true
		s.tell(id, EventPortOpen, 1)
	})
}

// Disconnect lets the host close port id. What it sent and the driver did not take is gone.
func (s *Serial) Disconnect(id uint32) {
	s.Do(func() {
		p := s.port(id)
		p.host, p.room, p.in = false, -1, nil
		s.discard(p)
		s.tell(id, EventPortOpen, 0)
	})
}

// discard completes everything in the transmit queue but the buffer that the host had taken half of.
func (s *Serial) discard(p *serialPort) {
	if s.queues[portQueue(p.id)+1].ready != 1 {
		return
	}
	defer s.interrupt(portQueue(p.id) + 1) // likewise
	for {
		head, _, ok := s.next(portQueue(p.id) + 1)
		if !ok {
			return
		}
		s.used(portQueue(p.id)+1, uint32(head), 0)
	}
}

// GuestOpen reports whether the driver has opened port id.
func (s *Serial) GuestOpen(id uint32) (open bool) {
	s.Do(func() { open = s.port(id).guest })
	return open
}

// Input lets the host send p: as much as the driver has room for goes to it now, the rest when it has.
func (s *Serial) Input(id uint32, p []byte) {
	s.Do(func() {
		to := s.port(id)
		to.in = append(to.in, p...)
		s.input(to)
	})
}

// Waiting gives the number of bytes that the host sent and the device still has.
func (s *Serial) Waiting(id uint32) (n int) {
	s.Do(func() { n = len(s.port(id).in) })
	return n
}

func (s *Serial) input(p *serialPort) {
	for p.host && p.guest && len(p.in) > 0 {
		head, chain, ok := s.next(portQueue(p.id))
		if !ok {
			return
		}
		written := 0
		for _, b := range chain {
			if !b.write {
				s.violate("5.3.6.1: readable buffer in a receive queue")
				return
			}
			n := copy(b.bytes, p.in)
			p.in = p.in[n:]
			written += n
		}
		s.used(portQueue(p.id), uint32(head), uint32(written))
	}
}

// output gives the host what the driver made available, as far as it has room.
func (s *Serial) output(p *serialPort) {
	q := portQueue(p.id) + 1
	if s.queues[q].ready != 1 {
		return
	}
	if !p.host {
		s.discard(p)
		return
	}
	if p.room != 0 {
		defer s.interrupt(q) // QEMU says so whether or not there was anything
	}
	for p.room != 0 {
		if p.partial == nil {
			head, chain, ok := s.next(q)
			if !ok {
				return
			}
			p.head, p.partial = head, []byte{}
			for _, b := range chain {
				if b.write {
					s.violate("5.3.6.1: writable buffer in a transmit queue")
				}
				p.partial = append(p.partial, b.bytes...)
			}
		}
		n := len(p.partial)
		if p.room > 0 {
			n = min(n, p.room)
			p.room -= n
		}
		p.out = append(p.out, p.partial[:n]...)
		p.partial = p.partial[n:]
		if len(p.partial) > 0 {
			return
		}
		p.partial = nil
		s.used(q, uint32(p.head), 0)
	}
}

// SetRoom lets the host take n bytes more and then no more; -1: any number.
func (s *Serial) SetRoom(id uint32, n int) {
	s.Do(func() {
		p := s.port(id)
		p.room = n
		s.output(p)
	})
}

// Output gives what the host got since the last call.
func (s *Serial) Output(id uint32) (b []byte) {
	s.Do(func() {
		p := s.port(id)
		b, p.out = p.out, nil
	})
	return b
}
