package dhcp_test

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/server4"
	"gvisor.dev/gvisor/pkg/tcpip"

	"nexus/source/services/netstackd/dhcp"
	"nexus/source/services/netstackd/dhcpstub"
)

// applied collects what a runner applied.
type applied struct {
	mu     sync.Mutex
	leases []netip.Prefix // invalid: taken away
}

func (a *applied) apply(l dhcp.Lease, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !ok {
		l.Prefix = netip.Prefix{}
	}
	a.leases = append(a.leases, l.Prefix)
}

func (a *applied) all() []netip.Prefix {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]netip.Prefix(nil), a.leases...)
}

// start runs a runner until the test ends.
func start(t *testing.T, a *applied, send func(r *dhcp.Runner, frame []byte)) *dhcp.Runner {
	var r *dhcp.Runner
	r = dhcp.NewRunner(dhcp.Config{
		MAC: clientMAC, Clock: tcpip.NewStdClock(), Random: counter(), Apply: a.apply,
		Send: func(frame []byte) { send(r, frame) },
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { r.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return r
}

// TestNobodyAnswers: after the bound that is said, with the number of messages, and the search goes on.
func TestNobodyAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answering := make(chan struct{})
		var a applied
		r := start(t, &a, func(r *dhcp.Runner, frame []byte) {
			select {
			case <-answering:
				r.Deliver(dhcpstub.Handle(frame))
			default:
			}
		})
		began := time.Now()
		if _, ok := r.Wait(t.Context(), dhcp.FirstBound); ok || time.Since(began) != dhcp.FirstBound {
			t.Errorf("lease %v after %v", ok, time.Since(began))
		}
		if c := r.Counters(); c.Discovers != 4 {
			t.Errorf("%d DISCOVER", c.Discovers)
		}
		close(answering)
		l, ok := r.Wait(t.Context(), time.Minute)
		if !ok || l.Prefix.String() != "10.0.2.15/24" || time.Since(began) != 15*time.Second {
			t.Errorf("%v %v after %v", l.Prefix, ok, time.Since(began))
		}
	})
}

// TestMonthOfLeases: a lease is renewed again and again, lost when the server falls silent, and found again.
func TestMonthOfLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a applied
		var mu sync.Mutex
		silent := false
		r := start(t, &a, func(r *dhcp.Runner, frame []byte) {
			mu.Lock()
			defer mu.Unlock()
			if !silent {
				r.Deliver(dhcpstub.Handle(frame))
			}
		})
		time.Sleep(30*24*time.Hour + time.Hour) // the bubble's time
		c := r.Counters()
		if c.Discovers != 1 || c.Acks != 1+60 || c.InboxFull != 0 { // one every half day
			t.Errorf("%+v", c)
		}
		mu.Lock()
		silent = true
		mu.Unlock()
		time.Sleep(2 * 24 * time.Hour)
		all := a.all()
		if last := all[len(all)-1]; last.IsValid() {
			t.Errorf("lease outlives its server: %v", last)
		}
		mu.Lock()
		silent = false
		mu.Unlock()
		time.Sleep(2 * time.Minute)
		if _, ok := r.Wait(t.Context(), 0); !ok {
			t.Error("no lease after the server is back")
		}
	})
}

// TestInfiniteLease: a lease without an end is never asked for again (RFC 2131 section 3.3).
func TestInfiniteLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a applied
		r := start(t, &a, func(r *dhcp.Runner, frame []byte) {
			_, payload, _ := dhcp.ParseRequest(frame)
			m, err := dhcpv4.FromBytes(payload)
			if err != nil {
				t.Error(err)
				return
			}
			kind := dhcpv4.MessageTypeOffer
			if m.MessageType() == dhcpv4.MessageTypeRequest {
				kind = dhcpv4.MessageTypeAck
			}
			r.Deliver(answer(request{DHCPv4: m}, kind, func(m *dhcpv4.DHCPv4) { seconds(m, dhcpv4.OptionIPAddressLeaseTime, 1<<32-1) }))
		})
		time.Sleep(200 * 365 * 24 * time.Hour) // the bubble's time
		l, ok := r.Wait(t.Context(), 0)
		if c := r.Counters(); !ok || l.Duration != dhcp.Infinite || c.Discovers != 1 || c.Requests != 1 || len(a.all()) != 1 {
			t.Errorf("%v %v, counted %+v, applied %v", ok, l.Duration, c, a.all())
		}
	})
}

