package unixsock

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/mem"
	"nexus/source/kernel/neuron/internal/user/usertest"
	"nexus/source/kernel/neuron/internal/wait"
)

// thing is an object that can be sent around.
type thing struct {
	file.Defaults
	closed int
}

func (*thing) Stat(*abi.Stat) {}
func (t *thing) Close() bool  { t.closed++; return true }

type fataler interface {
	Helper()
	Fatal(...any)
	Errorf(string, ...any)
}

func pair(t fataler, kind Type) (a, b *Socket) {
	t.Helper()
	a, b, err := Pair(kind)
	if err != abi.OK {
		t.Fatal(err)
	}
	return a, b
}

// checkEmpty wants that everything was given back.
func checkEmpty(t fataler, free int) {
	t.Helper()
	reap()
	if Open() != 0 || Parcels() != 0 || pages != 0 || file.Open() != 0 || mem.Available() != free {
		t.Errorf("left behind: %d sockets, %d parcels, %d queue pages, %d files, %d pages",
			Open(), Parcels(), pages, file.Open(), free-mem.Available())
	}
}

func start(t testing.TB, n int) (free int) {
	mem.InitHost(n, 0)
	free = mem.Available()
	t.Cleanup(func() { checkEmpty(t, free) })
	return free
}

// TestStreamIsAFIFO moves random pieces through a stream of any fill level, up to full and without memory.
func TestStreamIsAFIFO(t *testing.T) {
	start(t, 256)
	rapid.Check(t, func(t *rapid.T) {
		a, b := pair(t, Stream)
		defer b.Close()
		defer a.Close()
		var model []byte
		var seed byte
		sizes := rapid.OneOf(rapid.IntRange(1, 20), rapid.IntRange(4060, 4100), rapid.IntRange(1, 300000))
		t.Repeat(map[string]func(*rapid.T){
			"send": func(t *rapid.T) {
				p := make([]byte, sizes.Draw(t, "n"))
				for i := range p {
					seed++
					p[i] = seed
				}
				n, err := a.Write(usertest.In(p), 0)
				if err == abi.EAGAIN {
					if len(model) < Bound-8 {
						t.Fatalf("EAGAIN with %d bytes queued", len(model))
					}
					return
				}
				if err != abi.OK || n == 0 {
					t.Fatalf("send = %d, %d", n, err)
				}
				model = append(model, p[:n]...)
			},
			"recv": func(t *rapid.T) {
				p := make([]byte, sizes.Draw(t, "n"))
				peek := rapid.Bool().Draw(t, "peek")
				flags := 0
				if peek {
					flags = MSG_PEEK
				}
				n, _, err := b.Recv(usertest.Out(p), nil, nil, flags)
				if len(model) == 0 {
					if err != abi.EAGAIN {
						t.Fatalf("recv from nothing = %d, %d", n, err)
					}
					return
				}
				if err != abi.OK || n != min(len(p), len(model)) || !bytes.Equal(p[:n], model[:n]) {
					t.Fatalf("recv = %d, %d, or other bytes; want %d", n, err, min(len(p), len(model)))
				}
				if !peek {
					model = model[n:]
				}
			},
			"": func(t *rapid.T) {
				if got := b.Ready()&abi.EPOLLIN != 0; got != (len(model) > 0) {
					t.Fatalf("EPOLLIN %v with %d bytes", got, len(model))
				}
				if len(model) == 0 && b.in != (queue{}) {
					t.Fatal("an empty queue holds pages")
				}
				if want := (len(model) + mem.PageSize) / segmentSize; pages > want+2 {
					t.Fatalf("%d pages for %d bytes", pages, len(model))
				}
			},
		})
	})
}

