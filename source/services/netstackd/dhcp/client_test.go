package dhcp_test

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"nexus/source/services/netstackd/dhcp"
	"nexus/source/services/netstackd/dhcpstub"
)

var (
	clientMAC = [6]byte{2, 0, 0, 0, 0, 1}
	serverMAC = [6]byte{2, 0, 0, 0, 0, 2}
	serverIP  = netip.MustParseAddr("192.0.2.1")
	given     = netip.MustParseAddr("192.0.2.77")
)

// counter gives transaction ids 1, 2, 3 ...
func counter() func() uint32 {
	n := uint32(0)
	return func() uint32 { n++; return n }
}

func newClient() *dhcp.Client { return dhcp.New(clientMAC, counter()) }

// request is a client's frame, parsed.
type request struct {
	*dhcpv4.DHCPv4
	to       [6]byte
	src, dst netip.Addr
}

// sent returns the only request in out.
func sent(t *testing.T, out dhcp.Output) request {
	t.Helper()
	if len(out.Frames) != 1 {
		t.Fatalf("%d frames sent", len(out.Frames))
	}
	frame := out.Frames[0]
	from, payload, ok := dhcp.ParseRequest(frame)
	if !ok || from != clientMAC {
		t.Fatalf("unsound frame %x", frame)
	}
	m, err := dhcpv4.FromBytes(payload)
	if err != nil {
		t.Fatal(err)
	}
	return request{m, [6]byte(frame), netip.AddrFrom4([4]byte(frame[26:])), netip.AddrFrom4([4]byte(frame[30:]))}
}

// answer is a server's reply to r, with a sound lease; change changes it.
func answer(r request, kind dhcpv4.MessageType, change func(*dhcpv4.DHCPv4)) []byte {
	m := &dhcpv4.DHCPv4{
		OpCode: dhcpv4.OpcodeBootReply, HWType: 1, TransactionID: r.TransactionID, ClientHWAddr: r.ClientHWAddr,
		ClientIPAddr: net.IP{0, 0, 0, 0}, YourIPAddr: given.AsSlice(), ServerIPAddr: net.IP{0, 0, 0, 0}, GatewayIPAddr: net.IP{0, 0, 0, 0},
		Options: dhcpv4.Options{},
	}
	m.UpdateOption(dhcpv4.OptMessageType(kind))
	m.UpdateOption(dhcpv4.OptServerIdentifier(serverIP.AsSlice()))
	m.UpdateOption(dhcpv4.OptSubnetMask(net.IPMask{255, 255, 255, 0}))
	m.UpdateOption(dhcpv4.OptRouter(serverIP.AsSlice()))
	m.UpdateOption(dhcpv4.OptDNS(net.IP{192, 0, 2, 53}, net.IP{192, 0, 2, 54}))
	seconds(m, dhcpv4.OptionIPAddressLeaseTime, 3600)
	if change != nil {
		change(m)
	}
	return dhcp.BuildFrame(serverMAC, clientMAC, netip.AddrPortFrom(serverIP, dhcp.ServerPort),
		netip.AddrPortFrom(given, dhcp.ClientPort), m.ToBytes())
}

func seconds(m *dhcpv4.DHCPv4, code dhcpv4.OptionCode, n uint32) {
	m.UpdateOption(dhcpv4.OptGeneric(code, binary.BigEndian.AppendUint32(nil, n)))
}

// bind brings a client to a lease, asked for at now, and returns what came out last.
func bind(t *testing.T, c *dhcp.Client, now time.Duration, change func(*dhcpv4.DHCPv4)) dhcp.Output {
	t.Helper()
	discover := sent(t, c.Start(now))
	out := c.Input(now, answer(discover, dhcpv4.MessageTypeOffer, change))
	r := sent(t, out)
	out = c.Input(now, answer(r, dhcpv4.MessageTypeAck, change))
	if out.Event != dhcp.Got || c.State() != dhcp.Bound {
		t.Fatalf("event %v, state %v, counters %+v", out.Event, c.State(), c.Counters)
	}
	return out
}

