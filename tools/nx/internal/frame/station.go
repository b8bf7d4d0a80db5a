// Package frame builds and describes the Ethernet frames that the host and the
// guest exchange: ARP, ICMP echo, UDP and DHCP over IPv4.
package frame

import (
	"net"
	"net/netip"
)

// Station is one end of the wire.
type Station struct {
	MAC net.HardwareAddr
	IP  netip.Addr
}

// The two ends, and the subnet they share. The guest's MAC is the
// specification's; the addresses are those of QEMU's own user network, so that
// one expectation fits every back end.
var (
	Host   = Station{net.HardwareAddr{2, 0, 0, 0, 0, 2}, netip.MustParseAddr("10.0.2.2")}
	Guest  = Station{net.HardwareAddr{2, 0, 0, 0, 0, 1}, netip.MustParseAddr("10.0.2.15")}
	DNS    = netip.MustParseAddr("10.0.2.3")
	Subnet = netip.MustParsePrefix("10.0.2.0/24")
)

// Broadcast is the Ethernet broadcast address.
var Broadcast = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// MaxLen is the longest frame either end sends: a 1500 byte MTU and the
// Ethernet header.
const MaxLen = 1514
