package pipe

import (
	"fmt"
	"testing"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/mem"
	"nexus/source/kernel/neuron/internal/user"
	"nexus/source/kernel/neuron/internal/user/usertest"
)

// BenchmarkRoundTrip writes and reads one piece.
func BenchmarkRoundTrip(b *testing.B) {
	mem.InitHost(64, 0)
	for _, size := range []int{1, 512, 65536} {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			r, w, err := New()
			if err != abi.OK {
				b.Fatal(err)
			}
			defer r.Close()
			defer w.Close()
			m := make(usertest.Memory, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				in, out := user.Range(m, usertest.Base, uint64(size)), user.Range(m, usertest.Base, uint64(size))
				if n, err := w.Write(&in, 0); n != size || err != abi.OK {
					b.Fatal(n, err)
				}
				if n, err := r.Read(&out, 0); n != size || err != abi.OK {
					b.Fatal(n, err)
				}
			}
		})
	}
}
