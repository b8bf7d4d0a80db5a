package guard

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"
)

var (
	ourMAC   = [6]byte{2, 0, 0, 0, 0, 1}
	peerMAC  = [6]byte{2, 0, 0, 0, 0, 2}
	otherMAC = [6]byte{2, 0, 0, 0, 0, 3}
	everyone = [6]byte{255, 255, 255, 255, 255, 255}
	group    = [6]byte{1, 0, 0x5e, 0, 0, 1}
)

const (
	ourIP   = "10.0.2.15"
	peerIP  = "10.0.2.2"
	otherIP = "10.0.2.3"
)

// table is an ARP table of the tests.
type table map[string]neighbourEntry

type neighbourEntry struct {
	state State
	mac   [6]byte
}

func (t table) Lookup(ip [4]byte) (State, [6]byte) {
	e := t[netip.AddrFrom4(ip).String()]
	return e.state, e.mac
}

func newGuard(t table) *Guard {
	g := New(ourMAC, t)
	g.SetAddress([4]byte{10, 0, 2, 15}, 24)
	return g
}

func ethernet(dst, src [6]byte, kind uint16, body []byte) []byte {
	b := append(append(append([]byte(nil), dst[:]...), src[:]...), byte(kind>>8), byte(kind))
	return append(b, body...)
}

// ip returns an IPv4 packet without a checksum, which is not the guard's to check.
func ip(src, dst string, protocol byte, body ...byte) []byte {
	b := make([]byte, 20, 20+len(body))
	b[0], b[8], b[9] = 0x45, 64, protocol
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(body)))
	copy(b[12:], netip.MustParseAddr(src).AsSlice())
	copy(b[16:], netip.MustParseAddr(dst).AsSlice())
	return append(b, body...)
}

func arpPacket(op uint16, senderMAC [6]byte, sender string, targetMAC [6]byte, target string) []byte {
	b := []byte{0, 1, 8, 0, 6, 4, byte(op >> 8), byte(op)}
	b = append(append(b, senderMAC[:]...), netip.MustParseAddr(sender).AsSlice()...)
	return append(append(b, targetMAC[:]...), netip.MustParseAddr(target).AsSlice()...)
}

var (
	echo      = []byte{8, 0, 0, 0, 0, 1, 0, 1}
	echoReply = []byte{0, 0, 0, 0, 0, 1, 0, 1}
	udpTo7    = []byte{4, 0, 0, 7, 0, 8, 0, 0}
	udpTo68   = []byte{0, 67, 0, 68, 0, 8, 0, 0}
)

// edit returns b with v at at.
func edit(b []byte, at int, v ...byte) []byte {
	b = bytes.Clone(b)
	copy(b[at:], v)
	return b
}

