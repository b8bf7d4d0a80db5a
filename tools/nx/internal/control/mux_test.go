package control

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"nexus/source/api/refusal"
	"nexus/source/libs/channel"
	"nexus/source/libs/control"
)

// patience is far beyond what anything here takes: running out of it is a hang.
const patience = 30 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func soon() time.Time { return time.Now().Add(patience) }

// guest is the other end of a mux's port, in the test's hand.
type guest struct {
	t     *testing.T
	path  string
	conn  net.Conn
	out   *control.Writer
	heard chan control.Frame // closed at the end
	ended chan error         // Serve's
	stop  context.CancelFunc
}

func newGuest(t *testing.T) *guest {
	t.Helper()
	file, near, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	far, err := net.FileConn(file)
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
	path := filepath.Join(t.TempDir(), "control.sock")
	mux, err := Listen(path, near)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	g := &guest{
		t: t, path: path, conn: far, out: control.NewWriter(far, control.Guest),
		heard: make(chan control.Frame, 256), ended: make(chan error, 1), stop: cancel,
	}
	go func() { g.ended <- mux.Serve(ctx) }()
	go g.listen()
	t.Cleanup(g.close)
	return g
}

func (g *guest) listen() {
	defer close(g.heard)
	in := control.NewReader(g.conn, control.Host)
	for {
		f, err := in.Next()
		if err != nil {
			return
		}
		f.Body = bytes.Clone(f.Body)
		g.heard <- f
	}
}

// close ends the guest, and wants the mux to end well.
func (g *guest) close() {
	g.conn.Close()
	for range g.heard {
	}
	select {
	case err := <-g.ended:
		if err != nil {
			g.t.Errorf("Serve: %v", err)
		}
	case <-time.After(patience):
		g.t.Error("Serve goes on without a guest")
	}
	g.ended <- nil // close may be called again
	g.stop()
	if _, err := os.Lstat(g.path); !errors.Is(err, os.ErrNotExist) {
		g.t.Errorf("the socket is still there: %v", err)
	}
}

// hear wants a frame of that kind and body, and returns its session.
func (g *guest) hear(kind control.Kind, body string) uint32 {
	g.t.Helper()
	select {
	case f := <-g.heard:
		if f.Kind != kind || string(f.Body) != body {
			g.t.Fatalf("guest heard kind %d %.100q, want kind %d %.100q", f.Kind, f.Body, kind, body)
		}
		return f.Session
	case <-time.After(patience):
		g.t.Fatalf("guest heard nothing, want kind %d", kind)
		return 0
	}
}

func (g *guest) say(session uint32, kind control.Kind, errno syscall.Errno, body string) {
	g.t.Helper()
	if _, err := g.out.Write(control.Frame{Session: session, Kind: kind, Errno: errno, Body: []byte(body)}); err != nil {
		g.t.Fatalf("guest: %v", err)
	}
}

type opened struct {
	conn *channel.Conn
	err  error
}

// open begins a client's Open.
func (g *guest) open(service string) chan opened {
	got := make(chan opened, 1)
	go func() {
		conn, err := Dial(context.Background(), g.path).Open(service)
		got <- opened{conn, err}
	}()
	return got
}

// client opens a session, to which the guest agrees.
func (g *guest) client(service string) (*channel.Conn, uint32) {
	g.t.Helper()
	got := g.open(service)
	session := g.hear(control.Open, service)
	g.say(session, control.Opened, 0, "")
	c := <-got
	if c.err != nil {
		g.t.Fatal(c.err)
	}
	g.t.Cleanup(func() { c.conn.Close() })
	return c.conn, session
}

// raw connects without a word.
func (g *guest) raw() *channel.Conn {
	g.t.Helper()
	stream, err := net.Dial(network, g.path)
	if err != nil {
		g.t.Fatal(err)
	}
	conn, err := channelOf(stream.(*net.UnixConn))
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { conn.Close() })
	return conn
}

// receive returns the next datagram of a client's, or its error.
func receive(conn *channel.Conn) (string, error) {
	buf := make([]byte, channel.MaxMessage)
	n, err := conn.ReceiveDatagram(buf, soon())
	return string(buf[:n]), err
}

// wantEnd wants a client to see the end.
func wantEnd(t *testing.T, conn *channel.Conn) {
	t.Helper()
	if got, err := receive(conn); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("client got %.100q, %v; want the end", got, err)
	}
}

