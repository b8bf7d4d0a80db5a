package serialdev

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"nexus/source/libs/virtio"
	"nexus/source/libs/virtio/dma"
	"nexus/source/libs/virtio/fake"
)

const memoryBase = dma.Addr(0x1_0000_0000) // above 4 GiB: both halves of an address count

// rig is the driver on a fake device with two ports that are not ours, and ours.
type rig struct {
	t      testing.TB
	fake   *fake.Serial
	dev    *Device
	memory dma.Region
}

const (
	maxPorts = 31
	ours     = 2
)

// newSerial makes a fake device and the memory for it; the test fails when a driver on it goes against the standard.
func newSerial(t testing.TB) (*fake.Serial, dma.Region) {
	t.Helper()
	m, err := fake.NewMemory(memoryBase, MemoryBytes)
	if err != nil {
		t.Fatal(err)
	}
	s := fake.NewSerial(maxPorts, m)
	s.AddConsole(0, "org.console")
	s.AddPort(1, "org.other")
	s.AddPort(ours, PortName)
	t.Cleanup(func() {
		for _, v := range s.Violations() {
			t.Errorf("driver against the standard: %s", v)
		}
		m.Close()
	})
	return s, m.Region()
}

func open(t testing.TB, set func(*fake.Serial)) *rig {
	t.Helper()
	s, memory := newSerial(t)
	if set != nil {
		set(s)
	}
	dev, err := Open(s, memory)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, fake: s, dev: dev, memory: memory}
	if err := dev.Start(); err != nil {
		t.Fatal(err)
	}
	return r
}

// events pops and kicks until nothing more happens, gives buffers back, and writes down what happened: O, C, and bytes.
func (r *rig) events() string {
	r.t.Helper()
	var all strings.Builder
	for quiet := 0; quiet < 2; {
		e := r.dev.Pop()
		switch e.Kind {
		case Opened:
			all.WriteByte('<')
		case Closed:
			all.WriteByte('>')
		case Received:
			all.Write(e.Bytes)
			if err := r.dev.PostRx(e.Buffer); err != nil {
				r.t.Fatal(err)
			}
		case Nothing:
			quiet++
			r.dev.Kick()
			continue
		}
		quiet = 0
	}
	return all.String()
}

func (r *rig) expect(want string) {
	r.t.Helper()
	if got := r.events(); got != want {
		r.t.Errorf("happened: %.80q, want %.80q", got, want)
	}
}

// connected is a rig with a host that has our port open.
func connected(t testing.TB, set func(*fake.Serial)) *rig {
	t.Helper()
	r := open(t, set)
	r.fake.Connect(ours)
	r.expect("<")
	return r
}

