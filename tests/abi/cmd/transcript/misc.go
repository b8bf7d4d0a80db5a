package main

import (
	"bytes"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// ownTime reports whether a new thread's processor time is less than its process's, which has run before.
func ownTime() bool {
	var all unix.Timespec
	for all.Nano() < 20_000_000 {
		unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &all)
	}
	less := make(chan bool)
	go func() {
		runtime.LockOSThread() // and ends with the thread
		done := make(chan bool)
		go func() { // by another thread, maybe a new one
			runtime.LockOSThread()
			done <- true
		}()
		<-done
		var own unix.Timespec
		unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &own)
		unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &all)
		less <- own.Nano() < all.Nano()
	}()
	return <-less
}

// times reads clocks and sleeps.
func times(r *report) {
	var t unix.Timespec
	for _, c := range []struct {
		name  string
		clock int32
	}{
		{"CLOCK_REALTIME", unix.CLOCK_REALTIME}, {"CLOCK_MONOTONIC", unix.CLOCK_MONOTONIC}, {"CLOCK_MONOTONIC_COARSE", unix.CLOCK_MONOTONIC_COARSE},
		{"CLOCK_REALTIME_COARSE", unix.CLOCK_REALTIME_COARSE}, {"CLOCK_BOOTTIME", unix.CLOCK_BOOTTIME}, {"clock 99", 99}, {"clock -1", -1},
	} {
		err := unix.ClockGettime(c.clock, &t)
		r.say(c.name, "%s, in range %v", name(err), t.Nsec >= 0 && t.Nsec < 1e9)
	}
	_, err := raw(unix.SYS_CLOCK_GETTIME, unix.CLOCK_MONOTONIC, 8)
	r.err("a bad address", err)
	unix.ClockGettime(unix.CLOCK_REALTIME, &t)
	r.say("the year", "2025 or later %v", time.Unix(t.Unix()).Year() >= 2025)
	growing := true
	for last, i := int64(0), 0; i < 1000; i++ {
		unix.ClockGettime(unix.CLOCK_MONOTONIC, &t)
		growing = growing && t.Nano() >= last
		last = t.Nano()
	}
	r.say("CLOCK_MONOTONIC never goes back", "%v", growing)

	nanosleep := func(what string, t unix.Timespec) {
		start := time.Now()
		var left unix.Timespec
		err := unix.Nanosleep(&t, &left)
		for err == unix.EINTR {
			t = left
			err = unix.Nanosleep(&t, &left)
		}
		r.say(what, "%s, long enough %v", name(err), err != nil || time.Since(start) >= time.Duration(t.Nano()))
	}
	nanosleep("nanosleep 5 ms", unix.Timespec{Nsec: 5_000_000})
	nanosleep("nanosleep 0", unix.Timespec{})
	nanosleep("nanosleep too many nanoseconds", unix.Timespec{Nsec: 1_000_000_000})
	nanosleep("nanosleep a negative time", unix.Timespec{Sec: -1})
	at := func(what string, clock int32, flags int, t unix.Timespec) {
		_, err := again(func() (int, error) { return 0, unix.ClockNanosleep(clock, flags, &t, nil) })
		r.err(what, err)
	}
	at("clock_nanosleep 1 ms", unix.CLOCK_MONOTONIC, 0, unix.Timespec{Nsec: 1_000_000})
	at("clock_nanosleep until long ago", unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, unix.Timespec{Nsec: 1})
	at("clock_nanosleep by an unknown clock", 99, 0, unix.Timespec{})
	at("clock_nanosleep by the thread's processor time", unix.CLOCK_THREAD_CPUTIME_ID, 0, unix.Timespec{Nsec: 1})
	at("clock_nanosleep by the raw clock", unix.CLOCK_MONOTONIC_RAW, 0, unix.Timespec{Nsec: 1})
	at("clock_nanosleep by a coarse clock", unix.CLOCK_MONOTONIC_COARSE, 0, unix.Timespec{Nsec: 1})
	at("clock_nanosleep by the time since boot", unix.CLOCK_BOOTTIME, 0, unix.Timespec{Nsec: 1})
	r.say("a thread's processor time", "%v", ownTime())
	_, err = raw(unix.SYS_NANOSLEEP, 8, 0)
	r.err("nanosleep a bad address", err)
}

// misc is the rest.
func misc(r *report) {
	first, second := make([]byte, 32), make([]byte, 32)
	n, err := unix.Getrandom(first, 0)
	r.number("getrandom", n, err)
	unix.Getrandom(second, unix.GRND_NONBLOCK)
	r.say("getrandom again", "different %v", !bytes.Equal(first, second) && !bytes.Equal(first, make([]byte, 32)))
	n, err = unix.Getrandom(nil, 0)
	r.number("getrandom nothing", n, err)
	n, err = unix.Getrandom(first, 1<<10)
	r.number("getrandom with a bad flag", n, err)
	buffer := &[32]byte{}
	for _, flags := range []struct {
		name string
		bits uintptr
	}{
		{"GRND_NONBLOCK", unix.GRND_NONBLOCK}, {"GRND_RANDOM", unix.GRND_RANDOM}, {"GRND_INSECURE", unix.GRND_INSECURE},
		{"GRND_NONBLOCK|GRND_RANDOM", unix.GRND_NONBLOCK | unix.GRND_RANDOM},
		{"GRND_NONBLOCK|GRND_INSECURE", unix.GRND_NONBLOCK | unix.GRND_INSECURE},
		{"GRND_RANDOM|GRND_INSECURE", unix.GRND_RANDOM | unix.GRND_INSECURE},
		{"with a bit above an int's", 1 << 32},
	} {
		// Not the library's: where the vDSO has the call it lets more pass.
		n, err = raw(unix.SYS_GETRANDOM, address(buffer), 32, flags.bits)
		r.number("getrandom "+flags.name, n, err)
	}
	n, err = raw(unix.SYS_GETRANDOM, 8, 4, 0)
	r.number("getrandom to a bad address", n, err)

	var u unix.Utsname
	err = unix.Uname(&u)
	r.say("uname", "%s, filled %v", name(err), u.Sysname[0] != 0 && u.Release[0] != 0 && u.Machine[0] != 0)
	_, err = raw(unix.SYS_UNAME, 8)
	r.err("uname to a bad address", err)

	var set unix.CPUSet
	r.say("sched_getaffinity", "%s, at least one %v", name(unix.SchedGetaffinity(0, &set)), set.Count() >= 1)
	_, err = raw(unix.SYS_SCHED_GETAFFINITY, 0, 4, address(&[1]uint32{}))
	r.err("sched_getaffinity into 4 bytes", err)
	_, err = raw(unix.SYS_SCHED_YIELD)
	r.err("sched_yield", err)
	_, err = raw(unix.SYS_PRCTL, 99999)
	r.err("an unknown prctl", err)
	_, err = raw(9999)
	r.err("an unknown system call", err)
	pid := unix.Getpid()
	r.say("getpid", "stays %v, gettid in range %v", pid == unix.Getpid(), unix.Gettid() >= pid)
	var limit unix.Rlimit
	err = unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &limit)
	r.say("RLIMIT_NOFILE", "%s, at least 64 %v", name(err), limit.Cur >= 64)
	r.err("an unknown limit", unix.Prlimit(0, 99, nil, &limit))
}
