package main

import (
	"os"
	"os/signal"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func signals(r *report) {
	self := unix.Getpid()
	r.err("kill with signal 0", unix.Kill(self, 0))
	r.err("kill with a bad signal", unix.Kill(self, 99))
	r.err("kill nobody", unix.Kill(1<<22-1, unix.SIGTERM))
	r.err("tgkill nobody", unix.Tgkill(self, 1<<22-1, 0))
	r.err("tgkill with a bad signal", unix.Tgkill(self, unix.Gettid(), 99))
	r.err("tgkill 0", unix.Tgkill(-1, unix.Gettid(), 0))

	received := make(chan os.Signal, 1)
	signal.Notify(received, unix.SIGUSR1, unix.SIGTERM)
	expect := func(what string, send func() error, want os.Signal) {
		if err := send(); err != nil {
			r.err(what, err)
			return
		}
		select {
		case got := <-received:
			r.say(what, "%v", got == want)
		case <-time.After(wait):
			r.say(what, "did not come")
		}
	}
	expect("kill", func() error { return unix.Kill(self, unix.SIGUSR1) }, unix.SIGUSR1)
	expect("tgkill", func() error {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		return unix.Tgkill(self, unix.Gettid(), unix.SIGTERM)
	}, unix.SIGTERM)
	signal.Ignore(unix.SIGUSR2)
	r.err("an ignored signal", unix.Kill(self, unix.SIGUSR2))
	signal.Reset()

	r.say("a nil map", "%s", recovered(func() { noMap()["x"] = 1 }))
	r.say("a nil pointer", "%s", recovered(func() { use(noReport().section[0]) }))
	r.say("an index", "%s", recovered(func() { _ = []byte{1}[len(os.Args)+5] }))
	preempted(r)
	overflow(r)
}

func noMap() map[string]int { return nil }

func noReport() *report { return nil }

// recovered runs access and returns what it panicked with.
func recovered(access func()) (text string) {
	defer func() {
		if err, ok := recover().(error); ok {
			text, _, _ = strings.Cut(err.Error(), "[signal")
			text, _, _ = strings.Cut(text, " [")
		}
	}()
	access()
	return "nothing"
}

// preempted has a loop without calls share one processor with us: only a signal can stop it.
func preempted(r *report) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	stop, ran := false, make(chan bool, 1)
	go func() {
		for i := 0; !stop; i++ {
			if i < 0 {
				break
			}
		}
	}()
	go func() { ran <- true }()
	select {
	case <-ran:
		r.say("a busy loop is preempted", "true")
	case <-time.After(wait):
		r.say("a busy loop is preempted", "false")
	}
	stop = true
}

// overflow lets a child use up its stack.
func overflow(r *report) {
	state := runChild("child-overflow", nil)
	r.say("a goroutine's stack overflow", "exit status %d", state.ExitStatus())
}
