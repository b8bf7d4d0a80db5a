package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// restart gives the handler that Go has of SIGUSR1 SA_RESTART, or takes it away. The flags are the second word of struct sigaction.
func restart(on bool) {
	const saRestart = 0x10000000
	action := new([4]uint64)
	must(raw(unix.SYS_RT_SIGACTION, uintptr(unix.SIGUSR1), 0, address(action), 8))
	action[1] &^= saRestart
	if on {
		action[1] |= saRestart
	}
	must(raw(unix.SYS_RT_SIGACTION, uintptr(unix.SIGUSR1), address(action), 0, 8))
}

// struck makes a call that sleeps, strikes its thread with signals until it returns, at most for a while, and lets end end it then.
func struck(call func() (int, error), end func()) string {
	type result struct {
		n   int
		err error
	}
	thread, done := make(chan int), make(chan result, 1)
	go func() {
		runtime.LockOSThread()
		thread <- unix.Gettid()
		n, err := call()
		done <- result{n, err}
	}()
	id := <-thread
	for range 60 {
		select {
		case got := <-done:
			return fmt.Sprintf("%d %s", max(got.n, 0), name(got.err))
		case <-time.After(3 * time.Millisecond):
			unix.Tgkill(unix.Getpid(), id, unix.SIGUSR1)
		}
	}
	end()
	got := <-done
	return fmt.Sprintf("goes on, then %d %s", max(got.n, 0), name(got.err))
}

// interruptions is what signals do to calls that sleep.
func interruptions(r *report) {
	received := make(chan os.Signal, 1)
	signal.Notify(received, unix.SIGUSR1)
	defer signal.Reset()
	for _, on := range []bool{false, true} {
		restart(on)
		say := func(what, answer string) { r.say(fmt.Sprintf("%s, SA_RESTART %v", what, on), "%s", answer) }
		sleeps(say)
		children(say)
	}
	notified(r)
	replaced(r)
}

func sleeps(say func(what, answer string)) {
	var p [2]int
	must(0, unix.Pipe(p[:]))
	x := make([]byte, 1)
	say("read", struck(func() (int, error) { return unix.Read(p[0], x) }, func() { unix.Write(p[1], x) }))
	fds := &[1]unix.PollFd{{Fd: int32(p[0]), Events: unix.POLLIN}}
	say("ppoll", struck(func() (int, error) { return raw(unix.SYS_PPOLL, address(fds), 1, 0, 0, 8) }, func() { unix.Write(p[1], x) }))
	epoll := watch(p[0], unix.EPOLLIN)
	events := new([1]unix.EpollEvent)
	for _, timeout := range []int{-1, 60000} {
		say(fmt.Sprint("epoll_pwait, time-out ", timeout), struck(func() (int, error) {
			return raw(unix.SYS_EPOLL_PWAIT, uintptr(epoll), address(events), 1, uintptr(timeout), 0, 8)
		}, func() { unix.Write(p[1], x) }))
	}
	closeAll(epoll, p[0], p[1])

	must(0, unix.Pipe(p[:]))
	much := make([]byte, 100_000)
	go func() {
		for n := 0; n < 30_000; {
			k, _ := unix.Read(p[0], much[:1000])
			n += k
		}
	}()
	text := struck(func() (int, error) { return unix.Write(p[1], make([]byte, 200_000)) }, func() {
		for n := 0; n < 170_000; {
			k, _ := unix.Read(p[0], much)
			n += k
		}
	})
	var n int
	_, err := fmt.Sscanf(text, "%d ok", &n)
	say("a write that has written", fmt.Sprintf("some %v", err == nil && n > 0 && n < 200_000))
	closeAll(p[0], p[1])

	pair := must(unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0))
	say("recvfrom", struck(func() (int, error) {
		n, _, err := unix.Recvfrom(pair[0], x, 0)
		return n, err
	}, func() { unix.Write(pair[1], x) }))
	closeAll(pair[0], pair[1])

	word := new([2]uint32)
	wake := func() {
		for n := 0; n != 1; runtime.Gosched() { // it may be in the handler
			n, _ = raw(unix.SYS_FUTEX, address(&word[0]), futexWake|futexPrivate, 1)
		}
	}
	at, long := address(&word[0]), address(&unix.Timespec{Sec: 60})
	say("futex", struck(func() (int, error) { return raw(unix.SYS_FUTEX, at, futexWait|futexPrivate, 0, 0) }, wake))
	say("futex, timed", struck(func() (int, error) { return raw(unix.SYS_FUTEX, at, futexWait|futexPrivate, 0, long) }, wake))

	left := new(unix.Timespec)
	say("nanosleep", struck(func() (int, error) { return raw(unix.SYS_NANOSLEEP, long, address(left)) }, func() {}))
	say("nanosleep", fmt.Sprintf("tells that %v remain", left.Sec >= 50 && left.Sec < 60))
	*left = unix.Timespec{}
	say("clock_nanosleep", struck(func() (int, error) {
		return raw(unix.SYS_CLOCK_NANOSLEEP, unix.CLOCK_MONOTONIC, 0, long, address(left))
	}, func() {}))
	say("clock_nanosleep", fmt.Sprintf("tells that %v remain", left.Sec >= 50 && left.Sec < 60))
	*left = unix.Timespec{}
	until := new(unix.Timespec)
	unix.ClockGettime(unix.CLOCK_MONOTONIC, until)
	until.Sec += 60
	say("clock_nanosleep until", struck(func() (int, error) {
		return raw(unix.SYS_CLOCK_NANOSLEEP, unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, address(until), address(left))
	}, func() {}))
	say("clock_nanosleep until", fmt.Sprintf("tells that %d s remain", left.Sec))
}

