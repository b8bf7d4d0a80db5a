package dhcp_test

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"nexus/source/services/netstackd/dhcp"
)

// RFC 2131 section 4.4.5: a lease is asked for again after half of the time that is left until T2, or in Rebinding until its end, but
// no sooner than after 60 s; in Renewing of its server alone, in Rebinding of all.
func TestRenewalSchedule(t *testing.T) {
	c := newClient()
	out := bind(t, c, 0, nil)
	const ms = time.Millisecond
	renewing := []time.Duration{1800000 * ms, 2475000 * ms, 2812500 * ms, 2981250 * ms, 3065625 * ms, 3125625 * ms}
	rebinding := []time.Duration{3150000 * ms, 3375000 * ms, 3487500 * ms, 3547500 * ms}
	for i, want := range slices.Concat(renewing, rebinding) {
		state, id := dhcp.Renewing, byte(2) // the exchange that got the lease had 1
		if i >= len(renewing) {
			state, id = dhcp.Rebinding, 3
		}
		if out.Wake != want {
			t.Fatalf("message %d at %v, want %v", i, out.Wake, want)
		}
		if early := c.Tick(want - 1); len(early.Frames) != 0 || early.Wake != want {
			t.Fatalf("message %d is sent early", i)
		}
		out = c.Tick(want)
		r := sent(t, out)
		if c.State() != state || r.TransactionID != (dhcpv4.TransactionID{0, 0, 0, id}) {
			t.Errorf("message %d: state %v, id %v; want %v, %d", i, c.State(), r.TransactionID, state, id)
		}
		// Section 4.3.2: neither a server identifier nor a requested address stands in these.
		if r.Options.Has(dhcpv4.OptionServerIdentifier) || r.Options.Has(dhcpv4.OptionRequestedIPAddress) {
			t.Errorf("message %d: %v", i, r.Summary())
		}
		if _, ok := c.Lease(); !ok {
			t.Errorf("message %d: the lease is not held", i)
		}
	}
	if out.Wake != time.Hour {
		t.Errorf("ends at %v", out.Wake)
	}
	if out = c.Tick(time.Hour); out.Event != dhcp.Lost || sent(t, out).MessageType() != dhcpv4.MessageTypeDiscover {
		t.Errorf("at the end: %+v", out)
	}
	if _, ok := c.Lease(); ok {
		t.Error("the lease is held beyond its end")
	}
	if want := (dhcp.Counters{Discovers: 2, Requests: 11, Offers: 1, Acks: 1}); c.Counters != want {
		t.Errorf("counted %+v, want %+v", c.Counters, want)
	}
}

// Section 4.4.1: secs are the seconds since the exchange began; the field holds 16 bits. Section 4.3.1 with 3.5: the options wanted are
// named in each message of it.
func TestSecondsAndOptions(t *testing.T) {
	wanted := []byte{1, 3, 6, 51, 54, 58, 59}
	c := newClient()
	const began = 7 * time.Second
	out, now := c.Start(began), began
	for {
		r := sent(t, out)
		if want := uint16(min((now-began)/time.Second, 65535)); r.NumSeconds != want {
			t.Fatalf("after %v: secs %d, want %d", now-began, r.NumSeconds, want)
		}
		if list := r.Options.Get(dhcpv4.OptionParameterRequestList); !bytes.Equal(list, wanted) {
			t.Fatalf("asks for options %v, want %v", list, wanted)
		}
		if now > began+70000*time.Second {
			break
		}
		now = out.Wake
		out = c.Tick(now)
	}
	r := sent(t, c.Input(80000*time.Second, answer(sent(t, out), dhcpv4.MessageTypeOffer, nil)))
	if list := r.Options.Get(dhcpv4.OptionParameterRequestList); !bytes.Equal(list, wanted) {
		t.Errorf("the request asks for options %v, want %v", list, wanted)
	}
}

