package recovery

import (
	"errors"
	"testing"
)

// device counts resets, and fails them as long as it is told to.
type device struct {
	*Recovery
	resets int
	fails  error
}

func newDevice() *device {
	d := &device{}
	d.Recovery = New(func() error { d.resets++; return d.fails })
	return d
}

func (d *device) tick(t *testing.T, busy bool, completed uint64) {
	t.Helper()
	if err := d.Tick(busy, completed); err != nil {
		t.Fatal(err)
	}
}

func TestBreakResetsAtOnceAndThenOnceATick(t *testing.T) {
	d := newDevice()
	if !d.Rested() || d.Needed(false) {
		t.Error("a sound device needs ticks")
	}
	for range 3 {
		d.Break()
	}
	if d.resets != 1 || !d.Down() || !d.Needed(false) {
		t.Errorf("%d resets, down %v; want 1 and down until the tick", d.resets, d.Down())
	}
	d.tick(t, false, 0)
	if d.resets != 2 || d.Down() || d.Rested() {
		t.Errorf("after a tick: %d resets, down %v, rested %v; want 2, up, not rested", d.resets, d.Down(), d.Rested())
	}
	d.tick(t, false, 0)
	if d.resets != 2 || !d.Rested() || d.Needed(false) {
		t.Errorf("after another: %d resets, rested %v", d.resets, d.Rested())
	}
}

func TestSilenceIsBounded(t *testing.T) {
	for _, tc := range []struct {
		name      string
		busy      func(tick int) bool
		completed func(tick int) uint64
		resets    int
	}{
		{"silent", func(int) bool { return true }, func(int) uint64 { return 0 }, 1},
		{"slow", func(int) bool { return true }, func(n int) uint64 { return uint64(n / (StuckTicks - 1)) }, 0},
		{"idle", func(int) bool { return false }, func(int) uint64 { return 0 }, 0},
		{"idle at times", func(n int) bool { return n%StuckTicks != 0 }, func(int) uint64 { return 0 }, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := newDevice()
			for n := 1; n < 2*StuckTicks; n++ {
				if n < StuckTicks && d.resets != 0 {
					t.Fatalf("reset before tick %d", n)
				}
				d.tick(t, tc.busy(n), tc.completed(n))
			}
			if d.resets != tc.resets || d.Stats().Stuck != uint64(tc.resets) {
				t.Errorf("%d resets, %d counted; want %d", d.resets, d.Stats().Stuck, tc.resets)
			}
		})
	}
}

func TestFailuresAreBounded(t *testing.T) {
	d := newDevice()
	d.fails = errors.New("no")
	d.Break()
	for range MaxFailures - 2 {
		d.tick(t, false, 0)
	}
	// One success begins the count anew.
	d.fails = nil
	d.tick(t, false, 0)
	if d.Down() {
		t.Fatal("down after a reset that succeeded")
	}
	d.fails = errors.New("no")
	d.Break()
	for range MaxFailures - 1 {
		d.tick(t, false, 0)
	}
	if err := d.Tick(false, 0); !errors.Is(err, ErrDevice) {
		t.Errorf("after %d failures: %v, want %v", MaxFailures, err, ErrDevice)
	}
	if got, want := d.Stats().Failed, uint64(2*MaxFailures-1); got != want {
		t.Errorf("%d failures counted, want %d", got, want)
	}
}
