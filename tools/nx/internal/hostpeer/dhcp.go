package hostpeer

import (
	"net"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"nexus/tools/nx/internal/frame"
)

// leaseTime is the lease's length; a boot never comes near its renewal.
const leaseTime = time.Hour

// serveDHCP leases the guest's one address to it (RFC 2131), on the level of
// frames, so that it works the same on a TAP and on the wire.
func serveDHCP(link Link) (stop func()) {
	return link.Watch(func(raw []byte) {
		s := frame.Describe(raw)
		if !s.FromGuest() || s.DstPort != dhcpv4.ServerPort {
			return
		}
		reply := lease(s.Payload)
		if reply == nil {
			return
		}
		to := frame.Guest
		if reply.IsBroadcast() || reply.MessageType() == dhcpv4.MessageTypeNak {
			to = everyone
		}
		// A lost answer is asked for again.
		_ = link.Send(frame.UDP(frame.Host, to, dhcpv4.ServerPort, dhcpv4.ClientPort, reply.ToBytes()))
	})
}

// everyone is where answers to a client without an address go (section 4.1).
var everyone = frame.Station{MAC: frame.Broadcast, IP: netip.AddrFrom4([4]byte{255, 255, 255, 255})}

// lease is the server's answer to one message; nil for one that gets none.
func lease(message []byte) *dhcpv4.DHCPv4 {
	request, err := dhcpv4.FromBytes(message)
	if err != nil || request.OpCode != dhcpv4.OpcodeBootRequest {
		return nil
	}
	kind := answer(request)
	if kind == dhcpv4.MessageTypeNone {
		return nil
	}
	mods := []dhcpv4.Modifier{
		dhcpv4.WithMessageType(kind),
		dhcpv4.WithOption(dhcpv4.OptServerIdentifier(frame.Host.IP.AsSlice())),
	}
	if kind != dhcpv4.MessageTypeNak {
		mods = append(mods,
			dhcpv4.WithYourIP(frame.Guest.IP.AsSlice()),
			dhcpv4.WithNetmask(net.CIDRMask(frame.Subnet.Bits(), 32)),
			dhcpv4.WithOption(dhcpv4.OptRouter(frame.Host.IP.AsSlice())),
			dhcpv4.WithOption(dhcpv4.OptDNS(frame.DNS.AsSlice())),
			dhcpv4.WithLeaseTime(uint32(leaseTime/time.Second)))
	}
	reply, err := dhcpv4.NewReplyFromRequest(request, mods...)
	if err != nil {
		return nil
	}
	return reply
}

// answer is the kind of message that answers request.
func answer(request *dhcpv4.DHCPv4) dhcpv4.MessageType {
	switch request.MessageType() {
	case dhcpv4.MessageTypeDiscover:
		return dhcpv4.MessageTypeOffer
	case dhcpv4.MessageTypeRequest:
		if id := request.ServerIdentifier(); id != nil && !id.Equal(frame.Host.IP.AsSlice()) {
			return dhcpv4.MessageTypeNone // another server's offer was chosen
		}
		wanted := request.RequestedIPAddress()
		if wanted == nil {
			wanted = request.ClientIPAddr
		}
		if !wanted.Equal(frame.Guest.IP.AsSlice()) {
			return dhcpv4.MessageTypeNak
		}
		return dhcpv4.MessageTypeAck
	}
	return dhcpv4.MessageTypeNone
}