func TestMux(t *testing.T) {
	g := newGuest(t)
	info, err := os.Stat(g.path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket: mode %v, %v; want 0600", info.Mode(), err)
	}
	a, sa := g.client("netstackd")
	b, sb := g.client("fetchd")
	if sa == 0 || sb == 0 || sa == sb {
		t.Fatalf("sessions %d and %d", sa, sb)
	}
	for _, size := range []int{1, 100, channel.MaxMessage} {
		text := strings.Repeat("a", size)
		if err := a.SendDatagram([]byte(text), soon()); err != nil {
			t.Fatal(err)
		}
		if s := g.hear(control.Data, text); s != sa {
			t.Fatalf("session %d, want %d", s, sa)
		}
		g.say(sb, control.Data, 0, text)
		if got, err := receive(b); got != text || err != nil {
			t.Fatalf("client got %d bytes, %v", len(got), err)
		}
	}
	a.Close()
	if s := g.hear(control.Close, ""); s != sa {
		t.Fatalf("session %d closed, want %d", s, sa)
	}
	g.say(sa, control.Data, 0, "late") // of a session that is gone: nothing
	g.say(sb, control.Data, 0, "last words")
	g.say(sb, control.Close, syscall.ECONNRESET, "fetchd has ended")
	if got, err := receive(b); got != "last words" || err != nil {
		t.Errorf("client got %q, %v", got, err)
	}
	wantEnd(t, b)
	if _, s := g.client("netstackd"); s == sa || s == sb {
		t.Errorf("session %d is used again at once", s)
	}
}

func TestRefused(t *testing.T) {
	g := newGuest(t)
	got := g.open("nothing")
	g.say(g.hear(control.Open, "nothing"), control.Refused, syscall.ENOENT, "no service \"nothing\":\x1b there are others")
	c := <-got
	var refused *refusal.Error
	if !errors.As(c.err, &refused) || refused.Errno != syscall.ENOENT || refused.Text != "no service \"nothing\":? there are others" {
		t.Errorf("got %v", c.err)
	}
	got = g.open("other")
	g.say(g.hear(control.Open, "other"), control.Refused, 0, "")
	if c := <-got; !errors.Is(c.err, syscall.EIO) {
		t.Errorf("refused without a number: %v", c.err)
	}
}

func TestBadHello(t *testing.T) {
	g := newGuest(t)
	for _, hello := range []string{"", "x", "OPEN \n", "OPEN net", "OPEN Net\n", "OPEN a b\n", "open a\n", strings.Repeat("OPEN a\n", 100)} {
		conn := g.raw()
		if err := conn.SendDatagram([]byte(hello), soon()); err != nil {
			t.Fatal(err)
		}
		if got, err := receive(conn); !strings.HasPrefix(got, "ERR 22 the first datagram must be OPEN") || err != nil {
			t.Errorf("%.20q: answer %q, %v", hello, got, err)
		}
		wantEnd(t, conn)
	}
	g.client("netstackd") // and others are served
}

func TestBadDatagrams(t *testing.T) {
	for _, tc := range []struct{ size, errno int }{{0, int(syscall.EINVAL)}, {channel.MaxMessage + 1, int(syscall.EMSGSIZE)}} {
		g := newGuest(t)
		got := make(chan int, 1)
		fds := rawPair(t, g.path, got)
		session := g.hear(control.Open, "netstackd")
		g.say(session, control.Opened, 0, "")
		<-got
		if err := unix.Sendmsg(fds, make([]byte, tc.size), nil, nil, 0); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 200)
		n, err := unix.Read(fds, buf)
		want := (&fault{syscall.Errno(tc.errno), "a datagram"}).line()
		if err != nil || !bytes.HasPrefix(buf[:n], want[:len(want)-1]) {
			t.Errorf("%d bytes: answer %q, %v", tc.size, buf[:n], err)
		}
		if n, err := unix.Read(fds, buf); n > 0 {
			t.Errorf("then %q, %v; want the end", buf[:n], err)
		}
		if s := g.hear(control.Close, ""); s != session {
			t.Errorf("session %d closed, want %d", s, session)
		}
		unix.Close(fds)
	}
}

// rawPair connects a socket that may send anything; ready gets a number once the mux has answered.
func rawPair(t *testing.T, path string, ready chan int) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(fd, hello("netstackd")); err != nil {
		t.Fatal(err)
	}
	go func() {
		n, _ := unix.Read(fd, make([]byte, 100))
		ready <- n
	}()
	return fd
}

