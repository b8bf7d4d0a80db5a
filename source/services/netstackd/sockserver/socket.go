package sockserver

import (
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"

	"nexus/source/libs/sockns"
	"nexus/source/services/netstackd/netstack"
)

// chunk is the piece that is moved for a socket at once, in bytes. It holds the longest datagram with its address.
const chunk = 64 << 10

// phase is what a stream is doing.
type phase int

const (
	idle phase = iota
	connecting
	connected
	listening
	closed
)

// socket is one of the namespace's sockets. It lives from the record that opens it until the program's end of its data pair
// is closed.
type socket struct {
	server   *Server
	id       uint32
	datagram bool
	entry    waiter.Entry
	data     *os.File // the server's end of the data pair
	raw      syscall.RawConn

	listed   bool          // guarded by the ready list's mutex
	starved  bool          // guarded by the server's mutex
	writable chan struct{} // holds a token when the stack may have room again
	gone     chan struct{} // closed by close, once the address is free
	late     chan struct{} // closed when a socket that is to be closed waits for room no longer

	mu       sync.Mutex
	endpoint tcpip.Endpoint
	queue    *waiter.Queue
	phase    phase
	request  sockns.Record   // the CONNECT under way
	bound    sockns.Address  // of the last BIND that succeeded
	options  []sockns.Record // those set so far, each once

	// The pump's:
	left      []byte // taken from the stack, not yet taken by the program
	finished  bool   // nothing more comes from the stack
	discard   bool   // the program takes nothing any more
	drainLock sync.Mutex
	draining  bool // a goroutine waits for the program to take left, which is that goroutine's meanwhile
}

// newSocket makes a socket of a stack's endpoint and the server's end of a data pair, which it takes over. The caller has
// reserved a socket.
func (s *Server) newSocket(id uint32, datagram bool, endpoint tcpip.Endpoint, queue *waiter.Queue, fd int) (*socket, error) {
	file, raw, err := pollable(fd, "socket")
	if err != nil {
		endpoint.Close()
		return nil, err
	}
	one := &socket{
		server: s, id: id, datagram: datagram, endpoint: endpoint, queue: queue, data: file, raw: raw,
		writable: make(chan struct{}, 1), gone: make(chan struct{}), late: make(chan struct{}),
	}
	if s.small() {
		endpoint.SocketOptions().SetSendBufferSize(smallBuffer, true)
		endpoint.SocketOptions().SetReceiveBufferSize(smallBuffer, true)
	}
	return one, nil
}

// run registers the socket and starts to serve it.
func (s *socket) run() {
	s.entry.Init(s, waiter.AllEvents) // its callback takes none of the locks that are held to change it
	s.queue.EventRegister(&s.entry)
	s.server.active.Go(s.upload)
	if !s.server.enter(s) {
		s.close(true)
		return
	}
	s.server.ready.add(s) // something may have come before the entry was there
}

// ep returns the stack's end of the socket.
func (s *socket) ep() tcpip.Endpoint {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.endpoint
}

// NotifyEvent implements waiter.EventListener. The stack calls it with its locks held.
func (s *socket) NotifyEvent(mask waiter.EventMask) {
	if mask&(waiter.WritableEvents|waiter.EventErr|waiter.EventHUp) != 0 {
		select {
		case s.writable <- struct{}{}:
		default:
		}
	}
	s.server.ready.add(s)
}

// close ends the socket: abruptly, with a reset, or in good order, in which the stack still sends what it has. Only the
// first call does something, and others do not wait for it: gone tells its end. The register forgets the socket last, so
// that who does not find it there finds its address free.
func (s *socket) close(abrupt bool) {
	s.mu.Lock()
	if s.phase == closed {
		s.mu.Unlock()
		return
	}
	s.phase = closed
	endpoint := s.endpoint
	s.queue.EventUnregister(&s.entry)
	s.mu.Unlock()

	if abrupt {
		endpoint.Abort()
	}
	endpoint.Close()
	s.server.leave(s)
	close(s.gone)
	s.data.Close()
	s.server.release()
}

// fail tells the program that its stream is broken and ends the data pair.
func (s *socket) fail(err tcpip.Error) {
	errno := netstack.ErrnoOf(err)
	if errno == syscall.ECONNRESET {
		s.server.count.streamResets.Add(1)
	}
	s.server.event(s, errno)
	s.shutdown(unix.SHUT_RDWR)
}

// shutdown ends directions of the data pair; one that is closed already needs it no more.
func (s *socket) shutdown(how int) {
	_ = s.raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), how) })
}

// serve does what the stack has for the socket, at most one bounded piece, and reports whether there may be more.
func (s *socket) serve(buf []byte) bool {
	s.mu.Lock()
	phase := s.phase
	s.mu.Unlock()
	switch {
	case phase == closed:
		return false
	case phase == listening:
		return s.accept()
	case phase == connecting:
		return s.finishConnect()
	case s.datagram:
		return s.downloadDatagram(buf)
	case phase == connected:
		return s.downloadStream(buf)
	default:
		return false
	}
}

// local and remote return the socket's addresses, as far as it has them.
func (s *socket) local() sockns.Address { return s.localOf(s.ep()) }

func (s *socket) localOf(endpoint tcpip.Endpoint) sockns.Address {
	a, err := endpoint.GetLocalAddress()
	if err != nil {
		return sockns.Address{}
	}
	return addressOf(a)
}

func (s *socket) remote() sockns.Address {
	a, err := s.ep().GetRemoteAddress()
	if err != nil {
		return sockns.Address{}
	}
	return addressOf(a)
}

// addressOf returns an address in the record's form; the stack's unspecified address is 0.0.0.0.
func addressOf(a tcpip.FullAddress) sockns.Address {
	to := sockns.Address{Family: sockns.FamilyIP4, Port: a.Port}
	if a.Addr.Len() == 4 {
		ip := a.Addr.As4()
		copy(to.IP[:], ip[:])
	}
	return to
}

// fullAddress returns the stack's form of an address; 0.0.0.0 is its unspecified one.
func fullAddress(a sockns.Address) tcpip.FullAddress {
	to := tcpip.FullAddress{Port: a.Port}
	if ip := [4]byte(a.IP[:4]); ip != [4]byte{} {
		to.Addr = tcpip.AddrFrom4(ip)
	}
	return to
}

// protocolOf returns the transport for a socket's type and protocol.
func protocolOf(kind, protocol uint32) (number tcpip.TransportProtocolNumber, datagram, ok bool) {
	switch {
	case kind == sockns.Stream && protocol == sockns.TCP:
		return tcp.ProtocolNumber, false, true
	case kind == sockns.Datagram && protocol == sockns.UDP:
		return udp.ProtocolNumber, true, true
	default:
		return 0, false, false
	}
}
