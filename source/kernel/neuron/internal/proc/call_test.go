package proc

import (
	"fmt"
	"strings"
	"testing"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/arch"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/mem"
	"nexus/source/kernel/neuron/internal/user"
	"nexus/source/kernel/neuron/internal/vm"
)

const (
	callPC    = 0x1000
	handlerPC = 0x4000
	original  = 77 // the call's first argument
	sigNumber = 10
	limit     = 3_000_000_000 // ns
)

// A sleeper is a thread in the middle of a call, with all that could end it.
type sleeper struct {
	t       *testing.T
	process *Process
	thread  *Thread
	other   *Thread // of the same process, runnable
	child   *Process
	hart    *arch.Hart
	things  [2]*thing
	key     vm.Key
}

// A way is how a call comes to be in the middle.
type way struct {
	name  string
	begin func(s *sleeper) abi.Errno
}

func file0(s *sleeper) *file.File { f, _ := s.thread.File(0); return f }

var ways = []way{
	{"queue", func(s *sleeper) abi.Errno {
		return s.thread.Block(file0(s).Object.Queue(), abi.EPOLLIN)
	}},
	{"queue, timed", func(s *sleeper) abi.Errno {
		s.thread.Expired(limit)
		return s.thread.Block(file0(s).Object.Queue(), abi.EPOLLIN)
	}},
	{"queues", func(s *sleeper) abi.Errno {
		for fd := range 2 {
			f, _ := s.process.Files.Get(fd)
			s.thread.Poll(f, abi.EPOLLIN)
		}
		s.thread.Expired(limit)
		return s.thread.Block(nil, 0)
	}},
	{"time", func(s *sleeper) abi.Errno {
		s.thread.Expired(limit)
		return s.thread.Block(nil, 0)
	}},
	{"sleep", func(s *sleeper) abi.Errno {
		s.thread.Expired(limit)
		return s.thread.Sleep(0)
	}},
	{"word", func(s *sleeper) abi.Errno { return s.thread.WaitFutex(s.key) }},
	{"word, timed", func(s *sleeper) abi.Errno {
		s.thread.Expired(limit)
		return s.thread.WaitFutex(s.key)
	}},
	{"child", func(s *sleeper) abi.Errno { return s.thread.Forks(s.child) }},
	{"unfinished", func(s *sleeper) abi.Errno {
		file0(s)
		return abi.Again
	}},
}

// newSleeper has a process whose descriptors 0 and 1 can be waited for, with a thread that runs and another that could.
func newSleeper(t *testing.T) *sleeper {
	t.Helper()
	_, first, h := boot(t)
	s := &sleeper{t: t, hart: h}
	s.process, s.thread = newProcess(t, Find(1), h)
	s.other, _ = NewThread(s.process, h)
	s.other.X[arch.SP] = heapBase + 12*mem.PageSize
	for i := range s.things {
		s.things[i] = new(thing)
		s.process.Files.Install(file.New(s.things[i], abi.O_RDWR), 0, false)
	}
	s.child, _ = NewProcess(s.process)
	s.child.Space = s.process.Space.Ref()
	NewThread(s.child, h)
	s.key, _ = s.process.Space.Key(heapBase, true)
	t.Cleanup(func() {
		if s.process.Alive() {
			s.process.Kill(h, SIGKILL)
		}
		for file.Reap() {
		}
		if n := file.Open(); n != 0 {
			t.Errorf("%d files left open", n)
		}
	})
	Schedule(h)
	first.Yield() // it stays behind when all others have ended
	if threadOf(Schedule(h)) != s.thread {
		t.Fatal("another thread")
	}
	s.thread.X[arch.PC], s.thread.X[arch.A0] = callPC, original
	s.other.Start()
	return s
}

// sleep begins a call that becomes w.
func (s *sleeper) sleep(w way, r Restart) {
	s.thread.Begin()
	s.thread.Stays(w.begin(s), r)
}

