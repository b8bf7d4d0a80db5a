package proc

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/arch"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/user"
	"nexus/source/kernel/neuron/internal/wait"
)

// A phase is where a thread stands with the system call that it is in the middle of.
//
//	      ECALL              done
//	none ───────► (handler) ──────► none
//	               ▲  │  │
//	               │  │  │ Block, Poll, WaitFutex, Sleep, Forks
//	               │  │  └─────────► onQueues   onWord     onTime      onChild
//	     made      │  │ Again          │  │      │ │ woken  │ │ deadline  │ child executed or ended
//	     again     │  ▼    event,      │  │      │ └──────►─│─┴──► none ◄─┘
//	               ├─ again ◄──────────┘  │      │          │
//	               │   ▲      deadline    │      │          │
//	               │   └──────────────────│──────┤          │
//	               │                      │      │          │
//	   no handler  │               signal ▼      ▼          ▼
//	   has run     └────────────────── interrupted ───────────► none: count, EINTR or restart, and the handler runs
//
// All registrations (queues, word, time) end in the moment in which one of them, a signal or the thread's end makes it leave the phases
// in which it sleeps. What lasts until the call is done, or settled by a handler, is its progress, its deadline and its file.
type phase uint8

const (
	none        phase = iota // also while the handler runs
	again                    // runnable: made again, and signals wait until it sleeps or is done
	interrupted              // runnable: a signal came while it slept, or was there before it could
	onQueues                 // asleep until an object tells of an event, or the deadline; with no queue only that
	onWord                   // asleep until a wake of the futex, which completes it, or the deadline
	onTime                   // asleep until the deadline, which completes it
	onChild                  // asleep until the child of a vfork lets go of the address space
)

// Restart says what becomes of a call that sleeps when a signal's handler has to run, and that has done nothing yet.
type Restart uint8

const (
	// Always: it is made again after the handler.
	Always Restart = iota
	// Asked: it is made again if the action has SA_RESTART, else it ends with EINTR.
	Asked
	// Untimed: as Asked, but a call with a deadline ends with EINTR.
	Untimed
	// Never: it ends with EINTR.
	Never
)

// A call is the system call that a thread is in the middle of.
//
// Invariant: outside its handler, a call in phase none holds nothing.
type call struct {
	// Done is how far it has come, in units of its own; a call that waits counts in what it returns.
	Done int
	// Rest is what is left of its buffer.
	Rest user.Buffer
	// Repeated says that it was made before, and comes back with its Done and Rest.
	Repeated bool

	// kept says that there is more to it than its Done, its Rest and a file without a reference.
	kept      bool
	phase     phase
	restart   Restart
	pc        uint64 // the registers that name it
	number    uint64
	arguments [6]uint64
	file      *file.File
	held      bool // file is referenced
	moving    bool // the position of file is the call's
	beside    [Beside]*file.File
	besides   int

	waiter wait.Waiter // on the one queue of a Block
	places *place      // on those of Poll
	word   futexWait

	deadline  uint64 // ticks
	timed     bool   // deadline counts
	heapPlace int    // place in the timer heap + 1

	remain uint64 // where the time that it has not slept is told if a signal ends it; 0 for nowhere

	masked  bool      // the thread's signal mask is the call's,
	saved   SignalSet // and this what it was before
	staging bool      // the strings of a new program are being taken for it
}

// Begin is the begin of a system call. One that is made again goes on with what it has. If the registers do not name it any more (a
// program has changed the code under it) it is forgotten.
func (t *Thread) Begin() {
	switch {
	case t.phase == none:
	case !t.named():
		t.drop()
	default:
		t.phase = none
	}
}

// name keeps the registers that name a call, and named reports whether they still do.
func (t *Thread) name() {
	x := &t.X
	t.pc, t.number, t.arguments = x[arch.PC], x[arch.A7], [6]uint64(x[arch.A0:])
}

func (t *Thread) named() bool {
	x, a := &t.X, &t.arguments
	return t.pc == x[arch.PC] && t.number == x[arch.A7] && a[0] == x[arch.A0] && a[1] == x[arch.A1] && a[2] == x[arch.A2] &&
		a[3] == x[arch.A3] && a[4] == x[arch.A4] && a[5] == x[arch.A5]
}

