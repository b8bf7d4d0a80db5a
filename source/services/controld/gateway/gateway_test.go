package gateway

import (
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"nexus/source/api/netapi"
	"nexus/source/libs/channel"
	"nexus/source/libs/control"
	"nexus/source/services/controld/streamtest"
)

func TestRelay(t *testing.T) {
	r := newRig(t, map[string]int{"netstackd": 2})
	h := r.connect()
	defer h.close()
	h.open(1, "netstackd")
	h.open(2, "netstackd")
	a, b := r.far["netstackd"][0], r.far["netstackd"][1]
	for _, size := range []int{1, 8, 1514, channel.MaxMessage} {
		one, two := strings.Repeat("1", size), strings.Repeat("2", size)
		h.say(1, control.Data, one)
		h.say(2, control.Data, two)
		if got := r.take(a); got != one {
			t.Fatalf("session 1: service got %d bytes %.20q", len(got), got)
		}
		if got := r.take(b); got != two {
			t.Fatalf("session 2: service got %d bytes %.20q", len(got), got)
		}
		r.reply(b, two)
		h.hear(2, control.Data, 0, two)
		r.reply(a, one)
		h.hear(1, control.Data, 0, one)
	}
	h.say(1, control.Close, "")
	h.open(3, "netstackd") // its channel is free again
	r.want("control.hosts", 1)
	r.want("control.sessions.opened", 3)
	r.want("control.sessions.closed", 1)
	r.want("control.replies.late", 0)
	r.want("control.rx.frames", 2+8+2)
	r.want("control.tx.frames", 2+8+1)
}

// The host's wish for the end is passed on, whatever sessions there are; where that fails it is said and all goes on.
func TestStop(t *testing.T) {
	r := newRig(t, map[string]int{"netstackd": 1})
	r.stopError = errors.New("nobody listens")
	h := r.connect()
	defer h.close()
	h.open(1, "netstackd")
	h.say(0, control.Stop, "")
	h.say(1, control.Data, "question") // behind it
	r.take(r.far["netstackd"][0])
	if got := r.stops.Load(); got != 1 {
		t.Errorf("asked for the end %d times, want once", got)
	}
	r.want("control.stops", 1)
	r.mu.Lock()
	defer r.mu.Unlock()
	if want := []string{"controld: cannot ask for the system's end: nobody listens"}; !slices.Equal(r.marks, want) {
		t.Errorf("marks %q, want %q", r.marks, want)
	}
}

// What a service hands over beside a reply does not stay open here.
func TestDescriptorsAreClosed(t *testing.T) {
	r := newRig(t, map[string]int{"virtionetd": 1})
	h := r.connect()
	defer h.close()
	h.open(1, "virtionetd")
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	h.say(1, control.Data, "attach")
	far := r.far["virtionetd"][0]
	r.take(far)
	r.replyBeside(far, "reply", int(write.Fd()))
	write.Close()
	h.hear(1, control.Data, 0, "reply")
	if n, err := read.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("the descriptor beside the reply is still open: %d, %v", n, err)
	}
}

func TestRefusals(t *testing.T) {
	r := newRig(t, map[string]int{"fetchd": 1, "netstackd": 20, "none": 0})
	h := r.connect()
	defer h.close()
	h.open(1, "fetchd")
	h.say(2, control.Open, "fetchd")
	h.hear(2, control.Refused, syscall.EAGAIN, "all 1 channels to fetchd are in use: close another nx")
	h.say(1, control.Open, "netstackd")
	h.hear(1, control.Refused, syscall.EBUSY, "session 1 is open already")
	h.say(2, control.Open, "net\nstackd")
	h.hear(2, control.Refused, syscall.ENOENT, `no service "net\nstackd": there are fetchd, netstackd, none, controld`)
	h.say(2, control.Open, "none")
	h.hear(2, control.Refused, syscall.ECONNREFUSED, "none has ended")
	for i := uint32(2); i <= MaxSessions; i++ {
		h.open(i, "netstackd")
	}
	h.say(100, control.Open, "netstackd")
	h.hear(100, control.Refused, syscall.EAGAIN, "all 16 sessions are in use: close another nx")
	h.say(5, control.Close, "")
	h.open(100, "netstackd")
	r.want("control.sessions.refused.busy", 2)
	r.want("control.sessions.refused.number", 1)
	r.want("control.sessions.refused.name", 1)
	r.want("control.sessions.refused.ended", 1)
	// The refusals left session 1 as it was.
	h.say(1, control.Data, "still there")
	if got := r.take(r.far["fetchd"][0]); got != "still there" {
		t.Errorf("got %q", got)
	}
}

