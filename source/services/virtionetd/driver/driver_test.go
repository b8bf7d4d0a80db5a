package driver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nexus/source/api/netapi"
	"nexus/source/libs/channel"
	"nexus/source/libs/frameq"
	"nexus/source/libs/svc"
	"nexus/source/libs/virtio/dma"
	"nexus/source/libs/virtio/fake"
	"nexus/source/libs/virtio/recovery"
	"nexus/source/libs/virtio/slot"
)

const (
	ringsBase  = dma.Addr(0x9000_0000)
	framesBase = dma.Addr(0x9100_0000)
)

var testMAC = [6]byte{2, 0, 0, 0, 0, 1}

// line is the interrupt line between a fake NIC and the driver: a level, masked from its
// firing until it is armed.
type line struct {
	nic    *fake.NIC
	mu     sync.Mutex
	open   bool // not masked
	fired  chan struct{}
	closed chan struct{}
	count  int
}

func newLine(nic *fake.NIC) *line {
	l := &line{nic: nic, fired: make(chan struct{}, 1), closed: make(chan struct{})}
	nic.OnInterrupt = l.raise
	return l
}

func (l *line) raise() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open {
		l.open = false
		l.count++
		l.fired <- struct{}{}
	}
}

func (l *line) Arm() error {
	l.mu.Lock()
	l.open = true
	l.mu.Unlock()
	if l.nic.InterruptStatus() != 0 {
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
	timers map[int]*timer
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
		c.timers = make(map[int]*timer)
	}
	id := c.next
	c.next++
	c.timers[id] = &timer{d, f}
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

// rig is a driver with a fake NIC, running.
type rig struct {
	t      testing.TB
	nic    *fake.NIC
	line   *line
	clock  clock
	rings  *fake.Memory
	frames *fake.Memory
	driver *Driver
	client []*netapi.Client
	ended  chan error
	cancel func()

	out chan []byte // frames on the wire

	mu    sync.Mutex
	marks []string
}

// newRig is a driver with clients each of which may be the stack.
func newRig(t testing.TB, clients int, set func(*fake.NIC)) *rig {
	t.Helper()
	var served []Client
	var asking []*netapi.Client
	for range clients {
		near, far, err := channel.Pair()
		if err != nil {
			t.Fatal(err)
		}
		served, asking = append(served, Client{Conn: far, Stack: true}), append(asking, netapi.NewClient(near))
	}
	return newRigOf(t, served, asking, set)
}

func newRigOf(t testing.TB, served []Client, asking []*netapi.Client, set func(*fake.NIC)) *rig {
	t.Helper()
	r := &rig{t: t, client: asking, ended: make(chan error, 1), out: make(chan []byte, 4096)}
	var err error
	if r.rings, err = fake.NewMemory(ringsBase, ringBytes); err != nil {
		t.Fatal(err)
	}
	if r.frames, err = fake.NewMemory(framesBase, frameq.PoolSize); err != nil {
		t.Fatal(err)
	}
	r.nic = fake.NewNIC(testMAC, r.rings, r.frames)
	r.nic.OnSend = func(frame []byte) { r.out <- bytes.Clone(frame) }
	if set != nil {
		set(r.nic)
	}
	r.line = newLine(r.nic)
	c := Config{
		Slot:  slot.Slot{Window: r.nic, Base: 0x10002000, Number: 2, Interrupt: r.line},
		Rings: r.rings.Region(), Frames: r.frames.Region(), FramesFile: r.frames.File(),
		Clients: served, Mark: r.mark, After: r.clock.After,
	}
	if r.driver, err = Open(c); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	r.driver.Announce()
	go func() { r.ended <- r.driver.Run(ctx) }()
	t.Cleanup(r.close)
	return r
}

func (r *rig) close() {
	for _, c := range r.client {
		c.Close()
	}
	r.cancel()
	if err := <-r.ended; err != nil {
		r.t.Errorf("driver ended: %v", err)
	}
	for _, v := range r.nic.Violations() {
		r.t.Errorf("driver against the standard: %s", v)
	}
	r.rings.Close()
	r.frames.Close()
}

func (r *rig) mark(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.marks = append(r.marks, line)
}

func (r *rig) lines() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.marks...)
}

