package proc

import (
	"math/rand/v2"
	"slices"
	"testing"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/arch"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/mem"
	"nexus/source/kernel/neuron/internal/user"
	"nexus/source/kernel/neuron/internal/vm"
	"nexus/source/kernel/neuron/internal/wait"
)

const heapBase = 0x100_0000

// boot gives a fresh kernel with process 1, which has one thread and some memory.
func boot(t *testing.T) (*Process, *Thread, *arch.Hart) {
	t.Helper()
	mem.InitHost(512, 4)
	root, _ := mem.Alloc()
	vm.Init(root)
	clear(processes[:])
	clear(threads[:])
	clear(heap[:])
	clear(futexes[:])
	heapSize, lastID = 0, 0
	runQueue.first, runQueue.last = nil, nil
	arch.Host.Time, arch.Host.PendingSet = 1000, 0
	Console = func(*Process, string, uint64, uint64) {}
	OnInitExit = func(int32) {}
	Devices = func() {}
	h := &new(Hart).Hart
	p, th := newProcess(t, nil, h)
	return p, th, h
}

func newProcess(t *testing.T, parent *Process, h *arch.Hart) (*Process, *Thread) {
	t.Helper()
	p, err := NewProcess(parent)
	if err != abi.OK {
		t.Fatal("NewProcess:", err)
	}
	if p.Space, err = vm.NewSpace(); err != abi.OK {
		t.Fatal("NewSpace:", err)
	}
	p.Space.Mmap(vm.Map{Start: heapBase, Size: 16 * mem.PageSize, Fixed: true, Prot: vm.Read | vm.Write, MayWrite: true})
	th, err := NewThread(p, h)
	if err != abi.OK {
		t.Fatal("NewThread:", err)
	}
	th.X[arch.SP] = heapBase + 8*mem.PageSize
	th.X[arch.PC] = 0x1000
	th.Start()
	return p, th
}

func result(t *Thread) int64 { return int64(t.X[arch.A0]) }

func TestRoundRobin(t *testing.T) {
	p, a, h := boot(t)
	b, _ := NewThread(p, h)
	b.Start()
	c, _ := NewThread(p, h)
	c.Start()
	var order []*Thread
	for range 6 {
		order = append(order, threadOf(Schedule(h)))
		arch.Host.Time += slice
	}
	if want := []*Thread{a, b, c, a, b, c}; !slices.Equal(order, want) {
		t.Errorf("order %v, want a b c a b c", order)
	}
}

func TestSliceIsKeptWhileItLasts(t *testing.T) {
	p, a, h := boot(t)
	b, _ := NewThread(p, h)
	b.Start()
	Schedule(h)
	arch.Host.Time += slice - 1
	if got := threadOf(Schedule(h)); got != a {
		t.Error("preempted before its slice ended")
	}
	if arch.Host.Alarm != arch.Host.Time+1 {
		t.Errorf("alarm at %d, want the slice's end %d", arch.Host.Alarm, arch.Host.Time+1)
	}
	a.Yield()
	if got := threadOf(Schedule(h)); got != b {
		t.Error("did not yield")
	}
}

// slow is an object whose closing takes time.
type slow struct{ file.Defaults }

func (slow) Stat(*abi.Stat) {}
func (slow) Close() bool {
	arch.Host.Time += 20
	return true
}

// TestClosesBeforeItGoesOn: who drops many files goes on when all of them are closed, in its own time: the devices and the
// other threads have their turn meanwhile.
func TestClosesBeforeItGoesOn(t *testing.T) {
	p, a, h := boot(t)
	b, _ := NewThread(p, h)
	b.Start()
	Schedule(h)
	polled := 0
	Devices = func() { polled++ }
	arch.Host.PendingSet = arch.PendingExternal
	drop := func(n int) {
		for range n {
			file.New(slow{}, 0).Release()
		}
	}
	drop(3 * file.Piece)
	if got := threadOf(Schedule(h)); got != a || file.Open() != 0 || polled != 3 {
		t.Errorf("went on with %d files open, after %d looks at the devices, want 0 and 3", file.Open(), polled)
	}
	drop(8192)
	var order []*Thread
	for range 20 {
		c := threadOf(Schedule(h))
		order = append(order, c)
		if c == a {
			break
		}
		arch.Host.Time += slice
	}
	if len(order) < 2 || order[0] != b || order[len(order)-1] != a || file.Open() != 0 {
		t.Errorf("%d turns, %d files open, want turns of the other thread until none is", len(order), file.Open())
	}
}

