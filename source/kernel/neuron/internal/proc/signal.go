package proc

import (
	"math/bits"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/arch"
	"nexus/source/kernel/neuron/internal/user"
)

// Signals that the kernel itself sends or treats specially (asm-generic/signal.h).
const (
	SIGILL   = 4
	SIGTRAP  = 5
	SIGBUS   = 7
	SIGFPE   = 8
	SIGKILL  = 9
	SIGSEGV  = 11
	SIGPIPE  = 13
	SIGCHLD  = 17
	SIGCONT  = 18
	SIGSTOP  = 19
	SIGTSTP  = 20
	SIGTTIN  = 21
	SIGTTOU  = 22
	SIGURG   = 23
	SIGWINCH = 28

	signals = 64
)

// SignalSet has bit n-1 for signal n.
type SignalSet uint64

// One is the set of signal n.
func One(n int) SignalSet { return 1 << (n - 1) }

const unblockable = SignalSet(1<<(SIGKILL-1) | 1<<(SIGSTOP-1))

// Handlers with a meaning of their own, and flags of an Action.
const (
	sigDefault = 0
	sigIgnore  = 1

	flagOnStack   = 0x08000000
	flagRestart   = 0x10000000
	flagNoDefer   = 0x40000000
	flagResetHand = 0x80000000
)

// An Action is what rt_sigaction says: struct sigaction of riscv64, 24 bytes.
type Action struct {
	Handler, Flags uint64
	Mask           SignalSet
}

// Stack is stack_t: an alternate signal stack.
type Stack struct {
	Base  uint64
	Flags uint64
	Size  uint64
}

// Flags of Stack.
const (
	StackOnStack = 1
	StackDisable = 2
)

// Action is what the process does on signal n, 1 to 64.
func (p *Process) Action(n int) *Action { return &p.actions[n] }

// ignores reports whether signal n does nothing to p.
func (p *Process) ignores(n int) bool {
	switch p.actions[n].Handler {
	case sigIgnore:
		return n != SIGKILL && n != SIGSTOP
	case sigDefault:
		switch n {
		case SIGCHLD, SIGCONT, SIGURG, SIGWINCH, SIGTSTP, SIGTTIN, SIGTTOU, SIGSTOP:
			return true // there is no job control
		}
	}
	return false
}

// Signal sends n to the process: any thread that does not block it takes it.
func (p *Process) Signal(n int) {
	if p.state != alive || p.ignores(n) {
		return
	}
	p.pending |= One(n)
	for i := range threads {
		if t := &threads[i]; t.state != dead && t.Process == p && t.mask&One(n) == 0 && t.phase != onChild {
			t.interrupt()
			return
		}
	}
}

// retarget wakes whoever may take the signals that p itself has: the thread that was to take them has ended or blocks them now.
func (p *Process) retarget() {
	if p.pending == 0 {
		return
	}
	for i := range threads {
		if t := &threads[i]; t.state != dead && t.Process == p && p.pending&^t.mask != 0 {
			t.interrupt()
		}
	}
}

// Signal sends n to the thread.
func (t *Thread) Signal(n int) {
	if t.Process.ignores(n) {
		return
	}
	t.pending |= One(n)
	if t.mask&One(n) == 0 {
		t.interrupt()
	}
}

// SignalSelf is Signal for a call of t's own, which goes on and returns its error (SIGPIPE beside EPIPE).
func (t *Thread) SignalSelf(n int) {
	if !t.Process.ignores(n) {
		t.pending |= One(n)
	}
}

// due is the signals that wait for t and that it does not block.
func (t *Thread) due() SignalSet { return (t.pending | t.Process.pending) &^ t.mask }

// Signalled reports whether a signal is waiting that ends a sleep of t.
func (t *Thread) Signalled() bool { return t.due() != 0 }

// Mask and SetMask are the signals that t blocks.
func (t *Thread) Mask() SignalSet { return t.mask }

