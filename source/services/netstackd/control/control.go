// Package control serves netstackd's half of net.capnp: interfaces, addresses, DHCP, ping, the ARP table, counters and
// captures.
package control

import (
	"context"
	"errors"
	"net/netip"
	"syscall"
	"time"

	"capnproto.org/go/capnp/v3"

	"nexus/source/api/netapi"
	"nexus/source/api/netcapnp"
	"nexus/source/libs/channel"
	"nexus/source/services/netstackd/capture"
	"nexus/source/services/netstackd/netstack"
)

// Network is what is controlled; *netstack.Stack is its larger part.
type Network interface {
	Interfaces() []netapi.Interface
	Interface(name string) (netapi.Interface, error)
	SetUp(name string, up bool) error
	ARP() []netapi.Neighbour
	Ping(ctx context.Context, to netip.Addr, count int, timeout time.Duration, size int) (int, []netapi.Echo, error)

	// SetStatic gives an interface an address by hand, which ends DHCP on it.
	SetStatic(name string, a netapi.Address) error
	// DHCP obtains or confirms a lease. The error is os.ErrDeadlineExceeded when nobody answered.
	DHCP(ctx context.Context, name string) (netapi.Address, error)
	// Each calls f with every counter, in a fixed order.
	Each(f func(name string, value uint64))
}

// Server answers the requests of any number of clients.
type Server struct {
	network Network
	taps    *capture.Taps
	ctx     context.Context
}

// New returns a server; calls that wait end with ctx.
func New(ctx context.Context, network Network, taps *capture.Taps) *Server {
	return &Server{network, taps, ctx}
}

// Serve answers the clients until all are gone or ctx is done.
func (s *Server) Serve(conns []*channel.Conn) { channel.ServeAll(s.ctx, conns, s) }

// Refuse implements channel.Handler.
func (s *Server) Refuse(reply *capnp.Segment, err error) { netapi.Refuse(reply, err) }

// Handle implements channel.Handler.
func (s *Server) Handle(call *channel.Call) error {
	reply, err := netcapnp.NewRootReply(call.Reply)
	if err != nil {
		return err
	}
	return explain(s.answer(netcapnp.Request(call.Request), reply))
}

// answer fills in the reply to one request.
func (s *Server) answer(request netcapnp.Request, reply netcapnp.Reply) error {
	switch request.Which() {
	case netcapnp.Request_Which_info:
		return s.info(reply)
	case netcapnp.Request_Which_stats:
		return s.stats(reply)
	case netcapnp.Request_Which_ifUp:
		return s.setUp(reply, request.IfUp, true)
	case netcapnp.Request_Which_ifDown:
		return s.setUp(reply, request.IfDown, false)
	case netcapnp.Request_Which_ifList:
		return s.list(reply)
	case netcapnp.Request_Which_dhcp:
		return s.dhcp(request, reply)
	case netcapnp.Request_Which_addrSet:
		return s.addrSet(request.AddrSet(), reply)
	case netcapnp.Request_Which_addrGet:
		return s.addrGet(request, reply)
	case netcapnp.Request_Which_ping:
		return s.ping(request.Ping(), reply)
	case netcapnp.Request_Which_arp:
		return s.arp(reply)
	case netcapnp.Request_Which_captureOpen:
		return s.captureOpen(request.CaptureOpen(), reply)
	case netcapnp.Request_Which_captureRead:
		return s.captureRead(request.CaptureRead(), reply)
	case netcapnp.Request_Which_captureClose:
		return s.captureClose(request.CaptureClose(), reply)
	default:
		return netapi.Refused(syscall.ENOSYS, "netstackd does not serve this request: ask virtionetd")
	}
}

// explain gives errors of the stack their number and a sentence that says what to do.
func explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, netstack.ErrNoInterface), errors.Is(err, capture.ErrNoInterface):
		return netapi.Refused(syscall.ENODEV, "no such interface: there are lo and virt0")
	case errors.Is(err, netstack.ErrBadAddress):
		return netapi.Refused(syscall.EINVAL, "not an IPv4 address that can be used here: give an address and prefix length, "+
			"with a gateway inside the prefix or none")
	case errors.Is(err, capture.ErrTooMany):
		return netapi.Refused(syscall.EMFILE, err.Error())
	case errors.Is(err, capture.ErrNoCapture):
		return netapi.Refused(syscall.EBADF, err.Error())
	}
	var fault *netstack.Fault
	if errors.As(err, &fault) {
		return netapi.Refused(fault.Errno(), fault.Error())
	}
	return err
}