// registered reports what s is still known by.
func (s *sleeper) registered() string {
	var on []string
	for i, o := range s.things {
		if !o.queue.Empty() {
			on = append(on, fmt.Sprint("queue ", i))
		}
	}
	if b := bucket(s.key); b.next != b {
		on = append(on, "word")
	}
	if heapSize > 0 {
		on = append(on, "timer")
	}
	return strings.Join(on, ", ")
}

// outcome is what the thread does next, when its turn comes.
func (s *sleeper) outcome() string {
	a := s.thread
	for range 6 {
		if a.state == dead || a.state == blocked {
			break
		}
		if threadOf(Schedule(s.hart)) == a {
			break
		}
		hartOf(s.hart).yield = true
	}
	switch {
	case a.state == dead:
		return "gone"
	case a.state == blocked:
		return "asleep"
	case a.X[arch.PC] == callPC:
		return "made again"
	case a.X[arch.PC] != handlerPC:
		return fmt.Sprint("returns ", result(a))
	}
	uc := a.X[arch.SP] + siginfoSize
	pc, _ := user.LoadUint64(a.Memory(), uc+ucRegisters)
	a0, _ := user.LoadUint64(a.Memory(), uc+ucRegisters+8*arch.A0)
	if pc == callPC && a0 == original {
		return "handler, then made anew"
	}
	return fmt.Sprintf("handler, then returns %d", int64(a0))
}

// An end is what may happen to a call in the middle.
type end struct {
	name string
	do   func(s *sleeper)
	// want is the outcome by the way's name; the others are as "" says.
	want map[string]string
}

func signalWith(flags uint64) func(s *sleeper) {
	return func(s *sleeper) {
		*s.process.Action(sigNumber) = Action{Handler: handlerPC, Flags: flags}
		s.thread.Signal(sigNumber)
	}
}

const (
	eintr  = "handler, then returns -4"
	asleep = "asleep"
	anew   = "handler, then made anew"
	over   = "made again"
	gone   = "gone"
)