// TestFlood: more frames than the inbox holds are dropped and counted, and hurt nothing.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a applied
		release := make(chan struct{})
		r := start(t, &a, func(_ *dhcp.Runner, frame []byte) { <-release })
		synctest.Wait() // the runner is in Send
		for range 1000 {
			r.Deliver(make([]byte, 60))
		}
		close(release)
		synctest.Wait()
		if c := r.Counters(); c.InboxFull != 1000-16 || c.BadFrame != 16 {
			t.Errorf("%d dropped, %d looked at", c.InboxFull, c.BadFrame)
		}
	})
}

// packetConn is the wire between a runner and a real server, which thinks it has a socket.
type packetConn struct {
	net.PacketConn
	in     chan []byte
	closed chan struct{}
	once   sync.Once
	runner func() *dhcp.Runner
}

func (c *packetConn) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case payload := <-c.in:
		return copy(b, payload), &net.UDPAddr{IP: net.IPv4zero, Port: dhcp.ClientPort}, nil
	case <-c.closed:
		return 0, nil, net.ErrClosed
	}
}

func (c *packetConn) WriteTo(b []byte, to net.Addr) (int, error) {
	c.runner().Deliver(dhcp.BuildFrame(serverMAC, clientMAC, netip.AddrPortFrom(serverIP, dhcp.ServerPort),
		netip.AddrPortFrom(given, dhcp.ClientPort), b))
	return len(b), nil
}

func (c *packetConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

func (c *packetConn) LocalAddr() net.Addr {
	return &net.UDPAddr{IP: serverIP.AsSlice(), Port: dhcp.ServerPort}
}

// TestRealServer gets a lease from insomniacslk's server4.
func TestRealServer(t *testing.T) {
	conn := &packetConn{in: make(chan []byte, 8), closed: make(chan struct{})}
	ready := make(chan struct{})
	var runner *dhcp.Runner
	conn.runner = func() *dhcp.Runner { <-ready; return runner }
	server, err := server4.NewServer("", nil, func(c net.PacketConn, peer net.Addr, m *dhcpv4.DHCPv4) {
		kind := map[dhcpv4.MessageType]dhcpv4.MessageType{
			dhcpv4.MessageTypeDiscover: dhcpv4.MessageTypeOffer, dhcpv4.MessageTypeRequest: dhcpv4.MessageTypeAck,
		}[m.MessageType()]
		reply, err := dhcpv4.NewReplyFromRequest(m,
			dhcpv4.WithMessageType(kind), dhcpv4.WithYourIP(given.AsSlice()), dhcpv4.WithServerIP(serverIP.AsSlice()),
			dhcpv4.WithOption(dhcpv4.OptServerIdentifier(serverIP.AsSlice())), dhcpv4.WithRouter(serverIP.AsSlice()),
			dhcpv4.WithNetmask(net.CIDRMask(24, 32)), dhcpv4.WithLeaseTime(600))
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := c.WriteTo(reply.ToBytes(), peer); err != nil {
			t.Error(err)
		}
	}, server4.WithConn(conn))
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() { _ = server.Serve(); close(served) }() // ends with the connection
	t.Cleanup(func() { conn.Close(); <-served })
	var a applied
	runner = start(t, &a, func(_ *dhcp.Runner, frame []byte) {
		if _, payload, ok := dhcp.ParseRequest(frame); ok {
			conn.in <- payload
		}
	})
	close(ready)
	l, ok := runner.Wait(t.Context(), 20*time.Second)
	if !ok || l.Prefix != netip.PrefixFrom(given, 24) || l.Router != serverIP || l.Duration != 10*time.Minute {
		t.Errorf("%v %+v", ok, l)
	}
}