// counter gives one counter by its name.
func (r *rig) counter(name string) uint64 {
	r.t.Helper()
	for _, c := range r.driver.stats() {
		if c.Name == name {
			return c.Value
		}
	}
	r.t.Fatalf("no counter %s", name)
	return 0
}

// sent gives the next frame on the wire.
func (r *rig) sent() []byte {
	r.t.Helper()
	select {
	case frame := <-r.out:
		return frame
	case <-time.After(30 * time.Second):
		r.t.Fatal("no frame was sent")
		return nil
	}
}

// stack is a network stack attached to the driver.
type stack struct {
	*frameq.Stack
	t      testing.TB
	rxBell *frameq.EventBell
	pool   []byte
	queue  []byte
}

func (r *rig) attach(client int) *stack {
	r.t.Helper()
	a, err := r.client[client].Attach()
	if err != nil {
		r.t.Fatal(err)
	}
	return newStack(r.t, a)
}

func newStack(t testing.TB, a netapi.Attachment) *stack {
	t.Helper()
	s := &stack{t: t}
	var err error
	if s.pool, err = unix.Mmap(a.Frames, 0, a.FramesSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		t.Fatal(err)
	}
	if s.queue, err = unix.Mmap(a.Queue, 0, a.QueueSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		t.Fatal(err)
	}
	unix.Close(a.Frames)
	unix.Close(a.Queue)
	if s.rxBell, err = frameq.OpenEventBell(os.NewFile(uintptr(a.RxBell), "rxbell")); err != nil {
		t.Fatal(err)
	}
	txBell, err := frameq.OpenEventBell(os.NewFile(uintptr(a.TxBell), "txbell"))
	if err != nil {
		t.Fatal(err)
	}
	if s.Stack, err = frameq.Attach(s.pool, s.queue, txBell); err != nil {
		t.Fatal(err)
	}
	// A lost wake-up ends the test with an error instead of hanging it.
	if err := s.rxBell.File().SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.rxBell.Close()
		txBell.Close()
		unix.Munmap(s.pool)
		unix.Munmap(s.queue)
	})
	return s
}

// next waits for the next frame, releases its slot and gives a copy.
func (s *stack) next() []byte {
	s.t.Helper()
	frame, slot := s.hold()
	frame = bytes.Clone(frame)
	s.Release(slot)
	s.Flush()
	return frame
}

// hold waits for the next frame and keeps its slot.
func (s *stack) hold() ([]byte, frameq.Slot) {
	s.t.Helper()
	for {
		if frame, slot, ok := s.Recv(); ok {
			return frame, slot
		}
		if s.ArmRx() {
			if err := s.rxBell.Wait(); err != nil {
				s.t.Fatalf("no frame came: %v", err)
			}
		}
	}
}

// send waits for a slot and sends frame.
func (s *stack) send(frame []byte) {
	s.t.Helper()
	for {
		if slot, buf, ok := s.Alloc(); ok {
			if !s.Send(slot, copy(buf, frame)) {
				s.t.Fatalf("frame of %d bytes refused", len(frame))
			}
			s.Flush()
			return
		}
		if s.ArmTx() {
			if err := s.rxBell.Wait(); err != nil {
				s.t.Fatalf("no slot came back: %v", err)
			}
		}
	}
}

func numbered(n, length int) []byte {
	return append(fmt.Appendf(nil, "frame %08d ", n), bytes.Repeat([]byte{byte(n)}, length-15)...)
}

// until waits for a condition that other goroutines bring about.
func (r *rig) until(what string, cond func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !cond(); {
		if time.Now().After(deadline) {
			r.t.Fatalf("never happened: %s", what)
		}
		// Let the driver's goroutines run.
		runtime.Gosched()
	}
}