// A client that leaves its replies unread is dropped, and the others do not notice.
func TestClientThatDoesNotRead(t *testing.T) {
	g := newGuest(t)
	deaf, sd := g.client("netstackd")
	other, so := g.client("netstackd")
	reply := strings.Repeat("x", channel.MaxMessage)
	for range 2 * maxQueue { // more than the socket and the queue take
		g.say(sd, control.Data, 0, reply)
	}
	g.say(so, control.Data, 0, "yours")
	if got, err := receive(other); got != "yours" || err != nil {
		t.Fatalf("the other client got %q, %v", got, err)
	}
	if s := g.hear(control.Close, ""); s != sd {
		t.Errorf("session %d closed, want %d", s, sd)
	}
	for {
		if _, err := receive(deaf); err != nil {
			break // the end, after what had been sent
		}
	}
}

func TestTooManyClients(t *testing.T) {
	g := newGuest(t)
	var last *channel.Conn
	for range MaxClients {
		last, _ = g.client("netstackd")
	}
	c := <-g.open("netstackd")
	if !errors.Is(c.err, syscall.EAGAIN) || !strings.Contains(c.err.Error(), "close another nx") {
		t.Errorf("client %d: %v", MaxClients+1, c.err)
	}
	last.Close()
	g.hear(control.Close, "")
	// The place is free a moment after the guest knows.
	for deadline := soon(); ; {
		got := g.open("netstackd")
		select {
		case f := <-g.heard:
			g.say(f.Session, control.Opened, 0, "")
			c := <-got
			if c.err != nil {
				t.Fatal(c.err)
			}
			c.conn.Close()
			return
		case c := <-got:
			if !errors.Is(c.err, syscall.EAGAIN) || time.Now().After(deadline) {
				t.Fatal(c.err)
			}
		}
	}
}

func TestGuestEnds(t *testing.T) {
	g := newGuest(t)
	idle, _ := g.client("netstackd")
	waiting, _ := g.client("fetchd")
	silent := g.raw()
	if err := waiting.SendDatagram([]byte("request"), soon()); err != nil {
		t.Fatal(err)
	}
	g.hear(control.Data, "request")
	opening := g.open("netstackd")
	g.hear(control.Open, "netstackd")
	g.close()
	for _, conn := range []*channel.Conn{idle, waiting, silent} {
		wantEnd(t, conn)
	}
	if c := <-opening; !errors.Is(c.err, syscall.ENOTCONN) {
		t.Errorf("an Open that was under way: %v", c.err)
	}
	if c := <-g.open("netstackd"); !errors.Is(c.err, ErrNoGuest) || !strings.Contains(c.err.Error(), "nx boot") {
		t.Errorf("Open without a guest: %v", c.err)
	}
}

func TestServeEndsWithContext(t *testing.T) {
	g := newGuest(t)
	conn, _ := g.client("netstackd")
	g.stop()
	wantEnd(t, conn)
	if err := <-g.ended; err != nil {
		t.Errorf("Serve: %v", err)
	}
	g.ended <- nil
}

// A guest whose stream cannot be understood, either way, is of no use: its clients end and others are told.
func TestBrokenStream(t *testing.T) {
	for name, breakIt := range map[string]func(*guest){
		"guest":  func(g *guest) { _, _ = g.conn.Write([]byte("neuron: fatal: this is no frame")) },
		"refuse": func(g *guest) { g.say(0, control.Refused, syscall.EPROTO, "magic 1") },
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuest(t)
			conn, _ := g.client("netstackd")
			breakIt(g)
			wantEnd(t, conn)
			if c := <-g.open("netstackd"); !errors.Is(c.err, syscall.EPROTO) || !strings.Contains(c.err.Error(), "boot it again") {
				t.Errorf("Open: %v", c.err)
			}
		})
	}
}

// stuckPort is a port whose guest does not read.
type stuckPort struct {
	net.Conn
	taken int // bytes of a write that are taken
}

func (p stuckPort) Write(b []byte) (int, error) {
	return min(p.taken, len(b)), os.ErrDeadlineExceeded
}

func TestGuestThatDoesNotRead(t *testing.T) {
	for _, tc := range []struct {
		taken int
		first syscall.Errno
		next  syscall.Errno
	}{
		{0, syscall.ETIMEDOUT, syscall.ETIMEDOUT},
		{3, syscall.EPROTO, syscall.EPROTO},
	} {
		near, far := net.Pipe()
		path := filepath.Join(t.TempDir(), "s")
		mux, err := Listen(path, stuckPort{near, tc.taken})
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- mux.Serve(context.Background()) }()
		for _, want := range []syscall.Errno{tc.first, tc.next} {
			if _, err := Dial(context.Background(), path).Open("netstackd"); !errors.Is(err, want) {
				t.Errorf("%d bytes taken: %v, want %v", tc.taken, err, want)
			}
		}
		far.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