// File is the file that t's call is about: the one behind descriptor fd when the call was made first, and referenced if it lasts.
func (t *Thread) File(fd int) (*file.File, abi.Errno) {
	if t.file != nil {
		return t.file, abi.OK
	}
	f, err := t.Files().Get(fd)
	t.file = f
	return f, err
}

// Moves makes the position of the call's file the call's own until it is done, if it has one; false while it is another's, which then has
// its turn.
func (t *Thread) Moves() bool {
	if t.moving || !t.file.Seekable() {
		return true
	}
	if t.file.Moving {
		t.Yield()
		return false
	}
	t.kept, t.moving, t.file.Moving = true, true, true
	return true
}

// stager is the thread whose call takes the strings of a new program, as long as it is staging.
var stager *Thread

// Stages makes t's call the one that takes the strings of a new program, until it is done, and reports whether it has just become it.
// ok is false while it is another's, which then has its turn.
func (t *Thread) Stages() (begins, ok bool) {
	switch {
	case t.staging:
		return false, true
	case stager != nil && stager.staging:
		t.Yield()
		return false, false
	}
	stager, t.staging, t.kept = t, true, true
	return true, true
}

// Beside is how many files beside its own a call can hold: those of a message.
const Beside = 16

// Keep takes over the references of the first n of further files until the call is made again, and Kept gives them back then.
func (t *Thread) Keep(files *[Beside]*file.File, n int) { t.beside, t.besides = *files, n }

func (t *Thread) Kept(files *[Beside]*file.File) (n int) {
	*files = t.beside
	n, t.besides = t.besides, 0
	return n
}

// Masked gives t another signal mask until the call is done or a handler runs.
func (t *Thread) Masked(m SignalSet) {
	if !t.masked {
		t.kept, t.saved, t.masked = true, t.mask, true
		t.SetMask(m)
	}
}

// Stays keeps a call that is not done: err is abi.Again if it wants to go on at once, abi.Blocked if t sleeps meanwhile, or is gone,
// or has new registers.
func (t *Thread) Stays(err abi.Errno, r Restart) {
	switch {
	case t.state == dead:
		return
	case err == abi.Again:
		t.phase = again
	case t.phase == none: // new registers
		t.drop()
		return
	}
	t.name()
	t.kept, t.restart, t.Repeated = true, r, true
	if t.file != nil && !t.held {
		t.file.Ref()
		t.held = true
	}
	if t.due() != 0 {
		t.interrupt()
	}
}

// Block puts t to sleep until q, which may be nil, is notified of an event in mask, or until the deadline that Expired set. The call is
// made again then.
func (t *Thread) Block(q *wait.Queue, mask abi.Events) abi.Errno {
	if q != nil {
		t.waiter.Mask = mask
		q.Add(&t.waiter)
	}
	return t.sleep(onQueues)
}

func (t *Thread) sleep(on phase) abi.Errno {
	if t.asleep() {
		panic("proc: a thread that sleeps goes to sleep")
	}
	t.kept, t.phase, t.state = true, on, blocked
	if t.timed {
		t.time()
	}
	return abi.Blocked
}

// Sleep puts t to sleep until the deadline that Expired set. The call has ended then, with 0. What a signal leaves of the time is told at
// remain, which may be 0.
func (t *Thread) Sleep(remain uint64) abi.Errno {
	t.remain = remain
	return t.sleep(onTime)
}

// asleep reports whether t is registered somewhere for its call to go on.
func (t *Thread) asleep() bool { return t.phase >= onQueues }

// MaxPolls bounds the queues that all threads together wait on beyond one each (ENOMEM).
const MaxPolls = 1024

// A place is one in the queue of one of several files that a thread waits for at once. It has a reference to its file.
type place struct {
	waiter wait.Waiter
	file   *file.File
	next   *place // of the thread, or free list
}

var (
	places      [MaxPolls]place
	freshPlaces int // places[freshPlaces:] were never used
	freedPlaces *place
)

