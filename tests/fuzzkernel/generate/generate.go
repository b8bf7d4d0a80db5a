// Package generate makes programs for the system-call fuzzer out of a seed: calls with arguments that are mostly what they should
// be, on descriptors, memory and processes that earlier calls made, and now and then what they should not.
package generate

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"

	"nexus/tests/fuzzkernel/program"
)

// Kind is what a slot probably holds, a bit each.
type kind uint32

const (
	pipeRead kind = 1 << iota
	pipeWrite
	unixStream
	unixPacket // sequenced packets and datagrams
	event
	poller
	memory
	node // of the archive
	directory
	inet
	namespace
	server
	devices
	register // a window
	interrupt
	dma
	child
	thread
	area
	received // a descriptor that came beside a message, if one came

	unix       = unixStream | unixPacket
	sockets    = unix | inet | server
	pollable   = pipeRead | pipeWrite | sockets | event | poller | interrupt
	mappable   = memory | node | register | dma
	readable   = pipeRead | sockets | event | memory | node | interrupt | dma | devices
	writable   = pipeWrite | sockets | event | memory | interrupt
	descriptor = child - 1
)

// Lists of a program of Threads: workers from 1, of each a list for its vfork's child, and one that children execute.
const (
	workers  = 4
	children = 1 + workers
	executed = children + workers
)

type gen struct {
	r     *rand.Rand
	p     *program.Program
	list  int
	data  uint64 // where the next data goes
	kinds [program.Slots]kind
	owner [program.Slots]uint8 // the list that fills it
	// weights of templates: most programs make some of the calls only, and those more often.
	weights []int
	total   int
	story   *story
	left    int // steps of it
	// focus are a few slots and a page that calls are about for a while: so they meet more often than by chance alone. A pair's
	// ends are in it together.
	focus     [4]uint8
	focusPage uint64
	partner   [program.Slots]uint8
	// alone: one thread whose calls must end by themselves and answer the same on Linux.
	alone bool
	// keeps: kept operations run among the calls, about so many streams.
	keeps   bool
	streams uint64
}

// Threads returns program number episode of a seed: threads beside each other, signals, children.
func Threads(seed, episode uint64) *program.Program {
	g := newGen(seed, episode)
	switch g.r.IntN(12) {
	case 0, 1, 2, 3:
		return g.keep()
	case 4:
		return g.interrupt()
	}
	g.given()
	g.openings()
	g.handlers()
	n := 1 + g.r.IntN(workers)
	for i := range n {
		g.emit(program.Op{Code: program.Start, Slot: program.NoSlot, Args: numbers(uint64(1 + i))})
	}
	signal := uint64(10)
	if g.r.IntN(6) == 0 {
		signal = g.pick(0, 12, 17, 23)
	}
	ticks, ns := uint64(30+g.r.IntN(150)), uint64(20_000+g.r.IntN(200_000))
	g.emit(program.Op{Code: program.Tick, Slot: program.NoSlot, Args: numbers(ticks, ns, signal)})
	g.ending()
	for i := range n {
		g.fill(1+i, 20+g.r.IntN(80), int(g.pick(1, 3, 6, 12, 30)))
		g.fill(children+i, 1+g.r.IntN(10), 1)
		g.executes()
		g.fill(executed+i, 4+g.r.IntN(20), 1+g.r.IntN(2))
	}
	g.list = program.Handler
	if g.one(2) {
		g.story, g.left = &waiting, 8
		for range g.r.IntN(8) {
			g.step()
		}
	} else {
		g.fill(program.Handler, g.r.IntN(8), 1)
	}
	return g.p
}

func newGen(seed, episode uint64) *gen {
	g := &gen{r: rand.New(rand.NewPCG(seed, episode)), p: new(program.Program), data: program.Data}
	few := g.pick(1, 2, 2, 4, 8)
	for i := range templates {
		weight := templates[i].weight
		if g.r.Uint64N(few) != 0 {
			weight = 0
		}
		g.weights = append(g.weights, weight)
		g.total += weight
	}
	if g.total == 0 {
		return newGen(seed+1<<32, episode)
	}
	return g
}

