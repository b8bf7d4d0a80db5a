package main

import (
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
)

// pipe2 makes a pipe.
func pipe2(flags int) (read, write int) {
	var p [2]int
	must(0, unix.Pipe2(p[:], flags|unix.O_CLOEXEC))
	return p[0], p[1]
}

func pipes(r *report) {
	var p [2]int
	r.err("pipe2 with a bad flag", unix.Pipe2(p[:], 1))
	_, err := raw(unix.SYS_PIPE2, 8, 0)
	r.err("pipe2 to a bad address", err)

	read, write := pipe2(unix.O_NONBLOCK)
	buffer := make([]byte, 64)
	n, err := unix.Read(read, buffer)
	r.number("read an empty pipe", n, err)
	n, err = unix.Write(write, []byte("one"))
	r.number("write", n, err)
	n, err = unix.Write(write, []byte("two"))
	r.number("write more", n, err)
	n, err = unix.Write(write, nil)
	r.number("write nothing", n, err)
	n, err = unix.Read(read, buffer[:2])
	r.data("read 2", buffer, n, err)
	n, err = unix.Read(read, buffer)
	r.data("read the rest", buffer, n, err)
	n, err = unix.Write(read, buffer[:1])
	r.number("write to the reading end", n, err)
	n, err = unix.Read(write, buffer)
	r.number("read the writing end", n, err)
	_, err = unix.Seek(read, 0, unix.SEEK_CUR)
	r.err("seek", err)
	n, err = unix.Pread(read, buffer, 0)
	r.number("pread", n, err)
	n, err = raw(unix.SYS_WRITE, uintptr(write), 8, 4)
	r.number("write from a bad address", n, err)
	unix.Write(write, []byte("data"))
	n, err = raw(unix.SYS_READ, uintptr(read), 8, 4)
	r.number("read to a bad address", n, err)
	var stat unix.Stat_t
	err = unix.Fstat(read, &stat)
	r.say("fstat", "fifo %v, %s", stat.Mode&unix.S_IFMT == unix.S_IFIFO, name(err))
	closeAll(read, write)

	read, write = pipe2(unix.O_NONBLOCK)
	total := 0
	page := make([]byte, 4096)
	for {
		n, err = unix.Write(write, page)
		if err != nil {
			break
		}
		total += n
	}
	r.say("fill", "%d bytes, then %s", total, name(err))
	unix.Write(write, page)
	epoll := watch(write, unix.EPOLLOUT)
	r.ready("a full pipe", epoll, allEvents, 0)
	unix.Read(read, make([]byte, 65536))
	r.ready("a drained pipe", epoll, allEvents, 0)
	unix.Close(read)
	r.ready("nobody reads", epoll, allEvents, 0)
	n, err = unix.Write(write, page)
	r.number("write when nobody reads", n, err)
	closeAll(write, epoll)

	read, write = pipe2(unix.O_NONBLOCK)
	epoll = watch(read, unix.EPOLLIN)
	unix.Write(write, []byte("last"))
	unix.Close(write)
	r.ready("data, and nobody writes", epoll, allEvents, 0)
	n, err = unix.Read(read, buffer)
	r.data("read what was left", buffer, n, err)
	n, err = unix.Read(read, buffer)
	r.number("read the end", n, err)
	r.ready("no data, and nobody writes", epoll, allEvents, 0)
	closeAll(read, epoll)

	blockingPipe(r)
	nobodyReads(r)
}

// sigpipe reports whether SIGPIPE came with what act does.
func sigpipe(act func()) (came bool) {
	order := []os.Signal{unix.SIGUSR1, unix.SIGUSR2}
	got := make(chan os.Signal, 8)
	signal.Notify(got, append(order, unix.SIGPIPE)...)
	defer signal.Reset()
	act()
	// What came before the first of these is told before the second.
	for _, s := range order {
		unix.Kill(unix.Getpid(), s.(unix.Signal))
		for c := range got {
			came = came || c == unix.SIGPIPE
			if c == s {
				break
			}
		}
	}
	return came
}

// nobodyReads writes to what nobody reads any more, and to what loses its reader while a write waits.
func nobodyReads(r *report) {
	for _, tc := range []struct {
		what string
		make func() (read, write int)
	}{
		{"a pipe", func() (int, int) { return pipe2(0) }},
		{"a stream", func() (int, int) { return pair(unix.SOCK_STREAM) }},
		{"packets", func() (int, int) { return pair(unix.SOCK_SEQPACKET) }},
		{"datagrams", func() (int, int) { return pair(unix.SOCK_DGRAM) }},
	} {
		read, write := tc.make()
		if tc.what == "datagrams" {
			unix.Shutdown(read, unix.SHUT_RD) // its end is another error
		} else {
			unix.Close(read)
		}
		var n int
		var err error
		came := sigpipe(func() { n, err = unix.Write(write, []byte("x")) })
		r.say("nobody reads "+tc.what, "%d %s, SIGPIPE %v", n, name(err), came)
		if tc.what != "a pipe" {
			came = sigpipe(func() { err = unix.Sendto(write, []byte("x"), unix.MSG_NOSIGNAL, nil) })
			r.say("nobody reads "+tc.what+", MSG_NOSIGNAL", "%s, SIGPIPE %v", name(err), came)
		}
		closeAll(write)
		if tc.what != "a pipe" && tc.what != "a stream" {
			closeAll(read)
			continue
		}
		read, write = tc.make()
		done := make(chan struct{})
		came = sigpipe(func() {
			go func() {
				n, err = again(func() (int, error) { return unix.Write(write, make([]byte, 8<<20)) })
				close(done)
			}()
			for fds := []unix.PollFd{{Fd: int32(write), Events: unix.POLLOUT}}; ; {
				if k, err := unix.Poll(fds, 0); k == 0 && err == nil {
					break
				}
				time.Sleep(time.Millisecond)
			}
			unix.Close(read)
			<-done
		})
		r.say("the reader of "+tc.what+" goes while a write waits", "a part %v, %s, SIGPIPE %v", n > 0 && n < 8<<20, name(err), came)
		closeAll(write)
	}
}

// blockingPipe lets one thread wait for another.
func blockingPipe(r *report) {
	there, write := pipe2(0)
	read, back := pipe2(0)
	go func() {
		buffer := make([]byte, 8)
		n, _ := unix.Read(there, buffer)
		unix.Write(back, append(buffer[:n], '!'))
		unix.Close(back)
	}()
	unix.Write(write, []byte("ping"))
	buffer := make([]byte, 8)
	n, err := unix.Read(read, buffer)
	r.data("an answer from another thread", buffer, n, err)
	n, err = unix.Read(read, buffer)
	r.number("and its end", n, err)

	flags, err := unix.FcntlInt(uintptr(read), unix.F_GETFL, 0)
	r.say("O_NONBLOCK is off", "%v, %s", flags&unix.O_NONBLOCK == 0, name(err))
	r.err("set O_NONBLOCK", unix.SetNonblock(write, true))
	flags, err = unix.FcntlInt(uintptr(write), unix.F_GETFL, 0)
	r.say("O_NONBLOCK is on", "%v, %s", flags&unix.O_NONBLOCK != 0, name(err))
	closeAll(read, write, there)
}
