package inet

import (
	"testing"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/mem"
	"nexus/source/kernel/neuron/internal/unixsock"
	"nexus/source/kernel/neuron/internal/user/usertest"
	"nexus/source/kernel/neuron/internal/wait"
	"nexus/source/libs/sockns"
)

// A world is a namespace with a server, which the test plays.
type world struct {
	t         fataler
	namespace *Namespace
	files     []*file.File // namespace and serving end
	server    *Server
}

type fataler interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
	Errorf(string, ...any)
}

func newWorld(t fataler) *world {
	t.Helper()
	n, err := NewNamespace()
	if err != abi.OK {
		t.Fatal(err)
	}
	s, err := n.Serve()
	if err != abi.OK {
		t.Fatal(err)
	}
	return &world{t, n, []*file.File{file.New(n, 0), file.New(s, abi.O_RDWR)}, s}
}

func (w *world) close() {
	for _, f := range w.files {
		f.Release()
		reap()
	}
	w.files = nil
}

// die closes the serving end.
func (w *world) die() {
	w.files[1].Release()
	reap()
	w.files = w.files[:1]
}

// start prepares memory and checks at the end that everything was given back.
func start(t *testing.T, pages int) {
	mem.InitHost(pages, 0)
	free := mem.Available()
	t.Cleanup(func() { checkEmpty(t, free) })
}

func checkEmpty(t fataler, free int) {
	t.Helper()
	reap()
	used := 0
	for i := range namespaces {
		if namespaces[i].used {
			used++
		}
	}
	if Open() != 0 || used != 0 || unixsock.Open() != 0 || unixsock.Parcels() != 0 || file.Open() != 0 || mem.Available() != free {
		t.Errorf("left behind: %d sockets, %d namespaces, %d ends, %d parcels, %d files, %d pages",
			Open(), used, unixsock.Open(), unixsock.Parcels(), file.Open(), free-mem.Available())
	}
}

// next is the next record that the server gets, and what came beside it.
func (w *world) next() (sockns.Record, *unixsock.Rights) {
	w.t.Helper()
	var b [sockns.Size]byte
	r := new(unixsock.Rights)
	n, msg, err := w.server.Recv(usertest.Out(b[:]), r, 0)
	if n != sockns.Size || msg != 0 || err != abi.OK {
		w.t.Fatalf("no record: %d, %#x, %d", n, msg, err)
	}
	var rec sockns.Record
	m := usertest.Memory(b[:])
	rec.Decode((*[sockns.Size]byte)(m))
	return rec, r
}

// want is next, checked for its operation.
func (w *world) want(op sockns.Op) sockns.Record {
	w.t.Helper()
	rec, r := w.next()
	if rec.Op != op || r.N != 0 {
		w.t.Fatalf("record %+v beside %d descriptors, want op %d", rec, r.N, op)
	}
	return rec
}

func (w *world) quiet() {
	w.t.Helper()
	if w.server.Ready()&abi.EPOLLIN != 0 {
		rec, _ := w.next()
		w.t.Fatalf("unexpected record %+v", rec)
	}
}

// send sends a record as the server does; f may be nil.
func (w *world) send(rec sockns.Record, f *file.File) {
	w.t.Helper()
	var b [sockns.Size]byte
	rec.Encode(&b)
	var r unixsock.Rights
	if f != nil {
		r.Files[0], r.N = f.Ref(), 1
	}
	n, err := w.server.Send(usertest.In(b[:]), &r)
	r.Release()
	reap()
	if n != sockns.Size || err != abi.OK {
		w.t.Fatalf("send: %d, %d", n, err)
	}
}

func (w *world) reply(to sockns.Record, err abi.Errno, local, remote sockns.Address) {
	w.t.Helper()
	w.send(sockns.Record{Op: sockns.Reply, ID: to.ID, Seq: to.Seq, Errno: int32(err), Local: local, Remote: remote}, nil)
}

// open opens a socket; data is the server's end of its pair.
func (w *world) open(kind unixsock.Type) (s *Socket, data *file.File) {
	w.t.Helper()
	s, q, err := New(w.namespace, kind)
	if q != nil || err != abi.OK {
		w.t.Fatalf("open: %d", err)
	}
	rec, r := w.next()
	if rec.Op != sockns.Open || rec.ID != s.id || rec.Arg0 != uint32(kind) || r.N != 1 {
		w.t.Fatalf("record %+v beside %d descriptors, want OPEN", rec, r.N)
	}
	return s, r.Files[0]
}

// connectedStream is a stream that the server has connected.
func (w *world) connectedStream() (s *Socket, data *file.File) {
	w.t.Helper()
	s, data = w.open(unixsock.Stream)
	if _, err := s.Connect(&far, true, 0); err != abi.EINPROGRESS {
		w.t.Fatalf("connect: %d", err)
	}
	w.reply(w.want(sockns.Connect), abi.OK, near, far)
	if _, err := s.Connect(&far, true, 0); err != abi.OK {
		w.t.Fatalf("connect, told: %d", err)
	}
	return s, data
}

// listener is a stream that listens.
func (w *world) listener(backlog int) (s *Socket, data *file.File) {
	w.t.Helper()
	s, data = w.open(unixsock.Stream)
	s.Listen(backlog)
	w.reply(w.want(sockns.Listen), abi.OK, near, sockns.Address{})
	if q, err := s.Listen(backlog); q != nil || err != abi.OK {
		w.t.Fatalf("listen: %d", err)
	}
	return s, data
}

// accepted tells listener s of a connection; the server keeps one end and the result is a file over it.
func (w *world) accepted(s *Socket, id uint32) *file.File {
	w.t.Helper()
	a, b, err := unixsock.Pair(unixsock.Stream)
	if err != abi.OK {
		w.t.Fatal(err)
	}
	mine, theirs := file.New(a, abi.O_RDWR), file.New(b, abi.O_RDWR)
	w.send(sockns.Record{Op: sockns.Accepted, ID: s.id, Arg0: id, Local: near, Remote: far}, theirs)
	theirs.Release()
	reap()
	return mine
}

var (
	near  = sockns.Address{Family: sockns.FamilyIP4, Port: 4000, IP: [16]byte{10, 0, 2, 15}}
	far   = sockns.Address{Family: sockns.FamilyIP4, Port: 80, IP: [16]byte{10, 0, 2, 2}}
	zero  = sockns.Address{Family: sockns.FamilyIP4}
	other = sockns.Address{Family: sockns.FamilyIP4, Port: 53, IP: [16]byte{10, 0, 2, 3}}
)

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

