package port

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"testing"

	"nexus/source/libs/virtio"
	"nexus/source/libs/virtio/fake"
	"nexus/source/libs/virtio/recovery"
	"nexus/source/libs/virtio/serialdev"
	"nexus/source/libs/virtio/slot"
)

func TestOpenNamesWhatIsWrong(t *testing.T) {
	m, err := fake.NewMemory(memoryBase, serialdev.MemoryBytes)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	s := fake.NewSerial(2, m)
	memory := m.Region()
	memory.Bytes = memory.Bytes[:100]
	if _, err := Open(Config{Slot: slot.Slot{Window: s}, Memory: memory}); err == nil || !strings.Contains(err.Error(), "correct the manifest") {
		t.Errorf("short memory: %v", err)
	}
	s.RefuseLive = true
	if _, err := Open(Config{Slot: slot.Slot{Window: s}, Memory: m.Region()}); !errors.Is(err, virtio.ErrNotReady) {
		t.Errorf("device that does not come alive: %v, want %v", err, virtio.ErrNotReady)
	}
	s.Version = 1
	if _, err := Open(Config{Slot: slot.Slot{Window: s}, Memory: m.Region()}); !errors.Is(err, virtio.ErrLegacy) {
		t.Errorf("legacy: %v, want %v", err, virtio.ErrLegacy)
	}
}

func TestBytesBothWays(t *testing.T) {
	r := connected(t, nil)
	want := pattern(1 << 20)
	var both sync.WaitGroup
	both.Go(func() { r.reads(want) })
	both.Go(func() { r.writes(want) })
	r.fake.Input(ours, []byte(want))
	r.gets(want)
	both.Wait()
	for _, name := range []string{"port.resets", "port.tx.stalled", "port.rx.drop.nohost", "port.control.dry", "port.unfinished"} {
		if got := r.counter(name); got != 0 {
			t.Errorf("%s = %d, want 0", name, got)
		}
	}
	if got := r.counter("port.rx.read"); got != 1<<20 {
		t.Errorf("%d bytes counted, want %d", got, 1<<20)
	}
}

func TestWritesDoNotMix(t *testing.T) {
	r := connected(t, nil)
	const writers, writes, length = 8, 40, 9000
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			p := bytes.Repeat([]byte{byte('a' + w)}, length)
			for range writes {
				if _, err := r.port.Write(p); err != nil {
					t.Errorf("write: %v", err)
				}
			}
		})
	}
	all.Wait()
	var got []byte
	r.until("all out", func() bool { got = append(got, r.fake.Output(ours)...); return len(got) == writers*writes*length })
	for ; len(got) > 0; got = got[length:] {
		if !bytes.Equal(got[:length], bytes.Repeat(got[:1], length)) {
			t.Fatal("two writes mixed")
		}
	}
}

func TestReaderIsTheBackPressure(t *testing.T) {
	r := connected(t, nil)
	want := pattern(serialdev.RxBuffers*serialdev.RxBuffer + 5000)
	r.fake.Input(ours, []byte(want))
	r.until("kept back", func() bool { return r.counter("port.rx.bytes") == serialdev.RxBuffers*serialdev.RxBuffer })
	if got := r.fake.Waiting(ours); got != 5000 {
		t.Errorf("%d bytes wait with the host, want 5000", got)
	}
	r.reads(want)
}

func TestHostsComeAndGo(t *testing.T) {
	r := newRig(t, nil)
	if _, err := r.port.Write([]byte("x")); !errors.Is(err, ErrHostGone) {
		t.Errorf("write without a host: %v, want %v", err, ErrHostGone)
	}
	for range 20 {
		r.connect()
		r.fake.Input(ours, []byte("hello"))
		r.reads("hello")
		r.writes("welcome")
		r.gets("welcome")
		r.fake.Input(ours, []byte("last words"))
		r.fake.Disconnect(ours)
		r.reads("last words")
		r.readsEnd()
		if _, err := r.port.Write([]byte("x")); !errors.Is(err, ErrHostGone) {
			t.Errorf("write after the host: %v, want %v", err, ErrHostGone)
		}
	}
	if got := r.counter("port.resets"); got != 0 {
		t.Errorf("%d resets", got)
	}
}

