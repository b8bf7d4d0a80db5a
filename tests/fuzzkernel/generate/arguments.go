package generate

import (
	"encoding/binary"

	"nexus/source/libs/sockns"
	"nexus/tests/fuzzkernel/program"
)

// An arg makes an argument of a call.
type arg func(*gen) program.Value

func constant(n ...uint64) arg {
	return func(g *gen) program.Value { return number(g.pick(n...)) }
}

// usual is a, or for a program that is alone what Linux has the same.
func usual(a, alone arg) arg {
	return func(g *gen) program.Value {
		if g.alone {
			return alone(g)
		}
		return a(g)
	}
}

// flags is the sum of some.
func flags(n ...uint64) arg {
	return func(g *gen) program.Value { return number(g.some(n...)) }
}

// often is a most of the time, else b.
func often(a, b arg) arg {
	return func(g *gen) program.Value {
		if g.one(8) {
			return b(g)
		}
		return a(g)
	}
}

// fd is a descriptor of one of the kinds, most of the time.
func fd(k kind) arg {
	return func(g *gen) program.Value {
		if g.one(12) {
			if v, ok := g.of(received); ok {
				return v
			}
		}
		if !g.one(12) {
			if v, ok := g.of(k); ok {
				return v
			}
		}
		if !g.one(3) {
			if v, ok := g.of(descriptor); ok {
				return v
			}
		}
		return badFD(g)
	}
}

func badFD(g *gen) program.Value {
	if g.alone {
		return number(g.pick(^uint64(0), 900, 1<<31, ^uint64(99)))
	}
	return number(g.pick(^uint64(0), 0, 1, 2, 3, 6, 7, 8, 9, 10, 11, 100, 8191, 8192, 1<<31, ^uint64(99)))
}

func pid(g *gen) program.Value {
	if !g.one(4) {
		if v, ok := g.of(child); ok {
			return v
		}
	}
	return number(g.pick(^uint64(0), 0, 1, 2, 1<<31, ^uint64(4)))
}

func tid(g *gen) program.Value {
	if !g.one(5) {
		if v, ok := g.of(thread); ok {
			return v
		}
	}
	return number(g.pick(^uint64(0), 0, 1, 1<<31))
}

func signal(g *gen) program.Value {
	switch g.r.IntN(20) {
	case 0:
		return number(g.r.Uint64N(66))
	case 1:
		return number(g.pick(0, 9, 15, 64, 65, ^uint64(0)))
	}
	return number(g.pick(10, 10, 12, 13, 17, 23))
}

// size is a length.
func size(g *gen) program.Value {
	if g.alone {
		return g.aloneSize()
	}
	switch g.r.IntN(14) {
	case 0:
		return number(0)
	case 1:
		return number(g.pick(4095, 4096, 4097, 8192))
	case 2:
		return number(g.pick(60000, 65535, 65536, 65537, 200000))
	case 3:
		if g.one(4) {
			return number(g.pick(1<<20, 1<<31-1, 1<<31, 1<<63, ^uint64(0)))
		}
	}
	return number(g.pick(1, 2, 4, 8, 16, 72, 100, 512, 1000))
}

// outputs is where calls write to.
const (
	outputs     = program.Data + program.DataSize/2
	outputsSize = program.DataSize / 2
)

// out is an address to write to.
func out(g *gen) program.Value {
	if g.alone {
		return g.aloneOut()
	}
	switch n := g.r.IntN(32); {
	case n < 4:
		return number(program.Arena + g.r.Uint64N(program.ArenaOpen))
	case n < 6:
		return number(g.page() + g.pick(0, 4095, 4090, 1))
	case n < 7:
		if v, ok := g.of(area); ok {
			return v
		}
	case n < 9:
		return number(badAddress(g))
	case n < 10:
		return number(program.Data + g.r.Uint64N(program.DataSize/2)) // what a call is given
	}
	return number(outputs + g.r.Uint64N(outputsSize-4096)&^7)
}

func badAddress(g *gen) uint64 {
	return g.pick(0, 8, 0x10000, 1<<38-4096, 1<<38, ^uint64(0), ^uint64(7), 0xffffffc0_80200000, program.Data+program.DataSize-3)
}

// in is an address to read from.
func in(g *gen) program.Value {
	if g.one(3) && !g.alone {
		b := make([]byte, g.pick(1, 8, 16, 100, 400))
		for i := range b {
			b[i] = byte(i)
		}
		return number(g.bytes(b))
	}
	return out(g)
}

// page is the address of a page of the arena.
func (g *gen) page() uint64 {
	if g.one(8) {
		return program.Arena + g.r.Uint64N(program.ArenaSize/4096)*4096
	}
	return program.Arena + (g.focusPage+g.r.Uint64N(g.pick(1, 4, 16)))%(program.ArenaSize/4096)*4096
}

