package guard

import (
	"encoding/binary"
	"math/bits"
	"time"
)

// Offsets in an IPv4 header (RFC 791 section 3.1), a UDP header (RFC 768) and an ICMP header (RFC 792).
const (
	ipVersionIHL = 0
	ipLength     = 2
	ipID         = 4
	ipFragment   = 6 // flags and offset
	ipTTL        = 8
	ipProtocol   = 9
	ipChecksum   = 10
	ipSrc        = 12
	ipDst        = 16
	ipHeader     = 20

	fragmentOffset = 0x1fff

	protoICMP = 1
	protoUDP  = 17

	udpDst    = 2
	udpHeader = 8

	dhcpClientPort = 68

	icmpEcho     = 8
	icmpChecksum = 2
	icmpHeader   = 8

	dontFragment = 0x4000
	replyTTL     = 64
)

const (
	loopbackNet  = 127 << 24
	loopbackMask = 0xff << 24
)

// ip4 inspects an IPv4 frame. Checksums, options and fragments are the stack's to check; here it is who may talk at all.
func (g *Guard) ip4(now time.Duration, frame []byte, group bool) Result {
	ip, header, ok := ip4Packet(frame)
	if !ok {
		return g.drop(IPMalformed)
	}
	first := binary.BigEndian.Uint16(ip[ipFragment:])&fragmentOffset == 0
	body := ip[header:]
	if g.dhcp.Load() && first && ip[ipProtocol] == protoUDP && len(body) >= udpHeader &&
		binary.BigEndian.Uint16(body[udpDst:]) == dhcpClientPort {
		return Result{Verdict: DHCP}
	}
	if g.martian(binary.BigEndian.Uint32(ip[ipSrc:]), binary.BigEndian.Uint32(ip[ipDst:])) {
		return g.drop(Martian)
	}
	if ip[ipProtocol] == protoICMP && first && len(body) > 0 && body[0] == icmpEcho {
		if group { // RFC 1122 section 3.2.2.6 lets us; answering invites amplification
			return g.drop(BroadcastEcho)
		}
		if !g.echo.take(now) {
			return g.drop(EchoRate)
		}
		if g.plainEcho(ip, header) {
			return Result{Verdict: Echo}
		}
	}
	return Result{Verdict: Pass}
}

// plainEcho reports whether an echo request can be answered as it is: for our own address, whole, without options, undamaged. The
// others are the stack's.
func (g *Guard) plainEcho(ip []byte, header int) bool {
	const fragmented = 0x3fff // more fragments, or an offset
	own, _, ok := g.own()
	return ok && binary.BigEndian.Uint32(ip[ipDst:]) == own && header == ipHeader && len(ip) >= ipHeader+icmpHeader &&
		binary.BigEndian.Uint16(ip[ipFragment:])&fragmented == 0 && ip[ipTTL] > 0 &&
		sum(ip[:ipHeader]) == 0xffff && sum(ip[ipHeader:]) == 0xffff
}

// EchoReply writes the reply to the echo request in frame, for which Inspect gave Echo, to b and returns its length. b has room
// for frame. The payload is unchanged, the reply goes where the request came from.
//
// Both may be memory that another process writes to: the length is read once, and bounded by what Inspect has seen.
func EchoReply(b, frame []byte) int {
	const least = ethHeader + ipHeader + icmpHeader
	n := min(max(ethHeader+int(binary.BigEndian.Uint16(frame[ethHeader+ipLength:])), least), len(frame))
	b = b[:n]
	copy(b, frame)
	copy(b[ethDst:], frame[ethSrc:ethSrc+6])
	copy(b[ethSrc:], frame[ethDst:ethDst+6])
	ip := b[ethHeader:]
	copy(ip[ipSrc:], frame[ethHeader+ipDst:ethHeader+ipDst+4])
	copy(ip[ipDst:], frame[ethHeader+ipSrc:ethHeader+ipSrc+4])
	binary.BigEndian.PutUint16(ip[ipID:], 0)
	binary.BigEndian.PutUint16(ip[ipFragment:], dontFragment) // RFC 6864: what is not fragmented needs no id
	ip[ipTTL] = replyTTL
	binary.BigEndian.PutUint16(ip[ipChecksum:], 0)
	binary.BigEndian.PutUint16(ip[ipChecksum:], ^sum(ip[:ipHeader]))
	icmp := ip[ipHeader:]
	icmp[0] = 0
	binary.BigEndian.PutUint16(icmp[icmpChecksum:], 0)
	binary.BigEndian.PutUint16(icmp[icmpChecksum:], ^sum(icmp))
	return n
}

// sum is the ones' complement sum of b (RFC 1071). Eight bytes at a time: it is the larger part of a ping.
func sum(b []byte) uint16 {
	var total, carry uint64
	for ; len(b) >= 8; b = b[8:] {
		total, carry = bits.Add64(total, binary.BigEndian.Uint64(b), carry)
	}
	var rest [8]byte
	copy(rest[:], b)
	total, carry = bits.Add64(total, binary.BigEndian.Uint64(rest[:]), carry)
	total, carry = bits.Add64(total, carry, 0)
	total += carry
	total = total>>32 + total&0xffffffff
	total = total>>16&0xffff + total>>32 + total&0xffff
	total = total>>16 + total&0xffff
	return uint16(total>>16 + total&0xffff)
}

// ip4Packet returns the IPv4 packet in a frame, cut to its own length, and its header's length.
func ip4Packet(frame []byte) (ip []byte, header int, ok bool) {
	ip = frame[ethHeader:]
	if len(ip) < ipHeader || ip[ipVersionIHL]>>4 != 4 {
		return nil, 0, false
	}
	header = int(ip[ipVersionIHL]&0xf) * 4
	length := int(binary.BigEndian.Uint16(ip[ipLength:]))
	if header < ipHeader || length < header || length > len(ip) {
		return nil, 0, false
	}
	return ip[:length], header, true
}

// martian reports whether a packet with these addresses can not have come from the wire (RFC 1812 section 5.3.7, RFC 1122
// section 3.2.1.3).
func (g *Guard) martian(src, dst uint32) bool {
	if src&loopbackMask == loopbackNet || dst&loopbackMask == loopbackNet {
		return true
	}
	if src>>28 >= 0xe || src>>24 == 0 { // group, class E and broadcast, "this network"
		return true
	}
	own, mask, ok := g.own()
	if !ok {
		return false
	}
	if src == own {
		return true
	}
	subnetBroadcast := own | ^mask
	return src == subnetBroadcast && mask < 0xfffffffe // RFC 3021: /31 has none
}

// LeavesLoopback reports whether a packet with this network header comes from or goes to 127/8, or asks for its hardware
// address: it must not leave over a wire.
func LeavesLoopback(etherType uint16, header []byte) bool {
	switch {
	case etherType == typeIP4 && len(header) >= ipHeader:
		return header[ipSrc] == 127 || header[ipDst] == 127
	case etherType == typeARP && len(header) >= arpLength:
		return header[arpSenderIP] == 127 || header[arpTargetIP] == 127
	default:
		return false
	}
}