func (w *watch) told(ev abi.Events) bool {
	got := w.events
	w.events = 0
	return got&ev == ev
}

func TestBind(t *testing.T) {
	start(t, 256)
	w := newWorld(t)
	s, data := w.open(unixsock.Stream)
	if got := s.Name(); got != zero {
		t.Errorf("name before bind: %+v", got)
	}
	q, err := s.Bind(&zero)
	if q != s.Queue() || err != abi.EAGAIN {
		t.Fatalf("bind: %d, want to wait", err)
	}
	rec := w.want(sockns.Bind)
	if rec.ID != s.id || rec.Seq == 0 || rec.Local != zero {
		t.Errorf("record %+v", rec)
	}
	if q, _ := s.Bind(&zero); q == nil {
		t.Error("bind without an answer does not wait")
	}
	if q, err := s.Listen(1); q != nil || err != abi.EALREADY {
		t.Errorf("listen during bind: %d, want EALREADY", err)
	}
	if q, err := s.Connect(&far, true, 0); q != nil || err != abi.EALREADY {
		t.Errorf("connect during bind: %d, want EALREADY", err)
	}
	w.quiet()
	seen := watchSocket(s)
	w.reply(rec, abi.OK, near, sockns.Address{})
	if !seen.told(Answered) {
		t.Error("the answer wakes nobody")
	}
	if q, err := s.Bind(&zero); q != nil || err != abi.OK {
		t.Errorf("bind, answered: %d", err)
	}
	if got := s.Name(); got != near {
		t.Errorf("name %+v, want %+v", got, near)
	}
	if _, err := s.Bind(&zero); err != abi.EINVAL {
		t.Errorf("second bind: %d, want EINVAL", err)
	}
	seen.Remove()
	s.Close()
	data.Release()
	reap()
	w.close()
}

// TestLateAnswer: an answer to a request that was given up is not the answer to the next one.
func TestLateAnswer(t *testing.T) {
	start(t, 256)
	w := newWorld(t)
	s, data := w.open(unixsock.Stream)
	s.Bind(&near)
	old := w.want(sockns.Bind)
	s.Cancel()
	s.Bind(&far)
	rec := w.want(sockns.Bind)
	w.reply(old, abi.EADDRINUSE, sockns.Address{}, sockns.Address{})
	if q, err := s.Bind(&far); q == nil || err != abi.EAGAIN || w.namespace.Dropped(NotAsked) != 1 {
		t.Errorf("after a late answer: %d, %d dropped; want to wait, 1", err, w.namespace.Dropped(NotAsked))
	}
	w.reply(rec, abi.OK, far, sockns.Address{})
	if q, err := s.Bind(&far); q != nil || err != abi.OK || s.Name() != far {
		t.Errorf("after the answer: %d, %+v", err, s.Name())
	}
	s.Close()
	w.want(sockns.Close)
	data.Release()
	reap()
	w.close()
}

// TestConnectedWhere: the peer is whom the server says, or whom the program asked for if it says nothing; and an error number that Linux does not
// have is EIO.
func TestConnectedWhere(t *testing.T) {
	start(t, 256)
	w := newWorld(t)
	for _, tt := range []struct {
		err          abi.Errno
		remote, want sockns.Address
		told         abi.Errno
	}{
		{abi.OK, other, other, abi.OK},
		{abi.OK, sockns.Address{}, far, abi.OK},
		{abi.OK, sockns.Address{Family: 10, Port: 1}, far, abi.OK},
		{abi.ECONNREFUSED, other, sockns.Address{}, abi.ECONNREFUSED},
		{133, other, sockns.Address{}, 133}, // EHWPOISON, the last
		{134, other, sockns.Address{}, abi.EIO},
	} {
		s, data := w.open(unixsock.Stream)
		s.Connect(&far, true, 0)
		w.reply(w.want(sockns.Connect), tt.err, near, tt.remote)
		if _, err := s.Connect(&far, true, 0); err != tt.told {
			t.Errorf("answer %d from %+v: %d, want %d", tt.err, tt.remote, err, tt.told)
		}
		wantErr := abi.OK
		if tt.told != abi.OK {
			wantErr = abi.ENOTCONN
		}
		if peer, err := s.Peer(); err != wantErr || peer != tt.want {
			t.Errorf("answer %d from %+v: peer %+v, %d; want %+v, %d", tt.err, tt.remote, peer, err, tt.want, wantErr)
		}
		s.Close()
		data.Release()
		reap()
	}
	w.close()
}

// TestServerReads: read(2) and write(2) on the serving end are a record each; read of nothing takes none.
func TestServerReads(t *testing.T) {
	start(t, 256)
	w := newWorld(t)
	s, data := w.open(unixsock.Stream)
	s.Bind(&near)
	if n, err := w.server.Read(usertest.Out(nil), 0); n != 0 || err != abi.OK {
		t.Errorf("read of nothing: %d, %d", n, err)
	}
	var b [sockns.Size]byte
	if n, err := w.server.Read(usertest.Out(b[:]), 0); n != len(b) || err != abi.OK {
		t.Fatalf("read: %d, %d", n, err)
	}
	var rec sockns.Record
	rec.Decode(&b)
	if rec.Op != sockns.Bind || rec.ID != s.id || rec.Local != near {
		t.Errorf("read %+v", rec)
	}
	if n, err := w.server.Read(usertest.Out(b[:]), 0); n != 0 || err != abi.EAGAIN {
		t.Errorf("read of a record that is not there: %d, %d, want EAGAIN", n, err)
	}
	answer := sockns.Record{Op: sockns.Reply, ID: rec.ID, Seq: rec.Seq, Local: near}
	answer.Encode(&b)
	if n, err := w.server.Write(usertest.In(b[:]), 0); n != len(b) || err != abi.OK {
		t.Errorf("write: %d, %d", n, err)
	}
	if _, err := s.Bind(&near); err != abi.OK || s.Name() != near {
		t.Errorf("bind: %d, %+v", err, s.Name())
	}
	s.Close()
	w.want(sockns.Close)
	data.Release()
	reap()
	w.close()
}

