package syscall

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/arch"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/proc"
	"nexus/source/kernel/neuron/internal/random"
	"nexus/source/kernel/neuron/internal/vm"
)

const (
	nrExit, nrExitGroup, nrSetTidAddress   = 93, 94, 96
	nrSchedYield, nrGetaffinity            = 124, 123
	nrUname, nrGetpid, nrGetppid, nrGettid = 160, 172, 173, 178
	nrClone, nrWait4, nrPrlimit64          = 220, 260, 261
	nrGetrandom, nrHwprobe                 = 278, 258
	threadFlags                            = cloneVM | cloneFS | cloneFiles | cloneSighand | cloneThread
	vforkFlags                             = cloneVM | cloneVfork | proc.SIGCHLD
)

// runs is the thread that runs next.
func (p *caller) runs() *caller {
	return &caller{p.t, p.hart, proc.Current(proc.Schedule(p.hart)), p.free}
}

// TestIdentity: getpid(2), gettid(2), set_tid_address(2): a process is named by its first thread.
func TestIdentity(t *testing.T) {
	p := start(t)
	c, o := p.child(), p.second()
	if pid, tid, set := p.must(nrGetpid), p.must(nrGettid), p.must(nrSetTidAddress, 0); pid != int64(p.thread.Process.ID) || tid != pid || set != pid {
		t.Errorf("process %d, thread %d, %d, want %d", pid, tid, set, p.thread.Process.ID)
	}
	if pid, tid := o.must(nrGetpid), o.must(nrGettid); pid != p.must(nrGetpid) || tid == pid || tid != int64(o.thread.ID) {
		t.Errorf("the other thread: process %d, thread %d", pid, tid)
	}
	if parent, own := c.must(nrGetppid), p.must(nrGetppid); parent != p.must(nrGetpid) || own != 0 {
		t.Errorf("parents %d and %d, want %d and none", parent, own, p.must(nrGetpid))
	}
}

// TestCloneThread: clone(2) of a thread: its stack, thread pointer and words for its id, each if asked for.
func TestCloneThread(t *testing.T) {
	p := start(t)
	p.thread.X[arch.TP] = 0x77
	sp := p.thread.X[arch.SP]
	parent, child, clear := p.room(8), p.room(8), p.room(8)
	for _, tt := range []struct {
		flags, stack                 uint64
		sp, tp                       uint64
		tellParent, tellChild, clear bool
	}{
		{0, 0, sp, 0x77, false, false, false},
		{cloneSysvsem, base + 4096, base + 4096, 0x77, false, false, false},
		{cloneSettls, base + 4096, base + 4096, 0x1234, false, false, false},
		{cloneParentSettid, 0, sp, 0x77, true, false, false},
		{cloneChildSettid, 0, sp, 0x77, false, true, false},
		{cloneChildClear, 0, sp, 0x77, false, false, true},
	} {
		p.thread.Memory().Store(parent, make([]byte, 8))
		p.thread.Memory().Store(child, make([]byte, 8))
		p.thread.Memory().Store(clear, []byte{9, 9, 9, 9})
		word := child
		if tt.clear {
			word = clear
		}
		id := p.must(nrClone, threadFlags|tt.flags, tt.stack, parent, 0x1234, word)
		u := p.thread.Process.Thread(int(id))
		if u == nil || u == p.thread {
			t.Fatalf("flags %#x: no thread %d", tt.flags, id)
		}
		told := map[bool]uint32{true: uint32(id)}
		if u.X[arch.SP] != tt.sp || u.X[arch.TP] != tt.tp || u.X[arch.A0] != 0 || u.X[arch.PC] != p.thread.X[arch.PC] {
			t.Errorf("flags %#x: sp %#x, tp %#x, a0 %d, pc %#x", tt.flags, u.X[arch.SP], u.X[arch.TP], u.X[arch.A0], u.X[arch.PC])
		}
		if p.word(parent) != told[tt.tellParent] || p.word(child) != told[tt.tellChild] {
			t.Errorf("flags %#x: told %d and %d, id %d", tt.flags, p.word(parent), p.word(child), id)
		}
		if u.Exit(0); (p.word(clear) == 0) != tt.clear {
			t.Errorf("flags %#x: the word is %#x after the thread's end", tt.flags, p.word(clear))
		}
	}
	for _, flags := range []uint64{
		proc.SIGCHLD, cloneVM | proc.SIGCHLD, cloneVfork | proc.SIGCHLD, cloneVM | cloneVfork, threadFlags &^ cloneVM, threadFlags &^ cloneThread,
		threadFlags | 0x20000000, vforkFlags | 0x20000000, threadFlags | proc.SIGCHLD,
	} {
		p.want(abi.ENOSYS, "another kind of clone", nrClone, flags, 0, 0, 0, 0)
	}
}

