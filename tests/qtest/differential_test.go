package qtest

import (
	"fmt"
	"testing"

	"nexus/source/libs/virtio"
	"nexus/source/libs/virtio/dma"
	"nexus/source/libs/virtio/fake"
	"nexus/source/libs/virtio/netdev"
)

// access is one step of a register script.
type access struct {
	what  string
	width int // of a read: 8, 16 or 32; 0: write
	off   int
	value uint32 // to write
}

func read(what string, off int) access            { return access{what, 32, off, 0} }
func write(what string, off int, v uint32) access { return access{what, 0, off, v} }

// features of our own choice: MAC and STATUS, VERSION_1.
const (
	lowFeatures  = 1<<5 | 1<<16
	highFeatures = 1
)

// script goes through the registers as a driver may. Left out is where QEMU 7.2 is known to
// differ from the standard, which the fake follows: feature selectors above 1, queue
// selectors above its own table, FEATURES_OK for features that were not offered.
func script(rings dma.Addr) []access {
	steps := []access{
		read("magic", 0x000), read("version", 0x004), read("device id", 0x008), read("vendor id", 0x00c),
		write("reset", 0x070, 0), read("status after reset", 0x070),
		read("interrupt status", 0x060), read("configuration generation", 0x0fc),
		write("ACKNOWLEDGE", 0x070, 1), read("status", 0x070),
		write("DRIVER", 0x070, 3), read("status", 0x070),
		write("high features", 0x014, 1), read("offered, high", 0x010),
		write("low half", 0x024, 0), write("accept", 0x020, lowFeatures),
		write("high half", 0x024, 1), write("accept nothing", 0x020, 0),
	}
	for i := range 6 {
		steps = append(steps, access{fmt.Sprintf("MAC byte %d", i), 8, 0x100 + i, 0})
	}
	steps = append(steps,
		access{"link status", 16, 0x106, 0},
		write("accept VERSION_1", 0x020, highFeatures),
		write("FEATURES_OK", 0x070, 11), read("status", 0x070),
		write("a queue that is not there", 0x030, 40), read("its maximum", 0x034), read("its readiness", 0x044))
	for q := range uint32(2) {
		base := uint64(rings) + uint64(q)*0x4000
		steps = append(steps,
			write("select queue", 0x030, q), read("maximum", 0x034), read("ready before", 0x044),
			write("size", 0x038, 256),
			write("descriptors", 0x080, uint32(base)), write("high", 0x084, uint32(base>>32)),
			write("avail", 0x090, uint32(base+0x1000)), write("high", 0x094, uint32(base>>32)),
			write("used", 0x0a0, uint32(base+0x2000)), write("high", 0x0a4, uint32(base>>32)),
			write("ready", 0x044, 1), read("ready after", 0x044))
	}
	return append(steps,
		write("DRIVER_OK", 0x070, 15), read("status", 0x070),
		write("notify an empty queue", 0x050, 1), read("interrupt status", 0x060),
		read("a write-only register", 0x038), read("another", 0x050),
		write("reset", 0x070, 0), read("status after reset", 0x070),
		write("select queue", 0x030, 0), read("ready after reset", 0x044))
}

// run plays the script and gives what each read saw.
func run(w virtio.Window, steps []access) (seen []uint32) {
	for _, s := range steps {
		switch s.width {
		case 0:
			w.Write32(s.off, s.value)
		case 8:
			seen = append(seen, uint32(w.Read8(s.off)))
		case 16:
			seen = append(seen, uint32(w.Read16(s.off)))
		default:
			seen = append(seen, w.Read32(s.off))
		}
	}
	return seen
}