// given are the slots that the executor fills.
func (g *gen) given() {
	g.kinds[program.SlotProcess] = child
	for i := 1; i <= workers; i++ {
		g.kinds[program.SlotThreads+i] = thread
	}
	g.kinds[program.SlotGiven+program.DescriptorNamespace] = namespace
	g.kinds[program.SlotGiven+program.DescriptorServe] = server
	g.kinds[program.SlotGiven+program.DescriptorDevices] = devices
}

// openings makes some of each object.
func (g *gen) openings() {
	if !g.one(3) {
		g.call("setns", program.NoSlot, slot(program.SlotGiven+program.DescriptorNamespace), number(0))
	}
	for range 4 + g.r.IntN(10) {
		makers[g.r.IntN(len(makers))](g)
	}
}

// handlers gives some signals the program's handler.
func (g *gen) handlers() {
	for _, signal := range []uint64{10, 12, 13, 17, 23} {
		g.action(signal)
	}
}

// action is rt_sigaction of the handler, with flags.
func (g *gen) action(signal uint64) {
	flags := 4 | g.some(0x08000000, 0x10000000, 0x40000000)
	if g.one(50) {
		flags |= 0x80000000 // SA_RESETHAND: the next one ends most programs
	}
	act := g.words(0, flags, g.pick(0, 0, 1<<9, 1<<11, ^uint64(1<<10|1<<6)))
	g.emit(program.Op{Code: program.Store, Number: 8, Slot: program.NoSlot, Args: [6]program.Value{number(act), slot(program.SlotHandler)}})
	g.call("rt_sigaction", program.NoSlot, number(signal), number(act), number(0), number(8))
}

// ending is what the main thread does at last, if not simply exit_group.
func (g *gen) ending() {
	switch g.r.IntN(8) {
	case 0:
		g.call("exit", program.NoSlot)
	case 1:
		g.call("kill", program.NoSlot, slot(program.SlotProcess), number(g.pick(9, 15, 6)))
	case 2:
		g.execve(executed)
	}
}

// fill gives a list n calls.
func (g *gen) fill(list, n, rounds int) {
	g.list, g.left = list, 0
	g.p.Rounds[list] = rounds
	for range 4 * n { // some steps make no call
		if len(g.p.Lists[list]) >= n {
			break
		}
		g.step()
	}
}

// executes ends a child's list with a program, most of the time.
func (g *gen) executes() {
	if g.r.IntN(2) != 0 {
		g.execve(g.list + workers)
	}
}

func (g *gen) execve(list int) {
	name := g.text("executor")
	which := g.text(string(rune('a' + list)))
	argv := g.words(name, which, 0)
	g.call("execve", program.NoSlot, number(g.text("/bin/executor")), number(argv), number(0))
}

// step emits a call, with what it needs before.
func (g *gen) step() {
	if g.left > 0 {
		g.left--
		t := &templates[g.story.index[g.r.IntN(len(g.story.index))]]
		if (!g.alone || slices.Contains(aloneCalls, t.name)) && !(g.keeps && slices.Contains(unkept, t.name)) {
			t.emit(g)
		}
		return
	}
	if g.one(10) {
		g.tell()
		return
	}
	if g.one(12) {
		g.refocus()
	}
	n := g.r.IntN(g.total)
	for i, weight := range g.weights {
		if n -= weight; n < 0 {
			templates[i].emit(g)
			return
		}
	}
}

func (g *gen) emit(o program.Op) { g.p.Lists[g.list] = append(g.p.Lists[g.list], o) }

func (g *gen) call(name string, to uint8, args ...program.Value) {
	o := program.Op{Code: program.Call, Number: program.Numbers[name], Slot: to}
	copy(o.Args[:], args)
	g.emit(o)
}

