package usernet

import (
	"bytes"
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"nexus/tools/nx/internal/frame"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// seen is a recorded frame.
type seen struct {
	at  time.Time
	raw []byte
}

// lab is a link that has not been read yet, QEMU's end of it, and what it
// recorded and showed once it has.
type lab struct {
	qemu     *os.File
	link     *Link
	recorded []seen
	shown    [][]byte
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := new(lab)
	var err error
	l.qemu, l.link, err = New(func(at time.Time, raw []byte) { l.recorded = append(l.recorded, seen{at, bytes.Clone(raw)}) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.qemu.Close() })
	l.link.Watch(func(raw []byte) { l.shown = append(l.shown, bytes.Clone(raw)) })
	return l
}

// send does what QEMU's -netdev dgram does for a frame.
func (l *lab) send(t *testing.T, raw []byte) {
	t.Helper()
	if err := syscall.Sendto(int(l.qemu.Fd()), raw, 0, nil); err != nil {
		t.Fatal(err)
	}
}

var (
	fromGuest = frame.ARPRequest(frame.Guest, frame.Host.IP)
	fromHost  = frame.UDP(frame.Host, frame.Guest, 7, 40000, []byte("answer"))
)

// What QEMU sent before its end is read, with the time of its sending; watchers
// see the guest's frames alone.
func TestFramesUntilTheEnd(t *testing.T) {
	l := newLab(t)
	before := time.Now()
	sent := [][]byte{fromGuest, {}, {1}, fromHost, bytes.Repeat([]byte{2}, maxFrame)}
	for _, raw := range sent {
		l.send(t, raw)
	}
	after := time.Now()
	l.qemu.Close()
	if err := l.link.Run(); err != nil {
		t.Fatal(err)
	}
	if len(l.recorded) != len(sent) {
		t.Fatalf("recorded %d frames, want %d", len(l.recorded), len(sent))
	}
	last := before
	for i, r := range l.recorded {
		if !bytes.Equal(r.raw, sent[i]) {
			t.Errorf("frame %d: %d bytes, want %d", i, len(r.raw), len(sent[i]))
		}
		if r.at.Before(last) || r.at.After(after) {
			t.Errorf("frame %d at %v, want from %v to %v", i, r.at, last, after)
		}
		last = r.at
	}
	if len(l.shown) != 1 || !bytes.Equal(l.shown[0], fromGuest) {
		t.Errorf("shown %x", l.shown)
	}
	if err := l.link.Close(); err != nil {
		t.Errorf("closed late: %v", err)
	}
}

// Close loses no frame that was sent before it.
func TestClose(t *testing.T) {
	l := newLab(t)
	l.send(t, fromGuest)
	for range 2 {
		if err := l.link.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := syscall.Sendto(int(l.qemu.Fd()), fromGuest, syscall.MSG_NOSIGNAL, nil); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("sent after the end: %v", err)
	}
	if err := l.link.Run(); err != nil {
		t.Error(err)
	}
	if len(l.recorded) != 1 {
		t.Errorf("recorded %d frames", len(l.recorded))
	}
}

func TestNothingIsSent(t *testing.T) {
	l := newLab(t)
	if err := l.link.Send(fromHost); !errors.Is(err, ErrReadOnly) {
		t.Errorf("got %v", err)
	}
	l.qemu.Close()
	if err := l.link.Run(); err != nil || len(l.recorded) != 0 {
		t.Errorf("recorded %d frames, %v", len(l.recorded), err)
	}
}