func (s *Server) info(reply netcapnp.Reply) error {
	i, err := s.network.Interface(netstack.Ethernet)
	if err != nil {
		return err
	}
	to, err := reply.NewInfo()
	if err != nil {
		return err
	}
	return netapi.SetInterface(to, i)
}

func (s *Server) stats(reply netcapnp.Reply) error {
	var all []netapi.Counter
	s.network.Each(func(name string, value uint64) { all = append(all, netapi.Counter{Name: name, Value: value}) })
	return netapi.SetStats(reply, all)
}

func (s *Server) setUp(reply netcapnp.Reply, named func() (string, error), up bool) error {
	name, err := named()
	if err != nil {
		return err
	}
	if err := s.network.SetUp(name, up); err != nil {
		return err
	}
	reply.SetDone()
	return nil
}

func (s *Server) list(reply netcapnp.Reply) error {
	all := s.network.Interfaces()
	to, err := reply.NewIfList(int32(len(all)))
	if err != nil {
		return err
	}
	for i, one := range all {
		if err := netapi.SetInterface(to.At(i), one); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) dhcp(request netcapnp.Request, reply netcapnp.Reply) error {
	name, err := request.Dhcp()
	if err != nil {
		return err
	}
	a, err := s.network.DHCP(s.ctx, name)
	if err != nil {
		return err
	}
	return setAddress(reply, a)
}

func setAddress(reply netcapnp.Reply, a netapi.Address) error {
	to, err := reply.NewAddress()
	if err != nil {
		return err
	}
	return netapi.SetAddress(to, a)
}

func (s *Server) addrSet(request netcapnp.Request_addrSet, reply netcapnp.Reply) error {
	name, err := request.Name()
	if err != nil {
		return err
	}
	from, err := request.Address()
	if err != nil {
		return err
	}
	a, err := netapi.AddressOf(from)
	if err != nil {
		return err
	}
	if !a.Prefix.IsValid() {
		return netstack.ErrBadAddress
	}
	a.Origin, a.Lease = netcapnp.Origin_static, 0
	if err := s.network.SetStatic(name, a); err != nil {
		return err
	}
	reply.SetDone()
	return nil
}

func (s *Server) addrGet(request netcapnp.Request, reply netcapnp.Reply) error {
	name, err := request.AddrGet()
	if err != nil {
		return err
	}
	i, err := s.network.Interface(name)
	if err != nil {
		return err
	}
	if !i.Address.Prefix.IsValid() {
		return netapi.Refused(syscall.EADDRNOTAVAIL, "the interface has no address: use dhcp or addrSet")
	}
	return setAddress(reply, i.Address)
}

var errPingBounds = netapi.Refused(syscall.EINVAL, "ping: count must be 1 to 64, payload at most 1472 bytes, time-out 1 to 10000 ms")

func (s *Server) ping(request netcapnp.Request_ping, reply netcapnp.Reply) error {
	data, err := request.Address()
	if err != nil {
		return err
	}
	to, ok := netip.AddrFromSlice(data)
	if !ok {
		return netstack.ErrBadAddress
	}
	count, size := int(request.Count()), int(request.Size())
	timeout := time.Duration(request.TimeoutMs()) * time.Millisecond
	if count < 1 || count > netstack.MaxPings || size > netstack.MaxPingPayload || timeout <= 0 || timeout > netstack.MaxPingTimeout {
		return errPingBounds
	}
	sent, echoes, err := s.network.Ping(s.ctx, to, count, timeout, size)
	if err != nil {
		return err
	}
	reply.SetPing()
	reply.Ping().SetSent(uint16(sent))
	list, err := reply.Ping().NewEchoes(int32(len(echoes)))
	if err != nil {
		return err
	}
	for i, e := range echoes {
		list.At(i).SetSequence(uint16(e.Sequence))
		list.At(i).SetTtl(uint8(e.TTL))
		list.At(i).SetSize(uint16(e.Size))
		list.At(i).SetNanoseconds(uint64(e.RoundTrip))
	}
	return nil
}

func (s *Server) arp(reply netcapnp.Reply) error {
	all := s.network.ARP()
	list, err := reply.NewArp(int32(len(all)))
	if err != nil {
		return err
	}
	for i, n := range all {
		to := list.At(i)
		mac := n.MAC[:]
		if n.MAC == ([6]byte{}) {
			mac = nil
		}
		err := errors.Join(to.SetInterface(n.Interface), to.SetIp(n.IP.AsSlice()), to.SetMac(mac), to.SetState(n.State))
		if err != nil {
			return err
		}
	}
	return nil
}
