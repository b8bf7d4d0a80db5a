package netstack

import (
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"nexus/source/api/netapi"
	"nexus/source/services/netstackd/guard"
)

const loopbackMTU = 65536

// iface is one interface.
type iface struct {
	name    string
	id      tcpip.NICID
	mac     [6]byte
	mtu     int
	up      bool
	address netapi.Address
}

// find returns the named interface, or nil.
func (s *Stack) find(name string) *iface {
	for _, i := range s.interfaces {
		if i.name == name {
			return i
		}
	}
	return nil
}

// Interfaces returns all interfaces, lo first.
func (s *Stack) Interfaces() []netapi.Interface {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]netapi.Interface, 0, len(s.interfaces))
	for _, i := range s.interfaces {
		all = append(all, i.describe())
	}
	return all
}

// Interface returns one interface, or ErrNoInterface.
func (s *Stack) Interface(name string) (netapi.Interface, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.find(name)
	if i == nil {
		return netapi.Interface{}, ErrNoInterface
	}
	return i.describe(), nil
}

func (i *iface) describe() netapi.Interface {
	return netapi.Interface{Name: i.name, MAC: i.mac, MTU: i.mtu, Up: i.up, Address: i.address}
}

// SetUp sets an interface up or down; it may be so already. A down interface keeps its address.
func (s *Stack) SetUp(name string, up bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.find(name)
	if i == nil {
		return ErrNoInterface
	}
	if i.up == up {
		return nil
	}
	change := s.ip.DisableNIC
	if up {
		change = s.ip.EnableNIC
	}
	if err := change(i.id); err != nil {
		return fault("set "+name, err)
	}
	i.up = up
	s.route()
	if up {
		s.announce(i)
	}
	return nil
}

// SetAddress replaces an interface's address, the zero Address removes it. Sockets stay open; those bound to the old address
// find no way any more. Errors: ErrNoInterface, ErrBadAddress, *Fault.
func (s *Stack) SetAddress(name string, a netapi.Address) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.find(name)
	if i == nil {
		return ErrNoInterface
	}
	if a.Prefix.IsValid() && !i.accepts(a) {
		return ErrBadAddress
	}
	if i.address.Prefix == a.Prefix {
		i.address = a // a renewed lease
		s.route()
		return nil
	}
	err := s.replaceAddress(i, a.Prefix)
	if err != nil {
		a = netapi.Address{}
	}
	i.address = a
	s.route()
	s.announce(i)
	return err
}

// replaceAddress removes the interface's address and adds the new one, unless it is the zero Prefix. When it fails the interface
// has none.
func (s *Stack) replaceAddress(i *iface, fresh netip.Prefix) error {
	if old := i.address.Prefix; old.IsValid() {
		if err := s.ip.RemoveAddress(i.id, addressOf(old.Addr())); err != nil {
			return fault("remove address", err)
		}
	}
	if !fresh.IsValid() {
		return nil
	}
	address := tcpip.ProtocolAddress{
		Protocol:          ipv4.ProtocolNumber,
		AddressWithPrefix: tcpip.AddressWithPrefix{Address: addressOf(fresh.Addr()), PrefixLen: fresh.Bits()},
	}
	if err := s.ip.AddProtocolAddress(i.id, address, stack.AddressProperties{}); err != nil {
		return fault("add address", err)
	}
	return nil
}

// accepts reports whether a can be the interface's address, and its gateway is reachable through it.
func (i *iface) accepts(a netapi.Address) bool {
	ip, bits := a.Prefix.Addr(), a.Prefix.Bits()
	if !ip.Is4() || bits < 1 {
		return false
	}
	if ip.IsUnspecified() || ip.IsMulticast() || ip.As4()[0] >= 240 || ip.IsLoopback() != (i.id == loopbackID) {
		return false
	}
	if bits <= 30 && (ip == a.Prefix.Masked().Addr() || ip == lastOf(a.Prefix)) {
		return false // the network's own address, or its broadcast
	}
	if !a.Gateway.IsValid() {
		return true
	}
	return a.Gateway.Is4() && a.Prefix.Contains(a.Gateway) && a.Gateway != ip
}

// lastOf returns the broadcast address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	ip := p.Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		ip[bit/8] |= 1 << (7 - bit%8)
	}
	return netip.AddrFrom4(ip)
}

// route builds the routing table from the interfaces: it never depends on the order in which they came up.
func (s *Stack) route() {
	var table []tcpip.Route
	for _, i := range s.interfaces {
		if !i.up || !i.address.Prefix.IsValid() {
			continue
		}
		table = append(table, tcpip.Route{Destination: subnetOf(i.address.Prefix.Masked()), NIC: i.id})
		if i.id == loopbackID {
			continue
		}
		table = append(table, tcpip.Route{Destination: header.IPv4Broadcast.WithPrefix().Subnet(), NIC: i.id})
		if i.address.Gateway.IsValid() {
			table = append(table, tcpip.Route{
				Destination: header.IPv4EmptySubnet, Gateway: addressOf(i.address.Gateway), NIC: i.id,
			})
		}
	}
	s.ip.SetRouteTable(table)
	s.tellGuard()
}

// tellGuard tells the guard virt0's address.
func (s *Stack) tellGuard() {
	i := s.find(Ethernet)
	if i == nil {
		return
	}
	if !i.up || !i.address.Prefix.IsValid() {
		s.guard.SetAddress([4]byte{}, 0)
		return
	}
	s.guard.SetAddress(i.address.Prefix.Addr().As4(), i.address.Prefix.Bits())
}

// announce sends a gratuitous ARP for an Ethernet interface that is up and has an address.
func (s *Stack) announce(i *iface) {
	if i.id == loopbackID || !i.up || !i.address.Prefix.IsValid() {
		return
	}
	frame := guard.Announcement(i.mac, i.address.Prefix.Addr().As4())
	_ = s.port.SendFrame(frame[:]) // counted when it is dropped; nothing depends on it
}

func addressOf(a netip.Addr) tcpip.Address { return tcpip.AddrFrom4(a.As4()) }

func subnetOf(p netip.Prefix) tcpip.Subnet {
	return tcpip.AddressWithPrefix{Address: addressOf(p.Addr()), PrefixLen: p.Bits()}.Subnet()
}
