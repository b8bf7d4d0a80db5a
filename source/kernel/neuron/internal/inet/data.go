package inet

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/unixsock"
	"nexus/source/kernel/neuron/internal/user"
	"nexus/source/kernel/neuron/internal/wait"
	"nexus/source/libs/sockns"
)

// Send sends what is in b: as much as there is room for of a stream, all of it as one datagram. to is where a datagram goes, nil where
// the socket is connected to; streams ignore it. Flags are unixsock's.
//
// EAGAIN without room or while connecting; EPIPE after the end of a stream, or before its beginning; EDESTADDRREQ for
// a datagram to nowhere, EMSGSIZE for one beyond sockns.MaxDatagram; ENETDOWN without a server; and what SO_ERROR holds.
func (s *Socket) Send(b *user.Buffer, to *sockns.Address, flags int) (int, abi.Errno) {
	if err := s.TakeError(); err != abi.OK {
		return 0, err
	}
	if s.kind == unixsock.Datagram {
		return s.sendDatagram(b, to, flags)
	}
	switch s.state {
	case connecting:
		return 0, abi.EAGAIN
	case connected:
		return s.end.Send(b, nil, nil, flags)
	}
	return 0, abi.EPIPE
}

func (s *Socket) sendDatagram(b *user.Buffer, to *sockns.Address, flags int) (int, abi.Errno) {
	var head sockns.Address // family 0: the connected one
	switch {
	case s.down:
		return 0, abi.ENETDOWN
	case s.shut&noSend != 0:
		return 0, abi.EPIPE
	case b.Len() > sockns.MaxDatagram:
		return 0, abi.EMSGSIZE
	case to == nil && s.state != connected:
		return 0, abi.EDESTADDRREQ
	case to != nil && to.Port == 0:
		return 0, abi.EINVAL
	case to != nil:
		head = *to
	}
	var header [sockns.AddressSize]byte
	head.Encode(&header)
	n, err := s.end.Send(b, header[:], nil, flags)
	if err == abi.EPIPE || err == abi.ECONNRESET {
		err = abi.ENETDOWN // the server has closed its end
	}
	return n, err
}

// Recv receives into b what is there of a stream, or one datagram, whose source goes to from if that is not nil. Results are
// those of unixsock's Recv; ENOTCONN for a stream without a connection.
func (s *Socket) Recv(b *user.Buffer, from *sockns.Address, flags int) (n, msg int, err abi.Errno) {
	if s.kind == unixsock.Datagram {
		return s.recvDatagram(b, from, flags)
	}
	switch s.state {
	case connected:
	case connecting:
		return 0, 0, abi.EAGAIN
	default:
		return 0, 0, abi.ENOTCONN
	}
	if flags&unixsock.MSG_TRUNC != 0 {
		return 0, 0, abi.EOPNOTSUPP
	}
	n, msg, err = s.end.Recv(b, nil, nil, flags)
	if s.err != abi.OK && n == 0 && s.end.Waiting() == 0 {
		// What was received before the error has been read.
		return 0, 0, s.TakeError()
	}
	return n, msg, err
}

func (s *Socket) recvDatagram(b *user.Buffer, from *sockns.Address, flags int) (n, msg int, err abi.Errno) {
	if err := s.TakeError(); err != abi.OK {
		return 0, 0, err
	}
	var header [sockns.AddressSize]byte
	var source sockns.Address
	for s.end.Waiting() > 0 {
		if _, _, err := s.end.Recv(nil, header[:], nil, unixsock.MSG_PEEK); err != abi.OK {
			return 0, 0, err
		}
		source.Decode(&header)
		if source.Family == sockns.FamilyIP4 {
			n, msg, err = s.end.Recv(b, header[:], nil, flags)
			if from != nil {
				*from = source
			}
			return n, msg, err
		}
		s.namespace.drop(NoSource)
		s.end.Recv(nil, nil, nil, 0)
	}
	if s.down || s.end.Ready()&abi.EPOLLRDHUP != 0 {
		return 0, 0, abi.ENETDOWN // the server has closed its end
	}
	return 0, 0, abi.EAGAIN
}

// Shutdown closes directions: how is 0 for receiving, 1 for sending, 2 for both; else EINVAL. ENOTCONN without a
// connection. The queue is as request has it.
func (s *Socket) Shutdown(how int) (*wait.Queue, abi.Errno) {
	if how < 0 || how > 2 {
		return nil, abi.EINVAL
	}
	if s.state != connected {
		return nil, abi.ENOTCONN
	}
	if s.kind == unixsock.Stream {
		return nil, s.end.Shutdown(how)
	}
	// The pair of a datagram socket shows the server nothing but its close.
	if q, err := s.tell(&sockns.Record{Op: sockns.Shutdown, Arg0: uint32(how)}); err != abi.OK {
		return q, err
	}
	s.shut |= uint8(how + 1)
	s.end.Queue().Notify(all)
	return nil, abi.OK
}