func TestOpenNamesWhatIsWrong(t *testing.T) {
	for _, tc := range []struct {
		name string
		set  func(*fake.Serial)
		want error
		hint string
	}{
		{"legacy", func(s *fake.Serial) { s.Version = 1 }, virtio.ErrLegacy, "force-legacy=false"},
		{"empty slot", func(s *fake.Serial) { s.ID = 0 }, virtio.ErrNoDevice, "virtio-serial-device,bus=virtio-mmio-bus.2"},
		{"a network card", func(s *fake.Serial) { s.ID = 1 }, virtio.ErrWrongDevice, "bus="},
		{"no ports", func(s *fake.Serial) { s.Features &^= fake.FeatureMultiport }, ErrNoPorts, "max_ports=2"},
		{"one port", func(s *fake.Serial) { s.Config[4] = 1 }, ErrNoPorts, "max_ports=2"},
		{"FEATURES_OK refused", func(s *fake.Serial) { s.RefuseFeatures = true }, virtio.ErrFeatures, ""},
		{"no control queue", func(s *fake.Serial) { s.QueueMax[3] = 0 }, virtio.ErrQueue, ""},
		{"short control queue", func(s *fake.Serial) { s.QueueMax[2] = 7 }, virtio.ErrQueueSize, "7"},
		{"no receive queue", func(s *fake.Serial) { s.QueueMax[4] = 0 }, virtio.ErrQueue, "port 1"},
		{"no transmit queue", func(s *fake.Serial) { s.QueueMax[11] = 0 }, virtio.ErrQueue, "port 4"},
		{"queue refused", func(s *fake.Serial) { s.RefuseQueues = true }, virtio.ErrQueueRefuse, ""},
		{"reset never ends", func(s *fake.Serial) { s.ResetReads = 1 << 30 }, virtio.ErrReset, ""},
		{"configuration never rests", func(s *fake.Serial) { s.OnConfigRead = func(int) { s.BumpGeneration() } }, virtio.ErrConfig, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, memory := newSerial(t)
			tc.set(s)
			_, err := Open(s, memory)
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.hint) {
				t.Errorf("error %v, want %v with %q", err, tc.want, tc.hint)
			}
		})
	}
	s, memory := newSerial(t)
	memory.Bytes = memory.Bytes[:MemoryBytes-1]
	if _, err := Open(s, memory); !errors.Is(err, ErrMemory) {
		t.Errorf("short memory: %v, want %v", err, ErrMemory)
	}
}

func TestLayoutFits(t *testing.T) {
	if layoutEnd > MemoryBytes {
		t.Errorf("layout ends at %d, memory at %d", layoutEnd, MemoryBytes)
	}
	if most := TxBuffers * TxBuffer; most < 64<<10+16 {
		t.Errorf("%d bytes at once: a frame with its header does not fit", most)
	}
}

func TestOnlyWhatIsUsedIsAccepted(t *testing.T) {
	r := open(t, func(s *fake.Serial) { s.Features = ^uint64(0) })
	if got, want := r.dev.Features(), featureMultiport|virtio.FeatureVersion1; got != want {
		t.Errorf("accepted %#x, want %#x", got, want)
	}
}

func TestPortIsFoundByItsName(t *testing.T) {
	for port := uint32(1); port <= MaxPorts; port++ {
		s, memory := newSerial(t)
		s.RemovePort(ours)
		if port == 1 {
			s.RemovePort(1)
		}
		s.AddPort(port, PortName)
		dev, err := Open(s, memory)
		if err != nil {
			t.Fatal(err)
		}
		r := &rig{t: t, fake: s, dev: dev, memory: memory}
		if err := dev.Start(); err != nil {
			t.Fatal(err)
		}
		r.expect("")
		if dev.Port() != int(port) || !s.GuestOpen(port) || s.GuestOpen(0) {
			t.Errorf("port %d: found %d, open to it %v, to the console %v", port, dev.Port(), s.GuestOpen(port), s.GuestOpen(0))
		}
	}
}

func TestPortBeyondTheBoundIsNotServed(t *testing.T) {
	r := open(t, func(s *fake.Serial) { s.RemovePort(ours); s.AddPort(MaxPorts+1, PortName) })
	r.expect("")
	if r.dev.Port() != 0 || r.dev.Stats().OtherPorts != 3 { // it, the console, and the other's name
		t.Errorf("found %d, %d messages of others", r.dev.Port(), r.dev.Stats().OtherPorts)
	}
	// Plugged in later, it is found.
	r.fake.AddPort(ours, PortName)
	if err := r.dev.Interrupt(); err != nil {
		t.Fatal(err)
	}
	r.expect("")
	if r.dev.Port() != ours {
		t.Errorf("found %d, want %d", r.dev.Port(), ours)
	}
}

