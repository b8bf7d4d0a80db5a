package netdev

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"nexus/source/libs/virtio"
	"nexus/source/libs/virtio/dma"
	"nexus/source/libs/virtio/fake"
)

const (
	ringsBase  = dma.Addr(0x1_0000_0000)
	framesBase = dma.Addr(0x2_0000_0000)

	slotSize = 2048
	bufferAt = 6
	rxBuffer = slotSize - bufferAt
)

var testMAC = [6]byte{2, 0, 0, 0, 0, 1}

type rig struct {
	nic    *fake.NIC
	dev    *Device
	memory Memory
}

// newNIC makes a fake NIC and the memory for it; the test fails when a driver
// on it goes against the standard.
func newNIC(t testing.TB) (*fake.NIC, Memory) {
	t.Helper()
	rings, err := fake.NewMemory(ringsBase, 64<<10)
	if err != nil {
		t.Fatal(err)
	}
	frames, err := fake.NewMemory(framesBase, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	nic := fake.NewNIC(testMAC, rings, frames)
	t.Cleanup(func() {
		for _, v := range nic.Violations() {
			t.Errorf("driver against the standard: %s", v)
		}
		rings.Close()
		frames.Close()
	})
	return nic, Memory{Rings: rings.Region(), Frames: frames.Region(), RxBuffer: rxBuffer}
}

func open(t testing.TB, set func(*fake.NIC)) *rig {
	t.Helper()
	nic, memory := newNIC(t)
	if set != nil {
		set(nic)
	}
	dev, err := Open(nic, memory)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{nic: nic, dev: dev, memory: memory}
	r.postAll(t)
	if err := dev.Start(); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) postAll(t testing.TB) {
	t.Helper()
	for i := 0; r.dev.RxFree() > 0; i++ {
		if err := r.dev.PostRx(i*slotSize + bufferAt); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOpenNamesWhatIsWrong(t *testing.T) {
	for _, tc := range []struct {
		name string
		set  func(*fake.NIC)
		want error
	}{
		{"legacy", func(n *fake.NIC) { n.Version = 1 }, virtio.ErrLegacy},
		{"empty slot", func(n *fake.NIC) { n.ID = 0 }, virtio.ErrNoDevice},
		{"a console", func(n *fake.NIC) { n.ID = 3 }, virtio.ErrWrongDevice},
		{"no MAC", func(n *fake.NIC) { n.Features &^= fake.FeatureMAC }, ErrNoMAC},
		{"group MAC", func(n *fake.NIC) { n.Config[0] |= 1 }, ErrBadMAC},
		{"zero MAC", func(n *fake.NIC) { clear(n.Config[:6]) }, ErrBadMAC},
		{"FEATURES_OK refused", func(n *fake.NIC) { n.RefuseFeatures = true }, virtio.ErrFeatures},
		{"no receive queue", func(n *fake.NIC) { n.QueueMax[0] = 0 }, virtio.ErrQueue},
		{"no transmit queue", func(n *fake.NIC) { n.QueueMax[1] = 0 }, virtio.ErrQueue},
		{"transmit queue of 1", func(n *fake.NIC) { n.QueueMax[1] = 1 }, virtio.ErrQueueSize},
		{"queue refused", func(n *fake.NIC) { n.RefuseQueues = true }, virtio.ErrQueueRefuse},
		{"reset never ends", func(n *fake.NIC) { n.ResetReads = 1 << 30 }, virtio.ErrReset},
		{"configuration never rests", func(n *fake.NIC) { n.OnConfigRead = func(int) { n.BumpGeneration() } }, virtio.ErrConfig},
	} {
		t.Run(tc.name, func(t *testing.T) {
			nic, memory := newNIC(t)
			tc.set(nic)
			_, err := Open(nic, memory)
			if !errors.Is(err, tc.want) {
				t.Errorf("error %v, want %v", err, tc.want)
			}
			if err != nil && !strings.Contains(err.Error(), ": ") {
				t.Errorf("error %q does not say what to do", err)
			}
		})
	}
}

func TestOpenChecksItsMemory(t *testing.T) {
	nic, good := newNIC(t)
	short := good
	short.Rings.Bytes = short.Rings.Bytes[:RingBytes-1]
	small := good
	small.RxBuffer = MinRxBuffer - 1
	for name, m := range map[string]Memory{"rings": short, "receive buffer": small} {
		if _, err := Open(nic, m); !errors.Is(err, ErrMemory) {
			t.Errorf("%s: %v, want %v", name, err, ErrMemory)
		}
	}
}

func TestOnlyWhatIsUsedIsAccepted(t *testing.T) {
	r := open(t, func(n *fake.NIC) { n.Features = ^uint64(0); n.SetMTU(1500) })
	want := featureMAC | featureMTU | featureStatus | virtio.FeatureVersion1
	if got := r.dev.Features(); got != want {
		t.Errorf("accepted %#x, want %#x", got, want)
	}
}

func TestMTU(t *testing.T) {
	for _, tc := range []struct {
		offered  int // -1: feature not offered
		want     int
		accepted bool
	}{
		{-1, 1500, false}, {1500, 1500, true}, {1400, 1400, true}, {68, 68, true}, {2016, 2016, true},
		{67, 1500, false}, {0, 1500, false}, {2017, 1500, false}, {9000, 1500, false}, {65535, 1500, false},
	} {
		r := open(t, func(n *fake.NIC) {
			if tc.offered >= 0 {
				n.SetMTU(uint16(tc.offered))
			}
		})
		if got := r.dev.MTU(); got != tc.want {
			t.Errorf("device's MTU %d: %d, want %d", tc.offered, got, tc.want)
		}
		if got := r.dev.Features().Has(featureMTU); got != tc.accepted {
			t.Errorf("device's MTU %d: feature accepted %v, want %v", tc.offered, got, tc.accepted)
		}
	}
}

// TestMACIsReadByBytes also changes it half way through.
func TestMACIsReadByBytes(t *testing.T) {
	nic, memory := newNIC(t)
	changed := false
	nic.OnConfigRead = func(off int) {
		if off == 4 && !changed {
			changed = true
			copy(nic.Config, []byte{6, 5, 4, 3, 2, 1})
			nic.BumpGeneration()
		}
	}
	dev, err := Open(nic, memory)
	if err != nil {
		t.Fatal(err)
	}
	if got := dev.MAC().String(); got != "06:05:04:03:02:01" {
		t.Errorf("MAC %s is of two halves", got)
	}
}

func TestBuffersAndHeader(t *testing.T) {
	r := open(t, nil)
	if r.dev.RxPosted() != 256 || r.dev.TxFree() != 256 {
		t.Errorf("%d receive buffers posted, %d frames fit", r.dev.RxPosted(), r.dev.TxFree())
	}
	frame := bytes.Repeat([]byte{0x5a}, 1514)
	r.nic.Inject(frame)
	off, n, ok := r.dev.PopRx()
	if !ok || n != len(frame) || !bytes.Equal(r.memory.Frames.Bytes[off+HeaderSize:][:n], frame) {
		t.Errorf("PopRx = %#x, %d, %v", off, n, ok)
	}
	at := 300*slotSize + bufferAt + HeaderSize
	copy(r.memory.Frames.Bytes[at:], frame)
	// Whoever shares the frames cannot forge the header: it does not lie there.
	copy(r.memory.Frames.Bytes[at-HeaderSize:], bytes.Repeat([]byte{0xff}, HeaderSize))
	if err := r.dev.PostTx(at, len(frame)); err != nil {
		t.Fatal(err)
	}
	if got := len(r.nic.Sent()); got != 0 {
		t.Errorf("%d frames out before Kick", got)
	}
	r.dev.Kick()
	if sent := r.nic.Sent(); len(sent) != 1 || !bytes.Equal(sent[0], frame) {
		t.Errorf("%d frames out", len(sent))
	}
	if off, ok := r.dev.PopTx(); !ok || off != at {
		t.Errorf("PopTx = %#x, %v; want %#x", off, ok, at)
	}
}

func TestNothingIsNotifiedBeforeStart(t *testing.T) {
	nic, memory := newNIC(t) // its violations say if it was
	dev, err := Open(nic, memory)
	if err != nil {
		t.Fatal(err)
	}
	if err := dev.PostRx(bufferAt); err != nil {
		t.Fatal(err)
	}
	nic.Log()
	dev.Kick()
	for _, a := range nic.Accesses() {
		if a.Write {
			t.Errorf("wrote %#x to %#x", a.Value, a.Off)
		}
	}
}

func TestPostRefusesWhatIsOutside(t *testing.T) {
	r := open(t, nil)
	for _, tc := range []struct{ off, n int }{
		{0, 13}, {0, 0}, {0, -1}, {0, 1515}, {-1, 60}, {1<<20 - 59, 60}, {1 << 40, 60},
	} {
		if err := r.dev.PostTx(tc.off, tc.n); !errors.Is(err, ErrFrame) {
			t.Errorf("PostTx(%d, %d): %v, want %v", tc.off, tc.n, err, ErrFrame)
		}
	}
	for _, off := range []int{-1, 1<<20 - rxBuffer + 1, 1 << 40} {
		if err := r.dev.PostRx(off); !errors.Is(err, dma.ErrBounds) {
			t.Errorf("PostRx(%d): %v, want %v", off, err, dma.ErrBounds)
		}
	}
}

func TestFullRings(t *testing.T) {
	r := open(t, func(n *fake.NIC) { n.QueueMax[0], n.QueueMax[1] = 100, 30; n.HoldTx = true })
	if r.dev.RxPosted() != 64 { // the largest power of two
		t.Errorf("%d receive buffers posted, want 64", r.dev.RxPosted())
	}
	if err := r.dev.PostRx(0); !errors.Is(err, ErrFull) {
		t.Errorf("PostRx to a full ring: %v, want %v", err, ErrFull)
	}
	for i := range 8 {
		if err := r.dev.PostTx(i*slotSize, 60); err != nil {
			t.Fatalf("frame %d: %v", i, err)
		}
	}
	if err := r.dev.PostTx(0, 60); !errors.Is(err, ErrFull) || r.dev.TxFree() != 0 {
		t.Errorf("PostTx to a full ring: %v, want %v", err, ErrFull)
	}
}

func TestBadReceivedBuffers(t *testing.T) {
	for _, tc := range []struct {
		name   string
		inject func(*fake.NIC)
		count  func(Stats) uint64
	}{
		{"nothing written", func(n *fake.NIC) { h, _ := n.Take(0); n.PushUsed(0, uint32(h), 0) },
			func(s Stats) uint64 { return s.RxShort }},
		{"header only", func(n *fake.NIC) { n.Inject(nil) }, func(s Stats) uint64 { return s.RxShort }},
		{"13 bytes", func(n *fake.NIC) { n.Inject(make([]byte, 13)) }, func(s Stats) uint64 { return s.RxShort }},
		{"more than the buffer", func(n *fake.NIC) { h, _ := n.Take(0); n.PushUsed(0, uint32(h), rxBuffer+1) },
			func(s Stats) uint64 { return s.Rx.BadLength }},
		{"checksum to complete", func(n *fake.NIC) { n.InjectHeader([12]byte{1}, make([]byte, 60)) },
			func(s Stats) uint64 { return s.RxBadHeader }},
		{"segmented", func(n *fake.NIC) { n.InjectHeader([12]byte{0, 1}, make([]byte, 60)) },
			func(s Stats) uint64 { return s.RxBadHeader }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := open(t, nil)
			tc.inject(r.nic)
			off, n, ok := r.dev.PopRx()
			if !ok || n != 0 {
				t.Errorf("PopRx = %#x, %d, %v; want the buffer back without a frame", off, n, ok)
			}
			if got := tc.count(r.dev.Stats()); got != 1 {
				t.Errorf("counted %d times, want 1", got)
			}
			if err := r.dev.PostRx(off); err != nil {
				t.Errorf("buffer cannot be posted again: %v", err)
			}
		})
	}
	t.Run("shortest and longest frame", func(t *testing.T) {
		r := open(t, nil)
		for _, length := range []int{14, rxBuffer - HeaderSize} {
			r.nic.Inject(make([]byte, length))
			if _, n, ok := r.dev.PopRx(); !ok || n != length {
				t.Errorf("%d bytes: %d, %v", length, n, ok)
			}
		}
	})
}

func TestInterrupts(t *testing.T) {
	r := open(t, nil)
	r.nic.SetLink(false)
	r.nic.Inject(make([]byte, 60))
	used, err := r.dev.Interrupt()
	if !used || err != nil || r.dev.LinkUp() {
		t.Errorf("used %v, %v, link up %v; want both reasons seen", used, err, r.dev.LinkUp())
	}
	if got := r.nic.InterruptStatus(); got != 0 {
		t.Errorf("line still raised for %d", got)
	}
	if used, err := r.dev.Interrupt(); used || err != nil {
		t.Errorf("nothing pending: used %v, %v", used, err)
	}
	r.nic.NeedReset()
	if _, err := r.dev.Interrupt(); !errors.Is(err, virtio.ErrNotReady) {
		t.Errorf("device needs a reset: %v, want %v", err, virtio.ErrNotReady)
	}
}

func TestArmLooksAgain(t *testing.T) {
	r := open(t, nil)
	r.dev.QuietRx()
	r.nic.Inject(make([]byte, 60))
	if got := r.nic.InterruptStatus(); got != 0 {
		t.Errorf("interrupt %d although quiet", got)
	}
	if r.dev.ArmRx() {
		t.Error("ArmRx lets the driver sleep on a received frame")
	}
	r.dev.PopRx()
	if !r.dev.ArmRx() {
		t.Error("ArmRx finds a frame in an empty ring")
	}
	r.nic.Inject(make([]byte, 60))
	if got := r.nic.InterruptStatus(); got != 1 {
		t.Errorf("interrupt status %d after ArmRx, want 1", got)
	}
}

func TestResetGivesEverythingBack(t *testing.T) {
	r := open(t, func(n *fake.NIC) { n.HoldTx = true })
	for i := range 10 {
		if err := r.dev.PostTx(i*slotSize, 60); err != nil {
			t.Fatal(err)
		}
	}
	r.dev.Kick()
	r.nic.JumpUsed(1, 5000)
	if _, ok := r.dev.PopTx(); ok || !r.dev.Broken() {
		t.Fatal("index jump not noticed")
	}
	if err := r.dev.PostTx(0, 60); !errors.Is(err, ErrBroken) {
		t.Errorf("PostTx to a broken device: %v, want %v", err, ErrBroken)
	}
	r.nic.Do(func() { r.nic.HoldTx = false })
	if err := r.dev.Reset(); err != nil {
		t.Fatal(err)
	}
	if r.dev.Broken() || r.dev.TxPosted() != 0 || r.dev.RxPosted() != 0 {
		t.Errorf("after Reset: broken %v, %d and %d posted", r.dev.Broken(), r.dev.RxPosted(), r.dev.TxPosted())
	}
	r.postAll(t)
	if err := r.dev.Start(); err != nil {
		t.Fatal(err)
	}
	if err := r.dev.PostTx(0, 60); err != nil {
		t.Fatal(err)
	}
	r.dev.Kick()
	r.nic.Inject(make([]byte, 60))
	if _, n, ok := r.dev.PopRx(); len(r.nic.Sent()) != 1 || !ok || n != 60 {
		t.Error("no traffic after Reset")
	}
}

func TestResetFailures(t *testing.T) {
	for _, tc := range []struct {
		name string
		set  func(*fake.NIC)
		want error
	}{
		{"does not end", func(n *fake.NIC) { n.ResetReads = 1 << 30 }, virtio.ErrReset},
		{"FEATURES_OK refused", func(n *fake.NIC) { n.RefuseFeatures = true }, virtio.ErrFeatures},
		{"offers less", func(n *fake.NIC) { n.Features &^= fake.FeatureStatus }, virtio.ErrFeatures},
		{"queue shrank", func(n *fake.NIC) { n.QueueMax[0] = 128 }, virtio.ErrQueueSize},
		{"queue gone", func(n *fake.NIC) { n.QueueMax[1] = 0 }, virtio.ErrQueue},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := open(t, nil)
			r.nic.Do(func() { tc.set(r.nic) })
			if err := r.dev.Reset(); !errors.Is(err, tc.want) {
				t.Errorf("error %v, want %v", err, tc.want)
			}
			r.nic.Log()
			r.dev.Kick() // not live: nothing may be notified
			if got := r.nic.Accesses(); len(got) != 0 {
				t.Errorf("%d accesses to a device that is not live", len(got))
			}
		})
	}
}

func TestCloseResets(t *testing.T) {
	r := open(t, nil)
	if err := r.dev.Close(); err != nil {
		t.Fatal(err)
	}
	if r.nic.Inject(make([]byte, 60)) {
		t.Error("device still receives after Close")
	}
}

func TestNothingAllocates(t *testing.T) {
	r := open(t, func(n *fake.NIC) { n.OnSend = func([]byte) {} })
	r.nic.HoldTx = true // the fake's own work allocates
	allocs := testing.AllocsPerRun(50, func() {
		if err := r.dev.PostTx(0, 60); err != nil {
			t.Fatal(err)
		}
		r.dev.Kick()
		r.dev.PopTx()
		r.dev.PopRx()
		r.dev.ArmRx()
		if _, err := r.dev.Interrupt(); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations a frame, want 0", allocs)
	}
}