func (g *gen) load(to uint8, at uint64) {
	g.emit(program.Op{Code: program.Load, Number: 4, Slot: to, Args: numbers(at)})
}

func (g *gen) store(width uint16, at uint64, v program.Value) {
	g.emit(program.Op{Code: program.Store, Number: width, Slot: program.NoSlot, Args: [6]program.Value{number(at), v}})
}

func number(n uint64) program.Value { return program.Value{Number: n} }
func slot(n int) program.Value      { return program.Value{Slot: true, Number: uint64(n)} }

func numbers(n ...uint64) (v [6]program.Value) {
	for i := range n {
		v[i] = number(n[i])
	}
	return v
}

func (g *gen) pick(n ...uint64) uint64 { return n[g.r.IntN(len(n))] }

// some is the sum of some of the flags.
func (g *gen) some(flags ...uint64) (n uint64) {
	for _, f := range flags {
		if g.r.IntN(3) == 0 {
			n |= f
		}
	}
	return n
}

// one in n.
func (g *gen) one(n int) bool { return g.r.IntN(n) == 0 }

// into is a slot for something of kind k: an unused one, or one that is lost.
func (g *gen) into(k kind) uint8 {
	for range 4 {
		if n := program.FirstFree + g.r.IntN(96); g.kinds[n] == 0 {
			return g.hold(n, k)
		}
	}
	return g.hold(program.FirstFree+g.r.IntN(96), k)
}

func (g *gen) hold(n int, k kind) uint8 {
	g.kinds[n], g.owner[n], g.partner[n] = k, uint8(g.list), 0
	if g.one(3) {
		g.focus[g.r.IntN(len(g.focus))] = uint8(n)
	}
	return uint8(n)
}

// of is a slot that holds one of k, and whether there is one.
func (g *gen) of(k kind) (v program.Value, ok bool) {
	away := 4 // one time in so many
	if g.left > 0 {
		away = 16
	}
	if !g.one(away) {
		first := g.r.IntN(len(g.focus))
		for i := range g.focus {
			if n := g.focus[(first+i)%len(g.focus)]; g.kinds[n]&k != 0 {
				return slot(int(n)), true
			}
		}
	}
	n := 0
	for i, held := range g.kinds {
		if held&k == 0 || g.owner[i] != 0 && int(g.owner[i]) != g.list && !g.one(5) {
			continue
		}
		if n++; g.one(n) {
			v, ok = slot(i), true
		}
	}
	return v, ok
}

// refocus turns to others.
func (g *gen) refocus() {
	g.focusPage = g.r.Uint64N(g.pick(32, program.ArenaSize/4096))
	for i := 0; i < len(g.focus); i += 2 {
		g.focus[i], g.focus[i+1] = 0, 0
		if v, ok := g.of(descriptor); ok && v.Slot {
			g.focus[i], g.focus[i+1] = uint8(v.Number), g.partner[v.Number]
		}
	}
}

// pair are two ends that belong together.
func (g *gen) pair(a, b kind) (uint8, uint8) {
	n, m := g.into(a), g.into(b)
	g.partner[n], g.partner[m] = m, n
	if g.one(2) {
		g.focus[0], g.focus[1] = n, m
	}
	return n, m
}

// bytes puts data into memory and returns its address. When the place is used up, what was there before is used again.
func (g *gen) bytes(b []byte) uint64 {
	const end = program.Data + program.DataSize/2
	if len(b) == 0 {
		return g.data
	}
	if g.data+uint64(len(b)) > end {
		return program.Data + g.r.Uint64N(uint64(end-program.Data)-uint64(len(b)))&^7
	}
	at := g.data
	g.data += (uint64(len(b)) + 7) &^ 7
	g.p.Data = append(g.p.Data, program.Segment{At: at, Bytes: b})
	return at
}

func (g *gen) text(s string) uint64 { return g.bytes(append([]byte(s), 0)) }

func (g *gen) words(w ...uint64) uint64 {
	var b []byte
	for _, v := range w {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return g.bytes(b)
}
