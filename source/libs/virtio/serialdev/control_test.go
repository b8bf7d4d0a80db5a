package serialdev

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"nexus/source/libs/virtio/fake"
)

func control(id uint32, e event, value uint16, rest ...byte) []byte {
	var b [messageBytes]byte
	message{id: id, event: e, value: value}.encode(b[:])
	return append(b[:], rest...)
}

func TestDecode(t *testing.T) {
	for _, tc := range []struct {
		name string
		b    []byte
		want message
		err  error
	}{
		{"add", []byte{1, 2, 3, 4, 1, 0, 9, 8}, message{id: 0x04030201, event: eventPortAdd, value: 0x0809}, nil},
		{"remove", control(1, eventPortRemove, 0), message{id: 1, event: eventPortRemove}, nil},
		{"console", control(1, eventConsolePort, 1), message{id: 1, event: eventConsolePort, value: 1}, nil},
		{"open", control(1, eventPortOpen, 1), message{id: 1, event: eventPortOpen, value: 1}, nil},
		{"close", control(1, eventPortOpen, 0), message{id: 1, event: eventPortOpen}, nil},
		{"resize", control(0, eventResize, 0, 80, 0, 25, 0), message{event: eventResize}, nil},
		{"name", control(1, eventPortName, 1, []byte("ab")...), message{id: 1, event: eventPortName, value: 1, name: []byte("ab")}, nil},
		{"name with an end", control(1, eventPortName, 1, []byte("ab\x00")...), message{id: 1, event: eventPortName, value: 1, name: []byte("ab")}, nil},
		{"nothing", nil, message{}, errShort},
		{"half a header", control(1, eventPortAdd, 1)[:7], message{}, errShort},
		{"half a size", control(0, eventResize, 0, 80, 0, 25), message{}, errShort},
		{"size goes on", control(0, eventResize, 0, 80, 0, 25, 0, 0), message{}, errLong},
		{"add goes on", control(1, eventPortAdd, 1, 0), message{}, errLong},
		{"open goes on", control(1, eventPortOpen, 1, 0), message{}, errLong},
		{"no name", control(1, eventPortName, 1), message{}, errName},
		{"empty name", control(1, eventPortName, 1, 0), message{}, errName},
		{"NUL in the name", control(1, eventPortName, 1, []byte("a\x00b")...), message{}, errName},
		{"two ends", control(1, eventPortName, 1, []byte("a\x00\x00")...), message{}, errName},
		{"half open", control(1, eventPortOpen, 2), message{}, errValue},
		{"the driver's own: device ready", control(1, eventDeviceReady, 1), message{}, errEvent},
		{"the driver's own: port ready", control(1, eventPortReady, 1), message{}, errEvent},
		{"unknown", control(1, 8, 1), message{}, errEvent},
		{"unknown, the last", control(1, 0xffff, 1), message{}, errEvent},
	} {
		got, err := decode(tc.b)
		if !errors.Is(err, tc.err) || got.id != tc.want.id || got.event != tc.want.event ||
			got.value != tc.want.value || !bytes.Equal(got.name, tc.want.name) {
			t.Errorf("%s: %+v, %v; want %+v, %v", tc.name, got, err, tc.want, tc.err)
		}
	}
}