func TestMarkers(t *testing.T) {
	r := newRig(t, 1, nil)
	want := []string{
		"virtionetd: ready",
		"virtionetd: mmio=0x10002000 irq=2 mac=02:00:00:00:00:01 mtu=1500",
	}
	if got := r.lines(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("printed %q, want %q", got, want)
	}
	s := r.attach(0)
	r.nic.Inject(numbered(0, 77))
	r.nic.Inject(numbered(1, 88))
	s.next()
	s.next()
	want = append(want, "virtionetd: rx frame len=77")
	if got := r.lines(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("printed %q, want %q", got, want)
	}
}

func TestFramesBothWays(t *testing.T) {
	r := newRig(t, 1, nil)
	s := r.attach(0)
	for i := range 2000 {
		up := numbered(i, 60+i%1455)
		if !r.nic.Inject(up) {
			t.Fatalf("frame %d found no receive buffer", i)
		}
		if got := s.next(); !bytes.Equal(got, up) {
			t.Fatalf("frame %d: got %d bytes, want %d", i, len(got), len(up))
		}
		down := numbered(i+1, 60+(i*7)%1455)
		s.send(down)
		if sent := r.sent(); !bytes.Equal(sent, down) || len(r.out) > 0 {
			t.Fatalf("frame %d went out as another, or twice", i)
		}
	}
	for _, name := range []string{"nic.rx.drop.nostack", "nic.rx.drop.stackfull", "nic.tx.drop.size", "queue.drop.notlent", "nic.resets"} {
		if got := r.counter(name); got != 0 {
			t.Errorf("%s = %d, want 0", name, got)
		}
	}
}

func TestInfo(t *testing.T) {
	r := newRig(t, 1, func(n *fake.NIC) { n.SetMTU(1400) })
	want := netapi.Interface{Name: "virt0", MAC: testMAC, MTU: 1400, Up: true, Instance: uint64(os.Getpid())}
	if got, err := r.client[0].Info(); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("info %+v, %v; want %+v", got, err, want)
	}
	r.nic.SetLink(false)
	r.until("link down", func() bool { i, err := r.client[0].Info(); return err == nil && !i.Up })
	r.nic.SetLink(true)
	r.until("link up", func() bool { i, err := r.client[0].Info(); return err == nil && i.Up })
	// The queue goes on after configuration interrupts.
	s := r.attach(0)
	r.nic.Inject(numbered(1, 60))
	s.next()
}

func TestSend(t *testing.T) {
	r := newRig(t, 1, nil)
	for _, tc := range []struct {
		length int
		want   syscall.Errno
		says   string
	}{
		{0, syscall.EINVAL, "empty"},
		{1, syscall.EINVAL, "header alone has 14"},
		{13, syscall.EINVAL, "header alone has 14"},
		{1515, syscall.EMSGSIZE, "1514"},
		{9000, syscall.EMSGSIZE, "1514"},
		{14, 0, ""},
		{1514, 0, ""},
	} {
		frame := bytes.Repeat([]byte{0xa5}, tc.length)
		err := r.client[0].Send(frame)
		if tc.want == 0 {
			if err != nil || !bytes.Equal(r.sent(), frame) {
				t.Errorf("%d bytes: %v, or another frame went out", tc.length, err)
			}
			continue
		}
		if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%d bytes: %v; want %v saying %q", tc.length, err, tc.want, tc.says)
		}
	}
}

func TestSendIsBoundedWhenTheDeviceTakesNothing(t *testing.T) {
	r := newRig(t, 1, func(n *fake.NIC) { n.HoldTx = true })
	for i := range sendSlots {
		if err := r.client[0].Send(numbered(i, 60)); err != nil {
			t.Fatalf("frame %d: %v", i, err)
		}
	}
	failed := make(chan error, 1)
	go func() { failed <- r.client[0].Send(numbered(99, 60)) }()
	r.until("send waits", func() bool { return r.clock.fire(sendWait) == 1 })
	if err := <-failed; !errors.Is(err, syscall.EAGAIN) {
		t.Errorf("send to a full ring: %v, want EAGAIN", err)
	}
	r.nic.Release()
	if err := r.client[0].Send(numbered(100, 60)); err != nil {
		t.Errorf("send after the ring emptied: %v", err)
	}
	for range sendSlots + 1 {
		r.sent()
	}
}

