// Package dhcpstub is a DHCP server for one client on no wire at all: it takes the client's Ethernet frames and returns its own.
// It always gives the same lease, the one that QEMU's user network gives too: 10.0.2.15/24, gateway 10.0.2.2, DNS 10.0.2.3.
package dhcpstub

import (
	"net/netip"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"nexus/source/services/netstackd/dhcp"
)

// What the server gives.
var (
	Address = netip.AddrFrom4([4]byte{10, 0, 2, 15})
	Mask    = [4]byte{255, 255, 255, 0}
	Gateway = netip.AddrFrom4([4]byte{10, 0, 2, 2})
	DNS     = netip.AddrFrom4([4]byte{10, 0, 2, 3})
)

// LeaseSeconds is the lease's duration: a day.
const LeaseSeconds = 86400

// MAC is the server's hardware address, as QEMU's user network has it.
var MAC = [6]byte{0x52, 0x55, 0x0a, 0x00, 0x02, 0x02}

// Handle returns the reply to a client's frame, or nil when it deserves none.
func Handle(frame []byte) []byte {
	from, payload, ok := dhcp.ParseRequest(frame)
	if !ok {
		return nil
	}
	m, err := dhcpv4.FromBytes(payload)
	if err != nil || m.OpCode != dhcpv4.OpcodeBootRequest || string(m.ClientHWAddr) != string(from[:]) {
		return nil
	}
	switch m.MessageType() {
	case dhcpv4.MessageTypeDiscover:
		return reply(from, m, dhcpv4.MessageTypeOffer)
	case dhcpv4.MessageTypeRequest:
		return request(from, m)
	default:
		return nil
	}
}

// request answers a REQUEST (RFC 2131 section 4.3.2): ACK for the one address there is, NAK for any other, silence when
// another server was chosen.
func request(from [6]byte, m *dhcpv4.DHCPv4) []byte {
	if server := m.Options.Get(dhcpv4.OptionServerIdentifier); server != nil && string(server) != string(Gateway.AsSlice()) {
		return nil
	}
	wanted := m.Options.Get(dhcpv4.OptionRequestedIPAddress)
	if wanted == nil {
		wanted = m.ClientIPAddr.To4() // renewing
	}
	if string(wanted) != string(Address.AsSlice()) {
		return reply(from, m, dhcpv4.MessageTypeNak)
	}
	return reply(from, m, dhcpv4.MessageTypeAck)
}

// reply builds the server's frame.
func reply(to [6]byte, m *dhcpv4.DHCPv4, kind dhcpv4.MessageType) []byte {
	zero := []byte{0, 0, 0, 0}
	r := &dhcpv4.DHCPv4{
		OpCode: dhcpv4.OpcodeBootReply, HWType: m.HWType, TransactionID: m.TransactionID, Flags: m.Flags,
		ClientIPAddr: m.ClientIPAddr, YourIPAddr: zero, ServerIPAddr: zero, GatewayIPAddr: zero,
		ClientHWAddr: m.ClientHWAddr, Options: dhcpv4.Options{},
	}
	r.UpdateOption(dhcpv4.OptMessageType(kind))
	r.UpdateOption(dhcpv4.OptServerIdentifier(Gateway.AsSlice()))
	if kind != dhcpv4.MessageTypeNak {
		r.YourIPAddr = Address.AsSlice()
		r.UpdateOption(dhcpv4.OptSubnetMask(Mask[:]))
		r.UpdateOption(dhcpv4.OptRouter(Gateway.AsSlice()))
		r.UpdateOption(dhcpv4.OptDNS(DNS.AsSlice()))
		seconds := []byte{LeaseSeconds >> 24, LeaseSeconds >> 16 & 0xff, LeaseSeconds >> 8 & 0xff, LeaseSeconds & 0xff}
		r.UpdateOption(dhcpv4.OptGeneric(dhcpv4.OptionIPAddressLeaseTime, seconds))
	}
	broadcast := netip.AddrFrom4([4]byte{255, 255, 255, 255})
	return dhcp.BuildFrame(MAC, to, netip.AddrPortFrom(Gateway, dhcp.ServerPort), netip.AddrPortFrom(broadcast, dhcp.ClientPort), r.ToBytes())
}
