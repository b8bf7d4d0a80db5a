package proc

import (
	"nexus/source/kernel/neuron/internal/arch"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/vm"
)

// BigLock is held by whoever is in the kernel.
var BigLock arch.Lock

// slice is how long a thread runs while others are waiting, in ticks: 10 ms.
var slice uint64 = 100_000

// A Hart is a hart with what the scheduler knows of it. Its arch.Hart comes first: that is what traps and threads point at.
type Hart struct {
	arch.Hart
	current  *Thread
	started  uint64 // tick at which current was charged last
	sliceEnd uint64
	yield    bool
	entered  uint64 // tick at which the trap began, 0 outside one
	stay     Stay
}

var runQueue struct{ first, last *Thread }

// ready puts t at the end of the run queue.
func (t *Thread) ready() {
	if t.state != blocked {
		return
	}
	t.state = runnable
	t.queue()
}

func (t *Thread) queue() {
	t.prev, t.next = runQueue.last, nil
	if runQueue.last != nil {
		runQueue.last.next = t
	} else {
		runQueue.first = t
	}
	runQueue.last = t
}

func (t *Thread) unqueue() {
	if t.state != runnable {
		return
	}
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		runQueue.first = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	} else {
		runQueue.last = t.prev
	}
	t.next, t.prev = nil, nil
}

// Yield lets the others run before t goes on.
func (t *Thread) Yield() { hartOf(t.Hart).yield = true }

// Current is the thread whose registers a trap delivered.
func Current(c *arch.Context) *Thread { return threadOf(c) }

// Devices handles pending device interrupts; set once at boot.
var Devices func()

// Schedule is the end of every trap: it handles what became due, picks who goes on, and returns its registers with its
// address space, floating-point registers and alarm in force.
//
// A trap gives back a piece of the files and spaces that were dropped. Where that is not all, who dropped them goes on with it in its own
// time, and what it called has not ended before.
func Schedule(ah *arch.Hart) *arch.Context {
	h := hartOf(ah)
	now := arch.ReadTime()
	if h.stays(now) {
		h.charge(now)
		return &h.current.Context
	}
	more := false
	if vm.Waiting() || file.Waiting() {
		fell := dropped()
		now = h.preempt()
		more = reap()
		if c := h.current; c != nil {
			c.closing = c.closing || fell
		}
	}
	h.charge(now)
	for {
		expire(now)
		t := h.pick(now)
		switch {
		case more && (t == nil || t.closing):
			now = h.preempt()
			more = reap()
			continue
		case t == nil:
			now = h.idle()
			continue
		}
		t.closing = false
		if t.due() != 0 && !t.deliver() {
			continue // it did not survive its signals
		}
		h.enter(t, now)
		return &t.Context
	}
}

// stays reports whether the current thread goes on, and all that was set for it when it was entered is as it must be: so most traps end.
func (h *Hart) stays(now uint64) bool {
	t := h.current
	return t != nil && t.state == running && t.due() == 0 && !h.yield &&
		h.Alarm == h.next() && now < h.Alarm && !vm.Waiting() && !file.Waiting() &&
		t.Process.Space.Active(&h.Hart) && h.Holds(&t.Context)
}

// dropped reports whether the trap has dropped the last reference to something, reap gives back a piece of what was dropped
// (a space may hold the last references to files) and reports whether there is more.
func dropped() bool {
	space, f := vm.Dropped(), file.Dropped()
	return space || f
}

func reap() (more bool) {
	more = vm.Reap()
	return file.Reap() || more
}

// charge counts what the current thread has run since it was counted last.
func (h *Hart) charge(now uint64) {
	if t := h.current; t != nil {
		t.cpu += now - h.started
		t.Process.cpu += now - h.started
		h.started = now
	}
}

// CPU is the processor time of t and of its process up to now, in ticks.
func (t *Thread) CPU() (own, process uint64) {
	if h := hartOf(t.Hart); h.current == t {
		h.charge(arch.ReadTime())
	}
	return t.cpu, t.Process.cpu
}

// pick takes the thread that goes on: the current one while its slice lasts, else the first of the queue.
func (h *Hart) pick(now uint64) *Thread {
	c := h.current
	if c != nil && c.state == running {
		if runQueue.first == nil || !h.yield && now < h.sliceEnd {
			h.yield = false
			return c
		}
		c.state = runnable
		c.queue()
	}
	h.yield = false
	t := runQueue.first
	h.current = t
	if t == nil {
		return nil
	}
	t.unqueue()
	t.state = running
	h.sliceEnd = now + slice
	return t
}

// preempt is where a long work lets the devices have their turn. It returns the time.
func (h *Hart) preempt() (now uint64) {
	h.leave()
	if arch.Pending()&arch.PendingExternal != 0 {
		Devices()
	}
	h.resume()
	return arch.ReadTime()
}

// idle sleeps until something is due and returns the time. The address space stays: most often its thread is next.
func (h *Hart) idle() (now uint64) {
	h.leave()
	h.alarm()
	for {
		pending := arch.Pending()
		if pending&arch.PendingExternal != 0 {
			Devices()
		}
		if pending&arch.PendingTimer != 0 {
			Rang(&h.Hart)
		}
		now = arch.ReadTime()
		if pending != 0 || due() <= now || runQueue.first != nil {
			h.resume()
			return now
		}
		BigLock.Release()
		arch.WaitForInterrupt()
		BigLock.Acquire()
	}
}

// Rang is a timer interrupt. The alarm is set anew afterwards even if it stays what it is: QEMU (7.2) may raise the interrupt for a time that
// has just been replaced by a later one, and takes it back only when stimecmp is written.
func Rang(ah *arch.Hart) { ah.Alarm = 0 }

// next is when h has something to do: where others want to run, that is the end of the current thread's slice.
func (h *Hart) next() uint64 {
	at := due()
	if runQueue.first != nil {
		at = min(at, h.sliceEnd)
	}
	return at
}

// alarm sets the timer to what is due next.
func (h *Hart) alarm() {
	if at := h.next(); h.Alarm != at {
		h.Alarm = at
		arch.WriteAlarm(at)
	}
}

// enter puts t's address space, floating-point registers and alarm in force.
func (h *Hart) enter(t *Thread, now uint64) {
	t.Process.Space.Activate(&h.Hart)
	h.Load(&t.Context)
	h.started = now
	h.alarm()
}
