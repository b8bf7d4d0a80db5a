// Package unixsock is the connected half of unix(7): pairs of AF_UNIX sockets for streams, sequenced packets and datagrams,
// and descriptors sent over them.
//
// It answers as Linux does, with these differences: a message carries at most 16 descriptors, a descriptor that would close a
// ring of sockets waiting at each other is refused (ETOOMANYREFS), and what waits at a socket is counted in bytes (208 KiB) instead
// of in socket buffers.
package unixsock

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/mem"
	"nexus/source/kernel/neuron/internal/user"
	"nexus/source/kernel/neuron/internal/wait"
)

const (
	// MaxSockets bounds the sockets of the whole system.
	MaxSockets = 8192
	// Bound is the number of bytes at a socket from which on its peer must wait (SO_SNDBUF): Linux's default.
	Bound = 212992
	// MaxMessage is the largest packet.
	MaxMessage = Bound - 32
)

// Type is a socket type.
type Type uint8

// Socket types (linux/net.h).
const (
	Stream    Type = 1
	Datagram  Type = 2
	Seqpacket Type = 5
)

// Flags of Send and Recv (linux/socket.h).
const (
	MSG_OOB          = 0x1
	MSG_PEEK         = 0x2
	MSG_CTRUNC       = 0x8
	MSG_TRUNC        = 0x20
	MSG_DONTWAIT     = 0x40
	MSG_EOR          = 0x80
	MSG_WAITALL      = 0x100
	MSG_NOSIGNAL     = 0x4000
	MSG_MORE         = 0x8000
	MSG_CMSG_CLOEXEC = 0x40000000
)

// Directions that Shutdown has closed.
const (
	noReceive = 1
	noSend    = 2
	noBoth    = noReceive | noSend
)

// Socket is one end of a pair, a file.Object.
type Socket struct {
	file.Defaults
	peer  *Socket // nil once it is closed; free list
	queue wait.Queue
	in    queue // what the peer sent

	firstParcel, lastParcel *parcel
	parcels                 uint16

	kind     Type // 0 while it is not in use
	shut     uint8
	noRights bool
	gone     bool      // datagram: a send has found the peer closed
	err      abi.Errno // SO_ERROR

	searched uint64
	todo     *Socket
}

var (
	sockets [MaxSockets]Socket
	fresh   int // sockets[fresh:] were never used
	freed   *Socket
	inUse   int
)

// Open is the number of open sockets.
func Open() int { return inUse }

func take() *Socket {
	s := freed
	switch {
	case s != nil:
		freed = s.peer
	case fresh < MaxSockets:
		s = &sockets[fresh]
		fresh++
	default:
		return nil
	}
	inUse++
	return s
}

func (s *Socket) free() {
	s.kind = 0
	s.peer, freed = freed, s
	inUse--
}

// Pair returns two connected sockets; each must be closed. ENFILE if there are too many.
func Pair(kind Type) (a, b *Socket, err abi.Errno) {
	if a = take(); a == nil {
		return nil, nil, abi.ENFILE
	}
	if b = take(); b == nil {
		a.free()
		return nil, nil, abi.ENFILE
	}
	*a = Socket{kind: kind, peer: b}
	*b = Socket{kind: kind, peer: a}
	return a, b, abi.OK
}

// live ends the machine if s is closed: what it would do now, it would do to another socket soon.
func (s *Socket) live() {
	if s.kind == 0 {
		panic("unixsock: used after its close")
	}
}

// Kind is the socket's type.
func (s *Socket) Kind() Type { return s.kind }

// Connected reports whether s has a peer, or had one and has not found out: a datagram socket does when it sends, the others never.
func (s *Socket) Connected() bool { return !s.gone }

// NoRights forbids descriptors on the pair: sends with them fail with EINVAL from now on. It reports whether none waits at s.
func (s *Socket) NoRights() bool {
	s.noRights = true
	if s.peer != nil {
		s.peer.noRights = true
	}
	return s.firstParcel == nil
}

