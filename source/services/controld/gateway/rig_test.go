package gateway

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"nexus/source/api/netapi"
	"nexus/source/libs/channel"
	"nexus/source/libs/control"
	"nexus/source/services/controld/streamtest"
)

// patience is far beyond what anything here takes: running out of it is a hang.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	if os.Getenv(childRole) != "" {
		printPools()
	}
	goleak.VerifyTestMain(m)
}

// rig is a running gateway, and the far ends of its channels, which are in the test's hand.
type rig struct {
	t       testing.TB
	stream  *streamtest.Stream
	gateway *Gateway
	far     map[string][]*channel.Conn
	number  map[*channel.Conn]int // descriptors of the far ends
	ended   chan error

	stops     atomic.Int32
	stopError error // what asking for the end gives

	mu    sync.Mutex
	marks []string
}

// newRig runs a gateway on stream with so many channels to each service.
func newRig(t testing.TB, services map[string]int) *rig {
	t.Helper()
	stream := streamtest.New()
	r := newRigOn(t, stream, services)
	r.stream = stream
	t.Cleanup(func() {
		stream.Close()
		r.close()
	})
	return r
}

func newRigOn(t testing.TB, stream Stream, services map[string]int) *rig {
	t.Helper()
	r := &rig{t: t, far: make(map[string][]*channel.Conn), number: make(map[*channel.Conn]int), ended: make(chan error, 1)}
	c := Config{Stream: stream, Mark: r.mark, Stop: r.stop, Stats: func() []netapi.Counter {
		return []netapi.Counter{{Name: "control.port", Value: 7}}
	}}
	for service, n := range services {
		p := Pool{Service: service}
		for range n {
			fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			near, err := channel.FromDescriptor(fds[0], service)
			if err != nil {
				t.Fatal(err)
			}
			far, err := channel.FromDescriptor(fds[1], service)
			if err != nil {
				t.Fatal(err)
			}
			p.Channels = append(p.Channels, near)
			r.far[service] = append(r.far[service], far)
			r.number[far] = fds[1]
		}
		c.Pools = append(c.Pools, p)
	}
	slices.SortFunc(c.Pools, func(a, b Pool) int { return bytes.Compare([]byte(a.Service), []byte(b.Service)) })
	var err error
	if r.gateway, err = New(c); err != nil {
		t.Fatal(err)
	}
	go func() { r.ended <- r.gateway.Run(context.Background()) }()
	return r
}

// close waits for the end, after that of the stream.
func (r *rig) close() {
	if err := <-r.ended; err != nil {
		r.t.Errorf("gateway ended: %v", err)
	}
	for _, all := range r.far {
		closeAll(all)
	}
}

func (r *rig) stop() error {
	r.stops.Add(1)
	return r.stopError
}

func (r *rig) mark(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.marks = append(r.marks, line)
}

func (r *rig) lines() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.marks)
}

// counter gives one counter by its name.
func (r *rig) counter(name string) uint64 {
	r.t.Helper()
	for _, c := range r.gateway.Stats() {
		if c.Name == name {
			return c.Value
		}
	}
	r.t.Fatalf("no counter %s", name)
	return 0
}

// until waits for what other goroutines bring about.
func (r *rig) until(what string, happened func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); !happened(); runtime.Gosched() {
		if time.Now().After(deadline) {
			r.t.Fatalf("never happened: %s", what)
		}
	}
}

func (r *rig) want(name string, value uint64) {
	r.t.Helper()
	if got := r.counter(name); got != value {
		r.t.Errorf("%s = %d, want %d", name, got, value)
	}
}

// take receives one datagram at a service's end.
func (r *rig) take(far *channel.Conn) string {
	r.t.Helper()
	buf := make([]byte, channel.MaxMessage)
	n, err := far.ReceiveDatagram(buf, time.Now().Add(patience))
	if err != nil {
		r.t.Fatalf("service: %v", err)
	}
	return string(buf[:n])
}

