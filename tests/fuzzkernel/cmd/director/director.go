package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"nexus/tests/fuzzkernel/program"
)

const (
	deviceDirectory = 3 // as the kernel gives it to process 1
	executor        = "/bin/executor"

	// patience is how long a program may take, by the guest's clock, before it is killed, and pause how often it is looked at.
	patience = 80 * time.Millisecond
	pause    = 200 * time.Microsecond
	// longestTrap is the most that the kernel may keep the hart, in instructions of a nanosecond. A message of 1024 parts, each over the end of
	// a page, is the longest that is known: 1,166,000.
	longestTrap = 1250 * time.Microsecond
)

// director is what runs programs: the descriptors that they get, and what the kernel's accounts said before the first.
type director struct {
	binary, results     int
	null                int
	accounts, processes int // -1 for none
	before              map[string]int
	watched             watched
	canary              canaryProcess

	plain     bool // it is no process 1 but one without rights, and so are its programs
	alone     bool // programs that are compared with Linux: they get nothing, and their answers are printed
	verbose   int  // 1: tell how each program ended, 2: and what each operation gave
	ran       int
	findings  int
	calls     uint64
	longest   int
	longestBy string
}

func newDirector(plain bool) *director {
	runtime.LockOSThread()
	d := &director{plain: plain, binary: memfd("program"), results: memfd("results"), accounts: -1, processes: -1}
	var err error
	unix.CloseOnExec(deviceDirectory) // or, of a service, what it says readiness to
	if !plain {
		d.processes = openDevice("processes")
		if d.accounts, err = unix.Openat(deviceDirectory, "accounts", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
			fmt.Println("fuzz: the kernel has no accounts: what it loses is not seen")
		}
	}
	time.Sleep(time.Millisecond) // the runtime opens what it waits with
	if d.null, err = unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
		fail("/dev/null", err)
	}
	d.watched = watch()
	d.canary.start()
	d.read() // the longest trap counts from here
	return d
}

func memfd(name string) int {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		fail("memfd", err)
	}
	return fd
}

func openDevice(name string) int {
	fd, err := unix.Openat(deviceDirectory, name, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		fail(name, err)
	}
	return fd
}

// run runs a program and returns the number of calls it made.
func (d *director) run(name string, p *program.Program) uint64 {
	fmt.Printf("fuzz: run %s\n", name)
	d.ran++
	d.load(p.Encode())
	pid := d.begin()
	began := time.Now()
	status, inTime := d.wait(pid)
	d.clean(pid, inTime)
	if d.canary.pid == 0 {
		d.canary.start()
	}
	calls := d.counter(program.ResultCalls)
	d.told(name)
	if inTime && p.Ends() && d.counter(program.ResultEnd) == 0 {
		d.finding(name, fmt.Sprintf("nothing in the program ends it, and it has ended with status %#x", status))
	}
	if d.alone {
		d.answers(name, p)
	}
	if d.verbose > 0 {
		fmt.Printf("fuzz: ran %s: calls %d, status %#x, in time %v, %v\n", name, calls, status, inTime, time.Since(began))
		if d.verbose > 1 {
			d.transcript(p)
		}
	}
	d.load(nil)
	d.calls += calls
	d.check(name)
	return calls
}

func (d *director) load(b []byte) {
	for _, fd := range []int{d.binary, d.results} {
		if err := unix.Ftruncate(fd, 0); err != nil {
			fail("ftruncate", err)
		}
	}
	if b == nil {
		return
	}
	if n, err := unix.Pwrite(d.binary, b, 0); err != nil || n != len(b) {
		fail("program", err)
	}
	if err := unix.Ftruncate(d.results, program.ResultSize); err != nil {
		fail("results", err)
	}
}

