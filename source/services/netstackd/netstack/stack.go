// Package netstack is the seam between netstackd and the library that does IP: two interfaces, lo and virt0, their addresses
// and routes, sockets, echo requests and counters, over gvisor's tcpip.
//
// What stands in front of the library on the way in (package guard) and below it (package link) is ours, so that a leaner
// path for ARP, ICMP or UDP can take frames before the library does, and sockets are handed out as the library's Endpoint
// interface, which such a path can implement too.
package netstack

import (
	"errors"
	"sync"
	"syscall"
	"time"

	"gvisor.dev/gvisor/pkg/log"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"

	"nexus/source/services/netstackd/capture"
	"nexus/source/services/netstackd/guard"
	"nexus/source/services/netstackd/link"
)

// Names of the interfaces.
const (
	Loopback = "lo"
	Ethernet = "virt0"
)

// The library's numbers of the interfaces.
const (
	loopbackID tcpip.NICID = 1
	ethernetID tcpip.NICID = 2
)

// TCP buffers, in bytes. The machine has 128 MiB for everything: a connection begins small and grows with its use.
const (
	bufferMin     = 4 << 10
	bufferDefault = 64 << 10
	bufferMax     = 512 << 10
)

// Ephemeral ports, as Linux has them (ip_local_port_range).
const (
	firstPort = 32768
	lastPort  = 60999
)

// timeWait is how long a closed connection's port pair stays reserved; RFC 9293 asks for 2 MSL, here 10 s each.
const timeWait = 20 * time.Second

// Errors of the operations on interfaces.
var (
	ErrNoInterface = errors.New("no such interface")
	ErrBadAddress  = errors.New("not an IPv4 address that an interface can have")
)

// Config is what a Stack takes from outside.
type Config struct {
	Clock tcpip.Clock  // nil: the machine's
	Seed  *uint64      // nil: the system's randomness; else the same seed gives the same ports and sequence numbers
	Tap   *capture.Tap // of lo; nil for none
}

// Stack is the network. It is safe for concurrent use.
type Stack struct {
	ip         *stack.Stack
	clock      tcpip.Clock
	neighbours neighbours

	mu         sync.Mutex // guards what follows
	interfaces []*iface   // lo first
	port       *link.Endpoint
	guard      *guard.Guard
}

// silence is where the library's log goes: what it has to say is in the counters.
type silence struct{}

func (silence) Write(b []byte) (int, error) { return len(b), nil }

// New returns a stack with lo, which is down, and no other interface.
func New(config Config) (*Stack, error) {
	log.SetTarget(log.GoogleEmitter{Writer: &log.Writer{Next: silence{}}})
	clock := config.Clock
	if clock == nil {
		clock = tcpip.NewStdClock()
	}
	s := &Stack{clock: clock}
	s.neighbours.init()
	options := stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4},
		Clock:              clock,
		HandleLocal:        true,
		NUDDisp:            &s.neighbours,
		// No packet filter: building the default tables took a fifth of the stack's start in the guest.
		IPTables: &stack.IPTables{},
	}
	options.RandSource, options.SecureRNG = randomness(config.Seed)
	s.ip = stack.New(options)
	if err := s.tune(); err != nil {
		return nil, err
	}
	if err := s.addLoopback(config.Tap); err != nil {
		return nil, err
	}
	return s, nil
}

// tune sets the library's options.
func (s *Stack) tune() error {
	sack := tcpip.TCPSACKEnabled(true)
	cubic := tcpip.CongestionControlOption("cubic")
	moderate := tcpip.TCPModerateReceiveBufferOption(true)
	wait := tcpip.TCPTimeWaitTimeoutOption(timeWait)
	for _, option := range []tcpip.SettableTransportProtocolOption{
		&sack, &cubic, &moderate, &wait,
		&tcpip.TCPSendBufferSizeRangeOption{Min: bufferMin, Default: bufferDefault, Max: bufferMax},
		&tcpip.TCPReceiveBufferSizeRangeOption{Min: bufferMin, Default: bufferDefault, Max: bufferMax},
	} {
		if err := s.ip.SetTransportProtocolOption(tcp.ProtocolNumber, option); err != nil {
			return fault("tcp options", err)
		}
	}
	if err := s.ip.SetPortRange(firstPort, lastPort); err != nil {
		return fault("port range", err)
	}
	return nil
}

func (s *Stack) addLoopback(tap *capture.Tap) error {
	options := stack.NICOptions{Name: Loopback, Disabled: true}
	if err := s.ip.CreateNICWithOptions(loopbackID, link.NewLoopback(loopbackMTU, tap), options); err != nil {
		return fault("create lo", err)
	}
	s.interfaces = append(s.interfaces, &iface{name: Loopback, id: loopbackID, mtu: loopbackMTU})
	return nil
}

// AddEthernet adds virt0, which is down, over port, protected by g. It may be called once.
func (s *Stack) AddEthernet(mac [6]byte, port *link.Endpoint, g *guard.Guard) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	options := stack.NICOptions{Name: Ethernet, Disabled: true}
	if err := s.ip.CreateNICWithOptions(ethernetID, port, options); err != nil {
		return fault("create virt0", err)
	}
	s.interfaces = append(s.interfaces, &iface{name: Ethernet, id: ethernetID, mac: mac, mtu: int(port.MTU())})
	s.port, s.guard = port, g
	return nil
}

// Neighbours returns the ARP table as a guard wants it.
func (s *Stack) Neighbours() guard.Neighbours { return &s.neighbours }

// Clock returns the stack's clock.
func (s *Stack) Clock() tcpip.Clock { return s.clock }

// Socket returns a new TCP or UDP socket and the queue of its events.
func (s *Stack) Socket(protocol tcpip.TransportProtocolNumber) (tcpip.Endpoint, *waiter.Queue, tcpip.Error) {
	queue := new(waiter.Queue)
	endpoint, err := s.ip.NewEndpoint(protocol, ipv4.ProtocolNumber, queue)
	return endpoint, queue, err
}

// Close ends the stack and waits for its goroutines.
func (s *Stack) Close() {
	s.ip.Destroy()
}

// Fault is an error of the library, with the step that failed.
type Fault struct {
	Step string
	Err  tcpip.Error
}

func (f *Fault) Error() string { return f.Step + ": " + f.Err.String() }

// Errno returns the Linux error that says it.
func (f *Fault) Errno() syscall.Errno { return ErrnoOf(f.Err) }

func fault(step string, err tcpip.Error) error { return &Fault{step, err} }
