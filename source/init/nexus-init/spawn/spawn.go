// Package spawn starts programs with exactly the descriptors they are meant to
// have, inside a socket namespace or outside, and tells how they ended.
//
// It stays below os.StartProcess on purpose: that one probes for pidfds with a
// child of its own, which costs a process at every boot, and gives a child the
// caller's environment unless told otherwise.
package spawn

import (
	"errors"
	"runtime"
	"strconv"
	"syscall"
)

// Program is what to start.
type Program struct {
	Path        string
	Arguments   []string  // Arguments[0] is the program's name
	Environment []string  // all of it
	Descriptors []uintptr // descriptors 0, 1, 2 ... of the program; no other is open in it
}

// Start starts p and returns its process id. When it returns without an error
// the program has been executed; an error is that of the exec.
func Start(p Program) (pid int, err error) {
	return syscall.ForkExec(p.Path, p.Arguments, &syscall.ProcAttr{
		Env:   p.Environment,
		Files: p.Descriptors,
	})
}

// ErrClosed says that a namespace was used after Close.
var ErrClosed = errors.New("the socket namespace is closed")

// Namespace starts programs inside a socket namespace. A namespace belongs to a
// thread, and a program gets that of the thread which starts it, so each
// Namespace keeps one thread that has entered it and never leaves.
type Namespace struct {
	programs chan Program
	results  chan result
}

type result struct {
	pid int
	err error
}

// Enter makes a Namespace whose thread has called enter. It returns enter's error.
func Enter(enter func() error) (*Namespace, error) {
	n := &Namespace{programs: make(chan Program), results: make(chan result)}
	go n.run(enter)
	first := <-n.results
	if first.err != nil {
		return nil, first.err
	}
	return n, nil
}

// run is the thread. It returns locked, whereupon the runtime ends the thread:
// no other goroutine may ever run inside the namespace.
func (n *Namespace) run(enter func() error) {
	runtime.LockOSThread()
	err := enter()
	n.results <- result{err: err}
	if err != nil {
		return
	}
	for p := range n.programs {
		pid, err := Start(p)
		n.results <- result{pid, err}
	}
}

// Start is Start inside the namespace. It must not be called concurrently.
func (n *Namespace) Start(p Program) (pid int, err error) {
	if n.programs == nil {
		return 0, ErrClosed
	}
	n.programs <- p
	r := <-n.results
	return r.pid, r.err
}

// Close ends the thread. Programs that were started live on in the namespace.
func (n *Namespace) Close() {
	if n.programs != nil {
		close(n.programs)
		n.programs = nil
	}
}

// Exit is the end of a child, or Err why no end can be told.
type Exit struct {
	PID    int
	Status syscall.WaitStatus
	Err    error
}

// Describe says how a process ended, for the console.
func Describe(status syscall.WaitStatus) string {
	switch {
	case status.Exited():
		return "exited with status " + strconv.Itoa(status.ExitStatus())
	case status.Signaled():
		signal := status.Signal()
		return "was killed by signal " + strconv.Itoa(int(signal)) + " (" + signal.String() + ")"
	default:
		return "ended with wait status " + strconv.Itoa(int(status))
	}
}

// Reaper collects the ends of all children of this process, also of those that
// became its children because their parent died. There can be one only.
type Reaper struct {
	exits   chan Exit
	started chan struct{}
}

// NewReaper returns a Reaper for at most limit children.
func NewReaper(limit int) *Reaper {
	r := &Reaper{exits: make(chan Exit, limit), started: make(chan struct{}, limit)}
	go r.run()
	return r
}

// Started tells the reaper that there is one more child to wait for. It is also
// to be called for each Exit of a process that nobody here started.
func (r *Reaper) Started() { r.started <- struct{}{} }

// Exits gives the ends of the children, in the order in which the kernel told them.
func (r *Reaper) Exits() <-chan Exit { return r.exits }

// Close ends the reaper once every child it was told of has ended.
func (r *Reaper) Close() { close(r.started) }

// run waits for a child as long as there is one to wait for: wait4 with no
// children fails, it does not block.
func (r *Reaper) run() {
	for range r.started {
		r.exits <- wait()
	}
}

// wait waits for any child.
func wait() Exit {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if err == nil {
			return Exit{PID: pid, Status: status}
		}
		if err != syscall.EINTR {
			return Exit{Err: err}
		}
	}
}