// Each is a call that restarts as Untimed has it: one without a deadline if SA_RESTART asks for it.
var ends = []end{
	{"event", func(s *sleeper) { s.things[0].queue.Notify(abi.EPOLLIN) }, map[string]string{
		"": asleep, "queue": over, "queue, timed": over, "queues": over, "unfinished": over}},
	{"an event that it does not want", func(s *sleeper) { s.things[0].queue.Notify(abi.EPOLLOUT) }, map[string]string{
		"": asleep, "unfinished": over}},
	{"event of the second file", func(s *sleeper) { s.things[1].queue.Notify(abi.EPOLLIN) }, map[string]string{
		"": asleep, "queues": over, "unfinished": over}},
	{"wake of the word", func(s *sleeper) { Wake(s.key, 1) }, map[string]string{
		"": asleep, "word": "returns 0", "word, timed": "returns 0", "unfinished": over}},
	{"deadline", func(s *sleeper) { arch.Host.Time += Ticks(limit); expire(arch.Host.Time) }, map[string]string{
		"": over, "queue": asleep, "word": asleep, "child": asleep, "sleep": "returns 0"}},
	{"the child executes", func(s *sleeper) { s.child.releaseForker() }, map[string]string{
		"": asleep, "child": "returns 4", "unfinished": over}},
	{"the child ends", func(s *sleeper) { s.child.Kill(s.hart, SIGKILL) }, map[string]string{
		"": asleep, "child": "returns 4", "unfinished": over}},
	{"signal", signalWith(0), map[string]string{
		"": eintr, "child": asleep, "unfinished": over}},
	{"signal, SA_RESTART", signalWith(flagRestart), map[string]string{
		"": eintr, "queue": anew, "word": anew, "child": asleep, "unfinished": over}},
	{"signal of the process", func(s *sleeper) {
		*s.process.Action(sigNumber) = Action{Handler: handlerPC}
		s.other.mask = One(sigNumber)
		s.process.Signal(sigNumber)
	}, map[string]string{"": eintr, "child": asleep, "unfinished": over}},
	{"signal of the process that another thread takes", func(s *sleeper) {
		*s.process.Action(sigNumber) = Action{Handler: handlerPC}
		s.process.Signal(sigNumber)
		s.process.pending = 0
	}, map[string]string{"": over, "child": asleep}},
	{"signal that is ignored when it is sent", func(s *sleeper) {
		*s.process.Action(sigNumber) = Action{Handler: sigIgnore}
		s.thread.Signal(sigNumber)
	}, map[string]string{"": asleep, "unfinished": over}},
	{"signal that is ignored when it is taken", func(s *sleeper) {
		signalWith(0)(s)
		*s.process.Action(sigNumber) = Action{Handler: sigIgnore}
	}, map[string]string{"": over, "child": asleep}},
	{"signal that it blocks", func(s *sleeper) {
		s.thread.mask = One(sigNumber)
		signalWith(0)(s)
	}, map[string]string{"": asleep, "unfinished": over}},
	{"event, then signal", func(s *sleeper) { s.things[0].queue.Notify(abi.EPOLLIN); signalWith(0)(s) }, map[string]string{
		"": eintr, "queue": over, "queue, timed": over, "queues": over, "child": asleep, "unfinished": over}},
	{"signal, then event", func(s *sleeper) { signalWith(0)(s); s.things[0].queue.Notify(abi.EPOLLIN) }, map[string]string{
		"": eintr, "child": asleep, "unfinished": over}},
	{"wake, then signal", func(s *sleeper) { Wake(s.key, 1); signalWith(0)(s) }, map[string]string{
		"": eintr, "word": "handler, then returns 0", "word, timed": "handler, then returns 0", "child": asleep, "unfinished": over}},
	{"signal, then wake", func(s *sleeper) {
		signalWith(0)(s)
		if Wake(s.key, 1) != 0 {
			s.t.Error("woke one that a signal has woken")
		}
	}, map[string]string{"": eintr, "child": asleep, "unfinished": over}},
	{"deadline, then signal", func(s *sleeper) {
		arch.Host.Time += Ticks(limit)
		expire(arch.Host.Time)
		signalWith(0)(s)
	}, map[string]string{"": over, "queue": eintr, "word": eintr, "child": asleep, "sleep": "handler, then returns 0"}},
	{"signal by default", func(s *sleeper) { s.thread.Signal(15) }, map[string]string{"": gone, "child": asleep}},
	{"kill", func(s *sleeper) { s.process.Kill(s.hart, SIGKILL) }, map[string]string{"": gone}},
	{"exit of another thread", func(s *sleeper) { s.other.Exit(0) }, map[string]string{"": asleep, "unfinished": over}},
	{"exit of its process by another thread", func(s *sleeper) { s.process.Exit(s.hart, 0) }, map[string]string{"": gone}},
	{"exec by another thread", func(s *sleeper) {
		space, _ := vm.NewSpace()
		s.process.Exec(s.other, space, nil)
	}, map[string]string{"": gone}},
}

// TestWaysAndEnds: each way to be in the middle of a call, ended by each thing that can happen. Whatever ends it ends all registrations
// at once, and what it held is given back with the call.
func TestWaysAndEnds(t *testing.T) {
	for _, w := range ways {
		for _, e := range ends {
			t.Run(w.name+"/"+e.name, func(t *testing.T) {
				s := newSleeper(t)
				s.sleep(w, Untimed)
				before := s.registered()
				e.do(s)
				after := s.registered()
				got := s.outcome()
				want, special := e.want[w.name]
				if !special {
					want = e.want[""]
				}
				if got != want {
					t.Errorf("%s, want %s", got, want)
				}
				switch {
				case want == asleep && after != before:
					t.Errorf("sleeps on %q, slept on %q", after, before)
				case want != asleep && w.name != "unfinished" && after != "" && want != gone:
					t.Errorf("is awake and still on %q", after)
				case want == gone && s.registered() != "":
					t.Errorf("is gone and still on %q", s.registered())
				}
				if want == over {
					s.thread.Begin()
					if !s.thread.Repeated {
						t.Error("does not know that it is made again")
					}
					s.thread.Return(0, abi.OK)
				}
				if want == asleep {
					s.process.Kill(s.hart, SIGKILL)
				}
				s.holdsNothing()
			})
		}
	}
}