func TestBindFails(t *testing.T) {
	start(t, 256)
	w := newWorld(t)
	s, data := w.open(unixsock.Datagram)
	s.Bind(&far)
	w.reply(w.want(sockns.Bind), abi.EADDRNOTAVAIL, sockns.Address{}, sockns.Address{})
	if q, err := s.Bind(&far); q != nil || err != abi.EADDRNOTAVAIL {
		t.Errorf("bind: %d, want EADDRNOTAVAIL", err)
	}
	s.Bind(&near)
	rec := w.want(sockns.Bind)
	s.Cancel()
	w.reply(rec, abi.OK, near, sockns.Address{})
	if got := w.namespace.Dropped(NotAsked); got != 1 || s.Name() != zero {
		t.Errorf("late answer: %d dropped, name %+v", got, s.Name())
	}
	s.Bind(&near)
	w.reply(w.want(sockns.Bind), abi.OK, near, sockns.Address{})
	if _, err := s.Bind(&near); err != abi.OK {
		t.Errorf("bind after a cancelled one: %d", err)
	}
	s.Close()
	data.Release()
	reap()
	w.close()
}

func TestConnectNonblocking(t *testing.T) {
	start(t, 256)
	w := newWorld(t)
	s, data := w.open(unixsock.Stream)
	if got := s.Ready(); got != abi.EPOLLOUT|abi.EPOLLHUP {
		t.Errorf("new stream ready: %#x, want OUT and HUP as on Linux", got)
	}
	if q, err := s.Connect(&far, true, 0); q != nil || err != abi.EINPROGRESS {
		t.Fatalf("connect: %d, want EINPROGRESS", err)
	}
	rec := w.want(sockns.Connect)
	if rec.Remote != far {
		t.Errorf("record %+v", rec)
	}
	if got := s.Ready(); got != 0 {
		t.Errorf("connecting stream ready: %#x", got)
	}
	if _, err := s.Connect(&far, true, 0); err != abi.EALREADY {
		t.Errorf("connect again: %d, want EALREADY", err)
	}
	if _, err := s.Peer(); err != abi.ENOTCONN {
		t.Errorf("peer while connecting: %d, want ENOTCONN", err)
	}
	if _, err := s.Send(usertest.In([]byte("x")), nil, 0); err != abi.EAGAIN {
		t.Errorf("send while connecting: %d, want EAGAIN", err)
	}
	if _, _, err := s.Recv(usertest.Out(make([]byte, 1)), nil, 0); err != abi.EAGAIN {
		t.Errorf("recv while connecting: %d, want EAGAIN", err)
	}
	seen := watchSocket(s)
	w.reply(rec, abi.OK, near, far)
	if !seen.told(abi.EPOLLOUT | Answered) {
		t.Error("the connection is no edge")
	}
	seen.Remove()
	if v, err := s.Option(SOL_SOCKET, SO_ERROR); v != 0 || err != abi.OK {
		t.Errorf("SO_ERROR %d, %d", v, err)
	}
	if got := s.Ready(); got != abi.EPOLLOUT {
		t.Errorf("connected stream ready: %#x, want OUT", got)
	}
	peer, err := s.Peer()
	if peer != far || err != abi.OK || s.Name() != near {
		t.Errorf("addresses %+v, %+v, %d", s.Name(), peer, err)
	}
	for _, want := range []abi.Errno{abi.OK, abi.EISCONN, abi.EISCONN} {
		if _, err := s.Connect(&far, true, 0); err != want {
			t.Errorf("connect afterwards: %d, want %d", err, want)
		}
	}
	s.Close()
	data.Release()
	reap()
	w.close()
}

func TestConnectFails(t *testing.T) {
	start(t, 256)
	w := newWorld(t)
	s, data := w.open(unixsock.Stream)
	s.Connect(&far, true, 0)
	seen := watchSocket(s)
	w.reply(w.want(sockns.Connect), abi.ECONNREFUSED, sockns.Address{}, sockns.Address{})
	if !seen.told(abi.EPOLLERR | abi.EPOLLHUP | abi.EPOLLIN | abi.EPOLLOUT) {
		t.Error("the failure is no edge")
	}
	seen.Remove()
	if got, want := s.Ready(), abi.EPOLLERR|abi.EPOLLHUP|abi.EPOLLIN|abi.EPOLLOUT|abi.EPOLLRDHUP; got != want {
		t.Errorf("ready %#x, want %#x", got, want)
	}
	if v, _ := s.Option(SOL_SOCKET, SO_ERROR); abi.Errno(v) != abi.ECONNREFUSED {
		t.Errorf("SO_ERROR %d, want ECONNREFUSED", v)
	}
	if _, err := s.Peer(); err != abi.ENOTCONN {
		t.Errorf("peer: %d, want ENOTCONN", err)
	}
	if _, err := s.Connect(&far, true, 0); err != abi.ECONNABORTED {
		t.Errorf("connect after the error was taken: %d, want ECONNABORTED", err)
	}
	if q, err := s.Connect(&far, false, 0); q == nil || err != abi.EAGAIN {
		t.Errorf("connect anew: %d, want to wait", err)
	}
	w.reply(w.want(sockns.Connect), abi.EHOSTUNREACH, sockns.Address{}, sockns.Address{})
	if q, err := s.Connect(&far, false, 0); q != nil || err != abi.EHOSTUNREACH {
		t.Errorf("blocking connect: %d, want EHOSTUNREACH", err)
	}
	s.Close()
	data.Release()
	reap()
	w.close()
}

func TestConnectExpires(t *testing.T) {
	start(t, 256)
	w := newWorld(t)
	s, data := w.open(unixsock.Stream)
	later, laterData := w.open(unixsock.Stream)
	Expire(1 << 62)
	if Deadline() != Never {
		t.Errorf("deadline %d without a connect", Deadline())
	}
	s.Connect(&far, true, 1000)
	later.Connect(&far, true, 2000)
	rec := w.want(sockns.Connect)
	if Deadline() != 1000+ConnectTimeout {
		t.Errorf("deadline %d", Deadline())
	}
	Expire(1000 + ConnectTimeout - 1)
	if s.Ready() != 0 {
		t.Error("expired too early")
	}
	seen := watchSocket(s)
	Expire(1000 + ConnectTimeout)
	if !seen.told(abi.EPOLLERR|abi.EPOLLOUT) || later.Ready() != 0 || Deadline() != 2000+ConnectTimeout {
		t.Errorf("expiry not told, or of the wrong socket, or deadline %d", Deadline())
	}
	seen.Remove()
	if err := s.TakeError(); err != abi.ETIMEDOUT {
		t.Errorf("SO_ERROR %d, want ETIMEDOUT", err)
	}
	w.reply(rec, abi.OK, near, far)
	if w.namespace.Dropped(NotAsked) != 1 {
		t.Error("the late answer counted")
	}
	later.Cancel()
	if later.Ready() != abi.EPOLLOUT|abi.EPOLLHUP {
		t.Errorf("cancelled: ready %#x", later.Ready())
	}
	Expire(1 << 62)
	for _, s := range []*Socket{s, later} {
		s.Close()
	}
	data.Release()
	reap()
	laterData.Release()
	reap()
	w.close()
}