// TestBadControlMessages: each is counted by its reason and changes nothing.
func TestBadControlMessages(t *testing.T) {
	for _, tc := range []struct {
		name    string
		b       []byte
		counter func(Stats) uint64
	}{
		{"short", []byte{1}, func(s Stats) uint64 { return s.ControlShort }},
		{"empty", nil, func(s Stats) uint64 { return s.ControlShort }},
		{"long", control(ours, eventPortOpen, 0, 1), func(s Stats) uint64 { return s.ControlLong }},
		{"longer than the buffer", control(ours, eventPortName, 1, bytes.Repeat([]byte("x"), controlBuffer)...),
			func(s Stats) uint64 { return s.ControlTooLong }},
		{"unknown event", control(ours, 99, 0), func(s Stats) uint64 { return s.ControlEvent }},
		{"port 31 of 31", control(maxPorts, eventPortAdd, 1), func(s Stats) uint64 { return s.ControlPort }},
		{"the last port there is", control(0xffffffff, eventPortRemove, 1), func(s Stats) uint64 { return s.ControlPort }},
		{"opened before it was added", control(3, eventPortOpen, 1), func(s Stats) uint64 { return s.ControlPort }},
		{"named before it was added", control(3, eventPortName, 1, []byte(PortName)...), func(s Stats) uint64 { return s.ControlPort }},
		{"removed before it was added", control(3, eventPortRemove, 1), func(s Stats) uint64 { return s.ControlPort }},
		{"ours added again", control(ours, eventPortAdd, 1), func(s Stats) uint64 { return s.ControlPort }},
		{"ours renamed", control(ours, eventPortName, 1, []byte("x")...), func(s Stats) uint64 { return s.ControlName }},
		{"name without a byte", control(ours, eventPortName, 1), func(s Stats) uint64 { return s.ControlName }},
		{"half open", control(ours, eventPortOpen, 7), func(s Stats) uint64 { return s.ControlValue }},
		{"another of our name", control(1, eventPortName, 1, []byte(PortName)...), func(s Stats) uint64 { return s.OtherPorts - 2 }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := connected(t, nil)
			if !r.fake.Say(tc.b) {
				t.Fatal("no buffer for the message")
			}
			r.expect("")
			if got := tc.counter(r.dev.Stats()); got != 1 {
				t.Errorf("counted %d times, want 1: %+v", got, r.dev.Stats())
			}
			if r.dev.Broken() || r.dev.Port() != ours {
				t.Errorf("broken %v, port %d", r.dev.Broken(), r.dev.Port())
			}
			r.fake.Input(ours, []byte("on"))
			r.expect("on")
		})
	}
}

func TestConsoleIsAnswered(t *testing.T) {
	r := open(t, func(s *fake.Serial) { s.RemovePort(1); s.AddConsole(1, "org.console") })
	r.expect("")
	if !r.fake.GuestOpen(1) { // 5.3.6.2.2
		t.Error("CONSOLE_PORT was not answered with PORT_OPEN")
	}
	r.fake.Say(control(0, eventResize, 0, 80, 0, 25, 0))
	r.fake.Say(control(1, eventResize, 0, 80, 0, 25, 0))
	r.expect("")
	if s := r.dev.Stats(); s.ControlShort+s.ControlLong+s.ControlEvent+s.ControlPort != 0 {
		t.Errorf("sound messages counted as bad: %+v", s)
	}
}

func TestRemovedPortComesBackByAReset(t *testing.T) {
	r := connected(t, nil)
	r.fake.Input(ours, []byte("last"))
	r.fake.RemovePort(ours)
	r.expect("last>")
	if !r.dev.Broken() || r.dev.Stats().Removed != 1 {
		t.Errorf("broken %v, counted %d", r.dev.Broken(), r.dev.Stats().Removed)
	}
	r.fake.AddPort(3, PortName)
	r.fake.Connect(3)
	if err := r.dev.Reset(); err != nil {
		t.Fatal(err)
	}
	if err := r.dev.Start(); err != nil {
		t.Fatal(err)
	}
	r.expect("<")
	if r.dev.Port() != 3 {
		t.Errorf("port %d, want 3", r.dev.Port())
	}
}

func TestOtherPortsMayGo(t *testing.T) {
	r := connected(t, nil)
	r.fake.RemovePort(1)
	r.fake.AddPort(1, "org.another")
	r.expect("")
	if r.dev.Broken() {
		t.Error("another port's removal breaks the device")
	}
}

// TestFloodIsNoticed: a device without buffers drops what it has to say, and only a reset asks again.
func TestFloodIsNoticed(t *testing.T) {
	r := connected(t, nil)
	n := 0
	for ; r.fake.Tell(ours, fake.EventPortOpen, uint16(n&1)); n++ {
	}
	if n != controlSize {
		t.Errorf("%d messages found a buffer, want %d", n, controlSize)
	}
	r.events()
	if !r.dev.Broken() || r.dev.Stats().ControlDry != 1 {
		t.Errorf("broken %v, counted %d", r.dev.Broken(), r.dev.Stats().ControlDry)
	}
	// One fewer is none.
	r = connected(t, nil)
	for i := range controlSize - 1 {
		r.fake.Tell(ours, fake.EventPortOpen, uint16(i&1))
	}
	r.events()
	if r.dev.Broken() {
		t.Error("broken though nothing was lost")
	}
}

