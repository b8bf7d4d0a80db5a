package unixsock

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/user"
)

// sendFlags are the flags that Send knows; those besides MSG_DONTWAIT and MSG_NOSIGNAL, which are the caller's, mean nothing here.
const sendFlags = MSG_DONTWAIT | MSG_NOSIGNAL | MSG_EOR | MSG_MORE | MSG_CMSG_CLOEXEC

// Send sends what is in b: all of it as one packet behind header, or as much as there is room for as bytes of a stream, which
// has no header. b may be nil. It returns how many bytes of b it took.
//
// r, which may be nil, are descriptors for the first byte; Send leaves r empty when it has taken them over (a stream takes
// none without a byte). EAGAIN when there is no room; EPIPE, ECONNRESET, ECONNREFUSED and ENOTCONN as on Linux; EMSGSIZE for
// a packet beyond MaxMessage; EINVAL for descriptors where they are forbidden; ETOOMANYREFS if too many are under way or they would
// close a ring; ENOBUFS without memory.
func (s *Socket) Send(b *user.Buffer, header []byte, r *Rights, flags int) (int, abi.Errno) {
	s.live()
	if flags&^sendFlags != 0 {
		return 0, abi.EOPNOTSUPP
	}
	if b == nil {
		b = &nothing
	}
	size := len(header) + b.Len()
	if err := s.MaySend(size); err != abi.OK {
		return 0, err
	}
	if s.kind == Stream && size == 0 {
		return 0, abi.OK
	}
	p := s.peer
	if p != nil && p.in.used >= Bound {
		return 0, abi.EAGAIN
	}
	rights := r != nil && r.N > 0
	if rights {
		if err := s.mayCarry(r); err != abi.OK {
			return 0, err
		}
	}
	if s.kind == Datagram {
		if err := s.disconnected(); err != abi.OK {
			return 0, err
		}
	}
	n := b.Len()
	var err abi.Errno
	if s.kind == Stream {
		n, err = p.in.stream(b, min(n, Bound-int(p.in.used)), rights)
	} else {
		err = p.in.packet(header, b, n, rights)
	}
	if err != abi.OK {
		return 0, err
	}
	if rights {
		p.addParcel(pack(r))
	}
	p.queue.Notify(abi.EPOLLIN)
	return n, abi.OK
}

// nothing is the buffer of a message without bytes of a program.
var nothing user.Buffer

// MaySend is what Linux checks before it looks at the peer, in its order.
func (s *Socket) MaySend(size int) abi.Errno {
	if s.kind == Seqpacket && s.err != abi.OK {
		return s.TakeError()
	}
	if s.kind != Stream && size > MaxMessage {
		return abi.EMSGSIZE
	}
	if s.kind == Datagram && s.err != abi.OK {
		return s.TakeError()
	}
	if s.shut&noSend != 0 {
		return abi.EPIPE
	}
	return abi.OK
}

// mayCarry checks that r, which is not empty, can go to the peer.
func (s *Socket) mayCarry(r *Rights) abi.Errno {
	switch {
	case s.noRights:
		return abi.EINVAL
	case s.peer == nil:
		return abi.OK // the send fails for another reason
	case onTheWay == MaxParcels || s.peer.parcels == perSocket:
		return abi.ETOOMANYREFS
	case s.peer.circular(r):
		return abi.ETOOMANYREFS
	}
	return abi.OK
}

// disconnected is the error of a datagram socket whose peer cannot receive. The first send after the peer's close finds the
// connection refused and loses what was received; later ones find none.
func (s *Socket) disconnected() abi.Errno {
	switch {
	case s.gone:
		return abi.ENOTCONN
	case s.peer == nil:
		s.gone = true
		s.purge()
		return abi.ECONNREFUSED
	case s.peer.shut&noReceive != 0:
		return abi.EPIPE
	}
	return abi.OK
}