func TestRecv(t *testing.T) {
	r := newRig(t, 2, nil)
	s := r.attach(0)
	type result struct {
		frame []byte
		err   error
	}
	got := make(chan result, 1)
	recv := func() { f, err := r.client[1].Recv(time.Minute); got <- result{f, err} }
	waiting := func() bool { r.driver.mu.Lock(); defer r.driver.mu.Unlock(); return len(r.driver.waiters) == 1 }

	go recv()
	r.until("recv waits", waiting)
	want := numbered(5, 200)
	r.nic.Inject(want)
	if res := <-got; res.err != nil || !bytes.Equal(res.frame, want) {
		t.Errorf("recv: %d bytes, %v", len(res.frame), res.err)
	}
	if f := s.next(); !bytes.Equal(f, want) {
		t.Error("the stack did not get the frame that recv copied")
	}
	go recv()
	r.until("recv waits", waiting)
	r.until("recv's bound", func() bool { return r.clock.fire(time.Minute) == 1 })
	if res := <-got; !errors.Is(res.err, syscall.ETIMEDOUT) {
		t.Errorf("recv without a frame: %v, want ETIMEDOUT", res.err)
	}
}

func TestUnknownRequestIsRefused(t *testing.T) {
	r := newRig(t, 1, nil)
	if err := r.client[0].IfUp("virt0"); !errors.Is(err, syscall.ENOSYS) {
		t.Errorf("ifUp: %v, want ENOSYS", err)
	}
}

func TestFrameQueueHasOneOwner(t *testing.T) {
	r := newRig(t, 2, nil)
	r.attach(0)
	if _, err := r.client[1].Attach(); !errors.Is(err, syscall.EBUSY) {
		t.Errorf("second attach: %v, want EBUSY", err)
	}
}

// TestOnlyTheStackTakesTheFrameQueue: the manifest's name of a channel is what makes it the stack's.
func TestOnlyTheStackTakesTheFrameQueue(t *testing.T) {
	names := []string{"net.controld", stackName, "net.netstackd.x", "net"}
	var served []Client
	var clients []*netapi.Client
	for _, name := range names {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		far, err := openChannel(svc.Named{Name: name, File: os.NewFile(uintptr(fds[0]), name)})
		if err != nil {
			t.Fatal(err)
		}
		near, err := channel.FromDescriptor(fds[1], name)
		if err != nil {
			t.Fatal(err)
		}
		served, clients = append(served, far), append(clients, netapi.NewClient(near))
	}
	r := newRigOf(t, served, clients, nil)
	for i, name := range names {
		if _, err := clients[i].Info(); err != nil {
			t.Errorf("info on %s: %v", name, err)
		}
		if name == stackName {
			s := r.attach(i)
			r.nic.Inject(numbered(1, 60))
			s.next()
			continue
		}
		if _, err := clients[i].Attach(); !errors.Is(err, syscall.EPERM) || err.Error() != errNotTheStack.Text {
			t.Errorf("attach on %s: %v, want EPERM", name, err)
		}
	}
}

func TestStackComesBackAfterItsDeath(t *testing.T) {
	r := newRig(t, 2, func(n *fake.NIC) { n.HoldTx = true })
	s := r.attach(0)
	// The first stack dies with received frames in its hands, and others with the device.
	for i := range 100 {
		r.nic.Inject(numbered(i, 60))
		s.hold()
	}
	for i := range 100 {
		s.send(numbered(i, 60))
	}
	r.until("frames with the device", func() bool {
		r.driver.mu.Lock()
		defer r.driver.mu.Unlock()
		return r.driver.engine.dev.TxPosted() == 100
	})
	r.client[0].Close()
	r.until("queue free", func() bool { r.driver.mu.Lock(); defer r.driver.mu.Unlock(); return r.driver.link == nil })

	s = r.attach(1)
	lent := 0
	for _, _, ok := s.Alloc(); ok; _, _, ok = s.Alloc() {
		lent++
	}
	if want := stackSlots - 100; lent != want {
		t.Errorf("%d transmit slots lent, want %d: the device still has 100", lent, want)
	}
	r.nic.Release()
	r.driver.workOnce(false)
	for _, _, ok := s.Alloc(); ok; _, _, ok = s.Alloc() {
		lent++
	}
	if lent != stackSlots {
		t.Errorf("%d transmit slots lent in the end, want %d", lent, stackSlots)
	}
	for i := range 1000 {
		if !r.nic.Inject(numbered(i, 60)) {
			t.Fatalf("frame %d found no receive buffer", i)
		}
		s.next()
	}
}