// A session that asks on without waiting ends, and its channel comes back when the service has answered.
func TestTooManyRequests(t *testing.T) {
	r := newRig(t, map[string]int{"netstackd": 1})
	h := r.connect()
	defer h.close()
	far := r.far["netstackd"][0]
	h.open(1, "netstackd")
	for range MaxOwed {
		h.say(1, control.Data, "request")
	}
	h.say(1, control.Data, "one more")
	h.hear(1, control.Close, syscall.ENOBUFS, "8 requests have no reply yet")
	h.say(1, control.Data, "and another")
	h.hear(1, control.Close, syscall.ENOTCONN, "session 1 is not open")
	h.say(2, control.Open, "netstackd")
	h.hear(2, control.Refused, syscall.EAGAIN, "in use")
	for range MaxOwed {
		r.take(far)
		r.reply(far, "late")
	}
	r.drained(h, 3, "netstackd")
	h.say(3, control.Data, "next")
	if got := r.take(far); got != "next" {
		t.Errorf("service got %q", got)
	}
	r.want("control.sessions.flooded", 1)
	r.want("control.replies.late", MaxOwed)
	r.want("control.rx.drop.nosession", 1)
}

// drained opens a session once the channel's late replies are through.
func (r *rig) drained(h *host, session uint32, service string) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		h.say(session, control.Open, service)
		f := h.next()
		for f.Kind == control.Data && f.Session != session {
			f = h.next() // of a session that did not wait for it
		}
		if f.Kind == control.Opened && f.Session == session {
			return
		}
		if f.Kind != control.Refused || f.Errno != syscall.EAGAIN {
			r.t.Fatalf("heard %+v", f)
		}
	}
	r.t.Fatal("the channel never came back")
}

// Requests that fill the channel's queue are too many before there are eight of them.
func TestServiceWithoutRoom(t *testing.T) {
	r := newRig(t, map[string]int{"netstackd": 1})
	h := r.connect()
	defer h.close()
	h.open(1, "netstackd")
	for range MaxOwed {
		h.say(1, control.Data, strings.Repeat("x", channel.MaxMessage))
	}
	h.hear(1, control.Close, syscall.ENOBUFS, "netstackd has no room for this request")
	r.want("control.sessions.flooded", 1)
}

// A reply to a session that is gone never reaches the next, whichever way the first went.
func TestLateReplies(t *testing.T) {
	for _, way := range []string{"close", "host gone"} {
		t.Run(way, func(t *testing.T) {
			r := newRig(t, map[string]int{"netstackd": 2})
			h := r.connect()
			first, second := r.far["netstackd"][0], r.far["netstackd"][1]
			h.open(1, "netstackd")
			h.say(1, control.Data, "ping")
			r.take(first)
			if way == "close" {
				h.say(1, control.Close, "")
			} else {
				h.close()
				h = r.connect()
			}
			defer func() { h.close() }()
			h.open(1, "netstackd") // the second channel: the first owes
			h.say(1, control.Data, "mine")
			if got := r.take(second); got != "mine" {
				t.Fatalf("service got %q", got)
			}
			h.say(2, control.Open, "netstackd")
			h.hear(2, control.Refused, syscall.EAGAIN, "all 2 channels")
			r.reply(first, "pong of the session that left")
			r.drained(h, 2, "netstackd")
			r.reply(second, "yours")
			h.hear(1, control.Data, 0, "yours")
			h.say(2, control.Data, "other")
			if got := r.take(first); got != "other" {
				t.Fatalf("service got %q", got)
			}
			r.reply(first, "its own")
			h.hear(2, control.Data, 0, "its own")
			r.want("control.replies.late", 1)
		})
	}
}