func TestInspectIP(t *testing.T) {
	sound := ip(peerIP, ourIP, protoUDP, udpTo7...)
	tests := []struct {
		name   string
		frame  []byte
		want   Verdict
		reason Reason
	}{
		{"sound", ethernet(ourMAC, peerMAC, typeIP4, sound), Pass, None},
		{"broadcast", ethernet(everyone, peerMAC, typeIP4, ip(peerIP, "10.0.2.255", protoUDP, udpTo7...)), Pass, None},
		{"group", ethernet(group, peerMAC, typeIP4, ip(peerIP, "224.0.0.1", protoUDP, udpTo7...)), Pass, None},
		{"padding", ethernet(ourMAC, peerMAC, typeIP4, append(bytes.Clone(sound), make([]byte, 20)...)), Pass, None},
		{"empty", nil, Drop, Short},
		{"half a header", make([]byte, 13), Drop, Short},
		{"header alone", ethernet(ourMAC, peerMAC, typeIP4, nil), Drop, IPMalformed},
		{"another host", ethernet(otherMAC, peerMAC, typeIP4, sound), Drop, OtherHost},
		{"from a group", ethernet(ourMAC, group, typeIP4, sound), Drop, BadSource},
		{"from ourselves", ethernet(ourMAC, ourMAC, typeIP4, sound), Drop, BadSource},
		{"IPv6", ethernet(ourMAC, peerMAC, 0x86dd, make([]byte, 40)), Drop, EtherType},
		{"length field", ethernet(ourMAC, peerMAC, 46, make([]byte, 46)), Drop, EtherType},
		{"version 6", ethernet(ourMAC, peerMAC, typeIP4, edit(sound, 0, 0x65)), Drop, IPMalformed},
		{"header of 16", ethernet(ourMAC, peerMAC, typeIP4, edit(sound, 0, 0x44)), Drop, IPMalformed},
		{"header beyond packet", ethernet(ourMAC, peerMAC, typeIP4, edit(sound, 0, 0x4f)), Drop, IPMalformed},
		{"packet beyond frame", ethernet(ourMAC, peerMAC, typeIP4, edit(sound, 2, 1, 0)), Drop, IPMalformed},
		{"packet below header", ethernet(ourMAC, peerMAC, typeIP4, edit(sound, 2, 0, 19)), Drop, IPMalformed},
		{"from loopback", ethernet(ourMAC, peerMAC, typeIP4, ip("127.0.0.1", ourIP, protoUDP, udpTo7...)), Drop, Martian},
		{"to loopback", ethernet(ourMAC, peerMAC, typeIP4, ip(peerIP, "127.0.0.1", protoUDP, udpTo7...)), Drop, Martian},
		{"to 127.255.255.255", ethernet(everyone, peerMAC, typeIP4, ip(peerIP, "127.255.255.255", protoUDP, udpTo7...)), Drop, Martian},
		{"from a multicast address", ethernet(ourMAC, peerMAC, typeIP4, ip("224.0.0.1", ourIP, protoUDP, udpTo7...)), Drop, Martian},
		{"from class E", ethernet(ourMAC, peerMAC, typeIP4, ip("240.0.0.1", ourIP, protoUDP, udpTo7...)), Drop, Martian},
		{"from broadcast", ethernet(ourMAC, peerMAC, typeIP4, ip("255.255.255.255", ourIP, protoUDP, udpTo7...)), Drop, Martian},
		{"from nobody", ethernet(ourMAC, peerMAC, typeIP4, ip("0.0.0.0", ourIP, protoUDP, udpTo7...)), Drop, Martian},
		{"from our address", ethernet(ourMAC, peerMAC, typeIP4, ip(ourIP, ourIP, protoUDP, udpTo7...)), Drop, Martian},
		{"from the subnet's broadcast", ethernet(ourMAC, peerMAC, typeIP4, ip("10.0.2.255", ourIP, protoUDP, udpTo7...)), Drop, Martian},
		{"to port 68", ethernet(ourMAC, peerMAC, typeIP4, ip(peerIP, ourIP, protoUDP, udpTo68...)), DHCP, None},
		{"to port 68, from nobody", ethernet(everyone, peerMAC, typeIP4, ip("0.0.0.0", "255.255.255.255", protoUDP, udpTo68...)), DHCP, None},
		{"to port 68, later fragment", ethernet(ourMAC, peerMAC, typeIP4, edit(ip(peerIP, ourIP, protoUDP, udpTo68...), 6, 0, 1)), Pass, None},
		{"half a UDP header", ethernet(ourMAC, peerMAC, typeIP4, ip(peerIP, ourIP, protoUDP, 0, 67, 0, 68)), Pass, None},
		{"echo", ethernet(ourMAC, peerMAC, typeIP4, ip(peerIP, ourIP, protoICMP, echo...)), Pass, None},
		{"echo reply", ethernet(ourMAC, peerMAC, typeIP4, ip(peerIP, ourIP, protoICMP, echoReply...)), Pass, None},
		{"echo to all", ethernet(everyone, peerMAC, typeIP4, ip(peerIP, "10.0.2.255", protoICMP, echo...)), Drop, BroadcastEcho},
		{"empty ICMP", ethernet(ourMAC, peerMAC, typeIP4, ip(peerIP, ourIP, protoICMP)), Pass, None},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			g := newGuard(nil)
			g.SetDHCP(true)
			got := g.Inspect(0, test.frame)
			if got.Verdict != test.want || got.Reason != test.reason || got.Asked {
				t.Errorf("got %v %q, want %v %q", got.Verdict, got.Reason, test.want, test.reason)
			}
			if test.reason != None && g.Count(test.reason) != 1 {
				t.Error("not counted")
			}
		})
	}
}

func TestWithoutDHCPClient(t *testing.T) {
	g := newGuard(nil)
	if got := g.Inspect(0, ethernet(ourMAC, peerMAC, typeIP4, ip(peerIP, ourIP, protoUDP, udpTo68...))); got.Verdict != Pass {
		t.Errorf("got %v", got.Verdict)
	}
}

