package syscall

import (
	"testing"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/device"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/unixsock"
)

// TestLastReferenceOnItsWay: a socket whose one reference waits at its own peer is closed by whatever takes the message from there,
// which goes on with the peer, and on Linux answers as if nothing were odd.
func TestLastReferenceOnItsWay(t *testing.T) {
	const size = 60000 // more than a quarter of the bound: taking it makes room, of which the sender would be told
	for _, tt := range []struct {
		what string
		kind unixsock.Type
		take func(p *caller, s uint64) (int64, abi.Errno)
		n    int64
		err  abi.Errno
	}{
		{"read of a byte", unixsock.Stream, func(p *caller, s uint64) (int64, abi.Errno) {
			v, err, _ := p.call(nrRead, s, p.room(1), 1)
			return v, err
		}, 1, abi.OK},
		{"read", unixsock.Seqpacket, func(p *caller, s uint64) (int64, abi.Errno) {
			v, err, _ := p.call(nrRead, s, p.room(1), 1)
			return v, err
		}, 1, abi.OK},
		{"read of a datagram", unixsock.Datagram, func(p *caller, s uint64) (int64, abi.Errno) {
			v, err, _ := p.call(nrRead, s, p.room(1), 1)
			return v, err
		}, 1, abi.OK},
		{"recvfrom with MSG_TRUNC", unixsock.Seqpacket, func(p *caller, s uint64) (int64, abi.Errno) {
			v, err, _ := p.call(nrRecvfrom, s, p.room(1), 1, unixsock.MSG_TRUNC, 0, 0)
			return v, err
		}, size, abi.OK},
		{"recvmsg without control data", unixsock.Stream, func(p *caller, s uint64) (int64, abi.Errno) {
			v, err, _ := p.call(nrRecvmsg, s, p.message(p.room(9), 9, 0, 0), 0)
			return v, err
		}, 9, abi.OK},
		{"recvmsg with too little control data", unixsock.Seqpacket, func(p *caller, s uint64) (int64, abi.Errno) {
			v, err, _ := p.call(nrRecvmsg, s, p.message(p.room(9), 9, p.room(16), 16), 0)
			return v, err
		}, 9, abi.OK},
		{"recvmsg to nowhere", unixsock.Seqpacket, func(p *caller, s uint64) (int64, abi.Errno) {
			v, err, _ := p.call(nrRecvmsg, s, p.message(8, 9, p.room(24), 24), 0)
			return v, err
		}, 0, abi.EFAULT},
		{"recvmsg of a header that is not there", unixsock.Stream, func(p *caller, s uint64) (int64, abi.Errno) {
			v, err, _ := p.call(nrRecvmsg, s, 8, 0)
			return v, err
		}, 0, abi.EFAULT},
		{"peek", unixsock.Stream, func(p *caller, s uint64) (int64, abi.Errno) {
			v, err, _ := p.call(nrRecvfrom, s, p.room(9), 9, unixsock.MSG_PEEK, 0, 0)
			return v, err
		}, 9, abi.OK},
		{"close", unixsock.Stream, func(p *caller, s uint64) (int64, abi.Errno) {
			v, err, _ := p.call(nrClose, s)
			return v, err
		}, 0, abi.OK},
		{"dup3 over it", unixsock.Datagram, func(p *caller, s uint64) (int64, abi.Errno) {
			r, _ := p.pipe()
			v, err, _ := p.call(nrDup3, r, s, 0)
			return v - int64(s), err
		}, 0, abi.OK},
	} {
		t.Run(tt.what, func(t *testing.T) {
			p := start(t)
			sender, s := p.pair(tt.kind, nonblock)
			control, length := p.rights(sender)
			p.must(nrSendmsg, sender, p.message(p.room(size), size, control, length), 0)
			p.must(nrClose, sender)
			if n, err := tt.take(p, s); n != tt.n || err != tt.err {
				t.Errorf("got %d, error %d, want %d, error %d", n, err, tt.n, tt.err)
			}
		})
	}
}

// TestConsoleDescriptions: each open of the console is a description of its own, as on Linux: what one sets is not the other's.
func TestConsoleDescriptions(t *testing.T) {
	const setFL, getFL = 4, 3
	p := start(t)
	fd, _ := p.thread.Files().Install(file.New(&device.Root, abi.O_RDONLY), 0, false)
	name := p.put([]byte("console\x00")...)
	a := uint64(p.must(nrOpenat, uint64(fd), name, abi.O_RDWR))
	b := uint64(p.must(nrOpenat, uint64(fd), name, abi.O_RDWR))
	p.must(nrFcntl, a, setFL, abi.O_NONBLOCK)
	if v := p.must(nrFcntl, b, getFL); v&abi.O_NONBLOCK != 0 {
		t.Errorf("flags of the other: %#o", v)
	}
}
