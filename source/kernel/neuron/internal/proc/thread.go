package proc

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/arch"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/user"
	"nexus/source/kernel/neuron/internal/vm"
	"nexus/source/kernel/neuron/internal/wait"
)

type threadState uint8

const (
	dead threadState = iota
	runnable
	running
	blocked
)

// A Thread is one flow of control. Its registers come first: a trap delivers their address.
type Thread struct {
	arch.Context
	ID      int
	Process *Process
	// Namespace is the socket namespace it is in, or nil; inherited by what it makes (setns(2)).
	Namespace *file.File
	// Done is how far a call that is made again has come, in units of the call's own; Rest what is left of its buffer.
	Done int
	Rest user.Buffer
	// Repeated says that the call in progress was made before, and comes back with its Done and Rest.
	Repeated bool
	again    bool // it is made again without having waited (abi.Again): signals wait until it is done

	state      threadState
	next, prev *Thread // run queue
	waiter     wait.Waiter
	polls      *poll // further queues that it waits on
	futex      futexWait

	deadline  uint64 // ticks
	timed     bool   // deadline counts
	heapPlace int    // place in the timer heap + 1
	onTime    abi.Errno
	direct    bool // the wait is completed by who ends it, with onTime if that is the deadline

	mask, pending SignalSet
	alternate     Stack
	clearID       uint64
	forked        *Process // child of a vfork in progress
	closing       bool     // it goes on when no file waits to be closed
}

var (
	threads    [MaxThreads]Thread
	threadHint int
)

// NewThread returns a thread of p that is blocked until Start; EAGAIN if there are too many.
func NewThread(p *Process, h *arch.Hart) (*Thread, abi.Errno) {
	for n := range threads {
		i := (threadHint + n) % MaxThreads
		t := &threads[i]
		if t.state != dead {
			continue
		}
		threadHint = i + 1
		*t = Thread{Process: p, state: blocked}
		t.Hart = h
		t.ID = p.ID
		if p.threads > 0 {
			t.ID = newID()
		}
		t.waiter.Sink = t
		p.threads++
		return t, abi.OK
	}
	return nil, abi.EAGAIN
}

// Start makes a new thread runnable.
func (t *Thread) Start() { t.ready() }

// Memory is the address space that t's calls name.
func (t *Thread) Memory() user.Memory { return t.Process.Space }

// Files is t's table of descriptors.
func (t *Thread) Files() *file.Table { return &t.Process.Files }

// Clone makes a thread of p that goes on as t does, with 0 as the call's result.
func (t *Thread) Clone(p *Process) (*Thread, abi.Errno) {
	u, err := NewThread(p, t.Hart)
	if err != abi.OK {
		return nil, err
	}
	if t.Hart.Floating == &t.Context {
		arch.SaveFloat(&t.Context)
	}
	u.Context = t.Context
	u.X[arch.PC] += 4
	u.X[arch.A0] = 0
	u.mask = t.mask
	if t.Namespace != nil {
		u.Namespace = t.Namespace.Ref()
	}
	return u, abi.OK
}

// SetClearID asks for the word at va to be zeroed, and its futex woken, when t ends (CLONE_CHILD_CLEARTID).
func (t *Thread) SetClearID(va uint64) { t.clearID = va }

// Forks makes t wait until child executes a program or ends (vfork).
func (t *Thread) Forks(child *Process) abi.Errno {
	child.forker, t.forked = t, child
	t.state, t.direct = blocked, true
	return abi.Blocked
}

// Exit ends the thread alone.
func (t *Thread) Exit(code int32) {
	p := t.Process
	if p.threads == 1 {
		p.Exit(t.Hart, code)
		return
	}
	t.end()
}

// end takes t off everything it is on. Its place is free afterwards.
func (t *Thread) end() {
	t.forget()
	t.unqueue()
	if t.forked != nil {
		t.forked.forker = nil
	}
	if t.clearID != 0 && t.Process.Space != nil && user.StoreUint32(t.Memory(), t.clearID, 0) {
		if key, err := t.Process.Space.Key(t.clearID, false); err == abi.OK {
			Wake(key, 1)
		}
	}
	if t.Namespace != nil {
		t.Namespace.Release()
	}
	if t.Hart.Floating == &t.Context {
		t.Hart.Floating = nil
	}
	if h := hartOf(t.Hart); h.current == t {
		t.Process.charge(arch.ReadTime() - h.started)
		h.current = nil
	}
	t.Process.threads--
	t.state = dead
}

// forget ends whatever t waits for.
func (t *Thread) forget() {
	t.waiter.Remove()
	t.EndPoll()
	t.futex.remove()
	t.untime()
	t.timed, t.direct = false, false
}

