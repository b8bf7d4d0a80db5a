package console

import (
	"bytes"
	"strings"
	"testing"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/arch"
	"nexus/source/kernel/neuron/internal/user"
	"nexus/source/kernel/neuron/internal/user/usertest"
)

const base = 0x1000

// fake16550 acts as the UART does: a FIFO each way, status bits that follow them.
type fake16550 struct {
	received, sent []byte
	stuck          bool // takes nothing
	ier            uint32
}

func (f *fake16550) Load(addr uintptr) uint32 {
	switch addr - base {
	case data:
		if len(f.received) == 0 {
			return 0
		}
		c := f.received[0]
		f.received = f.received[1:]
		return uint32(c)
	case lineStatus:
		var v uint32
		if len(f.received) > 0 {
			v |= lsrData
		}
		if !f.stuck {
			v |= lsrEmpty // QEMU's sends at once
		}
		return v
	}
	return 0
}

func (f *fake16550) Store(addr uintptr, v uint32) {
	switch addr - base {
	case data:
		f.sent = append(f.sent, byte(v))
	case irqEnable:
		f.ier = v
	}
}

// fresh is a console over f.
func fresh(f *fake16550) *UART {
	Console = UART{}
	arch.Host.Device = f
	Console.Init(base)
	return &Console
}

func TestLinesDoNotMix(t *testing.T) {
	u := fresh(&fake16550{stuck: true})
	if n, err := u.Write(usertest.In(make([]byte, outSize-10)), 0); n != outSize-10 || err != abi.OK {
		t.Fatal(n, err)
	}
	if n, err := u.Write(usertest.In(make([]byte, 11)), 0); n != 0 || err != abi.EAGAIN {
		t.Errorf("a line that does not fit now: %d, %d; want nothing, EAGAIN", n, err)
	}
	if u.Ready()&abi.EPOLLOUT != 0 {
		t.Error("writable although nearly full")
	}
	if n, err := u.Write(usertest.In(make([]byte, 10)), 0); n != 10 || err != abi.OK {
		t.Errorf("a line that fits: %d, %d", n, err)
	}
}

func TestLongWritesGoInParts(t *testing.T) {
	u := fresh(&fake16550{stuck: true})
	if n, err := u.Write(usertest.In(make([]byte, 2*outSize)), 0); n != outSize || err != abi.OK {
		t.Errorf("%d, %d; want %d, 0", n, err, outSize)
	}
}

func TestTransmitInterrupt(t *testing.T) {
	f := &fake16550{}
	u := fresh(f)
	text := strings.Repeat("x", 3*fifoSize) + "!"
	u.Write(usertest.In([]byte(text)), 0)
	if len(f.sent) != fifoSize {
		t.Errorf("%d bytes sent at once, want %d: what the FIFO takes", len(f.sent), fifoSize)
	}
	for range 3 {
		if f.ier&ierTransmit == 0 {
			t.Error("bytes wait without the transmit interrupt")
		}
		u.Interrupt()
	}
	if string(f.sent) != text {
		t.Errorf("sent %q, want %q", f.sent, text)
	}
	if f.ier != ierReceive {
		t.Error("the transmit interrupt is on with nothing to send")
	}
}

func TestInput(t *testing.T) {
	f := &fake16550{}
	u := fresh(f)
	b := make([]byte, 8)
	if _, err := u.Read(usertest.Out(b), 0); err != abi.EAGAIN {
		t.Errorf("no input: %d, want EAGAIN", err)
	}
	f.received = []byte("hello")
	u.Interrupt()
	if u.Ready()&abi.EPOLLIN == 0 {
		t.Error("not readable")
	}
	m := usertest.Memory(b)
	buffer := user.Range(m, usertest.Base, uint64(len(b)))
	if n, err := u.Read(&buffer, 0); n != 5 || err != abi.OK || string(b[:5]) != "hello" {
		t.Errorf("%d, %d, %q", n, err, b)
	}
}

func TestInputIsBounded(t *testing.T) {
	f := &fake16550{received: make([]byte, inSize+3)}
	u := fresh(f)
	u.Interrupt()
	if u.in.count != inSize || u.Dropped != 0 {
		t.Errorf("kept %d, dropped %d after one interrupt; want %d, 0", u.in.count, u.Dropped, inSize)
	}
	u.Interrupt()
	if u.in.count != inSize || u.Dropped != 3 {
		t.Errorf("kept %d, dropped %d; want %d, 3", u.in.count, u.Dropped, inSize)
	}
}

func TestDrainEnds(t *testing.T) {
	u := fresh(&fake16550{stuck: true})
	Text("lost")
	u.Drain()
	if u.out.count != 0 {
		t.Error("still waits")
	}
}

func TestNumbers(t *testing.T) {
	fresh(&fake16550{stuck: true})
	Hex(0)
	Text(" ")
	Hex(0xffffffc080201000)
	Text(" ")
	Number(1234)
	Bytes([]byte("\x1b[2J"))
	want := "0x0 0xffffffc080201000 1234?[2J"
	if got := outBuffer[:Console.out.count]; !bytes.Equal(got, []byte(want)) {
		t.Errorf("%q, want %q", got, want)
	}
}