func place(g *gen) program.Value {
	if g.one(8) && !g.alone {
		if v, ok := g.of(area); ok {
			return v
		}
	}
	if g.one(24) && !g.alone && !g.keeps {
		return number(badAddress(g))
	}
	return number(g.page())
}

func pages(g *gen) program.Value {
	if g.alone {
		return number(g.pick(1, 1, 2, 2, 3, 4, 8, 16, 100) * 4096)
	}
	switch g.r.IntN(16) {
	case 0:
		return number(g.pick(0, 1, 4095, 4097, 1<<21, 1<<22, 1<<38, 1<<63, ^uint64(0)))
	case 1:
		return number(g.pick(256, 512, 513) * 4096)
	}
	return number((1 + g.r.Uint64N(g.pick(2, 16))) * 4096)
}

var names = []string{
	"/", "/init", "/bin/executor", "/canary", "/bin", "bin", "executor", "../bin/executor", "/bin/executor/x", "/nothing", "", ".", "..",
	"/dev/null", "/dev/urandom", "/dev/random", "/proc/self/exe", "/dev", "/proc", "//bin//", "/bin/",
}

var below = []string{
	"serve", "fdt", "dma", "socketns", "processes", "virtio_mmio@10001000/window", "virtio_mmio@10001000/irq", "virtio_mmio@10001000/", "nothing",
}

func path(g *gen) program.Value {
	if g.one(20) {
		return number(badAddress(g))
	}
	return number(g.text(names[g.r.IntN(len(names))]))
}

// time is a struct timespec, short.
func time(g *gen) program.Value {
	if g.one(20) && !g.alone {
		return number(g.pick(0, badAddress(g), g.words(0, 1_000_000_000), g.words(^uint64(0), 0), g.words(1<<62, 5)))
	}
	return number(g.words(0, g.r.Uint64N(100_000)))
}

// noTime is no time-out for a call that others wake, or an end for one that is alone.
func noTime(g *gen) program.Value {
	if g.alone {
		return number(g.words(0, 0))
	}
	if g.one(4) {
		return number(0)
	}
	return time(g)
}

func mask(g *gen) program.Value {
	return number(g.words(g.pick(0, 1<<9, 1<<11|1<<22, 1<<16, ^uint64(1<<10|1<<6))))
}

// word is the address of one of a few words that futexes wait at.
func word(g *gen) program.Value {
	if g.one(6) && !g.alone {
		return number(g.page() + g.r.Uint64N(4)*4)
	}
	if g.one(16) && !g.alone {
		return number(badAddress(g))
	}
	return number(outputs + outputsSize - 20000 + g.r.Uint64N(8)*4)
}

// vectors is an iovec array; how many is the argument after it.
func vectors(g *gen, give arg) (at uint64, n uint64) {
	n = g.pick(0, 1, 1, 1, 2, 3, 8)
	if g.alone {
		n = g.pick(1, 1, 2, 3)
	}
	if g.one(40) && !g.alone {
		n = g.pick(1023, 1024, 1024, 1025)
	}
	b := make([]byte, 0, 16*n)
	one, much := number(program.Arena), g.pick(1, 4096, 65536, program.ArenaOpen)
	for i := range n {
		v := one
		if i < 8 {
			v = give(g)
		}
		if v.Slot {
			v = number(outputs)
		}
		length := much
		if i < 8 {
			length = size(g).Number
		}
		b = binary.LittleEndian.AppendUint64(b, v.Number)
		b = binary.LittleEndian.AppendUint64(b, length)
	}
	return g.bytes(b), n
}

// addressIP is a struct sockaddr_in.
func addressIP(g *gen) program.Value {
	b := make([]byte, 16)
	b[0] = byte(g.pick(2, 2, 2, 2, 0, 1, 10))
	binary.BigEndian.PutUint16(b[2:], uint16(g.pick(0, 7, 80, 8080)))
	copy(b[4:], [][]byte{{127, 0, 0, 1}, {0, 0, 0, 0}, {10, 0, 2, 2}}[g.r.IntN(3)])
	return number(g.bytes(b))
}

// record is what the serving end of a namespace may say.
func record(g *gen) uint64 {
	r := sockns.Record{
		Op: sockns.Op(g.pick(18, 18, 18, 18, 16, 17, 1)), ID: uint32(g.pick(1, 1, 2, 3, 4, 1<<31|1)), Seq: uint32(1 + g.r.Uint64N(12)),
		Errno: int32(g.pick(0, 0, 111, 4096)), Arg0: uint32(g.pick(1<<31|1, 1<<31|2, 7)),
		Local:  sockns.Address{Family: 2, Port: 80, IP: [16]byte{10, 0, 2, 15}},
		Remote: sockns.Address{Family: 2, Port: 7, IP: [16]byte{10, 0, 2, 2}},
	}
	var b [sockns.Size]byte
	r.Encode(&b)
	return g.bytes(b[:])
}
