package main

import (
	"encoding/binary"
	"math"

	"golang.org/x/sys/unix"
)

func eventfds(r *report) {
	_, err := unix.Eventfd(0, 1<<20)
	r.err("a bad flag", err)
	get := func(what string, fd int) {
		buffer := make([]byte, 8)
		_, err := unix.Read(fd, buffer)
		r.number(what, int(binary.NativeEndian.Uint64(buffer)), err)
	}
	put := func(what string, fd int, v uint64) {
		n, err := unix.Write(fd, binary.NativeEndian.AppendUint64(nil, v))
		r.number(what, n, err)
	}
	fd := must(unix.Eventfd(5, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC))
	epoll := watch(fd, unix.EPOLLIN|unix.EPOLLOUT)
	r.ready("ready with a count", epoll, allEvents, 0)
	get("read", fd)
	get("read nothing", fd)
	r.ready("ready without a count", epoll, allEvents, 0)
	put("add 3", fd, 3)
	put("add 4", fd, 4)
	get("read the sum", fd)
	put("add 0", fd, 0)
	get("read after adding 0", fd)
	put("add the largest", fd, math.MaxUint64-1)
	r.ready("ready when full", epoll, allEvents, 0)
	put("add 1 more", fd, 1)
	put("add what is never allowed", fd, math.MaxUint64)
	n, err := unix.Read(fd, make([]byte, 7))
	r.number("read into 7 bytes", n, err)
	n, err = unix.Write(fd, make([]byte, 7))
	r.number("write 7 bytes", n, err)
	buffer := make([]byte, 16)
	n, err = unix.Read(fd, buffer)
	r.number("read into 16 bytes", n, err)
	_, err = unix.Seek(fd, 0, unix.SEEK_SET)
	r.say("seek", "%v", err == nil || err == unix.ESPIPE)
	closeAll(fd, epoll)

	fd = must(unix.Eventfd(2, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC|unix.EFD_SEMAPHORE))
	get("semaphore, first", fd)
	get("semaphore, second", fd)
	get("semaphore, third", fd)
	unix.Close(fd)

	one, most := binary.NativeEndian.AppendUint64(nil, 1), binary.NativeEndian.AppendUint64(nil, math.MaxUint64-1)
	for _, tc := range []struct {
		what    string
		vectors [][]byte
	}{
		{"two numbers", [][]byte{one, one}},
		{"one in two halves", [][]byte{one[:4], one[4:]}},
		{"one and a half", [][]byte{one, one[:4], one}},
		{"two with nothing between", [][]byte{one, nil, one, nil}},
		{"one and one too many", [][]byte{one, most}},
		{"no bytes", [][]byte{nil, nil}},
	} {
		fd = must(unix.Eventfd(1, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC))
		n, err = unix.Writev(fd, tc.vectors)
		r.number("writev of "+tc.what, n, err)
		get("and the sum", fd)
		unix.Close(fd)
	}
	fd = must(unix.Eventfd(1, unix.EFD_CLOEXEC))
	n, err = unix.Readv(fd, [][]byte{buffer[:3], buffer[3:12]})
	r.number("readv of one in pieces", n, err)
	n, err = unix.Readv(fd, [][]byte{nil})
	r.number("readv of no bytes", n, err)
	put("add all that there is room for", fd, math.MaxUint64-1)
	done := make(chan struct{})
	go func() {
		n, err = again(func() (int, error) { return unix.Write(fd, one) })
		close(done)
	}()
	get("read it", fd)
	<-done
	r.number("a write that may have waited for that", n, err)
	get("and what it wrote", fd)
	unix.Close(fd)

	fd = must(unix.Eventfd(0, unix.EFD_CLOEXEC))
	go unix.Write(fd, binary.NativeEndian.AppendUint64(nil, 9))
	get("wait for another thread", fd)
	unix.Close(fd)
}
