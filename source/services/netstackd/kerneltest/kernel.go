// Package kerneltest plays the kernel's half of a socket namespace for tests: it speaks package sockns over a socketpair and
// gives the test's program what the kernel would give it, as net.Conn, net.Listener and net.PacketConn.
package kerneltest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"nexus/source/libs/sockns"
)

// replyTimeout bounds a request, as the contract does.
const replyTimeout = 10 * time.Second

// Kernel is one namespace.
type Kernel struct {
	file *os.File
	out  sync.Mutex

	mu      sync.Mutex
	lastID  uint32
	lastSeq uint32
	waiting map[uint32]chan sockns.Record
	sockets map[uint32]*Socket
	ended   bool
	done    chan struct{}
}

// New returns a namespace and its serving end.
func New() (*Kernel, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	k := &Kernel{
		file: os.NewFile(uintptr(fds[0]), "namespace"), waiting: make(map[uint32]chan sockns.Record),
		sockets: make(map[uint32]*Socket), done: make(chan struct{}),
	}
	go k.read()
	return k, os.NewFile(uintptr(fds[1]), "sockets"), nil
}

// Close ends the namespace and waits until nothing of it runs any more.
func (k *Kernel) Close() {
	k.file.Close()
	<-k.done
}

// Send sends raw bytes to the server, as a kernel with a bug would; fd -1 means none.
func (k *Kernel) Send(data []byte, fd int) error {
	var rights []byte
	if fd >= 0 {
		rights = unix.UnixRights(fd)
	}
	k.out.Lock()
	defer k.out.Unlock()
	raw, err := k.file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Write(func(s uintptr) bool {
		failed = unix.Sendmsg(int(s), data, rights, nil, unix.MSG_NOSIGNAL)
		return failed != unix.EAGAIN
	})
	if err == nil {
		err = failed
	}
	return err
}

func (k *Kernel) send(r *sockns.Record, fd int) error {
	var b [sockns.Size]byte
	r.Encode(&b)
	return k.Send(b[:], fd)
}

// read handles what the server says until the namespace ends.
func (k *Kernel) read() {
	defer close(k.done)
	defer k.end()
	raw, err := k.file.SyscallConn()
	if err != nil {
		return
	}
	for {
		var b [sockns.Size]byte
		rights := make([]byte, 64)
		var n, rn int
		var failed error
		err := raw.Read(func(s uintptr) bool {
			n, rn, _, _, failed = unix.Recvmsg(int(s), b[:], rights, unix.MSG_CMSG_CLOEXEC)
			return failed != unix.EAGAIN
		})
		if err != nil || failed != nil || n != sockns.Size {
			return
		}
		var r sockns.Record
		r.Decode(&b)
		k.dispatch(&r, descriptor(rights[:rn]))
	}
}

func descriptor(control []byte) int {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil || len(messages) == 0 {
		return -1
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) == 0 {
		return -1
	}
	return fds[0]
}

// end fails everything that waits.
func (k *Kernel) end() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ended = true
	for _, c := range k.waiting {
		close(c)
	}
	k.waiting = nil
	for _, s := range k.sockets {
		s.fail(syscall.ENETDOWN)
	}
}

func (k *Kernel) dispatch(r *sockns.Record, fd int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch r.Op {
	case sockns.Reply:
		if c := k.waiting[r.Seq]; c != nil {
			delete(k.waiting, r.Seq)
			c <- *r
		}
	case sockns.Error:
		if s := k.sockets[r.ID]; s != nil {
			s.fail(syscall.Errno(r.Errno))
		}
	case sockns.Accepted:
		listener := k.sockets[r.ID]
		if listener == nil || fd < 0 {
			unix.Close(fd)
			return
		}
		one := k.wrap(r.Arg0, fd)
		one.local, one.remote = r.Local, r.Remote
		select {
		case listener.backlog <- one:
		default:
			one.closeLocked()
		}
	}
}

// wrap makes a socket of a data pair's end. k.mu is held.
func (k *Kernel) wrap(id uint32, fd int) *Socket {
	unix.SetNonblock(fd, true)
	s := &Socket{kernel: k, id: id, file: os.NewFile(uintptr(fd), "socket"), broken: make(chan struct{})}
	k.sockets[id] = s
	return s
}

// Socket is one inet socket of a program.
type Socket struct {
	kernel        *Kernel
	id            uint32
	file          *os.File
	local, remote sockns.Address
	backlog       chan *Socket

	mu     sync.Mutex
	err    syscall.Errno // SO_ERROR
	broken chan struct{} // closed with the first error
}

// ID returns the id that kernel and server know the socket by.
func (s *Socket) ID() uint32 { return s.id }

