// Package control is the framing of the control channel: the byte stream of a virtio-serial port, over which programs of
// the host talk to services of the guest.
//
// Both directions carry frames, nothing between them. A frame is a header of 16 bytes, little endian, and a body:
//
//	u32 magic    0x3143584e, the bytes "NXC1"
//	u32 length   of the body, at most 64 KiB, the bound of a channel's datagram
//	u32 session  chosen by the host, not 0 but in STOP and where REFUSED says so
//	u16 kind
//	u16 errno    Linux/riscv64 number; 0 but in REFUSED and CLOSE
//
//	kind       from    body
//	1 OPEN     host    name of a service, 1 to 64 bytes: the session shall be a channel to it
//	2 OPENED   guest   none: it is
//	3 REFUSED  guest   one line, at most 512 bytes: what failed and what to do. Session 0: the stream itself is broken
//	4 DATA     both    one datagram of the channel, not empty
//	5 CLOSE    both    from the guest as in REFUSED: why the channel ended; from the host none
//	6 STOP     host    none; session 0: end the system, as if its work were done
//
// A session begins with OPEN, is open after OPENED, and ends with REFUSED or CLOSE. Frames of the two directions may
// cross: CLOSE of a session that is not there means nothing, and so does DATA to the host; to the guest DATA is answered
// with CLOSE and ENOTCONN. A host therefore gives each session a number that it has not used for long.
//
// A stream that has once held anything else cannot be read any more. The guest then sends REFUSED for session 0 with
// EPROTO, ends every session and ignores what comes until the host closes the port and opens it again, after which both
// begin anew; the host closes the port.
//
// The package imports neither net nor fmt: services of the guest pay for both at their start.
package control

import (
	"encoding/binary"
	"errors"
	"strconv"
	"syscall"
)

const (
	// HeaderSize is the length of a frame's header.
	HeaderSize = 16
	// MaxBody bounds a frame's body; it is channel.MaxMessage.
	MaxBody = 64 << 10
	// MaxName bounds the body of OPEN.
	MaxName = 64
	// MaxText bounds the body of REFUSED and CLOSE.
	MaxText = 512

	magic = 0x3143584e
)

// Kind says what a frame means.
type Kind uint16

// The kinds of frames.
const (
	Open Kind = 1 + iota
	Opened
	Refused
	Data
	Close
	Stop
)

// Side is one of the two ends.
type Side bool

// The ends.
const (
	Host  Side = false
	Guest Side = true
)

// Frame is one frame.
type Frame struct {
	Session uint32
	Kind    Kind
	Errno   syscall.Errno
	Body    []byte
}

// ErrProtocol says that a stream holds something that is no frame, or one that its sender must not send.
var ErrProtocol = errors.New("control: the stream holds something other than the control channel's frames")

// faultError is an ErrProtocol with what was wrong.
type faultError struct{ what string }

func (e *faultError) Error() string { return ErrProtocol.Error() + ": " + e.what }
func (e *faultError) Unwrap() error { return ErrProtocol }

func fault(what string, number uint64) error {
	return &faultError{what + " " + strconv.FormatUint(number, 10)}
}

// header is the header of f.
func (f *Frame) header() (h [HeaderSize]byte) {
	binary.LittleEndian.PutUint32(h[0:], magic)
	binary.LittleEndian.PutUint32(h[4:], uint32(len(f.Body)))
	binary.LittleEndian.PutUint32(h[8:], f.Session)
	binary.LittleEndian.PutUint16(h[12:], uint16(f.Kind))
	binary.LittleEndian.PutUint16(h[14:], uint16(f.Errno))
	return h
}

// parse reads a header that from has sent, and returns the length of the body that follows.
func parse(h []byte, from Side) (f Frame, length int, err error) {
	if m := binary.LittleEndian.Uint32(h[0:]); m != magic {
		return f, 0, fault("magic", uint64(m))
	}
	n := binary.LittleEndian.Uint32(h[4:])
	f.Session = binary.LittleEndian.Uint32(h[8:])
	f.Kind = Kind(binary.LittleEndian.Uint16(h[12:]))
	f.Errno = syscall.Errno(binary.LittleEndian.Uint16(h[14:]))
	if n > MaxBody {
		return f, 0, fault("length", uint64(n))
	}
	return f, int(n), f.check(from, int(n))
}

// check says whether from may send f with a body of length bytes.
func (f *Frame) check(from Side, length int) error {
	least, most, ok := bounds(f.Kind, from)
	switch {
	case !ok:
		return fault("kind", uint64(f.Kind))
	case length < least || length > most:
		return fault("length", uint64(length))
	case f.Session == 0 && f.Kind != Refused && f.Kind != Stop, f.Session != 0 && f.Kind == Stop:
		return fault("session", uint64(f.Session))
	case f.Errno > 0xffff, f.Errno != 0 && !(from == Guest && (f.Kind == Refused || f.Kind == Close)):
		return fault("errno", uint64(f.Errno))
	}
	return nil
}

// bounds are those of the body of a kind; false for one that from must not send.
func bounds(kind Kind, from Side) (least, most int, ok bool) {
	switch {
	case kind == Open && from == Host:
		return 1, MaxName, true
	case kind == Opened && from == Guest:
		return 0, 0, true
	case kind == Data:
		return 1, MaxBody, true
	case kind == Close && from == Host, kind == Stop && from == Host:
		return 0, 0, true
	case kind == Refused && from == Guest, kind == Close:
		return 0, MaxText, true
	}
	return 0, 0, false
}
