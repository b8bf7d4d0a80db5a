// Package proc is processes and threads: who runs, who waits for what, and how one is told of events (signals, time-outs,
// the death of a child).
//
// The kernel is entered with one big lock held and is not preempted. A system call never sleeps inside the kernel: a thread that
// must wait is put on a queue with its program counter still on the ECALL, and makes the call again when it is woken. One that has much
// to do does it in pieces, in the same way. call.go has the picture.
package proc

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/arch"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/vm"
	"nexus/source/kernel/neuron/internal/wait"
)

// MaxProcesses and MaxThreads bound the system (EAGAIN).
const (
	MaxProcesses = 64
	MaxThreads   = 1024
)

// MaxPath is the longest path, with its NUL.
const MaxPath = 256

// NameLength is the longest process name that is kept.
const NameLength = 15

type processState uint8

const (
	unused processState = iota
	alive
	zombie // dead, but its parent has not heard yet
)

// A Process is a program in execution: an address space, descriptors, and threads.
type Process struct {
	ID     int
	Parent *Process
	Space  *vm.Space
	Files  file.Table

	cpu     uint64 // ticks
	pending SignalSet

	// Program is the file that it executes (/proc/self/exe); always referenced while the process lives.
	Program *file.File
	// SignalReturn is the address of the vDSO's return from handlers.
	SignalReturn uint64
	// Directory is the working directory, a clean path.
	Directory       [MaxPath]byte
	DirectoryLength int

	name     [NameLength]byte
	nameLen  int
	state    processState
	threads  int
	actions  [signals + 1]Action
	status   int32      // as wait4 tells it
	children wait.Queue // told when a child dies
	// forker waits in vfork until this process executes or ends.
	forker *Thread
	peak   int // pages
}

var (
	processes [MaxProcesses]Process
	lastID    int
)

// OnInitExit is called when process 1 has ended, with its status word, and does not return.
var OnInitExit func(status int32)

// Console prints a line about a process that the kernel ends: why, the address it is about, and the program counter.
// Set once at boot.
var Console func(p *Process, why string, address, pc uint64)

func newID() int {
	lastID++
	return lastID
}

// NewProcess returns a process without threads; EAGAIN if there are too many.
func NewProcess(parent *Process) (*Process, abi.Errno) {
	for i := range processes {
		p := &processes[i]
		if p.state == unused {
			*p = Process{ID: newID(), Parent: parent, state: alive, DirectoryLength: 1}
			p.Directory[0] = '/'
			if parent != nil {
				p.Directory, p.DirectoryLength = parent.Directory, parent.DirectoryLength
				p.actions = parent.actions
				p.SignalReturn = parent.SignalReturn
				p.name, p.nameLen = parent.name, parent.nameLen
			}
			return p, abi.OK
		}
	}
	return nil, abi.EAGAIN
}

// Find is the process with this id, or nil.
func Find(id int) *Process {
	for i := range processes {
		if p := &processes[i]; p.state != unused && p.ID == id {
			return p
		}
	}
	return nil
}

// At is the process in place i of the table, or nil; i runs from 0 to MaxProcesses-1.
func At(i int) *Process {
	if p := &processes[i]; p.state == alive {
		return p
	}
	return nil
}

// Name is the last part of the path that the process executes.
func (p *Process) Name() []byte { return p.name[:p.nameLen] }

// SetName takes the last part of path.
func (p *Process) SetName(path []byte) {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '/' {
			path = path[i+1:]
			break
		}
	}
	p.nameLen = copy(p.name[:], path)
}

// CPU is the processor time of the process, in ticks.
func (p *Process) CPU() uint64 { return p.cpu }

// Alive reports whether p is not dead yet.
func (p *Process) Alive() bool { return p.state == alive }

// Thread is the thread of p with this id, or nil.
func (p *Process) Thread(id int) *Thread {
	for i := range threads {
		if t := &threads[i]; t.state != dead && t.Process == p && t.ID == id {
			return t
		}
	}
	return nil
}