// reply sends one datagram from a service's end.
func (r *rig) reply(far *channel.Conn, datagram string) {
	r.t.Helper()
	if err := far.SendDatagram([]byte(datagram), time.Now().Add(patience)); err != nil {
		r.t.Fatalf("service: %v", err)
	}
}

// replyBeside sends what Conn would not, descriptors beside it.
func (r *rig) replyBeside(far *channel.Conn, datagram string, descriptors ...int) {
	r.t.Helper()
	var rights []byte
	if len(descriptors) > 0 {
		rights = unix.UnixRights(descriptors...)
	}
	if err := unix.Sendmsg(r.number[far], []byte(datagram), rights, nil, 0); err != nil {
		r.t.Fatal(err)
	}
}

// host is a program of the host at the port.
type host struct {
	t     testing.TB
	conn  net.Conn
	out   *control.Writer
	heard chan control.Frame // closed at the end
}

func (r *rig) connect() *host {
	r.t.Helper()
	conn := r.stream.Connect()
	if conn == nil {
		r.t.Fatal("the stream has ended")
	}
	h := &host{t: r.t, conn: conn, out: control.NewWriter(conn, control.Host), heard: make(chan control.Frame, 4096)}
	go func() {
		defer close(h.heard)
		in := control.NewReader(conn, control.Guest)
		for {
			f, err := in.Next()
			if err != nil {
				if err != io.EOF && err != io.ErrClosedPipe {
					r.t.Errorf("guest sent: %v", err)
				}
				return
			}
			f.Body = bytes.Clone(f.Body)
			h.heard <- f
		}
	}()
	return h
}

// close goes away, and waits until nothing can be heard any more.
func (h *host) close() {
	h.conn.Close()
	for range h.heard {
	}
}

func (h *host) say(session uint32, kind control.Kind, body string) {
	h.t.Helper()
	if _, err := h.out.Write(control.Frame{Session: session, Kind: kind, Body: []byte(body)}); err != nil {
		h.t.Fatalf("host: %v", err)
	}
}

// hear wants one frame; text is all of its body, or a part of it where the errno is one.
func (h *host) hear(session uint32, kind control.Kind, errno syscall.Errno, text string) {
	h.t.Helper()
	f := h.next()
	match := string(f.Body) == text || errno != 0 && bytes.Contains(f.Body, []byte(text))
	if f.Session != session || f.Kind != kind || f.Errno != errno || !match {
		h.t.Fatalf("heard session %d kind %d errno %d %.200q, want session %d kind %d errno %d %.200q",
			f.Session, f.Kind, f.Errno, f.Body, session, kind, errno, text)
	}
}

// next is the next frame that is heard.
func (h *host) next() control.Frame {
	h.t.Helper()
	select {
	case f, ok := <-h.heard:
		if !ok {
			h.t.Fatal("the guest's end is closed")
		}
		return f
	case <-time.After(patience):
		h.t.Fatal("nothing is heard")
	}
	return control.Frame{}
}

// open opens a session.
func (h *host) open(session uint32, service string) {
	h.t.Helper()
	h.say(session, control.Open, service)
	h.hear(session, control.Opened, 0, "")
}

// channel opens a session and makes a channel of it, which then hears everything.
func (h *host) channel(session uint32, service string) *channel.Conn {
	h.t.Helper()
	h.open(session, service)
	near, far, err := channel.Pair()
	if err != nil {
		h.t.Fatal(err)
	}
	go func() {
		defer far.Close()
		buf := make([]byte, channel.MaxMessage)
		for {
			n, err := far.ReceiveDatagram(buf, time.Time{})
			if err != nil {
				return
			}
			if _, err := h.out.Write(control.Frame{Session: session, Kind: control.Data, Body: buf[:n]}); err != nil {
				return
			}
		}
	}()
	go func() {
		for f := range h.heard {
			if far.SendDatagram(f.Body, time.Now().Add(patience)) != nil {
				return
			}
		}
	}()
	return near
}