// TestEndIsToldAfterCloses: what a process had open is closed before its parent hears of its end.
func TestEndIsToldAfterCloses(t *testing.T) {
	_, a, h := boot(t)
	child, b := newProcess(t, a.Process, h)
	for range 1000 {
		child.Files.Install(file.New(slow{}, 0), 0, false)
	}
	Schedule(h)
	a.Wait(-1, true)
	if threadOf(Schedule(h)) != b {
		t.Fatal("the child does not run")
	}
	b.Exit(0)
	if threadOf(Schedule(h)) != a {
		t.Fatal("the parent is not woken")
	}
	if c, err := a.Wait(-1, true); c != child || err != abi.OK {
		t.Fatal("no dead child:", err)
	}
	if threadOf(Schedule(h)) != a || file.Open() != 0 {
		t.Errorf("%d files of the child are open", file.Open())
	}
}

func TestBlockedThreadMakesItsCallAgain(t *testing.T) {
	_, a, h := boot(t)
	Schedule(h)
	var q wait.Queue
	a.Block(&q, abi.EPOLLIN)
	q.Notify(abi.EPOLLOUT)
	if a.state != blocked {
		t.Fatal("woken by an event it does not want")
	}
	q.Notify(abi.EPOLLIN)
	if got := threadOf(Schedule(h)); got != a || a.X[arch.PC] != 0x1000 {
		t.Error("not back on its ECALL")
	}
}

func TestDeadlineIsKeptOverRetries(t *testing.T) {
	_, a, h := boot(t)
	Schedule(h)
	var q wait.Queue
	if a.Expired(1000) {
		t.Fatal("expired at once")
	}
	want := a.deadline
	a.Block(&q, abi.EPOLLIN)
	arch.Host.Time += 3
	q.Notify(abi.EPOLLIN)
	Schedule(h)
	if a.Expired(1000) || a.deadline != want {
		t.Error("the deadline moved")
	}
	a.Block(&q, abi.EPOLLIN)
	Schedule(h) // idles until the alarm
	if !a.Expired(1000) || a.waiter.Waiting() {
		t.Error("not woken by its deadline")
	}
	a.Return(0, abi.OK)
	if a.Expired(1000) || a.deadline == want {
		t.Error("an old deadline met a new call")
	}
}

// thing is an object that can be waited for.
type thing struct {
	file.Defaults
	queue  wait.Queue
	closed bool
}

func (*thing) Stat(*abi.Stat)       {}
func (o *thing) Queue() *wait.Queue { return &o.queue }
func (o *thing) Close() bool        { o.closed = true; return true }

func TestPollWaitsOnSeveralQueues(t *testing.T) {
	_, a, h := boot(t)
	var things [3]thing
	var files [3]*file.File
	for i := range things {
		files[i] = file.New(&things[i], 0)
	}
	for i := range things {
		Schedule(h)
		for _, f := range files {
			for range 2 { // one twice on the same queue
				if err := a.Poll(f, abi.EPOLLIN); err != abi.OK {
					t.Fatal(err)
				}
			}
		}
		a.Block(nil, 0)
		things[i].queue.Notify(abi.EPOLLIN)
		if a.state != runnable {
			t.Fatalf("not woken by queue %d", i)
		}
		for j := range things {
			if !things[j].queue.Empty() {
				t.Errorf("still on queue %d", j)
			}
		}
	}
	n := 0
	for a.Poll(files[0], abi.EPOLLIN) == abi.OK {
		n++
	}
	if n != MaxPolls {
		t.Errorf("%d places, want %d", n, MaxPolls)
	}
	for _, f := range files {
		f.Release()
	}
	file.Reap()
	if things[0].closed || !things[1].closed {
		t.Error("a file is open exactly while it is waited for")
	}
	a.end()
	file.Reap()
	if !things[0].queue.Empty() || a.places != nil || !things[0].closed {
		t.Error("an ended thread still waits")
	}
}