// TakeError returns and clears SO_ERROR.
func (s *Socket) TakeError() abi.Errno {
	err := s.err
	s.err = abi.OK
	return err
}

// Waiting is the number of packets that wait at s, or of pieces of a stream.
func (s *Socket) Waiting() int { return int(s.in.frames) }

// all is told when waiters have to look at everything again.
const all = abi.EPOLLIN | abi.EPOLLOUT | abi.EPOLLRDHUP | abi.EPOLLERR | abi.EPOLLHUP

// Shutdown closes directions: how is 0 for receiving, 1 for sending, 2 for both; else EINVAL.
func (s *Socket) Shutdown(how int) abi.Errno {
	if how < 0 || how > 2 {
		return abi.EINVAL
	}
	mode := uint8(how + 1)
	s.shut |= mode
	s.queue.Notify(all)
	p := s.peer
	if p == nil || s.kind == Datagram {
		return abi.OK
	}
	if mode&noReceive != 0 {
		p.shut |= noSend
	}
	if mode&noSend != 0 {
		p.shut |= noReceive
	}
	p.queue.Notify(all)
	return abi.OK
}

// writable reports whether the queue that s fills has enough room that a sender should be woken. There is a wide
// gap to Bound, so that sender and receiver change places seldom.
func (s *Socket) writable() bool { return s.peer == nil || s.peer.in.used <= Bound/4 }

// Ready is what poll(2) tells of the socket.
func (s *Socket) Ready() (ev abi.Events) {
	if s.err != abi.OK {
		ev |= abi.EPOLLERR
	}
	if s.shut == noBoth {
		ev |= abi.EPOLLHUP
	}
	if s.shut&noReceive != 0 {
		ev |= abi.EPOLLRDHUP | abi.EPOLLIN
	}
	if !s.in.empty() {
		ev |= abi.EPOLLIN
	}
	if s.writable() {
		ev |= abi.EPOLLOUT
	}
	return ev
}

// Classes is file.Object's.
func (s *Socket) Classes() (in, out abi.Events) {
	return abi.EPOLLRDNORM, abi.EPOLLWRNORM | abi.EPOLLWRBAND
}

// Queue is file.Object's.
func (s *Socket) Queue() *wait.Queue { return &s.queue }

// Stat is file.Object's.
func (s *Socket) Stat(st *abi.Stat) {
	st.Mode = abi.S_IFSOCK | 0o777
	st.Nlink = 1
	st.Blksize = mem.PageSize
}

// Read is file.Object's: recv without flags.
func (s *Socket) Read(b *user.Buffer, _ int64) (int, abi.Errno) {
	if b.Len() == 0 {
		return 0, abi.OK
	}
	n, _, err := s.Recv(b, nil, nil, 0)
	return n, err
}

// Write is file.Object's: send without flags.
func (s *Socket) Write(b *user.Buffer, _ int64) (int, abi.Errno) {
	return s.Send(b, nil, nil, 0)
}

// Abort drops what the peer has not received and lets it find the connection reset. The caller closes s.
func (s *Socket) Abort() {
	if p := s.peer; p != nil && s.kind != Datagram {
		p.purge()
		p.err = abi.ECONNRESET
	}
}

// Close is file.Object's. The peer of a connection sees its end, or ECONNRESET if something was never read; descriptors
// that nobody received are closed.
func (s *Socket) Close() bool {
	s.live()
	s.queue.Gone()
	unread := !s.in.empty()
	wasWritable := s.peer == nil || s.peer.writable()
	s.purge()
	if p := s.peer; p != nil {
		if p.peer != s {
			panic("unixsock: a socket is closed whose peer has another")
		}
		p.peer = nil
		if s.kind != Datagram {
			p.shut = noBoth
			if unread {
				p.err = abi.ECONNRESET
			}
			p.queue.Notify(all)
		} else if !wasWritable {
			p.queue.Notify(abi.EPOLLOUT)
		}
	}
	s.free()
	return true
}

// purge drops everything that waits at s.
func (s *Socket) purge() {
	s.in.clear()
	for s.firstParcel != nil {
		s.takeParcel(nil)
	}
}
