package unixsock

import (
	"bytes"
	"testing"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/user/usertest"
)

// TestStreamBound: a stream takes of a long write what there is room for, whatever lies in it already, and keeps its bytes in order.
func TestStreamBound(t *testing.T) {
	for _, before := range []int{0, 1, 1000, segmentSize - frameHeader, segmentSize} {
		start(t, 1024)
		a, b := pair(t, Stream)
		data := make([]byte, 3*Bound)
		for i := range data {
			data[i] = byte(i * 7 >> 3)
		}
		sent := 0
		if before != 0 {
			sent, _ = a.Write(usertest.In(data[:before]), 0)
		}
		n, err := a.Write(usertest.In(data[sent:]), 0)
		if sent += n; err != abi.OK || sent > Bound || sent < Bound-frameHeader {
			t.Errorf("after %d bytes: %d more, %d, want up to %d", before, n, err, Bound)
		}
		if n, err := a.Write(usertest.In(data[sent:]), 0); err != abi.EAGAIN {
			t.Errorf("after %d bytes: %d more into a full stream, %d, want EAGAIN", before, n, err)
		}
		got := make([]byte, len(data))
		n, err = b.Read(usertest.Out(got), 0)
		if n != sent || err != abi.OK || !bytes.Equal(got[:n], data[:n]) {
			t.Errorf("after %d bytes: read %d, %d of %d sent, or others", before, n, err, sent)
		}
		a.Close()
		b.Close()
	}
}