// offers gives the feature bits that the real device offers and how long each of its n queues may be, by which versions of
// QEMU differ. The fakes offer what the device does.
func offers(w virtio.Window, n int) (features uint64, queues []uint32) {
	w.Write32(0x014, 0)
	features = uint64(w.Read32(0x010))
	w.Write32(0x014, 1)
	features |= uint64(w.Read32(0x010)) << 32
	for q := range n {
		w.Write32(0x030, uint32(q))
		queues = append(queues, w.Read32(0x034))
	}
	return features, queues
}

// TestFakeAnswersAsTheRealDevice plays one script on QEMU's device and on the fake
// one: whatever is proven on the fake rests on this.
func TestFakeAnswersAsTheRealDevice(t *testing.T) {
	m, _ := plugged(t, Dgram, "")
	real := m.Window(slot)
	memory, err := fake.NewMemory(MemoryBase+ringsAt, 64<<10)
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	nic := fake.NewNIC([6]byte{2, 0, 0, 0, 0, 1}, memory)
	nic.Features, nic.QueueMax = offers(real, len(nic.QueueMax))
	nic.Write32(0x070, 0)

	steps := script(MemoryBase + ringsAt)
	want, got := run(real, steps), run(nic, steps)
	if err := real.Err(); err != nil {
		t.Fatal(err)
	}
	i := 0
	for n, s := range steps {
		if s.width == 0 {
			continue
		}
		if got[i] != want[i] {
			t.Errorf("step %d, %s (register %#x): fake %#x, real %#x", n, s.what, s.off, got[i], want[i])
		}
		i++
	}
}

func TestFakeEmptySlotAnswersAsTheRealOne(t *testing.T) {
	m, _ := plugged(t, Dgram, "")
	nic := fake.NewNIC([6]byte{})
	nic.ID, nic.Vendor = 0, 0x554d4551
	steps := []access{
		read("magic", 0x000), read("version", 0x004), read("device id", 0x008), read("vendor id", 0x00c),
		read("features", 0x010), read("status", 0x070), write("status", 0x070, 1), read("status", 0x070),
	}
	want, got := run(m.Window(0), steps), run(nic, steps)
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("read %d: fake %#x, real %#x", i, got[i], want[i])
		}
	}
}

// TestFakeMovesFramesAsTheRealDevice compares what our driver finds in the rings of both
// after the same traffic.
func TestFakeMovesFramesAsTheRealDevice(t *testing.T) {
	real := newRig(t, Dgram, "")
	rings, err := fake.NewMemory(0x1000_0000, 64<<10)
	if err != nil {
		t.Fatal(err)
	}
	defer rings.Close()
	frames, err := fake.NewMemory(0x2000_0000, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer frames.Close()
	nic := fake.NewNIC([6]byte{2, 0, 0, 0, 0, 1}, rings, frames)
	dev, err := netdev.Open(nic, netdev.Memory{Rings: rings.Region(), Frames: frames.Region(), RxBuffer: rxBuffer})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 256 {
		if err := dev.PostRx(i*2048 + bufferAt); err != nil {
			t.Fatal(err)
		}
	}
	if err := dev.Start(); err != nil {
		t.Fatal(err)
	}
	if dev.Features() != real.dev.Features() || dev.MAC() != real.dev.MAC() || dev.MTU() != real.dev.MTU() {
		t.Errorf("fake %#x %s %d, real %#x %s %d", dev.Features(), dev.MAC(), dev.MTU(),
			real.dev.Features(), real.dev.MAC(), real.dev.MTU())
	}
	for i := range 20 {
		frame := frameOf(i, 60+71*i)
		if err := real.peer.Send(frame); err != nil {
			t.Fatal(err)
		}
		nic.Inject(frame)
		off, n, ok := dev.PopRx()
		realOff, realN, realOK := real.dev.PopRx()
		for !realOK {
			real.interrupt()
			realOff, realN, realOK = real.dev.PopRx()
		}
		if !ok || n != realN || off != realOff {
			t.Fatalf("frame %d: fake %d bytes at %#x, real %d at %#x", i, n, off, realN, realOff)
		}
	}
}