// Poll makes t wait for f too when its call blocks. ENOMEM if too many queues are waited on.
func (t *Thread) Poll(f *file.File, mask abi.Events) abi.Errno {
	q := f.Object.Queue()
	if q == nil {
		return abi.OK
	}
	p := freedPlaces
	switch {
	case p != nil:
		freedPlaces = p.next
	case freshPlaces < MaxPolls:
		p = &places[freshPlaces]
		freshPlaces++
	default:
		return abi.ENOMEM
	}
	p.waiter = wait.Waiter{Sink: t, Mask: file.Awaited(mask)}
	p.file = f.Ref()
	p.next, t.places, t.kept = t.places, p, true
	q.Add(&p.waiter)
	return abi.OK
}

// unregister ends whatever t waits for.
func (t *Thread) unregister() {
	t.waiter.Remove()
	for p := t.places; p != nil; p = t.places {
		p.waiter.Remove()
		p.file.Release()
		t.places = p.next
		p.file, p.next, freedPlaces = nil, freedPlaces, p
	}
	t.word.remove()
	t.untime()
}

// Expired sets t's deadline to ns from now the first time that a call asks, and reports whether it has passed. Less than
// zero means none.
func (t *Thread) Expired(ns int64) bool {
	if !t.timed && ns < 0 {
		return false
	}
	now := arch.ReadTime()
	if !t.timed {
		t.kept, t.timed = true, true
		t.deadline = now + Ticks(uint64(ns))
	}
	return now >= t.deadline
}

// wake ends t's sleep; its call goes on as phase to says.
func (t *Thread) wake(to phase) {
	t.unregister()
	t.phase = to
	t.ready()
}

// Wake is wait.Sink's: what t waits for has changed.
func (t *Thread) Wake(*wait.Waiter, abi.Events) {
	if t.phase != onQueues {
		panic("proc: an event reaches a thread that does not wait for it")
	}
	t.wake(again)
}

// interrupt ends t's sleep for a signal. A vfork's child has the memory that a handler would use.
func (t *Thread) interrupt() {
	if t.asleep() && t.phase != onChild {
		t.wake(interrupted)
	}
}

// settle makes what it should of the call that a signal with this action interrupts: its handler runs next.
func (t *Thread) settle(a *Action) {
	if t.phase != interrupted {
		return
	}
	asked := a.Flags&flagRestart != 0
	switch {
	case t.Done > 0: // part of the work is done, which is what the call returns
		t.Return(int64(t.Done), abi.OK)
	case t.restart == Always, t.restart == Asked && asked, t.restart == Untimed && asked && !t.timed:
		t.drop() // the program counter is still on the ECALL
	case !t.tellRemaining():
		t.Return(0, abi.EFAULT)
	default:
		t.Return(0, abi.EINTR)
	}
}

// tellRemaining stores the time up to the deadline at remain.
func (t *Thread) tellRemaining() bool {
	if t.remain == 0 {
		return true
	}
	const second = 1_000_000_000
	now := arch.ReadTime()
	ns := Nanoseconds(max(t.deadline, now) - now)
	m := t.Memory()
	return user.StoreUint64(m, t.remain, ns/second) && user.StoreUint64(m, t.remain+8, ns%second)
}

// Finish completes the call that t sleeps in.
func (t *Thread) Finish(value int64, err abi.Errno) {
	t.Return(value, err)
	t.ready()
}

// Return sets the result of t's call and moves on to the next instruction.
func (t *Thread) Return(value int64, err abi.Errno) {
	if err != abi.OK {
		value = -int64(err)
	}
	t.X[arch.A0] = uint64(value)
	t.X[arch.PC] += 4
	t.drop()
}

// drop forgets the call that t was making.
func (t *Thread) drop() {
	if t.kept {
		t.giveBack()
	}
	t.file, t.Done = nil, 0
}

// giveBack gives back what the call held.
func (t *Thread) giveBack() {
	t.unregister()
	if t.file != nil {
		if t.moving {
			t.file.Moving = false
		}
		if t.held {
			t.file.Release()
		}
		t.held, t.moving = false, false
	}
	for _, f := range t.beside[:t.besides] {
		f.Release()
	}
	t.besides = 0
	t.kept, t.phase, t.remain, t.Repeated, t.staging, t.timed = false, none, 0, false, false, false
	if t.masked {
		t.masked = false
		t.SetMask(t.saved)
	}
}
