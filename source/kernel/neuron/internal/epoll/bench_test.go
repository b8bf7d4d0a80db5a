package epoll

import (
	"testing"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/eventfd"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/user"
	"nexus/source/kernel/neuron/internal/user/usertest"
)

// BenchmarkOneOfThousand reports one edge among a thousand registrations.
func BenchmarkOneOfThousand(b *testing.B) {
	e, _ := New()
	counters := make([]*eventfd.Counter, 1000)
	var files []*file.File
	for i := range counters {
		counters[i], _ = eventfd.New(0, false)
		files = append(files, file.New(counters[i], 0))
		e.Control(Add, i, files[i], abi.EPOLLIN|abi.EPOLLET, uint64(i))
	}
	one := usertest.Memory{1, 0, 0, 0, 0, 0, 0, 0}
	m := make(usertest.Memory, 64*EventSize)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		in := user.Range(one, usertest.Base, 8)
		if _, err := counters[i%1000].Write(&in, 0); err != abi.OK {
			b.Fatal(err)
		}
		if n, err := e.Collect(m, usertest.Base, 64); n != 1 || err != abi.OK {
			b.Fatal(n, err)
		}
	}
	for _, f := range files {
		f.Release()
		reap()
	}
	e.Close()
}