func TestTimersFireInOrder(t *testing.T) {
	p, a, h := boot(t)
	Schedule(h)
	a.Expired(1 << 62)
	a.Block(nil, 0)
	r := rand.New(rand.NewPCG(1, 2))
	var sleepers []*Thread
	for range 200 {
		s, err := NewThread(p, h)
		if err != abi.OK {
			t.Fatal(err)
		}
		s.Expired(int64(r.Uint64N(100000)) * int64(tickNS))
		s.Block(nil, 0)
		sleepers = append(sleepers, s)
	}
	for i := 0; i < len(sleepers); i += 3 {
		sleepers[i].end() // leaves the heap from its middle
	}
	last := uint64(0)
	for range len(sleepers) * 2 / 3 {
		s := threadOf(Schedule(h))
		if s.deadline < last || s.deadline > arch.Host.Time {
			t.Fatalf("woke at %d, deadline %d, after %d", arch.Host.Time, s.deadline, last)
		}
		last = s.deadline
		s.end()
	}
}

// TestLater: another package's work is done at its time, though every thread sleeps, and again when it asks again.
// TestTimerInterruptOutOfTime: an interrupt for an alarm that is no more goes away, whether a thread runs or none does.
func TestTimerInterruptOutOfTime(t *testing.T) {
	_, a, h := boot(t)
	Schedule(h)
	const stale = 1 // what the timer is at when the kernel believes that it is at AlarmNever
	arch.Host.Alarm = stale
	if Schedule(h); arch.Host.Alarm != stale {
		t.Fatal("the alarm is written without need")
	}
	Rang(h)
	if Schedule(h); arch.Host.Alarm != arch.AlarmNever {
		t.Errorf("alarm at %#x while a thread runs, want none", arch.Host.Alarm)
	}
	var q wait.Queue
	a.Block(&q, abi.EPOLLIN)
	arch.Host.Alarm, arch.Host.PendingSet = stale, arch.PendingTimer|arch.PendingExternal
	turns := 0
	Devices = func() {
		if turns++; turns == 2 {
			arch.Host.PendingSet = 0
			q.Notify(abi.EPOLLIN)
		}
	}
	if Schedule(h); arch.Host.Alarm != arch.AlarmNever {
		t.Errorf("alarm at %#x after idling, want none", arch.Host.Alarm)
	}
}

func TestLater(t *testing.T) {
	_, a, h := boot(t)
	var q wait.Queue
	var ran []uint64
	Later.At = arch.Host.Time + 500
	Later.Run = func(now uint64) {
		ran = append(ran, now)
		if Later.At = now + 300; len(ran) == 2 {
			Later.At = arch.AlarmNever
			q.Notify(abi.EPOLLIN)
		}
	}
	defer func() { Later.Run = nil }()
	first, second := Later.At, Later.At+300
	Schedule(h)
	a.Block(&q, abi.EPOLLIN)
	if got := threadOf(Schedule(h)); got != a {
		t.Fatal("another thread")
	}
	if len(ran) != 2 || ran[0] < first || ran[1] < second {
		t.Errorf("ran at %v, want %d and %d", ran, first, second)
	}
}

func TestFutex(t *testing.T) {
	p, a, h := boot(t)
	key, _ := p.Space.Key(heapBase, true)
	other, _ := p.Space.Key(heapBase+4, true)
	b, _ := NewThread(p, h)
	b.Start()
	Schedule(h)
	a.WaitFutex(key)
	Schedule(h)
	b.Expired(50)
	b.WaitFutex(key)
	if n := Wake(other, 10); n != 0 {
		t.Errorf("woke %d of another word", n)
	}
	if n := Wake(key, 1); n != 1 || a.state != runnable || result(a) != 0 || a.X[arch.PC] != 0x1004 {
		t.Errorf("woke %d; the first waiter: state %d, result %d, pc %#x", n, a.state, result(a), a.X[arch.PC])
	}
	Schedule(h)
	arch.Host.Time += 60
	Schedule(h)
	if b.state != runnable || b.X[arch.PC] != 0 || !b.Expired(-1) {
		t.Errorf("state %d, pc %#x, want the call made again after its deadline", b.state, b.X[arch.PC])
	}
	if n := Wake(key, 1); n != 0 {
		t.Errorf("woke %d that had timed out", n)
	}
}

