package link

import (
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"nexus/source/services/netstackd/capture"
)

// Loopback implements stack.LinkEndpoint for lo: what the stack sends comes in again at once, in the goroutine that sends. It
// holds no packet, so it needs no bound.
type Loopback struct {
	mtu        uint32
	tap        *capture.Tap
	dispatcher atomic.Pointer[dispatcher]
}

var _ stack.LinkEndpoint = (*Loopback)(nil)

// NewLoopback returns a loopback link for IP packets of up to mtu bytes. tap, which may be nil, sees each once, as it is sent.
func NewLoopback(mtu int, tap *capture.Tap) *Loopback { return &Loopback{mtu: uint32(mtu), tap: tap} }

// WritePackets implements stack.LinkWriter.
func (l *Loopback) WritePackets(packets stack.PacketBufferList) (int, tcpip.Error) {
	d := l.dispatcher.Load()
	for _, packet := range packets.AsSlice() {
		if d == nil {
			break // lo is down
		}
		// A fresh packet, as it would have come from a wire: the payload alone.
		payload := packet.ToBuffer()
		l.record(payload)
		if packet.NetworkProtocolNumber == header.IPv4ProtocolNumber {
			payload = l.echoed(payload)
		}
		in := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: payload})
		d.DeliverNetworkPacket(packet.NetworkProtocolNumber, in)
		in.DecRef()
	}
	return packets.Len(), nil
}

// record shows the tap a packet.
func (l *Loopback) record(packet buffer.Buffer) {
	if l.tap.Watched() {
		l.tap.Sent(packet.Flatten())
	}
}

// echoed turns an ICMP echo request to an address of virt0's into its reply. Such a packet comes over lo too, where the library
// knows the address only for the moment and therefore does not answer; the tap sees the reply too. All other packets stay what
// they are.
func (l *Loopback) echoed(packet buffer.Buffer) buffer.Buffer {
	view, ok := packet.PullUp(0, header.IPv4MinimumSize)
	if !ok {
		return packet
	}
	ip := header.IPv4(view.AsSlice())
	at := int(ip.HeaderLength())
	if ip.TransportProtocol() != header.ICMPv4ProtocolNumber || at < header.IPv4MinimumSize ||
		header.IsV4LoopbackAddress(ip.DestinationAddress()) {
		return packet
	}
	whole := packet.Flatten()
	if len(whole) < at+header.ICMPv4MinimumSize || header.ICMPv4(whole[at:]).Type() != header.ICMPv4Echo {
		return packet
	}
	packet.Release()
	reply := header.IPv4(whole) // swapping its addresses leaves the header's checksum right
	src, dst := reply.SourceAddress(), reply.DestinationAddress()
	reply.SetSourceAddress(dst)
	reply.SetDestinationAddress(src)
	message := header.ICMPv4(whole[at:])
	message.SetType(header.ICMPv4EchoReply)
	message.SetChecksum(0)
	message.SetChecksum(^checksum.Checksum(message, 0))
	l.tap.Sent(whole)
	return buffer.MakeWithData(whole)
}

// MTU implements stack.NetworkLinkEndpoint.
func (l *Loopback) MTU() uint32 { return l.mtu }

// SetMTU implements stack.NetworkLinkEndpoint; there is only one.
func (l *Loopback) SetMTU(uint32) {}

// MaxHeaderLength implements stack.NetworkLinkEndpoint.
func (l *Loopback) MaxHeaderLength() uint16 { return 0 }

// LinkAddress implements stack.NetworkLinkEndpoint.
func (l *Loopback) LinkAddress() tcpip.LinkAddress { return "" }

// SetLinkAddress implements stack.NetworkLinkEndpoint; there is none.
func (l *Loopback) SetLinkAddress(tcpip.LinkAddress) {}

// Capabilities implements stack.NetworkLinkEndpoint: no wire, no need for checksums.
func (l *Loopback) Capabilities() stack.LinkEndpointCapabilities {
	return stack.CapabilityLoopback | stack.CapabilityRXChecksumOffload | stack.CapabilityTXChecksumOffload
}

// Attach implements stack.NetworkLinkEndpoint.
func (l *Loopback) Attach(d stack.NetworkDispatcher) {
	if d == nil {
		l.dispatcher.Store(nil)
		return
	}
	l.dispatcher.Store(&dispatcher{d})
}

// IsAttached implements stack.NetworkLinkEndpoint.
func (l *Loopback) IsAttached() bool { return l.dispatcher.Load() != nil }

// Wait implements stack.NetworkLinkEndpoint; there is no goroutine.
func (l *Loopback) Wait() {}

// ARPHardwareType implements stack.NetworkLinkEndpoint.
func (l *Loopback) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareLoopback }

// AddHeader implements stack.NetworkLinkEndpoint.
func (l *Loopback) AddHeader(*stack.PacketBuffer) {}

// ParseHeader implements stack.NetworkLinkEndpoint.
func (l *Loopback) ParseHeader(*stack.PacketBuffer) bool { return true }

// Close implements stack.NetworkLinkEndpoint.
func (l *Loopback) Close() {}

// SetOnCloseAction implements stack.NetworkLinkEndpoint.
func (l *Loopback) SetOnCloseAction(func()) {}
