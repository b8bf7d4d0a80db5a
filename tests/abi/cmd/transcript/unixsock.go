package main

import (
	"bytes"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// pair makes two connected sockets.
func pair(kind int) (a, b int) {
	p := must(unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0))
	return p[0], p[1]
}

// receive is recvmsg with the flags that came out and the size of the control data.
func (r *report) receive(what string, fd, size, control, flags int) []byte {
	buffer := make([]byte, size)
	oob := make([]byte, control)
	n, oobn, out, _, err := unix.Recvmsg(fd, buffer, oob, flags)
	if err != nil {
		r.err(what, err)
		return nil
	}
	text := fmt.Sprintf("%q", buffer[:min(n, size)])
	for _, f := range []struct {
		bit  int
		name string
	}{{unix.MSG_TRUNC, "MSG_TRUNC"}, {unix.MSG_CTRUNC, "MSG_CTRUNC"}} {
		if out&f.bit != 0 {
			text += " " + f.name
		}
	}
	if n > size {
		text += fmt.Sprintf(" of %d", n)
	}
	r.say(what, "%s", text)
	return oob[:oobn]
}

func unixStreams(r *report) {
	for _, tc := range []struct {
		what                   string
		domain, kind, protocol int
	}{
		{"pair of AF_INET", unix.AF_INET, unix.SOCK_STREAM, 0},
		{"pair of an unknown family", 99, unix.SOCK_STREAM, 0},
		{"pair of an unknown type", unix.AF_UNIX, 15, 0},
		{"pair with an unknown protocol", unix.AF_UNIX, unix.SOCK_STREAM, 99},
	} {
		_, err := unix.Socketpair(tc.domain, tc.kind, tc.protocol)
		r.err(tc.what, err)
	}
	a, b := pair(unix.SOCK_STREAM | unix.SOCK_NONBLOCK)
	buffer := make([]byte, 64)
	n, err := unix.Read(a, buffer)
	r.number("read nothing", n, err)
	n, err = unix.Write(a, []byte("hello "))
	r.number("write", n, err)
	unix.Write(a, []byte("there"))
	r.receive("peek", b, 5, 0, unix.MSG_PEEK)
	n, err = unix.Read(b, buffer[:3])
	r.data("read 3", buffer, n, err)
	n, err = unix.Read(b, buffer)
	r.data("the rest is one stream", buffer, n, err)
	n, err = unix.Write(b, []byte("back"))
	r.number("the other way", n, err)
	r.receive("recvmsg", a, 64, 0, 0)
	_, err = unix.Seek(a, 0, unix.SEEK_CUR)
	r.err("seek", err)

	for _, o := range []struct {
		what string
		name int
	}{{"SO_TYPE", unix.SO_TYPE}, {"SO_DOMAIN", unix.SO_DOMAIN}, {"SO_ERROR", unix.SO_ERROR}, {"SO_ACCEPTCONN", unix.SO_ACCEPTCONN}} {
		v, err := unix.GetsockoptInt(a, unix.SOL_SOCKET, o.name)
		r.number(o.what, v, err)
	}
	_, err = unix.GetsockoptInt(a, unix.SOL_SOCKET, 9999)
	r.err("an unknown option", err)
	read, write := pipe2(0)
	_, err = unix.GetsockoptInt(read, unix.SOL_SOCKET, unix.SO_TYPE)
	r.err("an option of a pipe", err)
	r.err("shut down a pipe", unix.Shutdown(read, unix.SHUT_RD))
	closeAll(read, write)
	own, err := unix.Getsockname(a)
	_, isUnix := own.(*unix.SockaddrUnix)
	r.say("getsockname", "AF_UNIX %v, %s", isUnix, name(err))
	other, err := unix.Getpeername(a)
	_, isUnix = other.(*unix.SockaddrUnix)
	r.say("getpeername", "AF_UNIX %v, %s", isUnix, name(err))

	epoll := watch(b, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLRDHUP)
	r.ready("idle", epoll, allEvents, 0)
	r.err("shut down how?", unix.Shutdown(a, 9))
	r.err("shut down writing", unix.Shutdown(a, unix.SHUT_WR))
	r.ready("the other does not write", epoll, allEvents, 0)
	n, err = unix.Write(a, []byte("x"))
	r.number("write after shutting down", n, err)
	n, err = unix.Read(b, buffer)
	r.number("read the end", n, err)
	n, err = unix.Write(b, []byte("still"))
	r.number("the other way still works", n, err)
	n, err = unix.Read(a, buffer)
	r.data("read it", buffer, n, err)
	unix.Close(a)
	r.ready("the other is closed", epoll, allEvents, 0)
	n, err = unix.Write(b, []byte("x"))
	r.number("write to a closed one", n, err)
	n, err = unix.Read(b, buffer)
	r.number("read a closed one", n, err)
	closeAll(b, epoll)
	streamFull(r)
}

