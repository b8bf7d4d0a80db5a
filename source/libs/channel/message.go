package channel

import (
	"encoding/binary"

	"capnproto.org/go/capnp/v3"
)

const (
	headerSize = 8 // u32 segments-1, u32 words of the only segment

	// A message may be traversed a few times over, and is shallow: no schema here nests deeper than a list of structs.
	traverseLimit = 4 * MaxMessage
	depthLimit    = 8
)

// NewMessage returns an empty message and its segment, in which a root struct is to be made.
func NewMessage() (*capnp.Message, *capnp.Segment) {
	// The argument must be nil: only then the arena can grow.
	return capnp.NewSingleSegmentMessage(nil)
}

// frame returns the framing header and the body of m.
func frame(m *capnp.Message) (header [headerSize]byte, body []byte, err error) {
	segment, err := m.Segment(0)
	if err != nil {
		return header, nil, err
	}
	body = segment.Data()
	if m.NumSegments() != 1 || len(body)+headerSize > MaxMessage {
		return header, nil, ErrTooLarge
	}
	binary.LittleEndian.PutUint32(header[4:], uint32(len(body)/8))
	return header, body, nil
}

// parse returns the message in data, which stays referenced, and its root struct. It is ErrMalformed unless data is
// exactly one segment with a root struct.
func parse(data []byte) (*capnp.Message, capnp.Struct, error) {
	if len(data) < headerSize+8 || binary.LittleEndian.Uint32(data) != 0 {
		return nil, capnp.Struct{}, ErrMalformed
	}
	body := data[headerSize:]
	if len(body)%8 != 0 || uint64(binary.LittleEndian.Uint32(data[4:]))*8 != uint64(len(body)) {
		return nil, capnp.Struct{}, ErrMalformed
	}
	m := &capnp.Message{
		Arena:         capnp.NewReadOnlySingleSegment(body),
		TraverseLimit: traverseLimit,
		DepthLimit:    depthLimit,
	}
	root, err := m.Root()
	if err != nil || !root.Struct().IsValid() {
		return nil, capnp.Struct{}, ErrMalformed
	}
	return m, root.Struct(), nil
}

// idOf returns the id of a request or reply: UInt64 @0 of the root.
func idOf(root capnp.Struct) uint64 { return root.Uint64(0) }

// setID stores the id in the root of m, which must have a data section.
func setID(m *capnp.Message, id uint64) error {
	root, err := m.Root()
	if err != nil {
		return err
	}
	if root.Struct().Size().DataSize < 8 {
		return ErrMalformed
	}
	root.Struct().SetUint64(0, id)
	return nil
}
