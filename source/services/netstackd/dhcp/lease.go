package dhcp

import (
	"encoding/binary"
	"math/bits"
	"net"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// leaseOf reads and checks the lease in an OFFER or ACK. Server may be missing; everything else must be there and make sense.
func leaseOf(m *dhcpv4.DHCPv4) (Lease, bool) {
	ip, ok := ip4(m.YourIPAddr)
	length, maskOK := maskLength(m.Options.Get(dhcpv4.OptionSubnetMask))
	if !ok || !maskOK || !usable(ip) {
		return Lease{}, false
	}
	l := Lease{Prefix: netip.PrefixFrom(ip, length)}
	routers := m.Options.Get(dhcpv4.OptionRouter)
	if l.Router, ok = first(routers); !ok || l.Router == ip || !isHost(l.Prefix, ip) || !isHost(l.Prefix, l.Router) {
		return Lease{}, false
	}
	seconds, ok := seconds(m, dhcpv4.OptionIPAddressLeaseTime)
	if !ok || seconds == 0 {
		return Lease{}, false
	}
	l.Duration = time.Duration(seconds) * time.Second
	l.timers(m)
	if server, ok := first(m.Options.Get(dhcpv4.OptionServerIdentifier)); ok && !server.IsUnspecified() {
		l.Server = server
	}
	servers := m.Options.Get(dhcpv4.OptionDomainNameServer)
	for ; len(servers) >= 4 && len(l.DNS) < maxDNSServers; servers = servers[4:] {
		l.DNS = append(l.DNS, netip.AddrFrom4([4]byte(servers)))
	}
	return l, true
}

// timers sets T1 and T2: the server's if 0 < T1 < T2 < lease, else a half and seven eighths (RFC 2131 section 4.4.5). None of
// it can overflow: 2^32 seconds are less than half of what a Duration holds.
func (l *Lease) timers(m *dhcpv4.DHCPv4) {
	t1, _ := seconds(m, dhcpv4.OptionRenewTimeValue)
	t2, _ := seconds(m, dhcpv4.OptionRebindingTimeValue)
	l.renew, l.rebind = time.Duration(t1)*time.Second, time.Duration(t2)*time.Second
	if l.renew <= 0 || l.renew >= l.rebind || l.rebind >= l.Duration {
		l.renew, l.rebind = l.Duration/2, l.Duration-l.Duration/8
	}
}

// seconds returns an option of 4 bytes.
func seconds(m *dhcpv4.DHCPv4, code dhcpv4.OptionCode) (uint32, bool) {
	b := m.Options.Get(code)
	if len(b) != 4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(b), true
}

// first returns the first address of an option.
func first(b []byte) (netip.Addr, bool) {
	if len(b) < 4 {
		return netip.Addr{}, false
	}
	return netip.AddrFrom4([4]byte(b)), true
}

func ip4(b net.IP) (netip.Addr, bool) {
	v4 := b.To4()
	if v4 == nil {
		return netip.Addr{}, false
	}
	return netip.AddrFrom4([4]byte(v4)), true
}

// usable reports whether a host may have the address.
func usable(ip netip.Addr) bool {
	return !ip.IsUnspecified() && !ip.IsLoopback() && !ip.IsMulticast() && ip.As4()[0] < 240 && ip.As4()[0] != 0
}

// isHost reports whether ip is a host's in the network: neither the network's own address nor its broadcast address (RFC 1122
// section 3.2.1.3).
func isHost(network netip.Prefix, ip netip.Addr) bool {
	b := ip.As4()
	all := uint32(1)<<(32-network.Bits()) - 1
	host := binary.BigEndian.Uint32(b[:]) & all
	return network.Contains(ip) && host != 0 && host != all
}

// maskLength returns the length of a contiguous mask of 1 to 30 bits: a network that holds a host and its router.
func maskLength(b []byte) (int, bool) {
	if len(b) != 4 {
		return 0, false
	}
	mask := binary.BigEndian.Uint32(b)
	length := bits.LeadingZeros32(^mask)
	if length < 1 || length > 30 || mask<<length != 0 {
		return 0, false
	}
	return length, true
}