// TestPacketsKeepTheirBounds moves random packets with headers.
func TestPacketsKeepTheirBounds(t *testing.T) {
	start(t, 512)
	rapid.Check(t, func(t *rapid.T) {
		a, b := pair(t, rapid.SampledFrom([]Type{Seqpacket, Datagram}).Draw(t, "type"))
		defer b.Close()
		defer a.Close()
		var model [][]byte
		seed := byte(0)
		sizes := rapid.OneOf(rapid.IntRange(0, 20), rapid.IntRange(4060, 4100), rapid.IntRange(0, 100000))
		t.Repeat(map[string]func(*rapid.T){
			"send": func(t *rapid.T) {
				seed++
				p := bytes.Repeat([]byte{seed}, sizes.Draw(t, "n"))
				n, err := a.Send(usertest.In(p[min(24, len(p)):]), p[:min(24, len(p))], nil, 0)
				if err == abi.EAGAIN && b.in.used >= Bound {
					return
				}
				if err != abi.OK || n != max(0, len(p)-24) {
					t.Fatalf("send = %d, %d", n, err)
				}
				model = append(model, p)
			},
			"recv": func(t *rapid.T) {
				p, header := make([]byte, sizes.Draw(t, "n")), make([]byte, 24)
				flags := rapid.SampledFrom([]int{0, MSG_PEEK, MSG_TRUNC, MSG_PEEK | MSG_TRUNC}).Draw(t, "flags")
				n, msg, err := b.Recv(usertest.Out(p), header, nil, flags)
				if len(model) == 0 {
					if err != abi.EAGAIN {
						t.Fatalf("recv from nothing = %d, %d", n, err)
					}
					return
				}
				want := model[0]
				if flags&MSG_PEEK == 0 {
					model = model[1:]
				}
				for len(want) < 24 {
					want = append(want[:len(want):len(want)], 0)
				}
				if !bytes.Equal(header, want[:24]) {
					t.Fatalf("header %x, want %x", header, want[:24])
				}
				want = want[24:]
				k := min(len(want), len(p))
				wantN := k
				if flags&MSG_TRUNC != 0 {
					wantN = len(want)
				}
				if err != abi.OK || n != wantN || !bytes.Equal(p[:k], want[:k]) || (msg == MSG_TRUNC) != (k < len(want)) {
					t.Fatalf("recv = %d, %#x, %d, want %d", n, msg, err, wantN)
				}
			},
		})
	})
}

// watch collects what a queue tells.
type watch struct {
	wait.Waiter
	events abi.Events
}

func (w *watch) Wake(_ *wait.Waiter, ev abi.Events) { w.events |= ev }

func watchSocket(s *Socket) *watch {
	w := new(watch)
	w.Sink, w.Mask = w, all
	s.Queue().Add(&w.Waiter)
	return w
}

func (w *watch) want(t *testing.T, what string, ev abi.Events) {
	t.Helper()
	if w.events&ev != ev || ev == 0 && w.events != 0 {
		t.Errorf("%s: told %#x, want %#x", what, w.events, ev)
	}
	w.events = 0
}

// TestNotifies wants an edge for every way in which a socket becomes ready.
func TestNotifies(t *testing.T) {
	for _, kind := range []Type{Stream, Seqpacket, Datagram} {
		start(t, 256)
		a, b := pair(t, kind)
		wa, wb := watchSocket(a), watchSocket(b)
		a.Write(usertest.In([]byte("1")), 0)
		wb.want(t, "send", abi.EPOLLIN)
		a.Write(usertest.In([]byte("2")), 0)
		wb.want(t, "second send", abi.EPOLLIN)
		wa.want(t, "sends", 0)
		for {
			if _, err := a.Write(usertest.In(make([]byte, 4000)), 0); err != abi.OK {
				if err != abi.EAGAIN {
					t.Fatal(err)
				}
				break
			}
		}
		if a.Ready()&abi.EPOLLOUT != 0 {
			t.Error("a full socket is writable")
		}
		for a.Ready()&abi.EPOLLOUT == 0 {
			wa.want(t, "while full", 0)
			if _, err := b.Read(usertest.Out(make([]byte, 4000)), 0); err != abi.OK {
				t.Fatal(err)
			}
		}
		wa.want(t, "room", abi.EPOLLOUT)
		wb.want(t, "sends", abi.EPOLLIN)
		a.Shutdown(1)
		wa.want(t, "own shutdown", abi.EPOLLOUT)
		if kind != Datagram {
			wb.want(t, "shutdown", abi.EPOLLRDHUP|abi.EPOLLIN)
		}
		wb.Remove()
		b.Close()
		if kind == Datagram {
			wa.want(t, "close", 0)
		} else {
			wa.want(t, "close", abi.EPOLLHUP|abi.EPOLLERR|abi.EPOLLRDHUP)
		}
		wa.Remove()
		a.Close()
	}
}

