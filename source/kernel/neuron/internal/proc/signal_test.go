package proc

import (
	"slices"
	"testing"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/arch"
	"nexus/source/kernel/neuron/internal/mem"
	"nexus/source/kernel/neuron/internal/user"
)

// fill makes the memory of p's stack something that nobody wrote on purpose.
func fill(p *Process) {
	garbage := slices.Repeat([]byte{0xa5}, 16*mem.PageSize)
	p.Space.Store(heapBase, garbage)
}

// TestDefaultActions: signal(7). Without a handler a signal ends the process, but for those that are ignored, or that stop a process or
// let it go on, which there is nothing like.
func TestDefaultActions(t *testing.T) {
	for n := 1; n <= 64; n++ {
		first, _, h := boot(t)
		p, a := newProcess(t, first, h)
		a.Signal(n)
		for range 3 {
			Schedule(h)
			arch.Host.Time += slice
		}
		lives := slices.Contains([]int{17, 18, 19, 20, 21, 22, 23, 28}, n)
		if p.Alive() != lives || !lives && p.Status() != int32(n) {
			t.Errorf("signal %d: alive %v, status %#x", n, p.Alive(), p.Status())
		}
	}
}

// TestSignalNumbers: asm-generic/signal.h, and bit n-1 of a sigset_t is signal n.
func TestSignalNumbers(t *testing.T) {
	if One(1) != 1 || One(SIGKILL) != 0x100 || One(64) != 1<<63 {
		t.Errorf("%#x, %#x, %#x", One(1), One(SIGKILL), One(64))
	}
	_, a, _ := boot(t)
	if a.SetMask(^SignalSet(0)); a.Mask() != ^SignalSet(1<<8|1<<18) {
		t.Errorf("mask %#x, want all but SIGKILL and SIGSTOP", a.Mask())
	}
}

// TestIgnored: sigaction(2): SIG_IGN counts for all signals but SIGKILL and SIGSTOP.
func TestIgnored(t *testing.T) {
	p, a, _ := boot(t)
	for n := 1; n <= 64; n++ {
		*p.Action(n) = Action{Handler: sigIgnore}
		p.Signal(n)
		a.Signal(n)
		a.SignalSelf(n)
	}
	if want := One(SIGKILL) | One(SIGSTOP); p.pending != want || a.pending != want {
		t.Errorf("pending %#x and %#x, want %#x", p.pending, a.pending, want)
	}
}

// TestSignalToTheDead: nothing comes of it.
func TestSignalToTheDead(t *testing.T) {
	first, _, h := boot(t)
	p, a := newProcess(t, first, h)
	a.Exit(0)
	if p.Signal(15); p.pending != 0 {
		t.Errorf("pending %#x", p.pending)
	}
}