func TestServiceEnds(t *testing.T) {
	r := newRig(t, map[string]int{"fetchd": 2, "netstackd": 1})
	h := r.connect()
	defer h.close()
	h.open(1, "fetchd")
	h.open(2, "netstackd")
	h.say(1, control.Data, "fetch")
	r.take(r.far["fetchd"][0])
	r.far["fetchd"][0].Close()
	h.hear(1, control.Close, syscall.ECONNRESET, "fetchd has ended")
	h.open(3, "fetchd") // its other channel is alive
	r.far["fetchd"][1].Close()
	h.hear(3, control.Close, syscall.ECONNRESET, "fetchd has ended")
	h.say(4, control.Open, "fetchd")
	h.hear(4, control.Refused, syscall.ECONNREFUSED, "fetchd has ended")
	h.say(2, control.Data, "others go on")
	if got := r.take(r.far["netstackd"][0]); got != "others go on" {
		t.Errorf("service got %q", got)
	}
	r.want("control.channels.ended", 2)
	if got, want := r.lines(), []string{"controld: no channel to fetchd is left"}; !slices.Equal(got, want) {
		t.Errorf("printed %q, want %q", got, want)
	}
}

// A service that sends what nobody asked for could answer the next session with it.
func TestUnaskedReply(t *testing.T) {
	for _, datagram := range []string{"news", "", strings.Repeat("x", channel.MaxMessage+1)} {
		t.Run("", func(t *testing.T) {
			r := newRig(t, map[string]int{"netstackd": 1})
			h := r.connect()
			defer h.close()
			h.open(1, "netstackd")
			far := r.far["netstackd"][0]
			if len(datagram) != 4 {
				h.say(1, control.Data, "request")
				r.take(far)
			}
			r.replyBeside(far, datagram)
			h.hear(1, control.Close, syscall.EPROTO, "no reply to a request")
			h.say(2, control.Open, "netstackd")
			h.hear(2, control.Refused, syscall.ECONNREFUSED, "netstackd has ended")
			r.want("control.replies.unasked", 1)
		})
	}
}

func TestGarbage(t *testing.T) {
	r := newRig(t, map[string]int{"netstackd": 1})
	for i, garbage := range []string{
		"GET / HTTP/1.1\r\nHost: guest\r\n\r\n",
		"NXC1\xff\xff\xff\xff\x01\x00\x00\x00\x04\x00\x00\x00",
		"NXC1\x00\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00", // OPENED is the guest's to say
	} {
		h := r.connect()
		h.open(7, "netstackd")
		if _, err := h.conn.Write([]byte(garbage)); err != nil {
			t.Fatal(err)
		}
		h.hear(0, control.Refused, syscall.EPROTO, "close the port and open it again")
		// Nothing is heard any more, whether a frame or not, until the host comes anew.
		h.say(8, control.Open, "netstackd")
		if _, err := h.conn.Write([]byte(garbage)); err != nil {
			t.Fatal(err)
		}
		h.close()
		r.want("control.rx.protocol", uint64(i+1))
	}
	h := r.connect()
	defer h.close()
	h.open(7, "netstackd")
	r.want("control.sessions.closed", 3)
	r.want("control.sessions.opened", 4)
	r.want("control.hosts", 4)
}

// A host that goes away within a frame leaves nothing to the next.
func TestHostGoesWithinAFrame(t *testing.T) {
	r := newRig(t, map[string]int{"netstackd": 1})
	h := r.connect()
	if _, err := h.conn.Write([]byte("NXC1\x09\x00\x00")); err != nil {
		t.Fatal(err)
	}
	h.close()
	h = r.connect()
	defer h.close()
	h.open(1, "netstackd")
	r.want("control.rx.protocol", 0)
}

// deaf is a stream of whose writes the host takes only so many bytes when it is said to.
type deaf struct {
	*streamtest.Stream
	takes atomic.Int64 // -1: everything
}

func (d *deaf) Write(p []byte) (int, error) {
	if n := d.takes.Load(); n >= 0 {
		return int(n), os.ErrDeadlineExceeded
	}
	return d.Stream.Write(p)
}

func newDeaf(t *testing.T) (*rig, *deaf) {
	d := &deaf{Stream: streamtest.New()}
	d.takes.Store(-1)
	r := newRigOn(t, d, map[string]int{"netstackd": 1})
	r.stream = d.Stream
	t.Cleanup(func() {
		d.Stream.Close()
		r.close()
	})
	return r, d
}

