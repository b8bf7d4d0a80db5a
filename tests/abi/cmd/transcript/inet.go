package main

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// loopback is 127.0.0.1 with a port.
func loopback(port int) *unix.SockaddrInet4 {
	return &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}
}

func inet(kind int) int {
	return must(unix.Socket(unix.AF_INET, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0))
}

// bound returns a socket on a free port of 127.0.0.1, and the port.
func bound(kind int) (fd, port int) {
	fd = inet(kind)
	must(0, unix.Bind(fd, loopback(0)))
	return fd, localPort(fd)
}

func localPort(fd int) int {
	own, _ := must(unix.Getsockname(fd)).(*unix.SockaddrInet4)
	if own == nil {
		return 0
	}
	return own.Port
}

// same tells whether an address is 127.0.0.1 with that port.
func same(a unix.Sockaddr, port int) string {
	v4, ok := a.(*unix.SockaddrInet4)
	if !ok {
		return fmt.Sprintf("%T", a)
	}
	if v4.Addr != [4]byte{127, 0, 0, 1} || v4.Port != port {
		return "another address"
	}
	return "as expected"
}

// awaitEvents waits until a descriptor shows one of the events.
func awaitEvents(fd int, events uint32) {
	epoll := watch(fd, events)
	poll(epoll, wait)
	unix.Close(epoll)
}

// readAll reads until there is as much as wanted, the end, or an error.
func readAll(fd, want int) (data []byte, err error) {
	buffer := make([]byte, 1<<16)
	for len(data) < want {
		awaitEvents(fd, unix.EPOLLIN)
		n, err := again(func() (int, error) { return unix.Read(fd, buffer) })
		if err != nil || n == 0 {
			return data, err
		}
		data = append(data, buffer[:n]...)
	}
	return data, nil
}

// options sets and gets what both kinds of socket have.
func (r *report) options(fd int) {
	get := func(what string, level, option int) {
		v, err := unix.GetsockoptInt(fd, level, option)
		r.number(what, v, err)
	}
	get("SO_TYPE", unix.SOL_SOCKET, unix.SO_TYPE)
	get("SO_DOMAIN", unix.SOL_SOCKET, unix.SO_DOMAIN)
	get("SO_PROTOCOL", unix.SOL_SOCKET, unix.SO_PROTOCOL)
	get("SO_ERROR", unix.SOL_SOCKET, unix.SO_ERROR)
	get("SO_REUSEADDR", unix.SOL_SOCKET, unix.SO_REUSEADDR)
	r.err("set SO_REUSEADDR", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
	get("SO_REUSEADDR", unix.SOL_SOCKET, unix.SO_REUSEADDR)
	r.err("set SO_BROADCAST", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1))
	r.err("set SO_RCVBUF", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 65536))
	size, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	r.say("SO_RCVBUF", "at least that %v, %s", size >= 65536, name(err))
	get("an unknown option", unix.SOL_SOCKET, 9999)
	get("an unknown level", 9999, 1)
	r.err("set an unknown option", unix.SetsockoptInt(fd, unix.SOL_SOCKET, 9999, 1))
	_, err = raw(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, address(new(int32)), 2)
	r.err("set from 2 bytes", err)
	_, err = raw(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_TYPE, 8, 8)
	r.err("get to a bad address", err)
}

// refusedSockets asks for what there is not.
func refusedSockets(r *report) {
	for _, tc := range []struct {
		what                   string
		domain, kind, protocol int
	}{
		{"socket of an unknown family", 99, unix.SOCK_STREAM, 0},
		{"socket of an unknown type", unix.AF_INET, 15, 0},
		{"stream with the protocol of datagrams", unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_UDP},
		{"datagram with the protocol of streams", unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_TCP},
		{"stream with its own protocol", unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_TCP},
		{"datagram with its own protocol", unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_UDP},
	} {
		fd, err := unix.Socket(tc.domain, tc.kind|unix.SOCK_CLOEXEC, tc.protocol)
		r.err(tc.what, err)
		if err == nil {
			unix.Close(fd)
		}
	}
}

// readyWithin is ready for events that come after a while: it asks for each in turn until all of want are there.
func (r *report) readyWithin(what string, epoll int, want uint32) {
	seen := uint32(0)
	for deadline := time.Now().Add(wait); seen&want != want && time.Now().Before(deadline); {
		for _, e := range poll(epoll, wait) {
			seen = e.Events
		}
	}
	r.say(what, "%s", eventNames(seen&want))
}
