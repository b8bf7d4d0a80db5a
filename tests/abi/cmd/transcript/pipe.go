package main

import (
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
