package capture_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"nexus/source/api/netapi"
	"nexus/source/services/netstackd/capture"
)

// taps returns taps of lo and virt0.
func taps() (all *capture.Taps, lo, virt0 *capture.Tap) {
	all = capture.New(time.Now)
	return all, all.Tap("lo"), all.Tap("virt0")
}

func open(t *testing.T, all *capture.Taps, name string, snap int) uint64 {
	t.Helper()
	handle, err := all.Open(name, snap)
	if err != nil {
		t.Fatal(err)
	}
	return handle
}

// read reads without waiting.
func read(t *testing.T, all *capture.Taps, handle uint64) ([]netapi.Packet, uint64) {
	t.Helper()
	packets, dropped, err := all.Read(context.Background(), handle, 0)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	return packets, dropped
}

func counter(all *capture.Taps, name string) (value uint64) {
	all.Each(func(is string, v uint64) {
		if is == name {
			value = v
		}
	})
	return value
}

func TestWhatIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, lo, virt0 := taps()
		virt0.Received([]byte("before"))
		every := open(t, all, "", 0)
		if !lo.Watched() || !virt0.Watched() {
			t.Error("not watched")
		}
		onlyLo := open(t, all, "lo", 3)
		memory := []byte("one")
		virt0.Received(memory)
		clear(memory) // the driver's again
		time.Sleep(time.Second)
		lo.Sent([]byte("second"))
		start := time.Now().Add(-time.Second)
		packets, _ := read(t, all, every)
		want := []netapi.Packet{
			{Interface: "virt0", Time: start, Length: 3, Data: []byte("one")},
			{Interface: "lo", Outgoing: true, Time: start.Add(time.Second), Length: 6, Data: []byte("second")},
		}
		if len(packets) != len(want) {
			t.Fatalf("%+v", packets)
		}
		for i, p := range packets {
			w := want[i]
			if p.Interface != w.Interface || p.Outgoing != w.Outgoing || !p.Time.Equal(w.Time) || p.Length != w.Length || !bytes.Equal(p.Data, w.Data) {
				t.Errorf("got %+v, want %+v", p, w)
			}
		}
		if p, _ := read(t, all, onlyLo); len(p) != 1 || string(p[0].Data) != "sec" || p[0].Length != 6 {
			t.Errorf("lo with 3 bytes: %+v", p)
		}
		if err := all.Close(every); err != nil || virt0.Watched() || !lo.Watched() {
			t.Errorf("closed: %v; virt0 watched %v, lo %v", err, virt0.Watched(), lo.Watched())
		}
	})
}

// TestBounds: a full capture drops what is new, counts it, and goes on when it was read.
func TestBounds(t *testing.T) {
	for _, size := range []int{0, 60, 1514, 100000} {
		all, _, virt0 := taps()
		handle := open(t, all, "virt0", 0)
		kept := min(size, netapi.MaxPacketData)
		fit := capture.Room / (kept + capture.Overhead)
		for range fit + 5 {
			virt0.Sent(make([]byte, size))
		}
		got := 0
		for {
			packets, dropped := read(t, all, handle)
			if len(packets) == 0 {
				break
			}
			room := 0
			for _, p := range packets {
				room += netapi.PacketSize(p)
				if len(p.Data) != kept || p.Length != size {
					t.Fatalf("%d of %d bytes kept", len(p.Data), p.Length)
				}
			}
			if dropped != 5 || room > netapi.PacketsRoom {
				t.Errorf("size %d: %d dropped, %d bytes in a reply", size, dropped, room)
			}
			got += len(packets)
		}
		if got != fit || counter(all, "packets") != uint64(fit) || counter(all, "drop.full") != 5 {
			t.Errorf("size %d: %d read of %d that fit", size, got, fit)
		}
		virt0.Sent(make([]byte, size))
		if packets, _ := read(t, all, handle); len(packets) != 1 {
			t.Errorf("size %d: read, and still full", size)
		}
	}
}

// TestOrder: packets come out as they passed, however they are read.
func TestOrder(t *testing.T) {
	all, _, virt0 := taps()
	handle := open(t, all, "", 0)
	for next, sent := 0, 0; next < 5000; {
		for range 97 {
			virt0.Sent([]byte{byte(sent >> 8), byte(sent), 99: 0})
			sent++
		}
		for packets, dropped := read(t, all, handle); len(packets) > 0; packets, dropped = read(t, all, handle) {
			for _, p := range packets {
				if got := int(p.Data[0])<<8 | int(p.Data[1]); got != next || dropped != 0 {
					t.Fatalf("packet %d in place of %d, %d dropped", got, next, dropped)
				}
				next++
			}
		}
	}
}

func TestTooMany(t *testing.T) {
	all, _, _ := taps()
	seen := make(map[uint64]bool)
	for range 3 {
		var handles []uint64
		for range capture.MaxCaptures {
			handles = append(handles, open(t, all, "", 0))
		}
		if _, err := all.Open("", 0); err != capture.ErrTooMany {
			t.Errorf("one more: %v", err)
		}
		for _, h := range handles {
			if err := all.Close(h); err != nil || seen[h] {
				t.Errorf("handle %d: given twice %v, %v", h, seen[h], err)
			}
			seen[h] = true
		}
	}
	if _, err := all.Open("eth0", 0); err != capture.ErrNoInterface {
		t.Errorf("eth0: %v", err)
	}
	if err := all.Close(1); err != capture.ErrNoCapture {
		t.Errorf("closed twice: %v", err)
	}
	if _, _, err := all.Read(context.Background(), 1, time.Hour); err != capture.ErrNoCapture {
		t.Errorf("read after close: %v", err)
	}
}

