package proc

import (
	"testing"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/mem"
	"nexus/source/kernel/neuron/internal/user"
	"nexus/source/kernel/neuron/internal/vm"
)

// TestProcessesAreBounded: as many as the table has places are found by their ids, one more is refused, and a place that was given back
// is used again under a new id.
func TestProcessesAreBounded(t *testing.T) {
	first, _, _ := boot(t)
	ids := map[int]bool{first.ID: true}
	var last *Process
	for {
		p, err := NewProcess(first)
		if err != abi.OK {
			if err != abi.EAGAIN || p != nil {
				t.Errorf("%v, %v, want EAGAIN", p, err)
			}
			break
		}
		if ids[p.ID] || Find(p.ID) != p {
			t.Fatalf("process %d: known already %v, found as %v", p.ID, ids[p.ID], Find(p.ID))
		}
		ids[p.ID], last = true, p
	}
	if all, _, _, _ := Counts(); len(ids) != MaxProcesses || all != MaxProcesses {
		t.Errorf("%d processes, %d counted, want %d", len(ids), all, MaxProcesses)
	}
	if At(0) != first || At(MaxProcesses-1) != last {
		t.Error("the table does not begin with the first process and end with the last")
	}
	id := last.ID
	last.Kill(&new(Hart).Hart, SIGKILL)
	if At(MaxProcesses-1) != nil || Find(id) != last {
		t.Error("a dead process is at its place, or its parent cannot find it any more")
	}
	last.Reap()
	if Find(id) != nil {
		t.Error("a process that was waited for is found")
	}
	if p, err := NewProcess(first); err != abi.OK || ids[p.ID] {
		t.Errorf("%v, id %d", err, p.ID)
	}
}

// TestCounts: what there is of each kind is counted: dead processes while nobody has waited for them, threads while they live, places
// in queues while somebody waits.
func TestCounts(t *testing.T) {
	first, a, h := boot(t)
	want := func(what string, all, zombies, live, waits int) {
		t.Helper()
		if a, z, l, w := Counts(); a != all || z != zombies || l != live || w != waits {
			t.Errorf("%s: %d processes, %d dead, %d threads, %d waits, want %d, %d, %d, %d", what, a, z, l, w, all, zombies, live, waits)
		}
	}
	_, _, _, waits := Counts()
	want("at first", 1, 0, 1, waits)
	child, b := newProcess(t, first, h)
	c, _ := NewThread(child, h)
	want("with a child of two threads", 2, 0, 3, waits)
	if child.Threads() != 2 || first.Threads() != 1 {
		t.Errorf("%d and %d threads, want 2 and 1", child.Threads(), first.Threads())
	}
	f := file.New(new(thing), 0)
	for range 3 {
		a.Poll(f, abi.EPOLLIN)
	}
	want("waiting thrice", 2, 0, 3, waits+3)
	a.drop()
	f.Release()
	want("waiting no more", 2, 0, 3, waits)
	c.Exit(0)
	want("one thread less", 2, 0, 2, waits)
	b.Exit(0)
	want("the child is dead", 2, 1, 1, waits)
	child.Reap()
	want("and was waited for", 1, 0, 1, waits)
	for file.Reap() {
	}
}

// TestChildInherits: fork(2) and signal(7): a child has its parent's directory, name and actions.
func TestChildInherits(t *testing.T) {
	first, _, _ := boot(t)
	if got := string(first.Directory[:first.DirectoryLength]); got != "/" {
		t.Errorf("the first directory is %q, want /", got)
	}
	first.DirectoryLength = copy(first.Directory[:], "/etc")
	first.SetName([]byte("/bin/shell"))
	first.SignalReturn = 0x1234
	*first.Action(10) = Action{Handler: 0x4000, Flags: flagRestart, Mask: One(3)}
	first.pending = One(10)
	c, _ := NewProcess(first)
	if got := string(c.Directory[:c.DirectoryLength]); got != "/etc" {
		t.Errorf("directory %q, want /etc", got)
	}
	if string(c.Name()) != "shell" || c.SignalReturn != 0x1234 || *c.Action(10) != *first.Action(10) {
		t.Errorf("name %q, return at %#x, action %+v", c.Name(), c.SignalReturn, c.Action(10))
	}
	if c.pending != 0 {
		t.Error("the child has its parent's signals")
	}
}

func TestName(t *testing.T) {
	p, _, _ := boot(t)
	for path, want := range map[string]string{
		"/bin/nx":                     "nx",
		"nx":                          "nx",
		"/":                           "",
		"":                            "",
		"/services/a":                 "a",
		"/bin/selftest-client":        "selftest-client",
		"/bin/selftest-clientele":     "selftest-client",
		"a-name-of-more-than-15-byte": "a-name-of-more-",
	} {
		if p.SetName([]byte(path)); string(p.Name()) != want {
			t.Errorf("%q: name %q, want %q", path, p.Name(), want)
		}
	}
}

