package sockserver

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"nexus/source/libs/sockns"
	"nexus/source/services/netstackd/netstack"
)

// handle carries out one record; fd came beside it, or is -1.
func (s *Server) handle(r *sockns.Record, fd int) {
	if r.Op == sockns.Open {
		s.openSocket(r, fd)
		return
	}
	closeDescriptor(fd)
	one := s.find(r.ID)
	if one == nil && r.Op == sockns.Close {
		return // its data pair has told already
	}
	if one == nil {
		// Closed already, or it could not be opened.
		s.count.unknownSocket.Add(1)
		s.reply(r, syscall.ENOBUFS, sockns.Address{}, sockns.Address{})
		return
	}
	switch r.Op {
	case sockns.Bind:
		one.bind(r)
	case sockns.Connect:
		one.connect(r)
	case sockns.Listen:
		one.listen(r)
	case sockns.Option:
		one.option(r)
	case sockns.Shutdown:
		one.shutDatagram(r)
	case sockns.Close:
		one.freeAddress()
	default:
		s.count.badRecord.Add(1)
		s.reply(r, syscall.ENOSYS, sockns.Address{}, sockns.Address{})
	}
}

// openSocket makes the socket of an OPEN. One that can not be made shows its program ENOBUFS and a closed data pair.
func (s *Server) openSocket(r *sockns.Record, fd int) {
	refuse := func() {
		closeDescriptor(fd)
		s.send(&sockns.Record{Op: sockns.Error, ID: r.ID, Errno: int32(syscall.ENOBUFS)}, -1)
	}
	if fd < 0 {
		s.count.noDescriptor.Add(1)
		refuse()
		return
	}
	protocol, datagram, ok := protocolOf(r.Arg0, r.Arg1)
	if !ok || r.ID&sockns.ServerID != 0 {
		s.count.badRecord.Add(1)
		refuse()
		return
	}
	if !s.reserve(nil) {
		s.count.tooMany.Add(1)
		refuse()
		return
	}
	endpoint, queue, err := s.stack.Socket(protocol)
	if err != nil {
		s.count.tooMany.Add(1)
		refuse()
		s.release()
		return
	}
	one, failed := s.newSocket(r.ID, datagram, endpoint, queue, fd)
	if failed != nil {
		s.count.noDescriptor.Add(1)
		s.release()
		return
	}
	s.count.opened.Add(1)
	one.run()
}

// bind gives the socket its own address.
func (s *socket) bind(r *sockns.Record) {
	if r.Local.Family != sockns.FamilyIP4 {
		s.server.reply(r, syscall.EAFNOSUPPORT, sockns.Address{}, sockns.Address{})
		return
	}
	err := s.ep().Bind(fullAddress(r.Local))
	if err == nil {
		s.mu.Lock()
		s.bound = s.localOf(s.endpoint)
		s.mu.Unlock()
	}
	s.server.reply(r, netstack.ErrnoOf(err), s.local(), sockns.Address{})
}

// listen makes a stream accept connections.
func (s *socket) listen(r *sockns.Record) {
	if s.datagram {
		s.server.reply(r, syscall.EOPNOTSUPP, sockns.Address{}, sockns.Address{})
		return
	}
	if s.local().Port == 0 { // as Linux does: a listener without a port gets one
		if err := s.ep().Bind(tcpip.FullAddress{}); err != nil {
			s.server.reply(r, netstack.ErrnoOf(err), sockns.Address{}, sockns.Address{})
			return
		}
	}
	backlog := min(max(int(int32(r.Arg0)), 1), maxBacklog)
	err := s.ep().Listen(backlog)
	if err == nil {
		s.mu.Lock()
		if s.phase == idle {
			s.phase = listening
		}
		s.mu.Unlock()
	}
	s.server.reply(r, netstack.ErrnoOf(err), s.local(), sockns.Address{})
	s.server.ready.add(s)
}

// connect gives the socket its peer. A stream's reply comes when the connection stands or failed.
func (s *socket) connect(r *sockns.Record) {
	if s.datagram {
		s.connectDatagram(r)
		return
	}
	if r.Remote.Family != sockns.FamilyIP4 {
		s.server.reply(r, syscall.EAFNOSUPPORT, sockns.Address{}, sockns.Address{})
		return
	}
	s.mu.Lock()
	phase := s.phase
	s.mu.Unlock()
	if phase != idle {
		s.server.reply(r, refusal(phase), s.local(), s.remote())
		return
	}
	err := s.ep().Connect(destination(r.Remote))
	s.mu.Lock()
	if s.phase == idle {
		// Only from here on the pump may ask the stack how the connection is doing.
		s.phase, s.request = connecting, *r
	}
	s.mu.Unlock()
	if _, started := err.(*tcpip.ErrConnectStarted); started {
		s.server.ready.add(s) // it may stand already, over lo
		return
	}
	s.connectDone(err)
}

