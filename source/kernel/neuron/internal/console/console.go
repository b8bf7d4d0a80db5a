// Package console is the UART: a 16550 with FIFOs, driven by its interrupt both ways. Programs reach it as the
// descriptors that process 1 starts with; the kernel's own lines go through the same buffer.
package console

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/arch"
	"nexus/source/kernel/neuron/internal/decimal"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/user"
	"nexus/source/kernel/neuron/internal/wait"
)

// Registers of the 16550 (National Semiconductor PC16550D, table II), byte wide.
const (
	data        = 0 // RBR, THR
	irqEnable   = 1 // IER
	fifoControl = 2 // FCR
	lineControl = 3 // LCR
	lineStatus  = 5 // LSR

	ierReceive  = 1 << 0
	ierTransmit = 1 << 1
	fcrEnable   = 7 // on, both sides cleared
	lcr8N1      = 3
	lsrData     = 1 << 0
	lsrEmpty    = 1 << 5 // THR empty: the transmit FIFO takes fifoSize bytes
	fifoSize    = 16
)

const (
	outSize = 16 << 10 // what the bytes of programs may fill of the buffer
	reserve = 2 << 10  // and what is kept behind that for the kernel's lines
	bufSize = outSize + reserve
	maxLine = 256 // the kernel begins a line only where so much is free
	inSize  = 4 << 10
)

// ring is bytes in order: count of them from position first.
type ring struct{ first, count int }

// UART is the console. There is one; each open of it is a description of its own.
//
// Invariant: nobody waits for the UART but the end of the machine (Last). A line of the kernel's that the buffer has no room for is
// left out, whole, and counted; the count is told as soon as there is room.
type UART struct {
	file.Defaults
	base  uintptr
	queue wait.Queue
	out   ring
	in    ring
	ier   uint8
	// Of the kernel's lines: whether one has begun, whether it is left out, how many were since that was told last, and
	// whether they wait.
	begun, skip bool
	lost        uint64
	last        bool
	// Dropped counts input bytes that found the buffer full.
	Dropped uint64
}

// Console is the machine's.
var (
	Console   UART
	outBuffer [bufSize]byte
	inBuffer  [inSize]byte
)

// Init takes the UART at kernel address base.
func (u *UART) Init(base uintptr) {
	u.base = base
	arch.Store8(base+lineControl, lcr8N1)
	arch.Store8(base+fifoControl, fcrEnable)
	u.enable(ierReceive)
}

func (u *UART) enable(ier uint8) {
	if u.ier != ier {
		u.ier = ier
		arch.Store8(u.base+irqEnable, ier)
	}
}

// Interrupt moves bytes both ways.
func (u *UART) Interrupt() {
	ev := u.receive()
	if u.out.count > 0 {
		u.transmit()
		u.tellLost()
		ev |= abi.EPOLLOUT
	}
	u.arm()
	if ev != 0 {
		u.queue.Notify(ev)
	}
}

// receive takes what the UART has, at most what the buffer holds at a time: more must wait for the next interrupt.
func (u *UART) receive() (ev abi.Events) {
	for i := 0; i < inSize && arch.Load8(u.base+lineStatus)&lsrData != 0; i++ {
		c := arch.Load8(u.base + data)
		if u.in.count == inSize {
			u.Dropped++
			continue
		}
		inBuffer[(u.in.first+u.in.count)%inSize] = c
		u.in.count++
		ev |= abi.EPOLLIN
	}
	return ev
}

// arm asks for the transmit interrupt while bytes wait.
func (u *UART) arm() {
	if u.out.count > 0 {
		u.enable(ierReceive | ierTransmit)
	} else {
		u.enable(ierReceive)
	}
}

// transmit hands the UART what its FIFO takes, if that is empty.
func (u *UART) transmit() {
	if u.base == 0 || arch.Load8(u.base+lineStatus)&lsrEmpty == 0 {
		return
	}
	for i := 0; i < fifoSize && u.out.count > 0; i++ {
		arch.Store8(u.base+data, outBuffer[u.out.first])
		u.out.first = (u.out.first + 1) % bufSize
		u.out.count--
	}
}

// drainTries bounds Drain: seconds for a UART that works, and an end with one that does not.
const drainTries = 1 << 24