func TestExchange(t *testing.T) {
	c := newClient()
	discover := sent(t, c.Start(time.Second))
	if discover.MessageType() != dhcpv4.MessageTypeDiscover || discover.to != [6]byte{255, 255, 255, 255, 255, 255} ||
		discover.dst.String() != "255.255.255.255" || discover.src.String() != "0.0.0.0" {
		t.Errorf("discover: %v", discover)
	}
	r := sent(t, c.Input(2*time.Second, answer(discover, dhcpv4.MessageTypeOffer, nil)))
	if r.MessageType() != dhcpv4.MessageTypeRequest || r.TransactionID != discover.TransactionID ||
		!r.RequestedIPAddress().Equal(given.AsSlice()) || !r.ServerIdentifier().Equal(serverIP.AsSlice()) || r.NumSeconds != 1 {
		t.Errorf("request: %v", r.Summary())
	}
	out := c.Input(3*time.Second, answer(r, dhcpv4.MessageTypeAck, nil))
	want := dhcp.Lease{
		Prefix: netip.PrefixFrom(given, 24), Router: serverIP, Duration: time.Hour, Server: serverIP,
		DNS: []netip.Addr{netip.MustParseAddr("192.0.2.53"), netip.MustParseAddr("192.0.2.54")},
	}
	got := out.Lease
	if out.Event != dhcp.Got || got.Prefix != want.Prefix || got.Router != want.Router || got.Duration != want.Duration ||
		got.Server != want.Server || len(got.DNS) != 2 {
		t.Errorf("got %v %+v", out.Event, got)
	}
	// T1 is half the lease after it was asked for.
	if want := time.Second + 30*time.Minute; out.Wake != want {
		t.Errorf("renews at %v, want %v", out.Wake, want)
	}
}

func TestStub(t *testing.T) {
	c := newClient()
	out := c.Start(0)
	for range 2 {
		reply := dhcpstub.Handle(out.Frames[0])
		if reply == nil {
			t.Fatal("the stub does not answer")
		}
		out = c.Input(0, reply)
	}
	l := out.Lease
	if out.Event != dhcp.Got || l.Prefix.String() != "10.0.2.15/24" || l.Router.String() != "10.0.2.2" ||
		len(l.DNS) != 1 || l.DNS[0].String() != "10.0.2.3" || l.Duration != 24*time.Hour {
		t.Fatalf("%v %+v", out.Event, l)
	}
	// Renewing is answered too, and changes nothing.
	out = c.Tick(out.Wake)
	out = c.Input(12*time.Hour, dhcpstub.Handle(out.Frames[0]))
	if out.Event != dhcp.Renewed || out.Lease.Prefix != l.Prefix {
		t.Errorf("%v %+v", out.Event, out.Lease)
	}
}

func TestStubRefuses(t *testing.T) {
	c := newClient()
	discover := sent(t, c.Start(0))
	r := sent(t, c.Input(0, answer(discover, dhcpv4.MessageTypeOffer, nil))) // wants 192.0.2.77 from 192.0.2.1
	frame := func(m *dhcpv4.DHCPv4) []byte {
		return dhcp.BuildFrame(clientMAC, serverMAC, netip.AddrPortFrom(given, 68), netip.AddrPortFrom(serverIP, 67), m.ToBytes())
	}
	if dhcpstub.Handle(frame(r.DHCPv4)) != nil {
		t.Error("answers a request to another server")
	}
	r.UpdateOption(dhcpv4.OptServerIdentifier(dhcpstub.Gateway.AsSlice()))
	reply := dhcpstub.Handle(frame(r.DHCPv4))
	m, err := dhcpv4.FromBytes(reply[42:])
	if err != nil || m.MessageType() != dhcpv4.MessageTypeNak {
		t.Errorf("foreign address: %v %v", m, err)
	}
	for _, junk := range [][]byte{nil, make([]byte, 42), make([]byte, 400), reply} {
		if dhcpstub.Handle(junk) != nil {
			t.Errorf("answers %x", junk)
		}
	}
}

