package syscall

import (
	"testing"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/device"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/inet"
	"nexus/source/kernel/neuron/internal/unixsock"
	"nexus/source/libs/sockns"
)

// TestAddressLengths: an address may be as long as any family's, and as short as its family if that is none, which is the end of a
// datagram socket's peer (connect(2)); a name is told as far as there is room, and its length in any case (getsockname(2)).
func TestAddressLengths(t *testing.T) {
	n := enter(start(t))
	fd, data := n.socket(unixsock.Datagram, nonblock)
	defer data.Release()
	long := n.put(append([]byte{afInet, 0, 0, 80, 10, 0, 2, 2}, make([]byte, 128)...)...)
	n.call(nrConnect, fd, long, 128)
	if err := n.finish(sockns.Connect, abi.OK); err != abi.OK {
		t.Errorf("an address of 128 bytes: error %d", err)
	}
	n.want(abi.EINVAL, "an address of 129 bytes", nrConnect, fd, long, 129)
	for room := range uint32(18) {
		at, length := n.put(9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9), n.put(byte(room), 0, 0, 0)
		n.must(nrGetpeername, fd, at, length)
		told := min(int(room), 16)
		if got := n.bytes(at, 20); string(got[:told]) != string(n.bytes(long, 16)[:told]) || got[told] != 9 || n.word(length) != 16 {
			t.Errorf("room for %d: % x, length %d", room, got, n.word(length))
		}
	}
	none := n.put(afUnspec, 0)
	if _, err, blocked := n.call(nrConnect, fd, none, 2); blocked {
		err = n.finish(sockns.Connect, abi.OK)
		if err != abi.OK {
			t.Errorf("to no family: error %d", err)
		}
	} else if err != abi.OK {
		t.Errorf("to no family: error %d", err)
	}
	n.want(abi.EINVAL, "half a family", nrConnect, fd, none, 1)
	n.want(abi.ENOTCONN, "the peer that there was", nrGetpeername, fd, long, n.put(16, 0, 0, 0))
	n.want(abi.EFAULT, "a name nowhere", nrGetsockname, fd, nowhere, n.put(16, 0, 0, 0))
	n.want(abi.EFAULT, "a length nowhere", nrGetsockname, fd, long, nowhere)
	a, _ := n.pair(unixsock.Stream, nonblock)
	n.want(abi.EISCONN, "to send to an address of 128 bytes", nrSendto, a, long, 1, 0, long, 128)
	n.want(abi.EINVAL, "to send to one of 129", nrSendto, a, long, 1, 0, long, 129)
}

// TestServingEnd: the names below a device directory and a socket namespace, and the options of the end that serves one.
func TestServingEnd(t *testing.T) {
	p := start(t)
	fd, _ := p.thread.Files().Install(file.New(&device.Root, abi.O_RDONLY), 0, false)
	namespace := uint64(p.must(nrOpenat, uint64(fd), p.name("socketns"), abi.O_RDWR))
	f, _ := p.thread.Files().Get(int(namespace))
	if _, ok := f.Object.(*inet.Namespace); !ok {
		t.Fatal("socketns is no socket namespace")
	}
	p.want(abi.ENOENT, "another name in a namespace", nrOpenat, namespace, p.name("other"), abi.O_RDWR)
	server := uint64(p.must(nrOpenat, namespace, p.name("serve"), abi.O_RDWR))
	value := p.room(8)
	for option, want := range map[uint64]uint32{inet.SO_TYPE: uint32(unixsock.Seqpacket), inet.SO_ERROR: 0, inet.SO_DOMAIN: afUnix} {
		p.thread.Memory().Store(value, []byte{9, 9, 9, 9})
		p.must(nrGetsockopt, server, inet.SOL_SOCKET, option, value, p.put(4, 0, 0, 0))
		if got := p.word(value); got != want {
			t.Errorf("option %d: %d, want %d", option, got, want)
		}
	}
	p.want(abi.EOPNOTSUPP, "another level", nrGetsockopt, server, inet.IPPROTO_TCP, 1, value, p.put(4, 0, 0, 0))
	p.thread.Memory().Store(value, []byte{9, 9, 9, 9})
	p.must(nrGetsockopt, server, inet.SOL_SOCKET, inet.SO_TYPE, value, p.put(0, 0, 0, 0))
	if p.word(value) != 0x09090909 {
		t.Errorf("%#x is written where there is no room", p.word(value))
	}
}