// Drain waits until everything is out, at the end of the machine. What a stuck UART does not take is lost.
func (u *UART) Drain() {
	for try := 0; u.base != 0 && try < drainTries; try++ {
		if u.out.count > 0 {
			u.transmit()
		} else if arch.Load8(u.base+lineStatus)&lsrEmpty != 0 {
			return
		}
	}
	u.out.count = 0
}

// Read takes what was typed.
func (u *UART) Read(b *user.Buffer, pos int64) (int, abi.Errno) {
	n := 0
	for u.in.count > 0 && b.Len() > 0 {
		end := min(inSize, u.in.first+u.in.count)
		k, ok := b.Put(inBuffer[u.in.first:end])
		u.in.first = (u.in.first + k) % inSize
		u.in.count -= k
		n += k
		if !ok && n == 0 {
			return 0, abi.EFAULT
		}
		if !ok {
			break
		}
	}
	if n == 0 && b.Len() > 0 {
		return 0, abi.EAGAIN
	}
	return n, abi.OK
}

// Write takes the whole buffer or, if that does not fit now but could, nothing, so that lines do not mix.
func (u *UART) Write(b *user.Buffer, pos int64) (int, abi.Errno) {
	room := max(0, outSize-u.out.count)
	if b.Len() > room && (b.Len() <= outSize || room == 0) {
		return 0, abi.EAGAIN
	}
	n := 0
	for n < room && b.Len() > 0 {
		var part [128]byte
		k, ok := b.Get(part[:min(len(part), room-n)])
		for _, c := range part[:k] {
			u.push(c)
		}
		n += k
		if !ok && n == 0 {
			return 0, abi.EFAULT
		}
		if !ok {
			break
		}
	}
	u.transmit()
	u.arm()
	return n, abi.OK
}

// Ready tells what Read and Write would do.
func (u *UART) Ready() abi.Events {
	var ev abi.Events
	if u.in.count > 0 {
		ev |= abi.EPOLLIN
	}
	if u.out.count < outSize/2 {
		ev |= abi.EPOLLOUT
	}
	return ev
}

// Queue is told of input and of room.
func (u *UART) Queue() *wait.Queue { return &u.queue }

// Stat calls it a character device.
func (u *UART) Stat(st *abi.Stat) {
	st.Dev, st.Ino, st.Rdev = 2, 1, 5<<8|1
	st.Mode, st.Nlink, st.Blksize = abi.S_IFCHR|0o600, 1, 1024
}

// Last makes the kernel's lines wait for the UART from now on: the machine ends.
func Last() {
	u := &Console
	u.last, u.begun, u.skip = true, false, false
}

// Text prints s as the kernel. A line ends with '\n' and is at most 256 bytes.
func Text(s string) {
	u := &Console
	for i := 0; i < len(s); i++ {
		u.put(s[i])
	}
	u.transmit()
	if u.base != 0 {
		u.arm()
	}
}

// Bytes prints b, with what is not printable ASCII as '?'.
func Bytes(b []byte) {
	for _, c := range b {
		if c < ' ' || c > '~' {
			c = '?'
		}
		Console.put(c)
	}
}

// put adds a byte of a line of the kernel's.
func (u *UART) put(c byte) {
	if !u.begun {
		u.tellLost()
		if u.skip = !u.last && bufSize-u.out.count < maxLine; u.skip {
			u.lost++
		}
	}
	u.begun = c != '\n'
	if u.skip {
		return
	}
	if u.out.count == bufSize {
		if !u.last {
			return // the line is longer than it may be
		}
		u.Drain()
	}
	u.push(c)
}

// push adds a byte, for which there is room.
func (u *UART) push(c byte) {
	outBuffer[(u.out.first+u.out.count)%bufSize] = c
	u.out.count++
}

// tellLost tells how many lines were left out, if there is room for that and another line.
func (u *UART) tellLost() {
	if u.lost == 0 || u.begun || bufSize-u.out.count < 2*maxLine {
		return
	}
	n := u.lost
	u.lost = 0
	Text("neuron: console was full, lines left out: ")
	Number(n)
	Text("\n")
}

// Hex prints v as 0x….
func Hex(v uint64) {
	Text("0x")
	started := false
	for shift := 60; shift >= 0; shift -= 4 {
		d := v >> shift & 15
		if d != 0 || started || shift == 0 {
			started = true
			Console.put("0123456789abcdef"[d])
		}
	}
}

// Number prints v in decimal.
func Number(v uint64) {
	var d decimal.Digits
	Bytes(decimal.Format(&d, v))
}