// TestNextHostGetsNothingOfTheLast: whoever writes has not heard yet that its host is gone.
func TestNextHostGetsNothingOfTheLast(t *testing.T) {
	r := connected(t, nil)
	r.fake.Input(ours, []byte("first"))
	r.until("it came", func() bool { return r.counter("port.rx.bytes") == 5 })
	r.fake.Disconnect(ours)
	r.connect()
	if _, err := r.port.Write([]byte("for the first")); !errors.Is(err, ErrHostGone) {
		t.Errorf("write before the end was read: %v, want %v", err, ErrHostGone)
	}
	r.reads("first")
	r.readsEnd()
	r.writes("for the second")
	r.gets("for the second")
}

// TestEndsAreBounded: hosts come and go while nobody reads.
func TestEndsAreBounded(t *testing.T) {
	r := connected(t, nil)
	for range 200 {
		r.fake.Input(ours, []byte("x"))
		r.fake.Disconnect(ours)
		r.connect()
	}
	got := 0
	for r.locked(func() bool { return !r.port.inbox.empty() }) {
		if n, err := r.port.Read(make([]byte, 1)); err != nil && err != io.EOF {
			t.Fatal(err)
		} else {
			got += n
		}
	}
	if got != serialdev.RxBuffers {
		t.Errorf("%d bytes read, want %d: one a buffer", got, serialdev.RxBuffers)
	}
	r.goesOn()
}

func TestHostGoesInTheMiddleOfAWrite(t *testing.T) {
	r := connected(t, func(s *fake.Serial) { s.ResetReads = 2 })
	r.fake.SetRoom(ours, 1000)
	r.writes(pattern(MaxFrame)) // the ring is full, and the host in the middle of its first buffer
	failed := make(chan error, 1)
	go func() { _, err := r.port.Write([]byte("more")); failed <- err }()
	r.until("writer waits", func() bool { return r.locked(func() bool { return r.port.waits }) })
	r.fake.Disconnect(ours)
	if err := <-failed; !errors.Is(err, ErrHostGone) {
		t.Errorf("write: %v, want %v", err, ErrHostGone)
	}
	r.readsEnd()
	// What the device kept for the host that is gone went with a reset.
	r.until("reset", func() bool { return r.counter("port.resets") == 1 })
	r.fake.Output(ours)
	r.connect()
	r.writes("new")
	r.gets("new")
	r.goesOn()
}

func TestWriteIsBoundedWhenTheDeviceNeverCompletes(t *testing.T) {
	r := connected(t, nil)
	r.fake.SetRoom(ours, 0)
	r.writes(pattern(MaxFrame))
	failed := make(chan error, 2)
	for range 2 { // one waits for the ring, one for the other
		go func() { _, err := r.port.Write([]byte("more")); failed <- err }()
	}
	fired := 0
	r.until("writers wait", func() bool { fired += r.clock.fire(writeWait); return fired == 2 })
	for range 2 {
		if err := <-failed; !errors.Is(err, ErrStalled) {
			t.Errorf("write: %v, want %v", err, ErrStalled)
		}
	}
	if got := r.counter("port.tx.stalled"); got != 2 {
		t.Errorf("counted %d, want 2", got)
	}
	// A host that only pauses misses nothing and gets no half of anything.
	r.fake.SetRoom(ours, -1)
	r.writes("more")
	r.gets(pattern(MaxFrame) + "more")
	if got := r.counter("port.resets"); got != 0 {
		t.Errorf("%d resets of a device whose host pauses", got)
	}
	r.goesOn()
}

func TestWriteWaitsForRoom(t *testing.T) {
	r := connected(t, nil)
	want := pattern(5*MaxFrame + 77)
	r.fake.SetRoom(ours, 10)
	done := make(chan error, 1)
	go func() { _, err := r.port.Write([]byte(want)); done <- err }()
	var got []byte
	r.until("written", func() bool {
		r.fake.SetRoom(ours, 3000)
		got = append(got, r.fake.Output(ours)...)
		return len(got) == len(want)
	})
	if err := <-done; err != nil || string(got) != want {
		t.Errorf("write: %v, or other bytes came out", err)
	}
}

