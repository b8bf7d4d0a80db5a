package main

import (
	"fmt"
	"math"

	"golang.org/x/sys/unix"
)

// edges asks what is seldom asked: the largest positions, no bytes, and what is not there.
func edges(r *report) {
	positions(r)
	noBytes(r)
	classes(r)
	signalState(r)
}

// positions moves and uses positions near the largest.
func positions(r *report) {
	fd := must(unix.MemfdCreate("edges", unix.MFD_CLOEXEC))
	defer unix.Close(fd)
	must(unix.Write(fd, []byte("twelve bytes")))
	buffer := make([]byte, 8)
	for _, at := range []int64{math.MaxInt64 - 8, math.MaxInt64 - 7, math.MaxInt64} {
		n, err := unix.Pread(fd, buffer, at)
		r.number(fmt.Sprintf("pread of 8 at %#x", at), n, err)
		n, err = unix.Pread(fd, nil, at)
		r.number(fmt.Sprintf("pread of nothing at %#x", at), n, err)
		_, err = unix.Seek(fd, at, unix.SEEK_SET)
		r.err(fmt.Sprintf("seek to %#x", at), err)
		n, err = unix.Read(fd, buffer)
		r.number("and read 8", n, err)
		n, err = unix.Readv(fd, [][]byte{buffer[:4], buffer[4:]})
		r.number("and readv 8", n, err)
		n, err = unix.Write(fd, nil)
		r.number("and write nothing", n, err)
	}
	n, err := unix.Pwrite(fd, buffer, math.MaxInt64)
	r.number("pwrite at the largest position", n, err)
	_, err = unix.Seek(fd, 1, unix.SEEK_CUR)
	r.err("seek beyond it", err)
	_, err = unix.Seek(fd, math.MaxInt64, unix.SEEK_END)
	r.err("seek beyond it from the end", err)
	_, err = unix.Seek(fd, math.MinInt64, unix.SEEK_CUR)
	r.err("seek far back", err)
	n, err = unix.Write(fd, buffer)
	r.number("write at the largest position", n, err)
}

// noBytes transfers nothing, with each kind of call.
func noBytes(r *report) {
	read, write := pipe2(unix.O_NONBLOCK)
	for _, fd := range []struct {
		what string
		fd   int
	}{{"an empty pipe", read}, {"its other end", write}} {
		n, err := unix.Read(fd.fd, nil)
		r.number("read nothing from "+fd.what, n, err)
		n, err = unix.Write(fd.fd, nil)
		r.number("write nothing to "+fd.what, n, err)
	}
	closeAll(read, write)
	for _, kind := range []int{unix.SOCK_STREAM, unix.SOCK_SEQPACKET, unix.SOCK_DGRAM} {
		a, b := pair(kind | unix.SOCK_NONBLOCK)
		say := func(what string, n int, err error) { r.number(fmt.Sprintf("%s, type %d", what, kind), n, err) }
		send := func(what string, n int) {
			n, err := unix.SendmsgN(a, make([]byte, n), nil, nil, unix.MSG_NOSIGNAL)
			say(what, n, err)
		}
		receive := func(what string, size, flags int) {
			n, _, out, _, err := unix.Recvmsg(b, make([]byte, size), nil, flags)
			say(what, n, err)
			say(what+": flags", out, nil)
		}
		n, err := unix.Read(b, nil)
		say("read nothing", n, err)
		receive("receive nothing", 0, 0)
		n, err = unix.Write(a, nil)
		say("write nothing", n, err)
		receive("receive that", 8, 0)
		send("send nothing", 0)
		n, err = unix.Read(b, make([]byte, 8))
		say("read that", n, err)
		send("send 3", 3)
		n, err = unix.Read(b, nil)
		say("read nothing of 3", n, err)
		receive("receive nothing of 3, MSG_PEEK", 0, unix.MSG_PEEK)
		receive("receive nothing of 3, MSG_PEEK and MSG_TRUNC", 0, unix.MSG_PEEK|unix.MSG_TRUNC)
		receive("receive nothing of 3", 0, 0)
		receive("receive the rest", 8, 0)
		_, err = unix.SendmsgN(a, []byte("x"), nil, nil, unix.MSG_OOB)
		if kind != unix.SOCK_STREAM { // of a stream that is an option of Linux
			say("send out of band", 0, err)
			_, _, err = unix.Recvfrom(b, make([]byte, 8), unix.MSG_OOB)
			say("receive out of band", 0, err)
		}
		_, err = raw(unix.SYS_SENDMSG, uintptr(a), address(&[7]uintptr{3: 1025}), 0)
		say("sendmsg of too many buffers", 0, err)
		_, err = raw(unix.SYS_RECVMSG, uintptr(b), address(&[7]uintptr{3: 1025}), 0)
		say("recvmsg of too many buffers", 0, err)
		_, err = raw(unix.SYS_SENDMSG, uintptr(a), 8, 0)
		say("sendmsg of a bad address", 0, err)
		_, err = raw(unix.SYS_SENDMSG, uintptr(a), address(&[7]uintptr{0: 8, 1: 1 << 31}), 0)
		say("sendmsg to a name of a negative length", 0, err)
		closeAll(a, b)
	}
}

