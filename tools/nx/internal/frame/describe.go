package frame

import (
	"net"
	"net/netip"
	"strings"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/insomniacslk/dhcp/dhcpv4"
)

// Kind names what a frame is, in the words of the marker contract.
type Kind string

// The kinds of frame. DHCP messages are "dhcp." and the message's name in
// lower case: dhcp.discover, dhcp.offer, dhcp.request, dhcp.ack, dhcp.nak, …
const (
	ARPRequestKind Kind = "arp.request"
	ARPReplyKind   Kind = "arp.reply"
	PingKind       Kind = "icmp.request"
	PongKind       Kind = "icmp.reply"
	UDPKind        Kind = "udp"
	TCPKind        Kind = "tcp"
	OtherKind      Kind = "other"
)

// Summary is what the contract and the host peer want to know of one frame.
// For ARP, SrcIP and DstIP are the sender's and the target's addresses.
type Summary struct {
	Kind             Kind
	SrcMAC, DstMAC   net.HardwareAddr
	SrcIP, DstIP     netip.Addr
	SrcPort, DstPort uint16 // UDP, TCP
	ID, Seq          uint16 // ICMP echo
	TCPSeq           uint32
	SYN, FIN, RST    bool
	Payload          []byte // of ICMP echo, UDP, TCP; may be shared with the frame
	Len              int    // of the frame, in bytes
}

// FromGuest tells whether the guest sent the frame.
func (s *Summary) FromGuest() bool { return string(s.SrcMAC) == string(Guest.MAC) }

// Describe never fails: what cannot be decoded, or carries a wrong IP, ICMP, UDP
// or TCP checksum, is OtherKind.
func Describe(raw []byte) Summary {
	s := Summary{Kind: OtherKind, Len: len(raw)}
	p := gopacket.NewPacket(raw, layers.LayerTypeEthernet, gopacket.DecodeOptions{NoCopy: true})
	eth, ok := p.LinkLayer().(*layers.Ethernet)
	if !ok {
		return s
	}
	s.SrcMAC, s.DstMAC = eth.SrcMAC, eth.DstMAC

	if arp, ok := p.Layer(layers.LayerTypeARP).(*layers.ARP); ok {
		s.arp(arp)
		return s
	}
	ip, ok := p.NetworkLayer().(*layers.IPv4)
	if !ok || !sumsRight(p, ip) {
		return s
	}
	s.SrcIP, _ = netip.AddrFromSlice(ip.SrcIP.To4())
	s.DstIP, _ = netip.AddrFromSlice(ip.DstIP.To4())
	s.transport(p)
	return s
}

// sumsRight verifies every checksum the decoded layers carry.
func sumsRight(p gopacket.Packet, ip *layers.IPv4) bool {
	var err error
	switch t := p.TransportLayer().(type) {
	case *layers.UDP:
		err = t.SetNetworkLayerForChecksum(ip)
	case *layers.TCP:
		err = t.SetNetworkLayerForChecksum(ip)
	}
	if err != nil {
		return false
	}
	err, bad := p.VerifyChecksums()
	return err == nil && len(bad) == 0
}

func (s *Summary) arp(arp *layers.ARP) {
	if arp.HwAddressSize != 6 || arp.ProtAddressSize != 4 {
		return
	}
	s.SrcIP, _ = netip.AddrFromSlice(arp.SourceProtAddress)
	s.DstIP, _ = netip.AddrFromSlice(arp.DstProtAddress)
	switch arp.Operation {
	case layers.ARPRequest:
		s.Kind = ARPRequestKind
	case layers.ARPReply:
		s.Kind = ARPReplyKind
	}
}

func (s *Summary) transport(p gopacket.Packet) {
	if icmp, ok := p.Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4); ok {
		s.ID, s.Seq, s.Payload = icmp.Id, icmp.Seq, icmp.Payload
		switch icmp.TypeCode.Type() {
		case layers.ICMPv4TypeEchoRequest:
			s.Kind = PingKind
		case layers.ICMPv4TypeEchoReply:
			s.Kind = PongKind
		}
	}
	switch t := p.TransportLayer().(type) {
	case *layers.UDP:
		s.Kind, s.SrcPort, s.DstPort, s.Payload = UDPKind, uint16(t.SrcPort), uint16(t.DstPort), t.Payload
		if s.SrcPort == 67 || s.DstPort == 67 {
			s.dhcp()
		}
	case *layers.TCP:
		s.Kind, s.SrcPort, s.DstPort, s.Payload = TCPKind, uint16(t.SrcPort), uint16(t.DstPort), t.Payload
		s.TCPSeq, s.SYN, s.FIN, s.RST = t.Seq, t.SYN, t.FIN, t.RST
	}
}

func (s *Summary) dhcp() {
	m, err := dhcpv4.FromBytes(s.Payload)
	if err != nil || m.MessageType() == dhcpv4.MessageTypeNone {
		return
	}
	s.Kind = Kind("dhcp." + strings.ToLower(m.MessageType().String()))
}
