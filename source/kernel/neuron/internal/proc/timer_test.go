package proc

import (
	"testing"

	"nexus/source/kernel/neuron/internal/arch"
)

// TestFrequency: what the timebase of the device tree makes of ticks, and of the time that a thread runs.
func TestFrequency(t *testing.T) {
	t.Cleanup(func() { SetFrequency(10_000_000) })
	for hz, tick := range map[uint64]uint64{1_000_000: 1000, 10_000_000: 100, 100_000_000: 10, 1_000_000_000: 1} {
		SetFrequency(hz)
		if got := Nanoseconds(1); got != tick {
			t.Errorf("%d Hz: a tick of %d ns, want %d", hz, got, tick)
		}
		if got := Nanoseconds(slice); got != 10_000_000 {
			t.Errorf("%d Hz: a slice of %d ns, want 10 ms", hz, got)
		}
	}
}

// TestTicks: nothing is woken before its time, none much later, and no time is so long that a sum overflows.
func TestTicks(t *testing.T) {
	boot(t)
	for _, ns := range []uint64{0, 1, 99, 100, 101, 1_000_000_007} {
		if got := Nanoseconds(Ticks(ns)); got < ns || got > ns+100 {
			t.Errorf("%d ns: ticks of %d ns", ns, got)
		}
	}
	now := uint64(1) << 56 // 200 years
	if at := now + Ticks(^uint64(0)); at < now || at == arch.AlarmNever {
		t.Errorf("the longest time ends at %#x", at)
	}
}

// TestRealtime: the wall clock shows what it was set to, and goes on with the monotonic one.
func TestRealtime(t *testing.T) {
	boot(t)
	t.Cleanup(func() { realtime = 0 })
	const noon = 1_700_000_000_000_000_000
	ahead := SetRealtime(noon)
	if Realtime() != noon || ahead != noon-Now() {
		t.Errorf("%d, %d ahead of %d", Realtime(), ahead, Now())
	}
	arch.Host.Time += 25
	if got := Realtime(); got != noon+2500 {
		t.Errorf("%d ns later, want 2500", got-noon)
	}
}

// TestNoTime: a call that allows no time at all has a deadline all the same, and one that sets none sleeps on.
func TestNoTime(t *testing.T) {
	_, a, h := boot(t)
	Schedule(h)
	a.Expired(0)
	if a.Block(nil, 0); heapSize != 1 {
		t.Fatal("a time of 0 is no deadline")
	}
	Schedule(h)
	if a.state != running || !a.Expired(0) {
		t.Error("not woken by it")
	}
	a.drop()
	if a.Expired(-1) || a.timed {
		t.Error("a deadline without a time")
	}
}
