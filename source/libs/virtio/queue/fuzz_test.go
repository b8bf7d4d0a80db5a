package queue

import (
	"encoding/binary"
	"testing"

	"nexus/source/libs/virtio/dma"
)

// FuzzUsedRing lets a hostile device write anything anywhere in the queue's memory
// between the driver's steps: nothing panics, no chain comes back that was not in
// flight or with more bytes than it holds, and no descriptor is lost.
func FuzzUsedRing(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 1, 0, 1, 1, 0, 1, 0, 2, 0, 0, 0})
	f.Add([]byte{4, 0, 0, 4, 0, 0, 3, 255, 255, 1, 0, 9, 2, 0, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		const size = 8
		q, d := newQueue(t, size)
		inFlight := map[uint32]uint32{} // token -> bytes
		descriptors := 0
		token := uint32(0)
		for len(script) >= 3 {
			op, a, b := script[0], script[1], script[2]
			script = script[3:]
			switch op % 6 {
			case 0:
				in := []Buffer{{Addr: 0x1000, Len: uint32(a)%100 + 1}, {Addr: 0x2000, Len: 5}}[:1+b%2]
				before := q.Free()
				if q.Add(token, nil, in) == nil {
					var n uint32
					for _, b := range in {
						n += b.Len
					}
					inFlight[token] = n
					token++
					descriptors += before - q.Free()
				}
				q.Publish()
			case 1:
				d.push(uint32(a)%(size+2), uint32(b))
			case 2:
				d.push(uint32(d.head(int(a))), uint32(b)<<(a%25))
			case 3:
				dma.Store16(q.used, ringIndex, uint16(a)|uint16(b)<<8)
			case 4:
				at := (int(a) | int(b)<<8) % (len(q.mem.Bytes) - 4)
				binary.LittleEndian.PutUint32(q.mem.Bytes[at:], uint32(a)*0x01010101)
			case 5:
				if q.Broken() {
					q.Reset()
					d.used = 0
					clear(inFlight)
				}
			}
			for range size + 1 {
				c, ok := q.Pop()
				if !ok {
					break
				}
				most, known := inFlight[c.Token]
				if !known {
					t.Fatalf("token %d came back that is not in flight", c.Token)
				}
				if c.Written < 0 || uint32(c.Written) > most {
					t.Fatalf("token %d: %d bytes of %d", c.Token, c.Written, most)
				}
				delete(inFlight, c.Token)
			}
			if q.InFlight() != len(inFlight) {
				t.Fatalf("%d chains in flight, want %d", q.InFlight(), len(inFlight))
			}
			if len(inFlight) == 0 && q.Free() != size {
				t.Fatalf("descriptors lost: %d free of %d", q.Free(), size)
			}
		}
	})
}