// begin starts the executor in a socket namespace's sight, unless there is no right to that, and lets nothing else of this process through.
func (d *director) begin() int {
	files := []uintptr{uintptr(d.binary), uintptr(d.results), ^uintptr(0)}
	if d.alone || d.plain {
		if d.alone {
			files[2] = uintptr(d.null)
		}
		pid, err := syscall.ForkExec(executor, []string{"executor"}, &syscall.ProcAttr{Files: files})
		if err != nil {
			fail(executor, err)
		}
		return pid
	}
	ns := openDevice("socketns")
	serve, err := unix.Openat(ns, "serve", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		fail("serve", err)
	}
	files = append(files, uintptr(ns), uintptr(serve), deviceDirectory)
	pid, err := syscall.ForkExec(executor, []string{"executor"}, &syscall.ProcAttr{Files: files})
	if err != nil {
		fail(executor, err)
	}
	unix.Close(ns)
	unix.Close(serve)
	return pid
}

// wait waits for a process until its time is over, and takes whoever else has ended.
func (d *director) wait(pid int) (status unix.WaitStatus, ended bool) {
	for left := patience; left > 0; left -= pause {
		switch got, err := unix.Wait4(-1, &status, unix.WNOHANG, nil); {
		case err != nil && err != unix.EINTR:
			fail("wait4", err)
		case got == pid:
			return status, true
		case got != 0:
			d.canary.ended(got)
			continue
		}
		t := unix.NsecToTimespec(int64(pause))
		unix.Nanosleep(&t, nil)
	}
	return 0, false
}

// descendants are so many ids from a program's on: there its threads and children are.
const descendants = 2000

// clean ends everybody but this process and the canary, and without a list of processes the program's descendants: those below first, for
// the kernel gives orphans to process 1.
func (d *director) clean(pid int, ended bool) {
	if d.plain {
		for id := pid + descendants; id >= pid; id-- {
			if id != d.canary.pid {
				unix.Kill(id, unix.SIGKILL)
			}
		}
		if !ended {
			d.wait(pid)
		}
		return
	}
	for range 100 {
		others := 0
		for _, u := range d.list() {
			if u.pid != 1 && u.pid != d.canary.pid {
				others++
				unix.Kill(u.pid, unix.SIGKILL)
			}
		}
		for {
			got, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
			if got <= 0 || err != nil {
				break
			}
			d.canary.ended(got)
		}
		if others == 0 {
			return
		}
	}
	d.finding("", "processes that do not end: "+fmt.Sprint(d.list()))
}

// counter is a word of the results' first page.
func (d *director) counter(at int64) uint64 {
	b := make([]byte, 8)
	if _, err := unix.Pread(d.results, b, at); err != nil {
		fail("results", err)
	}
	return binary.LittleEndian.Uint64(b)
}

// told says what the program has found itself.
func (d *director) told(name string) {
	if w := program.Wrong(d.counter(program.ResultWrong)); w != 0 {
		call, got, want := d.counter(program.ResultCall), d.counter(program.ResultGot), d.counter(program.ResultWant)
		d.finding(name, fmt.Sprintf("%s %s: %d, and not %d", callName(int(call)), program.Wrongs[w], int64(got), int64(want)))
	}
	wakes, woken := d.counter(program.ResultWakes), d.counter(program.ResultWoken)
	if d.counter(program.ResultBegun) == d.counter(program.ResultSettled) && d.counter(program.ResultOther) == 0 && wakes != woken {
		d.finding(name, fmt.Sprintf("futex woke %d threads, and %d were woken", wakes, woken))
	}
}

// answers prints the results of all operations in a line.
func (d *director) answers(name string, p *program.Program) {
	b := make([]byte, 8*p.Len())
	if _, err := unix.Pread(d.results, b, program.ResultFirst); err != nil {
		fail("results", err)
	}
	var line strings.Builder
	for at := 0; at < len(b); at += 8 {
		fmt.Fprintf(&line, " %x", binary.LittleEndian.Uint64(b[at:]))
	}
	fmt.Printf("fuzz: answers %s%s\n", name, line.String())
}

// transcript prints each operation that was made with its last result.
func (d *director) transcript(p *program.Program) {
	b := make([]byte, 8)
	n := 0
	for i, list := range p.Lists {
		for _, o := range list {
			if _, err := unix.Pread(d.results, b, int64(program.ResultFirst+8*n)); err != nil {
				fail("results", err)
			}
			n++
			fmt.Printf("fuzz:   %d: %s -> %#x\n", i, o, int64(binary.LittleEndian.Uint64(b)))
		}
	}
}

