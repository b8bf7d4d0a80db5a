// Package inet is the kernel's part of AF_INET sockets, which a server outside the kernel makes real: socket namespaces
// (docs/architecture/07-contracts-map.md, "Socket namespace"; records are package sockns).
//
// A Socket is one end of a pair of AF_UNIX sockets whose other end the server has, and what system calls need to know without
// asking: addresses, options, the state of a connection. Calls that the server must decide (bind, connect, listen) send it a record
// and wait for the reply. The server is not trusted: whatever it sends harms nobody but the sockets of its own namespace.
package inet

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/mem"
	"nexus/source/kernel/neuron/internal/unixsock"
	"nexus/source/kernel/neuron/internal/user"
	"nexus/source/kernel/neuron/internal/wait"
	"nexus/source/libs/sockns"
)

// MaxSockets bounds the sockets of all namespaces, those that wait to be accepted included.
const MaxSockets = 4096

// Answered is told to those who wait for the server. It is no event of epoll's.
const Answered abi.Events = 1 << 26

// all is told when waiters have to look at everything again.
const all = abi.EPOLLIN | abi.EPOLLOUT | abi.EPOLLRDHUP | abi.EPOLLERR | abi.EPOLLHUP | Answered

// state is where a socket stands. Datagram sockets are idle or connected.
type state uint8

const (
	idle       state = iota
	connecting       // the server has not answered CONNECT
	failed           // it answered no; the next connect says so and starts anew
	connected
	listening
)

// Socket is an AF_INET socket, a file.Object.
//
// Invariant: seq is not 0 exactly while the server owes the answer to a request op; the answer then waits in answer until a call of
// the same kind takes it. A stream's CONNECT leaves its answer in state and err instead.
type Socket struct {
	file.Defaults
	namespace *Namespace
	end       *unixsock.Socket // the program's end of the data pair; its queue is the socket's
	accepted  *file.File       // through which end came, for a socket that the server made
	id        uint32
	seq       uint32
	op        sockns.Op
	answer    abi.Errno
	err       abi.Errno // SO_ERROR, before that of end

	kind   unixsock.Type // Stream or Datagram, towards the program
	state  state
	untold bool  // connected, but no connect has returned 0 yet
	bound  bool  // bind has succeeded
	down   bool  // the server is gone
	abort  bool  // a close resets the connection
	shut   uint8 // of a datagram socket: noReceive, noSend

	until         uint64 // while connecting: when it gives up
	local, remote sockns.Address
	options       [options]int32

	// Of a listener: connections that wait to be accepted, linked by next.
	first, last *Socket
	queued      int32

	next   *Socket // of a listener's queue; free list
	sameID *Socket // of the hash bucket
}

const (
	noReceive = 1
	noSend    = 2
)

const buckets = 1024

var (
	sockets [MaxSockets]Socket
	fresh   int // sockets[fresh:] were never used
	freed   *Socket
	inUse   int

	byID [buckets]*Socket
)

// Open is the number of open sockets.
func Open() int { return inUse }

// take returns a socket of n under an id that find knows it by; nil if there are too many.
func take(n *Namespace, id uint32) *Socket {
	s := freed
	switch {
	case s != nil:
		freed = s.next
	case fresh < MaxSockets:
		s = &sockets[fresh]
		fresh++
	default:
		return nil
	}
	inUse++
	bucket := &byID[id%buckets]
	*s = Socket{namespace: n, id: id, sameID: *bucket}
	*bucket = s
	n.sockets++
	return s
}

func (s *Socket) free() {
	for p := &byID[s.id%buckets]; *p != nil; p = &(*p).sameID {
		if *p == s {
			*p = s.sameID
			break
		}
	}
	n := s.namespace
	*s = Socket{next: freed}
	freed = s
	inUse--
	n.sockets--
	n.release()
}

// find is the socket of n with this id, or nil.
func find(n *Namespace, id uint32) *Socket {
	for s := byID[id%buckets]; s != nil; s = s.sameID {
		if s.id == id && s.namespace == n {
			return s
		}
	}
	return nil
}