// children waits for one.
func children(say func(what, answer string)) {
	for _, what := range []string{"wait4", "waitid"} {
		command := exec.Command("/proc/self/exe", "child-wait")
		stdin := must(command.StdinPipe())
		must(0, command.Start())
		id := uintptr(command.Process.Pid)
		say(what, struck(func() (int, error) {
			if what == "waitid" {
				return raw(unix.SYS_WAITID, unix.P_PID, id, 0, unix.WEXITED|unix.WNOWAIT, 0)
			}
			n, err := raw(unix.SYS_WAIT4, id, 0, 0, 0)
			return min(n, 1), err
		}, func() { stdin.Close() }))
		stdin.Close()
		command.Wait()
	}
}

// notified writes much to a pipe while signals come that Go's handler tells of: each byte arrives once.
func notified(r *report) {
	restart(true)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	whole := 0
	const rounds, size = 20, 300_000
	for round := range rounds {
		sent := make([]byte, size)
		for i := range sent {
			sent[i] = byte(i*7 + round + i>>8)
		}
		in, out, _ := os.Pipe()
		got := make(chan []byte)
		go func() {
			var b bytes.Buffer
			part := make([]byte, 1000)
			for {
				n, err := in.Read(part)
				b.Write(part[:n])
				if err != nil {
					got <- b.Bytes()
					return
				}
			}
		}()
		writer, stop, stopped := unix.Gettid(), make(chan bool), make(chan bool)
		go func() {
			defer close(stopped)
			for {
				select {
				case <-stop:
					return
				default:
					unix.Tgkill(unix.Getpid(), writer, unix.SIGUSR1)
					runtime.Gosched()
				}
			}
		}()
		fd := int(out.Fd()) // makes it one that blocks
		for rest := sent; len(rest) > 0; {
			n, err := unix.Write(fd, rest)
			if err != nil && err != unix.EINTR {
				break
			}
			rest = rest[max(n, 0):]
		}
		out.Close()
		if bytes.Equal(<-got, sent) {
			whole++
		}
		close(stop)
		<-stopped
		in.Close()
	}
	r.say("large writes under signals", "%d of %d whole", whole, rounds)
}

// replaced puts another file in the place of the one that a write, or a read, waits for.
func replaced(r *report) {
	var old, other [2]int
	must(0, unix.Pipe(old[:]))
	must(0, unix.Pipe(other[:]))
	unix.SetNonblock(other[0], true)
	done := make(chan int)
	go func() {
		n, _ := unix.Write(old[1], make([]byte, 100_000))
		done <- n
	}()
	buffer := make([]byte, 100_000)
	for range 1000 { // until the pipe is full
		var fds [1]unix.PollFd
		fds[0] = unix.PollFd{Fd: int32(old[1]), Events: unix.POLLOUT}
		if n, _ := unix.Poll(fds[:], 0); n == 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	keep := must(unix.Dup(old[1]))
	unix.Dup3(other[1], old[1], 0)
	n := 0
	for n < 100_000 {
		k, err := unix.Read(old[0], buffer)
		if err != nil || k == 0 {
			break
		}
		n += k
	}
	_, err := unix.Read(other[0], buffer)
	r.say("dup3 over a file that a write waits for", "%d bytes in the old one, wrote %d; the new one: %s", n, <-done, name(err))
	closeAll(keep, old[0], old[1], other[0], other[1])
}
