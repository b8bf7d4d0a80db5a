package main

import (
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// polls asks several descriptors at once, without an epoll instance.
func polls(r *report) {
	read, write := pipe2(unix.O_NONBLOCK)
	poll := func(what string, timeout time.Duration, fds ...unix.PollFd) {
		t := unix.NsecToTimespec(int64(timeout))
		n, err := again(func() (int, error) { return unix.Ppoll(fds, &t, nil) })
		if err != nil {
			r.err(what, err)
			return
		}
		text := ""
		for _, fd := range fds {
			text += " " + pollNames(fd.Revents)
		}
		r.say(what, "%d:%s", n, text)
	}
	in := unix.PollFd{Fd: int32(read), Events: unix.POLLIN}
	out := unix.PollFd{Fd: int32(write), Events: unix.POLLOUT}
	poll("nothing to wait for", 0)
	poll("an empty pipe", 0, in)
	start := time.Now()
	poll("20 ms in vain", 20*time.Millisecond, in)
	r.say("it took that long", "%v", time.Since(start) >= 20*time.Millisecond)
	poll("one of two", wait, in, out)
	poll("a bad descriptor", wait, unix.PollFd{Fd: 99999, Events: unix.POLLIN}, in)
	poll("a descriptor to be left out", 0, unix.PollFd{Fd: -1, Events: unix.POLLIN})
	unix.Write(write, []byte("x"))
	poll("both", wait, in, out)
	poll("events nobody asked for", 0, unix.PollFd{Fd: int32(read)})
	unix.Close(write)
	poll("the writer is gone", wait, in)
	poll("a hang-up is always told", wait, unix.PollFd{Fd: int32(read)})
	unix.Close(read)
	file := must(unix.Open(filepath.Join(fixture, "hello.txt"), unix.O_RDONLY|unix.O_CLOEXEC, 0))
	poll("a regular file", wait, unix.PollFd{Fd: int32(file), Events: unix.POLLIN | unix.POLLOUT})
	unix.Close(file)
	n, err := raw(unix.SYS_PPOLL, 8, 1, 0, 0, 0)
	r.number("a bad address", n, err)
	bad := unix.Timespec{Nsec: -1}
	_, err = unix.Ppoll(nil, &bad, nil)
	r.err("a bad time", err)

	read, write = pipe2(unix.O_NONBLOCK)
	go unix.Write(write, []byte("x"))
	poll("woken by another thread", wait, unix.PollFd{Fd: int32(read), Events: unix.POLLIN})
	closeAll(read, write)
}

// pollNames spells the bits of revents.
func pollNames(events int16) string {
	if events&unix.POLLNVAL != 0 {
		return "NVAL"
	}
	return eventNames(uint32(uint16(events))) // the others are epoll's
}

// vectors reads and writes with several buffers.
func vectors(r *report) {
	read, write := pipe2(unix.O_NONBLOCK)
	n, err := unix.Writev(write, [][]byte{[]byte("one "), nil, []byte("two "), []byte("three")})
	r.number("writev", n, err)
	first, second := make([]byte, 6), make([]byte, 20)
	n, err = unix.Readv(read, [][]byte{first, second})
	r.say("readv", "%d: %q %q, %s", n, first, second[:max(n-6, 0)], name(err))
	n, err = unix.Readv(read, [][]byte{first})
	r.number("readv of an empty pipe", n, err)
	n, err = raw(unix.SYS_WRITEV, uintptr(write), 0, 0)
	r.number("writev of no buffers", n, err)
	n, err = raw(unix.SYS_WRITEV, uintptr(write), address(new([4]uintptr)), 1025)
	r.number("writev of too many", n, err)
	n, err = raw(unix.SYS_WRITEV, uintptr(write), 8, 1)
	r.number("writev of a bad list", n, err)
	n, err = raw(unix.SYS_WRITEV, uintptr(write), address(&[2]uintptr{8, 4}), 1)
	r.number("writev from a bad address", n, err)
	unix.Close(read)
	n, err = unix.Writev(write, [][]byte{nil, nil})
	r.number("writev of no bytes when nobody reads", n, err)
	unix.Close(write)

	a, b := pair(unix.SOCK_SEQPACKET | unix.SOCK_NONBLOCK)
	n, err = unix.Writev(a, [][]byte{[]byte("one "), []byte("message")})
	r.number("writev of a message", n, err)
	n, err = unix.Writev(a, [][]byte{nil})
	r.number("writev of no bytes is no message", n, err)
	n, err = unix.Readv(b, [][]byte{nil})
	r.number("readv of no bytes takes none", n, err)
	n, err = unix.Readv(b, [][]byte{first, second[:3]})
	r.say("readv of its beginning", "%d: %q %q, %s", n, first, second[:3], name(err))
	closeAll(a, b)
	file := must(unix.Open(filepath.Join(fixture, "hello.txt"), unix.O_RDONLY|unix.O_CLOEXEC, 0))
	n, err = unix.Readv(file, [][]byte{first[:2], second[:10]})
	r.say("readv of a file", "%d: %q %q, %s", n, first[:2], second[:max(n-2, 0)], name(err))
	unix.Close(file)
}
