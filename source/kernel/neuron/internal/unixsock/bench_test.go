package unixsock

import (
	"fmt"
	"testing"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/mem"
	"nexus/source/kernel/neuron/internal/user"
	"nexus/source/kernel/neuron/internal/user/usertest"
)

// BenchmarkRoundTrip sends and receives one piece.
func BenchmarkRoundTrip(b *testing.B) {
	mem.InitHost(1024, 0)
	for _, kind := range []Type{Stream, Seqpacket} {
		for _, size := range []int{64, 1500, 65536} {
			b.Run(fmt.Sprintf("type=%d/size=%d", kind, size), func(b *testing.B) {
				x, y := pair(b, kind)
				defer x.Close()
				defer y.Close()
				m := make(usertest.Memory, size)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					in, out := user.Range(m, usertest.Base, uint64(size)), user.Range(m, usertest.Base, uint64(size))
					if n, err := x.Send(&in, nil, nil, 0); n != size || err != abi.OK {
						b.Fatal(n, err)
					}
					if n, _, err := y.Recv(&out, nil, nil, 0); n != size || err != abi.OK {
						b.Fatal(n, err)
					}
				}
			})
		}
	}
}

// BenchmarkPair makes and closes a pair.
func BenchmarkPair(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		x, y := pair(b, Stream)
		x.Close()
		y.Close()
	}
}
