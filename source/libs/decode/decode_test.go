package decode

import (
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// Ethernet headers: host to guest, host to all.
const (
	toGuest = "020000000001 020000000002 "
	toAll   = "ffffffffffff 020000000002 "

	between   = "02:00:00:00:00:02 > 02:00:00:00:00:01, "
	broadcast = "02:00:00:00:00:02 > ff:ff:ff:ff:ff:ff, "
)

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// frames are of every kind, whole and broken, with what is said of them.
var frames = []struct{ frame, want string }{
	{"", "[|ether], length 0"},
	{"0200", "[|ether], length 2"},
	{toGuest + "0026", between + "802.3, length 14: LLC"},
	{toGuest + "86dd 60", between + "ethertype IPv6 (0x86dd), length 15: IPv6"},
	{toGuest + "8100 0001", between + "ethertype 802.1Q (0x8100), length 16: VLAN"},
	{toGuest + "88cc", between + "ethertype Unknown (0x88cc), length 14: Unknown"},
	// ARP: hardware 1, protocol 0800, sizes 6 and 4, operation, sender, target
	{toAll + "0806 0001 0800 06 04 0001 020000000002 0a000202 000000000000 0a00020f",
		broadcast + "ethertype ARP (0x0806), length 42: Request who-has 10.0.2.15 tell 10.0.2.2"},
	{toGuest + "0806 0001 0800 06 04 0002 020000000002 0a000202 020000000001 0a00020f",
		between + "ethertype ARP (0x0806), length 42: Reply 10.0.2.2 is-at 02:00:00:00:00:02"},
	{toAll + "0806 0001 0800 06 04 0001 020000000002 0a000202 000000000000 0a000202",
		broadcast + "ethertype ARP (0x0806), length 42: Announcement 10.0.2.2"},
	{toAll + "0806 0001 0800 06 04 0009 020000000002 0a000202 000000000000 0a000202",
		broadcast + "ethertype ARP (0x0806), length 42: ARP operation 9"},
	{toAll + "0806 0006 0800 06 04 0001 020000000002 0a000202 000000000000 0a00020f",
		broadcast + "ethertype ARP (0x0806), length 42: ARP of other than IPv4 over Ethernet"},
	{toAll + "0806 0001 0800 06 04", broadcast + "ethertype ARP (0x0806), length 20: [|arp]"},
	// IPv4: version and header length, service, length, id, fragment, ttl, protocol, checksum, addresses
	{toGuest + "0800 45 00 001c 0000 0000 40 01 0000 0a000202 0a00020f 08 00 0000 0001 0002",
		between + "ethertype IPv4 (0x0800), length 42: 10.0.2.2 > 10.0.2.15: ICMP echo request, id 1, seq 2, length 8"},
	{toGuest + "0800 45 00 001c 0000 0000 40 01 0000 0a000202 0a00020f 00 00 0000 0001 0002",
		between + "ethertype IPv4 (0x0800), length 42: 10.0.2.2 > 10.0.2.15: ICMP echo reply, id 1, seq 2, length 8"},
	{toGuest + "0800 45 00 001c 0000 0000 40 01 0000 0a000202 0a00020f 03 03 0000 00000000",
		between + "ethertype IPv4 (0x0800), length 42: 10.0.2.2 > 10.0.2.15: ICMP port unreachable, length 8"},
	{toGuest + "0800 45 00 001b 0000 0000 40 01 0000 0a000202 0a00020f 08 00 0000 0001 00",
		between + "ethertype IPv4 (0x0800), length 41: 10.0.2.2 > 10.0.2.15: [|icmp]"},
	{toGuest + "0800 45 00 0020 0000 0000 40 11 0000 0a000202 0a00020f 0007 c000 000c 0000 70696e67 0000",
		between + "ethertype IPv4 (0x0800), length 48: 10.0.2.2.7 > 10.0.2.15.49152: UDP, length 4"},
	{toGuest + "0800 45 00 001c 0000 0000 40 11 0000 0a000202 0a00020f 0043 0044 0008 0000",
		between + "ethertype IPv4 (0x0800), length 42: 10.0.2.2.67 > 10.0.2.15.68: BOOTP/DHCP, length 0"},
	{toGuest + "0800 45 00 001c 0000 0000 40 11 0000 0a000202 0a00020f 0007 c000 0003 0000",
		between + "ethertype IPv4 (0x0800), length 42: 10.0.2.2.7 > 10.0.2.15.49152: bad UDP length 3"},
	{toGuest + "0800 45 00 0018 0000 0000 40 11 0000 0a000202 0a00020f 0007 c000",
		between + "ethertype IPv4 (0x0800), length 38: 10.0.2.2 > 10.0.2.15: [|udp]"},
	// TCP: ports, sequence, acknowledgement, header length, flags, window, checksum, urgent
	{toGuest + "0800 45 00 0028 0000 0000 40 06 0000 0a000202 0a00020f 1f90 c000 00000001 00000000 50 02 ffff 0000 0000",
		between + "ethertype IPv4 (0x0800), length 54: 10.0.2.2.8080 > 10.0.2.15.49152: Flags [S], seq 1, win 65535, length 0"},
	{toGuest + "0800 45 00 002a 0000 0000 40 06 0000 0a000202 0a00020f 1f90 c000 ffffffff 00000007 50 18 ffff 0000 0000 6869",
		between + "ethertype IPv4 (0x0800), length 56: 10.0.2.2.8080 > 10.0.2.15.49152: Flags [P.], seq 4294967295:1, ack 7, win 65535, length 2"},
	{toGuest + "0800 45 00 0028 0000 0000 40 06 0000 0a000202 0a00020f 1f90 c000 00000001 00000000 40 00 ffff 0000 0000",
		between + "ethertype IPv4 (0x0800), length 54: 10.0.2.2.8080 > 10.0.2.15.49152: Flags [none], bad header length 16"},
	{toGuest + "0800 45 00 0028 0000 0000 40 06 0000 0a000202 0a00020f 1f90 c000",
		between + "ethertype IPv4 (0x0800), length 38: 10.0.2.2 > 10.0.2.15: [|tcp]"},
	{toGuest + "0800 45 00 0018 0000 0000 40 59 0000 0a000202 0a00020f 00000000",
		between + "ethertype IPv4 (0x0800), length 38: 10.0.2.2 > 10.0.2.15: ip-proto-89, length 4"},
	{toGuest + "0800 45 00 0020 0000 00b9 40 11 0000 0a000202 0a00020f 0007 c000 000c 0000 70696e67",
		between + "ethertype IPv4 (0x0800), length 46: 10.0.2.2 > 10.0.2.15: UDP fragment, offset 1480, length 12"},
	{toGuest + "0800 45 00 001c 0000 2000 40 01 0000 0a000202 0a00020f 08 00 0000 0001 0002",
		between + "ethertype IPv4 (0x0800), length 42: 10.0.2.2 > 10.0.2.15: ICMP echo request, id 1, seq 2, length 8, more fragments follow"},
	{toGuest + "0800 45 00", between + "ethertype IPv4 (0x0800), length 16: [|ip]"},
	{toGuest + "0800 65 00 0020 0000 0000 40 11 0000 0a000202 0a00020f",
		between + "ethertype IPv4 (0x0800), length 34: IP version 6 in a frame of IPv4"},
	{toGuest + "0800 41 00 0020 0000 0000 40 11 0000 0a000202 0a00020f",
		between + "ethertype IPv4 (0x0800), length 34: IP header of 4 bytes"},
	{toGuest + "0800 4f 00 0020 0000 0000 40 11 0000 0a000202 0a00020f",
		between + "ethertype IPv4 (0x0800), length 34: IP length 32 is less than its header"},
	{toGuest + "0800 4f 00 0080 0000 0000 40 11 0000 0a000202 0a00020f",
		between + "ethertype IPv4 (0x0800), length 34: 10.0.2.2 > 10.0.2.15: [|ip]"},
}

func TestLine(t *testing.T) {
	for _, tt := range frames {
		if got := Line(unhex(t, tt.frame)); got != tt.want {
			t.Errorf("%s:\n got %q\nwant %q", tt.frame, got, tt.want)
		}
	}
}

func TestDump(t *testing.T) {
	got := Dump([]byte("\x02\x00abcdefghijklmn\x7f~\x80"))
	want := []string{
		"        0x0000:  0200 6162 6364 6566 6768 696a 6b6c 6d6e  ..abcdefghijklmn",
		"        0x0010:  7f7e 80                                  .~.",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := Dump(nil); len(got) != 0 {
		t.Errorf("of nothing: %q", got)
	}
}

// FuzzLine finds no frame that makes it fail, and none that could drive a terminal.
func FuzzLine(f *testing.F) {
	for _, tt := range frames {
		f.Add(unhex(f, tt.frame))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		for _, line := range append(Dump(frame), Line(frame)) {
			if line == "" || strings.ContainsFunc(line, unicode.IsControl) {
				t.Errorf("%x: %q", frame, line)
			}
		}
	})
}
