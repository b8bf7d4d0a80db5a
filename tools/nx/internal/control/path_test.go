package control_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"nexus/source/api/fetchapi"
	"nexus/source/api/netapi"
	"nexus/source/api/refusal"
	framing "nexus/source/libs/control"
	"nexus/tools/nx/internal/control"
)

// TestWholePath: clients of every service at once, each through socket, mux, stream, gateway and channel, get their own
// replies.
func TestWholePath(t *testing.T) {
	s := newSystem(t)
	r := s.run()
	var clients sync.WaitGroup
	for n := range 3 {
		client := s.net(r, "netstackd")
		clients.Go(func() {
			defer client.Close()
			for i := range 30 {
				if err := askStack(client, 10*n+i); err != nil {
					t.Errorf("netstackd client %d: %v", n, err)
					return
				}
			}
		})
	}
	fetches := fetchapi.NewClient(s.open(r, "fetchd"))
	clients.Go(func() {
		defer fetches.Close()
		for range 20 {
			status, body, err := fetches.Fetch(fetchapi.Ask{URL: "pkg://fixtures/large", Timeout: patience})
			if err != nil || status != 200 || string(body) != large {
				t.Errorf("fetch: status %d, %d bytes, %v", status, len(body), err)
				return
			}
		}
	})
	card := s.net(r, "virtionetd")
	clients.Go(func() {
		defer card.Close()
		for range 30 {
			if i, err := card.Info(); err != nil || i.Name != "virt0" || i.MAC != [6]byte{2, 0, 0, 0, 0, 1} {
				t.Errorf("info: %+v, %v", i, err)
			}
			if err := card.Send(bytes.Repeat([]byte{0xff}, 60)); err != nil {
				t.Errorf("send: %v", err)
			}
		}
		if _, err := card.Attach(); !errors.Is(err, syscall.EPERM) || !strings.Contains(err.Error(), "only netstackd's channel") {
			t.Errorf("attach from the host: %v, want EPERM", err)
		}
	})
	self := s.net(r, "controld")
	clients.Go(func() {
		defer self.Close()
		for range 30 {
			if counters, err := self.Stats(); err != nil || counters[0] != (netapi.Counter{Name: "control.hosts", Value: 1}) {
				t.Errorf("stats: %v, %v", counters, err)
			}
		}
	})
	clients.Wait()
	for _, name := range []string{"control.rx.protocol", "control.replies.late", "control.replies.unasked", "control.sessions.flooded"} {
		if got := s.counter(name); got != 0 {
			t.Errorf("%s = %d", name, got)
		}
	}
}

// askStack makes three requests whose replies are the client's own: the pings' sizes are n.
func askStack(client *netapi.Client, n int) error {
	all, err := client.IfList()
	if err != nil || len(all) == 0 || all[0].Name != "lo" || !all[0].Up {
		return fmt.Errorf("ifList: %+v, %w", all, err)
	}
	sent, echoes, err := client.Ping(netip.MustParseAddr("127.0.0.1"), 1, time.Second*10, n)
	if err != nil || sent != 1 || len(echoes) != 1 || echoes[0].Size != n {
		return fmt.Errorf("ping of %d bytes: sent %d, %+v, %w", n, sent, echoes, err)
	}
	if _, err := client.AddrGet("eth7"); !errors.Is(err, syscall.ENODEV) {
		return fmt.Errorf("addrGet of no interface: %w", err)
	}
	return nil
}

// until waits for what other goroutines bring about.
func (s *system) until(what string, happened func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); !happened(); runtime.Gosched() {
		if time.Now().After(deadline) {
			s.t.Fatalf("never happened: %s", what)
		}
	}
}

// waiting begins a call to virtionetd that waits for a frame, and returns once the gateway has the request.
func (s *system) waiting(r *runner) (client *netapi.Client, ended chan error) {
	s.t.Helper()
	client = s.net(r, "virtionetd")
	ended = make(chan error, 1)
	before := s.counter("control.rx.frames")
	go func() { _, err := client.Recv(time.Minute); ended <- err }()
	s.until("the request arrives", func() bool { return s.counter("control.rx.frames") == before+1 })
	return client, ended
}

// arrive lets a frame arrive, so that virtionetd answers the call that was left behind, and wants that reply dropped.
func (s *system) arrive() {
	s.t.Helper()
	s.until("the late reply is dropped", func() bool {
		s.nic.Inject(bytes.Repeat([]byte{0x55}, 60)) // again, should virtionetd not have waited yet
		return s.counter("control.replies.late") == 1
	})
}

