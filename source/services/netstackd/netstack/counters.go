package netstack

import "gvisor.dev/gvisor/pkg/tcpip"

// Each calls f with each counter of the library's that tells something about this system, in a fixed order.
func (s *Stack) Each(f func(name string, value uint64)) {
	stats := s.ip.Stats()
	for _, c := range []struct {
		name  string
		value *tcpip.StatCounter
	}{
		{"ip.received", stats.IP.PacketsReceived},
		{"ip.delivered", stats.IP.PacketsDelivered},
		{"ip.sent", stats.IP.PacketsSent},
		{"ip.drop.malformed", stats.IP.MalformedPacketsReceived},
		{"ip.drop.malformed-fragment", stats.IP.MalformedFragmentsReceived},
		{"ip.drop.destination", stats.IP.InvalidDestinationAddressesReceived},
		{"ip.drop.source", stats.IP.InvalidSourceAddressesReceived},
		{"ip.drop.option", stats.IP.OptionUnknownReceived},
		{"ip.send-errors", stats.IP.OutgoingPacketErrors},
		{"arp.requests-received", stats.ARP.RequestsReceived},
		{"arp.replies-received", stats.ARP.RepliesReceived},
		{"arp.requests-sent", stats.ARP.OutgoingRequestsSent},
		{"arp.replies-sent", stats.ARP.OutgoingRepliesSent},
		{"icmp.echo-received", stats.ICMP.V4.PacketsReceived.EchoRequest},
		{"icmp.echo-reply-sent", stats.ICMP.V4.PacketsSent.EchoReply},
		{"icmp.echo-reply-received", stats.ICMP.V4.PacketsReceived.EchoReply},
		{"icmp.drop.invalid", stats.ICMP.V4.PacketsReceived.Invalid},
		{"udp.received", stats.UDP.PacketsReceived},
		{"udp.sent", stats.UDP.PacketsSent},
		{"udp.drop.no-port", stats.UDP.UnknownPortErrors},
		{"udp.drop.buffer-full", stats.UDP.ReceiveBufferErrors},
		{"udp.drop.malformed", stats.UDP.MalformedPacketsReceived},
		{"udp.drop.checksum", stats.UDP.ChecksumErrors},
		{"tcp.received", stats.TCP.ValidSegmentsReceived},
		{"tcp.sent", stats.TCP.SegmentsSent},
		{"tcp.opened", stats.TCP.ActiveConnectionOpenings},
		{"tcp.accepted", stats.TCP.PassiveConnectionOpenings},
		{"tcp.established", stats.TCP.CurrentEstablished},
		{"tcp.retransmits", stats.TCP.Retransmits},
		{"tcp.resets-sent", stats.TCP.ResetsSent},
		{"tcp.resets-received", stats.TCP.ResetsReceived},
		{"tcp.drop.invalid", stats.TCP.InvalidSegmentsReceived},
		{"tcp.drop.checksum", stats.TCP.ChecksumErrors},
		{"tcp.drop.listen-overflow", stats.TCP.ListenOverflowSynDrop},
		{"drop.other", stats.DroppedPackets},
	} {
		f(c.name, c.value.Value())
	}
}