// File returns the program's end of the data pair; it stays the socket's.
func (s *Socket) File() *os.File { return s.file }

func (s *Socket) fail(errno syscall.Errno) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == 0 {
		s.err = errno
		close(s.broken)
	}
}

// Broken is closed when the socket has an error.
func (s *Socket) Broken() <-chan struct{} { return s.broken }

// Err is SO_ERROR, without clearing it.
func (s *Socket) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == 0 {
		return nil
	}
	return s.err
}

// Open makes a socket: sockns.Stream or sockns.Datagram.
func (k *Kernel) Open(kind uint32) (*Socket, error) {
	protocol, pairType := uint32(sockns.TCP), unix.SOCK_STREAM
	if kind == sockns.Datagram {
		// A packet type whose end can be seen, unlike SOCK_DGRAM's.
		protocol, pairType = sockns.UDP, unix.SOCK_SEQPACKET
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, pairType|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fds[1])
	k.mu.Lock()
	if k.ended {
		k.mu.Unlock()
		unix.Close(fds[0])
		return nil, syscall.ENETDOWN
	}
	k.lastID++
	s := k.wrap(k.lastID, fds[0])
	s.backlog = make(chan *Socket, 128)
	k.mu.Unlock()
	if err := k.send(&sockns.Record{Op: sockns.Open, ID: s.id, Arg0: kind, Arg1: protocol}, fds[1]); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Request sends a record about the socket and waits for its reply; errno 0 is a nil error.
func (s *Socket) Request(r sockns.Record) (sockns.Record, error) {
	k := s.kernel
	answer := make(chan sockns.Record, 1)
	k.mu.Lock()
	if k.ended {
		k.mu.Unlock()
		return sockns.Record{}, syscall.ENETDOWN
	}
	k.lastSeq++
	r.ID, r.Seq = s.id, k.lastSeq
	k.waiting[r.Seq] = answer
	k.mu.Unlock()
	if err := k.send(&r, -1); err != nil {
		return sockns.Record{}, err
	}
	timer := time.NewTimer(replyTimeout)
	defer timer.Stop()
	select {
	case got, ok := <-answer:
		if !ok {
			return got, syscall.ENETDOWN
		}
		if got.Errno != 0 {
			return got, syscall.Errno(got.Errno)
		}
		return got, nil
	case <-timer.C:
		return sockns.Record{}, syscall.ETIMEDOUT
	}
}

// Bind, Connect, Listen and Option are the system calls of these names.
func (s *Socket) Bind(to netip.AddrPort) error {
	r, err := s.Request(sockns.Record{Op: sockns.Bind, Local: address(to)})
	s.local = r.Local
	return err
}

// Connect connects the socket; the zero AddrPort dissolves a datagram socket's association.
func (s *Socket) Connect(to netip.AddrPort) error {
	r, err := s.Request(sockns.Record{Op: sockns.Connect, Remote: address(to)})
	if err == nil {
		s.local, s.remote = r.Local, r.Remote
	}
	return err
}

// Listen makes a stream accept connections.
func (s *Socket) Listen(backlog int) error {
	r, err := s.Request(sockns.Record{Op: sockns.Listen, Arg0: uint32(backlog)})
	s.local = r.Local
	return err
}

// Option sets a socket option.
func (s *Socket) Option(level, name int, value uint32) error {
	return s.kernel.send(&sockns.Record{Op: sockns.Option, ID: s.id, Arg0: uint32(level<<16 | name), Arg1: value}, -1)
}

// ShutdownDatagram is shutdown(2) of a datagram socket.
func (s *Socket) ShutdownDatagram(how uint32) error {
	return s.kernel.send(&sockns.Record{Op: sockns.Shutdown, ID: s.id, Arg0: how}, -1)
}

// CloseTold closes the program's end and tells the server so, as the kernel does when an address becomes free.
func (s *Socket) CloseTold() error {
	err := s.kernel.send(&sockns.Record{Op: sockns.Close, ID: s.id}, -1)
	return errors.Join(err, s.Close())
}

// Close closes the program's end.
func (s *Socket) Close() error {
	s.kernel.mu.Lock()
	defer s.kernel.mu.Unlock()
	return s.closeLocked()
}

func (s *Socket) closeLocked() error {
	if s.kernel.sockets[s.id] == s {
		delete(s.kernel.sockets, s.id)
	}
	return s.file.Close()
}

// AcceptSocket waits for a connection.
func (s *Socket) AcceptSocket() (*Socket, error) {
	select {
	case one := <-s.backlog:
		return one, nil
	case <-s.broken:
		return nil, s.Err()
	}
}

func address(a netip.AddrPort) sockns.Address {
	if !a.IsValid() {
		return sockns.Address{}
	}
	to := sockns.Address{Family: sockns.FamilyIP4, Port: a.Port()}
	ip := a.Addr().As4()
	copy(to.IP[:], ip[:])
	return to
}

func addrPort(a sockns.Address) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(a.IP[:4])), a.Port)
}

