package fdt

import (
	"encoding/binary"
	"strings"
)

// builder writes blobs, good and bad, for the tests.
type builder struct {
	structure, strings, reservations []byte
}

func (b *builder) u32(v uint32) { b.structure = binary.BigEndian.AppendUint32(b.structure, v) }

func (b *builder) pad() {
	for len(b.structure)%4 != 0 {
		b.structure = append(b.structure, 0)
	}
}

func (b *builder) begin(name string) *builder {
	b.u32(tokenBeginNode)
	b.structure = append(append(b.structure, name...), 0)
	b.pad()
	return b
}

func (b *builder) end() *builder { b.u32(tokenEndNode); return b }

func (b *builder) property(name string, value []byte) *builder {
	at := strings.Index(string(b.strings), name+"\x00")
	if at < 0 {
		at = len(b.strings)
		b.strings = append(append(b.strings, name...), 0)
	}
	b.u32(tokenProperty)
	b.u32(uint32(len(value)))
	b.u32(uint32(at))
	b.structure = append(b.structure, value...)
	b.pad()
	return b
}

func (b *builder) text(name, value string) *builder { return b.property(name, []byte(value+"\x00")) }

func (b *builder) words(name string, values ...uint32) *builder {
	var v []byte
	for _, w := range values {
		v = binary.BigEndian.AppendUint32(v, w)
	}
	return b.property(name, v)
}

func (b *builder) reserve(address, size uint64) *builder {
	b.reservations = binary.BigEndian.AppendUint64(b.reservations, address)
	b.reservations = binary.BigEndian.AppendUint64(b.reservations, size)
	return b
}

// finish ends the structure block and assembles header, reservations, structure and strings.
func (b *builder) finish() []byte {
	b.u32(tokenEnd)
	return b.assemble()
}

func (b *builder) assemble() []byte {
	reservations := append(append([]byte(nil), b.reservations...), make([]byte, reservedStride)...)
	structAt := headerSize + len(reservations)
	stringsAt := structAt + len(b.structure)
	var out []byte
	for _, v := range []int{magic, stringsAt + len(b.strings), structAt, stringsAt, headerSize, 17, 16, 7, len(b.strings), len(b.structure)} {
		out = binary.BigEndian.AppendUint32(out, uint32(v))
	}
	out = append(out, reservations...)
	out = append(out, b.structure...)
	return append(out, b.strings...)
}
