package main

import (
	"crypto/sha256"

	"golang.org/x/sys/unix"
)

func tcp(r *report) {
	refusedSockets(r)
	tcpUnconnected(r)
	tcpRefused(r)
	tcpConnection(r)
	tcpBulk(r)
	tcpClosing(r)
}

// tcpUnconnected uses sockets that lead nowhere yet.
func tcpUnconnected(r *report) {
	fd := inet(unix.SOCK_STREAM)
	r.options(fd)
	buffer := make([]byte, 8)
	n, err := unix.Read(fd, buffer)
	r.number("read unconnected", n, err)
	n, err = unix.SendmsgN(fd, []byte("x"), nil, nil, unix.MSG_NOSIGNAL)
	r.number("send unconnected", n, err)
	_, err = unix.Getpeername(fd)
	r.err("getpeername unconnected", err)
	own, err := unix.Getsockname(fd)
	v4, _ := own.(*unix.SockaddrInet4)
	r.say("getsockname unbound", "%s, all zero %v", name(err), v4 != nil && *v4 == unix.SockaddrInet4{})
	r.err("shutdown unconnected", unix.Shutdown(fd, unix.SHUT_WR))
	_, _, err = unix.Accept4(fd, 0)
	r.err("accept without listen", err)
	r.err("bind to another machine's address", unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{192, 0, 2, 1}}))
	r.err("bind to another family", unix.Bind(fd, &unix.SockaddrInet6{}))
	_, err = raw(unix.SYS_BIND, uintptr(fd), address(&[16]byte{2}), 4)
	r.err("bind to half an address", err)
	_, err = raw(unix.SYS_BIND, uintptr(fd), 8, 16)
	r.err("bind to a bad address", err)
	r.err("bind", unix.Bind(fd, loopback(0)))
	r.say("a port was chosen", "%v", localPort(fd) != 0)
	r.err("bind again", unix.Bind(fd, loopback(0)))
	other := inet(unix.SOCK_STREAM)
	r.err("bind to a taken port", unix.Bind(other, loopback(localPort(fd))))
	r.err("listen", unix.Listen(fd, 4))
	r.err("listen again", unix.Listen(fd, 8))
	_, _, err = unix.Accept4(fd, 0)
	r.err("accept when nobody calls", err)
	_, _, err = unix.Accept4(fd, 1)
	r.err("accept with a bad flag", err)
	v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	r.number("SO_ACCEPTCONN", v, err)
	v, err = unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY)
	r.number("TCP_NODELAY", v, err)
	r.err("set TCP_NODELAY", unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1))
	v, err = unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY)
	r.number("TCP_NODELAY", v, err)
	r.err("set SO_KEEPALIVE", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1))
	v, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE)
	r.number("SO_KEEPALIVE", v, err)
	read, write := pipe2(0)
	r.err("bind a pipe", unix.Bind(read, loopback(0)))
	r.err("connect a bad descriptor", unix.Connect(99999, loopback(1)))
	closeAll(fd, other, read, write)
}

// tcpRefused calls a port on which nobody listens.
func tcpRefused(r *report) {
	fd, port := bound(unix.SOCK_STREAM) // bound, but not listening: it refuses, and nobody else takes the port
	caller := inet(unix.SOCK_STREAM)
	r.err("connect where nobody listens", unix.Connect(caller, loopback(port)))
	epoll := watch(caller, unix.EPOLLOUT)
	r.readyWithin("it fails", epoll, unix.EPOLLERR|unix.EPOLLHUP|unix.EPOLLOUT)
	v, err := unix.GetsockoptInt(caller, unix.SOL_SOCKET, unix.SO_ERROR)
	r.say("SO_ERROR", "%s, %s", name(unix.Errno(v)), name(err))
	v, err = unix.GetsockoptInt(caller, unix.SOL_SOCKET, unix.SO_ERROR)
	r.number("SO_ERROR again", v, err)
	closeAll(caller, epoll)
	blocking := must(unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0))
	r.err("connect and wait", unix.Connect(blocking, loopback(port)))
	closeAll(blocking, fd)
}

