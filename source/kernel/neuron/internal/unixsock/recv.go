package unixsock

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/user"
)

// recvFlags are the flags that Recv knows; MSG_WAITALL is the caller's, who makes the call again.
const recvFlags = MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL | MSG_CMSG_CLOEXEC

// Recv receives into b one packet, or what is there of a stream up to the end of the bytes that were sent with descriptors.
// A packet's first len(header) bytes go to header (zeros if it is shorter); a stream has no header.
//
// It returns the number of bytes in b and the flags of the message: MSG_TRUNC if a packet was longer than b (with MSG_TRUNC
// among flags the number is then the packet's), MSG_CTRUNC if there were descriptors but r is nil. The descriptors' references are
// put in r, which comes empty. b may be nil.
//
// 0 bytes is the end of a connection. EAGAIN if there is nothing; a datagram socket that was shut down has an end only for who would wait,
// which Ready tells as EPOLLRDHUP. ECONNRESET once if the peer closed with unread data.
func (s *Socket) Recv(b *user.Buffer, header []byte, r *Rights, flags int) (n, msg int, err abi.Errno) {
	s.live()
	if flags&^recvFlags != 0 {
		return 0, 0, abi.EOPNOTSUPP
	}
	if b == nil {
		b = &nothing
	}
	full := !s.peerWritable()
	if s.kind == Stream {
		n, msg, err = s.recvStream(b, r, flags)
	} else {
		n, msg, err = s.recvPacket(b, header, r, flags)
	}
	if full && s.peerWritable() {
		s.peer.queue.Notify(abi.EPOLLOUT)
	}
	return n, msg, err
}

func (s *Socket) peerWritable() bool { return s.peer == nil || s.peer.writable() }

func (s *Socket) recvStream(b *user.Buffer, r *Rights, flags int) (n, msg int, err abi.Errno) {
	if s.in.empty() {
		if err := s.TakeError(); err != abi.OK {
			return 0, 0, err
		}
		if s.shut&noReceive != 0 {
			return 0, 0, abi.OK
		}
		return 0, 0, abi.EAGAIN
	}
	c, parcel, frames := s.in.at, s.firstParcel, uint32(0)
	var rights bool
	for {
		c.enter()
		k, ok := c.store(b)
		if !ok && n+k == 0 {
			return 0, 0, abi.EFAULT
		}
		n += k
		rights = c.rights && (ok || k > 0)
		if c.left > 0 {
			break
		}
		frames++
		c.inside = false
		if rights || b.Len() == 0 || !ok || frames == s.in.frames {
			break
		}
	}
	if rights && r == nil {
		msg = MSG_CTRUNC
	}
	if flags&MSG_PEEK != 0 {
		if rights {
			copyParcel(parcel, r)
		}
		return n, msg, abi.OK
	}
	// The descriptors leave with the first byte; the rest of their frame goes without.
	c.rights = c.rights && !rights
	s.in.consume(c, frames, uint32(n))
	if rights {
		s.takeParcel(r)
	}
	return n, msg, abi.OK
}

func (s *Socket) recvPacket(b *user.Buffer, header []byte, r *Rights, flags int) (n, msg int, err abi.Errno) {
	if err := s.TakeError(); err != abi.OK {
		return 0, 0, err
	}
	if s.in.empty() {
		if s.shut&noReceive != 0 && s.kind == Seqpacket {
			return 0, 0, abi.OK
		}
		return 0, 0, abi.EAGAIN
	}
	c := s.in.at
	c.enter()
	whole := c.left
	c.get(header)
	size := int(c.left)
	n, ok := c.store(b)
	if !ok {
		err = abi.EFAULT
	}
	if n < size {
		msg |= MSG_TRUNC
	}
	rights := c.rights
	if rights && r == nil {
		msg |= MSG_CTRUNC
	}
	if rights && err == abi.OK && flags&MSG_PEEK != 0 {
		copyParcel(s.firstParcel, r)
	}
	if flags&MSG_PEEK == 0 {
		c.finish()
		s.in.consume(c, 1, whole)
		if rights && err == abi.OK {
			s.takeParcel(r)
		} else if rights {
			s.takeParcel(nil)
		}
	}
	if err != abi.OK {
		return 0, 0, err
	}
	if flags&MSG_TRUNC != 0 {
		n = size
	}
	return n, msg, abi.OK
}