// TestVfork: vfork(2): the parent sleeps until the child, which has its memory and copies of its descriptors, has ended.
func TestVfork(t *testing.T) {
	p := start(t)
	p.thread.Process.Program = file.New(new(proc0), 0)
	r, w := p.pipe()
	status, word := p.room(8), p.room(8)
	if _, _, blocked := p.call(nrClone, vforkFlags|cloneChildSettid, 0, 0, 0, word); !blocked {
		t.Fatal("the parent goes on beside its child")
	}
	c := p.runs()
	if c.thread.Process == p.thread.Process || c.must(nrGetppid) != int64(p.thread.Process.ID) || c.thread.X[arch.SP] != p.thread.X[arch.SP] {
		t.Fatal("not a child")
	}
	if p.word(word) != uint32(c.thread.ID) {
		t.Errorf("child %d is told %d", c.thread.ID, p.word(word))
	}
	c.must(nrWrite, w, c.put('x'), 1)
	c.must(nrClose, w)
	id := c.thread.Process.ID
	c.thread.X[arch.A7], c.thread.X[arch.A0] = nrExitGroup, 7
	Handle(c.thread)
	if proc.Schedule(p.hart) != &p.thread.Context || int(p.thread.X[arch.A0]) != id {
		t.Fatalf("the parent: %d, want %d", p.thread.X[arch.A0], id)
	}
	if got := p.must(nrWait4, uint64(id), status, 0, 0); int(got) != id || p.word(status) != 7<<8 {
		t.Errorf("wait4: %d, status %#x, want %d, 0x700", got, p.word(status), id)
	}
	p.must(nrWrite, w, p.put('y'), 1)
	if n := p.must(nrRead, r, p.room(8), 8); n != 2 {
		t.Errorf("%d bytes in the pipe, want the child's and the parent's", n)
	}
	p.want(abi.ECHILD, "wait4 without children", nrWait4, 1<<64-1, 0, 0, 0)
}

// proc0 is a program's file.
type proc0 struct{ file.Defaults }

func (*proc0) Stat(*abi.Stat) {}

// TestVforkWithoutRoom: without a place for another process nothing is left behind.
func TestVforkWithoutRoom(t *testing.T) {
	p := start(t)
	p.thread.Process.Program = file.New(new(proc0), 0)
	p.pipe()
	var all []*proc.Process
	for {
		c, err := proc.NewProcess(p.thread.Process)
		if err != abi.OK {
			break
		}
		all = append(all, c)
	}
	p.want(abi.EAGAIN, "one process too many", nrClone, vforkFlags, 0, 0, 0, 0)
	for _, c := range all {
		c.Reap()
	}
	var threads []*proc.Thread
	for {
		u, err := proc.NewThread(p.thread.Process, p.hart)
		if err != abi.OK {
			break
		}
		threads = append(threads, u)
	}
	processes, _, _, _ := proc.Counts()
	p.want(abi.EAGAIN, "one thread too many", nrClone, threadFlags, 0, 0, 0, 0)
	p.want(abi.EAGAIN, "a process without a thread", nrClone, vforkFlags, 0, 0, 0, 0)
	if now, _, _, _ := proc.Counts(); now != processes {
		t.Errorf("%d processes, want %d", now, processes)
	}
	for _, u := range threads {
		u.Exit(0)
	}
}