// holdsNothing checks that a call that is over has left nothing behind.
func (s *sleeper) holdsNothing() {
	s.t.Helper()
	a := s.thread
	if a.file != nil || a.places != nil || a.timed || a.Repeated || a.phase != none || a.Done != 0 || s.registered() != "" {
		s.t.Errorf("left behind: %+v, %s", a.call, s.registered())
	}
	s.process.Files.Clear()
	for file.Reap() {
	}
	for i, o := range s.things {
		if !o.closed {
			s.t.Errorf("file %d is still referenced", i)
		}
	}
}

// TestSettle: what a call that has slept comes to when a handler runs, by what it has done, its kind and the handler's SA_RESTART.
func TestSettle(t *testing.T) {
	for _, tt := range []struct {
		kind    Restart
		done    int
		timed   bool
		flags   uint64
		outcome string
	}{
		{Never, 0, false, 0, eintr},
		{Never, 0, false, flagRestart, eintr},
		{Never, 0, true, flagRestart, eintr},
		{Asked, 0, false, 0, eintr},
		{Asked, 0, true, 0, eintr},
		{Asked, 0, false, flagRestart, anew},
		{Asked, 0, true, flagRestart, anew},
		{Untimed, 0, false, 0, eintr},
		{Untimed, 0, false, flagRestart, anew},
		{Untimed, 0, true, 0, eintr},
		{Untimed, 0, true, flagRestart, eintr},
		{Always, 0, false, 0, anew},
		{Always, 0, true, 0, anew},
		{Always, 0, false, flagRestart, anew},
		{Asked, 5, false, 0, "handler, then returns 5"},
		{Asked, 5, false, flagRestart, "handler, then returns 5"},
		{Never, 5, true, 0, "handler, then returns 5"},
	} {
		s := newSleeper(t)
		if tt.timed {
			s.thread.Expired(1 << 40)
		}
		s.thread.Done = tt.done
		s.sleep(ways[0], tt.kind)
		signalWith(tt.flags)(s)
		if got := s.outcome(); got != tt.outcome {
			t.Errorf("%+v: %s", tt, got)
		}
		s.holdsNothing()
		// The same if the signal was there before the call could sleep.
		s = newSleeper(t)
		if tt.timed {
			s.thread.Expired(1 << 40)
		}
		signalWith(tt.flags)(s)
		s.thread.Done = tt.done
		s.sleep(ways[0], tt.kind)
		if got := s.outcome(); got != tt.outcome {
			t.Errorf("%+v, signal first: %s", tt, got)
		}
		s.holdsNothing()
	}
}

// TestUnseenSignal: a signal whose handler does not run leaves the call as it was: its progress, its deadline and its file.
func TestUnseenSignal(t *testing.T) {
	s := newSleeper(t)
	s.thread.Done = 5
	s.sleep(ways[1], Never)
	deadline := s.thread.deadline
	signalWith(0)(s)
	*s.process.Action(sigNumber) = Action{Handler: sigIgnore}
	if got := s.outcome(); got != over {
		t.Fatal(got)
	}
	s.process.Files.Replace(0, file.New(new(thing), abi.O_RDWR), false)
	s.thread.Begin()
	f, _ := s.thread.File(0)
	if s.thread.Done != 5 || s.thread.Expired(-1) || s.thread.deadline != deadline || f.Object != file.Object(s.things[0]) {
		t.Errorf("done %d, deadline %d, want 5, %d and the file that it was made for", s.thread.Done, s.thread.deadline, deadline)
	}
	s.thread.Stays(ways[1].begin(s), Never)
	arch.Host.Time += Ticks(limit)
	expire(arch.Host.Time)
	if got := s.outcome(); got != over || !s.thread.Expired(-1) {
		t.Errorf("%s, want the end of its own time", got)
	}
}