// A client dies while virtionetd waits for a frame on its behalf. The channel is nobody's until that reply is through, and
// the next client never sees it.
func TestClientDiesWithinACall(t *testing.T) {
	s := newSystem(t)
	r := s.run()
	dying, ended := s.waiting(r)
	dying.Close()
	if err := <-ended; !errors.Is(err, os.ErrClosed) {
		t.Errorf("the dying client's call: %v", err)
	}
	s.until("the session ends", func() bool { return s.counter("control.sessions.closed") == 1 })
	if _, err := r.Open("virtionetd"); !errors.Is(err, syscall.EAGAIN) {
		t.Errorf("open while a reply is owed: %v, want EAGAIN", err)
	}
	s.arrive()
	next := s.net(r, "virtionetd")
	defer next.Close()
	if i, err := next.Info(); err != nil || i.Name != "virt0" {
		t.Errorf("the next client's info: %+v, %v", i, err)
	}
}

// The host goes away within a call and comes back: the call ends, and the new host's are answered.
func TestHostComesBack(t *testing.T) {
	s := newSystem(t)
	r := s.run()
	client, ended := s.waiting(r)
	defer client.Close()
	r.end()
	if err := <-ended; !errors.Is(err, io.EOF) {
		t.Errorf("a call when the host went: %v, want io.EOF", err)
	}
	if _, err := r.Open("netstackd"); !errors.Is(err, control.ErrNoGuest) {
		t.Errorf("open without a runner: %v", err)
	}
	r = s.run()
	stack := s.net(r, "netstackd")
	defer stack.Close()
	if err := askStack(stack, 100); err != nil {
		t.Error(err)
	}
	s.arrive()
	card := s.net(r, "virtionetd")
	defer card.Close()
	if i, err := card.Info(); err != nil || i.Name != "virt0" {
		t.Errorf("info: %+v, %v", i, err)
	}
	if got := s.counter("control.hosts"); got != 2 {
		t.Errorf("control.hosts = %d, want 2", got)
	}
}

// The runner's wish for the end arrives.
func TestStop(t *testing.T) {
	s := newSystem(t)
	r := s.run()
	if err := r.mux.Stop(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.stopped:
	case <-time.After(patience):
		t.Error("the guest was not asked to stop")
	}
	r.end()
	if err := r.mux.Stop(); err == nil {
		t.Error("a guest that has ended was asked to stop")
	}
}

// A host that sends garbage is told and not heard; the next is served.
func TestGarbageHost(t *testing.T) {
	s := newSystem(t)
	raw := s.stream.Connect()
	heard := make(chan error, 1)
	go func() {
		f, err := framing.NewReader(raw, framing.Guest).Next()
		if err == nil && (f.Session != 0 || f.Kind != framing.Refused || f.Errno != syscall.EPROTO) {
			err = fmt.Errorf("%+v", f)
		}
		heard <- err
	}()
	if _, err := raw.Write([]byte("GET /hello HTTP/1.1\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if err := <-heard; err != nil {
		t.Errorf("heard %v, want REFUSED for session 0", err)
	}
	raw.Close()
	client := s.net(s.run(), "netstackd")
	defer client.Close()
	if err := askStack(client, 1); err != nil {
		t.Error(err)
	}
}

// A service's refusal, and the gateway's, reach the client as they are.
func TestRefusalsReachTheClient(t *testing.T) {
	s := newSystem(t)
	r := s.run()
	_, err := r.Open("telnetd")
	var refused *refusal.Error
	want := `no service "telnetd": there are netstackd, fetchd, virtionetd, controld`
	if !errors.As(err, &refused) || refused.Errno != syscall.ENOENT || refused.Text != want {
		t.Errorf("open of no service: %v, want %s", err, want)
	}
	client := s.net(r, "virtionetd")
	defer client.Close()
	if err := client.IfUp("virt0"); !errors.Is(err, syscall.ENOSYS) {
		t.Errorf("ifUp of virtionetd: %v, want ENOSYS", err)
	}
}

// A thousand sessions, three at a time, leave no descriptor; the goroutines are TestMain's to count.
func TestThousandSessions(t *testing.T) {
	s := newSystem(t)
	r := s.run()
	first := s.net(r, "netstackd")
	if _, err := first.IfList(); err != nil { // what is opened once is open
		t.Fatal(err)
	}
	first.Close()
	s.until("the first session ends", func() bool { return s.counter("control.sessions.closed") == 1 })
	before := descriptors(t)
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			for range 333 {
				conn, err := r.patiently("netstackd")
				if err != nil {
					t.Error(err)
					return
				}
				client := netapi.NewClient(conn)
				if _, err := client.AddrGet("lo"); err != nil {
					t.Error(err)
				}
				client.Close()
			}
		})
	}
	all.Wait()
	s.until("the sessions end", func() bool { return s.counter("control.sessions.closed") == 1000 })
	if got := s.counter("control.sessions.opened"); got != 1000 {
		t.Errorf("control.sessions.opened = %d, want 1000", got)
	}
	s.until("the descriptors are closed", func() bool { return descriptors(t) <= before })
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