// What a server may say is taken up to the edge of what makes sense, and not beyond.
func TestLeaseEdges(t *testing.T) {
	for _, test := range []struct {
		name           string
		ip, mask, gate [4]byte
		want           string // "": refused
	}{
		{"a network of one bit", [4]byte{192, 0, 2, 77}, [4]byte{128}, [4]byte{192, 0, 2, 1}, "192.0.2.77/1"},
		{"a network of two hosts", [4]byte{192, 0, 2, 77}, [4]byte{255, 255, 255, 252}, [4]byte{192, 0, 2, 78}, "192.0.2.77/30"},
		{"the last host of a network", [4]byte{192, 0, 2, 254}, [4]byte{255, 255, 255}, [4]byte{192, 0, 2, 1}, "192.0.2.254/24"},
		{"a network's own address", [4]byte{192, 0, 2, 64}, [4]byte{255, 255, 255, 192}, [4]byte{192, 0, 2, 65}, ""},
		{"a network's broadcast address", [4]byte{192, 0, 2, 127}, [4]byte{255, 255, 255, 192}, [4]byte{192, 0, 2, 65}, ""},
		{"a router at the network's own address", [4]byte{192, 0, 2, 77}, [4]byte{255, 255, 255, 192}, [4]byte{192, 0, 2, 64}, ""},
		{"a router at the broadcast address", [4]byte{192, 0, 2, 77}, [4]byte{255, 255, 255, 192}, [4]byte{192, 0, 2, 127}, ""},
		{"a network of no host", [4]byte{192, 0, 2, 77}, [4]byte{255, 255, 255, 254}, [4]byte{192, 0, 2, 76}, ""},
		{"the last unicast address", [4]byte{223, 255, 255, 254}, [4]byte{255, 255, 255}, [4]byte{223, 255, 255, 1}, "223.255.255.254/24"},
		{"the first of class E", [4]byte{240, 0, 0, 2}, [4]byte{255, 255, 255}, [4]byte{240, 0, 0, 1}, ""},
		{"the first of 1.0.0.0/8", [4]byte{1, 0, 0, 2}, [4]byte{255, 255, 255}, [4]byte{1, 0, 0, 1}, "1.0.0.2/24"},
	} {
		c := newClient()
		c.Input(0, answer(sent(t, c.Start(0)), dhcpv4.MessageTypeOffer, func(m *dhcpv4.DHCPv4) {
			m.YourIPAddr = test.ip[:]
			m.UpdateOption(dhcpv4.OptSubnetMask(test.mask[:]))
			m.UpdateOption(dhcpv4.OptRouter(test.gate[:]))
		}))
		if taken := c.State() == dhcp.Requesting; taken != (test.want != "") {
			t.Errorf("%s: taken %v", test.name, taken)
		}
		if test.want == "" {
			continue
		}
		out := bind(t, newClient(), 0, func(m *dhcpv4.DHCPv4) {
			m.YourIPAddr = test.ip[:]
			m.UpdateOption(dhcpv4.OptSubnetMask(test.mask[:]))
			m.UpdateOption(dhcpv4.OptRouter(test.gate[:]))
		})
		if got := out.Lease.Prefix.String(); got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

// The first three servers of names are kept, of a list that may end in the middle of one.
func TestNameServers(t *testing.T) {
	list := []byte{192, 0, 2, 1, 192, 0, 2, 2, 192, 0, 2, 3, 192, 0, 2, 4}
	for n, want := range map[int]int{0: 0, 3: 0, 4: 1, 7: 1, 8: 2, 12: 3, 16: 3} {
		out := bind(t, newClient(), 0, func(m *dhcpv4.DHCPv4) {
			m.UpdateOption(dhcpv4.OptGeneric(dhcpv4.OptionDomainNameServer, list[:n]))
		})
		if got := out.Lease.DNS; len(got) != want || want > 0 && got[want-1] != netip.AddrFrom4([4]byte(list[4*want-4:])) {
			t.Errorf("%d bytes: %v, want %d servers", n, got, want)
		}
	}
}

// Section 4.4.5: T1 and T2 of the server are taken when 0 < T1 < T2 < lease; T2 is seven eighths of the lease where it gave none.
func TestRebindTime(t *testing.T) {
	for _, test := range []struct {
		t1, t2 uint32
		want   time.Duration
	}{
		{600, 1200, 1200 * time.Second}, {0, 0, 3150 * time.Second}, {1200, 1200, 3150 * time.Second}, {600, 3600, 3150 * time.Second}, {0, 1200, 3150 * time.Second},
		{1, 2, 2 * time.Second}, {3598, 3599, 3599 * time.Second},
	} {
		c := newClient()
		out := bind(t, c, 0, func(m *dhcpv4.DHCPv4) {
			seconds(m, dhcpv4.OptionRenewTimeValue, test.t1)
			seconds(m, dhcpv4.OptionRebindingTimeValue, test.t2)
		})
		at := out.Wake
		for c.State() != dhcp.Rebinding {
			at = out.Wake
			out = c.Tick(at)
		}
		if at != test.want {
			t.Errorf("T1 %d, T2 %d: rebinds at %v, want %v", test.t1, test.t2, at, test.want)
		}
	}
}

// Who answers: the server that was chosen in Requesting, any in Rebinding, whose lease it is from then on.
func TestServers(t *testing.T) {
	other := net.IP{192, 0, 2, 2}
	from := func(ip net.IP) func(*dhcpv4.DHCPv4) {
		return func(m *dhcpv4.DHCPv4) { m.UpdateOption(dhcpv4.OptServerIdentifier(ip)) }
	}
	unsigned := func(m *dhcpv4.DHCPv4) { m.DeleteOption(dhcpv4.OptionServerIdentifier) }

	c := newClient()
	r := sent(t, c.Input(0, answer(sent(t, c.Start(0)), dhcpv4.MessageTypeOffer, nil)))
	if out := c.Input(0, answer(r, dhcpv4.MessageTypeAck, from(other))); out.Event != dhcp.Nothing || c.State() != dhcp.Requesting || c.Counters.NotForUs != 1 {
		t.Errorf("another's ACK: %v, %v, %+v", out.Event, c.State(), c.Counters)
	}
	out := c.Input(0, answer(r, dhcpv4.MessageTypeAck, unsigned))
	if out.Event != dhcp.Got || out.Lease.Server != serverIP {
		t.Fatalf("an ACK without a server: %v from %v", out.Event, out.Lease.Server)
	}
	for c.State() != dhcp.Rebinding {
		out = c.Tick(out.Wake)
	}
	now := 55 * time.Minute
	out = c.Input(now, answer(sent(t, out), dhcpv4.MessageTypeAck, from(other)))
	if out.Event != dhcp.Renewed || out.Lease.Server.String() != "192.0.2.2" {
		t.Fatalf("another's ACK in Rebinding: %v from %v", out.Event, out.Lease.Server)
	}
	if r = sent(t, c.Tick(out.Wake)); r.dst.String() != "192.0.2.2" || c.State() != dhcp.Renewing {
		t.Errorf("renews at %v in %v", r.dst, c.State())
	}
	// One that names no server goes on with that one's.
	if out = c.Input(out.Wake, answer(r, dhcpv4.MessageTypeAck, unsigned)); out.Lease.Server.String() != "192.0.2.2" {
		t.Errorf("goes on with %v", out.Lease.Server)
	}

	c = newClient()
	r = sent(t, c.Input(0, answer(sent(t, c.Start(0)), dhcpv4.MessageTypeOffer, nil)))
	if c.Input(0, answer(r, dhcpv4.MessageTypeNak, unsigned)); c.State() != dhcp.Init {
		t.Errorf("after a NAK of nobody: %v", c.State())
	}
}

// What is no message of a server's, or comes when nobody asked, is counted and changes nothing.
func TestStrayMessages(t *testing.T) {
	c := newClient()
	discover := sent(t, c.Start(0))
	offer := answer(discover, dhcpv4.MessageTypeOffer, nil)
	junk := dhcp.BuildFrame(serverMAC, clientMAC, netip.AddrPortFrom(serverIP, dhcp.ServerPort), netip.AddrPortFrom(given, dhcp.ClientPort), []byte("no message"))
	for _, test := range []struct {
		name  string
		frame []byte
		want  dhcp.Counters
	}{
		{"no message", junk, dhcp.Counters{Discovers: 1, BadFrame: 1}},
		{"a client's message", answer(discover, dhcpv4.MessageTypeInform, nil), dhcp.Counters{Discovers: 1, BadFrame: 2}},
		{"an acknowledgement of nothing", answer(discover, dhcpv4.MessageTypeAck, nil), dhcp.Counters{Discovers: 1, BadFrame: 2, Acks: 1, BadState: 1}},
	} {
		if out := c.Input(0, test.frame); len(out.Frames) != 0 || out.Wake != time.Second || c.State() != dhcp.Selecting || c.Counters != test.want {
			t.Errorf("%s: %+v in %v, counted %+v, want %+v", test.name, out, c.State(), c.Counters, test.want)
		}
	}
	c.Input(0, offer)
	if out := c.Input(0, offer); len(out.Frames) != 0 || c.State() != dhcp.Requesting || c.Counters.Offers != 2 || c.Counters.BadState != 2 {
		t.Errorf("a second offer: %+v in %v, counted %+v", out, c.State(), c.Counters)
	}
}

// The wait before all begins anew grows with each failure in a row, and a lease ends the row.
func TestRestartsAreForgotten(t *testing.T) {
	c := newClient()
	out := c.Start(0)
	now := time.Duration(0)
	for range 3 {
		r := sent(t, c.Input(now, answer(sent(t, out), dhcpv4.MessageTypeOffer, nil)))
		out = c.Input(now, answer(r, dhcpv4.MessageTypeNak, nil))
		now = out.Wake
		out = c.Tick(now)
	}
	r := sent(t, c.Input(now, answer(sent(t, out), dhcpv4.MessageTypeOffer, nil)))
	out = c.Input(now, answer(r, dhcpv4.MessageTypeAck, nil))
	now = out.Wake
	out = c.Input(now, answer(sent(t, c.Tick(now)), dhcpv4.MessageTypeNak, nil))
	if out.Event != dhcp.Lost || out.Wake != now+time.Second {
		t.Errorf("%v, again after %v, want 1s", out.Event, out.Wake-now)
	}
	if c.Counters.Naks != 4 || c.Counters.Acks != 1 || c.Counters.Offers != 4 {
		t.Errorf("counted %+v", c.Counters)
	}
}

func TestCounters(t *testing.T) {
	one, two := dhcp.Counters{}, dhcp.Counters{}
	for i := range reflect.TypeFor[dhcp.Counters]().NumField() {
		reflect.ValueOf(&one).Elem().Field(i).SetUint(uint64(1) << i)
		reflect.ValueOf(&two).Elem().Field(i).SetUint(uint64(1) << (i + 20))
	}
	var names []string
	var values []uint64
	one.Plus(two).Each(func(name string, value uint64) { names, values = append(names, name), append(values, value) })
	want := []string{"sent.discover", "sent.request", "received.offer", "received.ack", "received.nak",
		"drop.not-for-us", "drop.bad-frame", "drop.bad-lease", "drop.bad-state", "drop.inbox-full"}
	if !slices.Equal(names, want) {
		t.Errorf("names %v, want %v", names, want)
	}
	for i, got := range values {
		if want := uint64(1)<<i | uint64(1)<<(i+20); got != want {
			t.Errorf("%s: %#x, want %#x", names[i], got, want)
		}
	}
}

// onesSum is the sum of b in ones' complement arithmetic, of an even number of bytes.
func onesSum(b []byte) uint16 {
	sum := uint32(0)
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

// Frames are taken and refused as RFC 791, 768 and 1122 have it.
func TestFrames(t *testing.T) {
	payload := []byte{1, 2, 3}
	sound := dhcp.BuildFrame(clientMAC, serverMAC, netip.AddrPortFrom(given, dhcp.ClientPort), netip.AddrPortFrom(serverIP, dhcp.ServerPort), payload)
	// sealed gives a changed frame an IP checksum that is right.
	sealed := func(change func(b []byte) []byte) []byte {
		b := change(bytes.Clone(sound))
		binary.BigEndian.PutUint16(b[24:], 0)
		binary.BigEndian.PutUint16(b[24:], ^onesSum(b[14:][:int(b[14]&15)*4]))
		return b
	}
	set := func(at int, v ...byte) func([]byte) []byte {
		return func(b []byte) []byte { copy(b[at:], v); return b }
	}
	unchecked := func(b []byte) []byte { return set(40, 0, 0)(b) }
	for _, test := range []struct {
		name  string
		frame []byte
		want  []byte // nil: refused
	}{
		{"sound", sound, payload},
		{"padded", append(bytes.Clone(sound), 9, 9), payload},
		{"no UDP checksum", sealed(unchecked), payload},
		{"IP options", sealed(func(b []byte) []byte {
			b = slices.Insert(b, 34, 1, 1, 1, 0)
			b[14] = 0x46
			binary.BigEndian.PutUint16(b[16:], uint16(len(b)-14))
			return b
		}), payload},
		{"a header of 16 bytes", sealed(set(14, 0x44)), nil},
		{"do not fragment", sealed(set(20, 0x40, 0)), payload},
		{"more fragments", sealed(set(20, 0x20, 0)), nil},
		{"a later fragment", sealed(set(20, 0, 1)), nil},
		{"the last fragment", sealed(set(20, 0x1f, 0xff)), nil},
		{"TCP", sealed(set(23, 6)), nil},
		{"IP length beyond the frame", sealed(func(b []byte) []byte { return set(16, 0, byte(len(b)-13))(unchecked(b)) }), nil},
		{"IP length without room for UDP", sealed(func(b []byte) []byte { return set(16, 0, 27)(unchecked(b)) }), nil},
		{"IP length of its header", sealed(func(b []byte) []byte { return set(16, 0, 20)(unchecked(b)) }), nil},
		{"UDP length of its header", sealed(func(b []byte) []byte { return set(38, 0, 8)(unchecked(b)) }), []byte{}},
		{"UDP length below its header", sealed(func(b []byte) []byte { return set(38, 0, 7)(unchecked(b)) }), nil},
		{"UDP length beyond the packet", sealed(func(b []byte) []byte { return set(38, 0, 12)(unchecked(b)) }), nil},
		{"UDP length within the packet", sealed(func(b []byte) []byte { return set(38, 0, 10)(unchecked(b)) }), payload[:2]},
		{"the client's port", sealed(func(b []byte) []byte { return set(36, 0, dhcp.ClientPort)(unchecked(b)) }), nil},
		{"not a byte behind the headers", sealed(func(b []byte) []byte { return set(16, 0, 28, 0, 0)(set(38, 0, 8)(unchecked(b[:42]))) }), []byte{}},
		{"shorter than the headers", sound[:41], nil},
	} {
		from, got, ok := dhcp.ParseRequest(test.frame)
		if ok != (test.want != nil) || !bytes.Equal(got, test.want) || ok && from != clientMAC {
			t.Errorf("%s: %v %v from %x, want %v", test.name, ok, got, from, test.want)
		}
	}
	// RFC 768: the checksum is of the addresses, the protocol, the datagram's length, and the datagram.
	for n := range 4 {
		b := dhcp.BuildFrame(clientMAC, serverMAC, netip.AddrPortFrom(given, 68), netip.AddrPortFrom(serverIP, 67), payload[:n])
		pseudo := append(bytes.Clone(b[26:34]), 0, 17, 0, byte(8+n))
		if got := onesSum(append(append(pseudo, b[34:]...), make([]byte, n%2)...)); got != 0xffff || onesSum(b[14:34]) != 0xffff {
			t.Errorf("%d bytes: the checksums leave %#x and %#x, want all ones", n, got, onesSum(b[14:34]))
		}
	}
	// RFC 768: a checksum that comes out as zero is sent as all ones, for zero says that there is none.
	ones := 0
	for v := range 1 << 16 {
		b := dhcp.BuildFrame(clientMAC, serverMAC, netip.AddrPortFrom(given, 68), netip.AddrPortFrom(serverIP, 67), []byte{byte(v >> 8), byte(v)})
		switch binary.BigEndian.Uint16(b[40:]) {
		case 0:
			t.Fatalf("payload %#x goes without a checksum", v)
		case 0xffff:
			ones++
		}
	}
	if ones != 1 {
		t.Errorf("%d payloads have the checksum of all ones, want 1", ones)
	}
}
