package serialdev

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// event is what a control message is about, 5.3.6.2.
type event uint16

const (
	eventDeviceReady event = 0 // to the device: say which ports there are
	eventPortAdd     event = 1 // to the driver
	eventPortRemove  event = 2 // to the driver
	eventPortReady   event = 3 // to the device: say what there is to say of the port
	eventConsolePort event = 4 // to the driver
	eventResize      event = 5 // to the driver; u16 columns and u16 rows follow
	eventPortOpen    event = 6 // both ways
	eventPortName    event = 7 // to the driver; the name follows
)

// resizeBytes is what follows the header of eventResize.
const resizeBytes = 4

// Why a control message is not understood.
var (
	errShort = errors.New("message ends before it should")
	errLong  = errors.New("message goes on after its end")
	errEvent = errors.New("no event that a device may send")
	errPort  = errors.New("no such port, or there already")
	errName  = errors.New("port's name is empty, holds a NUL or changes")
	errValue = errors.New("value is neither 0 nor 1")
)

// message is struct virtio_console_control, 5.3.6.2: u32 id, u16 event, u16 value, all little-endian, and what
// follows it.
type message struct {
	id    uint32
	event event
	value uint16
	name  []byte // of eventPortName
}

// decode reads what the device sent. Errors: errShort, errLong, errEvent, errName, errValue.
func decode(b []byte) (message, error) {
	if len(b) < messageBytes {
		return message{}, errShort
	}
	m := message{
		id:    binary.LittleEndian.Uint32(b),
		event: event(binary.LittleEndian.Uint16(b[4:])),
		value: binary.LittleEndian.Uint16(b[6:]),
	}
	rest := b[messageBytes:]
	want := 0
	switch m.event {
	case eventPortAdd, eventPortRemove, eventConsolePort: // value is unused
	case eventPortOpen:
		if m.value > 1 {
			return message{}, errValue
		}
	case eventResize:
		want = resizeBytes
	case eventPortName:
		// The standard's name has no NUL; QEMU's ends with one.
		m.name = bytes.TrimSuffix(rest, []byte{0})
		if len(m.name) == 0 || bytes.IndexByte(m.name, 0) >= 0 {
			return message{}, errName
		}
		return m, nil
	default:
		return message{}, errEvent
	}
	switch {
	case len(rest) < want:
		return message{}, errShort
	case len(rest) > want:
		return message{}, errLong
	}
	return m, nil
}

// encode writes a message of messageBytes to b.
func (m message) encode(b []byte) {
	binary.LittleEndian.PutUint32(b, m.id)
	binary.LittleEndian.PutUint16(b[4:], uint16(m.event))
	binary.LittleEndian.PutUint16(b[6:], m.value)
}
