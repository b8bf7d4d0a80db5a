package console

import (
	"bytes"
	"slices"
	"strconv"
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
	looks          int  // at its status
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
		f.looks++
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

// TestKernelLinesNeverWait: with the buffer full of a program's bytes and the UART busy, the kernel's lines go behind them while there is
// room, and are left out whole after that; how many is told once there is room again, and nobody waits meanwhile.
func TestKernelLinesNeverWait(t *testing.T) {
	f := &fake16550{stuck: true}
	u := fresh(f)
	u.Write(usertest.In(bytes.Repeat([]byte("p"), outSize)), 0)
	f.looks = 0
	const lines = 100
	for i := range lines {
		Text("neuron: line ")
		Number(uint64(i))
		Text(strings.Repeat(".", 100) + "\n")
	}
	if f.looks > 3*lines {
		t.Errorf("looked at the UART %d times for %d lines", f.looks, lines)
	}
	if n, err := u.Write(usertest.In([]byte("x")), 0); n != 0 || err != abi.EAGAIN {
		t.Errorf("a program's byte: %d, %d; want EAGAIN", n, err)
	}
	f.stuck = false
	for range bufSize {
		u.Interrupt()
	}
	Text("neuron: after\n")
	u.Drain()
	got := strings.Split(strings.TrimLeft(string(f.sent), "p"), "\n")
	whole := 0
	for i, l := range got[:len(got)-3] {
		if want := "neuron: line " + strconv.Itoa(i) + strings.Repeat(".", 100); l != want {
			t.Fatalf("line %d: %q, want %q", i, l, want)
		}
		whole++
	}
	want := []string{"neuron: console was full, lines left out: " + strconv.Itoa(lines-whole), "neuron: after", ""}
	if whole < 10 || !slices.Equal(got[whole:], want) {
		t.Errorf("%d lines, then %q, want %q", whole, got[whole:], want)
	}
}

// TestLastLinesWait: at the end of the machine a line gets out however full the buffer is, and whatever line it cuts off.
func TestLastLinesWait(t *testing.T) {
	f := &fake16550{stuck: true}
	u := fresh(f)
	u.Write(usertest.In(make([]byte, outSize)), 0)
	for range 30 {
		Text(strings.Repeat("l", 100) + "\n")
	}
	Text("left out")
	f.stuck = false
	Last()
	for range 3 {
		Text("fatal " + strings.Repeat("f", 1000) + "\n")
	}
	u.Drain()
	if n := strings.Count(string(f.sent), "fatal "+strings.Repeat("f", 1000)+"\n"); n != 3 {
		t.Errorf("%d of 3 lines got out", n)
	}
}

// TestLineTooLong: what is longer than a line may be is cut, and does not touch the line behind it.
func TestLineTooLong(t *testing.T) {
	f := &fake16550{stuck: true}
	u := fresh(f)
	u.Write(usertest.In(make([]byte, outSize)), 0)
	Text(strings.Repeat("a", 3*reserve) + "\n")
	if u.out.count != bufSize {
		t.Errorf("%d bytes wait, want %d", u.out.count, bufSize)
	}
}
