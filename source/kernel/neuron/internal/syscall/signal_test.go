package syscall

import (
	"encoding/binary"
	"testing"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/arch"
	"nexus/source/kernel/neuron/internal/proc"
)

const (
	nrKill, nrTkill, nrTgkill                     = 129, 130, 131
	nrSigaltstack, nrRtSigaction, nrRtSigprocmask = 132, 134, 135
	sigkill, sigstop                              = proc.SIGKILL, proc.SIGSTOP
)

// words stores 64-bit words.
func (p *caller) words(w ...uint64) uint64 {
	var b []byte
	for _, v := range w {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return p.put(b...)
}

// TestSigaction: sigaction(2): what was before is told, and SIGKILL and SIGSTOP have no other action.
func TestSigaction(t *testing.T) {
	p := start(t)
	old := p.words(1, 1, 1)
	action := p.words(0x4000, noDefer, 1<<4)
	for _, n := range []uint64{1, 64} {
		p.must(nrRtSigaction, n, action, old, 8)
		if p.long(old) != 0 || p.long(old+8) != 0 || p.long(old+16) != 0 {
			t.Errorf("signal %d had the action %#x", n, p.long(old))
		}
		p.must(nrRtSigaction, n, 0, old, 8)
		if p.long(old) != 0x4000 || p.long(old+8) != noDefer || p.long(old+16) != 1<<4 {
			t.Errorf("signal %d: handler %#x, flags %#x, mask %#x", n, p.long(old), p.long(old+8), p.long(old+16))
		}
		p.must(nrRtSigaction, n, p.words(0, 0, 0), 0, 8)
		if *p.thread.Process.Action(int(n)) != (proc.Action{}) {
			t.Errorf("signal %d has its action still", n)
		}
	}
	for _, n := range []uint64{sigkill, sigstop} {
		p.want(abi.EINVAL, "an action for what has none", nrRtSigaction, n, action, 0, 8)
		p.must(nrRtSigaction, n, 0, old, 8)
	}
	p.want(abi.EINVAL, "signal 0", nrRtSigaction, 0, action, 0, 8)
	p.want(abi.EINVAL, "signal -1", nrRtSigaction, 1<<64-1, action, 0, 8)
	p.want(abi.EINVAL, "signal 65", nrRtSigaction, 65, action, 0, 8)
	p.want(abi.EINVAL, "a set of another size", nrRtSigaction, 10, action, 0, 16)
	p.want(abi.EFAULT, "an action nowhere", nrRtSigaction, 10, nowhere, 0, 8)
	p.want(abi.EFAULT, "an old action nowhere", nrRtSigaction, 10, 0, nowhere, 8)
}

// TestSigprocmask: sigprocmask(2).
func TestSigprocmask(t *testing.T) {
	const block, unblock, set = 0, 1, 2
	p := start(t)
	old := p.room(8)
	before := uint64(0)
	for _, tt := range []struct{ how, set, want uint64 }{
		{set, 0x30, 0x30}, {block, 0x41, 0x71}, {unblock, 0x21, 0x50}, {unblock, 0xffff00, 0x50}, {set, 0x8, 0x8}, {block, 0, 0x8},
		{block, 1<<(sigkill-1) | 1<<(sigstop-1) | 1, 0x9}, {set, ^uint64(0), ^uint64(1<<(sigkill-1) | 1<<(sigstop-1))}, {set, 0, 0},
	} {
		p.must(nrRtSigprocmask, tt.how, p.words(tt.set), old, 8)
		if got := uint64(p.thread.Mask()); got != tt.want || p.long(old) != before {
			t.Errorf("how %d, %#x: mask %#x, was %#x, want %#x, %#x", tt.how, tt.set, got, p.long(old), tt.want, before)
		}
		before = tt.want
	}
	p.thread.SetMask(0x10)
	p.must(nrRtSigprocmask, 99, 0, old, 8) // how means nothing without a set
	if p.long(old) != 0x10 || p.thread.Mask() != 0x10 {
		t.Errorf("asked: %#x, mask %#x, want 0x10", p.long(old), p.thread.Mask())
	}
	p.want(abi.EINVAL, "another how", nrRtSigprocmask, 3, p.words(1), 0, 8)
	p.want(abi.EINVAL, "a set of another size", nrRtSigprocmask, set, p.words(1), 0, 4)
	p.want(abi.EFAULT, "a set nowhere", nrRtSigprocmask, set, nowhere, 0, 8)
	p.want(abi.EFAULT, "an old set nowhere", nrRtSigprocmask, set, 0, nowhere, 8)
	if p.thread.Mask() != 0x10 {
		t.Errorf("mask %#x after what was refused, want 0x10", p.thread.Mask())
	}
}

// TestSigaltstack: sigaltstack(2): SS_DISABLE without one, SS_ONSTACK while the thread is on it.
func TestSigaltstack(t *testing.T) {
	p := start(t)
	old := p.room(24)
	tell := func(what string, stack, flags, size uint64) {
		t.Helper()
		p.must(nrSigaltstack, 0, old)
		if p.long(old) != stack || p.long(old+8) != flags || p.long(old+16) != size {
			t.Errorf("%s: %#x, flags %d, %d bytes, want %#x, %d, %d", what, p.long(old), p.long(old+8), p.long(old+16), stack, flags, size)
		}
	}
	tell("at first", 0, proc.StackDisable, 0)
	p.must(nrSigaltstack, p.words(base, 0, 8192), 0)
	tell("with one", base, 0, 8192)
	p.must(nrSigaltstack, p.words(base, 0xabcd<<32, 4096), old) // flags are an int
	if p.long(old+16) != 8192 {
		t.Errorf("the old one has %d bytes, want 8192", p.long(old+16))
	}
	p.want(abi.ENOMEM, "a small one", nrSigaltstack, p.words(base, 0, 2047), 0)
	p.want(abi.EINVAL, "unknown flags", nrSigaltstack, p.words(base, 8, 8192), 0)
	p.want(abi.EFAULT, "one nowhere", nrSigaltstack, nowhere, 0)
	p.want(abi.EFAULT, "an old one nowhere", nrSigaltstack, 0, nowhere)
	sp := p.thread.X[arch.SP]
	p.thread.X[arch.SP] = base + 4096
	tell("on it", base, proc.StackOnStack, 4096)
	p.want(abi.EPERM, "another while on it", nrSigaltstack, p.words(base, 0, 8192), 0)
	p.thread.X[arch.SP] = sp
	p.must(nrSigaltstack, p.words(base, proc.StackDisable, 8192), 0)
	tell("without", 0, proc.StackDisable, 0)
}

// child makes a process of p with a thread that makes its calls when the test says so. It is gone at the end of the test.
func (p *caller) child() *caller {
	p.t.Helper()
	c, err := proc.NewProcess(p.thread.Process)
	if err != abi.OK {
		p.t.Fatal(err)
	}
	u, err := p.thread.Clone(c)
	if err != abi.OK {
		p.t.Fatal(err)
	}
	c.Space = p.thread.Process.Space.Ref()
	id := c.ID
	p.t.Cleanup(func() {
		if proc.Find(id) != c {
			return
		}
		if c.Alive() {
			c.Kill(p.hart, sigkill)
		}
		c.Reap()
	})
	return &caller{p.t, p.hart, u, p.free}
}

// TestKill: kill(2), to itself and to what descends from it.
func TestKill(t *testing.T) {
	p := start(t)
	c := p.child()
	self, other := uint64(p.thread.Process.ID), uint64(c.thread.Process.ID)
	*p.thread.Process.Action(signalNumber) = proc.Action{Handler: handlerPC}
	p.want(abi.EINVAL, "signal 65", nrKill, self, 65)
	p.want(abi.EINVAL, "signal -1", nrKill, self, 1<<64-1)
	p.want(abi.ESRCH, "nobody", nrKill, 999, signalNumber)
	p.want(abi.EPERM, "a group", nrKill, 0, signalNumber)
	p.want(abi.EPERM, "everybody", nrKill, 1<<64-1, signalNumber)
	c.want(abi.EPERM, "its parent", nrKill, self, signalNumber)
	c.want(abi.EPERM, "its parent, only to ask", nrKill, self, 0)
	for _, n := range []uint64{0, 64} {
		p.thread.SetMask(1 << 63)
		p.must(nrKill, self, n)
		p.must(nrKill, other, n)
	}
	if !p.thread.Process.Alive() || p.thread.Signalled() {
		t.Error("a signal of number 0, or one that is blocked, does something")
	}
	p.must(nrKill, self, signalNumber)
	if !p.thread.Signalled() {
		t.Error("no signal has come")
	}
	proc.Schedule(p.hart)
	if p.thread.X[arch.PC] != handlerPC {
		t.Errorf("at %#x, want the handler", p.thread.X[arch.PC])
	}
	p.must(nrKill, other, sigkill)
	if c.thread.Process.Alive() || c.thread.Process.Status() != sigkill {
		t.Errorf("alive %v, status %d, want killed", c.thread.Process.Alive(), c.thread.Process.Status())
	}
	p.must(nrKill, other, sigkill) // it is there until somebody has waited for it
	p.must(nrKill, other, 64)
	c.thread.Process.Reap()
	p.want(abi.ESRCH, "one that is gone", nrKill, other, sigkill)
	if _, _, blocked := p.call(nrKill, self, sigkill); !blocked || p.thread.Process.Alive() {
		t.Error("goes on after its own death")
	}
}

// TestTgkill: tkill(2), tgkill(2): to threads of the same process.
func TestTgkill(t *testing.T) {
	p := start(t)
	c, o := p.child(), p.second()
	self, tid := uint64(p.thread.Process.ID), uint64(o.thread.ID)
	*p.thread.Process.Action(signalNumber) = proc.Action{Handler: handlerPC}
	p.want(abi.EINVAL, "no process", nrTgkill, 0, tid, signalNumber)
	p.want(abi.EINVAL, "process -1", nrTgkill, 1<<64-1, tid, signalNumber)
	p.want(abi.ESRCH, "the thread of another process", nrTgkill, self, uint64(c.thread.ID), signalNumber)
	p.want(abi.ESRCH, "another process", nrTgkill, uint64(c.thread.Process.ID), uint64(c.thread.ID), signalNumber)
	for _, tt := range []struct {
		id, n uint64
		want  abi.Errno
	}{{0, 10, abi.EINVAL}, {1<<64 - 1, 10, abi.EINVAL}, {tid, 65, abi.EINVAL}, {tid, 1<<64 - 1, abi.EINVAL}, {999, 10, abi.ESRCH},
		{999, 0, abi.ESRCH}} {
		p.want(tt.want, "tkill", nrTkill, tt.id, tt.n)
		p.want(tt.want, "tgkill", nrTgkill, self, tt.id, tt.n)
	}
	p.must(nrTkill, tid, 0)
	p.must(nrTgkill, self, tid, 0)
	p.must(nrTkill, uint64(p.thread.ID), 0)
	if o.thread.Signalled() || p.thread.Signalled() {
		t.Error("signal 0 is one")
	}
	p.must(nrTkill, tid, signalNumber)
	if !o.thread.Signalled() || p.thread.Signalled() {
		t.Error("not that thread has the signal")
	}
	p.must(nrTgkill, self, uint64(p.thread.ID), signalNumber)
	if !p.thread.Signalled() {
		t.Error("no signal of its own")
	}
	proc.Schedule(p.hart)
	p.leaveHandler()
	p.thread.SetMask(1 << 63)
	p.must(nrTkill, uint64(p.thread.ID), 64)
	p.thread.SetMask(0)
	if !p.thread.Signalled() {
		t.Error("signal 64 is lost")
	}
	p.thread.SetMask(1 << 63)
	if _, _, blocked := p.call(nrTkill, tid, sigkill); !blocked || p.thread.Process.Alive() {
		t.Error("SIGKILL to a thread does not end the process")
	}
}
