package report

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/insomniacslk/dhcp/dhcpv4"
)

// maxLayers bounds what is told of a frame that wraps layer in layer.
const maxLayers = 8

// maxText bounds how much of a payload is shown as text.
const maxText = 512

// packet is a frame, decoded for a person.
type packet struct {
	Kind    string // ARP, DHCP, TCP, …
	Summary string
	Layers  []layer

	from, to netip.Addr // of its innermost IP header

	flow string // its two ends and kind, the same both ways
	bulk bool   // neither opens, closes nor asks: one of many alike
	data int    // bytes carried for a program
}

// layer is one layer's header.
type layer struct {
	Name   string
	Fields []field
}

type field struct {
	Name  string
	Value text
}

func (l *layer) add(name, format string, args ...any) {
	l.Fields = append(l.Fields, field{name, shown(fmt.Sprintf(format, args...))})
}

// half is one direction of a TCP connection.
type half struct{ from, to netip.AddrPort }

// decoder decodes a capture's frames in order; it keeps where each direction
// of a connection began, to count from there.
type decoder struct {
	first map[half]uint32
}

// decode never fails: what it does not understand it says.
func (d *decoder) decode(raw []byte) packet {
	p := gopacket.NewPacket(raw, layers.LayerTypeEthernet, gopacket.DecodeOptions{NoCopy: true})
	out := packet{Kind: "Ethernet", Summary: count(len(raw), "byte", "bytes") + " that are no Ethernet frame"}
	eth, ok := p.LinkLayer().(*layers.Ethernet)
	if !ok {
		return out
	}
	out.Summary = fmt.Sprintf("type 0x%04x %v → %v", uint16(eth.EthernetType), eth.SrcMAC, eth.DstMAC)
	out.setFlow(eth.SrcMAC.String(), eth.DstMAC.String())
	wrong := checksums(p)
	for i, l := range p.Layers() {
		if i == maxLayers {
			out.Layers = append(out.Layers, layer{Name: "more layers, not shown"})
			break
		}
		out.Layers = append(out.Layers, d.layer(l, &out, wrong[i]))
	}
	if len(wrong) > 0 {
		out.Summary += ", wrong checksum"
	}
	return out
}

func (out *packet) setFlow(a, b string) {
	if a > b {
		a, b = b, a
	}
	out.flow, out.bulk = out.Kind+" "+a+" "+b, true
}

func (out *packet) setIP(from, to net.IP) {
	// gopacket's addresses have the right length.
	out.from, _ = netip.AddrFromSlice(from)
	out.to, _ = netip.AddrFromSlice(to)
	out.setFlow(from.String(), to.String())
}

// checksums gives what the wrong ones should be, by the layer's place.
func checksums(p gopacket.Packet) map[int]string {
	if ip, ok := p.NetworkLayer().(*layers.IPv4); ok {
		// They fail only for a layer that is not IP.
		switch t := p.TransportLayer().(type) {
		case *layers.UDP:
			_ = t.SetNetworkLayerForChecksum(ip)
		case *layers.TCP:
			_ = t.SetNetworkLayerForChecksum(ip)
		}
	}
	wrong := map[int]string{}
	err, bad := p.VerifyChecksums()
	if err != nil {
		return wrong // a layer without its network layer has none to verify
	}
	for _, m := range bad {
		wrong[m.LayerIndex] = fmt.Sprintf("wrong, 0x%04x would be right", m.Correct)
	}
	return wrong
}

// layer tells of one layer and lets it speak for the whole frame.
func (d *decoder) layer(l gopacket.Layer, out *packet, wrong string) layer {
	told := layer{Name: l.LayerType().String()}
	switch l := l.(type) {
	case *layers.Ethernet:
		told.add("from", "%v", l.SrcMAC)
		told.add("to", "%v", l.DstMAC)
		told.add("type", "0x%04x %v", uint16(l.EthernetType), l.EthernetType)
	case *layers.ARP:
		arp(l, &told, out)
	case *layers.IPv4:
		ipv4(l, &told, out)
	case *layers.IPv6:
		told.add("from", "%v", l.SrcIP)
		told.add("to", "%v", l.DstIP)
		told.add("next header", "%d %v", uint8(l.NextHeader), l.NextHeader)
		out.Kind, out.Summary = "IPv6", fmt.Sprintf("%v → %v %v", l.SrcIP, l.DstIP, l.NextHeader)
		out.setIP(l.SrcIP, l.DstIP)
	case *layers.ICMPv4:
		icmp(l, &told, out)
	case *layers.UDP:
		udp(l, &told, out)
	case *layers.TCP:
		d.tcp(l, &told, out)
	case *layers.DHCPv4:
		dhcp(append(slices.Clone(l.Contents), l.Payload...), &told)
	case gopacket.ErrorLayer:
		told.Name = "not understood"
		told.add("why", "%v", l.Error())
	default:
		told.add("length", "%s", octets(len(l.LayerContents())))
		switch {
		case told.Name == "Payload" && out.Kind == "ARP":
			told.Name = "Padding"
		case told.Name == "Payload":
			payload(l.LayerContents(), &told)
		}
	}
	if wrong != "" {
		told.add("checksum", "%s", wrong)
	}
	return told
}