func TestDescends(t *testing.T) {
	first, _, h := boot(t)
	a, _ := newProcess(t, first, h)
	b, _ := newProcess(t, a, h)
	c, _ := newProcess(t, first, h)
	for _, tt := range []struct {
		p, q *Process
		want bool
	}{{b, b, true}, {b, a, true}, {b, first, true}, {a, b, false}, {b, c, false}, {first, a, false}} {
		if got := tt.p.Descends(tt.q); got != tt.want {
			t.Errorf("%d of %d: %v", tt.p.ID, tt.q.ID, got)
		}
	}
}

// TestExec: execve(2): handlers go and what is ignored stays, descriptors that are marked so are closed, the alternate stack and the word
// to clear are the old program's, whose memory is given back; who waits in vfork goes on.
func TestExec(t *testing.T) {
	parent, a, h := boot(t)
	Schedule(h)
	p, _ := NewProcess(parent)
	u, _ := a.Clone(p)
	p.Space = parent.Space.Ref()
	u.Start()
	a.Forks(p)
	old, program := new(thing), new(thing)
	p.Program = file.New(old, 0)
	kept, closed := new(thing), new(thing)
	p.Files.Install(file.New(kept, 0), 0, false)
	p.Files.Install(file.New(closed, 0), 0, true)
	*p.Action(10) = Action{Handler: 0x4000, Flags: flagRestart, Mask: One(3)}
	*p.Action(12) = Action{Handler: sigIgnore}
	*u.Alternate() = Stack{Base: heapBase, Size: mem.PageSize}
	u.SetClearID(heapBase)
	u.SetMask(One(3))
	space, _ := vm.NewSpace()
	space.Mmap(vm.Map{Start: heapBase, Size: mem.PageSize, Fixed: true, Prot: vm.Read | vm.Write, MayWrite: true})
	user.StoreUint32(space, heapBase, 99)
	p.Exec(u, space, file.New(program, 0))
	for file.Reap() {
	}
	if p.Space != space || p.Program.Object != file.Object(program) {
		t.Error("not the new space and program")
	}
	if !old.closed || !closed.closed || kept.closed || program.closed {
		t.Errorf("closed: the old program %v, the marked file %v; the other file %v, the new program %v", old.closed, closed.closed, kept.closed, program.closed)
	}
	if *p.Action(10) != (Action{}) || p.Action(12).Handler != sigIgnore {
		t.Errorf("actions %+v and %+v, want the default and to ignore", p.Action(10), p.Action(12))
	}
	if u.mask != One(3) {
		t.Errorf("mask %#x, want that of before", u.mask)
	}
	if u.Alternate().Size != 0 {
		t.Errorf("alternate stack %+v", u.Alternate())
	}
	if a.state != runnable || result(a) != int64(p.ID) {
		t.Errorf("the parent: state %d, result %d, want runnable, %d", a.state, result(a), p.ID)
	}
	second, _ := NewThread(p, h)
	u.Exit(0)
	if v, _ := user.LoadUint32(space, heapBase); v != 99 {
		t.Errorf("the word of the old program was cleared in the new one's memory: %d", v)
	}
	second.Exit(0)
	if _, ok := user.LoadUint32(parent.Space, heapBase); !ok {
		t.Error("the parent's memory is gone")
	}
	for file.Reap() {
	}
}

// TestMemoryIsGivenBack: a program's memory is free when another one is executed in its place, and at its end.
func TestMemoryIsGivenBack(t *testing.T) {
	first, _, h := boot(t)
	Schedule(h)
	for vm.Reap() {
	}
	free := mem.Available()
	p, a := newProcess(t, first, h)
	for i := range uint64(5) {
		user.StoreUint32(p.Space, heapBase+i*mem.PageSize, 1)
	}
	if got := p.Peak(); got < 5 || got > 16 {
		t.Errorf("a peak of %d pages with 5 of data", got)
	}
	peak := p.Peak()
	used := free - mem.Available()
	space, _ := vm.NewSpace()
	p.Exec(a, space, nil)
	for vm.Reap() {
	}
	if got := free - mem.Available(); got >= used-4 {
		t.Errorf("%d pages in use after exec, %d before", got, used)
	}
	p.Kill(h, SIGKILL)
	for vm.Reap() {
	}
	if got := mem.Available(); got != free {
		t.Errorf("%d pages lost", free-got)
	}
	if p.Peak() != peak {
		t.Errorf("peak %d, want %d still", p.Peak(), peak)
	}
}

