package main

import (
	"math"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// descriptors copies descriptors and changes their flags.
func descriptors(r *report) {
	fd := must(unix.Open(filepath.Join(fixture, "hello.txt"), unix.O_RDONLY|unix.O_CLOEXEC, 0))
	fcntl := func(what string, fd, command, argument int) int {
		n, err := unix.FcntlInt(uintptr(fd), command, argument)
		r.number(what, n, err)
		return n
	}
	fcntl("F_GETFD after O_CLOEXEC", fd, unix.F_GETFD, 0)
	fcntl("F_SETFD 0", fd, unix.F_SETFD, 0)
	fcntl("F_GETFD", fd, unix.F_GETFD, 0)
	fcntl("F_DUPFD from 40", fd, unix.F_DUPFD, 40)
	fcntl("F_DUPFD from 40 again", fd, unix.F_DUPFD, 40)
	fcntl("F_GETFD of the copy", 40, unix.F_GETFD, 0)
	fcntl("F_DUPFD_CLOEXEC from 40", fd, unix.F_DUPFD_CLOEXEC, 40)
	fcntl("F_GETFD of that copy", 42, unix.F_GETFD, 0)
	fcntl("F_DUPFD from -1", fd, unix.F_DUPFD, -1)
	fcntl("F_DUPFD from far too high", fd, unix.F_DUPFD, math.MaxInt32)
	fcntl("fcntl 9999", fd, 9999, 0)
	fcntl("fcntl of a bad descriptor", 99999, unix.F_GETFD, 0)

	buffer := make([]byte, 8)
	n, err := unix.Read(40, buffer[:2])
	r.data("read a copy", buffer, n, err)
	n, err = unix.Read(fd, buffer[:2])
	r.data("the original goes on from there", buffer, n, err)

	r.err("dup3 onto an open one", unix.Dup3(fd, 41, unix.O_CLOEXEC))
	fcntl("F_GETFD of it", 41, unix.F_GETFD, 0)
	r.err("dup3 onto itself", unix.Dup3(fd, fd, 0))
	r.err("dup3 with a bad flag", unix.Dup3(fd, 43, 1))
	r.err("dup3 of a bad descriptor", unix.Dup3(99999, 43, 0))
	r.err("dup3 onto -1", unix.Dup3(fd, -1, 0))
	r.err("close a copy", unix.Close(40))
	r.err("close it again", unix.Close(40))
	n, err = unix.Pread(41, buffer, 0)
	r.data("another copy still reads", buffer, n, err)
	fcntl("the lowest free number is used", fd, unix.F_DUPFD, 40)
	closeAll(40, 41, 42, fd)
	r.err("close -1", unix.Close(-1))
}