// A host that reads nothing for a while misses what was said, and goes on.
func TestHostDoesNotReadForAWhile(t *testing.T) {
	r, d := newDeaf(t)
	h := r.connect()
	defer h.close()
	h.open(1, "netstackd")
	far := r.far["netstackd"][0]
	h.say(1, control.Data, "first")
	r.take(far)
	d.takes.Store(0)
	r.reply(far, "missed")
	r.until("the write fails", func() bool { return r.counter("control.tx.failed") == 1 })
	d.takes.Store(-1)
	h.say(1, control.Data, "second")
	r.take(far)
	r.reply(far, "heard")
	h.hear(1, control.Data, 0, "heard")
	r.want("control.sessions.closed", 0)
}

// After a write that failed in the middle the host would read nonsense: it hears nothing more.
func TestHostStopsWithinAFrame(t *testing.T) {
	r, d := newDeaf(t)
	h := r.connect()
	h.open(1, "netstackd")
	far := r.far["netstackd"][0]
	h.say(1, control.Data, "request")
	r.take(far)
	d.takes.Store(3)
	r.reply(far, "reply")
	r.until("the write fails", func() bool { return r.counter("control.tx.failed") == 1 })
	d.takes.Store(-1)
	r.want("control.sessions.closed", 1)
	h.say(2, control.Open, "netstackd")
	h.close()
	for f := range h.heard {
		t.Errorf("heard %+v", f)
	}
	h = r.connect()
	defer h.close()
	h.open(1, "netstackd")
	r.want("control.sessions.opened", 2)
}

func TestStats(t *testing.T) {
	r := newRig(t, map[string]int{"netstackd": 1})
	h := r.connect()
	defer h.close()
	conn := h.channel(1, Self)
	client := netapi.NewClient(conn)
	defer client.Close()
	got, err := client.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if last := got[len(got)-1]; last != (netapi.Counter{Name: "control.port", Value: 7}) {
		t.Errorf("the stream's counter is %v", last)
	}
	if want := r.gateway.Stats(); len(got) != len(want) || got[0] != (netapi.Counter{Name: "control.hosts", Value: 1}) {
		t.Errorf("got %v", got)
	}
	for _, c := range got {
		if !strings.HasPrefix(c.Name, "control.") {
			t.Errorf("counter %s", c.Name)
		}
	}
	if _, err := client.Info(); !errors.Is(err, syscall.ENOSYS) {
		t.Errorf("info: %v, want ENOSYS", err)
	}
}

func TestConfig(t *testing.T) {
	for _, services := range [][]string{{""}, {Self}, {"a", "a"}, {strings.Repeat("x", control.MaxName+1)}} {
		near, far, err := channel.Pair()
		if err != nil {
			t.Fatal(err)
		}
		c := Config{Stream: streamtest.New()}
		for i, s := range services {
			p := Pool{Service: s}
			if i == 0 {
				p.Channels = []*channel.Conn{near}
			}
			c.Pools = append(c.Pools, p)
		}
		if _, err := New(c); !errors.Is(err, ErrConfig) {
			t.Errorf("%q: %v", services, err)
		}
		if _, err := far.ReceiveDatagram(nil, time.Now().Add(patience)); err != io.EOF {
			t.Errorf("%q: the channel was left open: %v", services, err)
		}
		far.Close()
	}
}

// A thousand sessions leave nothing behind.
func TestManySessions(t *testing.T) {
	r := newRig(t, map[string]int{"netstackd": 2})
	for _, far := range r.far["netstackd"] {
		go echo(far)
	}
	h := r.connect()
	for i := uint32(1); i <= 1000; i++ {
		if i%100 == 0 {
			h.close()
			h = r.connect()
		}
		r.drained(h, i, "netstackd")
		h.say(i, control.Data, "request")
		if i%3 != 0 { // the others leave without their reply
			h.hear(i, control.Data, 0, "request")
		}
		h.say(i, control.Close, "")
	}
	h.close()
	r.want("control.sessions.opened", 1000)
	r.want("control.rx.protocol", 0)
}