// TestStatus: wait(2): the low 8 bits of an exit code lie in bits 8 to 15, the number of a signal that killed in the lowest 7.
func TestStatus(t *testing.T) {
	first, _, h := boot(t)
	for _, tt := range []struct {
		end  func(p *Process)
		want int32
	}{
		{func(p *Process) { p.Exit(h, 0) }, 0},
		{func(p *Process) { p.Exit(h, 3) }, 0x300},
		{func(p *Process) { p.Exit(h, -1) }, 0xff00},
		{func(p *Process) { p.Exit(h, 0x1234) }, 0x3400},
		{func(p *Process) { p.Kill(h, SIGSEGV) }, 11},
	} {
		p, _ := newProcess(t, first, h)
		if tt.end(p); p.Status() != tt.want || p.Alive() {
			t.Errorf("status %#x, alive %v, want %#x", p.Status(), p.Alive(), tt.want)
		}
		p.Reap()
	}
}

// TestEndOfInit: the end of process 1 is the system's, with its status; that of another process is not.
func TestEndOfInit(t *testing.T) {
	first, a, h := boot(t)
	var ends []int32
	OnInitExit = func(status int32) { ends = append(ends, status) }
	_, b := newProcess(t, first, h)
	if b.Exit(1); len(ends) != 0 {
		t.Errorf("ended with %v at the end of process %d", ends, b.Process.ID)
	}
	if a.Exit(7); len(ends) != 1 || ends[0] != 0x700 {
		t.Errorf("ended with %#x, want 0x700", ends)
	}
	if first.Alive() || Find(1) != nil {
		t.Error("process 1 is there, though nobody can wait for it")
	}
}

// TestParentIsTold: the end of a child is a SIGCHLD, and an event for who waits; a dead child that process 1 inherits is one for it too.
func TestParentIsTold(t *testing.T) {
	first, a, h := boot(t)
	*first.Action(SIGCHLD) = Action{Handler: handlerPC}
	mid, b := newProcess(t, first, h)
	*mid.Action(SIGCHLD) = Action{Handler: sigIgnore}
	low, c := newProcess(t, mid, h)
	if c.Exit(0); first.pending != 0 || mid.pending != 0 {
		t.Errorf("signals %#x and %#x of a grandchild, and of a child that is ignored", first.pending, mid.pending)
	}
	a.mask = One(SIGCHLD)
	Schedule(h)
	if got, err := a.Wait(low.ID, true); err != abi.ECHILD || got != nil {
		t.Errorf("waited for a grandchild: %v", err)
	}
	a.Wait(-1, true)
	if a.state != blocked {
		t.Fatal("does not wait for its child")
	}
	if b.Exit(0); a.state != runnable || first.pending != One(SIGCHLD) {
		t.Errorf("state %d, pending %#x at the end of the child", a.state, first.pending)
	}
	mid.Reap()
	a.drop()
	if got, err := a.Wait(-1, true); got != low || err != abi.OK || low.Parent != first {
		t.Errorf("%v, %v, want the orphan", got, err)
	}
	low.Reap()
	// An orphan that is dead when process 1 waits for another.
	mid, b = newProcess(t, first, h)
	_, c = newProcess(t, mid, h)
	other, _ := newProcess(t, first, h)
	c.Exit(0)
	a.drop()
	a.state = running
	if a.Wait(-1, true); a.state != blocked {
		t.Fatal("does not wait")
	}
	mid.Parent = other // so that nothing but the orphan tells process 1
	if b.Exit(0); a.state != runnable {
		t.Error("process 1 is not told of the dead orphan")
	}
}

// TestWait: by id, of any, and without hanging.
func TestWait(t *testing.T) {
	first, a, h := boot(t)
	Schedule(h)
	b, _ := newProcess(t, first, h)
	c, ct := newProcess(t, first, h)
	if got, err := a.Wait(-1, false); got != nil || err != abi.OK || a.state != running {
		t.Errorf("none is dead yet: %v, %v, state %d", got, err, a.state)
	}
	if _, err := a.Wait(0, false); err != abi.ECHILD {
		t.Errorf("there is no process 0: %v", err)
	}
	ct.Exit(0)
	if got, err := a.Wait(b.ID, false); got != nil || err != abi.OK {
		t.Errorf("the other one is dead: %v, %v", got, err)
	}
	if got, err := a.Wait(c.ID, false); got != c || err != abi.OK {
		t.Errorf("the dead one: %v, %v", got, err)
	}
	if got, err := a.Wait(-1, true); got != c || err != abi.OK || a.state != running {
		t.Errorf("any: %v, %v", got, err)
	}
}

// TestExecEndsOtherThreads: and only those of its process.
func TestExecEndsOtherThreads(t *testing.T) {
	first, a, h := boot(t)
	p, b := newProcess(t, first, h)
	c, _ := NewThread(p, h)
	space, _ := vm.NewSpace()
	p.Exec(b, space, nil)
	if a.state == dead || b.state == dead || c.state != dead {
		t.Errorf("states %d, %d, %d: want the other thread of the process dead", a.state, b.state, c.state)
	}
	if first.Thread(a.ID) != a || first.Thread(b.ID) != nil || p.Thread(c.ID) != nil {
		t.Error("a process has a thread of another, or one that is dead")
	}
}
