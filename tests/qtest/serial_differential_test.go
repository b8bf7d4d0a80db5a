package qtest

import (
	"fmt"
	"testing"
	"time"

	"nexus/source/libs/virtio/dma"
	"nexus/source/libs/virtio/fake"
	"nexus/source/libs/virtio/serialdev"
)

// QEMU 7.2's virtio-serial departs from the standard, 5.3, where these say so; the driver lives with it and the fake does
// as QEMU does:
//
//   - the name in PORT_NAME ends with a NUL (5.3.6.2: it has none);
//   - a control message for which there is no buffer is dropped, and no interrupt or status tells;
//   - one that is longer than its buffer is cut off, and the used entry has its whole length (2.7.8.2: the bytes written);
//   - what the driver sends while no host has the port open is completed and discarded;
//   - a buffer that the host had taken half of when it closed the port stays with the device, which sends the rest to
//     the next host;
//   - PORT_OPEN may come before PORT_ADD when a port is plugged in whose host is there already;
//   - a transmit queue that was notified interrupts, unless it was asked not to, also when nothing of it was used;
//   - a port that is plugged in interrupts for a configuration change although nothing in the configuration changed.
//
// Left out of the script, as in the network device's, is where the fake follows the standard instead.

// serialScript goes through the registers as a driver may.
func serialScript(rings dma.Addr) []access {
	steps := []access{
		read("magic", 0x000), read("version", 0x004), read("device id", 0x008), read("vendor id", 0x00c),
		write("reset", 0x070, 0), read("status after reset", 0x070),
		read("interrupt status", 0x060), read("configuration generation", 0x0fc),
		write("ACKNOWLEDGE", 0x070, 1), read("status", 0x070),
		write("DRIVER", 0x070, 3), read("status", 0x070),
		write("low features", 0x014, 0), read("offered, low", 0x010),
		write("high features", 0x014, 1), read("offered, high", 0x010),
		{"columns", 16, 0x100, 0}, {"rows", 16, 0x102, 0}, read("most ports", 0x104),
		{"most ports, low half", 16, 0x104, 0}, {"most ports, low byte", 8, 0x104, 0}, read("emergency", 0x108),
		write("low half", 0x024, 0), write("accept MULTIPORT", 0x020, fake.FeatureMultiport),
		write("high half", 0x024, 1), write("accept VERSION_1", 0x020, 1),
		write("FEATURES_OK", 0x070, 11), read("status", 0x070),
	}
	for _, q := range []uint32{0, 1, 2, 3, 4, 5, 62, 63, 64, 70} {
		steps = append(steps, write("select queue", 0x030, q),
			read(fmt.Sprintf("maximum of queue %d", q), 0x034), read("its readiness", 0x044))
	}
	for i, q := range []uint32{2, 3, 4, 5} {
		base := uint64(rings) + uint64(i)*0x4000
		steps = append(steps,
			write("select queue", 0x030, q), write("size", 0x038, 16),
			write("descriptors", 0x080, uint32(base)), write("high", 0x084, uint32(base>>32)),
			write("avail", 0x090, uint32(base+0x1000)), write("high", 0x094, uint32(base>>32)),
			write("used", 0x0a0, uint32(base+0x2000)), write("high", 0x0a4, uint32(base>>32)),
			write("ready", 0x044, 1), read("ready after", 0x044))
	}
	return append(steps,
		write("DRIVER_OK", 0x070, 15), read("status", 0x070),
		write("notify an empty queue", 0x050, 5), read("interrupt status", 0x060),
		write("notify one that is not ready", 0x050, 0), read("interrupt status", 0x060),
		write("notify one that is not there", 0x050, 70), read("interrupt status", 0x060),
		write("reset", 0x070, 0), read("status after reset", 0x070),
		write("select queue", 0x030, 2), read("ready after reset", 0x044))
}