// TestForgotten: a capture that nobody reads goes, by the next packet, the next open, or its own late read.
func TestForgotten(t *testing.T) {
	for name, notice := range map[string]func(*capture.Taps, *capture.Tap, uint64){
		"packet": func(_ *capture.Taps, tap *capture.Tap, _ uint64) { tap.Sent([]byte("p")) },
		"open":   func(all *capture.Taps, _ *capture.Tap, _ uint64) { _, _ = all.Open("lo", 0) },
		"read":   func(all *capture.Taps, _ *capture.Tap, h uint64) { _, _, _ = all.Read(context.Background(), h, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				all, _, virt0 := taps()
				dead, alive := open(t, all, "virt0", 0), open(t, all, "lo", 0)
				time.Sleep(capture.Patience - 1)
				virt0.Sent([]byte("p"))
				if !virt0.Watched() {
					t.Fatal("forgotten too early")
				}
				read(t, all, alive)
				time.Sleep(time.Nanosecond)
				notice(all, virt0, dead)
				if virt0.Watched() || counter(all, "forgotten") != 1 {
					t.Error("not forgotten")
				}
				if _, _, err := all.Read(context.Background(), dead, 0); err != capture.ErrNoCapture {
					t.Errorf("read: %v", err)
				}
				read(t, all, alive) // fails the test when that is gone too
			})
		})
	}
}

// TestWait: a read waits for a packet, the bound, the capture's end or the server's.
func TestWait(t *testing.T) {
	type result struct {
		packets int
		err     error
		after   time.Duration
	}
	for _, test := range []struct {
		name    string
		timeout time.Duration
		during  func(all *capture.Taps, tap *capture.Tap, handle uint64, cancel func())
		want    result
	}{
		{"packet", 5 * time.Second, func(_ *capture.Taps, tap *capture.Tap, _ uint64, _ func()) { tap.Sent([]byte("p")) }, result{1, nil, time.Second}},
		{"nothing", 5 * time.Second, func(*capture.Taps, *capture.Tap, uint64, func()) {}, result{0, os.ErrDeadlineExceeded, 5 * time.Second}},
		{"bound", time.Hour, func(*capture.Taps, *capture.Tap, uint64, func()) {}, result{0, os.ErrDeadlineExceeded, netapi.MaxCaptureWait}},
		{"close", 5 * time.Second, func(all *capture.Taps, _ *capture.Tap, h uint64, _ func()) { _ = all.Close(h) }, result{0, capture.ErrNoCapture, time.Second}},
		{"end", 5 * time.Second, func(_ *capture.Taps, _ *capture.Tap, _ uint64, cancel func()) { cancel() }, result{0, context.Canceled, time.Second}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				all, _, virt0 := taps()
				handle := open(t, all, "", 0)
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				start := time.Now()
				go func() { time.Sleep(time.Second); test.during(all, virt0, handle, cancel) }()
				packets, _, err := all.Read(ctx, handle, test.timeout)
				if got := (result{len(packets), err, time.Since(start)}); got != test.want {
					t.Errorf("got %+v, want %+v", got, test.want)
				}
				synctest.Wait()
			})
		})
	}
}

// TestConcurrent: many send, two read one capture, all is read once; others open and close meanwhile.
func TestConcurrent(t *testing.T) {
	const senders, each = 4, 500
	all, lo, virt0 := taps()
	handle := open(t, all, "", 0)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var sending, reading sync.WaitGroup
	var mu sync.Mutex
	got := 0
	for range 2 {
		reading.Go(func() {
			for {
				packets, dropped, err := all.Read(ctx, handle, time.Second)
				if errors.Is(err, context.Canceled) {
					return
				}
				mu.Lock()
				got += len(packets)
				if got+int(dropped) >= senders*each {
					cancel()
				}
				mu.Unlock()
			}
		})
	}
	for i := range senders {
		sending.Go(func() {
			for range each {
				[]*capture.Tap{lo, virt0}[i%2].Sent(make([]byte, 100))
			}
		})
	}
	for range 100 {
		h := open(t, all, "lo", 1)
		if err := all.Close(h); err != nil {
			t.Error(err)
		}
	}
	sending.Wait()
	reading.Wait()
	if _, dropped := read(t, all, handle); got+int(dropped) != senders*each {
		t.Errorf("%d read and %d dropped of %d", got, dropped, senders*each)
	}
}

// BenchmarkWatched is what a captured packet costs.
func BenchmarkWatched(b *testing.B) {
	all, _, virt0 := taps()
	handle, err := all.Open("", 0)
	if err != nil {
		b.Fatal(err)
	}
	frame := make([]byte, 1514)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		virt0.Received(frame)
		if i%64 == 63 {
			if _, _, err := all.Read(context.Background(), handle, 0); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkUnwatched is what every other packet costs.
func BenchmarkUnwatched(b *testing.B) {
	_, _, virt0 := taps()
	frame := make([]byte, 1514)
	b.ReportAllocs()
	for b.Loop() {
		virt0.Received(frame)
	}
}
