package generate

import "nexus/tests/fuzzkernel/program"

// unkept are calls that would make what a program's kept operations (program/kept.go) know untrue: they change what handlers do and
// where they run, or wake without being counted.
var unkept = []string{"rt_sigaction", "rt_sigreturn", "sigaltstack", "set_tid_address"}

// keep is a program of kept operations: threads that send, receive and wait at the same few things, while signals come whose handlers do so
// too. In one of three other calls run among them.
func (g *gen) keep() *program.Program {
	mixed := g.one(3)
	g.keeps = true
	g.given()
	if mixed {
		g.without(unkept)
		g.openings()
	}
	g.keptHandlers()
	g.streams = 1 + g.r.Uint64N(3)
	for i := range g.streams {
		g.operation(program.Stream, i, g.pick(0, 0, 1))
	}
	g.sharedWord()
	n := 1 + g.r.IntN(workers)
	for i := range n {
		g.operation(program.Start, uint64(1+i))
	}
	g.emit(program.Op{Code: program.Tick, Slot: program.NoSlot, Args: numbers(20+g.r.Uint64N(100), 20_000+g.r.Uint64N(200_000), program.Restarting, 12)})
	must := uint64(1)
	if mixed {
		must = 0
	}
	g.operation(program.Finish, must)
	for i := range n {
		g.list, g.left = 1+i, 0
		g.p.Rounds[g.list] = int(g.pick(1, 2, 4, 8))
		for range 4 + g.r.IntN(24) {
			if mixed && g.one(2) {
				g.step()
			} else {
				g.keptStep(g.r.Uint64N(keptSteps))
			}
			if g.one(5) { // to who has just been woken, perhaps, and has not run yet
				g.strike()
			}
		}
	}
	g.list = program.Handler
	for range g.r.IntN(5) {
		n := g.r.Uint64N(keptInHandlers)
		if g.one(4) {
			n = keptWait
		}
		g.keptStep(n)
	}
	return g.p
}

// without takes calls out of the program.
func (g *gen) without(names []string) {
	for i := range templates {
		for _, name := range names {
			if templates[i].name == name {
				g.total -= g.weights[i]
				g.weights[i] = 0
			}
		}
	}
}

func (g *gen) operation(code program.Code, args ...uint64) {
	g.emit(program.Op{Code: code, Slot: program.NoSlot, Args: numbers(args...)})
}

// keptHandlers gives signals the program's handler: SA_RESTART for Restarting alone.
func (g *gen) keptHandlers() {
	for _, signal := range []uint64{program.Restarting, 12, 13, 17, 23} {
		flags := 4 | g.some(0x40000000)
		if signal == program.Restarting {
			flags |= 0x10000000
		}
		act := g.words(0, flags, g.pick(0, 0, 1<<9, 1<<11, ^uint64(1<<10|1<<6)))
		g.store(8, act, slot(program.SlotHandler))
		g.call("rt_sigaction", program.NoSlot, number(signal), number(act), number(0), number(8))
	}
}

// sharedWord maps a page of a memfd, for words that belong to no process.
const sharedAt = program.Arena + program.ArenaOpen + 16<<12

func (g *gen) sharedWord() {
	to := g.into(memory)
	g.call("memfd_create", to, number(g.text("w")), number(0))
	g.call("ftruncate", program.NoSlot, slot(int(to)), number(4096))
	g.call("mmap", program.NoSlot, number(sharedAt), number(4096), number(3), number(0x11), slot(int(to)), number(0))
}

// keptWord is one of a few words: of memory that stays, that comes and goes, or that is a file's.
func (g *gen) keptWord() uint64 {
	return g.pick(outputs+outputsSize-24000, g.keptPage(), g.keptPage(), sharedAt) + 4*g.r.Uint64N(4)
}

func (g *gen) keptPage() uint64 { return program.Arena + g.pick(32, 32, 33)<<12 }

func (g *gen) private() uint64 { return g.pick(0, 0x80, 0x80) }

// What keptStep chooses from; handlers only do what comes first.
const (
	keptWait       = 14
	keptInHandlers = 28
	keptSteps      = 40
)

func (g *gen) keptStep(n uint64) {
	i := g.r.Uint64N(g.streams)
	ns := 1 + g.r.Uint64N(g.pick(1000, 100_000, 3_000_000))
	switch {
	case n < 7:
		size := g.pick(1, 1, 2, 100, 4096, 4097, 10_000, 65_535, 65_536, 65_537, 100_000, program.MostBytes)
		g.operation(program.Send, i, size, g.r.Uint64N(program.Ways))
	case n < 14:
		g.operation(program.Receive, i, g.pick(1, 1, 7, 100, 4096, 10_000, 65_536, program.MostBytes), g.r.Uint64N(program.Ways))
	case n < keptWait+5:
		g.operation(program.Await, g.keptWord(), ns, g.private())
	case n < 23:
		g.call("futex", program.NoSlot, number(g.keptWord()), number(g.private()|1), number(g.pick(1, 1, 2, 1<<31-1)))
	case n < 24:
		g.operation(program.Sleep, ns, g.pick(0, 1))
	case n < keptInHandlers:
		ends := g.r.Uint64N(1 << (2 * g.streams))
		if !g.one(3) {
			ends = readEnds & (1<<(2*g.streams) - 1) // for nobody waits to write most of the time
		}
		g.operation(program.Poll, ns, ends, g.pick(0, 0, 1))
	case n < 31:
		j := g.r.Uint64N(g.streams)
		from, to := streamFD(j)+program.KeptEnd, streamFD(i)+program.WriteEnd
		g.call("dup3", program.NoSlot, number(from), number(to), number(g.pick(0, 0x80000)))
	case n < 33:
		g.strike()
	default:
		g.keptMemory(n - 33)
	}
}