func TestSignalFrameRoundTrip(t *testing.T) {
	p, a, h := boot(t)
	Schedule(h)
	for i := range a.X {
		if i != arch.SP && i != arch.PC {
			a.X[i] = uint64(i) * 0x0101
		}
		a.F[i] = uint64(i) << 40
	}
	a.FCSR = 5
	before := a.Context
	p.SignalReturn = 0xabc
	*p.Action(10) = Action{Handler: 0x4000, Mask: One(12)}
	a.mask = One(3)
	a.pending = One(10)
	if !a.deliver() {
		t.Fatal("did not survive a handled signal")
	}
	if a.X[arch.PC] != 0x4000 || a.X[arch.A0] != 10 || a.X[arch.RA] != 0xabc || a.X[arch.SP]%16 != 0 {
		t.Errorf("handler entered with pc %#x a0 %d ra %#x sp %#x", a.X[arch.PC], a.X[arch.A0], a.X[arch.RA], a.X[arch.SP])
	}
	if a.mask != One(3)|One(10)|One(12) {
		t.Errorf("mask %#x in the handler", a.mask)
	}
	if n, _ := user.LoadUint32(a.Memory(), a.X[arch.A1]); n != 10 {
		t.Errorf("siginfo names signal %d, want 10", n)
	}
	a.SignalReturn()
	if a.Context != before || a.mask != One(3) {
		t.Error("registers or mask differ after the return")
	}
}

func TestAlternateStack(t *testing.T) {
	p, a, h := boot(t)
	Schedule(h)
	*p.Action(10) = Action{Handler: 0x4000, Flags: flagOnStack}
	*a.Alternate() = Stack{Base: heapBase, Size: 2 * mem.PageSize}
	a.pending = One(10)
	a.deliver()
	if !a.OnAlternate() {
		t.Fatalf("sp %#x is not on the alternate stack", a.X[arch.SP])
	}
	sp := a.X[arch.SP]
	a.mask = 0
	a.pending = One(10)
	a.deliver()
	if a.X[arch.SP] >= sp {
		t.Error("a nested handler started the alternate stack again")
	}
}

func TestSignalWithoutHandlerEndsTheProcess(t *testing.T) {
	_, _, h := boot(t)
	c, ct := newProcess(t, Find(1), h)
	ct.Signal(15)
	c.Signal(SIGURG) // ignored by default
	for range 3 {
		Schedule(h)
		arch.Host.Time += slice
	}
	if c.state != zombie || c.Status() != 15 {
		t.Errorf("state %d, status %#x; want a zombie killed by 15", c.state, c.Status())
	}
}

func TestNoRoomForAFrame(t *testing.T) {
	_, _, h := boot(t)
	c, ct := newProcess(t, Find(1), h)
	*c.Action(10) = Action{Handler: 0x4000}
	ct.X[arch.SP] = 64
	ct.Signal(10)
	for range 3 {
		Schedule(h)
		arch.Host.Time += slice
	}
	if c.Status() != SIGSEGV {
		t.Errorf("status %#x, want killed by SIGSEGV", c.Status())
	}
}

func TestVforkParentWaits(t *testing.T) {
	p, a, h := boot(t)
	Schedule(h)
	c, _ := NewProcess(p)
	u, _ := a.Clone(c)
	c.Space = p.Space.Ref()
	u.Start()
	a.Forks(c)
	if got := threadOf(Schedule(h)); got != u || result(u) != 0 || u.X[arch.PC] != 0x1004 {
		t.Fatal("the child does not run with result 0")
	}
	a.Signal(10) // must not wake the parent, whose memory the child uses
	if a.state != blocked {
		t.Fatal("the parent was interrupted in vfork")
	}
	a.pending = 0
	u.Exit(3)
	if a.state != runnable || result(a) != int64(c.ID) {
		t.Errorf("the parent: state %d, result %d; want runnable, %d", a.state, result(a), c.ID)
	}
	got, err := a.Wait(-1, true)
	if err != abi.OK || got != c || c.Status() != 3<<8 {
		t.Errorf("Wait: %v, %d", got, err)
	}
	c.Reap()
	if _, err := a.Wait(-1, true); err != abi.ECHILD {
		t.Errorf("Wait without children: %d, want ECHILD", err)
	}
}