func TestReceiveRecoversWhenTheStackHeldEverything(t *testing.T) {
	r := newRig(t, 2, nil)
	s := r.attach(0)
	var slots []frameq.Slot
	for i := range lentRxMost {
		r.nic.Inject(numbered(i, 60))
		_, slot := s.hold()
		slots = append(slots, slot)
	}
	for i := range 500 {
		if !r.nic.Inject(numbered(i, 60)) {
			t.Fatalf("frame %d found no receive buffer", i)
		}
		r.until("dropped", func() bool { return r.counter("nic.rx.drop.stackfull") == uint64(i+1) })
	}
	for _, slot := range slots {
		s.Release(slot)
	}
	s.Flush()
	for i := range 500 {
		want := numbered(i, 60)
		r.nic.Inject(want)
		if got := s.next(); !bytes.Equal(got, want) {
			t.Fatalf("frame %d after recovery is another", i)
		}
	}
}

// TestRingRanDry fills every receive buffer while the driver does not look.
func TestRingRanDry(t *testing.T) {
	r := newRig(t, 1, nil)
	s := r.attach(0)
	r.driver.mu.Lock() // the driver is busy elsewhere
	n := 0
	for r.nic.Inject(numbered(n, 60)) {
		n++
	}
	r.driver.mu.Unlock()
	if n != rxSlots || r.nic.Dropped() != 1 {
		t.Errorf("%d frames fit, %d dropped; want %d and 1", n, r.nic.Dropped(), rxSlots)
	}
	for i := range min(n, lentRxMost) {
		if got := s.next(); !bytes.Equal(got, numbered(i, 60)) {
			t.Fatalf("frame %d is another", i)
		}
	}
	r.until("all taken", func() bool { return r.counter("nic.rx.frames") == rxSlots })
	for _, _, ok := s.Recv(); ok; _, _, ok = s.Recv() {
	}
	want := numbered(7777, 60)
	r.until("receives again", func() bool { return r.nic.Inject(want) })
	if got := s.next(); !bytes.Equal(got, want) {
		t.Error("frame after the dry ring is another")
	}
}

func TestFullTransmitRingGivesBackPressure(t *testing.T) {
	r := newRig(t, 1, func(n *fake.NIC) { n.HoldTx = true; n.QueueMax[1] = 64 })
	s := r.attach(0)
	for i := range stackSlots {
		s.send(numbered(i, 60))
	}
	if _, _, ok := s.Alloc(); ok {
		t.Fatal("more slots than there are")
	}
	r.nic.Release()
	for i := range 500 {
		s.send(numbered(stackSlots+i, 60))
	}
	for i := range stackSlots + 500 {
		if !bytes.Equal(r.sent(), numbered(i, 60)) {
			t.Fatalf("frame %d is another: order or content lost", i)
		}
	}
}

func TestSilentDeviceIsResetAfterABound(t *testing.T) {
	r := newRig(t, 1, func(n *fake.NIC) { n.HoldTx = true })
	s := r.attach(0)
	s.send(numbered(1, 60))
	ticks := 0
	for ; r.counter("nic.resets") == 0 && ticks < 100; ticks++ {
		r.until("tick", func() bool { return r.clock.fire(tickTime) == 1 })
	}
	if ticks < recovery.StuckTicks || ticks > recovery.StuckTicks+1 {
		t.Errorf("reset after %d ticks, want %d", ticks, recovery.StuckTicks)
	}
	if got := r.counter("nic.tx.drop.reset"); got != 1 {
		t.Errorf("%d frames lost, want 1", got)
	}
	r.nic.Do(func() { r.nic.HoldTx = false })
	r.goesOn(s)
}