// usage is a line of the kernel's list of processes.
type usage struct {
	pid, rss, tables, areas, threads int
}

func text(fd int) string {
	b := make([]byte, 16384)
	n, err := unix.Pread(fd, b, 0)
	if err != nil {
		fail("accounts", err)
	}
	return string(b[:n])
}

func (d *director) list() (all []usage) {
	for line := range strings.Lines(text(d.processes)) {
		fields := strings.Fields(line)
		if len(fields) < 4 {
			continue
		}
		var u usage
		u.pid, _ = strconv.Atoi(fields[0])
		for _, f := range fields[2:] {
			name, value, ok := strings.Cut(f, "=")
			n, err := strconv.Atoi(value)
			if !ok || err != nil {
				continue
			}
			switch name {
			case "rss":
				u.rss = n
			case "tables":
				u.tables = n
			case "areas":
				u.areas = n
			case "threads":
				u.threads = n
			}
		}
		all = append(all, u)
	}
	return all
}

// read returns the kernel's accounts, if it has some, without what the living processes may hold: then it is always the same.
func (d *director) read() map[string]int {
	m := make(map[string]int)
	if d.accounts < 0 {
		return m
	}
	for line := range strings.Lines(text(d.accounts)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		m[name], _ = strconv.Atoi(value)
	}
	for _, u := range d.list() {
		m["free-pages"] += (u.rss + u.tables) / 4
		m["areas"] -= u.areas
		m["threads"] -= u.threads
	}
	return m
}

// check compares the accounts with what they were.
func (d *director) check(name string) {
	now := d.read()
	for range 8 {
		if d.before != nil && same(now, d.before) {
			break
		}
		// The canary may have been in the middle of something: let it wait again.
		t := unix.NsecToTimespec(1_300_000)
		unix.Nanosleep(&t, nil)
		trap := now
		now = d.read()
		if trap["trap-ns"] > now["trap-ns"] {
			now["trap-ns"], now["trap-cause"], now["trap-call"] = trap["trap-ns"], trap["trap-cause"], trap["trap-call"]
		}
	}
	trap := now["trap-ns"]
	if trap > d.longest {
		d.longest = trap
		d.longestBy = fmt.Sprintf("%s in %s (cause %d)", callName(now["trap-call"]), name, now["trap-cause"])
	}
	if trap > int(longestTrap) {
		d.finding(name, fmt.Sprintf("a trap of %d ns, cause %d, call %s", trap, now["trap-cause"], callName(now["trap-call"])))
	}
	for _, k := range []string{"trap-ns", "trap-cause", "trap-call"} {
		delete(now, k)
	}
	if d.before == nil {
		d.before = now // after the first program, which is empty
		return
	}
	for k, was := range d.before {
		switch {
		case now[k] > was:
			d.finding(name, fmt.Sprintf("%s: more than before: %d, was %d", k, now[k], was))
		case now[k] < was:
			d.finding(name, fmt.Sprintf("%s: less than before: %d, was %d", k, now[k], was))
		}
	}
	d.before = now
	d.canary.check(d, name)
}

func same(a, b map[string]int) bool {
	for k, v := range b {
		if a[k] != v {
			return false
		}
	}
	return true
}

func callName(n int) string {
	if s := program.Calls[uint16(n)]; s != "" {
		return s
	}
	return strconv.Itoa(n)
}

func (d *director) finding(name, what string) {
	d.findings++
	fmt.Printf("fuzz: finding %s: %s\n", name, what)
}

// finish ends the machine; beside the system it stays, for a service's end would be that one's.
func (d *director) finish() {
	if d.verbose > 0 && !d.plain {
		fmt.Print(text(d.processes))
	}
	fmt.Printf("fuzz: done: programs %d, calls %d, findings %d\n", d.ran, d.calls, d.findings)
	for d.plain {
		time.Sleep(time.Hour)
	}
	if d.findings > 0 {
		os.Exit(3)
	}
	os.Exit(0)
}