func TestStreamData(t *testing.T) {
	start(t, 256)
	w := newWorld(t)
	s, data := w.connectedStream()
	theirs := data.Object.(*unixsock.Socket)
	seen := watchSocket(s)
	if n, err := s.Write(usertest.In([]byte("request")), 0); n != 7 || err != abi.OK {
		t.Fatalf("write: %d, %d", n, err)
	}
	got := make([]byte, 20)
	if n, _ := theirs.Read(usertest.Out(got), 0); string(got[:n]) != "request" {
		t.Errorf("the server read %q", got[:n])
	}
	if _, _, err := s.Recv(usertest.Out(got), nil, 0); err != abi.EAGAIN {
		t.Errorf("recv of nothing: %d, want EAGAIN", err)
	}
	theirs.Write(usertest.In([]byte("reply")), 0)
	if !seen.told(abi.EPOLLIN) {
		t.Error("data is no edge")
	}
	if n, _, err := s.Recv(usertest.Out(got), nil, unixsock.MSG_PEEK); string(got[:n]) != "reply" || err != abi.OK {
		t.Errorf("peeked %q, %d", got[:n], err)
	}
	if n, err := s.Read(usertest.Out(got), 0); string(got[:n]) != "reply" || err != abi.OK {
		t.Errorf("read %q, %d", got[:n], err)
	}
	theirs.Shutdown(1)
	if !seen.told(abi.EPOLLIN | abi.EPOLLRDHUP) {
		t.Error("the end of the stream is no edge")
	}
	if n, err := s.Read(usertest.Out(got), 0); n != 0 || err != abi.OK {
		t.Errorf("read at the end: %d, %d", n, err)
	}
	if _, err := s.Shutdown(1); err != abi.OK {
		t.Errorf("shutdown: %d", err)
	}
	if n, err := theirs.Read(usertest.Out(got), 0); n != 0 || err != abi.OK {
		t.Errorf("the server's read at the end: %d, %d", n, err)
	}
	if _, err := s.Write(usertest.In([]byte("x")), 0); err != abi.EPIPE {
		t.Errorf("write after shutdown: %d, want EPIPE", err)
	}
	w.quiet()
	if _, err := s.Shutdown(3); err != abi.EINVAL {
		t.Errorf("shutdown(3): %d, want EINVAL", err)
	}
	seen.Remove()
	s.Close()
	if theirs.Ready()&abi.EPOLLHUP == 0 {
		t.Error("the server does not see the close")
	}
	data.Release()
	reap()
	w.close()
}

// TestStreamReset: what arrived before the error is read first, then the error once, then the end.
func TestStreamReset(t *testing.T) {
	start(t, 256)
	w := newWorld(t)
	s, data := w.connectedStream()
	theirs := data.Object.(*unixsock.Socket)
	theirs.Write(usertest.In([]byte("last words")), 0)
	seen := watchSocket(s)
	w.send(sockns.Record{Op: sockns.Error, ID: s.id, Errno: int32(abi.ECONNRESET)}, nil)
	theirs.Shutdown(2)
	if !seen.told(abi.EPOLLERR|abi.EPOLLHUP) || s.Ready()&abi.EPOLLERR == 0 {
		t.Error("the reset is no edge")
	}
	seen.Remove()
	got := make([]byte, 20)
	if n, err := s.Read(usertest.Out(got), 0); string(got[:n]) != "last words" || err != abi.OK {
		t.Errorf("read %q, %d", got[:n], err)
	}
	if _, err := s.Read(usertest.Out(got), 0); err != abi.ECONNRESET {
		t.Errorf("read: %d, want ECONNRESET", err)
	}
	if n, err := s.Read(usertest.Out(got), 0); n != 0 || err != abi.OK {
		t.Errorf("read after the error: %d, %d, want the end", n, err)
	}
	if _, err := s.Write(usertest.In([]byte("x")), 0); err != abi.EPIPE {
		t.Errorf("write: %d, want EPIPE", err)
	}
	s.Close()
	data.Release()
	reap()

	s, data = w.connectedStream()
	w.send(sockns.Record{Op: sockns.Error, ID: s.id, Errno: int32(abi.ETIMEDOUT)}, nil)
	for _, want := range []abi.Errno{abi.ETIMEDOUT, abi.OK} {
		if _, err := s.Write(usertest.In([]byte("x")), 0); err != want {
			t.Errorf("write: %d, want %d", err, want)
		}
	}
	s.Close()
	data.Release()
	reap()
	w.close()
}

func TestUnconnectedStream(t *testing.T) {
	start(t, 256)
	w := newWorld(t)
	s, data := w.open(unixsock.Stream)
	if _, err := s.Write(usertest.In([]byte("x")), 0); err != abi.EPIPE {
		t.Errorf("write: %d, want EPIPE", err)
	}
	if _, err := s.Read(usertest.Out(make([]byte, 1)), 0); err != abi.ENOTCONN {
		t.Errorf("read: %d, want ENOTCONN", err)
	}
	if _, err := s.Shutdown(2); err != abi.ENOTCONN {
		t.Errorf("shutdown: %d, want ENOTCONN", err)
	}
	if _, err := s.Accept(); err != abi.EINVAL {
		t.Errorf("accept: %d, want EINVAL", err)
	}
	if _, err := s.Connect(&sockns.Address{}, true, 0); err != abi.EOPNOTSUPP {
		t.Errorf("connect to nowhere: %d, want EOPNOTSUPP", err)
	}
	w.quiet()
	s.Close()
	data.Release()
	reap()
	w.close()
}

func datagram(a sockns.Address, payload string) []byte {
	var h [sockns.AddressSize]byte
	a.Encode(&h)
	return append(h[:], payload...)
}

