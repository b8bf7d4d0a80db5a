// Package machine runs one QEMU virtual machine: it finds QEMU, builds its
// command line, reads the console line by line with the time of each line,
// bounds the run and leaves no process behind.
package machine

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// killGrace is how long after its end QEMU's pipes may stay open before they
// are closed by force.
const killGrace = 2 * time.Second

// Exit is how a run ended.
type Exit struct {
	Code     int           // QEMU's exit status; -1 when a signal ended it
	Signal   string        // the signal's name, or ""
	TimedOut bool          // the run's time was over and QEMU was killed
	Stopped  bool          // the caller stopped it
	Took     time.Duration // from exec to the end
	Stderr   string        // the last of what QEMU itself said
}

// Machine is a started QEMU.
type Machine struct {
	cmd     *exec.Cmd
	start   time.Time
	console *Console
	stderr  *tail
	cancel  context.CancelCauseFunc
	stop    context.CancelFunc
	done    chan struct{}
	exit    Exit
}

// errStopped is the cause of a run ended by Stop.
var errStopped = errors.New("stopped")

// Start executes QEMU as cfg says and reads its console into sink, one call a
// line, from a single goroutine. The machine ends when the guest powers off,
// when ctx ends, when Stop is called, or after cfg.Timeout: whichever is first.
// QEMU also dies with this process, however that ends; a terminal's ^C does not
// reach it, so that its guest can be asked first.
func Start(ctx context.Context, cfg Config, sink func(Line)) (*Machine, error) {
	argv, err := cfg.Args()
	if err != nil {
		return nil, err
	}

	ctx, cancel := context.WithCancelCause(ctx)
	ctx, stop := context.WithTimeout(ctx, cfg.Timeout)

	m := &Machine{stderr: newTail(16 << 10), cancel: cancel, stop: stop, done: make(chan struct{})}
	m.cmd = exec.CommandContext(ctx, cfg.QEMU, argv...)
	m.cmd.WaitDelay = killGrace
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	m.cmd.Stderr = m.stderr
	if cfg.Stdin != nil {
		m.cmd.Stdin = cfg.Stdin
	}
	m.cmd.ExtraFiles = cfg.files()
	m.console = newConsole(sink, func() time.Duration { return time.Since(m.start) })
	m.cmd.Stdout = m.console

	started := make(chan error, 1)
	go m.run(ctx, started)
	if err := <-started; err != nil {
		stop()
		cancel(nil)
		return nil, fmt.Errorf("machine: start %s: %w", cfg.QEMU, err)
	}
	return m, nil
}

// run owns the child. Linux sends the parent-death signal when the *thread*
// that forked ends, so this goroutine keeps its thread until QEMU is gone.
func (m *Machine) run(ctx context.Context, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(m.done)

	m.start = time.Now()
	err := m.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	waitErr := m.cmd.Wait()
	m.console.close()
	m.exit = Exit{Took: time.Since(m.start), Stderr: strings.TrimSpace(m.stderr.String())}

	status, _ := m.cmd.ProcessState.Sys().(syscall.WaitStatus)
	m.exit.Code = status.ExitStatus()
	if status.Signaled() {
		m.exit.Code, m.exit.Signal = -1, status.Signal().String()
	}
	if waitErr != nil && ctx.Err() != nil {
		m.exit.Stopped = errors.Is(context.Cause(ctx), errStopped) || errors.Is(ctx.Err(), context.Canceled)
		m.exit.TimedOut = !m.exit.Stopped
	}
	m.stop()
	m.cancel(nil)
}

// Started is when QEMU was executed.
func (m *Machine) Started() time.Time { return m.start }

// Args is QEMU's command line.
func (m *Machine) Args() []string { return m.cmd.Args }

// Pid is QEMU's process id.
func (m *Machine) Pid() int { return m.cmd.Process.Pid }

// Stop ends the machine and does not wait for it.
func (m *Machine) Stop() { m.cancel(errStopped) }

// Done is closed when QEMU is gone and its console has been read to the end.
func (m *Machine) Done() <-chan struct{} { return m.done }

// Wait waits for the machine's end.
func (m *Machine) Wait() Exit {
	<-m.done
	return m.exit
}

// tail is a writer that keeps the last part of what it is given.
type tail struct {
	max int
	buf []byte
}

func newTail(limit int) *tail { return &tail{max: limit} }

func (t *tail) Write(p []byte) (int, error) {
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - t.max; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.buf) }