func TestInspectARP(t *testing.T) {
	const request, reply = 1, 2
	nobody := [6]byte{}
	incomplete := table{peerIP: {Incomplete, nobody}}
	stale := table{peerIP: {Stale, otherMAC}}
	live := table{peerIP: {Live, peerMAC}}
	moved := table{peerIP: {Live, otherMAC}}
	whoHas := arpPacket(request, peerMAC, peerIP, nobody, ourIP)
	isAt := arpPacket(reply, peerMAC, peerIP, ourMAC, ourIP)
	tests := []struct {
		name   string
		table  table
		packet []byte
		want   Verdict
		reason Reason
		asked  bool
	}{
		{"request of a stranger", nil, whoHas, Pass, None, true},
		{"request of a neighbour", live, whoHas, Pass, None, true},
		{"request of one being resolved", incomplete, whoHas, Pass, None, true},
		{"request of one long not heard of, moved", stale, whoHas, Pass, None, true},
		{"request that moves a live entry", moved, whoHas, Answer, ARPConflict, true},
		{"probe", nil, arpPacket(request, peerMAC, "0.0.0.0", nobody, ourIP), Answer, None, true},
		{"request from another network", nil, arpPacket(request, peerMAC, "192.0.2.1", nobody, ourIP), Answer, None, true},
		{"request of the broadcast address", nil, arpPacket(request, peerMAC, "10.0.2.255", nobody, ourIP), Answer, None, true},
		{"request for another", nil, arpPacket(request, peerMAC, peerIP, nobody, otherIP), Drop, ARPNotForUs, false},
		{"gratuitous request", live, arpPacket(request, otherMAC, peerIP, nobody, peerIP), Drop, ARPNotForUs, false},
		{"reply that was asked for", incomplete, isAt, Pass, None, false},
		{"reply that confirms", live, isAt, Pass, None, false},
		{"reply out of the blue", nil, isAt, Drop, ARPUnsolicited, false},
		{"reply for a stale entry", stale, isAt, Drop, ARPUnsolicited, false},
		{"reply that moves a live entry", moved, isAt, Drop, ARPConflict, false},
		{"reply that claims our address", incomplete, arpPacket(reply, peerMAC, ourIP, ourMAC, peerIP), Drop, ARPAddressConflict, false},
		{"request that claims our address", nil, arpPacket(request, peerMAC, ourIP, nobody, ourIP), Drop, ARPAddressConflict, false},
		{"sender is a group", incomplete, arpPacket(reply, group, peerIP, ourMAC, ourIP), Drop, ARPMalformed, false},
		{"sender is nobody", incomplete, arpPacket(reply, nobody, peerIP, ourMAC, ourIP), Drop, ARPMalformed, false},
		{"sender is us", incomplete, arpPacket(reply, ourMAC, peerIP, ourMAC, ourIP), Drop, ARPMalformed, false},
		{"operation 3", nil, arpPacket(3, peerMAC, peerIP, nobody, ourIP), Drop, ARPMalformed, false},
		{"token ring", nil, edit(whoHas, 0, 0, 6), Drop, ARPMalformed, false},
		{"IPv6", nil, edit(whoHas, 2, 0x86, 0xdd), Drop, ARPMalformed, false},
		{"long addresses", nil, edit(whoHas, 4, 16), Drop, ARPMalformed, false},
		{"truncated", nil, whoHas[:27], Drop, ARPMalformed, false},
		{"padded", nil, append(bytes.Clone(whoHas), make([]byte, 18)...), Pass, None, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			g := newGuard(test.table)
			got := g.Inspect(0, ethernet(everyone, peerMAC, typeARP, test.packet))
			if got.Verdict != test.want || got.Reason != test.reason || got.Asked != test.asked {
				t.Fatalf("got %v %q asked %v", got.Verdict, got.Reason, got.Asked)
			}
			if test.reason != None && g.Count(test.reason) != 1 {
				t.Error("not counted")
			}
			if got.Verdict != Answer {
				return
			}
			sender := netip.AddrFrom4([4]byte(test.packet[14:])).String()
			want := ethernet(peerMAC, ourMAC, typeARP, arpPacket(reply, ourMAC, ourIP, peerMAC, sender))
			if !bytes.Equal(got.Reply[:], want) {
				t.Errorf("reply\n got %x\nwant %x", got.Reply, want)
			}
		})
	}
	t.Run("without an address", func(t *testing.T) {
		g := New(ourMAC, table(nil))
		if got := g.Inspect(0, ethernet(everyone, peerMAC, typeARP, whoHas)); got.Verdict != Drop || got.Asked {
			t.Errorf("got %v", got.Verdict)
		}
	})
}

