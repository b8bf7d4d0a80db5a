package inet

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/unixsock"
	"nexus/source/kernel/neuron/internal/wait"
	"nexus/source/libs/sockns"
)

// Levels of options (linux/socket.h).
const (
	SOL_SOCKET  = 1
	IPPROTO_IP  = 0
	IPPROTO_TCP = 6
)

// Options that are answered but not kept (asm-generic/socket.h).
const (
	SO_TYPE       = 3
	SO_ERROR      = 4
	SO_LINGER     = 13
	SO_ACCEPTCONN = 30
	SO_PROTOCOL   = 38
	SO_DOMAIN     = 39
)

// Buffer sizes of Linux (socket(7)).
const (
	maxBuffer     = 212992
	minSendBuffer = 4608
	minRecvBuffer = 2304
)

// option is one that a program may set: its place in Socket.options is its place in table.
type option struct {
	level, name uint16
	form        form
	stream      int32 // value of a new stream socket
	datagram    int32 // and of a new datagram socket, or none if it does not have the option
}

// none marks an option that datagram sockets do not have.
const none = -1

// form is what values an option takes.
type form uint8

const (
	flag       form = iota // 0 or 1
	positive               // 1 to 32767
	probes                 // 1 to 127
	tos                    // a byte; of a stream the congestion bits are not the program's
	any32                  // not negative
	ttl                    // 1 to 255, -1 for the default
	sendBuffer             // doubled, as Linux does
	recvBuffer
)

const options = 14

var table = [options]option{
	{SOL_SOCKET, 2, flag, 0, 0},                    // SO_REUSEADDR
	{SOL_SOCKET, 6, flag, 0, 0},                    // SO_BROADCAST
	{SOL_SOCKET, 7, sendBuffer, 16384, maxBuffer},  // SO_SNDBUF
	{SOL_SOCKET, 8, recvBuffer, 131072, maxBuffer}, // SO_RCVBUF
	{SOL_SOCKET, 9, flag, 0, 0},                    // SO_KEEPALIVE
	{SOL_SOCKET, 15, flag, 0, 0},                   // SO_REUSEPORT
	{IPPROTO_IP, 1, tos, 0, 0},                     // IP_TOS
	{IPPROTO_IP, 2, ttl, 64, 64},                   // IP_TTL
	{IPPROTO_TCP, 1, flag, 0, none},                // TCP_NODELAY
	{IPPROTO_TCP, 3, flag, 0, none},                // TCP_CORK
	{IPPROTO_TCP, 4, positive, 7200, none},         // TCP_KEEPIDLE
	{IPPROTO_TCP, 5, positive, 75, none},           // TCP_KEEPINTVL
	{IPPROTO_TCP, 6, probes, 9, none},              // TCP_KEEPCNT
	{IPPROTO_TCP, 18, any32, 0, none},              // TCP_USER_TIMEOUT
}

func (s *Socket) initOptions() {
	for i := range table {
		s.options[i] = table[i].stream
		if s.kind == unixsock.Datagram {
			s.options[i] = table[i].datagram
		}
	}
}

// lookup is the place of an option that the socket has.
func (s *Socket) lookup(level, name int) (int, bool) {
	for i := range table {
		o := &table[i]
		if int(o.level) == level && int(o.name) == name {
			return i, s.kind == unixsock.Stream || o.datagram != none
		}
	}
	return 0, false
}

// SetLinger is SO_LINGER: a stream that lingers no second is reset by its close, and what was not sent is lost. EINVAL for
// other times, since a close never waits here.
func (s *Socket) SetLinger(on bool, seconds int) abi.Errno {
	if on && seconds != 0 {
		return abi.EINVAL
	}
	s.abort = on && s.kind == unixsock.Stream
	return abi.OK
}

// Linger reports whether SO_LINGER is on.
func (s *Socket) Linger() bool { return s.abort }

// HasOption reports whether the socket has an option that can be set.
func (s *Socket) HasOption(level, name int) bool {
	_, ok := s.lookup(level, name)
	return ok
}

// SetOption is setsockopt with an int. ENOPROTOOPT for an option that would do nothing, EINVAL for a value out of range. The
// queue is as request has it.
func (s *Socket) SetOption(level, name, value int) (*wait.Queue, abi.Errno) {
	i, ok := s.lookup(level, name)
	if !ok {
		return nil, abi.ENOPROTOOPT
	}
	kept, told, ok := table[i].form.check(value, s.kind)
	if !ok {
		return nil, abi.EINVAL
	}
	rec := sockns.Record{Op: sockns.Option, Arg0: uint32(level)<<16 | uint32(name), Arg1: uint32(told)}
	if q, err := s.tell(&rec); err != abi.OK {
		return q, err
	}
	s.options[i] = int32(kept)
	return nil, abi.OK
}

// check returns what getsockopt will say of a value, and what the server hears.
func (f form) check(value int, kind unixsock.Type) (kept, told int, ok bool) {
	switch f {
	case flag:
		if value != 0 {
			value = 1
		}
		return value, value, true
	case positive:
		return value, value, value >= 1 && value <= 32767
	case probes:
		return value, value, value >= 1 && value <= 127
	case tos:
		value &= 0xff
		if kind == unixsock.Stream {
			value &^= 3
		}
		return value, value, true
	case any32:
		return value, value, value >= 0
	case ttl:
		if value == -1 {
			value = 64
		}
		return value, value, value >= 1 && value <= 255
	case sendBuffer:
		told = clampBuffer(value)
		return max(2*told, minSendBuffer), told, true
	case recvBuffer:
		told = clampBuffer(value)
		return max(2*told, minRecvBuffer), told, true
	}
	return 0, 0, false
}

// clampBuffer bounds a buffer size; Linux takes a negative one as huge.
func clampBuffer(value int) int {
	if value < 0 || value > maxBuffer {
		return maxBuffer
	}
	return value
}

// Option is getsockopt of an int. SO_ERROR is cleared by it. ENOPROTOOPT for an option that the socket does not have,
// EOPNOTSUPP for one of a level that it does not have.
func (s *Socket) Option(level, name int) (int, abi.Errno) {
	if level == SOL_SOCKET {
		switch name {
		case SO_ERROR:
			return int(s.TakeError()), abi.OK
		case SO_TYPE:
			return int(s.kind), abi.OK
		case SO_DOMAIN:
			return sockns.FamilyIP4, abi.OK
		case SO_PROTOCOL:
			if s.kind == unixsock.Stream {
				return sockns.TCP, abi.OK
			}
			return sockns.UDP, abi.OK
		case SO_ACCEPTCONN:
			if s.state == listening {
				return 1, abi.OK
			}
			return 0, abi.OK
		}
	}
	i, ok := s.lookup(level, name)
	switch {
	case ok:
		return int(s.options[i]), abi.OK
	case level == SOL_SOCKET, level == IPPROTO_IP, level == IPPROTO_TCP && s.kind == unixsock.Stream:
		return 0, abi.ENOPROTOOPT
	}
	return 0, abi.EOPNOTSUPP
}