// strike sends a thread a signal.
func (g *gen) strike() {
	g.call("tgkill", program.NoSlot, slot(program.SlotProcess), slot(program.SlotThreads+1+g.r.IntN(workers)), number(g.pick(program.Restarting, 12)))
}

const readEnds = 0x5555

func streamFD(i uint64) uint64 { return program.DescriptorStreams + program.PerStream*i }

// keptMemory takes a page away from who waits there, or gives one.
func (g *gen) keptMemory(n uint64) {
	at := number(g.keptPage())
	switch {
	case n < 2:
		g.call("munmap", program.NoSlot, at, number(4096))
	case n < 4:
		g.call("madvise", program.NoSlot, at, number(4096), number(4))
	case n < 6:
		g.call("mmap", program.NoSlot, at, number(4096), number(3), number(0x32), number(^uint64(0)), number(0))
	default:
		g.emit(program.Op{Code: program.Touch, Slot: program.NoSlot, Args: numbers(at.Number, 1, 0)})
	}
}

// interrupt is a program whose thread waits in a call until a signal comes; its handler makes calls about other things. What the call gives
// then is known.
func (g *gen) interrupt() *program.Program {
	const eintr = ^uint64(3)
	const full = 65_536 // a pipe
	g.given()
	g.keptHandlers()
	signal := g.pick(program.Restarting, 12)
	restarted := signal == program.Restarting
	for i := range uint64(3) {
		g.operation(program.Stream, i, 0)
	}
	g.operation(program.Send, 2, 1000+g.r.Uint64N(20_000))
	way, size := g.r.Uint64N(program.Message), g.pick(1, 2, 100, 4096, 60_000)
	word := outputs + outputsSize - 24000 + 4*g.r.Uint64N(4)
	var waits, frees program.Op // how the thread waits, and what ends that
	switch g.r.IntN(7) {
	case 0: // for bytes
		waits = program.Op{Code: program.Receive, Args: numbers(0, program.MostBytes, way, 0, 0, eintr)}
		if restarted {
			waits.Args[5], frees = number(size), program.Op{Code: program.Send, Args: numbers(0, size)}
		}
	case 1: // for room, after a part
		waits = program.Op{Code: program.Send, Args: numbers(0, full+size, way, 0, 0, full)}
	case 2: // for room
		g.operation(program.Send, 0, full)
		waits = program.Op{Code: program.Send, Args: numbers(0, size, way, 0, 0, eintr)}
		if restarted {
			waits.Args[5], frees = number(size), program.Op{Code: program.Receive, Args: numbers(0, full)}
		}
	case 3: // for a wake
		waits = program.Op{Code: program.Await, Args: numbers(word, 0, g.private(), 0, 0, eintr)}
		if restarted {
			waits.Args[5] = number(0)
			g.after(&frees, word, waits.Args[2].Number)
		}
	case 4: // for a wake, for some time
		waits = program.Op{Code: program.Await, Args: numbers(word, 100_000_000, g.private(), 0, 0, eintr)}
	case 5:
		waits = program.Op{Code: program.Sleep, Args: numbers(100_000_000, g.pick(0, 1), 0, 0, 0, eintr)}
	case 6: // for an event
		waits = program.Op{Code: program.Poll, Args: numbers(100_000_000, g.pick(0, 1, 1<<2|1), g.pick(0, 1), 0, 0, eintr)}
	}
	waits.Slot, frees.Slot = program.NoSlot, program.NoSlot
	g.operation(program.Start, 1)
	g.operation(program.Sleep, 1_000_000+g.r.Uint64N(2_000_000))
	g.call("tgkill", program.NoSlot, slot(program.SlotProcess), slot(program.SlotThreads+1), number(signal))
	g.operation(program.Sleep, 8_000_000)
	if frees.Code != program.Call || frees.Number != 0 {
		g.emit(frees)
		g.operation(program.Sleep, 1_000_000)
	}
	g.operation(program.Finish, 1)
	g.list = 1
	g.emit(waits)
	g.list = program.Handler
	for range g.r.IntN(5) {
		g.aside()
	}
	return g.p
}

// after is the wake of a word.
func (g *gen) after(o *program.Op, word, private uint64) {
	*o = program.Op{Code: program.Call, Number: program.Numbers["futex"], Args: numbers(word, private|1, 1)}
}

// aside is what a handler does of interrupt's: it ends within a millisecond.
func (g *gen) aside() {
	ns := 1 + g.r.Uint64N(1_000_000)
	switch g.r.IntN(6) {
	case 0:
		g.operation(program.Send, 1, g.pick(1, 1, 100, 10_000), g.r.Uint64N(program.Message))
	case 1:
		g.operation(program.Receive, 2, g.pick(1, 100), g.r.Uint64N(program.Message))
	case 2, 3:
		g.operation(program.Await, outputs+outputsSize-25000, ns, g.private())
	case 4:
		g.operation(program.Sleep, ns, g.pick(0, 1))
	default:
		g.operation(program.Poll, ns, g.pick(1<<2, 1<<4, 1<<2|1<<5), g.pick(0, 0, 1))
	}
}
