// Package decode says in one line what an Ethernet frame is, in tcpdump's words (tcpdump -e), and dumps its bytes as
// tcpdump -X does. It knows ARP (RFC 826), IPv4 (RFC 791), ICMP (RFC 792), UDP (RFC 768) and TCP (RFC 9293).
//
// A frame is from a wire: nothing in it is believed. Whatever is cut short is said to be, as tcpdump's "[|ip]"; nothing is
// read beyond the frame, and the line has no control character.
package decode

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"
)

// Sizes of headers, in bytes.
const (
	ethernetSize = 14
	arpSize      = 28
	ip4Size      = 20
	icmpSize     = 8
	udpSize      = 8
	tcpSize      = 20
)

// EtherTypes that have a name here.
const (
	etherIPv4 = 0x0800
	etherARP  = 0x0806
	etherVLAN = 0x8100
	etherIPv6 = 0x86dd
)

// Line describes a frame in one line.
func Line(frame []byte) string {
	if len(frame) < ethernetSize {
		return "[|ether], length " + strconv.Itoa(len(frame))
	}
	kind := binary.BigEndian.Uint16(frame[12:])
	body := frame[ethernetSize:]
	head := MAC(frame[6:12]) + " > " + MAC(frame[0:6]) + ", "
	length := ", length " + strconv.Itoa(len(frame)) + ": "
	switch {
	case kind < 0x0600: // IEEE 802.3, 3.2.6: a length, not a type
		return head + "802.3" + length + "LLC"
	case kind == etherARP:
		return head + "ethertype ARP (0x0806)" + length + arp(body)
	case kind == etherIPv4:
		return head + "ethertype IPv4 (0x0800)" + length + ip4(body)
	case kind == etherIPv6:
		return head + "ethertype IPv6 (0x86dd)" + length + "IPv6"
	case kind == etherVLAN:
		return head + "ethertype 802.1Q (0x8100)" + length + "VLAN"
	default:
		return head + "ethertype Unknown (0x" + hex16(kind) + ")" + length + "Unknown"
	}
}

// MAC returns the usual text of the 6 bytes of a hardware address.
func MAC(b []byte) string {
	var text strings.Builder
	for i, c := range b {
		if i > 0 {
			text.WriteByte(':')
		}
		text.WriteByte(digits[c>>4])
		text.WriteByte(digits[c&15])
	}
	return text.String()
}

const digits = "0123456789abcdef"

func hex16(v uint16) string {
	return string([]byte{digits[v>>12], digits[v>>8&15], digits[v>>4&15], digits[v&15]})
}

// address returns the text of the IPv4 address that b begins with.
func address(b []byte) string { return netip.AddrFrom4([4]byte(b)).String() }

// arp describes what follows an Ethernet header of type ARP.
func arp(b []byte) string {
	if len(b) < arpSize {
		return "[|arp]"
	}
	if binary.BigEndian.Uint16(b) != 1 || binary.BigEndian.Uint16(b[2:]) != etherIPv4 || b[4] != 6 || b[5] != 4 {
		return "ARP of other than IPv4 over Ethernet"
	}
	sender, target := address(b[14:]), address(b[24:])
	switch operation := binary.BigEndian.Uint16(b[6:]); {
	case operation == 1 && sender == target:
		return "Announcement " + sender
	case operation == 1:
		return "Request who-has " + target + " tell " + sender
	case operation == 2:
		return "Reply " + sender + " is-at " + MAC(b[8:14])
	default:
		return "ARP operation " + strconv.Itoa(int(operation))
	}
}

// ip4 describes an IPv4 packet.
func ip4(b []byte) string {
	if len(b) < ip4Size {
		return "[|ip]"
	}
	header := int(b[0]&15) * 4
	total := int(binary.BigEndian.Uint16(b[2:]))
	switch {
	case b[0]>>4 != 4:
		return "IP version " + strconv.Itoa(int(b[0]>>4)) + " in a frame of IPv4"
	case header < ip4Size:
		return "IP header of " + strconv.Itoa(header) + " bytes"
	case total < header:
		return "IP length " + strconv.Itoa(total) + " is less than its header"
	}
	source, destination := address(b[12:]), address(b[16:])
	between := source + " > " + destination + ": "
	if header > len(b) {
		return between + "[|ip]"
	}
	body := b[header:min(total, len(b))] // what follows is padding
	whole := total - header
	fragment := binary.BigEndian.Uint16(b[6:])
	if offset := int(fragment&0x1fff) * 8; offset > 0 {
		return between + protocolName(b[9]) + " fragment, offset " + strconv.Itoa(offset) + ", length " + strconv.Itoa(whole)
	}
	text := transport(b[9], source, destination, body, whole)
	if fragment&0x2000 != 0 {
		text += ", more fragments follow"
	}
	return text
}

