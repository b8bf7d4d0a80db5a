package proc

import (
	"nexus/source/kernel/neuron/internal/arch"
)

// BigLock is held by whoever is in the kernel.
var BigLock arch.Lock

// slice is how long a thread runs while others are waiting, in ticks: 10 ms.
var slice uint64 = 100_000

// per is what the scheduler knows of a hart. One hart for now; a second one has its own.
type per struct {
	current  *Thread
	started  uint64 // tick at which current was charged last
	sliceEnd uint64
	yield    bool
}

var hart per

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
func (t *Thread) Yield() { hart.yield = true }

// Current is the thread whose registers a trap delivered.
func Current(c *arch.Context) *Thread { return threadOf(c) }

// Devices handles pending device interrupts; set once at boot.
var Devices func()

// Schedule is the end of every trap: it handles what became due, picks who goes on, and returns its registers with its
// address space, floating-point registers and alarm in force.
func Schedule(h *arch.Hart) *arch.Context {
	now := arch.ReadTime()
	if c := hart.current; c != nil {
		c.Process.charge(now - hart.started)
	}
	for {
		expire(now)
		t := pick(now)
		if t == nil {
			now = idle(h)
			continue
		}
		if !t.deliver() {
			continue // it did not survive its signals
		}
		enter(h, t, now)
		return &t.Context
	}
}

func (p *Process) charge(ticks uint64) { p.cpu += ticks }

// pick takes the thread that goes on: the current one while its slice lasts, else the first of the queue.
func pick(now uint64) *Thread {
	c := hart.current
	if c != nil && c.state == running {
		if runQueue.first == nil || !hart.yield && now < hart.sliceEnd {
			hart.yield = false
			return c
		}
		c.state = runnable
		c.queue()
	}
	hart.yield = false
	t := runQueue.first
	hart.current = t
	if t == nil {
		return nil
	}
	t.unqueue()
	t.state = running
	hart.sliceEnd = now + slice
	return t
}

// idle sleeps until something is due and returns the time. The address space stays: most often its thread is next.
func idle(h *arch.Hart) (now uint64) {
	alarm(h, false)
	for {
		pending := arch.Pending()
		if pending&arch.PendingExternal != 0 {
			Devices()
		}
		now = arch.ReadTime()
		if pending != 0 || heapSize > 0 && heap[0].deadline <= now || runQueue.first != nil {
			return now
		}
		BigLock.Release()
		arch.WaitForInterrupt()
		BigLock.Acquire()
	}
}

// alarm sets the timer to what is due next.
func alarm(h *arch.Hart, sliced bool) {
	at := uint64(arch.AlarmNever)
	if heapSize > 0 {
		at = heap[0].deadline
	}
	if sliced {
		at = min(at, hart.sliceEnd)
	}
	if h.Alarm != at {
		h.Alarm = at
		arch.WriteAlarm(at)
	}
}

func enter(h *arch.Hart, t *Thread, now uint64) {
	t.Process.Space.Activate(h)
	if h.Floating != &t.Context {
		if h.Floating != nil {
			arch.SaveFloat(h.Floating)
		}
		arch.LoadFloat(&t.Context)
		h.Floating = &t.Context
	}
	hart.started = now
	alarm(h, runQueue.first != nil)
}