// classes asks for the events that come beside IN and OUT.
func classes(r *report) {
	const classes = 0x3c2 // POLLPRI, POLLRDNORM, POLLRDBAND, POLLWRNORM, POLLWRBAND
	ask := func(what string, fd int) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: classes | unix.POLLIN | unix.POLLOUT}}
		_, err := again(func() (int, error) { return unix.Poll(fds, 0) })
		r.say("events of "+what, "%#x, %s", fds[0].Revents, name(err))
		fds[0].Events = classes
		n, err := again(func() (int, error) { return unix.Poll(fds, 0) })
		r.say("events of "+what+" without IN and OUT", "%d: %#x, %s", n, fds[0].Revents, name(err))
		if what == "an epoll instance" {
			return // neuron has none inside another
		}
		epoll := must(unix.EpollCreate1(unix.EPOLL_CLOEXEC))
		if unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: classes}) == nil {
			r.say("and by epoll", "%#x", events(epoll))
		}
		unix.Close(epoll)
	}
	read, write := pipe2(unix.O_NONBLOCK)
	ask("an empty pipe", read)
	ask("its other end", write)
	unix.Write(write, []byte("x"))
	ask("a pipe", read)
	closeAll(write)
	ask("a pipe without a writer", read)
	closeAll(read)
	fd := must(unix.Eventfd(1, unix.EFD_CLOEXEC))
	ask("an eventfd", fd)
	epoll := watch(fd, unix.EPOLLIN)
	ask("an epoll instance", epoll)
	closeAll(fd, epoll)
	fd = must(unix.MemfdCreate("edges", unix.MFD_CLOEXEC))
	ask("a memfd", fd)
	closeAll(fd)
	for _, kind := range []int{unix.SOCK_STREAM, unix.SOCK_SEQPACKET, unix.SOCK_DGRAM} {
		a, b := pair(kind)
		ask(fmt.Sprint("a socket of type ", kind), a)
		unix.Write(b, []byte("x"))
		ask(fmt.Sprint("one with something to read of type ", kind), a)
		unix.Shutdown(a, unix.SHUT_RD)
		ask(fmt.Sprint("one that was shut down of type ", kind), a)
		closeAll(a, b)
	}
}

// events are those of the one descriptor that an instance watches.
func events(epoll int) uint32 {
	for _, e := range poll(epoll, 0) {
		return e.Events
	}
	return 0
}

