package frame

import (
	"net"
	"net/netip"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// ARPRequest is from's broadcast question who has target.
func ARPRequest(from Station, target netip.Addr) []byte {
	return serialize(
		ethernet(from.MAC, Broadcast, layers.EthernetTypeARP),
		&layers.ARP{
			AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4,
			HwAddressSize: 6, ProtAddressSize: 4, Operation: layers.ARPRequest,
			SourceHwAddress: from.MAC, SourceProtAddress: from.IP.AsSlice(),
			DstHwAddress: make([]byte, 6), DstProtAddress: target.AsSlice(),
		})
}

// Ping is an ICMP echo request.
func Ping(from, to Station, id, seq uint16, payload []byte) []byte {
	return serialize(
		ethernet(from.MAC, to.MAC, layers.EthernetTypeIPv4),
		ipv4(from.IP, to.IP, layers.IPProtocolICMPv4),
		&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(layers.ICMPv4TypeEchoRequest, 0), Id: id, Seq: seq},
		gopacket.Payload(payload))
}

// UDP is one datagram.
func UDP(from, to Station, srcPort, dstPort uint16, payload []byte) []byte {
	ip := ipv4(from.IP, to.IP, layers.IPProtocolUDP)
	udp := &layers.UDP{SrcPort: layers.UDPPort(srcPort), DstPort: layers.UDPPort(dstPort)}
	// Fails only for a layer that is not IP.
	_ = udp.SetNetworkLayerForChecksum(ip)
	return serialize(ethernet(from.MAC, to.MAC, layers.EthernetTypeIPv4), ip, udp, gopacket.Payload(payload))
}

func ethernet(src, dst net.HardwareAddr, kind layers.EthernetType) *layers.Ethernet {
	return &layers.Ethernet{SrcMAC: src, DstMAC: dst, EthernetType: kind}
}

func ipv4(src, dst netip.Addr, protocol layers.IPProtocol) *layers.IPv4 {
	return &layers.IPv4{
		Version: 4, TTL: 64, Protocol: protocol,
		SrcIP: src.AsSlice(), DstIP: dst.AsSlice(),
	}
}

// serialize joins layers this package made; it fails only on a payload beyond
// 64 KiB, for which it returns nil.
func serialize(parts ...gopacket.SerializableLayer) []byte {
	buf := gopacket.NewSerializeBuffer()
	opts := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(buf, opts, parts...); err != nil {
		return nil
	}
	return buf.Bytes()
}