func TestGarbageOnTheControlQueue(t *testing.T) {
	r := connected(t, nil)
	messages := [][]byte{nil, {1}, []byte("a message that means nothing"), bytes.Repeat([]byte{0xff}, 8)}
	before := r.counter("port.control.messages")
	for i := range 500 {
		if !r.fake.Say(messages[i%len(messages)]) {
			t.Fatal("no buffer for the message")
		}
		r.until("taken", func() bool {
			r.clock.fire(stormPause) // interrupts that bring nothing are a storm
			return r.counter("port.control.messages") == before+uint64(i)+1
		})
	}
	r.goesOn()
	for name, want := range map[string]uint64{
		"port.control.drop.short": 250, "port.control.drop.event": 250, "port.resets": 0,
	} {
		if got := r.counter(name); got != want {
			t.Errorf("%s = %d, want %d", name, got, want)
		}
	}
}

func TestBrokenDeviceIsResetAndGoesOn(t *testing.T) {
	for _, tc := range []struct {
		name    string
		hurt    func(*rig, *fake.Serial)
		counter string
	}{
		{"receive index jumps", func(_ *rig, s *fake.Serial) { s.JumpUsed(4, 1000) }, "port.rx.used.jump"},
		{"transmit index jumps", func(_ *rig, s *fake.Serial) { s.JumpUsed(5, 1000); s.Raise(1) }, "port.tx.used.jump"},
		{"control index jumps", func(_ *rig, s *fake.Serial) { s.JumpUsed(2, 1000) }, "port.control.used.jump"},
		{"bad entries", func(r *rig, s *fake.Serial) {
			for i, before := uint64(1), r.counter("port.rx.used.badid"); i <= 64; i++ {
				s.PushUsed(4, 0xffff, 60)
				r.until("counted", func() bool { return r.counter("port.rx.used.badid") == before+i })
			}
		}, "port.rx.used.badid"},
		{"asks for a reset", func(_ *rig, s *fake.Serial) { s.NeedReset() }, "port.needs.reset"},
		{"port removed", func(_ *rig, s *fake.Serial) { s.RemovePort(ours); s.AddPort(ours, serialdev.PortName) }, "port.removed"},
		{"control floods", func(_ *rig, s *fake.Serial) {
			s.Do(func() { s.OnInterrupt = nil })
			for s.Tell(ours, fake.EventPortOpen, 0) {
			}
		}, "port.control.dry"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := connected(t, nil)
			for round := range uint64(3) {
				r.fake.Input(ours, []byte("before"))
				r.until("it came", func() bool { return r.counter("port.rx.bytes") == r.counter("port.rx.read")+6 })
				tc.hurt(r, r.fake)
				r.fake.Do(func() { r.fake.OnInterrupt = r.line.raise })
				r.fake.Raise(1)
				r.until("reset", func() bool { r.clock.fire(tickTime); return r.counter("port.resets") == round+1 })
				if r.counter(tc.counter) == 0 {
					t.Errorf("%s not counted", tc.counter)
				}
				r.reads("before")
				r.readsEnd()
				// The host has the port open all the time, unless the port was another.
				if tc.counter == "port.removed" {
					r.connect()
				}
				r.until("host again", func() bool { return r.counter("port.hosts") == round+2 })
				r.goesOn()
				r.until("quiet", func() bool { r.clock.fire(tickTime); return r.locked(func() bool { return r.port.recovery.Rested() }) })
			}
		})
	}
}

func TestResetsAreRareHoweverOftenADeviceBreaks(t *testing.T) {
	r := connected(t, nil)
	r.fake.JumpUsed(4, 1000)
	r.until("first reset", func() bool { return r.counter("port.resets") == 1 && r.fake.GuestOpen(ours) })
	r.fake.JumpUsed(4, 1000)
	r.until("down", func() bool { return r.locked(func() bool { return r.port.recovery.Down() }) })
	r.readsEnd()
	if _, err := r.port.Write([]byte("x")); !errors.Is(err, ErrHostGone) {
		t.Errorf("write to a device that is down: %v, want %v", err, ErrHostGone)
	}
	if got := r.counter("port.resets"); got != 1 {
		t.Errorf("%d resets before a tick, want 1", got)
	}
	r.until("tick", func() bool { return r.clock.fire(tickTime) == 1 })
	r.until("second reset", func() bool { return r.counter("port.resets") == 2 })
	r.readsEnd()
	r.until("host again", func() bool { return r.counter("port.hosts") == 3 })
	r.goesOn()
}

