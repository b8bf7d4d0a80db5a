package qtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"nexus/source/libs/virtio"
	"nexus/source/libs/virtio/serialdev"
	virtioslot "nexus/source/libs/virtio/slot"
	"nexus/source/services/controld/port"
)

// serialSlot is where the console device is plugged: virtio_mmio@10003000, interrupt 3.
const serialSlot = 2

const memoryAt = 1 << 20

// pluggedSerial runs QEMU with a console device that has our port at nr.
func pluggedSerial(t testing.TB, nr int, args ...string) (*Machine, *Host) {
	t.Helper()
	host, chardev := Chardev(t.TempDir())
	t.Cleanup(func() { host.Disconnect() })
	m := start(t, append([]string{"-global", modern,
		"-device", fmt.Sprintf("virtio-serial-device,id=s0,bus=virtio-mmio-bus.%d", serialSlot),
		"-chardev", chardev,
		"-device", fmt.Sprintf("virtserialport,id=p0,bus=s0.0,chardev=c0,name=%s,nr=%d", serialdev.PortName, nr)}, args...)...)
	return m, host
}

// stream is controld's port on QEMU's device.
type stream struct {
	t      testing.TB
	m      *Machine
	window *Window
	irq    *IRQ
	host   *Host
	port   *port.Port
}

func startStream(t testing.TB, nr int, args ...string) *stream {
	t.Helper()
	m, host := pluggedSerial(t, nr, args...)
	irq, err := m.IRQ(serialSlot)
	if err != nil {
		t.Fatal(err)
	}
	s := &stream{t: t, m: m, window: m.Window(serialSlot), irq: irq, host: host}
	memory, err := m.Memory(memoryAt, serialdev.MemoryBytes)
	if err != nil {
		t.Fatal(err)
	}
	s.port, err = port.Open(port.Config{
		Slot:   virtioslot.Slot{Window: s.window, Base: s.window.Base(), Interrupt: irq, Number: firstIRQ + serialSlot},
		Memory: memory,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.port.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("port ended: %v", err)
		}
		if err := s.window.Err(); err != nil {
			t.Errorf("register access: %v", err)
		}
	})
	return s
}

func (s *stream) counter(name string) uint64 {
	s.t.Helper()
	for _, c := range s.port.Stats() {
		if c.Name == name {
			return c.Value
		}
	}
	s.t.Fatalf("no counter %s", name)
	return 0
}

// counted waits until a counter has come to n.
func (s *stream) counted(name string, n uint64) {
	s.t.Helper()
	for deadline := time.Now().Add(answerTime); s.counter(name) < n; {
		if time.Now().After(deadline) {
			s.t.Fatalf("%s never came to %d: %+v", name, n, s.port.Stats())
		}
	}
}

// connect lets a host open the port, and waits until the guest knows.
func (s *stream) connect() {
	s.t.Helper()
	before := s.counter("port.hosts")
	if err := s.host.Connect(); err != nil {
		s.t.Fatal(err)
	}
	s.counted("port.hosts", before+1)
}

// reads expects exactly these bytes at the guest's end.
func (s *stream) reads(want []byte) {
	s.t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(s.port, got); err != nil || !bytes.Equal(got, want) {
		s.t.Fatalf("guest read %d bytes, %.40q, %v; want %d, %.40q", n, got[:n], err, len(want), want)
	}
}

func (s *stream) readsEnd() {
	s.t.Helper()
	if n, err := s.port.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		s.t.Fatalf("guest read %d bytes, %v; want %v", n, err, io.EOF)
	}
}

func (s *stream) writes(p []byte) {
	s.t.Helper()
	if n, err := s.port.Write(p); n != len(p) || err != nil {
		s.t.Fatalf("guest wrote %d of %d bytes, %v", n, len(p), err)
	}
}

// gets expects exactly these bytes at the host's end.
func (s *stream) gets(want []byte) {
	s.t.Helper()
	if got, err := s.host.Receive(len(want)); err != nil || !bytes.Equal(got, want) {
		s.t.Fatalf("host got %d bytes, %.40q, %v; want %d, %.40q", len(got), got, err, len(want), want)
	}
}