// streamFull fills a stream and drains it.
func streamFull(r *report) {
	a, b := pair(unix.SOCK_STREAM | unix.SOCK_NONBLOCK)
	epoll := watch(a, unix.EPOLLOUT)
	chunk := bytes.Repeat([]byte("0123456789abcdef"), 256)
	sent := 0
	var err error
	for err == nil {
		var n int
		if n, err = unix.Write(a, chunk); err == nil {
			sent += n
		}
	}
	r.say("fill", "more than 4096 %v, then %s", sent > 4096, name(err))
	r.ready("a full stream", epoll, allEvents, 0)
	received, equal := 0, true
	buffer := make([]byte, 4000)
	for {
		n, err := unix.Read(b, buffer)
		if err != nil {
			r.err("drain, then", err)
			break
		}
		for i := range n {
			equal = equal && buffer[i] == chunk[(received+i)%16]
		}
		received += n
	}
	r.say("all of it came, in order", "%v", received == sent && equal)
	r.ready("a drained stream", epoll, allEvents, 0)
	closeAll(a, b, epoll)
}

// unixMessages uses sockets that keep boundaries.
func unixMessages(r *report) {
	for _, kind := range []struct {
		name string
		kind int
	}{{"seqpacket", unix.SOCK_SEQPACKET}, {"datagram", unix.SOCK_DGRAM}} {
		r := &report{section: r.section + ": " + kind.name}
		a, b := pair(kind.kind | unix.SOCK_NONBLOCK)
		v, err := unix.GetsockoptInt(a, unix.SOL_SOCKET, unix.SO_TYPE)
		r.number("SO_TYPE", v, err)
		for _, m := range []string{"first", "second", "third one", "fourth"} {
			n, err := unix.Write(a, []byte(m))
			r.number("write", n, err)
		}
		r.receive("peek", b, 64, 0, unix.MSG_PEEK)
		r.receive("one at a time", b, 64, 0, 0)
		buffer := make([]byte, 3)
		n, err := unix.Read(b, buffer)
		r.data("a short read", buffer, n, err)
		r.receive("a short recvmsg", b, 5, 0, 0)
		r.receive("a short recvmsg with MSG_TRUNC", b, 5, 0, unix.MSG_TRUNC)
		r.receive("none left", b, 5, 0, 0)
		n, err = unix.Write(a, make([]byte, 8<<20))
		r.number("write far too much", n, err)
		n, err = unix.SendmsgN(a, []byte("gathered"), nil, nil, 0)
		r.number("sendmsg", n, err)
		r.receive("recvmsg", b, 64, 0, unix.MSG_DONTWAIT)
		epoll := watch(b, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLRDHUP)
		r.ready("idle", epoll, allEvents, 0)
		unix.Write(a, []byte("last"))
		unix.Close(a)
		if kind.kind == unix.SOCK_SEQPACKET {
			r.ready("a message, and the other is closed", epoll, allEvents, 0)
			r.receive("what was left", b, 64, 0, 0)
			r.receive("the end", b, 64, 0, 0)
		} else {
			r.ready("a message, and the other is closed", epoll, unix.EPOLLIN, 0)
			r.receive("what was left", b, 64, 0, 0)
			r.receive("nothing more", b, 64, 0, 0)
		}
		n, err = unix.Write(b, []byte("x"))
		r.number("write to a closed one", n, err)
		_, err = unix.Getpeername(b)
		r.err("getpeername after that", err)
		closeAll(b, epoll)
		a, b = pair(kind.kind | unix.SOCK_NONBLOCK)
		unix.Write(a, []byte("never read"))
		unix.Close(b)
		for range 2 {
			_, err = unix.SendmsgN(a, []byte("x"), unix.UnixRights(99999), nil, unix.MSG_NOSIGNAL)
			r.err("send a bad descriptor to one that closed with unread data", err)
		}
		unix.Close(a)
		shutMessages(r, kind.kind)
		addressed(r, kind.kind)
	}
	addressed(r, unix.SOCK_STREAM)
}