// Block puts t to sleep until q is notified of an event in mask, or until the deadline that Expired set. The call is made again
// then.
func (t *Thread) Block(q *wait.Queue, mask abi.Events) abi.Errno {
	t.waiter.Mask = mask
	q.Add(&t.waiter)
	t.state = blocked
	if t.timed {
		t.time()
	}
	return abi.Blocked
}

// MaxPolls bounds the queues that all threads together wait on beyond one each (ENOMEM).
const MaxPolls = 1024

// A poll is a place in one of several queues that a thread waits on at once.
type poll struct {
	waiter wait.Waiter
	next   *poll // of the thread, or free list
}

var (
	polls      [MaxPolls]poll
	freshPolls int // polls[freshPolls:] were never used
	freedPolls *poll
)

// Poll makes t wait for q too when its call blocks. ENOMEM if too many queues are waited on. The call begins with EndPoll
// each time that it is made.
func (t *Thread) Poll(q *wait.Queue, mask abi.Events) abi.Errno {
	p := freedPolls
	switch {
	case p != nil:
		freedPolls = p.next
	case freshPolls < MaxPolls:
		p = &polls[freshPolls]
		freshPolls++
	default:
		return abi.ENOMEM
	}
	p.waiter = wait.Waiter{Sink: t, Mask: mask}
	p.next, t.polls = t.polls, p
	q.Add(&p.waiter)
	return abi.OK
}

// EndPoll leaves the queues that Poll joined.
func (t *Thread) EndPoll() {
	for p := t.polls; p != nil; p = t.polls {
		p.waiter.Remove()
		t.polls = p.next
		p.next, freedPolls = freedPolls, p
	}
}

// Expired sets t's deadline to ns from now the first time that a call asks, and reports whether it has passed. Less than
// zero means none.
func (t *Thread) Expired(ns int64) bool {
	if ns < 0 {
		return false
	}
	now := arch.ReadTime()
	if !t.timed {
		t.timed = true
		t.deadline = now + Ticks(uint64(ns))
	}
	return now >= t.deadline
}

// Sleep completes the call with result at tick deadline.
func (t *Thread) Sleep(deadline uint64, result abi.Errno) abi.Errno {
	t.deadline, t.timed = deadline, true
	t.onTime, t.direct = result, true
	t.state = blocked
	t.time()
	return abi.Blocked
}

// Wake is wait.Sink's: what t waits for has changed.
func (t *Thread) Wake(w *wait.Waiter, ev abi.Events) {
	w.Remove()
	t.untime()
	t.ready()
}

// Finish completes the call that t waits in.
func (t *Thread) Finish(value int64, err abi.Errno) {
	t.forget()
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
	t.timed, t.Done, t.Rest, t.Repeated, t.again = false, 0, user.Buffer{}, false, false
}

// Stays keeps a call that is made again: err is abi.Again if it wants to go on at once, abi.Blocked if t sleeps meanwhile, or is gone,
// or has new registers.
func (t *Thread) Stays(err abi.Errno) {
	switch {
	case err == abi.Again:
		t.Repeated, t.again = true, true
	case t.state == blocked:
		t.Repeated, t.again = true, false
		t.interruptIfPending()
	case t.state == running:
		t.drop()
	}
}

// timeout is what the deadline of a sleeping thread does.
func (t *Thread) timeout() {
	if t.direct {
		t.Finish(0, t.onTime)
		return
	}
	t.waiter.Remove()
	t.ready()
}

// futexWait is a place in the list of those who wait for a word of memory.
type futexWait struct {
	key        vm.Key
	next, prev *futexWait
	thread     *Thread
}

const futexBuckets = 256

// futexes are ring lists; their heads are made on first use.
var futexes [futexBuckets]futexWait

func bucket(key vm.Key) *futexWait {
	b := &futexes[key.Hash(futexBuckets)]
	if b.next == nil {
		b.next, b.prev = b, b
	}
	return b
}

func (f *futexWait) remove() {
	if f.thread == nil {
		return
	}
	f.prev.next, f.next.prev = f.next, f.prev
	f.next, f.prev, f.thread = nil, nil, nil
}

// WaitFutex puts t to sleep until Wake of key, at most until tick deadline if timed.
func (t *Thread) WaitFutex(key vm.Key, timed bool, deadline uint64) abi.Errno {
	b := bucket(key)
	f := &t.futex
	*f = futexWait{key: key, next: b, prev: b.prev, thread: t}
	b.prev.next, b.prev = f, f
	t.state, t.direct, t.onTime = blocked, true, abi.ETIMEDOUT
	if timed {
		t.deadline, t.timed = deadline, true
		t.time()
	}
	return abi.Blocked
}

// Wake wakes up to n threads that wait for key, oldest first, and returns how many.
func Wake(key vm.Key, n int) int {
	b := bucket(key)
	woken := 0
	for f := b.next; f != b && woken < n; {
		next := f.next
		if f.key == key {
			f.thread.Finish(0, abi.OK)
			woken++
		}
		f = next
	}
	return woken
}
