package random

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// RFC 8439, appendix A.1: the vectors with a zero nonce.
func TestBlockVectors(t *testing.T) {
	tests := []struct {
		name    string
		key     [8]uint32
		counter uint32
		first   []byte
	}{
		{"A.1 #1", [8]uint32{}, 0, []byte{0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90, 0x40, 0x5d, 0x6a, 0xe5, 0x53, 0x86, 0xbd, 0x28}},
		{"A.1 #2", [8]uint32{}, 1, []byte{0x9f, 0x07, 0xe7, 0xbe, 0x55, 0x51, 0x38, 0x7a, 0x98, 0xba, 0x97, 0x7c, 0x73, 0x2d, 0x08, 0x0d}},
		{"A.1 #3", [8]uint32{7: 0x01000000}, 1, []byte{0x3a, 0xeb, 0x52, 0x24, 0xec, 0xf8, 0x49, 0x92, 0x9b, 0x9d, 0x82, 0x8d, 0xb1, 0xce, 0xd4, 0xdd}},
	}
	for _, tt := range tests {
		var out [16]uint32
		block(&out, &tt.key, tt.counter)
		var got []byte
		for _, w := range out[:4] {
			got = binary.LittleEndian.AppendUint32(got, w)
		}
		if !bytes.Equal(got, tt.first) {
			t.Errorf("%s: % x, want % x", tt.name, got, tt.first)
		}
	}
}

func stream(seed []byte, n int) []byte {
	state.key, state.counter = [8]uint32{}, 0
	Seed(seed)
	b := make([]byte, n)
	Fill(b)
	return b
}

func TestSeedsDecide(t *testing.T) {
	a, b, c := stream([]byte("seed"), 200), stream([]byte("seed"), 200), stream([]byte("Seed"), 200)
	if !bytes.Equal(a, b) {
		t.Error("equal seeds gave different streams")
	}
	if bytes.Equal(a, c) {
		t.Error("different seeds gave the same stream")
	}
	if bytes.Equal(a[:64], a[64:128]) {
		t.Error("the stream repeats")
	}
}

func TestKeyIsReplaced(t *testing.T) {
	stream([]byte("x"), 1)
	before := state.key
	Fill(make([]byte, 1))
	if state.key == before {
		t.Error("the key that made the last bytes is still there")
	}
}