// TestFloodOfNewPorts needs no memory: what is to be said to each port is a bit.
func TestFloodOfNewPorts(t *testing.T) {
	r := open(t, func(s *fake.Serial) { s.HoldControl = true; s.RemovePort(ours) })
	r.expect("")
	for range 1000 {
		for _, e := range []uint16{fake.EventPortAdd, fake.EventPortRemove} {
			for id := range uint32(maxPorts + 1) {
				if !r.fake.Tell(id, e, 1) {
					t.Fatal("no buffer for the message")
				}
				if id%8 == 0 {
					r.expect("")
				}
			}
		}
	}
	r.expect("")
	if n := r.dev.MessagesPosted(); n != controlSize || r.dev.Broken() {
		t.Errorf("%d messages with the device, broken %v", n, r.dev.Broken())
	}
	if got, want := r.dev.Stats().Messages, uint64(2*1000*(maxPorts+1)); got < want {
		t.Errorf("%d messages received, want %d", got, want)
	}
}

// TestSaidWhenThereIsRoom: the device takes no message for a while.
func TestSaidWhenThereIsRoom(t *testing.T) {
	r := open(t, func(s *fake.Serial) {
		s.HoldControl = true
		s.QueueMax[controlOutQueue] = 1
	})
	r.expect("")
	if r.dev.Port() != 0 || r.dev.MessagesPosted() != 1 {
		t.Fatalf("port %d, %d messages posted", r.dev.Port(), r.dev.MessagesPosted())
	}
	r.fake.Do(func() { r.fake.HoldControl = false })
	r.fake.Write32(0x050, controlOutQueue)
	for range 10 {
		r.expect("")
	}
	if r.dev.Port() != ours || !r.fake.GuestOpen(ours) {
		t.Errorf("port %d, open %v", r.dev.Port(), r.fake.GuestOpen(ours))
	}
}

func TestBadUsedEntries(t *testing.T) {
	for _, tc := range []struct {
		name    string
		do      func(s *fake.Serial)
		counter func(Stats) uint64
	}{
		{"receive: no such buffer", func(s *fake.Serial) { s.PushUsed(rxQueueOf(ours), 5000, 1) }, func(s Stats) uint64 { return s.Rx.BadID }},
		{"receive: more than the buffer", func(s *fake.Serial) {
			h, _ := s.Take(rxQueueOf(ours))
			s.PushUsed(rxQueueOf(ours), uint32(h), RxBuffer+1)
		}, func(s Stats) uint64 { return s.Rx.BadLength }},
		{"receive: twice", func(s *fake.Serial) {
			h, _ := s.Take(rxQueueOf(ours))
			s.PushUsed(rxQueueOf(ours), uint32(h), 0)
			s.PushUsed(rxQueueOf(ours), uint32(h), 0)
		}, func(s Stats) uint64 { return s.Rx.NotInFlight }},
		{"receive: nothing in it", func(s *fake.Serial) {
			h, _ := s.Take(rxQueueOf(ours))
			s.PushUsed(rxQueueOf(ours), uint32(h), 0)
		}, func(s Stats) uint64 { return s.RxEmpty }},
		{"transmit: nothing in flight", func(s *fake.Serial) { s.PushUsed(txQueueOf(ours), 3, 0) }, func(s Stats) uint64 { return s.Tx.NotInFlight }},
		{"transmit: claims to have written", func(s *fake.Serial) {
			h, _ := s.Take(txQueueOf(ours))
			s.PushUsed(txQueueOf(ours), uint32(h), 1)
		}, func(s Stats) uint64 { return s.Tx.BadLength }},
		{"control: no such buffer", func(s *fake.Serial) { s.PushUsed(controlInQueue, 5000, 8) }, func(s Stats) uint64 { return s.Control.BadID }},
		{"control: more than the buffer", func(s *fake.Serial) {
			h, _ := s.Take(controlInQueue)
			s.PushUsed(controlInQueue, uint32(h), controlBuffer+1)
		}, func(s Stats) uint64 { return s.ControlTooLong }},
		{"control: nothing said", func(s *fake.Serial) { s.PushUsed(controlOutQueue, 7, 0) }, func(s Stats) uint64 { return s.Control.NotInFlight }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := connected(t, nil)
			r.fake.SetRoom(ours, 0)
			if strings.HasPrefix(tc.name, "transmit: claims") {
				// Left to the test: the fake must not take it.
				if err := r.dev.PostTx([]byte("x")); err != nil {
					t.Fatal(err)
				}
				r.dev.txRings[ours].Publish()
			}
			tc.do(r.fake)
			r.expect("")
			for r.dev.PopTx() {
			}
			if got := tc.counter(r.dev.Stats()); got != 1 {
				t.Errorf("counted %d times, want 1: %+v", got, r.dev.Stats())
			}
			r.fake.SetRoom(ours, -1)
			r.fake.Input(ours, []byte("on"))
			r.expect("on")
			if err := r.dev.PostTx([]byte("and on")); err != nil {
				t.Fatal(err)
			}
			r.dev.Kick()
			if got := string(r.fake.Output(ours)); got != "and on" {
				t.Errorf("went out: %q", got)
			}
		})
	}
}