// TestRemainingTime: a sleep that a signal ends tells what was left of it; EFAULT if it cannot.
func TestRemainingTime(t *testing.T) {
	for _, tt := range []struct {
		at      uint64
		outcome string
	}{
		{heapBase, eintr},
		{8, "handler, then returns -14"},
	} {
		t.Run(tt.outcome, func(t *testing.T) {
			s := newSleeper(t)
			tickNS = 100
			s.sleep(way{"sleep", func(s *sleeper) abi.Errno {
				s.thread.Expired(limit)
				return s.thread.Sleep(tt.at)
			}}, Never)
			arch.Host.Time = s.thread.deadline - 12_345_678
			signalWith(0)(s)
			if got := s.outcome(); got != tt.outcome {
				t.Errorf("to %#x: %s, want %s", tt.at, got, tt.outcome)
			}
			seconds, _ := user.LoadUint64(s.thread.Memory(), heapBase)
			ns, _ := user.LoadUint64(s.thread.Memory(), heapBase+8)
			if tt.at == heapBase && (seconds != 1 || ns != 234_567_800) {
				t.Errorf("%d.%09d s remain, want 1.234567800", seconds, ns)
			}
		})
	}
}

// TestOtherCode: when a program has changed the code or registers under a call that goes on, it is forgotten and the new one begins.
func TestOtherCode(t *testing.T) {
	for _, register := range []int{arch.PC, 10, 11, 12, 13, 14, 15, 17} {
		t.Run(fmt.Sprint(register), func(t *testing.T) {
			s := newSleeper(t)
			s.thread.Done = 9
			s.sleep(ways[7], Asked)
			s.thread.X[register]++
			s.thread.Begin()
			if s.thread.Repeated || s.thread.Done != 0 {
				t.Errorf("register %d: another call goes on with the progress of the first", register)
			}
			s.holdsNothing()
		})
	}
	s := newSleeper(t)
	s.sleep(ways[0], Asked)
	s.things[0].queue.Notify(abi.EPOLLIN)
	s.thread.X[9]++
	s.thread.X[16]++ // a6, which is no argument
	if s.thread.Begin(); !s.thread.Repeated {
		t.Error("the call is forgotten for a register that does not name it")
	}
	s.thread.drop()
	s.sleep(ways[7], Asked)
	*s.process.Action(SIGSEGV) = Action{Handler: handlerPC}
	s.thread.Fault(SIGSEGV, SegvMapErr, callPC)
	s.holdsNothing()
}

// TestFilesBeside: the further files of a call are there when it is made again, and are given back if it is not.
func TestFilesBeside(t *testing.T) {
	for _, again := range []bool{true, false} {
		t.Run(fmt.Sprint("made again ", again), func(t *testing.T) {
			s := newSleeper(t)
			var files, back [Beside]*file.File
			var things [Beside]*thing
			for i := range Beside {
				things[i] = new(thing)
				files[i] = file.New(things[i], 0)
			}
			s.thread.Keep(&files, Beside)
			s.sleep(ways[0], Never)
			if again {
				s.things[0].queue.Notify(abi.EPOLLIN)
				s.thread.Begin()
				if n := s.thread.Kept(&back); n != Beside || back != files {
					t.Errorf("%d files came back, want %d", n, Beside)
				}
				s.thread.Return(0, abi.OK)
			} else {
				signalWith(0)(s)
				if got := s.outcome(); got != eintr {
					t.Fatal(got)
				}
			}
			for file.Reap() {
			}
			for i := range things {
				if things[i].closed == again {
					t.Errorf("file %d is closed: %v", i, !again)
				}
				if again {
					files[i].Release()
				}
			}
		})
	}
}