// TestWait4: wait(2): which child, its status, and the struct rusage of getrusage(2).
func TestWait4(t *testing.T) {
	p := start(t)
	status, usage := p.room(8), p.room(144)
	a, b := p.child(), p.child()
	first, second := uint64(a.thread.Process.ID), uint64(b.thread.Process.ID)
	p.want(abi.EINVAL, "unknown options", nrWait4, first, status, 2<<4, 0)
	p.want(abi.ECHILD, "a group", nrWait4, 1<<64-2, status, 0, 0)
	p.want(abi.ECHILD, "a stranger", nrWait4, 999, status, 0, 0)
	if got := p.must(nrWait4, first, status, waitNoHang, usage); got != 0 {
		t.Errorf("WNOHANG: %d, want 0", got)
	}
	if got := p.must(nrWait4, 0, status, waitNoHang|2|8|0x80000000, 0); got != 0 { // the others are options too
		t.Errorf("WNOHANG: %d, want 0", got)
	}
	a.thread.Start()
	if _, _, blocked := p.call(nrWait4, first, status, 0, usage); !blocked {
		t.Fatal("does not wait")
	}
	if p.runs().thread != a.thread {
		t.Fatal("the child does not run")
	}
	arch.Host.Time += 12_345_678 // 1.2345678 s
	a.thread.Process.Kill(p.hart, 15)
	b.thread.Exit(3)
	got, err, blocked := p.woken()
	if uint64(got) != first || err != abi.OK || blocked || p.word(status) != 15 {
		t.Errorf("%d, %v, status %#x, want %d killed by 15", got, err, p.word(status), first)
	}
	if s, us, peak := p.long(usage), p.long(usage+8), p.long(usage+32); s != 1 || us != 234567 || peak == 0 || peak > 4*pages || peak%4 != 0 {
		t.Errorf("usage %d s, %d µs, %d KiB", s, us, peak)
	}
	p.want(abi.EFAULT, "a status nowhere", nrWait4, second, nowhere, 0, 0)
	p.want(abi.EFAULT, "a usage nowhere", nrWait4, 1<<64-1, 0, 0, nowhere)
	if got := p.must(nrWait4, 0, status, 0, 0); uint64(got) != second || p.word(status) != 0x300 {
		t.Errorf("%d, status %#x, want %d with 3", got, p.word(status), second)
	}
	p.want(abi.ECHILD, "no more children", nrWait4, 1<<64-1, 0, 0, 0)
}

// TestWaitid: waitid(2) and its siginfo.
func TestWaitid(t *testing.T) {
	p := start(t)
	info, usage := p.room(128), p.room(144)
	a, b := p.child(), p.child()
	first := uint64(a.thread.Process.ID)
	p.want(abi.EINVAL, "without WEXITED", nrWaitid, waitAll, 0, info, waitNoHang, 0)
	p.want(abi.EINVAL, "a group", nrWaitid, 2, first, info, waitExited, 0)
	p.want(abi.ECHILD, "a stranger", nrWaitid, waitPid, 999, info, waitExited, 0)
	p.thread.Memory().Store(info, slices.Repeat([]byte{9}, 128))
	p.must(nrWaitid, waitPid, first, info, waitExited|waitNoHang, usage)
	if p.word(info) != 0 || p.word(info+16) != 0 || p.long(usage) != 0 {
		t.Errorf("nobody is dead: signal %d, process %d", p.word(info), p.word(info+16))
	}
	want := func(what string, id uint64, code, status uint32) {
		t.Helper()
		if p.word(info) != proc.SIGCHLD || p.word(info+8) != code || uint64(p.word(info+16)) != id || p.word(info+24) != status {
			t.Errorf("%s: signal %d, code %d, process %d, status %d, want %d, %d, %d, %d", what, p.word(info), p.word(info+8), p.word(info+16),
				p.word(info+24), proc.SIGCHLD, code, id, status)
		}
	}
	a.thread.Exit(5)
	for range 2 {
		p.must(nrWaitid, waitPid, first, info, waitExited|waitNoReap, usage)
		want("WNOWAIT", first, siChldExit, 5)
	}
	p.want(abi.EFAULT, "siginfo nowhere", nrWaitid, waitPid, first, nowhere, waitExited, 0)
	p.want(abi.EFAULT, "a usage nowhere", nrWaitid, waitPid, first, info, waitExited, nowhere)
	p.must(nrWaitid, waitPid, first, info, waitExited, 0)
	want("exited", first, siChldExit, 5)
	p.want(abi.ECHILD, "twice", nrWaitid, waitPid, first, info, waitExited, 0)
	b.thread.Process.Kill(p.hart, 11)
	p.must(nrWaitid, waitAll, 0, info, waitExited, 0)
	want("killed", uint64(b.thread.Process.ID), siChldKill, 11)
	c := p.child()
	c.thread.Exit(0)
	p.must(nrWaitid, waitAll, 0, 0, waitExited, 0)
	p.want(abi.ECHILD, "no more children", nrWaitid, waitAll, 0, info, waitExited, 0)
}