// TestRetransmission: the same transaction id, at 1, 2, 4 ... 64 seconds.
func TestRetransmission(t *testing.T) {
	c := newClient()
	out := c.Start(0)
	first := sent(t, out)
	now := time.Duration(0)
	for _, wait := range []time.Duration{1, 2, 4, 8, 16, 32, 64, 64} {
		if early := c.Tick(now); len(early.Frames) != 0 || early.Wake != out.Wake {
			t.Fatalf("early tick sent something: %+v", early)
		}
		if out.Wake != now+wait*time.Second {
			t.Fatalf("at %v: next at %v, want %v later", now, out.Wake, wait*time.Second)
		}
		now = out.Wake
		out = c.Tick(now)
		if again := sent(t, out); again.TransactionID != first.TransactionID || again.MessageType() != dhcpv4.MessageTypeDiscover {
			t.Fatalf("retransmission %v of %v", again.TransactionID, first.TransactionID)
		}
	}
	if c.Counters.Discovers != 9 {
		t.Errorf("%d DISCOVER counted", c.Counters.Discovers)
	}
}

// TestServerGoesSilent: a REQUEST is sent four times with one id, then all begins anew with another.
func TestServerGoesSilent(t *testing.T) {
	c := newClient()
	discover := sent(t, c.Start(0))
	out := c.Input(0, answer(discover, dhcpv4.MessageTypeOffer, nil))
	for i := range 4 {
		r := sent(t, out)
		if r.MessageType() != dhcpv4.MessageTypeRequest || r.TransactionID != discover.TransactionID {
			t.Fatalf("request %d: %v", i, r.Summary())
		}
		out = c.Tick(out.Wake)
	}
	if len(out.Frames) != 0 || c.State() != dhcp.Init {
		t.Fatalf("after four requests: %d frames, %v", len(out.Frames), c.State())
	}
	if again := sent(t, c.Tick(out.Wake)); again.MessageType() != dhcpv4.MessageTypeDiscover || again.TransactionID == discover.TransactionID {
		t.Errorf("starts over with %v", again.Summary())
	}
}

func TestNak(t *testing.T) {
	t.Run("selecting", func(t *testing.T) {
		c := newClient()
		discover := sent(t, c.Start(0))
		out := c.Input(0, answer(discover, dhcpv4.MessageTypeNak, nil))
		if c.State() != dhcp.Selecting || out.Event != dhcp.Nothing || c.Counters.BadState != 1 {
			t.Errorf("%v %v", c.State(), out.Event)
		}
	})
	t.Run("requesting, again and again", func(t *testing.T) {
		c := newClient()
		out := c.Start(0)
		now := time.Duration(0)
		for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 64, 64} {
			r := sent(t, c.Input(now, answer(sent(t, out), dhcpv4.MessageTypeOffer, nil)))
			out = c.Input(now, answer(r, dhcpv4.MessageTypeNak, nil))
			if c.State() != dhcp.Init || len(out.Frames) != 0 || out.Event != dhcp.Nothing {
				t.Fatalf("NAK %d: %v, %d frames", i, c.State(), len(out.Frames))
			}
			if out.Wake != now+want*time.Second {
				t.Fatalf("NAK %d: again after %v, want %v: a restart loop", i, out.Wake-now, want*time.Second)
			}
			now = out.Wake
			out = c.Tick(now)
		}
	})
	t.Run("requesting, from another server", func(t *testing.T) {
		c := newClient()
		r := sent(t, c.Input(0, answer(sent(t, c.Start(0)), dhcpv4.MessageTypeOffer, nil)))
		c.Input(0, answer(r, dhcpv4.MessageTypeNak, func(m *dhcpv4.DHCPv4) {
			m.UpdateOption(dhcpv4.OptServerIdentifier(net.IP{192, 0, 2, 2}))
		}))
		if c.State() != dhcp.Requesting || c.Counters.NotForUs != 1 {
			t.Errorf("state %v, %+v", c.State(), c.Counters)
		}
	})
	for _, state := range []dhcp.State{dhcp.Renewing, dhcp.Rebinding} {
		t.Run(state.String(), func(t *testing.T) {
			c := newClient()
			out := bind(t, c, 0, nil)
			for c.State() != state {
				out = c.Tick(out.Wake)
			}
			now := time.Hour - time.Minute
			r := sent(t, out)
			out = c.Input(now, answer(r, dhcpv4.MessageTypeNak, nil))
			if out.Event != dhcp.Lost || c.State() != dhcp.Init || out.Wake <= now {
				t.Fatalf("event %v, state %v, wake %v", out.Event, c.State(), out.Wake)
			}
			// The same NAK again, late: nothing.
			if out := c.Input(now, answer(r, dhcpv4.MessageTypeNak, nil)); out.Event != dhcp.Nothing || len(out.Frames) != 0 {
				t.Errorf("second NAK: %+v", out)
			}
			if again := sent(t, c.Tick(out.Wake)); again.MessageType() != dhcpv4.MessageTypeDiscover {
				t.Errorf("goes on with %v", again.MessageType())
			}
		})
	}
}

