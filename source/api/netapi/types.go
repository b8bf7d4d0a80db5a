package netapi

import (
	"net/netip"
	"os"
	"time"

	"nexus/source/api/netcapnp"
)

// Interface is one network interface.
type Interface struct {
	Name    string
	MAC     [6]byte // zero for lo
	MTU     int     // bytes of IP
	Up      bool
	Address Address // zero when it has none

	// Instance is the serving process's number; SetInterface sets it by itself. Another number means that the server was
	// started anew and has forgotten its clients.
	Instance uint64
}

// Address is an interface's IPv4 configuration. The zero Address means none.
type Address struct {
	Prefix  netip.Prefix // host address and length, e.g. 10.0.2.15/24
	Gateway netip.Addr   // invalid for none
	DNS     []netip.Addr
	Origin  netcapnp.Origin
	Lease   time.Duration // as granted, whole seconds; 0 unless Origin is dhcp
}

// Attachment is the shared memory of virtionetd's frame queue. The descriptors are the caller's to close.
type Attachment struct {
	Interface  Interface
	SlotSize   int // bytes
	Slots      int
	FramesSize int // bytes to map of Frames
	QueueSize  int // bytes to map of Queue

	Frames, Queue, RxBell, TxBell int // descriptors
}

// Counter is one statistic.
type Counter struct {
	Name  string
	Value uint64
}

// Echo is one ICMP echo reply.
type Echo struct {
	Sequence  int
	TTL       int
	Size      int // payload bytes
	RoundTrip time.Duration
}

// Neighbour is one entry of the ARP table.
type Neighbour struct {
	Interface string
	IP        netip.Addr
	MAC       [6]byte // zero while unresolved
	State     string
}

// Packet is one packet that a capture has seen: an Ethernet frame on virt0, an IP packet on lo.
type Packet struct {
	Interface string
	Outgoing  bool
	Time      time.Time // when it passed netstackd
	Length    int       // bytes of the whole packet
	Data      []byte    // its first bytes, at most MaxPacketData
}

// bytesOf returns the 4 bytes of an IPv4 address, or none of an invalid one.
func bytesOf(a netip.Addr) []byte {
	if !a.IsValid() {
		return nil
	}
	return a.Unmap().AsSlice()
}

// ip4 returns the IPv4 address in data, or the invalid one if there is none.
func ip4(data []byte) netip.Addr {
	if len(data) != 4 {
		return netip.Addr{}
	}
	return netip.AddrFrom4([4]byte(data))
}

// SetAddress stores a in its message form.
func SetAddress(to netcapnp.Address, a Address) error {
	if err := to.SetIp(bytesOf(a.Prefix.Addr())); err != nil {
		return err
	}
	to.SetPrefixLength(uint8(max(a.Prefix.Bits(), 0)))
	if err := to.SetGateway(bytesOf(a.Gateway)); err != nil {
		return err
	}
	to.SetOrigin(a.Origin)
	to.SetLeaseSeconds(uint32(min(a.Lease/time.Second, 1<<32-1)))
	dns, err := to.NewDns(int32(len(a.DNS)))
	if err != nil {
		return err
	}
	for i, server := range a.DNS {
		if err := dns.Set(i, bytesOf(server)); err != nil {
			return err
		}
	}
	return nil
}

// AddressOf reads an address from its message form; Prefix is invalid unless it holds an IPv4 address with a length of
// at most 32.
func AddressOf(from netcapnp.Address) (Address, error) {
	ip, err := from.Ip()
	if err != nil {
		return Address{}, err
	}
	gateway, err := from.Gateway()
	if err != nil {
		return Address{}, err
	}
	a := Address{
		Gateway: ip4(gateway),
		Origin:  from.Origin(),
		Lease:   time.Duration(from.LeaseSeconds()) * time.Second,
	}
	if addr := ip4(ip); addr.IsValid() {
		a.Prefix = netip.PrefixFrom(addr, int(from.PrefixLength()))
	}
	dns, err := from.Dns()
	if err != nil {
		return Address{}, err
	}
	const maxDNS = 16
	for i := range min(dns.Len(), maxDNS) {
		data, err := dns.At(i)
		if err != nil {
			return Address{}, err
		}
		a.DNS = append(a.DNS, ip4(data))
	}
	return a, nil
}

// SetInterface stores i in its message form.
func SetInterface(to netcapnp.Interface, i Interface) error {
	if err := to.SetName(i.Name); err != nil {
		return err
	}
	if i.MAC != ([6]byte{}) {
		if err := to.SetMac(i.MAC[:]); err != nil {
			return err
		}
	}
	to.SetMtu(uint32(i.MTU))
	to.SetUp(i.Up)
	to.SetInstance(uint64(os.Getpid()))
	if !i.Address.Prefix.IsValid() {
		return nil
	}
	address, err := to.NewAddress()
	if err != nil {
		return err
	}
	return SetAddress(address, i.Address)
}

// InterfaceOf reads an interface from its message form.
func InterfaceOf(from netcapnp.Interface) (Interface, error) {
	name, err := from.Name()
	if err != nil {
		return Interface{}, err
	}
	mac, err := from.Mac()
	if err != nil {
		return Interface{}, err
	}
	i := Interface{Name: name, MTU: int(from.Mtu()), Up: from.Up(), Instance: from.Instance()}
	copy(i.MAC[:], mac)
	if !from.HasAddress() {
		return i, nil
	}
	address, err := from.Address()
	if err != nil {
		return Interface{}, err
	}
	i.Address, err = AddressOf(address)
	return i, err
}

// SetStats stores counters as the stats reply.
func SetStats(reply netcapnp.Reply, counters []Counter) error {
	list, err := reply.NewStats(int32(len(counters)))
	if err != nil {
		return err
	}
	for i, c := range counters {
		list.At(i).SetValue(c.Value)
		if err := list.At(i).SetName(c.Name); err != nil {
			return err
		}
	}
	return nil
}

// SetAttachment stores the sizes of a as the attach reply; its descriptors go beside it in the order Frames, Queue, RxBell,
// TxBell.
func SetAttachment(reply netcapnp.Reply, a Attachment) error {
	to, err := reply.NewAttach()
	if err != nil {
		return err
	}
	to.SetSlotSize(uint32(a.SlotSize))
	to.SetSlots(uint32(a.Slots))
	to.SetFramesSize(uint64(a.FramesSize))
	to.SetQueueSize(uint64(a.QueueSize))
	i, err := to.NewInterface()
	if err != nil {
		return err
	}
	return SetInterface(i, a.Interface)
}
