package frame

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

func TestDescribe(t *testing.T) {
	discover, err := dhcpv4.NewDiscovery(Guest.MAC)
	if err != nil {
		t.Fatal(err)
	}
	payload := []byte("payload of an echo, longer than the padding")
	for _, tc := range []struct {
		name             string
		raw              []byte
		kind             Kind
		src, dst         netip.Addr
		sport, dport     uint16
		fromGuest, exact bool // exact: the payload is the one given
	}{
		{"arp", ARPRequest(Host, Guest.IP), ARPRequestKind, Host.IP, Guest.IP, 0, 0, false, false},
		{"ping", Ping(Guest, Host, 7, 9, payload), PingKind, Guest.IP, Host.IP, 0, 0, true, true},
		{"udp", UDP(Guest, Host, 1024, 7, payload), UDPKind, Guest.IP, Host.IP, 1024, 7, true, true},
		{"dhcp", UDP(Guest, Host, 68, 67, discover.ToBytes()), "dhcp.discover", Guest.IP, Host.IP, 68, 67, true, false},
		{"dhcp port, other words", UDP(Guest, Host, 68, 67, payload), UDPKind, Guest.IP, Host.IP, 68, 67, true, true},
	} {
		s := Describe(tc.raw)
		if s.Kind != tc.kind || s.SrcIP != tc.src || s.DstIP != tc.dst || s.SrcPort != tc.sport || s.DstPort != tc.dport ||
			s.FromGuest() != tc.fromGuest || s.Len != len(tc.raw) {
			t.Errorf("%s: got %+v", tc.name, s)
		}
		if tc.exact && !bytes.Equal(s.Payload, payload) {
			t.Errorf("%s: payload %q", tc.name, s.Payload)
		}
	}
}

// Every bit of an IP packet is covered by a checksum or a check: a frame with
// one bit wrong is another frame.
func TestOneBitWrong(t *testing.T) {
	payload := []byte("payload of an echo, longer than the padding")
	for _, raw := range [][]byte{UDP(Guest, Host, 1024, 7, payload), Ping(Guest, Host, 7, 9, payload)} {
		for bit := 14 * 8; bit < len(raw)*8; bit++ {
			bad := bytes.Clone(raw)
			bad[bit/8] ^= 1 << (bit % 8)
			if kind := Describe(bad).Kind; kind != OtherKind {
				t.Errorf("byte %d bit %d: still %s", bit/8, bit%8, kind)
			}
		}
	}
}

// FuzzDescribe: no frame makes the reader panic.
func FuzzDescribe(f *testing.F) {
	f.Add(ARPRequest(Host, Guest.IP))
	f.Add(Ping(Guest, Host, 7, 9, []byte("x")))
	f.Add(UDP(Guest, Host, 68, 67, make([]byte, 240)))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		if s := Describe(raw); s.Len != len(raw) || s.Kind == "" {
			t.Errorf("got %+v", s)
		}
	})
}

func TestWatchers(t *testing.T) {
	var w Watchers
	var seen string
	see := func(name string) func([]byte) { return func(f []byte) { seen += name + string(f) + " " } }
	stopA := w.Watch(see("a"))
	w.Watch(see("b"))
	var stopC func()
	stopC = w.Watch(func(f []byte) {
		seen += "c" + string(f) + " "
		stopC()              // from within
		w.Watch(see("late")) // too
	})
	w.Deliver([]byte("1"))
	stopA()
	stopA() // twice does no harm
	w.Deliver([]byte("2"))
	if want := "a1 b1 c1 b2 late2 "; seen != want {
		t.Errorf("seen %q, want %q", seen, want)
	}
}