// TestLeaseLife follows a lease that nobody renews: T1, T2, the end.
func TestLeaseLife(t *testing.T) {
	c := newClient()
	out := bind(t, c, 0, nil)
	var asked []time.Duration
	var ids []dhcpv4.TransactionID
	for out.Event != dhcp.Lost {
		now := out.Wake
		if now == 0 {
			t.Fatal("sleeps for ever")
		}
		out = c.Tick(now)
		if out.Event == dhcp.Lost {
			if now != time.Hour {
				t.Errorf("lost at %v", now)
			}
			break
		}
		r := sent(t, out)
		asked, ids = append(asked, now), append(ids, r.TransactionID)
		if !r.ClientIPAddr.Equal(given.AsSlice()) || r.RequestedIPAddress() != nil && !r.RequestedIPAddress().IsUnspecified() {
			t.Errorf("at %v: ciaddr %v, option 50 %v", now, r.ClientIPAddr, r.RequestedIPAddress())
		}
		if unicast := r.to == serverMAC && r.dst == serverIP; unicast != (c.State() == dhcp.Renewing) || r.src != given {
			t.Errorf("at %v, %v: to %x %v from %v", now, c.State(), r.to, r.dst, r.src)
		}
		if now-out.Wake > -time.Minute && out.Wake != time.Hour && c.State() == dhcp.Renewing && out.Wake != time.Hour*7/8 {
			t.Errorf("asks again after %v", out.Wake-now)
		}
	}
	if asked[0] != 30*time.Minute {
		t.Errorf("T1 at %v", asked[0])
	}
	var rebinding bool
	for i, at := range asked {
		rebinding = rebinding || at == time.Hour*7/8
		if i > 0 && (asked[i-1] < time.Hour*7/8) == (at < time.Hour*7/8) && ids[i] != ids[i-1] {
			t.Errorf("a retransmission at %v has another id", at)
		}
	}
	if !rebinding {
		t.Errorf("no message at T2: %v", asked)
	}
}

// TestRenewIsIdempotent: the second copy of an ACK changes nothing.
func TestRenewIsIdempotent(t *testing.T) {
	c := newClient()
	out := bind(t, c, 0, nil)
	now := out.Wake
	r := sent(t, c.Tick(now))
	ack := answer(r, dhcpv4.MessageTypeAck, nil)
	out = c.Input(now, ack)
	if out.Event != dhcp.Renewed || out.Wake != now+30*time.Minute {
		t.Fatalf("%v, renews at %v", out.Event, out.Wake)
	}
	again := c.Input(now+time.Minute, ack)
	if again.Event != dhcp.Nothing || again.Wake != out.Wake || c.State() != dhcp.Bound {
		t.Errorf("second copy: %+v", again)
	}
}