// TestExits: exit(2) ends one thread, exit_group(2) all of them.
func TestExits(t *testing.T) {
	p := start(t)
	o := p.second()
	if _, _, blocked := o.call(nrExit, 3); !blocked || !p.thread.Process.Alive() || p.thread.Process.Threads() != 1 {
		t.Errorf("alive %v, %d threads after the end of one", p.thread.Process.Alive(), p.thread.Process.Threads())
	}
	c := p.child()
	c2 := c.second()
	if _, _, blocked := c2.call(nrExitGroup, 4); !blocked || c.thread.Process.Alive() || c.thread.Process.Status() != 4<<8 {
		t.Errorf("alive %v, status %#x", c.thread.Process.Alive(), c.thread.Process.Status())
	}
}

// TestLimits: prlimit(2): limits are fixed: to set what they are is no change, all else is not allowed.
func TestLimits(t *testing.T) {
	p := start(t)
	old := p.room(16)
	for kind, want := range map[uint64]uint64{0: ^uint64(0), 3: vm.StackSize, 6: proc.MaxThreads, 7: file.MaxDescriptors, 9: ^uint64(0), 15: ^uint64(0)} {
		for _, id := range []uint64{0, uint64(p.thread.Process.ID)} {
			p.must(nrPrlimit64, id, kind, p.words(want, want), old)
			if p.long(old) != want || p.long(old+8) != want {
				t.Errorf("limit %d: %d and %d, want %d", kind, p.long(old), p.long(old+8), want)
			}
		}
		p.want(abi.EPERM, "another soft limit", nrPrlimit64, 0, kind, p.words(want-1, want), 0)
		p.want(abi.EPERM, "another hard limit", nrPrlimit64, 0, kind, p.words(want, want-1), 0)
	}
	p.must(nrPrlimit64, 0, 7, 0, 0)
	p.want(abi.EINVAL, "a kind that is none", nrPrlimit64, 0, 16, 0, old)
	p.want(abi.ESRCH, "nobody's", nrPrlimit64, 999, 7, 0, old)
	other, _ := proc.NewProcess(nil)
	p.want(abi.EPERM, "another process", nrPrlimit64, uint64(other.ID), 7, 0, old)
	other.Reap()
	p.want(abi.EFAULT, "new limits nowhere", nrPrlimit64, 0, 7, nowhere, 0)
	p.want(abi.EFAULT, "half of them", nrPrlimit64, 0, 7, base+pages*4096-8, 0)
	p.want(abi.EFAULT, "old limits nowhere", nrPrlimit64, 0, 7, 0, nowhere)
	p.want(abi.EFAULT, "half of them", nrPrlimit64, 0, 7, 0, base+pages*4096-8)
}

// TestMachine: uname(2) and sched_getaffinity(2) of one processor.
func TestMachine(t *testing.T) {
	p := start(t)
	at := p.put(slices.Repeat([]byte{9}, 400)...)
	p.must(nrUname, at)
	b := p.bytes(at, 400)
	for i, want := range []string{"Linux", "nexus", "5.4.0-neuron", "neuron", "riscv64", "(none)"} {
		if field := b[65*i : 65*(i+1)]; strings.TrimRight(string(field), "\x00") != want {
			t.Errorf("field %d is %q, want %q", i, field, want)
		}
	}
	if b[6*65] != 9 {
		t.Error("more than struct utsname is written")
	}
	p.want(abi.EFAULT, "nowhere", nrUname, nowhere)
	p.thread.Memory().Store(at, slices.Repeat([]byte{9}, 16))
	if n := p.must(nrGetaffinity, 0, 8, at); n != 8 || p.long(at) != 1 || p.long(at+8) != 0x0909090909090909 {
		t.Errorf("%d bytes, %#x, want 8 bytes with processor 0", n, p.long(at))
	}
	if n := p.must(nrGetaffinity, 0, 128, at); n != 8 {
		t.Errorf("%d bytes, want 8", n)
	}
	p.want(abi.EINVAL, "a short set", nrGetaffinity, 0, 4, at)
	p.want(abi.EINVAL, "an empty set", nrGetaffinity, 0, 0, at)
	p.want(abi.EINVAL, "a set of no whole words", nrGetaffinity, 0, 12, at)
	p.want(abi.EFAULT, "nowhere", nrGetaffinity, 0, 8, nowhere)
}