// checked gives an IPv4 packet the checksums that it needs, of the header and of an ICMP body.
func checked(packet []byte) []byte {
	b := bytes.Clone(packet)
	if b[9] == protoICMP {
		binary.BigEndian.PutUint16(b[22:], 0)
		binary.BigEndian.PutUint16(b[22:], ^slowSum(b[20:]))
	}
	binary.BigEndian.PutUint16(b[10:], 0)
	binary.BigEndian.PutUint16(b[10:], ^slowSum(b[:20]))
	return b
}

// slowSum is RFC 1071 to the letter.
func slowSum(b []byte) uint16 {
	total := uint32(0)
	for i, v := range b {
		total += uint32(v) << (8 * (1 - i%2))
	}
	for total > 0xffff {
		total = total>>16 + total&0xffff
	}
	return uint16(total)
}

func TestEcho(t *testing.T) {
	for _, size := range []int{0, 1, 56, 1472} {
		body := append([]byte{8, 0, 0, 0, 0x12, 0x34, 0, 7}, bytes.Repeat([]byte{0xfe}, size)...)
		packet := checked(ip(peerIP, ourIP, protoICMP, body...))
		frame := append(ethernet(ourMAC, peerMAC, typeIP4, packet), make([]byte, 10)...) // padded
		g := newGuard(nil)
		if got := g.Inspect(0, frame); got.Verdict != Echo {
			t.Fatalf("size %d: %v", size, got.Verdict)
		}
		reply := make([]byte, 2000)
		reply = reply[:EchoReply(reply, frame)]
		want := ip(ourIP, peerIP, protoICMP, append([]byte{0}, body[1:]...)...)
		want[6] = 0x40
		if !bytes.Equal(reply, ethernet(peerMAC, ourMAC, typeIP4, checked(want))) {
			t.Errorf("size %d:\n got %x\nwant %x", size, reply[:42], checked(want)[:28])
		}
	}
}

// TestEchoWhileTheFrameChanges: whatever another process makes of the frame meanwhile, nothing is touched beyond it.
func TestEchoWhileTheFrameChanges(t *testing.T) {
	frame := ethernet(ourMAC, peerMAC, typeIP4, checked(ip(peerIP, ourIP, protoICMP, echo...)))
	for _, length := range [][]byte{{0, 0}, {0, 20}, {0xff, 0xff}} {
		changed := edit(frame, 16, length...)
		if n := EchoReply(make([]byte, len(frame)), changed); n < 42 || n > len(frame) {
			t.Errorf("length %x: reply of %d bytes", length, n)
		}
	}
}

// TestEchoForTheStack: whatever is out of the ordinary is not answered here.
func TestEchoForTheStack(t *testing.T) {
	good := checked(ip(peerIP, ourIP, protoICMP, echo...))
	withOption := append(edit(good[:20:20], 0, 0x46), 1, 1, 1, 0)
	withOption = append(withOption, good[20:]...)
	binary.BigEndian.PutUint16(withOption[2:], uint16(len(withOption)))
	for name, packet := range map[string][]byte{
		"IP checksum":    edit(good, 10, 1, 2),
		"ICMP checksum":  edit(good, 22, 1, 2),
		"more fragments": checked(edit(good, 6, 0x20, 0)),
		"other address":  checked(edit(good, 19, 16)),
		"no time left":   checked(edit(good, 8, 0)),
		"short":          checked(ip(peerIP, ourIP, protoICMP, echo[:7]...)),
		"option":         withOption,
	} {
		g := newGuard(nil)
		if got := g.Inspect(0, ethernet(ourMAC, peerMAC, typeIP4, packet)); got.Verdict != Pass {
			t.Errorf("%s: %v", name, got.Verdict)
		}
	}
	g := New(ourMAC, table(nil)) // without an address
	if got := g.Inspect(0, ethernet(ourMAC, peerMAC, typeIP4, good)); got.Verdict != Pass {
		t.Errorf("without an address: %v", got.Verdict)
	}
}

func FuzzSum(f *testing.F) {
	f.Add([]byte{}, uint8(0))
	f.Add(bytes.Repeat([]byte{0xff}, 1500), uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, _ uint8) {
		if len(b) > 4000 {
			return
		}
		if got, want := sum(b), slowSum(b); got != want {
			t.Errorf("%x: got %#x, want %#x", b, got, want)
		}
	})
}

