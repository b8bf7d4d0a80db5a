// Package netclitest plays a guest for tests of the network commands: its services answer net.capnp and fetch.capnp over
// real channels, from memory, and can be told to refuse, to die, to lie or to be silent.
package netclitest

import (
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"capnproto.org/go/capnp/v3"

	"nexus/source/api/fetchapi"
	"nexus/source/api/netapi"
	"nexus/source/api/netcapnp"
	"nexus/source/api/netcli"
	"nexus/source/libs/channel"
)

// Guest is a guest's services. Its fields are set before it is used.
type Guest struct {
	Interfaces []netapi.Interface
	Neighbours []netapi.Neighbour
	Counters   map[string][]netapi.Counter // of each service
	Lease      netapi.Address

	Frames  [][]byte        // what recv gets; then it times out
	Packets []netapi.Packet // what a capture reads; then there are none
	Bodies  map[string]string
	Status  int // of http replies; 0 is 200

	// Ping answers one echo; nil echoes at once with a round trip of 812 µs.
	Ping func(to netip.Addr, size int) ([]netapi.Echo, error)
	// Refuse, if set, may refuse a request of net.capnp before it is looked at.
	Refuse func(service string, request netcapnp.Request) error
	// Faults are services that do not speak the protocol; see Dies and the others.
	Faults map[string]Fault
	// Missing are services that there are not.
	Missing map[string]bool

	mu      sync.Mutex
	running sync.WaitGroup
	sent    [][]byte
	opened  []string
}

// New returns a guest with lo and virt0; it ends with the test.
func New(t testing.TB) *Guest {
	g := &Guest{
		Interfaces: []netapi.Interface{
			{Name: "lo", MTU: 65536, Up: true, Address: netapi.Address{Prefix: netip.MustParsePrefix("127.0.0.1/8"), Origin: netcapnp.Origin_loopback}},
			{Name: "virt0", MAC: [6]byte{2, 0, 0, 0, 0, 1}, MTU: 1500, Up: true, Address: lease()},
		},
		Neighbours: []netapi.Neighbour{
			{Interface: "virt0", IP: netip.MustParseAddr("10.0.2.2"), MAC: [6]byte{2, 0, 0, 0, 0, 2}, State: "reachable"},
			{Interface: "virt0", IP: netip.MustParseAddr("10.0.2.9"), State: "incomplete"},
		},
		Counters: map[string][]netapi.Counter{
			netcli.Netstackd:  {{Name: "ip.received", Value: 12}, {Name: "virt0.rx.drop.martian", Value: 0}},
			netcli.Virtionetd: {{Name: "nic.rx.frames", Value: 104}, {Name: "nic.rx.drop.short", Value: 2}},
			netcli.Controld:   {{Name: "sessions.opened", Value: 3}},
		},
		Lease:  lease(),
		Bodies: map[string]string{"http://127.0.0.1:8080/hello": "hello from echod\n"},
	}
	t.Cleanup(g.running.Wait)
	return g
}

func lease() netapi.Address {
	return netapi.Address{
		Prefix: netip.MustParsePrefix("10.0.2.15/24"), Gateway: netip.MustParseAddr("10.0.2.2"),
		DNS: []netip.Addr{netip.MustParseAddr("10.0.2.3")}, Origin: netcapnp.Origin_dhcp, Lease: 24 * time.Hour,
	}
}

// Open implements netcli.Services.
func (g *Guest) Open(service string) (*channel.Conn, error) {
	g.mu.Lock()
	g.opened = append(g.opened, service)
	g.mu.Unlock()
	if g.Missing[service] {
		return nil, netcli.ErrNoService
	}
	if fault := g.Faults[service]; fault != nil {
		return fault.open(&g.running)
	}
	near, far, err := channel.Pair()
	if err != nil {
		return nil, err
	}
	g.Serve(service, far)
	return near, nil
}

// Serve makes conn a channel to a service.
func (g *Guest) Serve(service string, conn *channel.Conn) {
	var handler channel.Handler = &netServer{g, service}
	if service == netcli.Fetchd {
		handler = fetchapi.Handler{Fetches: &fetches{guest: g}}
	}
	g.running.Go(func() { _ = channel.Serve(conn, handler) }) // a client that broke its channel is what is tested
}

// Opened returns which services were opened, in order.
func (g *Guest) Opened() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.opened
}

// Sent returns the frames that were sent.
func (g *Guest) Sent() [][]byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.sent
}

// SetCounter changes a service's counter, the first being 0, while the guest is used.
func (g *Guest) SetCounter(service string, index int, value uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.Counters[service][index].Value = value
}

// netServer is one service's half of net.capnp.
type netServer struct {
	guest   *Guest
	service string
}

// Refuse implements channel.Handler.
func (s *netServer) Refuse(reply *capnp.Segment, err error) { netapi.Refuse(reply, err) }

// Handle implements channel.Handler.
func (s *netServer) Handle(call *channel.Call) error {
	reply, err := netcapnp.NewRootReply(call.Reply)
	if err != nil {
		return err
	}
	request := netcapnp.Request(call.Request)
	if s.guest.Refuse != nil {
		if err := s.guest.Refuse(s.service, request); err != nil {
			return err
		}
	}
	g := s.guest
	g.mu.Lock()
	defer g.mu.Unlock()
	switch request.Which() {
	case netcapnp.Request_Which_stats:
		return netapi.SetStats(reply, g.Counters[s.service])
	case netcapnp.Request_Which_send, netcapnp.Request_Which_recv:
		return g.raw(request, reply)
	case netcapnp.Request_Which_captureOpen, netcapnp.Request_Which_captureRead, netcapnp.Request_Which_captureClose:
		return g.capture(request, reply)
	case netcapnp.Request_Which_ping:
		return g.ping(request.Ping(), reply)
	case netcapnp.Request_Which_arp:
		return g.arp(reply)
	case netcapnp.Request_Which_ifList:
		list, err := reply.NewIfList(int32(len(g.Interfaces)))
		if err != nil {
			return err
		}
		for i, one := range g.Interfaces {
			if err := netapi.SetInterface(list.At(i), one); err != nil {
				return err
			}
		}
		return nil
	}
	return g.change(request, reply)
}

