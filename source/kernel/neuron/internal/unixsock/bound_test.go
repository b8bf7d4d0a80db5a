package unixsock

import (
	"bytes"
	"testing"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/file"
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

// TestFaultInAStreamWithRights: a receive whose buffer ends in memory that is not there gives what it could, and the descriptors beside a part of a
// stream come with its first byte and not before.
func TestFaultInAStreamWithRights(t *testing.T) {
	for _, tt := range []struct {
		there  int // bytes of the buffer
		want   int
		err    abi.Errno
		rights int
	}{
		{0, 0, abi.EFAULT, 0},
		{3, 3, abi.OK, 0},
		{10, 10, abi.OK, 0}, // up to where the descriptors are
		{11, 11, abi.OK, 1},
		{20, 20, abi.OK, 1},
	} {
		start(t, 64)
		a, b := pair(t, Stream)
		o := &thing{}
		f := file.New(o, 0)
		a.Write(usertest.In([]byte("0123456789")), 0)
		if _, err := a.Send(usertest.In([]byte("abcdefghij")), nil, rights(f), 0); err != abi.OK {
			t.Fatal(err)
		}
		for _, flags := range []int{MSG_PEEK, 0} {
			var r Rights
			got := make([]byte, tt.there)
			n, _, err := b.Recv(usertest.Broken(got, 20), nil, &r, flags)
			if n != tt.want || err != tt.err || r.N != tt.rights {
				t.Errorf("%d bytes there, flags %#x: %d, %d, %d descriptors; want %d, %d, %d", tt.there, flags, n, err, r.N, tt.want, tt.err, tt.rights)
			}
			r.Release()
		}
		var r Rights
		rest := make([]byte, 20)
		n, _, _ := b.Recv(usertest.Out(rest), nil, &r, 0)
		if string(rest[:n]) != "0123456789abcdefghij"[tt.want:] || r.N != 1-tt.rights {
			t.Errorf("%d bytes there: then %q and %d descriptors", tt.there, rest[:n], r.N)
		}
		r.Release()
		a.Close()
		b.Close()
		f.Release()
		reap()
		if o.closed != 1 {
			t.Errorf("%d bytes there: the file was closed %d times", tt.there, o.closed)
		}
	}
}