// shutMessages reads from a socket that receives no more.
func shutMessages(r *report, kind int) {
	a, b := pair(kind)
	unix.Write(a, []byte("before"))
	r.err("shut down reading", unix.Shutdown(b, unix.SHUT_RD))
	r.receive("what was sent before", b, 64, 0, 0)
	r.receive("the end", b, 64, 0, 0)
	r.receive("the end, without waiting", b, 64, 0, unix.MSG_DONTWAIT)
	n, err := unix.Read(b, make([]byte, 8))
	r.number("read", n, err)
	unix.SetNonblock(b, true)
	n, err = unix.Read(b, make([]byte, 8))
	r.number("read with O_NONBLOCK", n, err)
	n, err = unix.Readv(b, [][]byte{make([]byte, 8)})
	r.number("readv with O_NONBLOCK", n, err)
	n, err = unix.Write(a, []byte("after"))
	r.number("write to it", n, err)
	closeAll(a, b)
}

// addressed sends to an address on a socket of a pair.
func addressed(r *report, kind int) {
	a, b := pair(kind | unix.SOCK_NONBLOCK)
	for _, tc := range []struct {
		what string
		to   unix.Sockaddr
	}{
		{"another family", &unix.SockaddrInet4{Port: 80}},
		{"a path", &unix.SockaddrUnix{Name: "/no/socket"}},
		{"an abstract name", &unix.SockaddrUnix{Name: "@nexus has none"}},
	} {
		r.err(fmt.Sprintf("send to %s, type %d", tc.what, kind), unix.Sendto(a, []byte("x"), unix.MSG_NOSIGNAL, tc.to))
	}
	_, err := raw(unix.SYS_SENDTO, uintptr(a), 0, 0, 0, address(&[2]uint16{unix.AF_UNIX}), 2)
	r.err(fmt.Sprintf("send to a family alone, type %d", kind), err)
	_, err = raw(unix.SYS_SENDTO, uintptr(a), 0, 0, 0, 8, 16)
	r.err(fmt.Sprintf("send to a bad address, type %d", kind), err)
	_, err = raw(unix.SYS_SENDTO, uintptr(a), 0, 0, 0, address(&[64]uint16{unix.AF_UNIX}), 129)
	r.err(fmt.Sprintf("send to an address too long, type %d", kind), err)
	unix.Shutdown(a, unix.SHUT_WR)
	r.err(fmt.Sprintf("send to a path after shutting down, type %d", kind), unix.Sendto(a, []byte("x"), unix.MSG_NOSIGNAL, &unix.SockaddrUnix{Name: "/no/socket"}))
	closeAll(a, b)
}

// unixRights passes descriptors.
func unixRights(r *report) {
	waitAll(r)
	lastReference(r)
	a, b := pair(unix.SOCK_SEQPACKET | unix.SOCK_NONBLOCK)
	read, write := pipe2(0)
	n, err := unix.SendmsgN(a, []byte("two"), unix.UnixRights(read, write), nil, 0)
	r.number("send two descriptors", n, err)
	fds := r.descriptors("receive them", b, 64, unix.CmsgSpace(8), unix.MSG_CMSG_CLOEXEC)
	for _, fd := range fds {
		v, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		r.number("MSG_CMSG_CLOEXEC", v, err)
	}
	closeAll(read, write)
	if len(fds) == 2 {
		unix.Write(fds[1], []byte("through"))
		buffer := make([]byte, 16)
		n, err := unix.Read(fds[0], buffer)
		r.data("they work when the originals are closed", buffer, n, err)
	}
	closeAll(fds...)

	read, write = pipe2(0)
	send := func(what string, flags int, fds ...int) {
		n, err := unix.SendmsgN(a, []byte("m"), unix.UnixRights(fds...), nil, flags)
		r.number(what, n, err)
	}
	send("send a bad descriptor", 0, 99999)
	send("send one", 0, read)
	closeAll(r.descriptors("without MSG_CMSG_CLOEXEC", b, 64, unix.CmsgSpace(4), 0)...)
	send("send two", 0, read, write)
	closeAll(r.descriptors("room for one", b, 64, unix.CmsgLen(4), 0)...)
	send("send one", 0, read)
	closeAll(r.descriptors("no room", b, 64, 0, 0)...)
	send("send one", 0, read)
	closeAll(r.descriptors("peek", b, 64, unix.CmsgSpace(4), unix.MSG_PEEK)...)
	closeAll(r.descriptors("receive what was peeked at", b, 64, unix.CmsgSpace(4), 0)...)
	send("send one", 0, read)
	n, err = unix.Read(b, make([]byte, 8))
	r.number("read drops it", n, err)
	many := make([]int, 254)
	for i := range many {
		many[i] = read
	}
	send("send too many", 0, many...)
	closeAll(read)
	send("send one", 0, write)
	unix.Close(write)
	unix.Close(b) // the pipe's writing end goes with the queue
	n, err = unix.SendmsgN(a, []byte("m"), nil, nil, unix.MSG_NOSIGNAL)
	r.number("send to a closed one", n, err)
	unix.Close(a)

	dropsQueue(r)
}