// connection makes a connection and returns both ends and the listener.
func connection() (listener, caller, callee int) {
	listener, port := bound(unix.SOCK_STREAM)
	must(0, unix.Listen(listener, 8))
	caller = inet(unix.SOCK_STREAM)
	if err := unix.Connect(caller, loopback(port)); err != unix.EINPROGRESS {
		must(0, err)
	}
	awaitEvents(caller, unix.EPOLLOUT)
	awaitEvents(listener, unix.EPOLLIN)
	callee, _, err := unix.Accept4(listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	must(0, err)
	return listener, caller, callee
}

// tcpConnection connects, talks and half-closes.
func tcpConnection(r *report) {
	listener, port := bound(unix.SOCK_STREAM)
	must(0, unix.Listen(listener, 8))
	waiting := watch(listener, unix.EPOLLIN)
	caller := inet(unix.SOCK_STREAM)
	r.err("connect", unix.Connect(caller, loopback(port)))
	called := watch(caller, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLRDHUP)
	r.ready("the caller", called, allEvents, wait)
	r.ready("the listener", waiting, allEvents, wait)
	v, err := unix.GetsockoptInt(caller, unix.SOL_SOCKET, unix.SO_ERROR)
	r.number("SO_ERROR", v, err)
	r.err("connect again", unix.Connect(caller, loopback(port)))
	r.err("connect a third time", unix.Connect(caller, loopback(port)))
	callee, from, err := unix.Accept4(listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	r.err("accept", err)
	r.say("it comes from the caller", "%s", same(from, localPort(caller)))
	own, err := unix.Getsockname(callee)
	r.say("its own address", "%s, %s", same(own, port), name(err))
	peer, err := unix.Getpeername(caller)
	r.say("the caller's peer", "%s, %s", same(peer, port), name(err))
	peer, err = unix.Getpeername(callee)
	r.say("its peer", "%s, %s", same(peer, localPort(caller)), name(err))
	flags, err := unix.FcntlInt(uintptr(callee), unix.F_GETFL, 0)
	r.say("accept4's O_NONBLOCK", "%v, %s", flags&unix.O_NONBLOCK != 0, name(err))
	v, err = unix.FcntlInt(uintptr(callee), unix.F_GETFD, 0)
	r.number("accept4's FD_CLOEXEC", v, err)
	r.ready("the listener has no more", waiting, allEvents, 0)

	buffer := make([]byte, 16)
	n, err := unix.Read(callee, buffer)
	r.number("read nothing", n, err)
	n, err = unix.Write(caller, []byte("question"))
	r.number("write", n, err)
	awaitEvents(callee, unix.EPOLLIN)
	r.receive("peek", callee, 4, 0, unix.MSG_PEEK)
	n, err = unix.Read(callee, buffer)
	r.data("read", buffer, n, err)
	n, from, err = unix.Recvfrom(callee, buffer, unix.MSG_DONTWAIT)
	r.say("recvfrom nothing", "%d, %v, %s", n, from == nil, name(err))
	n, err = unix.Write(callee, []byte("answer"))
	r.number("write back", n, err)
	r.readyWithin("the caller has data", called, unix.EPOLLIN|unix.EPOLLOUT)
	n, from, err = unix.Recvfrom(caller, buffer, 0)
	r.data("recvfrom", buffer, n, err)
	r.say("its address", "none %v", from == nil)
	_, err = unix.Seek(caller, 0, unix.SEEK_CUR)
	r.err("seek", err)

	r.err("shut down writing", unix.Shutdown(callee, unix.SHUT_WR))
	r.readyWithin("the caller sees it", called, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLRDHUP)
	n, err = unix.Read(caller, buffer)
	r.number("read the end", n, err)
	n, err = unix.SendmsgN(callee, []byte("x"), nil, nil, unix.MSG_NOSIGNAL)
	r.number("write after shutting down", n, err)
	n, err = unix.Write(caller, []byte("still"))
	r.number("the other way still works", n, err)
	data, err := readAll(callee, 5)
	r.data("read it", data, len(data), err)
	unix.Close(caller)
	data, err = readAll(callee, 1)
	r.data("and the end", data, len(data), err)
	closeAll(callee, listener, waiting, called)
}

// tcpBulk sends a mebibyte and compares.
func tcpBulk(r *report) {
	listener, caller, callee := connection()
	sent := make([]byte, 1<<20)
	for i := range sent {
		sent[i] = byte(i*7 + i>>8)
	}
	go func() {
		for left := sent; len(left) > 0; {
			n, err := again(func() (int, error) { return unix.Write(caller, left) })
			if err == unix.EAGAIN {
				awaitEvents(caller, unix.EPOLLOUT)
				continue
			}
			if err != nil {
				break
			}
			left = left[n:]
		}
		unix.Shutdown(caller, unix.SHUT_WR)
	}()
	got, err := readAll(callee, len(sent)+1)
	r.say("a mebibyte", "%d bytes, equal %v, %s", len(got), sha256.Sum256(got) == sha256.Sum256(sent), name(err))
	closeAll(listener, caller, callee)
}

// tcpClosing closes ends and listeners under others.
func tcpClosing(r *report) {
	listener, caller, callee := connection()
	unix.Write(caller, []byte("unread"))
	awaitEvents(callee, unix.EPOLLIN)
	unix.Close(callee) // with data unread: the caller is reset
	awaitEvents(caller, unix.EPOLLIN)
	n, err := unix.Read(caller, make([]byte, 8))
	r.number("read after a reset", n, err)
	n, err = unix.Read(caller, make([]byte, 8))
	r.number("read again", n, err)
	n, err = unix.SendmsgN(caller, []byte("x"), nil, nil, unix.MSG_NOSIGNAL)
	r.number("write after a reset", n, err)
	port := localPort(listener)
	closeAll(caller, listener)
	caller = must(unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0))
	r.err("connect to a closed listener", unix.Connect(caller, loopback(port)))
	unix.Close(caller)
}