// refusal is what connect says of a stream that is not idle.
func refusal(p phase) syscall.Errno {
	switch p {
	case connecting:
		return syscall.EALREADY
	case connected, listening:
		return syscall.EISCONN
	default:
		return syscall.EINVAL
	}
}

// destination returns where a connection to an address goes: 0.0.0.0 is this machine, as on Linux.
func destination(a sockns.Address) tcpip.FullAddress {
	to := fullAddress(a)
	if to.Addr.Len() == 0 {
		to.Addr = tcpip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return to
}

// finishConnect looks how a connection under way is doing. It reports whether there is more to do.
func (s *socket) finishConnect() bool {
	s.mu.Lock()
	remote := s.request.Remote
	s.mu.Unlock()
	// Asked again, the stack tells how far it is.
	switch err := s.ep().Connect(destination(remote)); err.(type) {
	case *tcpip.ErrAlreadyConnecting, *tcpip.ErrConnectStarted:
		return false
	case nil, *tcpip.ErrAlreadyConnected:
		s.connectDone(nil)
		return true
	default:
		s.connectDone(err)
		return false
	}
}

// connectDone answers the CONNECT under way.
func (s *socket) connectDone(err tcpip.Error) {
	s.mu.Lock()
	if s.phase != connecting {
		s.mu.Unlock()
		return
	}
	request := s.request
	s.phase = connected
	s.mu.Unlock()
	local, remote := s.local(), s.remote()
	if err == nil {
		s.server.count.connected.Add(1)
	} else {
		s.renew()
	}
	s.server.reply(&request, netstack.ErrnoOf(err), local, remote)
	s.server.ready.add(s)
}

// renew gives a socket whose connect failed a new endpoint, with the address and options of the old one: a program may try again,
// which the stack's endpoint can not.
func (s *socket) renew() {
	endpoint, queue, err := s.server.stack.Socket(tcp.ProtocolNumber)
	if err != nil {
		return // the old one says that it has failed
	}
	s.mu.Lock()
	if s.phase == closed {
		s.mu.Unlock()
		endpoint.Close()
		return
	}
	old := s.endpoint
	bound, options := s.bound, s.options
	s.queue.EventUnregister(&s.entry)
	s.endpoint, s.queue, s.phase = endpoint, queue, idle
	queue.EventRegister(&s.entry)
	s.mu.Unlock()
	old.Close()

	for i := range options {
		s.apply(&options[i])
	}
	if bound.Family == sockns.FamilyIP4 {
		_ = endpoint.Bind(fullAddress(bound)) // somebody may have taken the port meanwhile: connect chooses another
	}
}

// connectDatagram sets or dissolves a datagram socket's peer.
func (s *socket) connectDatagram(r *sockns.Record) {
	var err tcpip.Error
	switch r.Remote.Family {
	case sockns.FamilyNone:
		err = s.ep().Disconnect()
	case sockns.FamilyIP4:
		err = s.ep().Connect(destination(r.Remote))
	default:
		err = &tcpip.ErrAddressFamilyNotSupported{}
	}
	s.server.reply(r, netstack.ErrnoOf(err), s.local(), s.remote())
}

// shutDatagram ends directions of a datagram socket; how is shutdown(2)'s.
func (s *socket) shutDatagram(r *sockns.Record) {
	if !s.datagram || r.Arg0 > 2 {
		s.server.count.badRecord.Add(1)
		return
	}
	flags := []tcpip.ShutdownFlags{tcpip.ShutdownRead, tcpip.ShutdownWrite, tcpip.ShutdownRead | tcpip.ShutdownWrite}[r.Arg0]
	if err := s.ep().Shutdown(flags); err != nil {
		s.server.event(s, netstack.ErrnoOf(err))
	}
}

// flushTimeout bounds how long the records that follow wait until the stack has room for what a closed datagram socket's
// program wrote.
const flushTimeout = 50 * time.Millisecond

// freeAddress closes a socket whose program has closed it, so that the records that follow find its address free.
func (s *socket) freeAddress() {
	if s.datagram {
		// Upload ends, and closes the socket, once it has taken what is on the pair.
		s.shutdown(unix.SHUT_RD)
		timer := time.AfterFunc(flushTimeout, func() { close(s.late) })
		defer timer.Stop()
		<-s.gone
		return
	}
	s.mu.Lock()
	holdsConnection := s.phase == connected
	s.mu.Unlock()
	if !holdsConnection {
		s.close(false)
		<-s.gone // it may have been upload that closed it
	}
}