func TestBytesComeIn(t *testing.T) {
	r := connected(t, nil)
	want := pattern(3*RxBuffers*RxBuffer + 17)
	r.fake.Input(ours, want)
	if got := r.events(); got != string(want) {
		t.Errorf("%d bytes came in, want %d", len(got), len(want))
	}
	if s := r.dev.Stats(); s.RxBytes != uint64(len(want)) || s.Rx.BadID+s.Rx.BadLength+s.RxEmpty+s.RxNoHost != 0 {
		t.Errorf("counted %+v", s)
	}
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

// TestReceiveWaitsForBuffers: buffers with the caller are the back-pressure.
func TestReceiveWaitsForBuffers(t *testing.T) {
	r := connected(t, nil)
	want := pattern(RxBuffers*RxBuffer + 1000)
	r.fake.Input(ours, want)
	var held []int
	for e := r.dev.Pop(); e.Kind == Received; e = r.dev.Pop() {
		held = append(held, e.Buffer)
	}
	r.dev.Kick()
	if len(held) != RxBuffers || r.fake.Waiting(ours) != 1000 {
		t.Errorf("%d buffers came, %d bytes wait; want %d and 1000", len(held), r.fake.Waiting(ours), RxBuffers)
	}
	if err := r.dev.PostRx(held[0]); err != nil {
		t.Fatal(err)
	}
	if r.fake.Waiting(ours) != 1000 {
		t.Errorf("%d bytes wait before Kick", r.fake.Waiting(ours))
	}
	r.expect(string(want[RxBuffers*RxBuffer:]))
}

func TestPostRxTakesOnlyWhatItGave(t *testing.T) {
	r := connected(t, nil)
	r.fake.Input(ours, []byte("x"))
	e := r.dev.Pop()
	for _, i := range []int{-1, RxBuffers, 1 << 40, (e.Buffer + 1) % RxBuffers} {
		if err := r.dev.PostRx(i); !errors.Is(err, ErrBuffer) {
			t.Errorf("PostRx(%d): %v, want %v", i, err, ErrBuffer)
		}
	}
	if err := r.dev.PostRx(e.Buffer); err != nil {
		t.Errorf("PostRx: %v", err)
	}
	if err := r.dev.PostRx(e.Buffer); !errors.Is(err, ErrBuffer) {
		t.Errorf("PostRx twice: %v, want %v", err, ErrBuffer)
	}
}

func TestBytesGoOut(t *testing.T) {
	r := connected(t, nil)
	for _, n := range []int{1, TxBuffer - 1, TxBuffer, TxBuffer + 1, 65552, r.dev.MaxSend()} {
		want := pattern(n)
		if err := r.dev.PostTx(want); err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		if got := r.fake.Output(ours); len(got) != 0 {
			t.Errorf("%d bytes out before Kick", len(got))
		}
		r.dev.Kick()
		if got := r.fake.Output(ours); !bytes.Equal(got, want) {
			t.Errorf("%d bytes: %d went out", n, len(got))
		}
		for r.dev.PopTx() {
		}
		if r.dev.TxFree() != r.dev.MaxSend() {
			t.Errorf("%d bytes free, want %d", r.dev.TxFree(), r.dev.MaxSend())
		}
	}
	if err := r.dev.PostTx(make([]byte, r.dev.MaxSend()+1)); !errors.Is(err, ErrFull) {
		t.Errorf("too much at once: %v, want %v", err, ErrFull)
	}
}

func TestSendIsAllOrNothing(t *testing.T) {
	r := connected(t, nil)
	r.fake.SetRoom(ours, 0)
	if err := r.dev.PostTx(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	free := r.dev.TxFree()
	if err := r.dev.PostTx(make([]byte, free+1)); !errors.Is(err, ErrFull) || r.dev.TxFree() != free {
		t.Errorf("more than is free: %v, %d of %d free afterwards", err, r.dev.TxFree(), free)
	}
	if err := r.dev.PostTx(make([]byte, free)); err != nil {
		t.Errorf("as much as is free: %v", err)
	}
	r.dev.Kick()
	r.fake.SetRoom(ours, -1)
	if got := len(r.fake.Output(ours)); got != free+1 {
		t.Errorf("%d bytes went out, want %d", got, free+1)
	}
}

func TestNobodyIsSentToWithoutAHost(t *testing.T) {
	r := open(t, nil)
	for _, step := range []struct {
		name string
		do   func()
		want error
	}{
		{"before the port is found", func() {}, ErrNoPort},
		{"before a host", func() { r.events() }, ErrNoPort},
		{"before it is told", func() { r.fake.Connect(ours) }, ErrNoPort},
		{"with a host", func() { r.events() }, nil},
		{"after it", func() { r.dev.Kick(); r.fake.Disconnect(ours); r.events() }, ErrNoPort},
	} {
		step.do()
		if err := r.dev.PostTx([]byte("x")); !errors.Is(err, step.want) {
			t.Errorf("%s: %v, want %v", step.name, err, step.want)
		}
	}
}

func TestHostsComeAndGo(t *testing.T) {
	for _, tc := range []struct {
		name string
		do   func(s *fake.Serial)
		want string
	}{
		{"comes", func(s *fake.Serial) { s.Connect(ours) }, "<"},
		{"sends", func(s *fake.Serial) { s.Connect(ours); s.Input(ours, []byte("abc")) }, "<abc"},
		// Its bytes are no use to anybody: it cannot be answered.
		{"comes, sends and goes unseen", func(s *fake.Serial) {
			s.Connect(ours)
			s.Input(ours, []byte("abc"))
			s.Disconnect(ours)
		}, ""},
		{"goes unseen and comes again", func(s *fake.Serial) {
			s.Connect(ours)
			s.Disconnect(ours)
			s.Connect(ours)
			s.Input(ours, []byte("new"))
		}, "<new"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := open(t, nil)
			r.expect("")
			tc.do(r.fake)
			r.expect(tc.want)
		})
	}
	for _, tc := range []struct {
		name string
		do   func(s *fake.Serial)
		want string
	}{
		{"goes", func(s *fake.Serial) { s.Disconnect(ours) }, ">"},
		{"sends and goes", func(s *fake.Serial) { s.Input(ours, []byte("last")); s.Disconnect(ours) }, "last>"},
		{"goes and another comes", func(s *fake.Serial) {
			s.Disconnect(ours)
			s.Connect(ours)
			s.Input(ours, []byte("new"))
		}, "><new"},
		{"goes and another comes and goes", func(s *fake.Serial) {
			s.Disconnect(ours)
			s.Connect(ours)
			s.Disconnect(ours)
		}, ">"},
		{"is told of twice", func(s *fake.Serial) { s.Tell(ours, fake.EventPortOpen, 1); s.Input(ours, []byte("on")) }, "on"},
	} {
		t.Run("a host "+tc.name, func(t *testing.T) {
			r := connected(t, nil)
			tc.do(r.fake)
			r.expect(tc.want)
			if r.dev.Broken() {
				t.Error("device counts as broken")
			}
		})
	}
}

// TestHostIsThereBeforeTheDriver: QEMU tells of it with the port's name.
func TestHostIsThereBeforeTheDriver(t *testing.T) {
	r := open(t, func(s *fake.Serial) { s.Connect(ours); s.Input(ours, []byte("early")) })
	r.expect("<early")
}

func TestBytesForAHostThatHasGoneNeedAReset(t *testing.T) {
	r := connected(t, nil)
	r.fake.SetRoom(ours, 10)
	if err := r.dev.PostTx(pattern(3 * TxBuffer)); err != nil {
		t.Fatal(err)
	}
	r.dev.Kick()
	r.fake.Disconnect(ours)
	r.expect(">")
	if !r.dev.Broken() || r.dev.Stats().Unfinished != 1 {
		t.Fatalf("broken %v, counted %d: the next host would get the rest", r.dev.Broken(), r.dev.Stats().Unfinished)
	}
	if err := r.dev.Reset(); err != nil {
		t.Fatal(err)
	}
	if err := r.dev.Start(); err != nil {
		t.Fatal(err)
	}
	r.fake.Output(ours)
	r.fake.Connect(ours)
	r.expect("<")
	if err := r.dev.PostTx([]byte("new")); err != nil {
		t.Fatal(err)
	}
	r.dev.Kick()
	if got := string(r.fake.Output(ours)); got != "new" {
		t.Errorf("next host got %.20q, want %q", got, "new")
	}
}

func TestInterrupts(t *testing.T) {
	r := connected(t, nil)
	if err := r.dev.Interrupt(); err != nil {
		t.Fatal(err)
	}
	r.dev.Quiet()
	r.fake.Input(ours, []byte("x"))
	r.fake.Connect(ours)
	if got := r.fake.InterruptStatus(); got&1 != 0 {
		t.Errorf("interrupt %d although quiet", got)
	}
	if r.dev.Arm() {
		t.Error("Arm lets the driver sleep on what came")
	}
	r.expect("x")
	if !r.dev.Arm() {
		t.Error("Arm finds something in empty rings")
	}
	r.fake.Connect(ours)
	if got := r.fake.InterruptStatus(); got != 1 {
		t.Errorf("interrupt status %d after Arm, want 1", got)
	}
	if err := r.dev.Interrupt(); err != nil || r.fake.InterruptStatus() != 0 {
		t.Errorf("%v, status %d after the acknowledgement", err, r.fake.InterruptStatus())
	}
	r.fake.SetRoom(ours, 0)
	if err := r.dev.PostTx([]byte("x")); err != nil {
		t.Fatal(err)
	}
	r.dev.QuietTx()
	r.dev.Kick()
	if !r.dev.ArmTx() {
		t.Error("ArmTx finds taken bytes that are not")
	}
	r.fake.SetRoom(ours, -1)
	if got := r.fake.InterruptStatus(); got != 1 || r.dev.ArmTx() {
		t.Errorf("interrupt status %d for taken bytes, or ArmTx sleeps on them", got)
	}
	r.fake.NeedReset()
	if err := r.dev.Interrupt(); !errors.Is(err, virtio.ErrNotReady) {
		t.Errorf("device needs a reset: %v, want %v", err, virtio.ErrNotReady)
	}
}

func TestResetGivesEverythingBack(t *testing.T) {
	r := connected(t, nil)
	r.fake.Input(ours, []byte("kept"))
	e := r.dev.Pop()
	r.fake.SetRoom(ours, 0)
	if err := r.dev.PostTx(pattern(TxBuffer)); err != nil {
		t.Fatal(err)
	}
	r.dev.Kick()
	r.fake.JumpUsed(rxQueueOf(ours), 5000)
	if got := r.dev.Pop(); got.Kind != Nothing || !r.dev.Broken() {
		t.Fatalf("index jump not noticed: %+v", got)
	}
	if err := r.dev.PostTx([]byte("x")); !errors.Is(err, ErrBroken) {
		t.Errorf("PostTx to a broken device: %v, want %v", err, ErrBroken)
	}
	if err := r.dev.Reset(); err != nil {
		t.Fatal(err)
	}
	if r.dev.Broken() || r.dev.TxPosted() != 0 || r.dev.Port() != 0 {
		t.Errorf("after Reset: broken %v, %d posted, port %d", r.dev.Broken(), r.dev.TxPosted(), r.dev.Port())
	}
	if string(e.Bytes) != "kept" {
		t.Errorf("a buffer with the caller has %q", e.Bytes)
	}
	r.expect(">") // not live yet
	if err := r.dev.Start(); err != nil {
		t.Fatal(err)
	}
	r.fake.SetRoom(ours, -1)
	r.expect("<")
	// The buffer with the caller was not posted again, and is when it comes back.
	r.fake.Input(ours, pattern(RxBuffers*RxBuffer))
	if got := r.fake.Waiting(ours); got != RxBuffer {
		t.Errorf("%d bytes wait, want %d", got, RxBuffer)
	}
	if err := r.dev.PostRx(e.Buffer); err != nil {
		t.Fatal(err)
	}
	if got := len(r.events()); got != RxBuffers*RxBuffer {
		t.Errorf("%d bytes came in after Reset", got)
	}
}

func TestResetFailures(t *testing.T) {
	for _, tc := range []struct {
		name string
		set  func(*fake.Serial)
		want error
	}{
		{"does not end", func(s *fake.Serial) { s.ResetReads = 1 << 30 }, virtio.ErrReset},
		{"FEATURES_OK refused", func(s *fake.Serial) { s.RefuseFeatures = true }, virtio.ErrFeatures},
		{"offers less", func(s *fake.Serial) { s.Features &^= fake.FeatureMultiport }, virtio.ErrFeatures},
		{"queue shrank", func(s *fake.Serial) { s.QueueMax[4] = 8 }, virtio.ErrQueueSize},
		{"queue gone", func(s *fake.Serial) { s.QueueMax[3] = 0 }, virtio.ErrQueue},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := connected(t, nil)
			r.fake.Do(func() { tc.set(r.fake) })
			if err := r.dev.Reset(); !errors.Is(err, tc.want) {
				t.Errorf("error %v, want %v", err, tc.want)
			}
			r.fake.Log()
			r.expect(">")
			if err := r.dev.PostTx([]byte("x")); err == nil {
				t.Error("PostTx to a device that is not live")
			}
			if got := r.fake.Accesses(); len(got) != 0 {
				t.Errorf("%d accesses to a device that is not live", len(got))
			}
		})
	}
}

