package netstack

import (
	"bytes"
	"net/netip"
	"slices"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"nexus/source/api/netapi"
	"nexus/source/services/netstackd/guard"
)

// neighbours mirrors virt0's ARP table from the library's events, so that the guard can ask about one address without
// copying the table. The library bounds the table (512 entries); the mirror drops what it drops.
type neighbours struct {
	mu    sync.Mutex
	table map[[4]byte]neighbour
}

type neighbour struct {
	state guard.State
	mac   [6]byte
}

func (n *neighbours) init() { n.table = make(map[[4]byte]neighbour) }

// Lookup implements guard.Neighbours.
func (n *neighbours) Lookup(ip [4]byte) (guard.State, [6]byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	e := n.table[ip]
	return e.state, e.mac
}

// OnNeighborAdded implements stack.NUDDispatcher.
func (n *neighbours) OnNeighborAdded(id tcpip.NICID, e stack.NeighborEntry) { n.set(id, e) }

// OnNeighborChanged implements stack.NUDDispatcher.
func (n *neighbours) OnNeighborChanged(id tcpip.NICID, e stack.NeighborEntry) { n.set(id, e) }

// OnNeighborRemoved implements stack.NUDDispatcher.
func (n *neighbours) OnNeighborRemoved(id tcpip.NICID, e stack.NeighborEntry) {
	if id != ethernetID || e.Addr.Len() != 4 {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.table, e.Addr.As4())
}

func (n *neighbours) set(id tcpip.NICID, e stack.NeighborEntry) {
	if id != ethernetID || e.Addr.Len() != 4 {
		return
	}
	known := neighbour{state: stateOf(e.State)}
	copy(known.mac[:], e.LinkAddr)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.table[e.Addr.As4()] = known
}

func stateOf(s stack.NeighborState) guard.State {
	switch s {
	case stack.Incomplete:
		return guard.Incomplete
	case stack.Stale:
		return guard.Stale
	case stack.Reachable, stack.Delay, stack.Probe, stack.Static:
		return guard.Live
	default:
		return guard.Unknown
	}
}

// unresolved reports whether the neighbour that packets to an address go to has not answered ARP. The library tells this to
// sockets of TCP and UDP, not to those of ICMP.
func (s *Stack) unresolved(to tcpip.Address) bool {
	route, err := s.ip.FindRoute(0, tcpip.Address{}, to, ipv4.ProtocolNumber, false)
	if err != nil {
		return false
	}
	defer route.Release()
	if route.NICID() != ethernetID {
		return false
	}
	hop := route.NextHop()
	if hop.Len() != 4 {
		hop = to // without a gateway
	}
	state, _ := s.neighbours.Lookup(hop.As4())
	return state == guard.Unknown || state == guard.Incomplete
}

var stateNames = [...]string{
	stack.Unknown:     "unknown",
	stack.Incomplete:  "incomplete",
	stack.Reachable:   "reachable",
	stack.Stale:       "stale",
	stack.Delay:       "delay",
	stack.Probe:       "probe",
	stack.Static:      "static",
	stack.Unreachable: "unreachable",
}

// ARP returns virt0's neighbour table, ordered by address.
func (s *Stack) ARP() []netapi.Neighbour {
	entries, err := s.ip.Neighbors(ethernetID, ipv4.ProtocolNumber)
	if err != nil {
		return nil // no such interface yet: no neighbours
	}
	slices.SortFunc(entries, func(a, b stack.NeighborEntry) int {
		return bytes.Compare(a.Addr.AsSlice(), b.Addr.AsSlice())
	})
	all := make([]netapi.Neighbour, 0, len(entries))
	for _, e := range entries {
		n := netapi.Neighbour{Interface: Ethernet, IP: netip.AddrFrom4(e.Addr.As4()), State: stateNames[e.State]}
		copy(n.MAC[:], e.LinkAddr)
		all = append(all, n)
	}
	return all
}
