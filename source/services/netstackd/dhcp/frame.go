package dhcp

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"
)

// A DHCP frame: Ethernet, IPv4 without options (RFC 791), UDP (RFC 768).
const (
	ethernetHeader = 14
	ipHeader       = 20
	udpHeader      = 8
	headers        = ethernetHeader + ipHeader + udpHeader

	typeIP4  = 0x0800
	protoUDP = 17

	// Ports.
	ServerPort = 67
	ClientPort = 68
)

var (
	broadcastMAC = [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	broadcastIP  = netip.AddrFrom4([4]byte{255, 255, 255, 255})
	nobody       = netip.AddrFrom4([4]byte{})
)

// asked are the options that a lease needs.
var asked = []dhcpv4.OptionCode{
	dhcpv4.OptionSubnetMask, dhcpv4.OptionRouter, dhcpv4.OptionDomainNameServer,
	dhcpv4.OptionIPAddressLeaseTime, dhcpv4.OptionServerIdentifier,
	dhcpv4.OptionRenewTimeValue, dhcpv4.OptionRebindingTimeValue,
}

// message returns a message of the exchange with what they all have.
func (c *Client) message(now time.Duration, kind dhcpv4.MessageType) *dhcpv4.DHCPv4 {
	zero := []byte{0, 0, 0, 0}
	m := &dhcpv4.DHCPv4{
		OpCode:        dhcpv4.OpcodeBootRequest,
		HWType:        iana.HWTypeEthernet,
		TransactionID: c.xid,
		NumSeconds:    uint16(min((now-c.began)/time.Second, 1<<16-1)),
		ClientHWAddr:  c.mac[:],
		ClientIPAddr:  zero, YourIPAddr: zero, ServerIPAddr: zero, GatewayIPAddr: zero,
		Options: dhcpv4.Options{},
	}
	m.UpdateOption(dhcpv4.OptMessageType(kind))
	m.UpdateOption(dhcpv4.OptParameterRequestList(asked...))
	return m
}

func (c *Client) broadcast(m *dhcpv4.DHCPv4) []byte {
	return c.frame(m, nobody, broadcastIP, broadcastMAC)
}

func (c *Client) frame(m *dhcpv4.DHCPv4, src, dst netip.Addr, to [6]byte) []byte {
	return BuildFrame(c.mac, to, netip.AddrPortFrom(src, ClientPort), netip.AddrPortFrom(dst, ServerPort), m.ToBytes())
}

// BuildFrame returns an Ethernet frame with a UDP datagram.
func BuildFrame(from, to [6]byte, src, dst netip.AddrPort, payload []byte) []byte {
	frame := make([]byte, headers+len(payload))
	copy(frame, to[:])
	copy(frame[6:], from[:])
	binary.BigEndian.PutUint16(frame[12:], typeIP4)

	ip := frame[ethernetHeader:]
	ip[0] = 0x45
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	ip[8], ip[9] = 64, protoUDP
	srcIP, dstIP := src.Addr().As4(), dst.Addr().As4()
	copy(ip[12:], srcIP[:])
	copy(ip[16:], dstIP[:])
	binary.BigEndian.PutUint16(ip[10:], ^sum(0, ip[:ipHeader]))

	udp := ip[ipHeader:]
	binary.BigEndian.PutUint16(udp[0:], src.Port())
	binary.BigEndian.PutUint16(udp[2:], dst.Port())
	binary.BigEndian.PutUint16(udp[4:], uint16(len(udp)))
	copy(udp[udpHeader:], payload)
	check := ^udpSum(ip, udp)
	if check == 0 {
		check = 0xffff // 0 means no checksum
	}
	binary.BigEndian.PutUint16(udp[6:], check)
	return frame
}

// parseFrame returns the sender and the payload of a datagram to the client's port, if the frame is sound.
func parseFrame(frame []byte) (from [6]byte, payload []byte, ok bool) {
	return parse(frame, ClientPort)
}

// ParseRequest returns the sender and the payload of a datagram to the server's port, if the frame is sound.
func ParseRequest(frame []byte) (from [6]byte, payload []byte, ok bool) {
	return parse(frame, ServerPort)
}

func parse(frame []byte, port uint16) (from [6]byte, payload []byte, ok bool) {
	if len(frame) < headers || binary.BigEndian.Uint16(frame[12:]) != typeIP4 {
		return from, nil, false
	}
	ip := frame[ethernetHeader:]
	header, length := int(ip[0]&0xf)*4, int(binary.BigEndian.Uint16(ip[2:]))
	if ip[0]>>4 != 4 || header < ipHeader || length < header+udpHeader || length > len(ip) {
		return from, nil, false
	}
	ip = ip[:length]
	const moreOrOffset = 0x3fff
	if ip[9] != protoUDP || binary.BigEndian.Uint16(ip[6:])&moreOrOffset != 0 || sum(0, ip[:header]) != 0xffff {
		return from, nil, false
	}
	udp := ip[header:]
	size := int(binary.BigEndian.Uint16(udp[4:]))
	if binary.BigEndian.Uint16(udp[2:]) != port || size < udpHeader || size > len(udp) {
		return from, nil, false
	}
	udp = udp[:size]
	if binary.BigEndian.Uint16(udp[6:]) != 0 && udpSum(ip, udp) != 0xffff {
		return from, nil, false
	}
	return [6]byte(frame[6:]), udp[udpHeader:], true
}

// udpSum is the sum of the pseudo header and the datagram.
func udpSum(ip, udp []byte) uint16 {
	return sum(uint32(sum(protoUDP+uint32(len(udp)), ip[12:20])), udp)
}

// sum is the ones' complement sum of b (RFC 1071), onto start.
func sum(start uint32, b []byte) uint16 {
	total := start
	for ; len(b) >= 2; b = b[2:] {
		total += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		total += uint32(b[0]) << 8
	}
	for total > 0xffff {
		total = total>>16 + total&0xffff
	}
	return uint16(total)
}