func TestDatagrams(t *testing.T) {
	start(t, 256)
	w := newWorld(t)
	s, data := w.open(unixsock.Datagram)
	theirs := data.Object.(*unixsock.Socket)
	if theirs.Kind() != unixsock.Seqpacket {
		t.Errorf("the pair is of type %d, want SEQPACKET", theirs.Kind())
	}
	for _, tt := range []struct {
		what string
		to   *sockns.Address
		n    int
		want abi.Errno
	}{
		{"to nowhere", nil, 1, abi.EDESTADDRREQ},
		{"to port 0", &zero, 1, abi.EINVAL},
		{"too large", &far, sockns.MaxDatagram + 1, abi.EMSGSIZE},
		{"largest", &far, sockns.MaxDatagram, abi.OK},
		{"empty", &other, 0, abi.OK},
	} {
		if n, err := s.Send(usertest.In(make([]byte, tt.n)), tt.to, 0); err != tt.want || err == abi.OK && n != tt.n {
			t.Errorf("send %s: %d, %d, want %d", tt.what, n, err, tt.want)
		}
	}
	got := make([]byte, 70000)
	for _, want := range []struct {
		to sockns.Address
		n  int
	}{{far, sockns.MaxDatagram}, {other, 0}} {
		n, err := theirs.Read(usertest.Out(got), 0)
		var a sockns.Address
		a.Decode((*[sockns.AddressSize]byte)(got))
		if n != want.n+sockns.AddressSize || err != abi.OK || a != want.to {
			t.Errorf("the server got %d bytes to %+v, want %+v", n, a, want)
		}
	}

	if _, _, err := s.Recv(usertest.Out(got), nil, 0); err != abi.EAGAIN {
		t.Errorf("recv of nothing: %d, want EAGAIN", err)
	}
	seen := watchSocket(s)
	theirs.Write(usertest.In([]byte("short")), 0)
	theirs.Write(usertest.In(datagram(sockns.Address{Family: 10}, "IPv6")), 0)
	theirs.Write(usertest.In(datagram(other, "hello")), 0)
	theirs.Write(usertest.In(datagram(far, "")), 0)
	if !seen.told(abi.EPOLLIN) {
		t.Error("a datagram is no edge")
	}
	seen.Remove()
	var from sockns.Address
	for _, flags := range []int{unixsock.MSG_PEEK, unixsock.MSG_TRUNC} {
		n, msg, err := s.Recv(usertest.Out(got[:3]), &from, flags)
		wantN := 3
		if flags == unixsock.MSG_TRUNC {
			wantN = 5
		}
		if n != wantN || msg != unixsock.MSG_TRUNC || err != abi.OK || from != other || string(got[:3]) != "hel" {
			t.Errorf("recv(%#x): %d %q from %+v, %#x, %d", flags, n, got[:3], from, msg, err)
		}
	}
	if n, _, err := s.Recv(usertest.Out(got), &from, 0); n != 0 || err != abi.OK || from != far {
		t.Errorf("empty datagram: %d from %+v, %d", n, from, err)
	}
	if _, _, err := s.Recv(usertest.Out(got), nil, 0); err != abi.EAGAIN {
		t.Errorf("recv of nothing: %d, want EAGAIN", err)
	}
	if got := w.namespace.Dropped(NoSource); got != 2 {
		t.Errorf("%d without a source dropped, want 2", got)
	}
	s.Close()
	data.Release()
	reap()
	w.close()
}

func TestConnectedDatagrams(t *testing.T) {
	start(t, 256)
	w := newWorld(t)
	s, data := w.open(unixsock.Datagram)
	theirs := data.Object.(*unixsock.Socket)
	connect := func(to sockns.Address, remote sockns.Address) {
		t.Helper()
		if q, err := s.Connect(&to, true, 0); q == nil || err != abi.EAGAIN {
			t.Fatalf("connect: %d, want to wait, blocking or not", err)
		}
		rec := w.want(sockns.Connect)
		if rec.Remote != to {
			t.Errorf("record %+v", rec)
		}
		w.reply(rec, abi.OK, near, remote)
		if q, err := s.Connect(&to, true, 0); q != nil || err != abi.OK {
			t.Fatalf("connect, answered: %d", err)
		}
	}
	if _, err := s.Shutdown(2); err != abi.ENOTCONN {
		t.Errorf("shutdown: %d, want ENOTCONN", err)
	}
	connect(far, far)
	if peer, err := s.Peer(); peer != far || err != abi.OK || s.Name() != near {
		t.Errorf("peer %+v, %d, name %+v", peer, err, s.Name())
	}
	connect(other, other)
	s.Write(usertest.In([]byte("x")), 0)
	got := make([]byte, 100)
	if n, _ := theirs.Read(usertest.Out(got), 0); n != 25 || got[0] != 0 {
		t.Errorf("the server got % x", got[:n])
	}
	connect(sockns.Address{}, sockns.Address{})
	if _, err := s.Peer(); err != abi.ENOTCONN {
		t.Errorf("peer after dissolving: %d, want ENOTCONN", err)
	}
	if _, err := s.Write(usertest.In([]byte("x")), 0); err != abi.EDESTADDRREQ {
		t.Errorf("write after dissolving: %d, want EDESTADDRREQ", err)
	}
	connect(far, far)
	w.send(sockns.Record{Op: sockns.Error, ID: s.id, Errno: int32(abi.ECONNREFUSED)}, nil)
	if _, _, err := s.Recv(usertest.Out(got), nil, 0); err != abi.ECONNREFUSED {
		t.Errorf("recv after ICMP: %d, want ECONNREFUSED", err)
	}

	if _, err := s.Shutdown(1); err != abi.OK {
		t.Errorf("shutdown: %d", err)
	}
	if rec := w.want(sockns.Shutdown); rec.Arg0 != 1 {
		t.Errorf("record %+v", rec)
	}
	if _, err := s.Write(usertest.In([]byte("x")), 0); err != abi.EPIPE {
		t.Errorf("write after shutdown: %d, want EPIPE", err)
	}
	if theirs.Ready()&abi.EPOLLRDHUP != 0 {
		t.Error("the shutdown looks like a close to the server")
	}
	s.Shutdown(0)
	w.want(sockns.Shutdown)
	if n, _, err := s.Recv(usertest.Out(got), nil, 0); n != 0 || err != abi.EAGAIN || s.Ready()&abi.EPOLLRDHUP == 0 {
		t.Errorf("recv after shutdown: %d, %d, events %#x, want EAGAIN and EPOLLRDHUP", n, err, s.Ready())
	}
	s.Close()
	data.Release()
	reap()
	w.close()
}

// TestServerClosesDatagramEnd: a datagram socket whose server gave it up fails; it does not receive empty datagrams.
func TestServerClosesDatagramEnd(t *testing.T) {
	start(t, 256)
	w := newWorld(t)
	s, data := w.open(unixsock.Datagram)
	data.Release()
	reap()
	if _, err := s.Send(usertest.In([]byte("x")), &far, 0); err != abi.ENETDOWN {
		t.Errorf("send: %d, want ENETDOWN", err)
	}
	if _, _, err := s.Recv(usertest.Out(make([]byte, 1)), nil, 0); err != abi.ENETDOWN {
		t.Errorf("recv: %d, want ENETDOWN", err)
	}
	s.Close()
	w.close()
}