func arp(l *layers.ARP, told *layer, out *packet) {
	sender, target := net.IP(l.SourceProtAddress), net.IP(l.DstProtAddress)
	senderMAC, targetMAC := net.HardwareAddr(l.SourceHwAddress), net.HardwareAddr(l.DstHwAddress)
	told.add("operation", "%d", l.Operation)
	told.add("sender", "%v at %v", sender, senderMAC)
	told.add("target", "%v at %v", target, targetMAC)
	out.Kind = "ARP"
	switch {
	case l.Operation == layers.ARPRequest && sender.Equal(target):
		out.Summary = fmt.Sprintf("%v announces itself at %v", sender, senderMAC)
	case l.Operation == layers.ARPRequest:
		out.Summary = fmt.Sprintf("who has %v tell %v", target, sender)
	case l.Operation == layers.ARPReply:
		out.Summary = fmt.Sprintf("%v is at %v", sender, senderMAC)
	default:
		out.Summary = fmt.Sprintf("operation %d", l.Operation)
	}
	out.setFlow(sender.String(), target.String())
}

func ipv4(l *layers.IPv4, told *layer, out *packet) {
	told.add("from", "%v", l.SrcIP)
	told.add("to", "%v", l.DstIP)
	told.add("protocol", "%d %v", uint8(l.Protocol), l.Protocol)
	told.add("total length", "%d", l.Length)
	told.add("time to live", "%d", l.TTL)
	told.add("identification", "0x%04x", l.Id)
	if l.Flags != 0 {
		told.add("flags", "%v", l.Flags)
	}
	if l.FragOffset != 0 {
		told.add("fragment at", "%d", int(l.FragOffset)*8)
	}
	out.Kind, out.Summary = "IPv4", fmt.Sprintf("%v → %v %v len %d", l.SrcIP, l.DstIP, l.Protocol, l.Length)
	if l.FragOffset != 0 || l.Flags&layers.IPv4MoreFragments != 0 {
		out.Summary += fmt.Sprintf(", fragment at %d", int(l.FragOffset)*8)
	}
	out.setIP(l.SrcIP, l.DstIP)
}

func icmp(l *layers.ICMPv4, told *layer, out *packet) {
	told.add("type", "%v", l.TypeCode)
	told.add("id", "%d", l.Id)
	told.add("sequence", "%d", l.Seq)
	from, to := out.from, out.to
	out.Kind = "ICMP"
	switch l.TypeCode.Type() {
	case layers.ICMPv4TypeEchoRequest:
		out.Summary = fmt.Sprintf("echo request %v → %v id %d seq %d len %d", from, to, l.Id, l.Seq, len(l.Payload))
	case layers.ICMPv4TypeEchoReply:
		out.Summary = fmt.Sprintf("echo reply %v → %v id %d seq %d len %d", from, to, l.Id, l.Seq, len(l.Payload))
	default:
		out.Summary = fmt.Sprintf("%v %v → %v", l.TypeCode, from, to)
	}
	out.data = len(l.Payload)
	out.setFlow(from.String(), to.String())
}

func udp(l *layers.UDP, told *layer, out *packet) {
	told.add("from port", "%d", uint16(l.SrcPort))
	told.add("to port", "%d", uint16(l.DstPort))
	told.add("length", "%d", l.Length)
	from, to := netip.AddrPortFrom(out.from, uint16(l.SrcPort)), netip.AddrPortFrom(out.to, uint16(l.DstPort))
	out.Kind, out.Summary = "UDP", fmt.Sprintf("%v → %v len %d", from, to, len(l.Payload))
	out.data = len(l.Payload)
	out.setFlow(from.String(), to.String())
	if l.SrcPort != 67 && l.DstPort != 67 {
		return
	}
	if m, err := dhcpv4.FromBytes(l.Payload); err == nil && m.MessageType() != dhcpv4.MessageTypeNone {
		out.Kind, out.Summary = "DHCP", title(m.MessageType().String())+" "+dhcpAddress(m)
		out.bulk = false
	}
}

// title is a message's name as RFC 2131's tables have it, but for the capitals.
func title(s string) string {
	if s == "" {
		return s
	}
	return s[:1] + strings.ToLower(s[1:])
}

