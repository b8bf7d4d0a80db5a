package syscall

import (
	"encoding/binary"
	"testing"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/unixsock"
	"nexus/source/kernel/neuron/internal/user"
)

// vectorsOf is a struct msghdr with count vectors of the same n bytes.
func (p *caller) vectorsOf(at uint64, n, count int) uint64 {
	h := make([]byte, msgSize)
	binary.LittleEndian.PutUint64(h[msgVectors:], p.vector(at, n, count))
	binary.LittleEndian.PutUint64(h[msgCount:], uint64(count))
	return p.put(h...)
}

// TestMessageLimits: sendmsg(2) takes as many vectors as IOV_MAX, and unix(7)'s SCM_RIGHTS as many descriptors as SCM_MAX_FD, or none.
func TestMessageLimits(t *testing.T) {
	p := start(t)
	a, b := p.pair(unixsock.Seqpacket, nonblock)
	at := p.room(1100)
	send := func(m uint64) (int64, abi.Errno) {
		n, err, more := p.call(nrSendmsg, a, m, 0)
		if more {
			n, err, _ = p.finish()
		}
		return n, err
	}
	if n, err := send(p.vectorsOf(at, 1, user.MaxVectors)); n != user.MaxVectors || err != abi.OK {
		t.Errorf("as many vectors as there may be: %d, error %d", n, err)
	}
	if _, err := send(p.vectorsOf(at, 1, user.MaxVectors+1)); err != abi.EMSGSIZE {
		t.Errorf("one more: error %d, want EMSGSIZE", err)
	}
	if n := p.must(nrRecvfrom, b, at, 1100, 0, 0, 0); n != user.MaxVectors {
		t.Errorf("%d bytes came, want %d", n, user.MaxVectors)
	}
	fds := make([]uint64, unixsock.MaxRights)
	for i := range fds {
		fds[i] = a
	}
	for _, fds := range [][]uint64{nil, fds[:1], fds} {
		control, size := p.rights(fds...)
		if n, err := send(p.message(at, 1, control, size)); n != 1 || err != abi.OK {
			t.Errorf("%d descriptors: %d, error %d", len(fds), n, err)
		}
		room := p.room(maxControl)
		m := p.message(at, 1, room, maxControl)
		p.must(nrRecvmsg, b, m, 0)
		got := 0
		if p.long(m+msgControlLen) != 0 {
			got = int(p.long(room)-cmsgHead) / 4
		}
		if got != len(fds) || p.word(m+msgFlags) != 0 {
			t.Errorf("%d descriptors came, flags %#x, want %d", got, p.word(m+msgFlags), len(fds))
		}
		for i := range got {
			p.must(nrClose, uint64(p.word(room+cmsgHead+4*uint64(i))))
		}
	}
}
