package port

import (
	"context"
	"io"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"nexus/source/libs/virtio/dma"
	"nexus/source/libs/virtio/fake"
	"nexus/source/libs/virtio/serialdev"
	"nexus/source/libs/virtio/slot"
)

const (
	memoryBase = dma.Addr(0x9000_0000)
	ours       = 1
	patience   = 30 * time.Second
)

// line is the interrupt line between a fake device and the driver: a level, masked from its firing until it is armed.
type line struct {
	fake   *fake.Serial
	mu     sync.Mutex
	open   bool // not masked
	fired  chan struct{}
	closed chan struct{}
}

func newLine(s *fake.Serial) *line {
	l := &line{fake: s, fired: make(chan struct{}, 1), closed: make(chan struct{})}
	s.OnInterrupt = l.raise
	return l
}

func (l *line) raise() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open {
		l.open = false
		l.fired <- struct{}{}
	}
}

func (l *line) Arm() error {
	l.mu.Lock()
	l.open = true
	l.mu.Unlock()
	if l.fake.InterruptStatus() != 0 {
		l.raise()
	}
	return nil
}

func (l *line) Wait() error {
	select {
	case <-l.fired:
		return nil
	case <-l.closed:
		return os.ErrClosed
	}
}

func (l *line) Close() error { close(l.closed); return nil }

// clock runs what was put off when the test says so.
type clock struct {
	mu     sync.Mutex
	timers map[int]timer
	next   int
}

type timer struct {
	after time.Duration
	run   func()
}

func (c *clock) After(d time.Duration, f func()) func() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timers == nil {
		c.timers = make(map[int]timer)
	}
	id := c.next
	c.next++
	c.timers[id] = timer{d, f}
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, ok := c.timers[id]
		delete(c.timers, id)
		return ok
	}
}

// fire runs every timer of length d, and reports how many there were.
func (c *clock) fire(d time.Duration) int {
	c.mu.Lock()
	var due []func()
	for id, t := range c.timers {
		if t.after == d {
			due = append(due, t.run)
			delete(c.timers, id)
		}
	}
	c.mu.Unlock()
	for _, f := range due {
		f()
	}
	return len(due)
}

// rig is a port on a fake device, running.
type rig struct {
	t      testing.TB
	fake   *fake.Serial
	line   *line
	clock  clock
	memory *fake.Memory
	port   *Port
	ended  chan error
	cancel func()
}

func newRig(t testing.TB, set func(*fake.Serial)) *rig {
	t.Helper()
	r := &rig{t: t, ended: make(chan error, 1)}
	var err error
	if r.memory, err = fake.NewMemory(memoryBase, serialdev.MemoryBytes); err != nil {
		t.Fatal(err)
	}
	r.fake = fake.NewSerial(2, r.memory)
	r.fake.AddPort(ours, serialdev.PortName)
	if set != nil {
		set(r.fake)
	}
	r.line = newLine(r.fake)
	r.port, err = Open(Config{
		Slot:   slot.Slot{Window: r.fake, Base: 0x10003000, Number: 3, Interrupt: r.line},
		Memory: r.memory.Region(), After: r.clock.After,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() { r.ended <- r.port.Run(ctx) }()
	t.Cleanup(r.close)
	return r
}

// connected is a rig with a host that has the port open.
func connected(t testing.TB, set func(*fake.Serial)) *rig {
	t.Helper()
	r := newRig(t, set)
	r.connect()
	return r
}

// connect lets a host open the port, and waits until the driver knows.
func (r *rig) connect() {
	r.t.Helper()
	r.until("port found", func() bool { return r.fake.GuestOpen(ours) })
	before := r.counter("port.hosts")
	r.fake.Connect(ours)
	r.until("host seen", func() bool { return r.counter("port.hosts") > before })
}

func (r *rig) close() {
	r.cancel()
	if err := <-r.ended; err != nil {
		r.t.Errorf("port ended: %v", err)
	}
	for _, v := range r.fake.Violations() {
		r.t.Errorf("driver against the standard: %s", v)
	}
	r.memory.Close()
}

// counter gives one counter by its name.
func (r *rig) counter(name string) uint64 {
	r.t.Helper()
	for _, c := range r.port.Stats() {
		if c.Name == name {
			return c.Value
		}
	}
	r.t.Fatalf("no counter %s", name)
	return 0
}

// until waits for a condition that other goroutines bring about.
func (r *rig) until(what string, cond func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); !cond(); {
		if time.Now().After(deadline) {
			r.t.Fatalf("never happened: %s; counted %+v", what, r.port.Stats())
		}
		runtime.Gosched() // let the port's goroutines run
	}
}

func (r *rig) locked(f func() bool) bool {
	r.port.mu.Lock()
	defer r.port.mu.Unlock()
	return f()
}

// reads expects exactly these bytes next.
func (r *rig) reads(want string) {
	r.t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(r.port, got); err != nil || string(got) != want {
		r.t.Fatalf("read %.60q, %v; want %.60q", got[:n], err, want)
	}
}

// readsEnd expects the end of a host next.
func (r *rig) readsEnd() {
	r.t.Helper()
	if n, err := r.port.Read(make([]byte, 10)); n != 0 || err != io.EOF {
		r.t.Fatalf("read %d bytes, %v; want %v", n, err, io.EOF)
	}
}

// gets expects exactly these bytes at the host next.
func (r *rig) gets(want string) {
	r.t.Helper()
	var got []byte
	r.until("host gets it", func() bool {
		got = append(got, r.fake.Output(ours)...)
		return len(got) >= len(want)
	})
	if string(got) != want {
		r.t.Fatalf("host got %d bytes, %.60q; want %d, %.60q", len(got), got, len(want), want)
	}
}

func (r *rig) writes(p string) {
	r.t.Helper()
	if n, err := r.port.Write([]byte(p)); n != len(p) || err != nil {
		r.t.Fatalf("write of %d bytes: %d, %v", len(p), n, err)
	}
}

// goesOn checks that bytes move both ways.
func (r *rig) goesOn() {
	r.t.Helper()
	r.fake.Output(ours)
	for i := range 50 {
		want := pattern(100*i + 1)
		r.fake.Input(ours, []byte(want))
		r.reads(want)
		r.writes(want)
		r.gets(want)
	}
}

func pattern(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return string(b)
}
