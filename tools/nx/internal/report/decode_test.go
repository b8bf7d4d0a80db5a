package report

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/insomniacslk/dhcp/dhcpv4"

	"nexus/tools/nx/internal/frame"
)

// offer is a DHCPOFFER of 10.0.2.15.
func offer(t testing.TB) []byte {
	t.Helper()
	discover, err := dhcpv4.NewDiscovery(frame.Guest.MAC)
	if err != nil {
		t.Fatal(err)
	}
	m, err := dhcpv4.NewReplyFromRequest(discover, dhcpv4.WithMessageType(dhcpv4.MessageTypeOffer),
		dhcpv4.WithYourIP(frame.Guest.IP.AsSlice()), dhcpv4.WithServerIP(frame.Host.IP.AsSlice()), dhcpv4.WithLeaseTime(3600))
	if err != nil {
		t.Fatal(err)
	}
	to := frame.Station{MAC: frame.Broadcast, IP: netip.AddrFrom4([4]byte{255, 255, 255, 255})}
	return frame.UDP(frame.Host, to, 67, 68, m.ToBytes())
}

func ipv6(t testing.TB) []byte {
	t.Helper()
	buf := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true},
		&layers.Ethernet{SrcMAC: frame.Host.MAC, DstMAC: frame.Guest.MAC, EthernetType: layers.EthernetTypeIPv6},
		&layers.IPv6{Version: 6, NextHeader: layers.IPProtocolNoNextHeader, SrcIP: netip.MustParseAddr("fe80::1").AsSlice(), DstIP: netip.MustParseAddr("ff02::2").AsSlice()})
	if err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// spoiled is raw with its last byte changed.
func spoiled(raw []byte) []byte {
	raw[len(raw)-1] ^= 1
	return raw
}

func TestDecode(t *testing.T) {
	guest, host := frame.Guest, frame.Host
	tests := []struct {
		name, kind, summary string
		raw                 []byte
		layers              string
	}{
		{"nothing", "Ethernet", "0 bytes that are no Ethernet frame", nil, ""},
		{"an unknown type", "Ethernet", "type 0x88b5 02:00:00:00:00:01 → 02:00:00:00:00:02",
			append(append([]byte{2, 0, 0, 0, 0, 2}, guest.MAC...), 0x88, 0xb5, 1, 2), "Ethernet, not understood"},
		{"a question", "ARP", "who has 10.0.2.15 tell 10.0.2.2", frame.ARPRequest(host, guest.IP), "Ethernet, ARP, Padding"},
		{"an announcement", "ARP", "10.0.2.15 announces itself at 02:00:00:00:00:01", frame.ARPRequest(guest, guest.IP), "Ethernet, ARP, Padding"},
		{"a ping", "ICMP", "echo request 10.0.2.2 → 10.0.2.15 id 7 seq 8 len 4", frame.Ping(host, guest, 7, 8, []byte("ping")), "Ethernet, IPv4, ICMPv4, Payload"},
		{"a datagram", "UDP", "10.0.2.15:49152 → 10.0.2.2:7 len 256", frame.UDP(guest, host, 49152, 7, make([]byte, 256)), "Ethernet, IPv4, UDP, Payload"},
		{"a wrong checksum", "UDP", "10.0.2.15:49152 → 10.0.2.2:7 len 64, wrong checksum", spoiled(frame.UDP(guest, host, 49152, 7, make([]byte, 64))), "Ethernet, IPv4, UDP, Payload"},
		{"an offer", "DHCP", "Offer 10.0.2.15", offer(t), "Ethernet, IPv4, UDP, DHCP"},
		{"no DHCP on its port", "UDP", "10.0.2.2:67 → 10.0.2.15:68 len 1", frame.UDP(host, guest, 67, 68, []byte{1}), "Ethernet, IPv4, UDP, not understood"},
		{"a SYN", "TCP", "10.0.2.15:50000 → 10.0.2.2:8080 [SYN] seq 0", segment(guest, host, 50000, 8080, 77, true, ""), "Ethernet, IPv4, TCP"},
		{"a request", "HTTP", "GET /hello, 10.0.2.15:50000 → 10.0.2.2:8080 len 23", segment(guest, host, 50000, 8080, 78, false, "GET /hello HTTP/1.1\r\n\r\n"), "Ethernet, IPv4, TCP, Payload"},
		{"an answer", "HTTP", "200 OK, 10.0.2.2:8080 → 10.0.2.15:50000 len 19", segment(host, guest, 8080, 50000, 9, false, "HTTP/1.1 200 OK\r\n\r\n"), "Ethernet, IPv4, TCP, Payload"},
		{"data", "TCP", "10.0.2.15:50000 → 10.0.2.2:8080 [ACK] seq 24 ack 4294967287 len 3", segment(guest, host, 50000, 8080, 101, false, "abc"), "Ethernet, IPv4, TCP, Payload"},
		{"IPv6", "IPv6", "fe80::1 → ff02::2 NoNextHeader", ipv6(t), "Ethernet, IPv6, not understood"},
	}
	d := decoder{first: map[half]uint32{}}
	for _, tc := range tests {
		p := d.decode(tc.raw)
		var names []string
		for _, l := range p.Layers {
			names = append(names, l.Name)
		}
		if p.Kind != tc.kind || p.Summary != tc.summary || strings.Join(names, ", ") != tc.layers {
			t.Errorf("%s: got %q %q, layers %q\nwant %q %q, layers %q", tc.name, p.Kind, p.Summary, names, tc.kind, tc.summary, tc.layers)
		}
	}
}