// TestOtherAddressAtRenewal: a server may move a client.
func TestOtherAddressAtRenewal(t *testing.T) {
	c := newClient()
	out := bind(t, c, 0, nil)
	r := sent(t, c.Tick(out.Wake))
	out = c.Input(30*time.Minute, answer(r, dhcpv4.MessageTypeAck, func(m *dhcpv4.DHCPv4) { m.YourIPAddr = net.IP{192, 0, 2, 78} }))
	if out.Event != dhcp.Got || out.Lease.Prefix.String() != "192.0.2.78/24" {
		t.Errorf("%v %v", out.Event, out.Lease.Prefix)
	}
}

// TestTimers: whatever a server says about times, T1 < T2 < end, none is zero and none lies in the past.
func TestTimers(t *testing.T) {
	const never = 1<<32 - 1
	tests := []struct {
		name          string
		lease, t1, t2 uint32
		wantT1        time.Duration
	}{
		{"no T1 and T2", 3600, 0, 0, 1800 * time.Second},
		{"sound", 3600, 600, 1200, 600 * time.Second},
		{"T1 beyond T2", 3600, 1200, 600, 1800 * time.Second},
		{"T2 beyond the lease", 3600, 600, 4000, 1800 * time.Second},
		{"T1 = T2 = lease", 3600, 3600, 3600, 1800 * time.Second},
		{"T1 without T2", 3600, 600, 0, 1800 * time.Second},
		{"huge T1 and T2", 3600, never, never, 1800 * time.Second},
		{"one second", 1, 0, 0, time.Second / 2},
		{"136 years", never - 1, never - 3, never - 2, (never - 3) * time.Second},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := newClient()
			const now = 1000 * time.Hour
			out := bind(t, c, now, func(m *dhcpv4.DHCPv4) {
				seconds(m, dhcpv4.OptionIPAddressLeaseTime, test.lease)
				if test.t1 != 0 {
					seconds(m, dhcpv4.OptionRenewTimeValue, test.t1)
				}
				if test.t2 != 0 {
					seconds(m, dhcpv4.OptionRebindingTimeValue, test.t2)
				}
			})
			if out.Wake != now+test.wantT1 {
				t.Errorf("T1 after %v, want %v", out.Wake-now, test.wantT1)
			}
			at := out.Wake
			for i := 0; out.Event != dhcp.Lost; i++ {
				if i > 100 {
					t.Fatal("too many messages in a lease")
				}
				if out = c.Tick(at); out.Event != dhcp.Lost && out.Wake <= at {
					t.Fatalf("at %v: next at %v", at, out.Wake)
				}
				if out.Event == dhcp.Lost && at != now+time.Duration(test.lease)*time.Second {
					t.Errorf("lost at %v", at)
				}
				at = out.Wake
			}
		})
	}
	t.Run("infinite", func(t *testing.T) {
		out := bind(t, newClient(), 0, func(m *dhcpv4.DHCPv4) { seconds(m, dhcpv4.OptionIPAddressLeaseTime, never) })
		if out.Wake != 0 || out.Lease.Duration != dhcp.Infinite {
			t.Errorf("wake %v, lease %v", out.Wake, out.Lease.Duration)
		}
	})
	t.Run("answer after T1", func(t *testing.T) {
		c := newClient()
		r := sent(t, c.Input(0, answer(sent(t, c.Start(0)), dhcpv4.MessageTypeOffer, nil)))
		late := 10 * time.Second
		out := c.Input(late, answer(r, dhcpv4.MessageTypeAck, func(m *dhcpv4.DHCPv4) { seconds(m, dhcpv4.OptionIPAddressLeaseTime, 2) }))
		if out.Wake <= late || out.Wake > late+time.Second {
			t.Errorf("wake %v, it is %v", out.Wake, late)
		}
	})
}