func TestAnnouncement(t *testing.T) {
	got := Announcement(ourMAC, [4]byte{10, 0, 2, 15})
	want := ethernet(everyone, ourMAC, typeARP, arpPacket(1, ourMAC, ourIP, [6]byte{}, ourIP))
	if !bytes.Equal(got[:], want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
}

// TestEchoRate: a burst, then the sustained rate, whatever the clock does in between.
func TestEchoRate(t *testing.T) {
	g := newGuard(nil)
	frame := ethernet(ourMAC, peerMAC, typeIP4, ip(peerIP, ourIP, protoICMP, echo...))
	passed := func(now time.Duration, n int) (passed int) {
		for range n {
			if g.Inspect(now, frame).Verdict == Pass {
				passed++
			}
		}
		return passed
	}
	if got := passed(time.Second, 2*echoBurst); got != echoBurst {
		t.Errorf("burst of %d, want %d", got, echoBurst)
	}
	if g.Count(EchoRate) != echoBurst {
		t.Errorf("%d counted", g.Count(EchoRate))
	}
	total := 0
	for ms := range 1000 { // a second of flood
		total += passed(time.Second+time.Duration(ms+1)*time.Millisecond, 100)
	}
	if total != echoRate {
		t.Errorf("%d in a second, want %d", total, echoRate)
	}
	if got := passed(time.Second, 10); got != 0 { // the clock stands still
		t.Errorf("%d without time passing", got)
	}
	if got := passed(1000*time.Hour, 2*echoBurst); got != echoBurst {
		t.Errorf("burst of %d after a long time, want %d", got, echoBurst)
	}
}

func TestReasonsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	New(ourMAC, table(nil)).Each(func(name string, _ uint64) {
		if name == "" || seen[name] {
			t.Errorf("reason %q", name)
		}
		seen[name] = true
	})
	if len(seen) != int(reasons)-1 {
		t.Errorf("%d names", len(seen))
	}
}

func TestNoAllocation(t *testing.T) {
	g := newGuard(table{peerIP: {Live, otherMAC}})
	frames := [][]byte{
		ethernet(ourMAC, peerMAC, typeIP4, ip(peerIP, ourIP, protoUDP, udpTo7...)),
		ethernet(everyone, peerMAC, typeARP, arpPacket(1, peerMAC, otherIP, [6]byte{}, ourIP)),
	}
	g.neighbours = constant{}
	if n := testing.AllocsPerRun(100, func() {
		for _, f := range frames {
			g.Inspect(0, f)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

type constant struct{}

func (constant) Lookup([4]byte) (State, [6]byte) { return Live, otherMAC }

func FuzzInspect(f *testing.F) {
	f.Add(ethernet(ourMAC, peerMAC, typeIP4, ip(peerIP, ourIP, protoUDP, udpTo68...)))
	f.Add(ethernet(ourMAC, peerMAC, typeIP4, ip(peerIP, ourIP, protoICMP, echo...)))
	f.Add(ethernet(ourMAC, peerMAC, typeIP4, checked(ip(peerIP, ourIP, protoICMP, echo...))))
	f.Add(ethernet(everyone, peerMAC, typeARP, arpPacket(1, peerMAC, peerIP, [6]byte{}, ourIP)))
	f.Add(ethernet(ourMAC, peerMAC, typeARP, arpPacket(2, peerMAC, peerIP, ourMAC, ourIP)))
	f.Fuzz(func(t *testing.T, frame []byte) {
		g := newGuard(table{peerIP: {Live, peerMAC}, otherIP: {Incomplete, [6]byte{}}})
		g.SetDHCP(true)
		before := bytes.Clone(frame)
		got := g.Inspect(0, frame)
		if !bytes.Equal(before, frame) {
			t.Fatal("the frame was changed")
		}
		if got.Verdict == Echo {
			reply := make([]byte, len(frame))
			n := EchoReply(reply, frame)
			if n > len(frame) || slowSum(reply[14:34]) != 0xffff || slowSum(reply[34:n]) != 0xffff {
				t.Fatalf("reply %x to %x", reply[:n], frame)
			}
		}
		if got.Verdict != Pass {
			return
		}
		if len(frame) < 14 || frame[6]&1 != 0 {
			t.Fatalf("passed %x", frame)
		}
		if binary.BigEndian.Uint16(frame[12:]) == typeIP4 && (frame[26] == 127 || frame[30] == 127) {
			t.Fatalf("passed a martian %x", frame)
		}
	})
}

func BenchmarkInspect(b *testing.B) {
	g := newGuard(nil)
	frame := ethernet(ourMAC, peerMAC, typeIP4, ip(peerIP, ourIP, protoUDP, udpTo7...))
	b.ReportAllocs()
	for b.Loop() {
		g.Inspect(0, frame)
	}
}