// TestCloseMakesRoom: a datagram sender that waits for room learns that there is nobody to wait for.
func TestCloseMakesRoom(t *testing.T) {
	start(t, 256)
	a, b := pair(t, Datagram)
	for {
		if _, err := a.Write(usertest.In(make([]byte, 4000)), 0); err == abi.EAGAIN {
			break
		}
	}
	w := watchSocket(a)
	b.Close()
	w.want(t, "close", abi.EPOLLOUT)
	if _, err := a.Write(usertest.In(nil), 0); err != abi.ECONNREFUSED {
		t.Errorf("send: %d, want ECONNREFUSED", err)
	}
	w.Remove()
	a.Close()
}

func TestAbort(t *testing.T) {
	start(t, 256)
	for _, kind := range []Type{Stream, Seqpacket} {
		a, b := pair(t, kind)
		f := file.New(new(thing), 0)
		a.Send(usertest.In([]byte("lost")), nil, rights(f), 0)
		f.Release()
		reap()
		a.Abort()
		a.Close()
		p := make([]byte, 10)
		if _, err := b.Read(usertest.Out(p), 0); err != abi.ECONNRESET {
			t.Errorf("type %d: read: %d, want ECONNRESET", kind, err)
		}
		if n, err := b.Read(usertest.Out(p), 0); n != 0 || err != abi.OK {
			t.Errorf("type %d: second read: %d, %d, want the end", kind, n, err)
		}
		b.Abort() // without a peer
		b.Close()
	}
}

func TestFaults(t *testing.T) {
	start(t, 256)
	for _, kind := range []Type{Stream, Seqpacket} {
		a, b := pair(t, kind)
		a.Write(usertest.In([]byte("before")), 0)
		if n, err := a.Write(usertest.Broken(make([]byte, 9000), 20000), 0); n != 0 || err != abi.EFAULT {
			t.Errorf("send = %d, %d, want EFAULT", n, err)
		}
		a.Write(usertest.In([]byte("after")), 0)
		if _, _, err := b.Recv(usertest.Broken(nil, 3), nil, nil, 0); err != abi.EFAULT {
			t.Errorf("recv: %d, want EFAULT", err)
		}
		got := make([]byte, 20)
		n, err := b.Read(usertest.Out(got), 0)
		want := "beforeafter" // a stream keeps its bytes, a packet is lost
		if kind == Seqpacket {
			want = "after"
		}
		if err != abi.OK || string(got[:n]) != want {
			t.Errorf("type %d: read %q, %d, want %q", kind, got[:n], err, want)
		}
		a.Close()
		b.Close()
	}
}