func protocolName(protocol byte) string {
	switch protocol {
	case 1:
		return "ICMP"
	case 6:
		return "TCP"
	case 17:
		return "UDP"
	default:
		return "ip-proto-" + strconv.Itoa(int(protocol))
	}
}

// transport describes the payload of an IPv4 packet; whole is how long the packet says it is, which may be more than is there.
func transport(protocol byte, source, destination string, b []byte, whole int) string {
	between := source + " > " + destination + ": "
	switch protocol {
	case 1:
		return between + icmp(b, whole)
	case 6:
		return tcp(source, destination, b, whole)
	case 17:
		return udp(source, destination, b)
	default:
		return between + protocolName(protocol) + ", length " + strconv.Itoa(whole)
	}
}

// icmp describes an ICMP message.
func icmp(b []byte, whole int) string {
	if len(b) < icmpSize {
		return "[|icmp]"
	}
	length := ", length " + strconv.Itoa(whole)
	echo := ", id " + strconv.Itoa(int(binary.BigEndian.Uint16(b[4:]))) + ", seq " +
		strconv.Itoa(int(binary.BigEndian.Uint16(b[6:]))) + length
	switch b[0] {
	case 0:
		return "ICMP echo reply" + echo
	case 3:
		return "ICMP " + unreachable(b[1]) + length
	case 5:
		return "ICMP redirect" + length
	case 8:
		return "ICMP echo request" + echo
	case 11:
		return "ICMP time exceeded" + length
	default:
		return "ICMP type " + strconv.Itoa(int(b[0])) + ", code " + strconv.Itoa(int(b[1])) + length
	}
}

func unreachable(code byte) string {
	switch code {
	case 0:
		return "net unreachable"
	case 1:
		return "host unreachable"
	case 2:
		return "protocol unreachable"
	case 3:
		return "port unreachable"
	case 4:
		return "unreachable - need to frag"
	default:
		return "unreachable, code " + strconv.Itoa(int(code))
	}
}

// port joins an address and a port as tcpdump does.
func port(address string, b []byte) string {
	return address + "." + strconv.Itoa(int(binary.BigEndian.Uint16(b)))
}

// udp describes a UDP datagram.
func udp(source, destination string, b []byte) string {
	if len(b) < udpSize {
		return source + " > " + destination + ": [|udp]"
	}
	between := port(source, b) + " > " + port(destination, b[2:]) + ": "
	length := int(binary.BigEndian.Uint16(b[4:])) - udpSize
	if length < 0 {
		return between + "bad UDP length " + strconv.Itoa(length+udpSize)
	}
	name := "UDP"
	ports := [2]uint16{binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])}
	if ports == [2]uint16{67, 68} || ports == [2]uint16{68, 67} {
		name = "BOOTP/DHCP"
	}
	return between + name + ", length " + strconv.Itoa(length)
}

// tcp describes a TCP segment.
func tcp(source, destination string, b []byte, whole int) string {
	if len(b) < tcpSize {
		return source + " > " + destination + ": [|tcp]"
	}
	text := port(source, b) + " > " + port(destination, b[2:]) + ": Flags [" + tcpFlags(b[13]) + "]"
	header := int(b[12]>>4) * 4
	length := whole - header
	if header < tcpSize || length < 0 {
		return text + ", bad header length " + strconv.Itoa(header)
	}
	sequence := binary.BigEndian.Uint32(b[4:])
	text += ", seq " + strconv.FormatUint(uint64(sequence), 10)
	if length > 0 {
		text += ":" + strconv.FormatUint(uint64(sequence+uint32(length)), 10)
	}
	if b[13]&0x10 != 0 {
		text += ", ack " + strconv.FormatUint(uint64(binary.BigEndian.Uint32(b[8:])), 10)
	}
	return text + ", win " + strconv.Itoa(int(binary.BigEndian.Uint16(b[14:]))) + ", length " + strconv.Itoa(length)
}

// tcpFlags returns the letters of a segment's flags, in tcpdump's order.
func tcpFlags(flags byte) string {
	const letters = "FSRP.UEW" // bit 0 first
	var text strings.Builder
	for bit := range 8 {
		if flags>>bit&1 != 0 {
			text.WriteByte(letters[bit])
		}
	}
	if text.Len() == 0 {
		return "none"
	}
	return text.String()
}