// TestBadLeases: each is refused, as an offer and as an acknowledgement, and counted.
func TestBadLeases(t *testing.T) {
	drop := func(code dhcpv4.OptionCode) func(*dhcpv4.DHCPv4) {
		return func(m *dhcpv4.DHCPv4) { m.DeleteOption(code) }
	}
	set := func(code dhcpv4.OptionCode, b ...byte) func(*dhcpv4.DHCPv4) {
		return func(m *dhcpv4.DHCPv4) { m.UpdateOption(dhcpv4.OptGeneric(code, b)) }
	}
	yours := func(ip ...byte) func(*dhcpv4.DHCPv4) {
		return func(m *dhcpv4.DHCPv4) { m.YourIPAddr = ip }
	}
	tests := map[string]func(*dhcpv4.DHCPv4){
		"no router":            drop(dhcpv4.OptionRouter),
		"short router":         set(dhcpv4.OptionRouter, 192, 0, 2),
		"router elsewhere":     set(dhcpv4.OptionRouter, 198, 51, 100, 1),
		"router is ourselves":  set(dhcpv4.OptionRouter, 192, 0, 2, 77),
		"no lease time":        drop(dhcpv4.OptionIPAddressLeaseTime),
		"zero lease time":      set(dhcpv4.OptionIPAddressLeaseTime, 0, 0, 0, 0),
		"short lease time":     set(dhcpv4.OptionIPAddressLeaseTime, 0, 14),
		"no mask":              drop(dhcpv4.OptionSubnetMask),
		"mask with a hole":     set(dhcpv4.OptionSubnetMask, 255, 0, 255, 0),
		"mask of nothing":      set(dhcpv4.OptionSubnetMask, 0, 0, 0, 0),
		"mask of one host":     set(dhcpv4.OptionSubnetMask, 255, 255, 255, 255),
		"long mask":            set(dhcpv4.OptionSubnetMask, 255, 255, 255, 0, 0),
		"address zero":         yours(0, 0, 0, 0),
		"address of loopback":  yours(127, 0, 0, 1),
		"address of a group":   yours(224, 0, 0, 1),
		"broadcast address":    yours(255, 255, 255, 255),
		"address in 0.0.0.0/8": yours(0, 1, 2, 3),
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			c := newClient()
			discover := sent(t, c.Start(0))
			out := c.Input(0, answer(discover, dhcpv4.MessageTypeOffer, change))
			if c.State() != dhcp.Selecting || len(out.Frames) != 0 || c.Counters.BadLease != 1 {
				t.Fatalf("offer: %v, %+v", c.State(), c.Counters)
			}
			// A sound offer is still taken; the acknowledgement then is not.
			r := sent(t, c.Input(0, answer(discover, dhcpv4.MessageTypeOffer, nil)))
			out = c.Input(0, answer(r, dhcpv4.MessageTypeAck, change))
			if out.Event != dhcp.Nothing || c.State() != dhcp.Init || out.Wake == 0 || c.Counters.BadLease != 2 {
				t.Errorf("ack: %v, state %v, %+v", out.Event, c.State(), c.Counters)
			}
		})
	}
	t.Run("offer without server", func(t *testing.T) {
		c := newClient()
		c.Input(0, answer(sent(t, c.Start(0)), dhcpv4.MessageTypeOffer, drop(dhcpv4.OptionServerIdentifier)))
		if c.State() != dhcp.Selecting || c.Counters.BadLease != 1 {
			t.Errorf("%v %+v", c.State(), c.Counters)
		}
	})
	t.Run("renewal", func(t *testing.T) {
		c := newClient()
		out := bind(t, c, 0, nil)
		r := sent(t, c.Tick(out.Wake))
		out = c.Input(out.Wake, answer(r, dhcpv4.MessageTypeAck, drop(dhcpv4.OptionRouter)))
		if out.Event != dhcp.Nothing || c.State() != dhcp.Renewing {
			t.Errorf("%v %v", out.Event, c.State())
		}
	})
}