func TestBytesWithoutAHostAreDropped(t *testing.T) {
	r := open(t, nil)
	r.expect("")
	h, ok := r.fake.Take(rxQueueOf(ours))
	if !ok {
		t.Fatal("no receive buffer")
	}
	r.fake.PushUsed(rxQueueOf(ours), uint32(h), 100)
	r.expect("")
	if got := r.dev.Stats().RxNoHost; got != 1 {
		t.Errorf("counted %d times, want 1", got)
	}
	r.fake.Connect(ours)
	r.fake.Input(ours, []byte("on"))
	r.expect("<on")
}

func TestBrokenQueuesAreNoticed(t *testing.T) {
	for name, q := range map[string]int{"control in": controlInQueue, "control out": controlOutQueue, "receive": rxQueueOf(ours), "transmit": txQueueOf(ours)} {
		t.Run(name, func(t *testing.T) {
			r := connected(t, nil)
			r.fake.JumpUsed(q, 5000)
			r.events()
			r.dev.PopTx()
			if !r.dev.Broken() {
				t.Error("not noticed")
			}
		})
	}
}

// FuzzControl lets a device say anything: nothing panics, events come in turn, and a sound device afterwards is found.
func FuzzControl(f *testing.F) {
	f.Add(control(ours, eventPortOpen, 0), control(ours, eventPortOpen, 1))
	f.Add(control(ours, eventPortRemove, 0), control(ours, eventPortAdd, 1))
	f.Add(control(3, eventPortAdd, 0), control(3, eventPortName, 1, []byte(PortName)...))
	f.Add([]byte("short"), bytes.Repeat([]byte{7}, 200))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		r := connected(t, nil)
		told := true
		for _, b := range [][]byte{first, second, first} {
			if len(b) >= messageBytes && binary.LittleEndian.Uint16(b[4:]) == uint16(eventPortAdd) {
				// The fake counts an answer for a port that it does not have.
				if id := binary.LittleEndian.Uint32(b); id == 3 || id == 4 {
					continue
				}
			}
			r.fake.Say(b)
			for e := r.dev.Pop(); e.Kind != Nothing; e = r.dev.Pop() {
				if (e.Kind == Opened) == told || e.Kind == Received {
					t.Fatalf("event %d while a host is there: %v", e.Kind, told)
				}
				told = e.Kind == Opened
			}
			r.dev.Kick()
		}
		if err := r.dev.Reset(); err != nil {
			t.Fatal(err)
		}
		r.dev.Pop()
		if err := r.dev.Start(); err != nil {
			t.Fatal(err)
		}
		r.fake.Input(ours, []byte("on"))
		r.expect("<on")
	})
}