// goesOn checks that frames move both ways.
func (r *rig) goesOn(s *stack) {
	r.t.Helper()
	for len(r.out) > 0 {
		<-r.out
	}
	for i := range 600 {
		up, down := numbered(i, 100), numbered(i+1, 100)
		if !r.nic.Inject(up) {
			r.t.Fatalf("frame %d found no receive buffer", i)
		}
		if got := s.next(); !bytes.Equal(got, up) {
			r.t.Fatalf("frame %d is another", i)
		}
		s.send(down)
		if !bytes.Equal(r.sent(), down) {
			r.t.Fatalf("sent frame %d is another", i)
		}
	}
}

func TestBrokenDeviceIsResetAndGoesOn(t *testing.T) {
	for _, tc := range []struct {
		name    string
		hurt    func(*fake.NIC)
		counter string
	}{
		{"receive index jumps", func(n *fake.NIC) { n.JumpUsed(0, 1000) }, "nic.rx.used.jump"},
		{"bad entries", func(n *fake.NIC) {
			for range 100 {
				n.PushUsed(0, 0xffff, 60)
			}
		}, "nic.rx.used.badid"},
		{"asks for a reset", func(n *fake.NIC) { n.NeedReset() }, "nic.needs.reset"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, 1, nil)
			s := r.attach(0)
			for round := range uint64(3) {
				tc.hurt(r.nic)
				r.until("reset", func() bool { r.clock.fire(tickTime); return r.counter("nic.resets") == round+1 })
				if r.counter(tc.counter) == 0 {
					t.Errorf("%s not counted", tc.counter)
				}
				r.goesOn(s)
				r.until("quiet", func() bool { r.clock.fire(tickTime); return r.rested() })
			}
		})
	}
}

func (r *rig) rested() bool {
	r.driver.mu.Lock()
	defer r.driver.mu.Unlock()
	return r.driver.engine.recovery.Rested()
}

func TestBadEntriesAreSurvivedWithoutAReset(t *testing.T) {
	r := newRig(t, 1, nil)
	s := r.attach(0)
	r.nic.PushUsed(0, 5000, 60)        // no such descriptor
	r.nic.PushUsed(1, 3, 0)            // nothing in flight there
	head, _ := r.nic.Take(0)           // a receive buffer
	r.nic.PushUsed(0, uint32(head), 5) // less than a header
	head, _ = r.nic.Take(0)
	r.nic.PushUsed(0, uint32(head), 1<<20) // more than the buffer
	r.nic.PushUsed(0, uint32(head), 60)    // and once more
	r.nic.InjectHeader([12]byte{1}, numbered(1, 60))
	r.nic.InjectHeader([12]byte{0, 3}, numbered(1, 60))
	r.nic.InjectHeader([12]byte{2}, numbered(1, 60)) // DATA_VALID: as good as none
	if got := s.next(); !bytes.Equal(got, numbered(1, 60)) {
		t.Error("frame after bad entries is another")
	}
	r.goesOn(s)
	for name, want := range map[string]uint64{
		"nic.rx.used.badid": 1, "nic.tx.used.notinflight": 1, "nic.rx.drop.short": 1, "nic.rx.used.badlength": 1,
		"nic.rx.used.notinflight": 1, "nic.rx.drop.header": 2, "nic.resets": 0,
	} {
		if got := r.counter(name); got != want {
			t.Errorf("%s = %d, want %d", name, got, want)
		}
	}
}