// TestGetrandom: getrandom(2): it waits for a seed unless it must not, or need not; a signal ends a long one with what there is.
func TestGetrandom(t *testing.T) {
	const size = 64 << 10
	p := start(t)
	at := p.room(size)
	p.want(abi.EINVAL, "unknown flags", nrGetrandom, at, 16, 8)
	p.want(abi.EINVAL, "random and insecure", nrGetrandom, at, 16, grndRandom|grndInsecure)
	if !random.Seeded() { // a seed is for good: not in another run of the test
		p.want(abi.EAGAIN, "without a seed", nrGetrandom, at, 16, grndNonblock)
		if n := p.must(nrGetrandom, at, 16, grndInsecure); n != 16 {
			t.Errorf("insecure: %d", n)
		}
		if _, _, blocked := p.call(nrGetrandom, at, 16, 0); !blocked {
			t.Fatal("random bytes without a seed")
		}
		random.Seed(make([]byte, random.SeedSize))
		if n, err, blocked := p.woken(); n != 16 || err != abi.OK || blocked {
			t.Errorf("seeded: %d, %v, asleep %v", n, err, blocked)
		}
	}
	for _, flags := range []uint64{0, grndNonblock, grndRandom, grndInsecure} {
		p.thread.Memory().Store(at, make([]byte, 24))
		if n := p.must(nrGetrandom, at, 16, flags); n != 16 || p.long(at) == 0 || p.long(at+8) == 0 || p.long(at+16) != 0 {
			t.Errorf("flags %d: %d bytes: % x", flags, n, p.bytes(at, 24))
		}
	}
	if n := p.must(nrGetrandom, at, 0, 0); n != 0 {
		t.Errorf("no bytes: %d", n)
	}
	p.want(abi.EFAULT, "nowhere", nrGetrandom, nowhere, 16, 0)
	if _, _, blocked := p.call(nrGetrandom, at, size, 0); !blocked {
		t.Fatal("64 KiB in one piece")
	}
	if n, err, pieces := p.finish(); n != size || err != abi.OK || pieces < 4 {
		t.Errorf("%d, %v in %d pieces", n, err, pieces)
	}
	p.call(nrGetrandom, at, size, 0)
	*p.thread.Process.Action(signalNumber) = proc.Action{Handler: handlerPC}
	p.thread.Signal(signalNumber)
	if n, err, blocked := p.woken(); n <= 0 || n >= size || err != abi.OK || blocked {
		t.Errorf("with a signal: %d, %v, asleep %v, want a part", n, err, blocked)
	}
}

// TestHwprobe: riscv_hwprobe: values of known keys, key -1 and value 0 in place of others, as many pairs as one asks for.
func TestHwprobe(t *testing.T) {
	p := start(t)
	for vector, extensions := range map[uint64]uint64{0: 3, 16: 7} {
		old := arch.CPU.VectorBytes
		arch.CPU.VectorBytes = vector
		pairs := p.words(3, 9, 4, 9, 7, 9, 8, 9, 99, 9, 5, 9)
		p.must(nrHwprobe, pairs, 5, 0, 0, 0)
		arch.CPU.VectorBytes = old
		for i, want := range []uint64{3, 1, 4, extensions, 7, vm.UserEnd - 1, 8, 10_000_000, ^uint64(0), 0, 5, 9} {
			if got := p.long(pairs + 8*uint64(i)); got != want {
				t.Errorf("word %d is %#x, want %#x", i, got, want)
			}
		}
	}
	p.must(nrHwprobe, nowhere, 0, 0, 0, 0)
	p.want(abi.EINVAL, "flags", nrHwprobe, p.words(3, 0), 1, 0, 0, 1)
	p.want(abi.EFAULT, "pairs nowhere", nrHwprobe, nowhere, 1, 0, 0, 0)
	p.want(abi.EFAULT, "a key without a value", nrHwprobe, base+pages*4096-8, 1, 0, 0, 0)
	const many = 1000
	var b []byte
	for range many {
		b = binary.LittleEndian.AppendUint64(b, 3)
		b = binary.LittleEndian.AppendUint64(b, 0)
	}
	pairs := p.put(append(b, b[:16]...)...)
	_, _, blocked := p.call(nrHwprobe, pairs, many, 0, 0, 0)
	if _, err, pieces := p.finish(); !blocked || err != abi.OK || pieces != 4 {
		t.Errorf("%v in %d pieces", err, pieces)
	}
	for i := range uint64(many + 1) {
		if got, want := p.long(pairs+16*i+8), map[bool]uint64{true: 1}[i < many]; got != want {
			t.Fatalf("pair %d: value %d, want %d", i, got, want)
		}
	}
}