func (t *Thread) SetMask(m SignalSet) {
	t.mask = m &^ unblockable
	t.Process.retarget()
}

// Alternate is t's alternate signal stack.
func (t *Thread) Alternate() *Stack { return &t.alternate }

// SetAlternate gives t another one (sigaltstack(2)): EPERM while it is on that which it has.
func (t *Thread) SetAlternate(s Stack) abi.Errno {
	const minimum = 2048 // MINSIGSTKSZ
	switch {
	case t.OnAlternate():
		return abi.EPERM
	case s.Flags == StackDisable:
		s = Stack{Flags: StackDisable}
	case s.Flags != 0 && s.Flags != StackOnStack:
		return abi.EINVAL
	case s.Size < minimum:
		return abi.ENOMEM
	default:
		s.Flags = 0
	}
	t.alternate = s
	return abi.OK
}

// OnAlternate reports whether t's stack pointer is on it.
func (t *Thread) OnAlternate() bool { return t.alternate.holds(t.X[arch.SP]) }

// holds reports whether sp, which grows down, is on s.
func (s *Stack) holds(sp uint64) bool { return sp > s.Base && sp-s.Base <= s.Size }

// deliver makes t take the signals that wait for it, its own before those of the process, and reports whether it can go on. In the middle
// of its work (phase again) it takes only what ends it.
func (t *Thread) deliver() bool {
	p := t.Process
	for {
		due := t.due()
		if t.phase == again {
			due = p.deadly(due)
		}
		if due == 0 {
			return true
		}
		from, code := &t.pending, int32(siTkill)
		if *from&due == 0 {
			from, code = &p.pending, siUser
		}
		n := lowest(*from & due)
		*from &^= One(n)
		if p.ignores(n) {
			continue
		}
		a := &p.actions[n]
		if a.Handler == sigDefault {
			p.Kill(t.Hart, int32(n))
			return false
		}
		t.settle(a)
		if !t.frame(n, code, 0) {
			t.Die(SIGSEGV, "no room for a signal frame, sp", t.X[arch.SP])
			return false
		}
	}
}

// deadly is those of the signals s that end p.
func (p *Process) deadly(s SignalSet) (ends SignalSet) {
	for ; s != 0; s &^= One(lowest(s)) {
		if n := lowest(s); p.actions[n].Handler == sigDefault && !p.ignores(n) {
			ends |= One(n)
		}
	}
	return ends
}

func lowest(s SignalSet) int { return bits.TrailingZeros64(uint64(s)) + 1 }

// Codes of siginfo (asm-generic/siginfo.h).
const (
	siUser  = 0
	siTkill = -6

	SegvMapErr = 1
	SegvAccErr = 2
	BusAdrErr  = 2
	IllIllOpc  = 1
	TrapBrkpt  = 1
	BusAdrAln  = 1
)

// Fault gives t the signal of a fault of its own; if it cannot take it, the process ends.
func (t *Thread) Fault(n int, code int32, addr uint64) {
	t.drop()
	a := &t.Process.actions[n]
	if a.Handler == sigDefault || a.Handler == sigIgnore || t.mask&One(n) != 0 || !t.frame(n, code, addr) {
		t.Die(n, "fault at", addr)
	}
}

// Die ends t's process by signal n and says so on the console.
func (t *Thread) Die(n int, text string, addr uint64) {
	Console(t.Process, text, addr, t.X[arch.PC])
	t.Process.Kill(t.Hart, int32(n))
}

// The signal frame: siginfo, then ucontext (kernel-facts; asm/ucontext.h, asm/sigcontext.h of riscv).
const (
	siginfoSize  = 128
	ucStack      = 16
	ucMask       = 40
	ucRegisters  = 176 // pc, x1 … x31
	ucFloat      = 432 // f0 … f31
	ucFCSR       = 688
	ucontextSize = 960
	frameSize    = siginfoSize + ucontextSize // and the vector registers, if t uses them
)

