package main

import (
	"bytes"

	"golang.org/x/sys/unix"
)

func udp(r *report) {
	fd := inet(unix.SOCK_DGRAM)
	r.options(fd)
	unix.Close(fd)
	udpUnconnected(r)
	udpConnected(r)
	udpSizes(r)
}

// udpUnconnected sends between two sockets by address.
func udpUnconnected(r *report) {
	a, aPort := bound(unix.SOCK_DGRAM)
	b, bPort := bound(unix.SOCK_DGRAM)
	r.say("ports were chosen", "%v", aPort != 0 && bPort != 0 && aPort != bPort)
	buffer := make([]byte, 16)
	n, err := unix.Read(a, buffer)
	r.number("read nothing", n, err)
	n, err = unix.SendmsgN(a, []byte("x"), nil, nil, 0)
	r.number("send without an address", n, err)
	_, err = unix.Getpeername(a)
	r.err("getpeername", err)
	r.err("listen", unix.Listen(a, 1))
	_, _, err = unix.Accept4(a, 0)
	r.err("accept", err)
	other := inet(unix.SOCK_DGRAM)
	r.err("bind to a taken port", unix.Bind(other, loopback(aPort)))
	r.err("send to another family", unix.Sendto(a, []byte("x"), 0, &unix.SockaddrInet6{Port: 9}))
	r.err("send to port 0", unix.Sendto(a, []byte("x"), 0, loopback(0)))
	unix.Close(other)

	epoll := watch(b, unix.EPOLLIN|unix.EPOLLOUT)
	r.ready("idle", epoll, allEvents, 0)
	r.err("sendto", unix.Sendto(a, []byte("first"), 0, loopback(bPort)))
	r.err("sendto", unix.Sendto(a, []byte("second"), 0, loopback(bPort)))
	r.err("sendto, empty", unix.Sendto(a, nil, 0, loopback(bPort)))
	r.err("sendto", unix.Sendto(a, []byte("fourth"), 0, loopback(bPort)))
	r.readyWithin("they came", epoll, unix.EPOLLIN|unix.EPOLLOUT)
	n, from, err := unix.Recvfrom(b, buffer, unix.MSG_PEEK)
	r.data("peek", buffer, max(n, 0), err)
	r.say("from", "%s", same(from, aPort))
	n, from, err = unix.Recvfrom(b, buffer, 0)
	r.data("recvfrom", buffer, max(n, 0), err)
	r.say("from", "%s", same(from, aPort))
	awaitEvents(b, unix.EPOLLIN)
	r.receive("a short recvmsg", b, 3, 0, 0)
	awaitEvents(b, unix.EPOLLIN)
	r.receive("an empty one", b, 3, 0, 0)
	awaitEvents(b, unix.EPOLLIN)
	r.receive("a short recvmsg with MSG_TRUNC", b, 3, 0, unix.MSG_TRUNC)
	r.receive("none left", b, 3, 0, 0)
	closeAll(a, b, epoll)
}

// udpConnected connects a socket to another, to nobody, and to nothing.
func udpConnected(r *report) {
	a, aPort := bound(unix.SOCK_DGRAM)
	b, bPort := bound(unix.SOCK_DGRAM)
	stranger, _ := bound(unix.SOCK_DGRAM)
	r.err("connect", unix.Connect(a, loopback(bPort)))
	peer, err := unix.Getpeername(a)
	r.say("getpeername", "%s, %s", same(peer, bPort), name(err))
	n, err := unix.Write(a, []byte("hello"))
	r.number("write", n, err)
	awaitEvents(b, unix.EPOLLIN)
	buffer := make([]byte, 16)
	n, from, err := unix.Recvfrom(b, buffer, 0)
	r.data("it came", buffer, max(n, 0), err)
	r.say("from", "%s", same(from, aPort))
	r.err("a stranger sends", unix.Sendto(stranger, []byte("strange"), 0, loopback(aPort)))
	r.err("the peer sends", unix.Sendto(b, []byte("answer"), 0, loopback(aPort)))
	awaitEvents(a, unix.EPOLLIN)
	n, err = unix.Read(a, buffer)
	r.data("only the peer is heard", buffer, n, err)
	n, err = unix.Read(a, buffer)
	r.number("nothing else", n, err)
	r.err("send elsewhere", unix.Sendto(a, []byte("to stranger"), 0, loopback(localPort(stranger))))
	awaitEvents(stranger, unix.EPOLLIN)
	n, err = unix.Read(stranger, buffer)
	r.data("it came", buffer, n, err)
	_, err = raw(unix.SYS_CONNECT, uintptr(a), address(&[16]byte{unix.AF_UNSPEC}), 16)
	r.err("dissolve", err)
	_, err = unix.Getpeername(a)
	r.err("getpeername", err)
	n, err = unix.SendmsgN(a, []byte("x"), nil, nil, 0)
	r.number("send without an address", n, err)

	unix.Close(b)
	r.err("connect to nobody", unix.Connect(a, loopback(bPort)))
	n, err = unix.Write(a, []byte("anybody?"))
	r.number("write to nobody", n, err)
	awaitEvents(a, unix.EPOLLIN)
	n, err = unix.Read(a, buffer)
	r.number("nobody is there", n, err)
	n, err = unix.Read(a, buffer)
	r.number("told once", n, err)
	closeAll(a, stranger)
}

// udpSizes sends the largest datagram and one more byte.
func udpSizes(r *report) {
	a, _ := bound(unix.SOCK_DGRAM)
	b, bPort := bound(unix.SOCK_DGRAM)
	const largest = 65507
	r.err("send too much", unix.Sendto(a, make([]byte, largest+1), 0, loopback(bPort)))
	sent := bytes.Repeat([]byte("abcdefg"), largest/7+1)[:largest]
	r.err("send the most", unix.Sendto(a, sent, 0, loopback(bPort)))
	awaitEvents(b, unix.EPOLLIN)
	buffer := make([]byte, largest+10)
	n, _, err := unix.Recvfrom(b, buffer, 0)
	r.say("receive it", "%d bytes, equal %v, %s", n, bytes.Equal(buffer[:max(n, 0)], sent), name(err))
	closeAll(a, b)
}