// TestMaskOfACall: the mask that a call brings counts while it lasts; the handler's frame has the one of before.
func TestMaskOfACall(t *testing.T) {
	s := newSleeper(t)
	s.thread.SetMask(One(sigNumber))
	s.thread.Masked(One(12))
	s.sleep(ways[0], Never)
	signalWith(0)(s)
	if got := s.outcome(); got != eintr {
		t.Fatal(got)
	}
	if want := One(sigNumber); s.thread.mask != want {
		t.Errorf("mask %#x in the handler, want %#x", s.thread.mask, want)
	}
	s.thread.SignalReturn()
	if want := One(sigNumber); s.thread.mask != want {
		t.Errorf("mask %#x after it, want %#x", s.thread.mask, want)
	}
	s.thread.Masked(0)
	s.thread.Masked(One(12)) // made again: no other
	s.sleep(ways[0], Never)
	if s.thread.mask != 0 {
		t.Errorf("mask %#x, want the call's", s.thread.mask)
	}
	s.things[0].queue.Notify(abi.EPOLLIN)
	s.outcome()
	s.thread.Begin()
	s.thread.Return(1, abi.OK)
	if want := One(sigNumber); s.thread.mask != want {
		t.Errorf("mask %#x after the call, want %#x", s.thread.mask, want)
	}
}

// TestMaskGivesSignalsAway: what came for the process while a call's mask let it through is another thread's to take when the call is done
// without it (Linux's set_current_blocked).
func TestMaskGivesSignalsAway(t *testing.T) {
	s := newSleeper(t)
	*s.process.Action(sigNumber) = Action{Handler: handlerPC}
	s.thread.SetMask(One(sigNumber))
	s.thread.Masked(0)
	s.sleep(ways[0], Never)
	for threadOf(Schedule(s.hart)) != s.other {
		hartOf(s.hart).yield = true
	}
	s.other.Block(nil, 0)
	s.things[0].queue.Notify(abi.EPOLLIN)
	if s.process.Signal(sigNumber); s.other.state != blocked {
		t.Fatal("the signal is not the caller's")
	}
	s.thread.Begin()
	s.thread.Return(1, abi.OK)
	if s.thread.Signalled() || s.other.state != runnable || !s.other.Signalled() {
		t.Errorf("the caller has it: %v; the other thread: state %d", s.thread.Signalled(), s.other.state)
	}
}

// TestPosition: two calls that move the position of one file do so one after the other.
func TestPosition(t *testing.T) {
	s := newSleeper(t)
	f := file.New(new(seekable), abi.O_RDWR)
	s.process.Files.Replace(0, f, false)
	for _, th := range []*Thread{s.thread, s.other} {
		th.File(0)
	}
	for _, when := range []string{"that nobody moves", "that it moves already"} {
		if !s.thread.Moves() {
			t.Error("a file", when)
		}
	}
	if s.other.Moves() {
		t.Error("two move one file")
	}
	s.thread.Stays(abi.Again, Asked)
	s.thread.Return(0, abi.OK)
	if !s.other.Moves() {
		t.Error("still moved by a call that is done")
	}
	s.other.Return(0, abi.OK)
}

type seekable struct{ thing }

func (*seekable) Seekable() bool { return true }

// TestRetarget: a signal of the process is taken by another thread when the one that was to take it ends or blocks it.
func TestRetarget(t *testing.T) {
	for name, leave := range map[string]func(s *sleeper){
		"end":   func(s *sleeper) { s.other.Exit(0) },
		"block": func(s *sleeper) { s.other.SetMask(One(sigNumber)) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSleeper(t)
			*s.process.Action(sigNumber) = Action{Handler: handlerPC}
			s.thread.mask = One(sigNumber)
			s.process.Signal(sigNumber)
			s.thread.mask = 0
			s.sleep(ways[0], Never)
			s.thread.phase = onQueues
			s.thread.state = blocked
			leave(s)
			if got := s.outcome(); got != eintr {
				t.Errorf("%s: %s, want %s", name, got, eintr)
			}
		})
	}
}

// TestExecBecomesTheLeader: the thread that executes a program is the only one then, and has the id of the process.
func TestExecBecomesTheLeader(t *testing.T) {
	s := newSleeper(t)
	if s.other.ID == s.process.ID {
		t.Fatal("two threads with one id")
	}
	space, _ := vm.NewSpace()
	s.process.Exec(s.other, space, nil)
	if s.other.ID != s.process.ID || s.process.Thread(s.process.ID) != s.other || s.process.threads != 1 {
		t.Errorf("id %d, want %d; %d threads", s.other.ID, s.process.ID, s.process.threads)
	}
}

