package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func epolls(r *report) {
	_, err := unix.EpollCreate1(1)
	r.err("create with a bad flag", err)
	epoll := must(unix.EpollCreate1(unix.EPOLL_CLOEXEC))
	read, write := pipe2(unix.O_NONBLOCK)
	control := func(what string, operation, fd int, events uint32) {
		r.err(what, unix.EpollCtl(epoll, operation, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)}))
	}
	control("modify what is not there", unix.EPOLL_CTL_MOD, read, unix.EPOLLIN)
	control("delete what is not there", unix.EPOLL_CTL_DEL, read, 0)
	control("add", unix.EPOLL_CTL_ADD, read, unix.EPOLLIN)
	control("add again", unix.EPOLL_CTL_ADD, read, unix.EPOLLIN)
	control("add itself", unix.EPOLL_CTL_ADD, epoll, unix.EPOLLIN)
	control("add a bad descriptor", unix.EPOLL_CTL_ADD, 99999, unix.EPOLLIN)
	control("a bad operation", 99, read, unix.EPOLLIN)
	other := must(unix.EpollCreate1(unix.EPOLL_CLOEXEC))
	control("delete an instance that is not there", unix.EPOLL_CTL_DEL, other, 0)
	control("modify an instance that is not there", unix.EPOLL_CTL_MOD, other, 0)
	control("delete itself", unix.EPOLL_CTL_DEL, epoll, 0)
	control("modify itself", unix.EPOLL_CTL_MOD, epoll, 0)
	unix.Close(other)
	file := must(unix.Open(filepath.Join(fixture, "hello.txt"), unix.O_RDONLY|unix.O_CLOEXEC, 0))
	control("add a regular file", unix.EPOLL_CTL_ADD, file, unix.EPOLLIN)
	r.err("add a regular file to what is no epoll", unix.EpollCtl(read, unix.EPOLL_CTL_ADD, file, &unix.EpollEvent{}))
	control("a bad operation on a regular file", 99, file, unix.EPOLLIN)
	unix.Close(file)
	r.err("add a bad descriptor to what is no epoll", unix.EpollCtl(read, unix.EPOLL_CTL_ADD, 99999, &unix.EpollEvent{}))
	n, err := unix.Readv(epoll, [][]byte{nil})
	r.number("readv of no bytes", n, err)
	n, err = unix.Writev(epoll, [][]byte{nil})
	r.number("writev of no bytes", n, err)
	r.err("control what is no epoll", unix.EpollCtl(read, unix.EPOLL_CTL_ADD, write, &unix.EpollEvent{}))
	n, err = unix.EpollWait(read, make([]unix.EpollEvent, 1), 0)
	r.number("wait on what is no epoll", n, err)
	n, err = raw(unix.SYS_EPOLL_PWAIT, uintptr(epoll), address(&[1]unix.EpollEvent{}), 0, 0, 0, 0)
	r.number("wait for 0 events", n, err)
	n, err = unix.Read(epoll, make([]byte, 8))
	r.number("read it", n, err)

	start := time.Now()
	r.ready("wait 30 ms in vain", epoll, allEvents, 30*time.Millisecond)
	r.say("it took that long", "%v", time.Since(start) >= 30*time.Millisecond)

	unix.Write(write, []byte("x"))
	r.ready("level: data", epoll, allEvents, wait)
	r.ready("level: still data", epoll, allEvents, 0)
	control("delete", unix.EPOLL_CTL_DEL, read, 0)
	r.ready("deleted", epoll, allEvents, 0)

	control("add edge-triggered", unix.EPOLL_CTL_ADD, read, unix.EPOLLIN|unix.EPOLLET)
	r.ready("edge: data that was there", epoll, allEvents, wait)
	r.ready("edge: only once", epoll, allEvents, 0)
	unix.Write(write, []byte("y"))
	r.ready("edge: more data", epoll, allEvents, wait)
	unix.Read(read, make([]byte, 1))
	r.ready("edge: a read is no edge", epoll, allEvents, 0)
	control("modify to one shot", unix.EPOLL_CTL_MOD, read, unix.EPOLLIN|unix.EPOLLONESHOT)
	r.ready("one shot: data", epoll, allEvents, wait)
	unix.Write(write, []byte("z"))
	r.ready("one shot: fired", epoll, allEvents, 0)
	control("arm it again", unix.EPOLL_CTL_MOD, read, unix.EPOLLIN|unix.EPOLLONESHOT)
	r.ready("one shot: data again", epoll, allEvents, wait)
	control("ask for nothing", unix.EPOLL_CTL_MOD, read, 0)
	unix.Close(write)
	r.ready("a hang-up is always told", epoll, allEvents, 0)
	unix.Close(read)
	r.ready("a closed descriptor is gone", epoll, allEvents, 0)
	unix.Close(epoll)

	severalReady(r)
	wakeFromAfar(r)
}

// severalReady has more descriptors ready than it asks for at once.
func severalReady(r *report) {
	epoll := must(unix.EpollCreate1(unix.EPOLL_CLOEXEC))
	var fds []int
	for i := range 5 {
		fd := must(unix.Eventfd(uint(i%2), unix.EFD_NONBLOCK|unix.EFD_CLOEXEC))
		fds = append(fds, fd)
		must(0, unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i), Pad: 7}))
	}
	var ready []string
	for _, e := range poll(epoll, 0) {
		ready = append(ready, fmt.Sprintf("%d/%d", e.Fd, e.Pad))
	}
	slices.Sort(ready)
	r.say("ready of five, with their data", "%s", strings.Join(ready, " "))
	one := make([]unix.EpollEvent, 1)
	n, err := unix.EpollWait(epoll, one, 0)
	r.number("one at a time", n, err)
	seen := map[int32]bool{one[0].Fd: true}
	unix.EpollWait(epoll, one, 0)
	seen[one[0].Fd] = true
	r.say("the other comes next", "%v", len(seen) == 2)
	closeAll(append(fds, epoll)...)
}

// wakeFromAfar waits without a limit for another thread.
func wakeFromAfar(r *report) {
	fd := must(unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC))
	epoll := watch(fd, unix.EPOLLIN)
	go unix.Write(fd, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	r.ready("woken by another thread", epoll, allEvents, wait)
	closeAll(fd, epoll)
}
