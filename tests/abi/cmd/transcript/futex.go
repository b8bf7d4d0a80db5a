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
	word := new(uint32)
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
	call("an unknown operation", at, 99|futexPrivate, 0, nil)

	done := make(chan error)
	for range 2 {
		go func() {
			runtime.LockOSThread()
			_, err := again(func() (int, error) { return raw(unix.SYS_FUTEX, at, futexWait|futexPrivate, 0, 0) })
			done <- err
		}()
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
}