// TestClearID: a thread that ends or executes a program clears its word and wakes who waits for it, while somebody else has the memory.
func TestClearID(t *testing.T) {
	const word, old = heapBase + 8, 7
	alone := func(t *testing.T, first *Process, h *arch.Hart) *Thread {
		_, th := newProcess(t, first, h)
		return th
	}
	ofTwo := func(t *testing.T, first *Process, h *arch.Hart) *Thread {
		p, _ := newProcess(t, first, h)
		th, _ := NewThread(p, h)
		return th
	}
	borrower := func(t *testing.T, first *Process, h *arch.Hart) *Thread {
		p, _ := NewProcess(first)
		p.Space = first.Space.Ref()
		th, _ := NewThread(p, h)
		return th
	}
	exit := func(th *Thread) { th.Exit(0) }
	execute := func(th *Thread) {
		space, _ := vm.NewSpace()
		th.Process.Exec(th, space, nil)
	}
	for _, tt := range []struct {
		what    string
		make    func(*testing.T, *Process, *arch.Hart) *Thread
		leave   func(*Thread)
		cleared bool
	}{
		{"one of two threads ends", ofTwo, exit, true},
		{"one of two threads executes a program", ofTwo, execute, false},
		{"the last thread ends", alone, exit, false},
		{"the one thread executes a program", alone, execute, false},
		{"who borrows memory ends", borrower, exit, true},
		{"who borrows memory executes a program", borrower, execute, true},
	} {
		t.Run(tt.what, func(t *testing.T) {
			first, waiter, h := boot(t)
			th := tt.make(t, first, h)
			th.SetClearID(word)
			space := th.Process.Space // stays until Reap
			user.StoreUint32(space, word, old)
			Schedule(h)
			key, _ := space.Key(word, false)
			waiter.WaitFutex(key)
			tt.leave(th)
			v, ok := user.LoadUint32(space, word)
			if !ok || (v == 0) != tt.cleared || v != 0 && v != old {
				t.Errorf("the word is %d, cleared %v, want %v", v, v == 0, tt.cleared)
			}
			if woken := waiter.state == runnable; woken != tt.cleared {
				t.Errorf("who waits for it is woken %v, want %v", woken, tt.cleared)
			}
			if th.state != dead && th.clearID != 0 {
				t.Error("the next program has the word of the one before")
			}
		})
	}
}

// TestExecForgetsHandlers: what a program ignores the next one ignores, without flags and masks.
func TestExecForgetsHandlers(t *testing.T) {
	p, a, _ := boot(t)
	*p.Action(10) = Action{Handler: handlerPC, Flags: flagRestart, Mask: 1}
	*p.Action(12) = Action{Handler: sigIgnore, Flags: flagOnStack, Mask: 1}
	space, _ := vm.NewSpace()
	p.Exec(a, space, nil)
	if got := *p.Action(10); got != (Action{}) {
		t.Errorf("a handler became %+v", got)
	}
	if got := *p.Action(12); got != (Action{Handler: sigIgnore}) {
		t.Errorf("an ignored signal's action became %+v", got)
	}
}

// TestProcessorTime: a thread's is its own, a process's that of all its threads, both up to the moment.
func TestProcessorTime(t *testing.T) {
	s := newSleeper(t)
	arch.Host.Time += 30
	s.sleep(ways[0], Asked)
	for threadOf(Schedule(s.hart)) != s.other {
		hartOf(s.hart).yield = true
	}
	arch.Host.Time += 12
	if own, all := s.other.CPU(); own != 12 || all != 42 {
		t.Errorf("%d of %d ticks, want 12 of 42", own, all)
	}
	if own, all := s.thread.CPU(); own != 30 || all != 42 {
		t.Errorf("the sleeper: %d of %d ticks, want 30 of 42", own, all)
	}
	arch.Host.Time += 3
	s.other.Exit(0)
	if got := s.process.CPU(); got != 45 {
		t.Errorf("%d ticks of the process, want 45", got)
	}
}