func TestDeviceThatTakesNoMessagesIsReset(t *testing.T) {
	r := newRig(t, func(s *fake.Serial) { s.HoldControl = true })
	ticks := 0
	for ; r.counter("port.resets") == 0 && ticks < 100; ticks++ {
		r.until("tick", func() bool { return r.clock.fire(tickTime) == 1 })
	}
	if ticks < recovery.StuckTicks || ticks > recovery.StuckTicks+1 || r.counter("port.silent") != 1 {
		t.Errorf("reset after %d ticks, want %d", ticks, recovery.StuckTicks)
	}
	r.fake.Do(func() { r.fake.HoldControl = false })
	r.until("found at last", func() bool { r.clock.fire(tickTime); return r.fake.GuestOpen(ours) })
	r.connect()
	r.goesOn()
}

func TestDeviceThatDoesNotComeBackEndsThePort(t *testing.T) {
	r := connected(t, nil)
	r.fake.Do(func() { r.fake.RefuseFeatures = true })
	r.fake.JumpUsed(4, 1000)
	r.readsEnd() // the host is gone at once, whatever becomes of the device
	waiting := make(chan error, 1)
	go func() { _, err := r.port.Read(make([]byte, 1)); waiting <- err }()
	for range recovery.MaxFailures {
		r.until("tick", func() bool { return r.clock.fire(tickTime) == 1 || len(r.ended) == 1 })
	}
	if err := <-r.ended; !errors.Is(err, recovery.ErrDevice) {
		t.Errorf("port ended with %v, want %v", err, recovery.ErrDevice)
	}
	if err := <-waiting; !errors.Is(err, os.ErrClosed) {
		t.Errorf("read ended with %v, want %v", err, os.ErrClosed)
	}
	r.ended <- nil // for close
}

func TestInterruptStormIsBounded(t *testing.T) {
	r := connected(t, nil)
	stop := make(chan struct{})
	var storm sync.WaitGroup
	storm.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				r.fake.Raise(1)
			}
		}
	})
	r.until("storm noticed", func() bool { return r.counter("port.interrupt.storms") == 1 })
	r.until("masked", func() bool { r.line.mu.Lock(); defer r.line.mu.Unlock(); return !r.line.open })
	close(stop)
	storm.Wait()
	r.until("pause over", func() bool { return r.clock.fire(stormPause) == 1 })
	r.goesOn()
}

func TestEndOfThePort(t *testing.T) {
	r := connected(t, nil)
	r.fake.SetRoom(ours, 0)
	r.writes(pattern(MaxFrame))
	failed := make(chan error, 3)
	go func() { _, err := r.port.Read(make([]byte, 1)); failed <- err }()
	for range 2 {
		go func() { _, err := r.port.Write([]byte("more")); failed <- err }()
	}
	r.until("writer waits", func() bool { return r.locked(func() bool { return r.port.waits }) })
	r.cancel()
	for range 3 {
		if err := <-failed; !errors.Is(err, os.ErrClosed) {
			t.Errorf("ended with %v, want %v", err, os.ErrClosed)
		}
	}
	if err := <-r.ended; err != nil {
		t.Fatal(err)
	}
	r.ended <- nil // for close
	// The memory may be gone by now.
	r.fake.Log()
	r.port.tick()
	if _, err := r.port.Write([]byte("x")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("write: %v, want %v", err, os.ErrClosed)
	}
	if _, err := r.port.Read(make([]byte, 1)); !errors.Is(err, os.ErrClosed) {
		t.Errorf("read: %v, want %v", err, os.ErrClosed)
	}
	if got := len(r.fake.Accesses()); got != 0 {
		t.Errorf("%d register accesses after the end", got)
	}
	if r.clock.fire(tickTime)+r.clock.fire(writeWait) != 0 {
		t.Error("a timer was left running")
	}
}

// BenchmarkEcho moves bytes from the host through the port and back.
func BenchmarkEcho(b *testing.B) {
	r := connected(b, nil)
	p := []byte(pattern(4096))
	got := make([]byte, len(p))
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		r.fake.Input(ours, p)
		if _, err := io.ReadFull(r.port, got); err != nil {
			b.Fatal(err)
		}
		if _, err := r.port.Write(got); err != nil {
			b.Fatal(err)
		}
		r.fake.Output(ours)
	}
}