func (s *stream) sends(p []byte) {
	s.t.Helper()
	if err := s.host.Send(p); err != nil {
		s.t.Fatal(err)
	}
}

// sound checks that nothing was counted which a sound device does not do.
func (s *stream) sound() {
	s.t.Helper()
	for _, c := range s.port.Stats() {
		if strings.Contains(c.Name, ".drop") || strings.Contains(c.Name, ".used.") || c.Name == "port.broken" ||
			c.Name == "port.control.dry" || c.Name == "port.resets" {
			if c.Value != 0 {
				s.t.Errorf("%s = %d on a sound device", c.Name, c.Value)
			}
		}
	}
}

func bytesOf(seed, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(seed + i*7 + i>>8)
	}
	return b
}

func TestSerialBothWays(t *testing.T) {
	s := startStream(t, 1)
	s.connect()
	const total = 600 << 10
	in, out := bytesOf(1, total), bytesOf(2, total)
	began := time.Now()
	var all sync.WaitGroup
	all.Go(func() { s.reads(in) })
	all.Go(func() { s.writes(out) })
	all.Go(func() { s.gets(out) })
	s.sends(in)
	all.Wait()
	t.Logf("%d KiB each way at once in %v", total>>10, time.Since(began))
	s.sound()
	if s.irq.Raised() == 0 {
		t.Error("everything came without an interrupt")
	}
}

func TestSerialFrames(t *testing.T) {
	s := startStream(t, 1)
	s.connect()
	for i, n := range []int{1, 16, 2047, 2048, 2049, 4096, 4097, 65552, port.MaxFrame} {
		p := bytesOf(i, n)
		s.sends(p)
		s.reads(p)
		s.writes(p)
		s.gets(p)
	}
	s.sound()
}

func TestSerialHostsComeAndGo(t *testing.T) {
	s := startStream(t, 1)
	if _, err := s.port.Write([]byte("x")); !errors.Is(err, port.ErrHostGone) {
		t.Errorf("write without a host: %v, want %v", err, port.ErrHostGone)
	}
	for i := range 20 {
		s.connect()
		s.sends(bytesOf(i, 5000))
		s.reads(bytesOf(i, 5000))
		s.writes(bytesOf(i+1, 5000))
		s.gets(bytesOf(i+1, 5000))
		if err := s.host.Disconnect(); err != nil {
			t.Fatal(err)
		}
		s.readsEnd()
		if _, err := s.port.Write([]byte("x")); !errors.Is(err, port.ErrHostGone) {
			t.Errorf("write after the host: %v, want %v", err, port.ErrHostGone)
		}
	}
	s.sound()
}