// find returns the interface that a request names.
func (g *Guest) find(named func() (string, error)) (*netapi.Interface, error) {
	name, err := named()
	if err != nil {
		return nil, err
	}
	for i := range g.Interfaces {
		if g.Interfaces[i].Name == name {
			return &g.Interfaces[i], nil
		}
	}
	return nil, netapi.Refused(syscall.ENODEV, "no such interface: there are lo and virt0")
}

// change answers what shows or changes one interface.
func (g *Guest) change(request netcapnp.Request, reply netcapnp.Reply) error {
	named := map[netcapnp.Request_Which]func() (string, error){
		netcapnp.Request_Which_ifUp: request.IfUp, netcapnp.Request_Which_ifDown: request.IfDown,
		netcapnp.Request_Which_dhcp: request.Dhcp, netcapnp.Request_Which_addrGet: request.AddrGet,
		netcapnp.Request_Which_addrSet: request.AddrSet().Name,
	}[request.Which()]
	if named == nil {
		return netapi.Refused(syscall.ENOSYS, "not served here")
	}
	i, err := g.find(named)
	if err != nil {
		return err
	}
	switch request.Which() {
	case netcapnp.Request_Which_ifUp, netcapnp.Request_Which_ifDown:
		i.Up = request.Which() == netcapnp.Request_Which_ifUp
		reply.SetDone()
		return nil
	case netcapnp.Request_Which_addrSet:
		from, err := request.AddrSet().Address()
		if err != nil {
			return err
		}
		i.Address, err = netapi.AddressOf(from)
		i.Address.Origin = netcapnp.Origin_static
		reply.SetDone()
		return err
	case netcapnp.Request_Which_dhcp:
		i.Address = g.Lease
	}
	if !i.Address.Prefix.IsValid() {
		return netapi.Refused(syscall.EADDRNOTAVAIL, "the interface has no address: use dhcp or addrSet")
	}
	to, err := reply.NewAddress()
	if err != nil {
		return err
	}
	return netapi.SetAddress(to, i.Address)
}

// raw answers send and recv.
func (g *Guest) raw(request netcapnp.Request, reply netcapnp.Reply) error {
	if request.Which() == netcapnp.Request_Which_send {
		frame, err := request.Send()
		g.sent = append(g.sent, append([]byte(nil), frame...))
		reply.SetDone()
		return err
	}
	if len(g.Frames) == 0 {
		return netapi.Refused(syscall.ETIMEDOUT, "recv: no frame came in")
	}
	frame := g.Frames[0]
	g.Frames = g.Frames[1:]
	return reply.SetFrame(frame)
}

// capture answers for the one capture, which never drops a packet.
func (g *Guest) capture(request netcapnp.Request, reply netcapnp.Reply) error {
	switch request.Which() {
	case netcapnp.Request_Which_captureOpen:
		if name, err := request.CaptureOpen().Interface(); err != nil || name != "" {
			if _, err := g.find(request.CaptureOpen().Interface); err != nil {
				return err
			}
		}
		reply.SetCapture(1)
		return nil
	case netcapnp.Request_Which_captureClose:
		reply.SetDone()
		return nil
	}
	if len(g.Packets) == 0 {
		return netapi.Refused(syscall.ETIMEDOUT, "captureRead: no packet passed")
	}
	packets := g.Packets
	g.Packets = nil
	return netapi.SetPackets(reply, packets, 0)
}

func (g *Guest) ping(request netcapnp.Request_ping, reply netcapnp.Reply) error {
	data, err := request.Address()
	if err != nil {
		return err
	}
	to, _ := netip.AddrFromSlice(data)
	size := int(request.Size())
	echoes := []netapi.Echo{{TTL: 64, Size: size, RoundTrip: 812 * time.Microsecond}}
	if g.Ping != nil {
		if echoes, err = g.Ping(to, size); err != nil {
			return err
		}
	}
	reply.SetPing()
	reply.Ping().SetSent(request.Count())
	list, err := reply.Ping().NewEchoes(int32(len(echoes)))
	if err != nil {
		return err
	}
	for i, e := range echoes {
		list.At(i).SetTtl(uint8(e.TTL))
		list.At(i).SetSize(uint16(e.Size))
		list.At(i).SetNanoseconds(uint64(e.RoundTrip))
	}
	return nil
}

func (g *Guest) arp(reply netcapnp.Reply) error {
	list, err := reply.NewArp(int32(len(g.Neighbours)))
	if err != nil {
		return err
	}
	for i, n := range g.Neighbours {
		to := list.At(i)
		if err := to.SetInterface(n.Interface); err != nil {
			return err
		}
		if err := to.SetIp(n.IP.AsSlice()); err != nil {
			return err
		}
		if err := to.SetState(n.State); err != nil {
			return err
		}
		if n.MAC == ([6]byte{}) {
			continue
		}
		if err := to.SetMac(n.MAC[:]); err != nil {
			return err
		}
	}
	return nil
}