func TestAccept(t *testing.T) {
	start(t, 256)
	w := newWorld(t)
	s, data := w.listener(1)
	if v, _ := s.Option(SOL_SOCKET, SO_ACCEPTCONN); v != 1 {
		t.Error("SO_ACCEPTCONN is 0")
	}
	if s.Ready() != 0 {
		t.Errorf("listener ready: %#x", s.Ready())
	}
	if _, err := s.Accept(); err != abi.EAGAIN {
		t.Errorf("accept: %d, want EAGAIN", err)
	}
	s.SetOption(IPPROTO_TCP, 4, 33)
	w.want(sockns.Option)
	seen := watchSocket(s)
	var mine []*file.File
	for i := range uint32(maxQueued + 1) {
		mine = append(mine, w.accepted(s, sockns.ServerID|(i+1)))
		if i < maxQueued && !seen.told(abi.EPOLLIN) {
			t.Error("a connection is no edge")
		}
	}
	seen.Remove()
	if got := w.namespace.Dropped(QueueFull); got != 1 || mine[maxQueued].Object.Ready()&abi.EPOLLHUP == 0 {
		t.Errorf("%d beyond the queue, or not closed", got)
	}
	if s.Ready() != abi.EPOLLIN {
		t.Errorf("listener ready: %#x, want IN", s.Ready())
	}
	c, err := s.Accept()
	if err != abi.OK {
		t.Fatal(err)
	}
	peer, _ := c.Peer()
	if peer != far || c.Name() != near || c.Ready() != abi.EPOLLOUT {
		t.Errorf("accepted %+v from %+v, ready %#x", c.Name(), peer, c.Ready())
	}
	if v, _ := c.Option(IPPROTO_TCP, 4); v != 33 {
		t.Errorf("TCP_KEEPIDLE %d is not the listener's", v)
	}
	c.Write(usertest.In([]byte("hi")), 0)
	got := make([]byte, 9)
	if n, _ := mine[0].Object.Read(usertest.Out(got), 0); string(got[:n]) != "hi" {
		t.Errorf("the server read %q", got[:n])
	}
	w.send(sockns.Record{Op: sockns.Error, ID: sockns.ServerID | 1, Errno: int32(abi.ECONNRESET)}, nil)
	if err := c.TakeError(); err != abi.ECONNRESET {
		t.Errorf("SO_ERROR %d, want ECONNRESET", err)
	}
	for _, err := range []abi.Errno{second(c.Bind(&near)), second(c.Listen(1))} {
		if err != abi.EINVAL {
			t.Errorf("bind or listen of an accepted socket: %d, want EINVAL", err)
		}
	}
	c.Close()
	reap()
	if mine[0].Object.Ready()&abi.EPOLLHUP == 0 {
		t.Error("the server does not see the close")
	}
	s.Close() // with one in the queue
	reap()
	if mine[1].Object.Ready()&abi.EPOLLHUP == 0 {
		t.Error("the close of the listener left its queue open")
	}
	for _, f := range append(mine, data) {
		f.Release()
		reap()
	}
	w.close()
}

func second[T any](_ T, err abi.Errno) abi.Errno { return err }

// TestCloseFreesAddress: the server hears of the close of whatever holds an address without a connection, in order with what follows.
func TestCloseFreesAddress(t *testing.T) {
	start(t, 256)
	w := newWorld(t)
	var data []*file.File
	keep := func(s *Socket, f *file.File) *Socket {
		data = append(data, f)
		return s
	}
	listener := keep(w.listener(1))
	packets := keep(w.open(unixsock.Datagram))
	bound := keep(w.open(unixsock.Stream))
	bound.Bind(&near)
	w.reply(w.want(sockns.Bind), abi.OK, near, sockns.Address{})
	for _, s := range []*Socket{listener, packets, bound} {
		id := s.id
		s.Close()
		if rec := w.want(sockns.Close); rec.ID != id || rec.Seq != 0 {
			t.Errorf("record %+v", rec)
		}
	}
	fresh := keep(w.open(unixsock.Stream))
	connected := keep(w.connectedStream())
	fresh.Close()
	connected.Close()
	w.quiet()
	for _, f := range data {
		f.Release()
		reap()
	}
	w.close()
}

func TestListenRefusals(t *testing.T) {
	start(t, 256)
	w := newWorld(t)
	d, ddata := w.open(unixsock.Datagram)
	if _, err := d.Listen(1); err != abi.EOPNOTSUPP {
		t.Errorf("listen on datagrams: %d, want EOPNOTSUPP", err)
	}
	if _, err := d.Accept(); err != abi.EOPNOTSUPP {
		t.Errorf("accept on datagrams: %d, want EOPNOTSUPP", err)
	}
	c, cdata := w.connectedStream()
	if _, err := c.Listen(1); err != abi.EINVAL {
		t.Errorf("listen on a connection: %d, want EINVAL", err)
	}
	s, sdata := w.open(unixsock.Stream)
	for backlog, want := range map[int]uint32{-1: maxQueued, 0: 0, 7: 7, 1 << 30: maxQueued} {
		s.Listen(backlog)
		rec := w.want(sockns.Listen)
		if rec.Arg0 != want {
			t.Errorf("backlog %d told as %d, want %d", backlog, rec.Arg0, want)
		}
		w.reply(rec, abi.OK, near, sockns.Address{})
		if q, err := s.Listen(backlog); q != nil || err != abi.OK {
			t.Errorf("listen: %d", err)
		}
	}
	if _, err := s.Connect(&far, true, 0); err != abi.EISCONN {
		t.Errorf("connect of a listener: %d, want EISCONN", err)
	}
	for _, s := range []*Socket{c, d, s} {
		s.Close()
	}
	for _, f := range []*file.File{cdata, ddata, sdata} {
		f.Release()
		reap()
	}
	w.close()
}

