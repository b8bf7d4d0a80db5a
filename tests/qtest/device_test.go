package qtest

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"nexus/source/libs/frameq"
	"nexus/source/libs/virtio"
	"nexus/source/libs/virtio/fake"
	"nexus/source/libs/virtio/netdev"
)

// slot is where the NIC is plugged: virtio_mmio@10002000, interrupt 2.
const slot = 1

const modern = "virtio-mmio.force-legacy=false"

// start runs QEMU, or skips the test where there is none.
func start(t testing.TB, args ...string) *Machine {
	t.Helper()
	m, err := Start(t.TempDir(), args...)
	if errors.Is(err, ErrMissing) {
		t.Skipf("SKIPPED, nothing was tested: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// plugged runs QEMU with a NIC on a peer.
func plugged(t testing.TB, connect func(string) (Peer, string, error), options string) (*Machine, Peer) {
	t.Helper()
	peer, netdev, err := connect(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { peer.Close() })
	m := start(t, "-global", modern, "-netdev", netdev,
		"-device", fmt.Sprintf("virtio-net-device,netdev=n0,bus=virtio-mmio-bus.%d,mac=02:00:00:00:00:01%s", slot, options))
	return m, peer
}

const (
	ringsAt  = 1 << 20
	framesAt = 2 << 20

	rxBuffer = 2042
	bufferAt = frameq.FrameOffset - netdev.HeaderSize
)

// rig is our device library on QEMU's device.
type rig struct {
	t      testing.TB
	window *Window
	irq    *IRQ
	peer   Peer
	memory netdev.Memory
	dev    *netdev.Device
}

func newRig(t testing.TB, connect func(string) (Peer, string, error), options string) *rig {
	t.Helper()
	m, peer := plugged(t, connect, options)
	irq, err := m.IRQ(slot)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, window: m.Window(slot), irq: irq, peer: peer}
	rings, err := m.Memory(ringsAt, 64<<10)
	if err != nil {
		t.Fatal(err)
	}
	frames, err := m.Memory(framesAt, frameq.PoolSize)
	if err != nil {
		t.Fatal(err)
	}
	r.memory = netdev.Memory{Rings: rings, Frames: frames, RxBuffer: rxBuffer}
	if r.dev, err = netdev.Open(r.window, r.memory); err != nil {
		t.Fatal(err)
	}
	for i := range 256 {
		if err := r.dev.PostRx(i*frameq.SlotSize + bufferAt); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.dev.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.window.Err(); err != nil {
			t.Errorf("register access: %v", err)
		}
	})
	return r
}

// interrupt waits for the device's interrupt and acknowledges it.
func (r *rig) interrupt() {
	r.t.Helper()
	if err := r.irq.Arm(); err != nil {
		r.t.Fatal(err)
	}
	if err := waitBounded(r.irq); err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.dev.Interrupt(); err != nil {
		r.t.Fatal(err)
	}
}

// receive waits for a frame by interrupt, gives a copy and posts its buffer again.
func (r *rig) receive() []byte {
	r.t.Helper()
	for {
		off, n, ok := r.dev.PopRx()
		if !ok {
			r.interrupt()
			continue
		}
		frame := bytes.Clone(r.memory.Frames.Bytes[off+netdev.HeaderSize:][:n])
		if err := r.dev.PostRx(off); err != nil {
			r.t.Fatal(err)
		}
		r.dev.Kick()
		return frame
	}
}

// send puts frame into slot n and waits until QEMU has taken it.
func (r *rig) send(n int, frame []byte) {
	r.t.Helper()
	off := (256+n%256)*frameq.SlotSize + frameq.FrameOffset
	copy(r.memory.Frames.Bytes[off:], frame)
	if err := r.dev.PostTx(off, len(frame)); err != nil {
		r.t.Fatal(err)
	}
	r.dev.Kick()
	for {
		got, ok := r.dev.PopTx()
		if !ok {
			r.interrupt()
			continue
		}
		if got != off {
			r.t.Fatalf("buffer %#x came back, want %#x", got, off)
		}
		return
	}
}

func frameOf(n, length int) []byte {
	f := append([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5}, fmt.Sprintf("%08d", n)...)
	return append(f, bytes.Repeat([]byte{byte(n)}, max(0, length-len(f)))...)[:length]
}

func TestNegotiation(t *testing.T) {
	r := newRig(t, Dgram, "")
	if got := r.dev.MAC().String(); got != "02:00:00:00:00:01" {
		t.Errorf("MAC %s", got)
	}
	if r.dev.MTU() != 1500 || !r.dev.LinkUp() {
		t.Errorf("MTU %d, link up %v", r.dev.MTU(), r.dev.LinkUp())
	}
	if want := virtio.Features(fake.FeatureMAC | fake.FeatureStatus | fake.FeatureVersion1); r.dev.Features() != want {
		t.Errorf("features %#x, want %#x", r.dev.Features(), want)
	}
	if err := r.dev.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

func TestDeviceNamesItsMTU(t *testing.T) {
	r := newRig(t, Dgram, ",host_mtu=1400")
	if r.dev.MTU() != 1400 {
		t.Errorf("MTU %d, want 1400", r.dev.MTU())
	}
}

func TestFramesGoOut(t *testing.T) {
	for name, connect := range map[string]func(string) (Peer, string, error){"dgram": Dgram, "stream": Stream} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, connect, "")
			for i, length := range []int{14, 15, 59, 60, 61, 590, 1513, 1514} {
				want := frameOf(i, length)
				r.send(i, want)
				got, err := r.peer.Receive()
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("%d bytes: %d bytes arrived, %v", length, len(got), err)
				}
			}
		})
	}
}

