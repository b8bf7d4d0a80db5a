package qtest

import (
	"bytes"
	"context"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nexus/source/api/netapi"
	"nexus/source/libs/channel"
	"nexus/source/libs/frameq"
	virtioslot "nexus/source/libs/virtio/slot"
	"nexus/source/services/virtionetd/driver"
)

// service is virtionetd's driver on QEMU's device, with a client and an attached stack.
type service struct {
	t      *testing.T
	m      *Machine
	irq    *IRQ
	peer   Peer
	client *netapi.Client

	mu    sync.Mutex
	marks []string
}

func startService(t *testing.T) *service {
	t.Helper()
	m, peer := plugged(t, Dgram, "")
	irq, err := m.IRQ(slot)
	if err != nil {
		t.Fatal(err)
	}
	s := &service{t: t, m: m, irq: irq, peer: peer}
	window := m.Window(slot)
	near, far, err := channel.Pair()
	if err != nil {
		t.Fatal(err)
	}
	s.client = netapi.NewClient(near)
	config := driver.Config{
		Slot:    virtioslot.Slot{Window: window, Base: window.Base(), Number: firstIRQ + slot, Interrupt: irq},
		Clients: []driver.Client{{Conn: far, Stack: true}}, Mark: s.mark,
	}
	if config.Rings, err = m.Memory(ringsAt, 64<<10); err != nil {
		t.Fatal(err)
	}
	if config.Frames, err = m.Memory(framesAt, frameq.PoolSize); err != nil {
		t.Fatal(err)
	}
	if config.FramesFile, err = m.MemoryFile(); err != nil {
		t.Fatal(err)
	}
	d, err := driver.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	d.Announce()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	t.Cleanup(func() {
		s.client.Close()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("driver ended: %v", err)
		}
		if err := window.Err(); err != nil {
			t.Errorf("register access: %v", err)
		}
		config.FramesFile.Close()
	})
	return s
}

func (s *service) mark(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.marks = append(s.marks, line)
}

// attach joins the frame queue. The frames descriptor is the machine's whole memory here.
func (s *service) attach() (*frameq.Stack, *frameq.EventBell) {
	s.t.Helper()
	a, err := s.client.Attach()
	if err != nil {
		s.t.Fatal(err)
	}
	frames, err := unix.Mmap(a.Frames, framesAt, a.FramesSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		s.t.Fatal(err)
	}
	queue, err := unix.Mmap(a.Queue, 0, a.QueueSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		s.t.Fatal(err)
	}
	unix.Close(a.Frames)
	unix.Close(a.Queue)
	rx, err := frameq.OpenEventBell(os.NewFile(uintptr(a.RxBell), "rxbell"))
	if err != nil {
		s.t.Fatal(err)
	}
	tx, err := frameq.OpenEventBell(os.NewFile(uintptr(a.TxBell), "txbell"))
	if err != nil {
		s.t.Fatal(err)
	}
	stack, err := frameq.Attach(frames, queue, tx)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := rx.File().SetDeadline(time.Now().Add(2 * answerTime)); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		rx.Close()
		tx.Close()
		unix.Munmap(frames)
		unix.Munmap(queue)
	})
	return stack, rx
}

// TestServiceEchoes: device, driver, frame queue, and a stack that sends every frame back.
func TestServiceEchoes(t *testing.T) {
	s := startService(t)
	stack, bell := s.attach()
	const frames = 1000
	var echo sync.WaitGroup
	echo.Go(func() {
		for n := 0; n < frames; {
			frame, slot, ok := stack.Recv()
			if !ok {
				stack.Flush()
				if stack.ArmRx() {
					if err := bell.Wait(); err != nil {
						t.Errorf("after %d frames: %v", n, err)
						return
					}
				}
				continue
			}
			out, buf, ok := stack.Alloc()
			if !ok {
				t.Errorf("no slot for frame %d", n)
				return
			}
			stack.Send(out, copy(buf, frame))
			stack.Release(slot)
			stack.Flush()
			n++
		}
	})
	// A window of frames on the way keeps both rings busy.
	const window = 32
	for n := range frames + window {
		if n < frames {
			if err := s.peer.Send(frameOf(n, 60+n%1455)); err != nil {
				t.Fatal(err)
			}
		}
		if n >= window {
			want := frameOf(n-window, 60+(n-window)%1455)
			if got, err := s.peer.Receive(); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("echo %d: %d bytes, %v", n-window, len(got), err)
			}
		}
	}
	echo.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	want := "virtionetd: ready\nvirtionetd: mmio=0x10002000 irq=2 mac=02:00:00:00:00:01 mtu=1500\nvirtionetd: rx frame len=60"
	if got := strings.Join(s.marks, "\n"); got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
	stats, err := s.client.Stats()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range stats {
		if strings.Contains(c.Name, "drop") && c.Value != 0 || c.Name == "nic.rx.frames" && c.Value != frames {
			t.Errorf("%s = %d", c.Name, c.Value)
		}
	}
}

func TestServiceSendsAndReceivesByMessage(t *testing.T) {
	s := startService(t)
	want := frameOf(1, 100)
	if err := s.client.Send(want); err != nil {
		t.Fatal(err)
	}
	if got, err := s.peer.Receive(); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes arrived, %v", len(got), err)
	}
	// Frames keep coming until recv, whenever it begins to wait, has seen one.
	stop, sending := make(chan struct{}), sync.WaitGroup{}
	sending.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if err := s.peer.Send(want); err != nil {
					t.Errorf("peer: %v", err)
					return
				}
			}
		}
	})
	got, err := s.client.Recv(answerTime)
	close(stop)
	sending.Wait()
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("recv: %d bytes, %v", len(got), err)
	}
}

// TestServiceNoticesTheCable pulls the cable: a configuration-change interrupt
// that must not stall the queue.
func TestServiceNoticesTheCable(t *testing.T) {
	s := startService(t)
	for _, up := range []bool{false, true} {
		if _, err := s.m.QMP("set_link", map[string]any{"name": "n0", "up": up}); err != nil {
			t.Fatal(err)
		}
		deadline := time.Now().Add(answerTime)
		for {
			i, err := s.client.Info()
			if err != nil {
				t.Fatal(err)
			}
			if i.Up == up {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("up = %v never seen", up)
			}
		}
	}
	want := frameOf(1, 100)
	if err := s.client.Send(want); err != nil {
		t.Fatal(err)
	}
	if got, err := s.peer.Receive(); err != nil || !bytes.Equal(got, want) {
		t.Errorf("after the cable was back: %d bytes, %v", len(got), err)
	}
}

func TestServiceKeepsTheQueueToOneOwner(t *testing.T) {
	s := startService(t)
	s.attach()
	// The same client may attach again, as after its own restart.
	stack, bell := s.attach()
	if err := s.peer.Send(frameOf(1, 60)); err != nil {
		t.Fatal(err)
	}
	for {
		if frame, _, ok := stack.Recv(); ok {
			if !bytes.Equal(frame, frameOf(1, 60)) {
				t.Error("another frame came")
			}
			break
		}
		if stack.ArmRx() {
			if err := bell.Wait(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.client.Send([]byte{1}); netapi.ErrnoOf(err) != syscall.EINVAL {
		t.Errorf("short frame: %v, want EINVAL", err)
	}
}