func TestServerDies(t *testing.T) {
	start(t, 256)
	w := newWorld(t)
	bound, f1 := w.open(unixsock.Stream)
	bound.Bind(&near)
	w.want(sockns.Bind)
	connecting, f2 := w.open(unixsock.Stream)
	connecting.Connect(&far, true, 0)
	w.want(sockns.Connect)
	connected, f3 := w.connectedStream()
	f3.Object.(*unixsock.Socket).Write(usertest.In([]byte("rest")), 0)
	listening, f4 := w.listener(3)
	mine := w.accepted(listening, sockns.ServerID|1)
	packets, f5 := w.open(unixsock.Datagram)
	unread, _, _ := New(w.namespace, unixsock.Stream)

	sockets := []*Socket{bound, connecting, connected, listening, packets, unread}
	var watches []*watch
	for _, s := range sockets {
		watches = append(watches, watchSocket(s))
	}
	w.die()
	for i, seen := range watches {
		if !seen.told(abi.EPOLLHUP|Answered) || sockets[i].Ready()&abi.EPOLLHUP == 0 {
			t.Errorf("socket %d was not told", i)
		}
		seen.Remove()
	}
	if q, err := bound.Bind(&near); q != nil || err != abi.ENETDOWN {
		t.Errorf("bind: %d, want ENETDOWN", err)
	}
	if err := connecting.TakeError(); err != abi.ENETDOWN {
		t.Errorf("SO_ERROR of connect: %d, want ENETDOWN", err)
	}
	got := make([]byte, 9)
	if n, err := connected.Read(usertest.Out(got), 0); string(got[:n]) != "rest" || err != abi.OK {
		t.Errorf("read %q, %d", got[:n], err)
	}
	if _, err := connected.Read(usertest.Out(got), 0); err != abi.ENETDOWN {
		t.Errorf("read: %d, want ENETDOWN", err)
	}
	if n, err := connected.Read(usertest.Out(got), 0); n != 0 || err != abi.OK {
		t.Errorf("second read: %d, %d, want the end", n, err)
	}
	if c, err := listening.Accept(); err != abi.OK {
		t.Errorf("accept of what was there: %d", err)
	} else {
		c.Close()
	}
	if _, err := listening.Accept(); err != abi.ENETDOWN {
		t.Errorf("accept: %d, want ENETDOWN", err)
	}
	for range 2 {
		if _, err := packets.Send(usertest.In([]byte("x")), &far, 0); err != abi.ENETDOWN {
			t.Errorf("send: %d, want ENETDOWN", err)
		}
		if _, _, err := packets.Recv(usertest.Out(got), nil, 0); err != abi.ENETDOWN {
			t.Errorf("recv: %d, want ENETDOWN", err)
		}
	}
	if _, err := bound.SetOption(SOL_SOCKET, 2, 1); err != abi.ENETDOWN {
		t.Errorf("setsockopt: %d, want ENETDOWN", err)
	}
	if _, _, err := New(w.namespace, unixsock.Stream); err != abi.ENETDOWN {
		t.Errorf("new socket: %d, want ENETDOWN", err)
	}

	// Another server begins with nothing.
	s, err := w.namespace.Serve()
	if err != abi.OK {
		t.Fatal(err)
	}
	w.server = s
	w.files = append(w.files, file.New(s, abi.O_RDWR))
	fresh, f6 := w.open(unixsock.Stream)
	if _, err := bound.Listen(1); err != abi.ENETDOWN {
		t.Errorf("an old socket at a new server: %d, want ENETDOWN", err)
	}
	for _, s := range append(sockets, fresh) {
		s.Close()
	}
	for _, f := range []*file.File{f1, f2, f3, f4, f5, f6, mine} {
		f.Release()
		reap()
	}
	w.close()
}

func TestNamespaceLifetime(t *testing.T) {
	start(t, 256)
	w := newWorld(t)
	if _, err := w.namespace.Serve(); err != abi.EBUSY {
		t.Errorf("second server: %d, want EBUSY", err)
	}
	s, data := w.open(unixsock.Stream)
	n := w.namespace
	for _, f := range w.files {
		f.Release()
		reap()
	}
	if !n.used || Namespaces() != 1 {
		t.Error("freed with a socket in it")
	}
	s.Close()
	if n.used || Namespaces() != 0 {
		t.Error("not freed")
	}
	data.Release()
	reap()
	var all []*Namespace
	for range MaxNamespaces {
		n, err := NewNamespace()
		if err != abi.OK {
			t.Fatal(err)
		}
		all = append(all, n)
	}
	if _, err := NewNamespace(); err != abi.ENFILE || Namespaces() != MaxNamespaces {
		t.Errorf("one too many: %d, want ENFILE; %d namespaces", err, Namespaces())
	}
	for _, n := range all {
		if _, _, err := New(n, unixsock.Stream); err != abi.ENETDOWN {
			t.Errorf("socket without a server: %d, want ENETDOWN", err)
		}
		n.Close()
	}
}