// New returns a socket of namespace n: Stream or Datagram. It must be closed. ENETDOWN without a server, ENFILE if there are too
// many. If the queue is not nil, the server is behind with its work: the call is to be made again when Answered is told there.
func New(n *Namespace, kind unixsock.Type) (*Socket, *wait.Queue, abi.Errno) {
	if n.out == nil {
		return nil, nil, abi.ENETDOWN
	}
	pair, protocol := unixsock.Stream, uint32(sockns.TCP)
	if kind == unixsock.Datagram {
		// Packets of a kind that shows the server the close of the program's end.
		pair, protocol = unixsock.Seqpacket, sockns.UDP
	}
	s := take(n, n.newID())
	if s == nil {
		return nil, nil, abi.ENFILE
	}
	end, servers, err := unixsock.Pair(pair)
	if err != abi.OK {
		s.free()
		return nil, nil, err
	}
	end.NoRights()
	s.end, s.kind = end, kind
	s.initOptions()
	f := file.New(servers, abi.O_RDWR)
	if f == nil {
		servers.Close()
		s.Close()
		return nil, nil, abi.ENFILE
	}
	beside := unixsock.Rights{N: 1}
	beside.Files[0] = f
	q, err := n.post(&sockns.Record{Op: sockns.Open, ID: s.id, Arg0: uint32(kind), Arg1: protocol}, &beside)
	if err != abi.OK {
		beside.Release()
		s.Close()
		return nil, q, err
	}
	return s, nil, abi.OK
}

// Kind is the socket's type: Stream or Datagram.
func (s *Socket) Kind() unixsock.Type { return s.kind }

// Ready is what poll(2) tells of the socket.
func (s *Socket) Ready() (ev abi.Events) {
	switch s.state {
	case listening:
		if s.queued > 0 || s.down {
			ev = abi.EPOLLIN
		}
	case connecting:
	case failed:
		ev = abi.EPOLLIN | abi.EPOLLOUT | abi.EPOLLRDHUP | abi.EPOLLHUP
	case idle:
		if s.kind == unixsock.Stream {
			ev = abi.EPOLLOUT | abi.EPOLLHUP
			break
		}
		ev = s.end.Ready()
	case connected:
		ev = s.end.Ready()
	}
	if s.shut&noReceive != 0 {
		ev |= abi.EPOLLIN | abi.EPOLLRDHUP
	}
	if s.err != abi.OK {
		ev |= abi.EPOLLERR
	}
	if s.down {
		ev |= abi.EPOLLHUP
	}
	return ev
}

// Classes is file.Object's.
func (s *Socket) Classes() (in, out abi.Events) {
	if s.kind == unixsock.Datagram {
		return abi.EPOLLRDNORM, abi.EPOLLWRNORM | abi.EPOLLWRBAND
	}
	return abi.EPOLLRDNORM, abi.EPOLLWRNORM
}

// Queue is file.Object's.
func (s *Socket) Queue() *wait.Queue { return s.end.Queue() }

// Stat is file.Object's.
func (s *Socket) Stat(st *abi.Stat) {
	st.Mode = abi.S_IFSOCK | 0o777
	st.Nlink = 1
	st.Blksize = mem.PageSize
}

// Read is file.Object's: recv without flags.
func (s *Socket) Read(b *user.Buffer, _ int64) (int, abi.Errno) {
	n, _, err := s.Recv(b, nil, 0)
	return n, err
}

// Write is file.Object's: send without flags.
func (s *Socket) Write(b *user.Buffer, _ int64) (int, abi.Errno) {
	return s.Send(b, nil, 0)
}

// TakeError returns and clears SO_ERROR.
func (s *Socket) TakeError() abi.Errno {
	err, under := s.err, s.end.TakeError()
	s.err = abi.OK
	if err == abi.OK {
		err = under
	}
	return err
}

// Close is file.Object's. The server sees the close of the data pair; connections that nobody accepted are closed too.
func (s *Socket) Close() bool {
	if s.namespace == nil {
		panic("inet: closed twice")
	}
	if s.own() && (s.kind == unixsock.Datagram || s.state == listening || s.bound && s.state != connected) {
		// The server reads its records in order, but sees the close of a pair whenever it comes to it: without this, a program could
		// not use the address again at once. Where the server has no room it has to do without.
		s.tell(&sockns.Record{Op: sockns.Close})
	}
	if s.abort && s.state == connected {
		s.end.Abort() // the server does to the connection what is done to its pair
	}
	for q := s.first; q != nil; q = s.first {
		s.first = q.next
		q.Close()
	}
	if s.accepted != nil {
		s.accepted.Release()
	} else {
		s.end.Close()
	}
	s.free()
	return true
}
