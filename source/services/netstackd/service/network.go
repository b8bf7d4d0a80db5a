package service

import (
	"net/netip"

	"nexus/source/api/netapi"
	"nexus/source/api/netcapnp"
	"nexus/source/services/netstackd/control"
	"nexus/source/services/netstackd/netstack"
)

// loopback is what lo always gets.
var loopback = netapi.Address{
	Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 8), Origin: netcapnp.Origin_loopback,
}

// network is the service as control sees it.
type network struct {
	*netstack.Stack
	*addresses
	s *Service
}

var _ control.Network = network{}

// Each implements control.Network.
func (n network) Each(f func(name string, value uint64)) {
	under := func(prefix string) func(string, uint64) {
		return func(name string, value uint64) { f(prefix+name, value) }
	}
	n.s.endpoint.Each(under("virt0."))
	n.s.guard.Each(under("virt0.rx.drop."))
	f("virt0.driver-restarts", n.s.nic.Restarts())
	n.s.addresses.counters().Each(under("dhcp."))
	n.s.stack.Each(f)
	n.s.taps.Each(under("capture."))
	if n.s.sockets != nil {
		n.s.sockets.Each(under("sockets."))
	}
}
