package epoll

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/eventfd"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/mem"
	"nexus/source/kernel/neuron/internal/pipe"
	"nexus/source/kernel/neuron/internal/unixsock"
	"nexus/source/kernel/neuron/internal/user/usertest"
	"nexus/source/kernel/neuron/internal/wait"
)

func errno(err error) abi.Errno {
	var e unix.Errno
	if errors.As(err, &e) {
		return abi.Errno(e)
	}
	return abi.OK
}

// event is what epoll_wait reports, with our data.
type event struct {
	events abi.Events
	data   uint64
}

func collect(t fataler, e *Epoll, limit int) []event {
	t.Helper()
	m := make(usertest.Memory, EventSize*max(limit, 1))
	n, err := e.Collect(m, usertest.Base, limit)
	if err != abi.OK {
		t.Fatalf("collect: %d", err)
	}
	got := make([]event, n)
	for i := range got {
		b := m[i*EventSize:]
		got[i] = event{abi.Events(binary.LittleEndian.Uint32(b)), binary.LittleEndian.Uint64(b[8:])}
	}
	return got
}

type fataler interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// hostEvent packs 64 bits of data into the host's event, whose second half is 32 bits wide on some machines.
func hostEvent(events abi.Events, data uint64) *unix.EpollEvent {
	return &unix.EpollEvent{Events: uint32(events), Fd: int32(data), Pad: int32(data >> 32)}
}