// TestNotForUs: what is somebody else's, or broken, changes nothing.
func TestNotForUs(t *testing.T) {
	c := newClient()
	discover := sent(t, c.Start(0))
	offer := answer(discover, dhcpv4.MessageTypeOffer, nil)
	damaged := func(at int, bit byte) []byte {
		b := bytes.Clone(offer)
		b[at] ^= bit
		return b
	}
	frames := map[string][]byte{
		"other id":       answer(discover, dhcpv4.MessageTypeOffer, func(m *dhcpv4.DHCPv4) { m.TransactionID = dhcpv4.TransactionID{9} }),
		"other client":   answer(discover, dhcpv4.MessageTypeOffer, func(m *dhcpv4.DHCPv4) { m.ClientHWAddr = net.HardwareAddr{2, 0, 0, 0, 0, 9} }),
		"a request":      answer(discover, dhcpv4.MessageTypeOffer, func(m *dhcpv4.DHCPv4) { m.OpCode = dhcpv4.OpcodeBootRequest }),
		"no type":        answer(discover, dhcpv4.MessageTypeOffer, func(m *dhcpv4.DHCPv4) { m.DeleteOption(dhcpv4.OptionDHCPMessageType) }),
		"type 200":       answer(discover, 200, nil),
		"early ack":      answer(discover, dhcpv4.MessageTypeAck, nil),
		"IP checksum":    damaged(24, 1),
		"UDP checksum":   damaged(200, 1),
		"UDP length":     damaged(38, 0x80),
		"other port":     damaged(37, 1),
		"IP version":     damaged(14, 0x20),
		"IP length":      damaged(16, 0x80),
		"fragment":       damaged(20, 0x20),
		"not IP":         damaged(12, 1),
		"truncated":      offer[:100],
		"headers alone":  offer[:42],
		"nothing at all": nil,
	}
	for name, frame := range frames {
		if out := c.Input(0, frame); out.Event != dhcp.Nothing || len(out.Frames) != 0 || c.State() != dhcp.Selecting {
			t.Errorf("%s: %+v, %v", name, out, c.State())
		}
	}
	counted := c.Counters.NotForUs + c.Counters.BadFrame + c.Counters.BadState
	if counted != uint64(len(frames)) {
		t.Errorf("%d of %d counted: %+v", counted, len(frames), c.Counters)
	}
	// The offer itself, with trailing bytes as short Ethernet frames have, is taken.
	if out := c.Input(0, append(bytes.Clone(offer), 0, 0, 0)); len(out.Frames) != 1 {
		t.Error("the offer is not taken")
	}
}

func FuzzInput(f *testing.F) {
	t := &testing.T{}
	c := newClient()
	discover := sent(t, c.Start(0))
	f.Add(answer(discover, dhcpv4.MessageTypeOffer, nil), answer(discover, dhcpv4.MessageTypeAck, nil))
	f.Add(answer(discover, dhcpv4.MessageTypeOffer, nil), answer(discover, dhcpv4.MessageTypeNak, nil))
	f.Add([]byte{}, make([]byte, 400))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		c := newClient()
		now := time.Duration(0)
		c.Start(now)
		for _, frame := range [][]byte{first, second, second} {
			seal(frame)
			out := c.Input(now, frame)
			if out.Event == dhcp.Got {
				l := out.Lease
				if !l.Prefix.IsValid() || !l.Prefix.Contains(l.Router) || l.Duration <= 0 {
					t.Fatalf("lease %+v", l)
				}
			}
			for range 4 {
				if out.Wake == 0 {
					break
				}
				if out.Wake < now {
					t.Fatalf("wants to wake at %v, it is %v", out.Wake, now)
				}
				now = out.Wake
				out = c.Tick(now)
			}
		}
	})
}

// seal gives a frame checksums that are right, so that fuzzing gets behind them.
func seal(frame []byte) {
	if len(frame) < 42 {
		return
	}
	frame[24], frame[25], frame[40], frame[41] = 0, 0, 0, 0
	sum := uint32(0)
	for i := 14; i < 34; i += 2 {
		sum += uint32(frame[i])<<8 | uint32(frame[i+1])
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(frame[24:], ^uint16(sum))
}