// dhcpAddress is the address that a message is about.
func dhcpAddress(m *dhcpv4.DHCPv4) string {
	switch {
	case !m.YourIPAddr.IsUnspecified():
		return m.YourIPAddr.String()
	case m.RequestedIPAddress() != nil:
		return m.RequestedIPAddress().String()
	case !m.ClientIPAddr.IsUnspecified():
		return m.ClientIPAddr.String()
	}
	return "from " + m.ClientHWAddr.String()
}

func dhcp(raw []byte, told *layer) {
	told.Name = "DHCP"
	m, err := dhcpv4.FromBytes(raw)
	if err != nil {
		told.add("not understood", "%v", err)
		return
	}
	told.add("message", "%v", m.MessageType())
	told.add("transaction", "%v", m.TransactionID)
	told.add("client", "%v", m.ClientHWAddr)
	told.add("your address", "%v", m.YourIPAddr)
	if server := m.ServerIdentifier(); server != nil {
		told.add("server", "%v", server)
	}
	if mask := m.SubnetMask(); mask != nil {
		told.add("mask", "%v", net.IP(mask))
	}
	for _, router := range m.Router() {
		told.add("router", "%v", router)
	}
	for _, server := range m.DNS() {
		told.add("DNS", "%v", server)
	}
	if lease := m.IPAddressLeaseTime(0); lease != 0 {
		told.add("lease", "%v", lease)
	}
}

func (d *decoder) tcp(l *layers.TCP, told *layer, out *packet) {
	way := half{netip.AddrPortFrom(out.from, uint16(l.SrcPort)), netip.AddrPortFrom(out.to, uint16(l.DstPort))}
	if _, known := d.first[way]; !known || l.SYN {
		d.first[way] = l.Seq
	}
	seq, ack := l.Seq-d.first[way], l.Ack-d.first[half{way.to, way.from}]
	flags := tcpFlags(l)
	told.add("from port", "%d", uint16(l.SrcPort))
	told.add("to port", "%d", uint16(l.DstPort))
	told.add("flags", "%s", flags)
	told.add("sequence", "%d (on the wire %d)", seq, l.Seq)
	if l.ACK {
		told.add("acknowledges", "%d (on the wire %d)", ack, l.Ack)
	}
	told.add("window", "%d", l.Window)
	for _, o := range l.Options {
		if o.OptionType != layers.TCPOptionKindNop && o.OptionType != layers.TCPOptionKindEndList {
			told.add("option", "%s", strings.TrimSuffix(strings.TrimPrefix(o.String(), "TCPOption("), ")"))
		}
	}

	out.Kind, out.data = "TCP", len(l.Payload)
	out.Summary = fmt.Sprintf("%v → %v [%s] seq %d", way.from, way.to, flags, seq)
	if l.ACK {
		out.Summary += fmt.Sprintf(" ack %d", ack)
	}
	if len(l.Payload) > 0 {
		out.Summary += fmt.Sprintf(" len %d", len(l.Payload))
	}
	out.setFlow(way.from.String(), way.to.String())
	out.bulk = !l.SYN && !l.FIN && !l.RST
	if head := httpHead.FindSubmatch(l.Payload); head != nil {
		out.Kind, out.bulk = "HTTP", false
		what := string(head[1]) + string(head[2])
		out.Summary = fmt.Sprintf("%s, %v → %v len %d", cut(line(what), maxHead), way.from, way.to, len(l.Payload))
	}
}

// maxHead bounds what is shown of a request's first line.
const maxHead = 200

// httpHead is the first line of a request, in the first group, or of an answer,
// in the second, without the version.
var httpHead = regexp.MustCompile(`^(?:((?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) [^ \r\n]+) HTTP/1\.[01]|HTTP/1\.[01] ([0-9]{3}[^\r\n]*))\r?\n`)

func tcpFlags(l *layers.TCP) string {
	var set []string
	for _, f := range []struct {
		name string
		on   bool
	}{{"SYN", l.SYN}, {"FIN", l.FIN}, {"RST", l.RST}, {"PSH", l.PSH}, {"URG", l.URG}, {"ACK", l.ACK}} {
		if f.on {
			set = append(set, f.name)
		}
	}
	return strings.Join(set, ", ")
}

// payload shows a payload as text where most of it is.
func payload(raw []byte, told *layer) {
	readable := 0
	for _, c := range raw {
		if c == '\n' || c == '\r' || c == '\t' || c >= ' ' && c <= '~' {
			readable++
		}
	}
	if len(raw) == 0 || readable*10 < len(raw)*9 {
		return
	}
	for i, part := range strings.SplitAfter(cut(string(raw), maxText), "\n") {
		if part != "" {
			told.Fields = append(told.Fields, field{"line " + strconv.Itoa(i+1), shown(part)})
		}
	}
}