func hostCollect(t fataler, epfd, limit int) []event {
	t.Helper()
	evs := make([]unix.EpollEvent, limit)
	for {
		n, err := unix.EpollWait(epfd, evs, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		var got []event
		for _, ev := range evs[:n] {
			got = append(got, event{abi.Events(ev.Events), uint64(uint32(ev.Fd)) | uint64(uint32(ev.Pad))<<32})
		}
		return got
	}
}

// twin is an end of a pipe, socket pair or an eventfd of the host beside one of ours.
type twin struct {
	fd    int // -1 when closed
	file  *file.File
	peer  *twin
	kind  byte // pipe end 'r' or 'w', 's' socket, 'e' eventfd
	loose bool // the host may have told an edge that we have not
}

func (w *twin) close() {
	if w.fd >= 0 {
		unix.Close(w.fd)
		w.file.Release()
		reap()
		w.fd = -1
	}
}

func newTwins(t fataler, kind byte) []*twin {
	t.Helper()
	var fds [2]int
	switch kind {
	case 'p':
		if err := unix.Pipe2(fds[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		r, w, _ := pipe.New()
		a, b := &twin{fd: fds[0], file: file.New(r, 0), kind: 'r'}, &twin{fd: fds[1], file: file.New(w, 0), kind: 'w'}
		a.peer, b.peer = b, a
		return []*twin{a, b}
	case 'e':
		fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		c, _ := eventfd.New(0, false)
		return []*twin{{fd: fd, file: file.New(c, 0), kind: 'e'}}
	default:
		types := map[byte]int{'s': unix.SOCK_STREAM, 'q': unix.SOCK_SEQPACKET, 'd': unix.SOCK_DGRAM}
		fds, err := unix.Socketpair(unix.AF_UNIX, types[kind]|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		x, y, _ := unixsock.Pair(unixsock.Type(types[kind]))
		a, b := &twin{fd: fds[0], file: file.New(x, 0), kind: 's'}, &twin{fd: fds[1], file: file.New(y, 0), kind: 's'}
		a.peer, b.peer = b, a
		return []*twin{a, b}
	}
}

// machine drives two epolls over the same twins.
type machine struct {
	epfd   int
	epoll  *Epoll
	self   *file.File
	twins  []*twin
	queued int // bytes written to sockets
	modes  []abi.Events
}

func (m *machine) open(t *rapid.T) *twin {
	w := m.twins[rapid.IntRange(0, len(m.twins)-1).Draw(t, "file")]
	if w.fd < 0 {
		t.Skip()
	}
	return w
}

func (m *machine) control(t *rapid.T) {
	w := m.open(t)
	op := rapid.SampledFrom([]int{unix.EPOLL_CTL_ADD, unix.EPOLL_CTL_ADD, unix.EPOLL_CTL_MOD, unix.EPOLL_CTL_DEL, 9}).Draw(t, "op")
	events := rapid.SampledFrom([]abi.Events{abi.EPOLLIN, abi.EPOLLOUT, abi.EPOLLIN | abi.EPOLLOUT | abi.EPOLLRDHUP, 0}).Draw(t, "events")
	events |= rapid.SampledFrom(m.modes).Draw(t, "mode")
	data := uint64(slices.Index(m.twins, w)) | 0xabcdef<<40
	want := errno(unix.EpollCtl(m.epfd, op, w.fd, hostEvent(events, data)))
	if got := m.epoll.Control(Op(op), w.fd, w.file, events, data); got != want {
		t.Fatalf("control(%d, %c, %#x): %d, want %d", op, w.kind, events, got, want)
	}
}

func (m *machine) write(t *rapid.T) {
	w := m.open(t)
	n := rapid.OneOf(rapid.IntRange(0, 10), rapid.IntRange(0, 70000)).Draw(t, "n")
	switch w.kind {
	case 'r':
		t.Skip()
	case 'w':
		if w.file.Object.Ready()&abi.EPOLLOUT == 0 {
			t.Skip("the host tells an edge for a write to a full pipe")
		}
	case 'e':
		n = 8
	case 's':
		n = n%1000 + 1 // unread empty packets reset some versions' connections and not others'
		if m.queued += 1300 + 2*n; m.queued > 45000 {
			t.Skip("the host counts otherwise when much is queued")
		}
	}
	p := make([]byte, n)
	if n > 0 {
		p[0] = 1
	}
	wantN, err := unix.Write(w.fd, p)
	got, e := w.file.Object.Write(usertest.In(p), 0)
	if want := errno(err); e != want || got != max(wantN, 0) {
		t.Fatalf("write(%c, %d) = %d, %d, want %d, %d", w.kind, n, got, e, wantN, want)
	} else if w.kind == 's' && want != abi.OK {
		w.loose = true // the host tells of the room that the failed message took
	}
}

func (m *machine) read(t *rapid.T) {
	w := m.open(t)
	n := rapid.OneOf(rapid.IntRange(1, 10), rapid.IntRange(1, 70000)).Draw(t, "n")
	if w.kind == 'w' {
		t.Skip()
	}
	p := make([]byte, n)
	wantN, err := unix.Read(w.fd, p)
	var got int
	var e abi.Errno
	if s, ok := w.file.Object.(*unixsock.Socket); ok {
		got, _, e = s.Recv(usertest.Out(p), nil, nil, unixsock.MSG_DONTWAIT)
	} else {
		got, e = w.file.Object.Read(usertest.Out(p), 0)
	}
	if want := errno(err); e != want || got != max(wantN, 0) {
		t.Fatalf("read(%c, %d) = %d, %d, want %d, %d", w.kind, n, got, e, wantN, want)
	}
	if w.kind == 's' {
		// The host tells of room after each receive, we only when there was none.
		w.peer.loose = true
	}
}

func (m *machine) shutdown(t *rapid.T) {
	w := m.open(t)
	if w.kind != 's' || rapid.IntRange(0, 5).Draw(t, "rarely") > 0 {
		t.Skip()
	}
	how := rapid.IntRange(0, 2).Draw(t, "how")
	if err := unix.Shutdown(w.fd, how); err != nil {
		t.Fatal(err)
	}
	w.file.Object.(*unixsock.Socket).Shutdown(how)
}

func (m *machine) close(t *rapid.T) {
	w := m.open(t)
	if rapid.IntRange(0, 9).Draw(t, "rarely") > 0 {
		t.Skip()
	}
	if w.kind == 's' && w.peer.fd >= 0 {
		w.peer.loose = true
	}
	w.close()
}

// TestLikeHost drives an epoll of the host and one of ours over pipes and eventfds, and wants the same reports in the same order,
// for any limit.
func TestLikeHost(t *testing.T) {
	run(t, "ppee", []abi.Events{0, abi.EPOLLET, abi.EPOLLET, abi.EPOLLONESHOT, abi.EPOLLET | abi.EPOLLONESHOT}, func(t *rapid.T, m *machine) {
		limit := rapid.SampledFrom([]int{1, 2, 3, 64}).Draw(t, "limit")
		want := hostCollect(t, m.epfd, limit)
		readable := m.epoll.Ready() != 0
		if got := collect(t, m.epoll, limit); !slices.Equal(got, want) {
			t.Fatalf("collect(%d) = %x, want %x", limit, got, want)
		}
		if readable != (len(want) > 0) {
			t.Fatalf("epoll ready: %v, want %v", readable, len(want) > 0)
		}
	})
}

// TestSocketsLikeHost does so over socket pairs, where each side may tell an edge that the other does not: the host one of room after
// each receive, we one of a shutdown. What is reported must hold, and every other edge of the host must be ours.
func TestSocketsLikeHost(t *testing.T) {
	run(t, "sqd", []abi.Events{0, abi.EPOLLET, abi.EPOLLET}, func(t *rapid.T, m *machine) {
		want := hostCollect(t, m.epfd, 64)
		got := collect(t, m.epoll, 64)
		for _, ev := range got {
			w := m.twins[ev.data&0xff]
			it := m.epoll.find(w.fd, w.file)
			if now := it.now(); ev.events != now || now == 0 {
				t.Fatalf("reported %x, want %x", ev.events, now)
			}
		}
		for _, ev := range want {
			w := m.twins[ev.data&0xff]
			if !slices.Contains(got, ev) && !w.loose {
				t.Fatalf("collect = %x, want %x", got, want)
			}
		}
		for _, w := range m.twins {
			w.loose = false
		}
	})
}

func run(t *testing.T, kinds string, modes []abi.Events, compare func(*rapid.T, *machine)) {
	mem.InitHost(2048, 0)
	free := mem.Available()
	rapid.Check(t, func(t *rapid.T) {
		epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(epfd)
		e, _ := New()
		m := &machine{epfd: epfd, epoll: e, self: file.New(e, 0), modes: modes}
		for _, k := range []byte(kinds) {
			m.twins = append(m.twins, newTwins(t, k)...)
		}
		defer func() {
			for _, w := range m.twins {
				w.close()
			}
			m.self.Release()
			reap()
		}()
		wait := func(t *rapid.T) { compare(t, m) }
		t.Repeat(map[string]func(*rapid.T){
			"control": m.control, "control2": m.control, "write": m.write, "read": m.read,
			"close": m.close, "shutdown": m.shutdown, "wait": wait, "wait2": wait,
		})
	})
	if file.Open() != 0 || Open() != 0 || Items() != 0 || mem.Available() != free {
		t.Errorf("left behind: %d files, %d instances, %d items, %d pages", file.Open(), Open(), Items(), free-mem.Available())
	}
}

// TestNoLostEdges plays Go's netpoller: everything is registered once, edge-triggered for both directions; a reader or writer works until
// EAGAIN and then waits for an event. Random interleavings must move all bytes.
func TestNoLostEdges(t *testing.T) {
	mem.InitHost(2048, 0)
	rapid.Check(t, func(t *rapid.T) {
		e, _ := New()
		var a, b *file.File
		if rapid.Bool().Draw(t, "pipe") {
			r, w, _ := pipe.New()
			a, b = file.New(w, 0), file.New(r, 0)
		} else {
			kind := rapid.SampledFrom([]unixsock.Type{unixsock.Stream, unixsock.Seqpacket, unixsock.Datagram}).Draw(t, "type")
			x, y, _ := unixsock.Pair(kind)
			a, b = file.New(x, 0), file.New(y, 0)
		}
		const events = abi.EPOLLIN | abi.EPOLLOUT | abi.EPOLLRDHUP | abi.EPOLLET
		e.Control(Add, 1, a, events, 1)
		e.Control(Add, 2, b, events, 2)
		canWrite, canRead := true, true
		left, got := 2_000_000, 0
		for idle := 0; left > 0 || got < 2_000_000; {
			progress := false
			size := rapid.OneOf(rapid.IntRange(1, 500), rapid.IntRange(1000, 150000))
			for range rapid.IntRange(0, 4).Draw(t, "writes") {
				if !canWrite || left == 0 {
					break
				}
				n, err := a.Object.Write(usertest.In(make([]byte, min(left, size.Draw(t, "write")))), 0)
				left -= n
				canWrite = err != abi.EAGAIN
				progress = true
			}
			for range rapid.IntRange(0, 4).Draw(t, "reads") {
				if !canRead {
					break
				}
				n, err := b.Object.Read(usertest.Out(make([]byte, 150000)), 0)
				got += n
				canRead = err != abi.EAGAIN
				progress = true
			}
			for _, ev := range collect(t, e, 8) {
				canWrite = canWrite || ev.data == 1 && ev.events&abi.EPOLLOUT != 0
				canRead = canRead || ev.data == 2 && ev.events&abi.EPOLLIN != 0
				progress = true
			}
			if progress {
				idle = 0
			} else if idle++; idle > 100 {
				t.Fatalf("stuck with %d bytes to write and %d read", left, got)
			}
		}
		a.Release()
		reap()
		b.Release()
		reap()
		e.Close()
	})
}

type watch struct {
	wait.Waiter
	calls int
}

func (w *watch) Wake(*wait.Waiter, abi.Events) { w.calls++ }

func TestTellsItsOwnQueue(t *testing.T) {
	e, _ := New()
	c, _ := eventfd.New(0, false)
	f := file.New(c, 0)
	e.Control(Add, 5, f, abi.EPOLLIN|abi.EPOLLET, 0)
	w := new(watch)
	w.Sink, w.Mask = w, abi.EPOLLIN
	e.Queue().Add(&w.Waiter)
	for i := 1; i <= 2; i++ {
		c.Write(usertest.In([]byte{1, 0, 0, 0, 0, 0, 0, 0}), 0)
		if w.calls != i {
			t.Errorf("%d calls after %d writes", w.calls, i)
		}
	}
	w.Remove()
	f.Release()
	reap()
	e.Close()
}

func TestRefusals(t *testing.T) {
	e, _ := New()
	other, _ := New()
	f, self := file.New(other, 0), file.New(e, 0)
	plain := file.New(&struct {
		file.Defaults
		stat
	}{}, 0)
	c, _ := eventfd.New(0, false)
	g := file.New(c, 0)
	for _, tt := range []struct {
		what   string
		op     Op
		f      *file.File
		events abi.Events
		want   abi.Errno
	}{
		{"an object that is always ready", Add, plain, 0, abi.EPERM},
		{"another epoll", Add, f, 0, abi.EINVAL},
		{"delete of another epoll", Delete, f, 0, abi.ENOENT},
		{"modify of another epoll", Modify, f, 0, abi.ENOENT},
		{"itself", Add, self, 0, abi.EINVAL},
		{"delete of itself", Delete, self, 0, abi.EINVAL},
		{"modify of what is not there to EPOLLEXCLUSIVE", Modify, g, exclusive, abi.EINVAL},
		{"EPOLLEXCLUSIVE", Add, g, exclusive, abi.EINVAL},
		{"unknown operation", 4, g, 0, abi.EINVAL},
		{"delete of nothing", Delete, g, 0, abi.ENOENT},
		{"modify of nothing", Modify, g, 0, abi.ENOENT},
	} {
		if got := e.Control(tt.op, 1, tt.f, tt.events, 0); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.what, got, tt.want)
		}
	}
	for _, limit := range []int{-1, 0, MaxEvents + 1} {
		if _, err := e.Collect(usertest.Memory(nil), 0, limit); err != abi.EINVAL {
			t.Errorf("limit %d: %d, want EINVAL", limit, err)
		}
	}
	for _, x := range []*file.File{f, plain, g, self} {
		x.Release()
		reap()
	}
}

type stat struct{}

func (stat) Stat(*abi.Stat) {}

// TestFault: events that cannot be stored stay.
func TestFault(t *testing.T) {
	e, _ := New()
	var files []*file.File
	for i := range 3 {
		c, _ := eventfd.New(1, false)
		files = append(files, file.New(c, 0))
		e.Control(Add, i, files[i], abi.EPOLLIN|abi.EPOLLET, uint64(i))
	}
	if n, err := e.Collect(make(usertest.Memory, EventSize-1), usertest.Base, 8); n != 0 || err != abi.EFAULT {
		t.Errorf("collect to nowhere = %d, %d, want EFAULT", n, err)
	}
	if n, err := e.Collect(make(usertest.Memory, EventSize+1), usertest.Base, 8); n != 1 || err != abi.OK {
		t.Errorf("collect to room for one = %d, %d, want 1", n, err)
	}
	if got := collect(t, e, 8); len(got) != 2 {
		t.Errorf("then %d events, want the other 2", len(got))
	}
	for _, f := range files {
		f.Release()
		reap()
	}
	e.Close()
}

func TestBounds(t *testing.T) {
	e, _ := New()
	c, _ := eventfd.New(0, false)
	f := file.New(c, 0)
	for fd := range MaxItems {
		if err := e.Control(Add, fd, f, 0, 0); err != abi.OK {
			t.Fatal(err)
		}
	}
	if err := e.Control(Add, MaxItems, f, 0, 0); err != abi.ENOMEM {
		t.Errorf("one item too many: %d, want ENOMEM", err)
	}
	f.Release()
	reap()
	if Items() != 0 {
		t.Errorf("%d items left by the close of their file", Items())
	}
	e.Close()
	var all []*Epoll
	for range MaxInstances {
		e, err := New()
		if err != abi.OK {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	if _, err := New(); err != abi.ENFILE {
		t.Errorf("one instance too many: %d, want ENFILE", err)
	}
	for _, e := range all {
		e.Close()
	}
	t.Logf("an item is %d bytes", unsafe.Sizeof(item{}))
}

// reap closes what was dropped, as the end of a trap does.
func reap() {
	for file.Reap() {
	}
}