// newFakeSerial is a fake of the device that pluggedSerial has.
func newFakeSerial(t *testing.T) (*fake.Serial, *fake.Memory) {
	t.Helper()
	memory, err := fake.NewMemory(MemoryBase+memoryAt, serialdev.MemoryBytes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { memory.Close() })
	s := fake.NewSerial(31, memory)
	s.AddPort(1, serialdev.PortName)
	s.Write32(0x070, 0)
	return s, memory
}

func TestFakeSerialAnswersAsTheRealDevice(t *testing.T) {
	m, _ := pluggedSerial(t, 1)
	real := m.Window(serialSlot)
	double, _ := newFakeSerial(t)
	double.Features, double.QueueMax = offers(real, len(double.QueueMax))
	steps := serialScript(MemoryBase + memoryAt)
	want, got := run(real, steps), run(double, steps)
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

// trace writes down what the driver finds: hosts and bytes.
func trace(t *testing.T, dev *serialdev.Device) (all string) {
	t.Helper()
	for e := dev.Pop(); e.Kind != serialdev.Nothing; e = dev.Pop() {
		switch e.Kind {
		case serialdev.Opened:
			all += "<"
		case serialdev.Closed:
			all += ">"
		case serialdev.Received:
			all += string(e.Bytes)
			if err := dev.PostRx(e.Buffer); err != nil {
				t.Fatal(err)
			}
		}
	}
	for dev.PopTx() {
	}
	dev.Kick()
	return all
}

// TestFakeSerialActsAsTheRealDevice lets a host do the same at both devices, and compares what our driver finds and counts.
func TestFakeSerialActsAsTheRealDevice(t *testing.T) {
	m, host := pluggedSerial(t, 1)
	region, err := m.Memory(memoryAt, serialdev.MemoryBytes)
	if err != nil {
		t.Fatal(err)
	}
	real, err := serialdev.Open(m.Window(serialSlot), region)
	if err != nil {
		t.Fatal(err)
	}
	double, memory := newFakeSerial(t)
	mine, err := serialdev.Open(double, memory.Region())
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	big := bytesOf(3, 5000)
	for _, step := range []struct {
		name       string
		real, mine func()
	}{
		{"start", func() { must(real.Start()) }, func() { must(mine.Start()) }},
		{"a host comes", func() { must(host.Connect()) }, func() { double.Connect(1) }},
		{"it sends", func() { must(host.Send([]byte("hello"))) }, func() { double.Input(1, []byte("hello")) }},
		{"it sends more", func() { must(host.Send(big)) }, func() { double.Input(1, big) }},
		{"it is sent to", func() { must(real.PostTx(big)); real.Kick() }, func() { must(mine.PostTx(big)); mine.Kick() }},
		{"it goes", func() {
			_, err := host.Receive(len(big))
			must(err)
			must(host.Disconnect())
		}, func() { double.Disconnect(1) }},
		{"another comes", func() { must(host.Connect()) }, func() { double.Connect(1) }},
		{"a reset", func() { must(real.Reset()); must(real.Start()) }, func() { must(mine.Reset()); must(mine.Start()) }},
		{"it sends after it", func() { must(host.Send([]byte("on"))) }, func() { double.Input(1, []byte("on")) }},
		{"the driver leaves", func() { must(real.Close()) }, func() { must(mine.Close()) }},
	} {
		step.real()
		step.mine()
		// What the fake does is done when it returns.
		want := ""
		for range 4 {
			want += trace(t, mine)
		}
		got := ""
		for deadline := time.Now().Add(answerTime); got != want || real.Stats() != mine.Stats(); {
			got += trace(t, real)
			if time.Now().After(deadline) {
				t.Fatalf("%s: real %.60q %+v\nfake %.60q %+v", step.name, got, real.Stats(), want, mine.Stats())
			}
		}
	}
	if v := double.Violations(); len(v) != 0 {
		t.Errorf("driver against the standard: %v", v)
	}
	if err := m.Window(serialSlot).Err(); err != nil {
		t.Error(err)
	}
}
