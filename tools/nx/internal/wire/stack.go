package wire

import (
	"context"
	"fmt"
	"math/rand"
	"net"
	"sync"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/link/ethernet"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"nexus/tools/nx/internal/frame"
)

// nic is the one interface of a stack.
const nic tcpip.NICID = 1

// queueLen is how many frames may wait to leave; more are dropped, as a full
// card drops them.
const queueLen = 1024

// Stack is one station on a link: it answers ARP and ping, and opens sockets.
type Stack struct {
	station frame.Station
	stack   *stack.Stack
	ep      *channel.Endpoint
	unwatch func()
	cancel  context.CancelFunc
	pump    sync.WaitGroup
}

// NewStack puts station on link. Its random numbers (ports, sequence numbers)
// are the same in every run. Close it before the link.
func NewStack(link *Link, station frame.Station) (*Stack, error) {
	s := &Stack{
		station: station,
		ep:      channel.New(queueLen, frame.MaxLen, tcpip.LinkAddress(station.MAC)),
	}
	s.stack = stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4},
		RandSource:         &fixedSource{src: rand.NewSource(1)},
		SecureRNG:          &fixedReader{src: rand.New(rand.NewSource(2))},
	})
	if e := s.stack.CreateNIC(nic, ethernet.New(s.ep)); e != nil {
		return nil, fmt.Errorf("wire: stack: %v", e)
	}
	address := tcpip.ProtocolAddress{
		Protocol: ipv4.ProtocolNumber,
		AddressWithPrefix: tcpip.AddressWithPrefix{
			Address: tcpip.AddrFrom4(station.IP.As4()), PrefixLen: frame.Subnet.Bits(),
		},
	}
	if e := s.stack.AddProtocolAddress(nic, address, stack.AddressProperties{}); e != nil {
		return nil, fmt.Errorf("wire: stack: %v", e)
	}
	s.stack.SetRouteTable([]tcpip.Route{{Destination: address.AddressWithPrefix.Subnet(), NIC: nic}})

	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.pump.Go(func() { s.transmit(ctx, link) })
	s.unwatch = link.Watch(s.receive)
	return s, nil
}

// receive gives a frame to the stack if it is addressed to this station.
func (s *Stack) receive(raw []byte) {
	if len(raw) < header.EthernetMinimumSize {
		return
	}
	dst := header.Ethernet(raw).DestinationAddress()
	if dst != tcpip.LinkAddress(s.station.MAC) && dst != header.EthernetBroadcastAddress {
		return
	}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(raw)})
	s.ep.InjectInbound(0, pkt)
	pkt.DecRef()
}

// transmit sends what the stack queued. A frame that cannot be sent is lost
// and counted by the link; protocols that care retransmit.
func (s *Stack) transmit(ctx context.Context, link *Link) {
	for {
		pkt := s.ep.ReadContext(ctx)
		if pkt == nil {
			return
		}
		view := pkt.ToView()
		_ = link.Send(view.AsSlice())
		view.Release()
		pkt.DecRef()
	}
}

// Close ends the stack's sockets and goroutines.
func (s *Stack) Close() {
	s.unwatch()
	s.stack.Close()
	s.cancel()
	s.pump.Wait()
	s.stack.Wait()
}

// ListenPacket opens a UDP socket on the station's address.
func (s *Stack) ListenPacket(port uint16) (net.PacketConn, error) {
	addr := s.address(port)
	c, err := gonet.DialUDP(s.stack, &addr, nil, ipv4.ProtocolNumber)
	if err != nil {
		return nil, fmt.Errorf("wire: udp %d: %w", port, err)
	}
	return c, nil
}

// Listen opens a TCP listener on the station's address.
func (s *Stack) Listen(port uint16) (net.Listener, error) {
	l, err := gonet.ListenTCP(s.stack, s.address(port), ipv4.ProtocolNumber)
	if err != nil {
		return nil, fmt.Errorf("wire: tcp %d: %w", port, err)
	}
	return l, nil
}

// Dial opens a TCP connection to another station on the link.
func (s *Stack) Dial(ctx context.Context, to frame.Station, port uint16) (net.Conn, error) {
	remote := tcpip.FullAddress{NIC: nic, Addr: tcpip.AddrFrom4(to.IP.As4()), Port: port}
	c, err := gonet.DialContextTCP(ctx, s.stack, remote, ipv4.ProtocolNumber)
	if err != nil {
		return nil, fmt.Errorf("wire: dial %v:%d: %w", to.IP, port, err)
	}
	return c, nil
}

func (s *Stack) address(port uint16) tcpip.FullAddress {
	return tcpip.FullAddress{NIC: nic, Addr: tcpip.AddrFrom4(s.station.IP.As4()), Port: port}
}

// fixedSource is a seeded source that goroutines may share.
type fixedSource struct {
	mu  sync.Mutex
	src rand.Source
}

func (f *fixedSource) Int63() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.src.Int63()
}

func (f *fixedSource) Seed(seed int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.src.Seed(seed)
}

// fixedReader is a seeded stream of bytes that goroutines may share.
type fixedReader struct {
	mu  sync.Mutex
	src *rand.Rand
}

func (f *fixedReader) Read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.src.Read(p)
}