// Local and Remote are getsockname and getpeername.
func (s *Socket) Local() netip.AddrPort { return addrPort(s.local) }

// Remote is getpeername.
func (s *Socket) Remote() netip.AddrPort { return addrPort(s.remote) }

// explain returns SO_ERROR in place of the data pair's own idea of what happened.
func (s *Socket) explain(err error) error {
	if err == nil {
		return nil
	}
	if own := s.Err(); own != nil {
		err = own
	}
	if err == io.EOF {
		return err
	}
	return &net.OpError{Op: "socket", Net: "inet", Err: err}
}

// Conn is a stream as net.Conn.
type Conn struct{ *Socket }

// Dial connects a new stream.
func (k *Kernel) Dial(to netip.AddrPort) (*Conn, error) {
	s, err := k.Open(sockns.Stream)
	if err != nil {
		return nil, err
	}
	if err := s.Connect(to); err != nil {
		s.Close()
		return nil, err
	}
	return &Conn{s}, nil
}

// Read implements net.Conn.
func (c *Conn) Read(b []byte) (int, error) {
	n, err := c.file.Read(b)
	return n, c.explain(err)
}

// Write implements net.Conn.
func (c *Conn) Write(b []byte) (int, error) {
	n, err := c.file.Write(b)
	return n, c.explain(err)
}

// CloseWrite is shutdown(SHUT_WR).
func (c *Conn) CloseWrite() error { return c.shutdown(unix.SHUT_WR) }

// CloseRead is shutdown(SHUT_RD).
func (c *Conn) CloseRead() error { return c.shutdown(unix.SHUT_RD) }

func (c *Conn) shutdown(how int) error {
	raw, err := c.file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = unix.Shutdown(int(fd), how) }); err != nil {
		return err
	}
	return failed
}

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(c.Local()) }

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.Remote()) }

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error { return c.file.SetDeadline(t) }

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.file.SetReadDeadline(t) }

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.file.SetWriteDeadline(t) }

// Listener is a listening stream as net.Listener.
type Listener struct {
	*Socket
	once   sync.Once
	closed chan struct{}
}

// Listen listens on an address.
func (k *Kernel) Listen(at netip.AddrPort) (*Listener, error) {
	s, err := k.Open(sockns.Stream)
	if err != nil {
		return nil, err
	}
	if err := s.Bind(at); err != nil {
		s.Close()
		return nil, err
	}
	if err := s.Listen(128); err != nil {
		s.Close()
		return nil, err
	}
	return &Listener{Socket: s, closed: make(chan struct{})}, nil
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case one := <-l.backlog:
		return &Conn{one}, nil
	case <-l.broken:
		return nil, l.Err()
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Socket.Close()
}

// Addr implements net.Listener.
func (l *Listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.Local()) }

// PacketConn is a datagram socket.
type PacketConn struct{ *Socket }

// ListenPacket opens a datagram socket bound to an address.
func (k *Kernel) ListenPacket(at netip.AddrPort) (*PacketConn, error) {
	s, err := k.Open(sockns.Datagram)
	if err != nil {
		return nil, err
	}
	if err := s.Bind(at); err != nil {
		s.Close()
		return nil, err
	}
	return &PacketConn{s}, nil
}

// WriteTo sends one datagram; the zero AddrPort means the connected peer.
func (c *PacketConn) WriteTo(b []byte, to netip.AddrPort) error {
	packet := make([]byte, sockns.AddressSize+len(b))
	a := address(to)
	a.Encode((*[sockns.AddressSize]byte)(packet))
	copy(packet[sockns.AddressSize:], b)
	_, err := c.file.Write(packet)
	return c.explain(err)
}

// ReadFrom receives one datagram.
func (c *PacketConn) ReadFrom(b []byte) (int, netip.AddrPort, error) {
	packet := make([]byte, sockns.AddressSize+sockns.MaxDatagram)
	n, err := c.file.Read(packet)
	if err != nil {
		return 0, netip.AddrPort{}, c.explain(err)
	}
	if n < sockns.AddressSize {
		return 0, netip.AddrPort{}, fmt.Errorf("datagram of %d bytes has no address", n)
	}
	var from sockns.Address
	from.Decode((*[sockns.AddressSize]byte)(packet))
	return copy(b, packet[sockns.AddressSize:n]), addrPort(from), nil
}

// SetReadDeadline bounds ReadFrom.
func (c *PacketConn) SetReadDeadline(t time.Time) error { return c.file.SetReadDeadline(t) }