// Descends reports whether p is q or a descendant of it.
func (p *Process) Descends(q *Process) bool {
	for ; p != nil; p = p.Parent {
		if p == q {
			return true
		}
	}
	return false
}

// Peak is the most memory of its own that the process ever held, in pages.
func (p *Process) Peak() int {
	if p.Space != nil {
		p.peak = max(p.peak, p.Space.Peak())
	}
	return p.peak
}

// Exec gives the process a new program in a new space, whose reference and program's are taken over. Every other thread ends.
func (p *Process) Exec(t *Thread, s *vm.Space, program *file.File) {
	for i := range threads {
		if o := &threads[i]; o.state != dead && o.Process == p && o != t {
			o.end()
		}
	}
	t.release()
	old := p.Space
	p.Space, p.Program = s, swapFile(p.Program, program)
	if old != nil {
		old.Release(t.Hart)
	}
	p.Files.Exec()
	for i := range p.actions {
		if p.actions[i].Handler != sigIgnore {
			p.actions[i].Handler = sigDefault
		}
		p.actions[i].Flags, p.actions[i].Mask = 0, 0
	}
	t.ID = p.ID // the first thread's, which has ended if it was another
	t.alternate = Stack{Flags: StackDisable}
	p.releaseForker()
}

func swapFile(old, new *file.File) *file.File {
	if old != nil {
		old.Release()
	}
	return new
}

// releaseForker lets the thread go on that made this process with vfork.
func (p *Process) releaseForker() {
	if f := p.forker; f != nil {
		p.forker, f.forked = nil, nil
		f.Finish(int64(p.ID), abi.OK)
	}
}

// Exit status words of wait4 (wait(2)).
func exited(code int32) int32   { return code & 0xff << 8 }
func killed(signal int32) int32 { return signal }

// Exit ends the process with an exit code.
func (p *Process) Exit(h *arch.Hart, code int32) { p.finish(h, exited(code)) }

// Kill ends the process by a signal.
func (p *Process) Kill(h *arch.Hart, signal int32) { p.finish(h, killed(signal)) }

func (p *Process) finish(h *arch.Hart, status int32) {
	p.Peak()
	for i := range threads {
		if t := &threads[i]; t.state != dead && t.Process == p {
			t.end()
		}
	}
	if p.threads != 0 {
		panic("proc: a process ends, and not all of its threads")
	}
	p.children.Gone()
	p.Files.Clear()
	p.Program = swapFile(p.Program, nil)
	p.releaseForker()
	if p.Space != nil {
		p.Space.Release(h)
		p.Space = nil
	}
	p.state, p.status = zombie, status
	if p.ID == 1 {
		OnInitExit(status)
	}
	p.orphan()
	if p.Parent == nil {
		p.state = unused
		return
	}
	p.Parent.children.Notify(abi.EPOLLIN)
	p.Parent.Signal(SIGCHLD)
}

// orphan gives the children of p to process 1.
func (p *Process) orphan() {
	first := Find(1)
	for i := range processes {
		c := &processes[i]
		if c.state == unused || c.Parent != p {
			continue
		}
		c.Parent = first
		if c.state == zombie {
			first.children.Notify(abi.EPOLLIN)
		}
	}
}

// Wait finds a dead child of t's process: the one with this id, or any for id < 0. ECHILD if there is no such child;
// with none dead yet t waits, or child is nil if hang is false.
func (t *Thread) Wait(id int, hang bool) (child *Process, err abi.Errno) {
	any := false
	for i := range processes {
		c := &processes[i]
		if c.state == unused || c.Parent != t.Process || id >= 0 && c.ID != id {
			continue
		}
		any = true
		if c.state == zombie {
			t.closing = true // what the child had open is closed before its end is told
			return c, abi.OK
		}
	}
	switch {
	case !any:
		return nil, abi.ECHILD
	case !hang:
		return nil, abi.OK
	}
	return nil, t.Block(&t.Process.children, abi.EPOLLIN)
}

// Status is the status word of a dead process.
func (p *Process) Status() int32 { return p.status }

// Reap frees a dead process's place.
func (p *Process) Reap() { p.state = unused }