func TestCloseTellsTheDevice(t *testing.T) {
	r := connected(t, nil)
	told := false
	r.fake.Log()
	if err := r.dev.Close(); err != nil {
		t.Fatal(err)
	}
	for _, a := range r.fake.Accesses() {
		if a.Write && a.Off == 0x070 {
			break
		}
		told = told || a.Write && a.Off == 0x050 && a.Value == controlOutQueue
	}
	if !told || r.fake.GuestOpen(ours) {
		t.Errorf("told %v, still open %v", told, r.fake.GuestOpen(ours))
	}
	r.expect(">")
}

func TestSmallQueues(t *testing.T) {
	r := connected(t, func(s *fake.Serial) {
		for q := range s.QueueMax {
			s.QueueMax[q] = 8
		}
	})
	if got, want := r.dev.MaxSend(), 8*TxBuffer; got != want {
		t.Errorf("%d bytes at once, want %d", got, want)
	}
	want := pattern(100_000)
	r.fake.Input(ours, want)
	if got := r.events(); got != string(want) {
		t.Errorf("%d bytes came in, want %d", len(got), len(want))
	}
}

func TestNothingAllocates(t *testing.T) {
	r := connected(t, nil)
	r.fake.SetRoom(ours, 0) // the fake's own work allocates
	p := pattern(100)
	allocs := testing.AllocsPerRun(15, func() {
		if err := r.dev.PostTx(p); err != nil {
			t.Fatal(err)
		}
		r.dev.Kick()
		r.dev.PopTx()
		if e := r.dev.Pop(); e.Kind != Nothing {
			t.Fatalf("%+v", e)
		}
		r.dev.Arm()
		if err := r.dev.Interrupt(); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations a pass, want 0", allocs)
	}
	var m [controlBuffer]byte
	message{id: ours, event: eventPortOpen, value: 1}.encode(m[:])
	if allocs := testing.AllocsPerRun(50, func() {
		m, err := decode(m[:messageBytes])
		if err != nil || r.dev.apply(m) != nil {
			t.Fatal(err)
		}
	}); allocs != 0 {
		t.Errorf("%v allocations a control message, want 0", allocs)
	}
}