// frame makes t enter its handler of signal n.
func (t *Thread) frame(n int, code int32, addr uint64) bool {
	a := &t.Process.actions[n]
	sp, size, within := t.X[arch.SP], frameSize+t.vectorSize(), t.OnAlternate()
	if a.Flags&flagOnStack != 0 && t.alternate.Size != 0 && !within {
		sp = t.alternate.Base + t.alternate.Size
	}
	if within && !t.alternate.holds(sp-size) {
		return false
	}
	sp = (sp - size) &^ 15
	t.Hart.SyncFloat(&t.Context)
	m := t.Memory()
	var head [siginfoSize + ucRegisters]byte
	user.PutUint32(head[0:], uint32(n))
	user.PutUint32(head[8:], uint32(code))
	user.PutUint64(head[16:], addr)
	uc := head[siginfoSize:]
	user.PutUint64(uc[ucStack:], t.alternate.Base)
	user.PutUint64(uc[ucStack+8:], t.alternate.Flags)
	user.PutUint64(uc[ucStack+16:], t.alternate.Size)
	user.PutUint64(uc[ucMask:], uint64(t.mask))
	ok := user.Store(m, sp, head[:]) == len(head) &&
		storeWords(m, sp+siginfoSize+ucRegisters, t.X[:]) &&
		storeWords(m, sp+siginfoSize+ucFloat, t.F[:]) &&
		user.StoreUint64(m, sp+siginfoSize+ucFCSR, t.FCSR) && user.StoreUint32(m, sp+siginfoSize+ucReserved, 0) &&
		t.saveVector(m, sp+siginfoSize)
	if !ok {
		return false
	}
	t.X[arch.RA] = t.Process.SignalReturn
	t.X[arch.SP] = sp
	t.X[arch.A0] = uint64(n)
	t.X[arch.A1] = sp
	t.X[arch.A2] = sp + siginfoSize
	t.X[arch.PC] = a.Handler
	t.mask |= a.Mask &^ unblockable
	if a.Flags&flagNoDefer == 0 {
		t.mask |= One(n)
	}
	if a.Flags&flagResetHand != 0 {
		*a = Action{}
	}
	return true
}

// SignalReturn puts back what frame saved (rt_sigreturn). A frame that is not there ends the process.
func (t *Thread) SignalReturn() {
	m := t.Memory()
	uc := t.X[arch.SP] + siginfoSize
	mask, ok := user.LoadUint64(m, uc+ucMask)
	fcsr, ok2 := user.LoadUint64(m, uc+ucFCSR)
	var x [32]uint64
	var stack [3]uint64
	if !ok || !ok2 || !loadWords(m, uc+ucStack, stack[:]) || !loadWords(m, uc+ucRegisters, x[:]) || !loadWords(m, uc+ucFloat, t.F[:]) ||
		!t.loadVector(m, uc) {
		t.Die(SIGSEGV, "bad signal frame, sp", t.X[arch.SP])
		return
	}
	t.X = x
	t.FCSR = fcsr & 0xff
	if t.Hart.Floating == &t.Context {
		arch.LoadFloat(&t.Context)
	}
	t.SetAlternate(Stack{Base: stack[0], Flags: uint64(uint32(stack[1])), Size: stack[2]}) // else it stays, as on Linux
	t.SetMask(SignalSet(mask))
}

func storeWords(m user.Memory, va uint64, w []uint64) bool {
	var b [256]byte
	for i, v := range w {
		user.PutUint64(b[8*i:], v)
	}
	return user.Store(m, va, b[:8*len(w)]) == 8*len(w)
}

func loadWords(m user.Memory, va uint64, w []uint64) bool {
	var b [256]byte
	if user.Load(m, b[:8*len(w)], va) != 8*len(w) {
		return false
	}
	for i := range w {
		w[i] = user.Uint64(b[8*i:])
	}
	return true
}