// A frame that wraps layer in layer is told of in bounded length.
func TestManyLayers(t *testing.T) {
	raw := append(append([]byte(nil), frame.Guest.MAC...), frame.Host.MAC...)
	for range 300 {
		raw = append(raw, 0x81, 0x00, 0, 1)
	}
	d := decoder{first: map[half]uint32{}}
	if n := len(d.decode(append(raw, 0x88, 0xb5)).Layers); n != maxLayers+1 {
		t.Errorf("%d layers are told of, want %d and a word of the rest", n, maxLayers)
	}
}

func TestFold(t *testing.T) {
	rows := func(flows ...string) []*row {
		var list []*row
		for i, f := range flows {
			list = append(list, &row{packet: packet{flow: f, bulk: f != "!"}, Number: i + 1, At: "0"})
		}
		return list
	}
	a := strings.Split(strings.Repeat("a ", minRun), " ")[:minRun]
	for name, tc := range map[string]struct {
		rows []*row
		want string
	}{
		"nothing":         {nil, ""},
		"too few":         {rows(a[1:]...), strings.Repeat("f", minRun-1)},
		"enough":          {rows(a...), "r"},
		"two conversants": {rows(append([]string{"b"}, a...)...), "fr"},
		"openings":        {rows(strings.Split(strings.Repeat("! ", minRun), " ")[:minRun]...), strings.Repeat("f", minRun)},
	} {
		got := ""
		for _, it := range fold(tc.rows) {
			switch {
			case it.Row != nil:
				got += "f"
			case it.Run != nil:
				got += "r"
			}
		}
		if got != tc.want {
			t.Errorf("%s: got %q, want %q", name, got, tc.want)
		}
	}
}

// FuzzDecode: no frame makes the decoder panic, and each gets a kind.
func FuzzDecode(f *testing.F) {
	f.Add(offer(f))
	f.Add(ipv6(f))
	f.Add(segment(frame.Guest, frame.Host, 1, 8080, 1, false, "GET / HTTP/1.1\r\n\r\n"))
	for _, fr := range recorded(f).Frames {
		f.Add(fr.Raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		d := decoder{first: map[half]uint32{}}
		if p := d.decode(raw); p.Kind == "" || p.Summary == "" || len(p.Layers) > maxLayers+1 {
			t.Errorf("got %q %q with %d layers", p.Kind, p.Summary, len(p.Layers))
		}
	})
}