// signalState changes what a thread and a process keep about signals, wrongly.
func signalState(r *report) {
	set := new([2]uint64)
	at := address(set)
	old := address(new([8]uint64))
	for _, tc := range []struct {
		what string
		call uintptr
		args []uintptr
	}{
		{"rt_sigprocmask in an unknown way", unix.SYS_RT_SIGPROCMASK, []uintptr{9, at, 0, 8}},
		{"rt_sigprocmask in an unknown way, without a set", unix.SYS_RT_SIGPROCMASK, []uintptr{9, 0, old, 8}},
		{"rt_sigprocmask of another size", unix.SYS_RT_SIGPROCMASK, []uintptr{0, at, 0, 4}},
		{"rt_sigprocmask of a bad address", unix.SYS_RT_SIGPROCMASK, []uintptr{0, 8, 0, 8}},
		{"rt_sigprocmask to a bad address", unix.SYS_RT_SIGPROCMASK, []uintptr{0, 0, 8, 8}},
		{"rt_sigaction of signal 0", unix.SYS_RT_SIGACTION, []uintptr{0, 0, old, 8}},
		{"rt_sigaction of signal 65", unix.SYS_RT_SIGACTION, []uintptr{65, 0, old, 8}},
		{"rt_sigaction of SIGKILL", unix.SYS_RT_SIGACTION, []uintptr{9, 0, old, 8}},
		{"rt_sigaction for SIGKILL", unix.SYS_RT_SIGACTION, []uintptr{9, old, 0, 8}},
		{"rt_sigaction of another size", unix.SYS_RT_SIGACTION, []uintptr{10, 0, old, 4}},
		{"rt_sigaction of a bad address", unix.SYS_RT_SIGACTION, []uintptr{10, 8, 0, 8}},
		{"rt_sigaction to a bad address", unix.SYS_RT_SIGACTION, []uintptr{10, 0, 8, 8}},
		{"sigaltstack of a bad address", unix.SYS_SIGALTSTACK, []uintptr{8, 0}},
		{"sigaltstack to a bad address", unix.SYS_SIGALTSTACK, []uintptr{0, 8}},
		{"kill with signal -1", unix.SYS_KILL, []uintptr{uintptr(unix.Getpid()), ^uintptr(0)}},
		{"tkill nobody", unix.SYS_TKILL, []uintptr{1<<22 - 1, 0}},
		{"tkill 0", unix.SYS_TKILL, []uintptr{0, 0}},
		{"clock_getres of an unknown clock", unix.SYS_CLOCK_GETRES, []uintptr{99, old}},
		{"clock_getres to nowhere", unix.SYS_CLOCK_GETRES, []uintptr{1, 0}},
		{"clock_getres to a bad address", unix.SYS_CLOCK_GETRES, []uintptr{1, 8}},
		{"clock_getres of an unknown clock to nowhere", unix.SYS_CLOCK_GETRES, []uintptr{99, 0}},
		{"prlimit64 of a stranger", unix.SYS_PRLIMIT64, []uintptr{1<<22 - 1, 7, 0, old}},
		{"prlimit64 to a bad address", unix.SYS_PRLIMIT64, []uintptr{0, 7, 0, 8}},
		{"prlimit64 of nothing", unix.SYS_PRLIMIT64, []uintptr{0, 7, 0, 0}},
		{"getrandom of nothing to a bad address", unix.SYS_GETRANDOM, []uintptr{8, 0, 0}},
		{"sched_getaffinity of a stranger", unix.SYS_SCHED_GETAFFINITY, []uintptr{1<<22 - 1, 128, old}},
		{"sched_getaffinity to a bad address", unix.SYS_SCHED_GETAFFINITY, []uintptr{0, 128, 8}},
		{"futex of nobody's word, waking none", unix.SYS_FUTEX, []uintptr{at, futexWake | futexPrivate, 0}},
		{"wait4 with bad options for a stranger", unix.SYS_WAIT4, []uintptr{1<<22 - 1, 0, 1 << 20, 0}},
		{"waitid of an unknown kind", unix.SYS_WAITID, []uintptr{9, 0, 0, unix.WEXITED, 0}},
		{"waitid with bad options", unix.SYS_WAITID, []uintptr{unix.P_ALL, 0, 0, unix.WEXITED | 1<<20, 0}},
		{"waitid without children", unix.SYS_WAITID, []uintptr{unix.P_ALL, 0, 0, unix.WEXITED, 0}},
		{"pipe2 of a bad address with a bad flag", unix.SYS_PIPE2, []uintptr{8, 1}},
		{"memfd_create of a bad address", unix.SYS_MEMFD_CREATE, []uintptr{8, 0}},
		{"memfd_create of a bad address with a bad flag", unix.SYS_MEMFD_CREATE, []uintptr{8, 1 << 20}},
		{"getcwd to a bad address", unix.SYS_GETCWD, []uintptr{8, 4096}},
		{"getcwd into nothing", unix.SYS_GETCWD, []uintptr{old, 0}},
		{"epoll_create1 with two flags", unix.SYS_EPOLL_CREATE1, []uintptr{3}},
		{"madvise of nothing", unix.SYS_MADVISE, []uintptr{0, 0, 4}},
		{"madvise of all addresses", unix.SYS_MADVISE, []uintptr{0, ^uintptr(0), 4}},
		{"madvise of what is far away", unix.SYS_MADVISE, []uintptr{1 << 46, 4096, 4}},
		{"bad advice of nothing", unix.SYS_MADVISE, []uintptr{0, 0, 9999}},
		{"munmap of all addresses", unix.SYS_MUNMAP, []uintptr{0, ^uintptr(0)}},
	} {
		n, err := again(func() (int, error) { return raw(tc.call, tc.args...) })
		r.number(tc.what, min(n, 1), err)
	}
}