func TestOrphansGoToInit(t *testing.T) {
	first, a, h := boot(t)
	mid, midThread := newProcess(t, first, h)
	low, lowThread := newProcess(t, mid, h)
	Schedule(h)
	if _, err := a.Wait(low.ID, true); err != abi.ECHILD {
		t.Errorf("a grandchild is no child: %d", err)
	}
	midThread.Exit(0)
	lowThread.Exit(9)
	for _, want := range []*Process{mid, low} {
		if c, err := a.Wait(want.ID, true); c != want || err != abi.OK {
			t.Errorf("Wait(%d): %v, %d", want.ID, c, err)
		}
	}
}

func TestTablesAreBounded(t *testing.T) {
	p, _, h := boot(t)
	n := 1
	for ; n < MaxThreads+10; n++ {
		if _, err := NewThread(p, h); err != abi.OK {
			if err != abi.EAGAIN {
				t.Errorf("error %d, want EAGAIN", err)
			}
			break
		}
	}
	if n != MaxThreads {
		t.Errorf("%d threads, want %d", n, MaxThreads)
	}
}

// TestUnfinishedCall: a call that goes on in pieces shares the processor, keeps its progress, and holds signals back until it is done.
func TestUnfinishedCall(t *testing.T) {
	p, a, h := boot(t)
	*p.Action(10) = Action{Handler: 0x4000}
	b, _ := NewThread(p, h)
	b.Start()
	Schedule(h)
	a.Done = 3
	a.Stays(abi.Again, Never)
	a.Signal(10)
	if got := threadOf(Schedule(h)); got != a || a.X[arch.PC] != 0x1000 || !a.Repeated || a.Done != 3 {
		t.Fatalf("pc %#x, done %d: want the call again, with its progress", a.X[arch.PC], a.Done)
	}
	arch.Host.Time += slice
	a.Stays(abi.Again, Never)
	if got := threadOf(Schedule(h)); got != b {
		t.Error("the other thread had no turn at the end of the slice")
	}
	arch.Host.Time += slice
	Schedule(h)
	a.Return(7, abi.OK)
	if threadOf(Schedule(h)) != a || a.X[arch.PC] != 0x4000 || a.Repeated || a.Done != 0 {
		t.Errorf("pc %#x, done %d: want the handler and nothing of the call", a.X[arch.PC], a.Done)
	}
	a.SignalReturn()
	if result(a) != 7 {
		t.Errorf("result %d, want 7", result(a))
	}
	a.Stays(abi.Again, Never)
	p.Kill(h, SIGKILL)
	if a.state != dead {
		t.Error("a kill waits for the call")
	}
}

// TestOneWaitAtATime: a thread waits for one thing, is told of nothing else, and ends on no list.
func TestOneWaitAtATime(t *testing.T) {
	for _, tt := range []struct {
		want string
		do   func(p *Process, a *Thread)
	}{
		{"proc: a thread that sleeps goes to sleep", func(_ *Process, a *Thread) {
			a.Block(nil, 0)
			a.Block(nil, 0)
		}},
		{"proc: an event reaches a thread that does not wait for it", func(_ *Process, a *Thread) {
			a.Wake(nil, abi.EPOLLIN)
		}},
		{"proc: a thread waits for two words", func(p *Process, a *Thread) {
			for at := range uint64(2) {
				key, _ := p.Space.Key(heapBase+4*at, true)
				a.WaitFutex(key)
			}
		}},
		{"proc: a wake reaches a thread that does not wait for it", func(p *Process, a *Thread) {
			key, _ := p.Space.Key(heapBase, true)
			a.WaitFutex(key)
			a.phase = none
			Wake(key, 1)
		}},
		{"proc: a thread has ended and is on a list", func(p *Process, a *Thread) {
			key, _ := p.Space.Key(heapBase, true)
			a.WaitFutex(key)
			a.state = dead
			for range MaxThreads { // one of which has its place
				NewThread(p, a.Hart)
			}
		}},
		{"proc: a process ends, and not all of its threads", func(p *Process, a *Thread) {
			p.threads++
			p.Exit(a.Hart, 0)
		}},
	} {
		p, a, _ := boot(t)
		func() {
			defer func() {
				if got := recover(); got != tt.want {
					t.Errorf("got %v, want a panic: %s", got, tt.want)
				}
			}()
			tt.do(p, a)
		}()
	}
	clear(futexes[:])
}