func TestFramesComeIn(t *testing.T) {
	for name, connect := range map[string]func(string) (Peer, string, error){"dgram": Dgram, "stream": Stream} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, connect, "")
			for i, length := range []int{60, 61, 590, 1513, 1514} {
				want := frameOf(i, length)
				if err := r.peer.Send(want); err != nil {
					t.Fatal(err)
				}
				if got := r.receive(); !bytes.Equal(got, want) {
					t.Errorf("%d bytes: %d bytes arrived", length, len(got))
				}
			}
			if r.irq.Raised() == 0 {
				t.Error("frames came without an interrupt")
			}
		})
	}
}

// TestRingsWrap sends every descriptor around several times, both ways at once.
func TestRingsWrap(t *testing.T) {
	r := newRig(t, Dgram, "")
	for i := range 1200 {
		up, down := frameOf(i, 60+i%1455), frameOf(i+1, 60+(i*7)%1455)
		if err := r.peer.Send(up); err != nil {
			t.Fatal(err)
		}
		r.send(i, down)
		if got, err := r.peer.Receive(); err != nil || !bytes.Equal(got, down) {
			t.Fatalf("frame %d out: %d bytes, %v", i, len(got), err)
		}
		if got := r.receive(); !bytes.Equal(got, up) {
			t.Fatalf("frame %d in: %d bytes", i, len(got))
		}
	}
	s := r.dev.Stats()
	if s.RxFrames != 1200 || s.TxFrames != 1200 {
		t.Errorf("%d in, %d out; want 1200 each", s.RxFrames, s.TxFrames)
	}
	for name, n := range map[string]uint64{
		"bad id": s.Rx.BadID + s.Tx.BadID, "not in flight": s.Rx.NotInFlight + s.Tx.NotInFlight,
		"bad length": s.Rx.BadLength + s.Tx.BadLength, "jumps": s.Rx.IndexJumps + s.Tx.IndexJumps,
		"short": s.RxShort, "bad header": s.RxBadHeader,
	} {
		if n != 0 {
			t.Errorf("%s: counted %d on a sound device", name, n)
		}
	}
}

func TestDeviceSurvivesReset(t *testing.T) {
	r := newRig(t, Dgram, "")
	for round := range 3 {
		if err := r.dev.Reset(); err != nil {
			t.Fatal(err)
		}
		for i := range 256 {
			if err := r.dev.PostRx(i*frameq.SlotSize + bufferAt); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.dev.Start(); err != nil {
			t.Fatal(err)
		}
		want := frameOf(round, 100)
		if err := r.peer.Send(want); err != nil {
			t.Fatal(err)
		}
		if got := r.receive(); !bytes.Equal(got, want) {
			t.Errorf("round %d: %d bytes in", round, len(got))
		}
		r.send(round, want)
		if got, err := r.peer.Receive(); err != nil || !bytes.Equal(got, want) {
			t.Errorf("round %d: %d bytes out, %v", round, len(got), err)
		}
	}
}

func TestInterruptIsAcknowledged(t *testing.T) {
	r := newRig(t, Dgram, "")
	if err := r.peer.Send(frameOf(1, 60)); err != nil {
		t.Fatal(err)
	}
	r.interrupt()
	if r.irq.Level() {
		t.Error("line still up after the acknowledgement")
	}
	if got := r.window.Read32(0x060); got != 0 {
		t.Errorf("interrupt status %d after the acknowledgement", got)
	}
}

func TestLegacyDeviceIsNamed(t *testing.T) {
	peer, netdevArg, err := Dgram(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	m := start(t, "-netdev", netdevArg, "-device", "virtio-net-device,netdev=n0,bus=virtio-mmio-bus.1")
	_, err = virtio.Probe(m.Window(slot), virtio.Net)
	if !errors.Is(err, virtio.ErrLegacy) || !strings.Contains(err.Error(), "-global "+modern) {
		t.Errorf("error %v, want %v with the flag that helps", err, virtio.ErrLegacy)
	}
}

func TestEmptySlotIsNamed(t *testing.T) {
	m, _ := plugged(t, Dgram, "")
	for _, empty := range []int{0, 2, 7} {
		_, err := virtio.Probe(m.Window(empty), virtio.Net)
		if !errors.Is(err, virtio.ErrNoDevice) || !strings.Contains(err.Error(), "bus=virtio-mmio-bus.1") {
			t.Errorf("slot %d: error %v, want %v with the option that helps", empty, err, virtio.ErrNoDevice)
		}
	}
}

func TestOtherDeviceIsNamed(t *testing.T) {
	m := start(t, "-global", modern, "-device", "virtio-rng-device,bus=virtio-mmio-bus.1")
	if _, err := virtio.Probe(m.Window(slot), virtio.Net); !errors.Is(err, virtio.ErrWrongDevice) {
		t.Errorf("error %v, want %v", err, virtio.ErrWrongDevice)
	}
}