func TestWithoutMemory(t *testing.T) {
	start(t, 64)
	a, b := pair(t, Stream)
	c, d := pair(t, Seqpacket)
	if _, err := c.Write(usertest.In(make([]byte, 100000)), 0); err != abi.ENOBUFS {
		t.Errorf("packet beyond memory: %d, want ENOBUFS", err)
	}
	if pages != 0 {
		t.Errorf("the failed packet left %d pages", pages)
	}
	n, err := a.Write(usertest.In(make([]byte, 100000)), 0)
	if want := mem.Total()/4*segmentSize - frameHeader; n != want || err != abi.OK {
		t.Errorf("stream = %d, %d, want %d", n, err, want)
	}
	if _, err := a.Write(usertest.In(make([]byte, 1)), 0); err != abi.ENOBUFS {
		t.Errorf("stream without memory: %d, want ENOBUFS", err)
	}
	if _, err := c.Write(usertest.In(nil), 0); err != abi.ENOBUFS {
		t.Errorf("empty packet without memory: %d, want ENOBUFS", err)
	}
	if n, err := b.Read(usertest.Out(make([]byte, 100000)), 0); n == 0 || err != abi.OK {
		t.Errorf("read = %d, %d", n, err)
	}
	for _, s := range []*Socket{a, b, c, d} {
		s.Close()
	}
}

func TestBounds(t *testing.T) {
	start(t, 256)
	var all []*Socket
	for range MaxSockets / 2 {
		a, b := pair(t, Stream)
		all = append(all, a, b)
	}
	if _, _, err := Pair(Stream); err != abi.ENFILE {
		t.Errorf("one pair too many: %d, want ENFILE", err)
	}
	all[0].Close()
	if _, _, err := Pair(Stream); err != abi.ENFILE {
		t.Errorf("half a pair too many: %d, want ENFILE", err)
	}
	for _, s := range all[1:] {
		s.Close()
	}
	a, b := pair(t, Datagram)
	if _, err := a.Write(usertest.In(make([]byte, MaxMessage+1)), 0); err != abi.EMSGSIZE {
		t.Errorf("too large: %d, want EMSGSIZE", err)
	}
	if n, err := a.Write(usertest.In(make([]byte, MaxMessage)), 0); n != MaxMessage || err != abi.OK {
		t.Errorf("largest = %d, %d", n, err)
	}
	if _, err := a.Send(nil, nil, nil, MSG_OOB); err != abi.EOPNOTSUPP {
		t.Errorf("send with MSG_OOB: %d, want EOPNOTSUPP", err)
	}
	if _, _, err := b.Recv(usertest.Out(nil), nil, nil, MSG_OOB); err != abi.EOPNOTSUPP {
		t.Errorf("recv with MSG_OOB: %d, want EOPNOTSUPP", err)
	}
	a.Close()
	b.Close()
}

// rights makes r out of files, with new references.
func rights(files ...*file.File) *Rights {
	r := new(Rights)
	for _, f := range files {
		r.Files[r.N] = f.Ref()
		r.N++
	}
	return r
}

func TestUnreceivedRightsClose(t *testing.T) {
	start(t, 256)
	a, b := pair(t, Stream)
	o := new(thing)
	f := file.New(o, 0)
	a.Send(usertest.In([]byte("x")), nil, rights(f), 0)
	f.Release()
	reap()
	if o.closed != 0 {
		t.Fatal("closed under way")
	}
	b.Close()
	reap()
	if o.closed != 1 {
		t.Errorf("closed %d times by the close of the receiver", o.closed)
	}
	a.Close()
}

func TestRightsBounds(t *testing.T) {
	start(t, 2048)
	o := new(thing)
	f := file.New(o, 0)
	var open []*Socket
	sent := 0
	for sent < MaxParcels {
		a, b := pair(t, Seqpacket)
		open = append(open, a, b)
		for i := 0; ; i++ {
			r := rights(f)
			_, err := a.Send(nil, nil, r, 0)
			if err == abi.ETOOMANYREFS && (i == perSocket || sent == MaxParcels) {
				if r.N != 1 {
					t.Fatal("a refused send took the descriptors")
				}
				r.Release()
				reap()
				break
			}
			if err != abi.OK || r.N != 0 {
				t.Fatalf("send %d: %d", i, err)
			}
			sent++
		}
	}
	for _, s := range open {
		s.Close()
	}
	f.Release()
	reap()
	if o.closed != 1 {
		t.Errorf("closed %d times", o.closed)
	}
}

