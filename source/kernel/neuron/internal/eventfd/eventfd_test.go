package eventfd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/user/usertest"
	"nexus/source/kernel/neuron/internal/wait"
)

// TestLikeHost makes the same calls on an eventfd of the host and one of ours and wants the same answers.
func TestLikeHost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		initial, semaphore := rapid.Uint32().Draw(t, "initial"), rapid.Bool().Draw(t, "semaphore")
		flags := unix.EFD_NONBLOCK | unix.EFD_CLOEXEC
		if semaphore {
			flags |= unix.EFD_SEMAPHORE
		}
		fd, err := unix.Eventfd(uint(initial), flags)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		c, errno := New(initial, semaphore)
		if errno != abi.OK {
			t.Fatal(errno)
		}
		defer c.Close()
		same := func(t *rapid.T, what string, n int, errno abi.Errno, wantN int, err error) {
			var want unix.Errno
			errors.As(err, &want)
			if n != max(wantN, 0) || errno != abi.Errno(want) {
				t.Fatalf("%s = %d, %d, want %d, %d", what, n, errno, wantN, want)
			}
		}
		value := rapid.OneOf(rapid.Uint64(), rapid.Uint64Range(0, 3), rapid.Uint64Range(1<<64-4, 1<<64-1))
		t.Repeat(map[string]func(*rapid.T){
			"write": func(t *rapid.T) {
				b := binary.LittleEndian.AppendUint64(nil, value.Draw(t, "value"))
				wantN, err := unix.Write(fd, b)
				n, errno := c.Write(usertest.In(b), 0)
				same(t, "write", n, errno, wantN, err)
			},
			"odd write": func(t *rapid.T) {
				b := make([]byte, rapid.IntRange(1, 20).Draw(t, "size"))
				wantN, err := unix.Write(fd, b)
				n, errno := c.Write(usertest.In(b), 0)
				same(t, "odd write", n, errno, wantN, err)
			},
			"read": func(t *rapid.T) {
				size := rapid.IntRange(6, 12).Draw(t, "size")
				got, want := make([]byte, size), make([]byte, size)
				wantN, err := unix.Read(fd, want)
				n, errno := c.Read(usertest.Out(got), 0)
				same(t, "read", n, errno, wantN, err)
				if !bytes.Equal(got, want) {
					t.Fatalf("read %x, want %x", got, want)
				}
			},
			"": func(t *rapid.T) {
				p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN | unix.POLLOUT}}
				for {
					if _, err := unix.Poll(p, 0); err != unix.EINTR {
						break
					}
				}
				if got, want := c.Ready(), abi.Events(p[0].Revents); got != want {
					t.Fatalf("ready %#x, want %#x", got, want)
				}
			},
		})
	})
	if Open() != 0 {
		t.Errorf("%d left open", Open())
	}
}

type watch struct {
	wait.Waiter
	events abi.Events
}

func (w *watch) Wake(_ *wait.Waiter, ev abi.Events) { w.events |= ev }

func TestNotifies(t *testing.T) {
	c, _ := New(0, false)
	w := new(watch)
	w.Sink, w.Mask = w, abi.EPOLLIN|abi.EPOLLOUT
	c.Queue().Add(&w.Waiter)
	c.Write(usertest.In([]byte{1, 0, 0, 0, 0, 0, 0, 0}), 0)
	if w.events != abi.EPOLLIN {
		t.Errorf("write told %#x, want EPOLLIN", w.events)
	}
	w.events = 0
	c.Read(usertest.Out(make([]byte, 8)), 0)
	if w.events != abi.EPOLLOUT {
		t.Errorf("read told %#x, want EPOLLOUT", w.events)
	}
	w.Remove()
	c.Close()
}

func TestBounds(t *testing.T) {
	var all []*Counter
	for range MaxCounters {
		c, err := New(0, false)
		if err != abi.OK {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	if _, err := New(0, false); err != abi.ENFILE {
		t.Errorf("one too many: %d, want ENFILE", err)
	}
	for _, c := range all {
		c.Close()
	}
	c, err := New(7, false)
	if err != abi.OK || Open() != 1 {
		t.Fatalf("after closing: %d, %d open", err, Open())
	}
	if n, err := c.Write(usertest.Broken(nil, 8), 0); n != 0 || err != abi.EFAULT {
		t.Errorf("write from nowhere = %d, %d, want EFAULT", n, err)
	}
	if n, err := c.Read(usertest.Broken(nil, 8), 0); n != 0 || err != abi.EFAULT {
		t.Errorf("read to nowhere = %d, %d, want EFAULT", n, err)
	}
	c.Close()
}
