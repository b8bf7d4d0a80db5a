package pipe

import (
	"bytes"
	"errors"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/mem"
	"nexus/source/kernel/neuron/internal/user/usertest"
	"nexus/source/kernel/neuron/internal/wait"
)

// hostErrno is the number of an error of the host, whose numbers are neuron's.
func hostErrno(err error) abi.Errno {
	var e unix.Errno
	if errors.As(err, &e) {
		return abi.Errno(e)
	}
	return abi.OK
}

// pattern is n bytes that differ from one write to the next.
func pattern(seed, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(seed*31 + i*7)
	}
	return p
}

func hostPoll(fd int) abi.Events {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN | unix.POLLOUT}}
	for {
		if _, err := unix.Poll(p, 0); err != unix.EINTR {
			return abi.Events(p[0].Revents)
		}
	}
}

// TestLikeHost makes the same calls on a pipe of the host and one of ours and wants the same answers.
func TestLikeHost(t *testing.T) {
	mem.InitHost(256, 0)
	free := mem.Available()
	rapid.Check(t, func(t *rapid.T) {
		var fds [2]int
		if err := unix.Pipe2(fds[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		r, w, err := New()
		if err != abi.OK {
			t.Fatal(err)
		}
		ends := [2]*End{r, w}
		closeEnd := func(i int) {
			if ends[i] != nil {
				unix.Close(fds[i])
				ends[i].Close()
				ends[i] = nil
			}
		}
		defer func() { closeEnd(0); closeEnd(1) }()
		seed := 0
		sizes := rapid.OneOf(rapid.IntRange(0, 10), rapid.IntRange(4090, 4100), rapid.IntRange(0, 9000), rapid.IntRange(0, 70000))
		t.Repeat(map[string]func(*rapid.T){
			"write": func(t *rapid.T) {
				if ends[1] == nil {
					t.Skip()
				}
				seed++
				data := pattern(seed, sizes.Draw(t, "n"))
				wantN, e := unix.Write(fds[1], data)
				n, err := ends[1].Write(usertest.In(data), 0)
				if want := hostErrno(e); err != want || n != max(wantN, 0) {
					t.Fatalf("write(%d) = %d, %d, want %d, %d", len(data), n, err, wantN, want)
				}
			},
			"read": func(t *rapid.T) {
				if ends[0] == nil {
					t.Skip()
				}
				size := sizes.Draw(t, "n")
				want, got := make([]byte, size), make([]byte, size)
				wantN, e := unix.Read(fds[0], want)
				n, err := ends[0].Read(usertest.Out(got), 0)
				if wantErr := hostErrno(e); err != wantErr || n != max(wantN, 0) || !bytes.Equal(got, want) {
					t.Fatalf("read(%d) = %d, %d, want %d, %d", size, n, err, wantN, wantErr)
				}
			},
			"close": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "rarely") == 0 {
					closeEnd(rapid.IntRange(0, 1).Draw(t, "end"))
				}
			},
			"": func(t *rapid.T) {
				for i, e := range ends {
					if e == nil {
						continue
					}
					if got, want := e.Ready(), hostPoll(fds[i]); got != want {
						t.Fatalf("end %d: ready %#x, want %#x", i, got, want)
					}
				}
			},
		})
	})
	if mem.Available() != free || Open() != 0 {
		t.Fatalf("%d pages and %d pipes left behind", free-mem.Available(), Open())
	}
}

// watch collects what a queue tells.
type watch struct {
	wait.Waiter
	events abi.Events
	calls  int
}

func (w *watch) Wake(_ *wait.Waiter, ev abi.Events) { w.events |= ev; w.calls++ }

func (w *watch) take() (abi.Events, int) {
	ev, n := w.events, w.calls
	w.events, w.calls = 0, 0
	return ev, n
}

func watchEnd(e *End) *watch {
	w := new(watch)
	w.Sink, w.Mask = w, abi.EPOLLIN|abi.EPOLLOUT
	e.Queue().Add(&w.Waiter)
	return w
}