func TestNoRights(t *testing.T) {
	start(t, 256)
	a, b := pair(t, Stream)
	f := file.New(new(thing), 0)
	if !a.NoRights() {
		t.Error("descriptors wait at a new socket")
	}
	for _, s := range []*Socket{a, b} {
		r := rights(f)
		if _, err := s.Send(usertest.In([]byte("x")), nil, r, 0); err != abi.EINVAL || r.N != 1 {
			t.Errorf("send with descriptors: %d, want EINVAL", err)
		}
		r.Release()
		reap()
	}
	f.Release()
	reap()
	a.Close()
	b.Close()
	a, b = pair(t, Stream)
	f = file.New(new(thing), 0)
	b.Send(usertest.In([]byte("x")), nil, rights(f), 0)
	f.Release()
	reap()
	if a.NoRights() {
		t.Error("descriptors wait at the socket")
	}
	a.Close()
	b.Close()
}

// TestNoRings sends sockets over sockets at random and closes all descriptors: nothing may be left, whatever was sent where.
func TestNoRings(t *testing.T) {
	free := start(t, 1024)
	refused := 0
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 5).Draw(t, "pairs")
		files := make([]*file.File, 2*n)
		for i := range n {
			a, b := pair(t, Stream)
			files[2*i], files[2*i+1] = file.New(a, 0), file.New(b, 0)
		}
		some := rapid.IntRange(0, 2*n-1)
		t.Repeat(map[string]func(*rapid.T){
			"send": func(t *rapid.T) {
				over, what := files[some.Draw(t, "over")], files[some.Draw(t, "what")]
				r := rights(what)
				_, err := over.Object.(*Socket).Send(usertest.In([]byte("x")), nil, r, 0)
				if (err == abi.OK) != (r.N == 0) {
					t.Fatalf("send: %d with %d descriptors left", err, r.N)
				}
				if err == abi.ETOOMANYREFS {
					refused++
				}
				r.Release()
				reap()
			},
			"recv": func(t *rapid.T) {
				var r Rights
				files[some.Draw(t, "at")].Object.(*Socket).Recv(usertest.Out(make([]byte, 1)), nil, &r, 0)
				r.Release()
				reap()
			},
		})
		for _, f := range files {
			f.Release()
			reap()
		}
		checkEmpty(t, free)
	})
	if refused == 0 {
		t.Error("no ring was ever tried")
	}
}

// TestDeepNesting closes a chain of sockets each of which waits at the next.
func TestDeepNesting(t *testing.T) {
	start(t, 4096)
	var held *file.File
	for range MaxParcels {
		a, b := pair(t, Stream)
		if held != nil {
			r := rights(held)
			if _, err := a.Send(usertest.In([]byte("x")), nil, r, 0); err != abi.OK {
				t.Fatal(err)
			}
			held.Release()
			reap()
		}
		a.Close()
		held = file.New(b, 0)
	}
	held.Release()
	reap()
}

// reap closes what was dropped, as the end of a trap does.
func reap() {
	for file.Reap() {
	}
}

// TestClosed: a closed socket has no user any more.
func TestClosed(t *testing.T) {
	start(t, 64)
	for what, use := range map[string]func(*Socket){
		"send":  func(s *Socket) { s.Send(nil, nil, nil, 0) },
		"recv":  func(s *Socket) { s.Recv(nil, nil, nil, 0) },
		"close": func(s *Socket) { s.Close() },
	} {
		a, b := pair(t, Stream)
		a.Close()
		func() {
			defer func() {
				if got := recover(); got != "unixsock: used after its close" {
					t.Errorf("%s: got %v, want a panic", what, got)
				}
			}()
			use(a)
		}()
		b.Close()
	}
}