func TestResetsAreRareHoweverOftenADeviceBreaks(t *testing.T) {
	r := newRig(t, 1, nil)
	r.nic.JumpUsed(0, 1000)
	r.until("first reset", func() bool { return r.counter("nic.resets") == 1 })
	r.nic.JumpUsed(0, 1000)
	r.until("down", func() bool { r.driver.mu.Lock(); defer r.driver.mu.Unlock(); return r.driver.engine.recovery.Down() })
	if i, err := r.client[0].Info(); err != nil || i.Up {
		t.Errorf("info of a device that is down: %+v, %v", i, err)
	}
	if err := r.client[0].Send(numbered(1, 60)); !errors.Is(err, syscall.ENETDOWN) {
		t.Errorf("send to a device that is down: %v, want ENETDOWN", err)
	}
	if got := r.counter("nic.resets"); got != 1 {
		t.Errorf("%d resets before a tick, want 1", got)
	}
	if r.clock.fire(tickTime) != 1 {
		t.Fatal("nobody waits for the tick")
	}
	if got := r.counter("nic.resets"); got != 2 {
		t.Errorf("%d resets after the tick, want 2", got)
	}
	r.goesOn(r.attach(0))
}

func TestDeviceThatDoesNotComeBackEndsTheDriver(t *testing.T) {
	r := newRig(t, 1, nil)
	r.nic.Do(func() { r.nic.RefuseFeatures = true })
	r.nic.JumpUsed(0, 1000)
	for range recovery.MaxFailures {
		r.until("tick", func() bool { return r.clock.fire(tickTime) == 1 || len(r.ended) == 1 })
	}
	if err := <-r.ended; !errors.Is(err, recovery.ErrDevice) {
		t.Errorf("driver ended with %v, want %v", err, recovery.ErrDevice)
	}
	r.ended <- nil // for close
}

func TestInterruptStormIsBounded(t *testing.T) {
	r := newRig(t, 1, nil)
	s := r.attach(0)
	stop := make(chan struct{})
	var storm sync.WaitGroup
	storm.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				r.nic.Raise(1)
			}
		}
	})
	r.until("storm noticed", func() bool { return r.counter("nic.interrupt.storms") == 1 })
	r.until("masked", func() bool { r.line.mu.Lock(); defer r.line.mu.Unlock(); return !r.line.open })
	close(stop)
	storm.Wait()
	r.until("pause over", func() bool { return r.clock.fire(stormPause) == 1 })
	r.goesOn(s)
}

// TestNothingHappensAfterTheEnd: the memory may be gone by then.
func TestNothingHappensAfterTheEnd(t *testing.T) {
	r := newRig(t, 1, func(n *fake.NIC) { n.HoldTx = true })
	s := r.attach(0)
	s.send(numbered(1, 60))
	r.until("a tick is due", func() bool { r.driver.mu.Lock(); defer r.driver.mu.Unlock(); return r.driver.ticking })
	r.cancel()
	if err := <-r.ended; err != nil {
		t.Fatal(err)
	}
	r.ended <- nil // for close
	r.nic.Log()
	r.driver.tick()
	if got := len(r.nic.Accesses()); got != 0 {
		t.Errorf("%d register accesses after the end", got)
	}
	if r.clock.fire(tickTime) != 0 {
		t.Error("a timer was left running")
	}
}

// BenchmarkEcho moves one frame from the wire through driver and frame queue to a stack, and back out.
func BenchmarkEcho(b *testing.B) {
	r := newRig(b, 1, nil)
	s := r.attach(0)
	if err := s.rxBell.File().SetDeadline(time.Time{}); err != nil {
		b.Fatal(err)
	}
	frame := numbered(1, 64)
	b.ReportAllocs()
	for b.Loop() {
		r.nic.Inject(frame)
		got, slot := s.hold()
		s.send(got)
		s.Release(slot)
		<-r.out
	}
}

// BenchmarkPass is the engine alone: a frame in and a frame out in one pass, without
// goroutines or bells.
func BenchmarkPass(b *testing.B) {
	r := newRig(b, 1, func(n *fake.NIC) { n.OnSend = func([]byte) {} })
	s := r.attach(0)
	frame := numbered(1, 64)
	r.driver.mu.Lock() // the driver's goroutines wait
	defer r.driver.mu.Unlock()
	e := r.driver.engine
	b.ReportAllocs()
	for b.Loop() {
		r.nic.Inject(frame)
		out, _, _ := s.Alloc()
		s.Send(out, 64)
		e.work(true)
		if _, slot, ok := s.Recv(); ok {
			s.Release(slot)
		}
	}
}