// descriptors receives a message and says how many descriptors came with it.
func (r *report) descriptors(what string, fd, size, control, flags int) []int {
	oob := r.receive(what, fd, size, control, flags)
	var fds []int
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		r.err(what+": parse", err)
	}
	for _, m := range messages {
		got, err := unix.ParseUnixRights(&m)
		if err != nil {
			r.err(what+": rights", err)
		}
		fds = append(fds, got...)
	}
	r.say(what, "%d descriptors", len(fds))
	return fds
}

// dropsQueue closes a socket in whose queue the only writing end of a pipe waits.
func dropsQueue(r *report) {
	a, b := pair(unix.SOCK_STREAM)
	read, write := pipe2(unix.O_NONBLOCK)
	unix.SendmsgN(a, []byte("w"), unix.UnixRights(write), nil, 0)
	unix.Close(write)
	buffer := make([]byte, 8)
	n, err := unix.Read(read, buffer)
	r.number("the writing end waits in a queue", n, err)
	closeAll(a, b)
	epoll := watch(read, unix.EPOLLIN)
	r.ready("the queue is gone, and it", epoll, allEvents, wait)
	n, err = unix.Read(read, buffer)
	r.number("read its end", n, err)
	closeAll(read, epoll)
}

// lastReference takes the message in which a socket's one reference waits at its own peer.
func lastReference(r *report) {
	for _, kind := range []int{unix.SOCK_STREAM, unix.SOCK_SEQPACKET, unix.SOCK_DGRAM} {
		p := must(unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0))
		n, err := unix.SendmsgN(p[0], make([]byte, 60000), unix.UnixRights(p[0]), nil, 0)
		r.number("send a socket over itself", n, err)
		unix.Close(p[0])
		n, err = unix.Read(p[1], make([]byte, 1))
		r.number("read what holds its last reference", n, err)
		unix.Close(p[1])
	}
}

// waitAll receives with MSG_WAITALL what is there, what comes in pieces, and what ends early.
func waitAll(r *report) {
	p := must(unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0))
	b := make([]byte, 8)
	recv := func(what string, flags int) {
		n, err := again(func() (int, error) {
			n, _, err := unix.Recvfrom(p[1], b, unix.MSG_WAITALL|flags)
			return n, err
		})
		r.data("MSG_WAITALL "+what, b, max(n, 0), err)
	}
	unix.Write(p[0], []byte("01234567"))
	recv("of what is there", 0)
	unix.Write(p[0], []byte("012"))
	recv("without waiting", unix.MSG_DONTWAIT)
	unix.Write(p[0], []byte("345"))
	recv("and MSG_PEEK", unix.MSG_PEEK)
	unix.Sendmsg(p[0], []byte("6"), unix.UnixRights(p[0]), nil, 0)
	recv("up to descriptors", 0)
	unix.Write(p[0], []byte("7"))
	done := make(chan struct{})
	go func() {
		time.Sleep(20 * time.Millisecond)
		unix.Write(p[0], []byte("89"))
		time.Sleep(20 * time.Millisecond)
		unix.Shutdown(p[0], unix.SHUT_WR)
		close(done)
	}()
	recv("up to the end", 0)
	<-done
	recv("at the end", 0)
	unix.Close(p[0])
	unix.Close(p[1])
}