func TestOptions(t *testing.T) {
	start(t, 256)
	w := newWorld(t)
	s, sdata := w.open(unixsock.Stream)
	d, ddata := w.open(unixsock.Datagram)
	for _, tt := range []struct {
		s                      *Socket
		level, name, value     int
		want                   abi.Errno
		kept, told, atTheStart int
	}{
		{s, SOL_SOCKET, 2, 1, abi.OK, 1, 1, 0},
		{s, SOL_SOCKET, 9, 77, abi.OK, 1, 1, 0},
		{s, SOL_SOCKET, 7, 10000, abi.OK, 20000, 10000, 16384},
		{s, SOL_SOCKET, 7, 1, abi.OK, minSendBuffer, 1, 20000},
		{s, SOL_SOCKET, 8, 1 << 30, abi.OK, 2 * maxBuffer, maxBuffer, 131072},
		{s, SOL_SOCKET, 8, -1, abi.OK, 2 * maxBuffer, maxBuffer, 2 * maxBuffer},
		{s, SOL_SOCKET, 20, 1, abi.ENOPROTOOPT, 0, 0, 0}, // SO_RCVTIMEO
		{s, IPPROTO_TCP, 1, 1, abi.OK, 1, 1, 0},
		{s, IPPROTO_TCP, 4, 30, abi.OK, 30, 30, 7200},
		{s, IPPROTO_TCP, 4, 0, abi.EINVAL, 30, 0, 30},
		{s, IPPROTO_TCP, 4, 40000, abi.EINVAL, 30, 0, 30},
		{s, IPPROTO_TCP, 18, -1, abi.EINVAL, 0, 0, 0},
		{s, IPPROTO_TCP, 11, 1, abi.ENOPROTOOPT, 0, 0, 0}, // TCP_INFO
		{s, IPPROTO_IP, 2, 300, abi.EINVAL, 64, 0, 64},
		{s, IPPROTO_IP, 2, 7, abi.OK, 7, 7, 64},
		{s, IPPROTO_IP, 2, -1, abi.OK, 64, 64, 7},
		{s, 41, 26, 1, abi.ENOPROTOOPT, 0, 0, 0}, // IPV6_V6ONLY
		{d, SOL_SOCKET, 6, 1, abi.OK, 1, 1, 0},
		{d, IPPROTO_TCP, 1, 1, abi.ENOPROTOOPT, 0, 0, 0},
	} {
		if v, err := tt.s.Option(tt.level, tt.name); tt.want != abi.ENOPROTOOPT && (v != tt.atTheStart || err != abi.OK) {
			t.Errorf("option %d/%d at the start: %d, %d, want %d", tt.level, tt.name, v, err, tt.atTheStart)
		}
		if has := tt.s.HasOption(tt.level, tt.name); has != (tt.want != abi.ENOPROTOOPT) {
			t.Errorf("has option %d/%d: %v", tt.level, tt.name, has)
		}
		if _, err := tt.s.SetOption(tt.level, tt.name, tt.value); err != tt.want {
			t.Errorf("set %d/%d to %d: %d, want %d", tt.level, tt.name, tt.value, err, tt.want)
		}
		if tt.want == abi.OK {
			rec := w.want(sockns.Option)
			if rec.Arg0 != uint32(tt.level<<16|tt.name) || rec.Arg1 != uint32(tt.told) || rec.ID != tt.s.id {
				t.Errorf("record %+v", rec)
			}
		}
		v, err := tt.s.Option(tt.level, tt.name)
		wantErr := abi.OK
		if tt.want == abi.ENOPROTOOPT {
			wantErr = abi.ENOPROTOOPT
			if tt.level == 41 || tt.level == IPPROTO_TCP && tt.s == d {
				wantErr = abi.EOPNOTSUPP // getsockopt tells levels apart, setsockopt does not
			}
		}
		if v != tt.kept || err != wantErr {
			t.Errorf("option %d/%d: %d, %d, want %d, %d", tt.level, tt.name, v, err, tt.kept, wantErr)
		}
	}
	for _, tt := range []struct {
		s          *Socket
		name, want int
	}{{s, SO_TYPE, 1}, {d, SO_TYPE, 2}, {s, SO_DOMAIN, 2}, {s, SO_PROTOCOL, 6}, {d, SO_PROTOCOL, 17}, {s, SO_ACCEPTCONN, 0}} {
		if v, err := tt.s.Option(SOL_SOCKET, tt.name); v != tt.want || err != abi.OK {
			t.Errorf("SOL_SOCKET option %d: %d, %d, want %d", tt.name, v, err, tt.want)
		}
	}
	w.quiet()
	for _, s := range []*Socket{s, d} {
		s.Close()
	}
	sdata.Release()
	reap()
	ddata.Release()
	reap()
	w.close()
}

func TestLinger(t *testing.T) {
	start(t, 256)
	w := newWorld(t)
	l, ldata := w.listener(1)
	if err := l.SetLinger(true, 5); err != abi.EINVAL || l.Linger() {
		t.Errorf("5 seconds: %d, want EINVAL", err)
	}
	if err := l.SetLinger(true, 0); err != abi.OK || !l.Linger() {
		t.Errorf("no second: %d", err)
	}
	theirs := w.accepted(l, sockns.ServerID|1)
	c, _ := l.Accept()
	c.Write(usertest.In([]byte("lost")), 0)
	c.Close()
	if _, err := theirs.Object.Read(usertest.Out(make([]byte, 9)), 0); err != abi.ECONNRESET {
		t.Errorf("the server's read after the close: %d, want ECONNRESET", err)
	}
	theirs.Release()
	reap()

	theirs = w.accepted(l, sockns.ServerID|2)
	c, _ = l.Accept()
	c.SetLinger(false, 7)
	c.Write(usertest.In([]byte("sent")), 0)
	c.Close()
	if n, err := theirs.Object.Read(usertest.Out(make([]byte, 9)), 0); n != 4 || err != abi.OK {
		t.Errorf("the server's read after a close in good order: %d, %d", n, err)
	}
	theirs.Release()
	reap()
	l.Close()
	w.want(sockns.Close)
	ldata.Release()
	reap()
	w.close()
}

// TestServerBehind: when the server does not take records, calls wait for it instead of failing.
func TestServerBehind(t *testing.T) {
	start(t, 4096)
	w := newWorld(t)
	var open []*Socket
	var q *wait.Queue
	for q == nil {
		var s *Socket
		var err abi.Errno
		s, q, err = New(w.namespace, unixsock.Stream)
		if q == nil {
			open = append(open, s)
		} else if err != abi.EAGAIN {
			t.Fatal(err)
		}
		if len(open) > MaxSockets {
			t.Fatal("the server's queue has no bound")
		}
	}
	seen := new(watch)
	seen.Sink, seen.Mask = seen, Answered
	q.Add(&seen.Waiter)
	_, r := w.next()
	r.Release()
	reap()
	if !seen.told(Answered) {
		t.Error("room wakes nobody")
	}
	seen.Remove()
	s, none, err := New(w.namespace, unixsock.Stream)
	if none != nil || err != abi.OK {
		t.Errorf("socket with room: %d", err)
	}
	q.Add(&seen.Waiter)
	w.die()
	if !seen.told(Answered) {
		t.Error("those who wait for room do not hear of the server's death")
	}
	seen.Remove()
	for _, s := range append(open, s) {
		s.Close()
	}
	w.close()
}

func TestMaxSockets(t *testing.T) {
	start(t, 8192)
	w := newWorld(t)
	var open []*Socket
	for range MaxSockets - 1 {
		s, data := w.open(unixsock.Stream)
		data.Release() // leaves an end for the pair below
		reap()
		open = append(open, s)
	}
	l, data := w.listener(10)
	if _, _, err := New(w.namespace, unixsock.Stream); err != abi.ENFILE {
		t.Errorf("one socket too many: %d, want ENFILE", err)
	}
	mine := w.accepted(l, sockns.ServerID|1)
	if got := w.namespace.Dropped(TooManySockets); got != 1 || mine.Object.Ready()&abi.EPOLLHUP == 0 {
		t.Errorf("%d dropped, want 1, and closed", got)
	}
	for _, s := range append(open, l) {
		s.Close()
	}
	data.Release()
	reap()
	mine.Release()
	reap()
	w.close()
}

// reap closes what was dropped, as the end of a trap does.
func reap() {
	for file.Reap() {
	}
}
