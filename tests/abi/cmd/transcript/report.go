package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// report prints the lines of a section.
type report struct{ section string }

// say prints what and an answer, in one write.
func (r *report) say(what, format string, args ...any) {
	os.Stdout.WriteString("ABI: " + r.section + ": " + what + ": " + fmt.Sprintf(format, args...) + "\n")
}

// err prints whether a call succeeded.
func (r *report) err(what string, err error) { r.say(what, "%s", name(err)) }

// number prints a call's result.
func (r *report) number(what string, n int, err error) {
	if err != nil {
		r.err(what, err)
		return
	}
	r.say(what, "%d", n)
}

// data prints the bytes that a call transferred.
func (r *report) data(what string, b []byte, n int, err error) {
	if err != nil {
		r.err(what, err)
		return
	}
	r.say(what, "%q", b[:n])
}

// name gives the errno in an error as text.
func name(err error) string {
	if err == nil {
		return "ok"
	}
	var errno unix.Errno
	if errors.As(err, &errno) {
		if n := unix.ErrnoName(errno); n != "" {
			return n
		}
		return fmt.Sprintf("errno %d", int(errno))
	}
	return err.Error()
}

// must stops the section on an error that leaves nothing to test.
func must[T any](v T, err error) T {
	if err != nil {
		fmt.Println("ABI: cannot go on:", err)
		os.Exit(1)
	}
	return v
}

func closeAll(fds ...int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// again repeats a call that a signal of the Go scheduler interrupted.
func again(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err != unix.EINTR {
			return n, err
		}
	}
}

// wait bounds how long a behaviour that must come may take.
const wait = 20 * time.Second

// poll waits until an epoll instance has events and returns them.
func poll(epoll int, timeout time.Duration) []unix.EpollEvent {
	events := make([]unix.EpollEvent, 8)
	n, err := again(func() (int, error) { return unix.EpollWait(epoll, events, int(timeout.Milliseconds())) })
	if err != nil {
		return nil
	}
	return events[:n]
}

// watch makes an epoll instance for one descriptor.
func watch(fd int, events uint32) int {
	epoll := must(unix.EpollCreate1(unix.EPOLL_CLOEXEC))
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)}); err != nil {
		must(0, err)
	}
	return epoll
}

// eventNames spells the bits that this program asks about.
func eventNames(events uint32) string {
	text := ""
	for _, e := range []struct {
		bit  uint32
		name string
	}{{unix.EPOLLIN, "IN"}, {unix.EPOLLOUT, "OUT"}, {unix.EPOLLRDHUP, "RDHUP"}, {unix.EPOLLERR, "ERR"}, {unix.EPOLLHUP, "HUP"}} {
		if events&e.bit != 0 {
			text += "+" + e.name
		}
	}
	if text == "" {
		return "none"
	}
	return text[1:]
}

// ready prints the events of the one descriptor an epoll instance watches, among those in mask.
func (r *report) ready(what string, epoll int, mask uint32, timeout time.Duration) {
	events := poll(epoll, timeout)
	switch len(events) {
	case 0:
		r.say(what, "nothing")
	case 1:
		r.say(what, "%s", eventNames(events[0].Events&mask))
	default:
		r.say(what, "%d events", len(events))
	}
}

const allEvents = ^uint32(0)
