package proc

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/arch"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/mem"
	"nexus/source/kernel/neuron/internal/user"
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
	// vectorAt is where Vector lies.
	vectorAt mem.Phys
	ID       int
	Process  *Process
	// Namespace is the socket namespace it is in, or nil; inherited by what it makes (setns(2)).
	Namespace *file.File
	call

	state      threadState
	next, prev *Thread // run queue
	cpu        uint64  // ticks

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
		if t.word.thread != nil || t.waiter.Waiting() || t.places != nil || t.heapPlace != 0 || t.next != nil || t.prev != nil {
			panic("proc: a thread has ended and is on a list")
		}
		*t = Thread{Process: p, state: blocked, alternate: Stack{Flags: StackDisable}}
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
	t.Hart.SyncFloat(&t.Context)
	u.Context = t.Context
	u.Vector = nil // as on Linux, where vector registers do not outlast a call
	u.VStart, u.VL, u.VType, u.VCSR = 0, 0, 0, 0
	u.X[arch.PC] += 4
	u.X[arch.A0] = 0
	u.mask = t.mask
	if t.Namespace != nil {
		u.Namespace = t.Namespace.Ref()
	}
	return u, abi.OK
}

// SetClearID asks for the word at va to be zeroed, and its futex woken, when t ends or executes a program (CLONE_CHILD_CLEARTID).
func (t *Thread) SetClearID(va uint64) { t.clearID = va }

// Forks makes t wait until child executes a program or ends (vfork).
func (t *Thread) Forks(child *Process) abi.Errno {
	child.forker, t.forked = t, child
	return t.sleep(onChild)
}

// Exit ends the thread alone.
func (t *Thread) Exit(code int32) {
	p := t.Process
	if p.threads == 1 {
		p.Exit(t.Hart, code)
		return
	}
	t.end()
	p.retarget()
}

// release tells whoever else has t's address space that t leaves it.
func (t *Thread) release() {
	s := t.Process.Space
	shared := t.Process.threads > 1 || s != nil && s.Borrowed()
	if t.clearID != 0 && s != nil && shared && user.StoreUint32(s, t.clearID, 0) {
		if key, err := s.Key(t.clearID, false); err == abi.OK {
			Wake(key, 1)
		}
	}
	t.clearID = 0
}

// end takes t off everything it is on. Its place is free afterwards.
func (t *Thread) end() {
	t.unqueue()
	t.drop()
	if t.forked != nil {
		t.forked.forker = nil
	}
	t.release()
	if t.Namespace != nil {
		t.Namespace.Release()
	}
	t.ForgetRegisters()
	if h := hartOf(t.Hart); h.current == t {
		h.charge(arch.ReadTime())
		h.current = nil
	}
	t.Process.threads--
	t.state = dead
}