// TestNotifies wants an edge for every way in which an end becomes ready.
func TestNotifies(t *testing.T) {
	mem.InitHost(64, 0)
	r, w, _ := New()
	rw, ww := watchEnd(r), watchEnd(w)
	must := func(what string, w *watch, want abi.Events) {
		t.Helper()
		if ev, n := w.take(); ev&want != want || n == 0 {
			t.Errorf("%s: told %#x in %d calls, want %#x", what, ev, n, want)
		}
	}
	none := func(what string, w *watch) {
		t.Helper()
		if ev, n := w.take(); n != 0 {
			t.Errorf("%s: told %#x, want nothing", what, ev)
		}
	}
	w.Write(usertest.In([]byte("a")), 0)
	must("first write", rw, abi.EPOLLIN)
	w.Write(usertest.In([]byte("b")), 0)
	must("second write", rw, abi.EPOLLIN)
	none("writes", ww)
	r.Read(usertest.Out(make([]byte, 2)), 0)
	none("a read of a pipe that was not full", ww)

	if n, err := w.Write(usertest.In(make([]byte, 1<<17)), 0); n != 1<<16 || err != abi.OK {
		t.Fatalf("filling write = %d, %d", n, err)
	}
	r.Read(usertest.Out(make([]byte, 100)), 0)
	none("a read that frees no page", ww)
	r.Read(usertest.Out(make([]byte, 3996)), 0)
	must("a read that frees a page", ww, abi.EPOLLOUT)

	rw.Remove()
	r.Close()
	must("close of the read end", ww, abi.EPOLLERR)
	ww.Remove()
	w.Close()
}

func TestFaults(t *testing.T) {
	mem.InitHost(64, 0)
	r, w, _ := New()
	defer r.Close()
	defer w.Close()
	if n, err := w.Write(usertest.Broken([]byte("abc"), 10), 0); n != 0 || err != abi.EFAULT {
		t.Errorf("write = %d, %d, want EFAULT", n, err)
	}
	if r.Ready() != 0 {
		t.Error("a failed write left bytes")
	}
	w.Write(usertest.In([]byte("0123456789")), 0)
	if n, err := r.Read(usertest.Broken(make([]byte, 3), 10), 0); n != 0 || err != abi.EFAULT {
		t.Errorf("read = %d, %d, want EFAULT", n, err)
	}
	got := make([]byte, 20)
	if n, err := r.Read(usertest.Out(got), 0); n != 10 || err != abi.OK || string(got[:n]) != "0123456789" {
		t.Errorf("read after the fault = %q, %d", got[:n], err)
	}
}

func TestBounds(t *testing.T) {
	mem.InitHost(8, 0)
	var ends []*End
	for range MaxPipes {
		r, w, err := New()
		if err != abi.OK {
			t.Fatal(err)
		}
		ends = append(ends, r, w)
	}
	if _, _, err := New(); err != abi.ENFILE {
		t.Errorf("one pipe too many: %d, want ENFILE", err)
	}
	w := ends[1]
	room := mem.Available() * mem.PageSize
	if n, err := w.Write(usertest.In(make([]byte, 1<<16)), 0); n != room || err != abi.OK {
		t.Errorf("write = %d, %d, want the %d bytes that memory has", n, err, room)
	}
	if n, err := w.Write(usertest.In(make([]byte, 4096)), 0); n != 0 || err != abi.ENOMEM {
		t.Errorf("write without memory = %d, %d, want ENOMEM", n, err)
	}
	if _, err := w.Read(usertest.Out(make([]byte, 1)), 0); err != abi.EBADF {
		t.Errorf("read of the write end: %d, want EBADF", err)
	}
	if _, err := ends[0].Write(usertest.In(make([]byte, 1)), 0); err != abi.EBADF {
		t.Errorf("write to the read end: %d, want EBADF", err)
	}
	for _, e := range ends {
		e.Close()
	}
	if mem.Available()*mem.PageSize != room || Open() != 0 {
		t.Error("closing did not give everything back")
	}
}

// TestClosed: a closed end has no user any more.
func TestClosed(t *testing.T) {
	mem.InitHost(8, 0)
	for what, use := range map[string]func(*End){
		"read":  func(e *End) { e.Read(usertest.Out(make([]byte, 1)), 0) },
		"write": func(e *End) { e.Write(usertest.In(make([]byte, 1)), 0) },
		"close": func(e *End) { e.Close() },
	} {
		r, w, _ := New()
		r.Close()
		w.Close()
		func() {
			defer func() {
				if got := recover(); got != "pipe: used after its close" {
					t.Errorf("%s: got %v, want a panic", what, got)
				}
			}()
			use(r)
		}()
	}
}
