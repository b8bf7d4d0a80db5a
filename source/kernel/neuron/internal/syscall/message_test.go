package syscall

import (
	"encoding/binary"
	"testing"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/unixsock"
	"nexus/source/kernel/neuron/internal/user"
	"nexus/source/kernel/neuron/internal/user/usertest"
	"nexus/source/libs/sockns"
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
		if want := uint64(cmsgHead+4*got+7) &^ 7; got > 0 && p.long(m+msgControlLen) != min(want, maxControl) {
			t.Errorf("%d descriptors in %d bytes of control data, want CMSG_SPACE, %d", got, p.long(m+msgControlLen), want)
		}
		for i := range got {
			p.must(nrClose, uint64(p.word(room+cmsgHead+4*uint64(i))))
		}
	}
}

// TestLongSendOfAStream: a send on a stream that may wait goes on until everything is sent, one that must not has what fits.
func TestLongSendOfAStream(t *testing.T) {
	const total = 500_000
	n := enter(start(t))
	fd, data := n.socket(unixsock.Stream, 0)
	defer data.Release()
	n.call(nrConnect, fd, n.address(80, 10, 0, 2, 2), 16)
	if err := n.finish(sockns.Connect, abi.OK); err != abi.OK {
		t.Fatal(err)
	}
	body := n.room(total)
	_, _, blocked := n.call(nrSendto, fd, body, total, 0, 0, 0)
	if !blocked {
		t.Fatal("500000 bytes fit")
	}
	peer, got := data.Object.(*unixsock.Socket), 0
	drain := func() {
		for {
			b := make([]byte, 100_000)
			k, err := peer.Read(usertest.Out(b), 0)
			if err != abi.OK {
				return
			}
			got += k
		}
	}
	var sent int64
	for blocked && got < total {
		drain()
		sent, _, blocked = n.woken()
	}
	if drain(); sent != total || got != total || blocked {
		t.Errorf("sent %d bytes, of which %d came, asleep %v, want %d", sent, got, blocked, total)
	}
	part := n.must(nrSendto, fd, body, total, unixsock.MSG_DONTWAIT, 0, 0)
	if part == 0 || part == total {
		t.Errorf("%d bytes without waiting, want what fits", part)
	}
	n.want(abi.EAGAIN, "one more", nrSendto, fd, body, 1, unixsock.MSG_DONTWAIT, 0, 0)
}