// TestOrderOfSignals: what was sent to the thread comes before what was sent to the process, of these the lower numbers first. The
// handler that is entered last runs first.
func TestOrderOfSignals(t *testing.T) {
	p, a, h := boot(t)
	Schedule(h)
	for n := range 65 {
		if n != 0 {
			*p.Action(n) = Action{Handler: 0x8000 + uint64(n), Flags: flagNoDefer}
		}
	}
	for _, n := range []int{12, 64, 1} {
		p.Signal(n)
		a.Signal(n)
	}
	a.Signal(10)
	if !a.deliver() {
		t.Fatal("did not survive handled signals")
	}
	type delivery struct {
		n    int
		code int32
	}
	var got []delivery
	for a.X[arch.PC] > 0x8000 {
		code, _ := user.LoadUint32(a.Memory(), a.X[arch.A1]+8)
		got = append(got, delivery{int(a.X[arch.PC] - 0x8000), int32(code)})
		a.SignalReturn()
	}
	slices.Reverse(got)
	const fromKill, fromTkill = 0, -6 // SI_USER, SI_TKILL
	want := []delivery{{1, fromTkill}, {10, fromTkill}, {12, fromTkill}, {64, fromTkill}, {1, fromKill}, {12, fromKill}, {64, fromKill}}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestFrameLayout: what a handler finds: struct rt_sigframe of Linux/riscv64, whatever lay there before.
func TestFrameLayout(t *testing.T) {
	p, a, h := boot(t)
	Schedule(h)
	fill(p)
	for i := range a.X {
		if i != arch.SP {
			a.X[i] = 0x1000 + uint64(i)
		}
		a.F[i] = 0x2000 + uint64(i)
	}
	arch.Host.Float = a.F[0]
	a.FCSR = 5
	old := a.X
	a.alternate = Stack{Base: 0x7000, Size: 0x3000}
	a.mask = One(3) | One(64)
	*p.Action(SIGSEGV) = Action{Handler: handlerPC}
	if a.Fault(SIGSEGV, SegvAccErr, 0xdead0); !p.Alive() {
		t.Fatal("the handler is not entered")
	}
	sp, m := a.X[arch.SP], a.Memory()
	if a.X[arch.A1] != sp || a.X[arch.A2] != sp+128 || sp%16 != 0 || old[arch.SP]-sp != 128+960 {
		t.Errorf("sp %#x, %d lower; siginfo at %#x, ucontext at %#x", sp, old[arch.SP]-sp, a.X[arch.A1], a.X[arch.A2])
	}
	uc := sp + 128
	for _, tt := range []struct {
		what     string
		at, want uint64
	}{
		{"si_signo, si_errno", sp, 11},
		{"si_code", sp + 8, 2},
		{"si_addr", sp + 16, 0xdead0},
		{"uc_flags", uc, 0},
		{"uc_link", uc + 8, 0},
		{"ss_sp", uc + 16, 0x7000},
		{"ss_flags", uc + 24, 0},
		{"ss_size", uc + 32, 0x3000},
		{"uc_sigmask", uc + 40, 1<<63 | 1<<2},
		{"pc", uc + 176, 0x1000},
		{"sp", uc + 176 + 2*8, old[arch.SP]},
		{"x31", uc + 176 + 31*8, 0x101f},
		{"f0", uc + 432, 0x2000},
		{"f31", uc + 432 + 31*8, 0x201f},
		{"fcsr", uc + 688, 5},
		{"the header behind the last", uc + 952, 0},
	} {
		if got, ok := user.LoadUint64(m, tt.at); !ok || got != tt.want {
			t.Errorf("%s: %#x, want %#x", tt.what, got, tt.want)
		}
	}
	if reserved, ok := user.LoadUint32(m, uc+948); !ok || reserved != 0 {
		t.Errorf("reserved: %#x, want 0", reserved)
	}
	if above, _ := user.LoadUint64(m, old[arch.SP]); above != 0xa5a5a5a5a5a5a5a5 {
		t.Errorf("the program's stack above the frame: %#x", above)
	}
	// What a handler leaves there is what the thread goes on with.
	user.StoreUint64(m, uc+176, 0x5000)
	user.StoreUint64(m, uc+176+31*8, 31)
	user.StoreUint64(m, uc+432, 32)
	user.StoreUint64(m, uc+432+31*8, 33)
	user.StoreUint64(m, uc+688, 0xffffffff00000fff)
	user.StoreUint64(m, uc+40, 1<<8|1<<4)
	a.SignalReturn()
	if a.X[arch.PC] != 0x5000 || a.X[31] != 31 || a.X[arch.SP] != old[arch.SP] {
		t.Errorf("pc %#x, x31 %#x, sp %#x", a.X[arch.PC], a.X[31], a.X[arch.SP])
	}
	if arch.Host.Float != 32 || a.F[31] != 33 || a.FCSR != 0xff {
		t.Errorf("f0 %d, f31 %d, fcsr %#x, want 32, 33 and the bits that it has, 0xff", arch.Host.Float, a.F[31], a.FCSR)
	}
	if a.mask != One(5) {
		t.Errorf("mask %#x, want that of the frame without SIGKILL", a.mask)
	}
}

// TestFloatOfAnother: a frame has the thread's own floating-point registers, and a thread that returns loads them only while the hart
// holds its.
func TestFloatOfAnother(t *testing.T) {
	p, a, h := boot(t)
	Schedule(h)
	b, _ := NewThread(p, h)
	*p.Action(10) = Action{Handler: handlerPC}
	arch.Host.Float = 7
	h.Load(&b.Context) // saves a's
	arch.Host.Float = 8
	a.pending = One(10)
	a.deliver()
	if got, _ := user.LoadUint64(a.Memory(), a.X[arch.A2]+432); got != 7 {
		t.Errorf("f0 in the frame: %d, want 7", got)
	}
	if a.SignalReturn(); arch.Host.Float != 8 {
		t.Errorf("f0 of another thread is %d, want 8", arch.Host.Float)
	}
	if h.Load(&a.Context); arch.Host.Float != 7 {
		t.Errorf("f0 %d, want 7", arch.Host.Float)
	}
}

// TestFaults: a fault enters its handler. One that is ignored or blocked, or whose handler has no room, ends the process (signal(7)).
func TestFaults(t *testing.T) {
	handler := Action{Handler: handlerPC}
	for name, tt := range map[string]struct {
		action Action
		mask   SignalSet
		sp     uint64
		lives  bool
	}{
		"handler":               {handler, One(10), heapBase + mem.PageSize, true},
		"no handler":            {Action{}, 0, heapBase + mem.PageSize, false},
		"ignored":               {Action{Handler: sigIgnore}, 0, heapBase + mem.PageSize, false},
		"blocked":               {handler, One(SIGSEGV), heapBase + mem.PageSize, false},
		"no room for the frame": {handler, 0, heapBase + 64, false},
	} {
		t.Run(name, func(t *testing.T) {
			first, _, h := boot(t)
			p, a := newProcess(t, first, h)
			h.Load(&a.Context)
			*p.Action(SIGSEGV) = tt.action
			a.mask, a.X[arch.SP] = tt.mask, tt.sp
			var told []uint64
			Console = func(p *Process, why string, address, pc uint64) { told = append(told, address, pc) }
			a.Fault(SIGSEGV, SegvMapErr, 0x1230)
			switch {
			case tt.lives && (!p.Alive() || a.X[arch.PC] != handlerPC || told != nil):
				t.Errorf("alive %v, at %#x, told %#x", p.Alive(), a.X[arch.PC], told)
			case !tt.lives && (p.Alive() || p.Status() != SIGSEGV || !slices.Equal(told, []uint64{0x1230, 0x1000})):
				t.Errorf("alive %v, status %#x, told %#x, want the address and the program counter", p.Alive(), p.Status(), told)
			}
		})
	}
}

// TestHandlerFlags: SA_NODEFER, SA_RESETHAND and the mask of an action.
func TestHandlerFlags(t *testing.T) {
	for _, tt := range []struct {
		action Action
		mask   SignalSet
		stays  bool
	}{
		{Action{Handler: handlerPC}, One(10), true},
		{Action{Handler: handlerPC, Mask: One(12) | One(SIGKILL)}, One(10) | One(12), true},
		{Action{Handler: handlerPC, Flags: flagNoDefer}, 0, true},
		{Action{Handler: handlerPC, Flags: flagNoDefer, Mask: One(12)}, One(12), true},
		{Action{Handler: handlerPC, Flags: flagResetHand}, One(10), false},
	} {
		p, a, h := boot(t)
		Schedule(h)
		*p.Action(10) = tt.action
		a.pending = One(10)
		if !a.deliver() || a.X[arch.PC] != handlerPC || a.mask != tt.mask {
			t.Errorf("%+v: pc %#x, mask %#x, want %#x", tt.action, a.X[arch.PC], a.mask, tt.mask)
		}
		if got := *p.Action(10); (got == tt.action) != tt.stays || !tt.stays && got != (Action{}) {
			t.Errorf("%+v: is %+v afterwards", tt.action, got)
		}
	}
}

// TestBadFrame: a frame that is not there, or has a header that nobody knows, ends the process.
func TestBadFrame(t *testing.T) {
	for name, spoil := range map[string]func(m user.Memory, a *Thread){
		"nowhere":           func(m user.Memory, a *Thread) { a.X[arch.SP] = 8 },
		"mask out of reach": func(m user.Memory, a *Thread) { a.X[arch.SP] = heapBase + 16*mem.PageSize - siginfoSize },
		"registers out of reach": func(m user.Memory, a *Thread) {
			a.X[arch.SP] = heapBase + 16*mem.PageSize - siginfoSize - ucRegisters - 8
		},
		"reserved word": func(m user.Memory, a *Thread) { user.StoreUint32(m, a.X[arch.A2]+948, 1) },
		"header":        func(m user.Memory, a *Thread) { user.StoreUint64(m, a.X[arch.A2]+952, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			first, _, h := boot(t)
			p, a := newProcess(t, first, h)
			h.Load(&a.Context)
			*p.Action(10) = Action{Handler: handlerPC}
			a.pending = One(10)
			a.deliver()
			spoil(a.Memory(), a)
			if a.SignalReturn(); p.Alive() || p.Status() != SIGSEGV {
				t.Errorf("alive %v, status %#x, want killed by SIGSEGV", p.Alive(), p.Status())
			}
		})
	}
}

// TestAlternateStackIsLeft: sigaltstack(2). A thread is on its alternate stack from the byte behind its lowest up to its end; there it has
// no other one, and no handler that does not fit.
func TestAlternateStackIsLeft(t *testing.T) {
	const base, size = heapBase + mem.PageSize, 2 * mem.PageSize
	for sp, on := range map[uint64]bool{base - 1: false, base: false, base + 1: true, base + size: true, base + size + 1: false} {
		_, a, _ := boot(t)
		if err := a.SetAlternate(Stack{Base: base, Size: size}); err != abi.OK {
			t.Fatal(err)
		}
		a.X[arch.SP] = sp
		if a.OnAlternate() != on {
			t.Errorf("sp at %+d of %d bytes: on the stack %v", int64(sp-base), size, !on)
		}
		want := abi.OK
		if on {
			want = abi.EPERM
		}
		if err := a.SetAlternate(Stack{Flags: StackDisable}); err != want {
			t.Errorf("sp at %+d: %v, want %v", int64(sp-base), err, want)
		}
	}
	for _, tt := range []struct {
		room  uint64
		flags uint64
		lives bool
	}{{frameSize, 0, false}, {frameSize + 1, 0, true}, {frameSize, flagOnStack, false}, {frameSize + 1, flagOnStack, true}} {
		first, _, h := boot(t)
		p, a := newProcess(t, first, h)
		h.Load(&a.Context)
		a.SetAlternate(Stack{Base: base, Size: size})
		*p.Action(10) = Action{Handler: handlerPC, Flags: tt.flags}
		a.X[arch.SP] = base + tt.room
		a.pending = One(10)
		if lives := a.deliver(); lives != tt.lives || !lives && p.Status() != SIGSEGV {
			t.Errorf("%d bytes left, flags %#x: entered %v, status %#x", tt.room, tt.flags, lives, p.Status())
		}
	}
}

// TestAlternateStackOfAFrame: rt_sigreturn(2) gives the thread the alternate stack that the frame names, so that a handler's own is not
// the program's.
func TestAlternateStackOfAFrame(t *testing.T) {
	before := Stack{Base: 0x7000, Size: 0x3000}
	for name, tt := range map[string]struct {
		at   func(a *Thread)
		want Stack
	}{
		"none before": {func(a *Thread) {}, Stack{Flags: StackDisable}},
		"another":     {func(a *Thread) { a.SetAlternate(before) }, before},
		"one that is refused": {func(a *Thread) {
			a.SetAlternate(before)
			a.alternate.Size = 100
		}, Stack{Base: 0x9000, Size: 0x2000}},
	} {
		p, a, h := boot(t)
		Schedule(h)
		*p.Action(10) = Action{Handler: handlerPC}
		tt.at(a)
		a.pending = One(10)
		a.deliver()
		if err := a.SetAlternate(Stack{Base: 0x9000, Size: 0x2000}); err != abi.OK {
			t.Fatal(err)
		}
		if a.SignalReturn(); !p.Alive() || a.alternate != tt.want {
			t.Errorf("%s: %+v, want %+v", name, a.alternate, tt.want)
		}
	}
}

// TestSetAlternate: sigaltstack(2)'s errors, and what it stores.
func TestSetAlternate(t *testing.T) {
	_, a, _ := boot(t)
	none := Stack{Flags: StackDisable}
	if a.alternate != none {
		t.Errorf("at first %+v, want %+v", a.alternate, none)
	}
	for _, tt := range []struct {
		s, want Stack
		err     abi.Errno
	}{
		{Stack{Base: 16, Size: 2048}, Stack{Base: 16, Size: 2048}, abi.OK},
		{Stack{Base: 16, Size: 2047}, Stack{Base: 16, Size: 2048}, abi.ENOMEM},
		{Stack{Base: 16, Size: 4096, Flags: 4}, Stack{Base: 16, Size: 2048}, abi.EINVAL},
		{Stack{Base: 16, Size: 4096, Flags: StackDisable | StackOnStack}, Stack{Base: 16, Size: 2048}, abi.EINVAL},
		{Stack{Base: 32, Size: 4096, Flags: StackOnStack}, Stack{Base: 32, Size: 4096}, abi.OK},
		{Stack{Base: 32, Size: 1, Flags: StackDisable}, none, abi.OK},
	} {
		if err := a.SetAlternate(tt.s); err != tt.err || a.alternate != tt.want {
			t.Errorf("%+v: %v, %+v, want %v, %+v", tt.s, err, a.alternate, tt.err, tt.want)
		}
	}
}

// TestSignalOfAProcess: any thread that does not block it takes it, and only one is woken.
func TestSignalOfAProcess(t *testing.T) {
	first, _, h := boot(t)
	p, a := newProcess(t, first, h)
	b, _ := NewThread(p, h)
	c, _ := NewThread(p, h)
	*p.Action(10) = Action{Handler: handlerPC}
	a.unqueue()
	for _, x := range []*Thread{a, b, c} {
		x.Block(nil, 0)
	}
	a.mask = One(10)
	p.Signal(10)
	if a.state != blocked || b.state != runnable || c.state != blocked {
		t.Errorf("states %d, %d, %d, want the second woken", a.state, b.state, c.state)
	}
	if a.Signalled() || !b.Signalled() {
		t.Error("a signal waits for the thread that blocks it, or for none")
	}
	a.Signal(10) // its own, and blocked
	if a.state != blocked {
		t.Error("woken by what it blocks")
	}
	if a.SetMask(0); a.state == dead || !a.Signalled() {
		t.Error("a signal that it blocked is lost")
	}
}

// TestClearedID: set_tid_address(2): at a thread's end the word is zeroed, and one that waits for it there is woken.
func TestClearedID(t *testing.T) {
	for _, at := range []uint64{heapBase, 0, 8} { // there, none, and nowhere
		p, a, h := boot(t)
		Schedule(h)
		b, _ := NewThread(p, h)
		c, _ := NewThread(p, h)
		user.StoreUint32(p.Space, heapBase, 99)
		c.SetClearID(at)
		key, _ := p.Space.Key(heapBase, false)
		a.WaitFutex(key)
		b.WaitFutex(key)
		c.Exit(0)
		v, _ := user.LoadUint32(p.Space, heapBase)
		there := at == heapBase
		if (v == 0) != there || (a.state == runnable) != there || b.state != blocked {
			t.Errorf("at %#x: the word is %d, states %d and %d", at, v, a.state, b.state)
		}
		if there && (result(a) != 0 || a.X[arch.PC] != 0x1004) {
			t.Errorf("the waiter: %d at %#x, want 0", result(a), a.X[arch.PC])
		}
	}
}