// TestSerialHostIsThereBeforeTheDriver: QEMU keeps its bytes until the driver has opened the port.
func TestSerialHostIsThereBeforeTheDriver(t *testing.T) {
	m, host := pluggedSerial(t, 1)
	if err := host.Connect(); err != nil {
		t.Fatal(err)
	}
	if err := host.Send([]byte("early")); err != nil {
		t.Fatal(err)
	}
	memory, err := m.Memory(memoryAt, serialdev.MemoryBytes)
	if err != nil {
		t.Fatal(err)
	}
	irq, err := m.IRQ(serialSlot)
	if err != nil {
		t.Fatal(err)
	}
	p, err := port.Open(port.Config{Slot: virtioslot.Slot{Window: m.Window(serialSlot), Interrupt: irq}, Memory: memory})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	s := &stream{t: t, host: host, port: p}
	s.reads([]byte("early"))
	s.writes([]byte("welcome"))
	s.gets([]byte("welcome"))
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestSerialBackPressure: neither end loses anything while the other does not read.
func TestSerialBackPressure(t *testing.T) {
	s := startStream(t, 1)
	s.connect()
	// The guest does not read: its buffers fill, then the host's socket.
	in := bytesOf(1, 2<<20)
	sent := make(chan error, 1)
	go func() { sent <- s.host.Send(in) }()
	s.counted("port.rx.bytes", serialdev.RxBuffers*serialdev.RxBuffer/2)
	// The host does not read: its socket fills, then QEMU's, then the guest's ring, and a write waits.
	full := 0
	for {
		_, err := s.port.Write(bytesOf(full, 64<<10))
		if errors.Is(err, port.ErrStalled) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if full++; full > 1000 {
			t.Fatal("64 MiB went nowhere")
		}
	}
	for i := range full {
		s.gets(bytesOf(i, 64<<10))
	}
	s.reads(in)
	if err := <-sent; err != nil {
		t.Error(err)
	}
	s.writes([]byte("and on"))
	s.gets([]byte("and on"))
	s.sound()
}

// TestSerialHostGoesInTheMiddleOfAWrite: QEMU keeps the rest of the buffer it has begun to send, and would give it to the
// next host.
func TestSerialHostGoesInTheMiddleOfAWrite(t *testing.T) {
	s := startStream(t, 1)
	s.connect()
	failed := make(chan error, 1)
	go func() {
		for {
			if _, err := s.port.Write(bytesOf(1, 64<<10)); err != nil {
				failed <- err
				return
			}
		}
	}()
	s.counted("port.tx.bytes", 64<<10)
	if err := s.host.Disconnect(); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; !errors.Is(err, port.ErrHostGone) && !errors.Is(err, port.ErrStalled) {
		t.Errorf("write: %v, want %v", err, port.ErrHostGone)
	}
	s.readsEnd()
	s.connect()
	s.writes([]byte("new"))
	s.gets([]byte("new"))
	s.sends([]byte("too"))
	s.reads([]byte("too"))
	if s.counter("port.unfinished") != s.counter("port.resets") {
		t.Errorf("%d times unfinished, %d resets", s.counter("port.unfinished"), s.counter("port.resets"))
	}
}

func TestSerialPortIsFoundAmongOthers(t *testing.T) {
	s := startStream(t, 3,
		"-device", "virtconsole,bus=s0.0,nr=0", "-device", "virtserialport,bus=s0.0,nr=1,name=org.other",
		"-device", "virtconsole,bus=s0.0,nr=2", "-device", "virtserialport,bus=s0.0,nr=9,name=org.ninth")
	s.connect()
	s.writes([]byte("found"))
	s.gets([]byte("found"))
	s.sound()
	if got := s.counter("port.control.others"); got == 0 {
		t.Error("no message of the others counted")
	}
}

// TestSerialPortIsPulledOut and plugged in again under another number, while the guest runs and the host stays.
func TestSerialPortIsPulledOut(t *testing.T) {
	s := startStream(t, 1)
	s.connect()
	if _, err := s.m.QMP("device_del", map[string]any{"id": "p0"}); err != nil {
		t.Fatal(err)
	}
	s.readsEnd()
	s.counted("port.resets", 1)
	before := s.counter("port.hosts")
	for deadline := time.Now().Add(answerTime); ; { // the old one lets go of the host in its own time
		_, err := s.m.QMP("device_add", map[string]any{
			"driver": "virtserialport", "id": "p1", "bus": "s0.0", "chardev": "c0", "name": serialdev.PortName, "nr": 2,
		})
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	s.counted("port.hosts", before+1)
	s.writes([]byte("back"))
	s.gets([]byte("back"))
	s.sends([]byte("again"))
	s.reads([]byte("again"))
}

func TestSerialOtherDevicesAreNamed(t *testing.T) {
	m := start(t, "-global", modern, "-device", "virtio-rng-device,bus=virtio-mmio-bus.2")
	if _, err := virtio.Probe(m.Window(serialSlot), virtio.Console); !errors.Is(err, virtio.ErrWrongDevice) {
		t.Errorf("error %v, want %v", err, virtio.ErrWrongDevice)
	}
	m = start(t, "-global", modern, "-device", "virtio-serial-device,max_ports=1,bus=virtio-mmio-bus.2")
	memory, err := m.Memory(memoryAt, serialdev.MemoryBytes)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := serialdev.Open(m.Window(serialSlot), memory); !errors.Is(err, serialdev.ErrNoPorts) {
		t.Errorf("error %v, want %v", err, serialdev.ErrNoPorts)
	}
}
