package main

import (
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	futexWait    = 0
	futexWake    = 1
	futexPrivate = 128
)

func futexes(r *report) {
	word := &new([2]uint32)[0]
	at := address(word)
	call := func(what string, at uintptr, operation int, value uint32, timeout *unix.Timespec) {
		var t uintptr
		if timeout != nil {
			t = address(timeout)
		}
		n, err := again(func() (int, error) { return raw(unix.SYS_FUTEX, at, uintptr(operation), uintptr(value), t) })
		r.number(what, n, err)
	}
	call("wait for another value", at, futexWait|futexPrivate, 1, nil)
	call("wait 5 ms", at, futexWait|futexPrivate, 0, &unix.Timespec{Nsec: 5_000_000})
	call("wait 5 ms, shared", at, futexWait, 0, &unix.Timespec{Nsec: 5_000_000})
	call("wait no time", at, futexWait|futexPrivate, 0, &unix.Timespec{})
	call("wait a bad time", at, futexWait|futexPrivate, 0, &unix.Timespec{Nsec: 1_000_000_000})
	call("wait a negative time", at, futexWait|futexPrivate, 0, &unix.Timespec{Sec: -1})
	call("wait at an odd address", at+1, futexWait|futexPrivate, 0, nil)
	call("wait at a bad address", 8, futexWait|futexPrivate, 0, nil)
	call("wake nobody", at, futexWake|futexPrivate, 1, nil)
	call("wake at an odd address", at+2, futexWake|futexPrivate, 1, nil)
	call("wake at a bad address, private", 8, futexWake|futexPrivate, 1, nil)
	call("wake at a bad address", 8, futexWake, 1, nil)
	call("an unknown operation", at, 99|futexPrivate, 0, nil)

	done := make(chan error)
	sleep := func(at uintptr, operation int) {
		runtime.LockOSThread()
		_, err := again(func() (int, error) { return raw(unix.SYS_FUTEX, at, uintptr(operation), 0, 0) })
		done <- err
	}
	for range 2 {
		go sleep(at, futexWait|futexPrivate)
	}
	woken := 0
	for deadline := time.Now().Add(wait); woken < 2 && time.Now().Before(deadline); runtime.Gosched() {
		n, _ := raw(unix.SYS_FUTEX, at, futexWake|futexPrivate, 1)
		woken += n
	}
	atomic.StoreUint32(word, 1)
	raw(unix.SYS_FUTEX, at, futexWake|futexPrivate, 9)
	first, second := <-done, <-done
	r.say("wake two, one at a time", "%d %s %s", woken, name(first), name(second))

	// A word of a file is the same in each of its mappings, unless the call says that it is private.
	fd, err := unix.MemfdCreate("futex", unix.MFD_CLOEXEC)
	r.say("a file", "%s", name(err))
	defer unix.Close(fd)
	unix.Ftruncate(fd, pageSize)
	one, _ := mmap(0, pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED, fd, 0)
	two, _ := mmap(0, pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED, fd, 0)
	r.say("in two mappings", "%t", one != two)
	for _, c := range []struct {
		what            string
		at              uintptr
		waiting, waking int
		miss            uintptr // where a wake does not meet it
		missing         int
	}{
		{"a file's word, woken through another mapping", one, futexWait, futexWake, two, futexWake | futexPrivate},
		{"a file's word, private", two, futexWait | futexPrivate, futexWake | futexPrivate, two, futexWake},
		{"memory of its own, not private", at + 4, futexWait, futexWake, at + 4, futexWake | futexPrivate},
	} {
		waking := c.at
		if c.at == one {
			waking = two
		}
		go sleep(c.at, c.waiting)
		missed, woken := 0, 0
		for deadline := time.Now().Add(wait); woken < 1 && time.Now().Before(deadline); runtime.Gosched() {
			n, _ := raw(unix.SYS_FUTEX, c.miss, uintptr(c.missing), 1)
			missed += n
			woken, _ = raw(unix.SYS_FUTEX, waking, uintptr(c.waking), 1)
		}
		r.say(c.what, "%d woken, %d by the wrong wake, %s", woken, missed, name(<-done))
	}
	munmap(one, pageSize)
	munmap(two, pageSize)
}
