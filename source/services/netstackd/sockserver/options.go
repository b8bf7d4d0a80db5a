package sockserver

import (
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"

	"nexus/source/libs/sockns"
)

// Bounds of buffer sizes that a program may ask for, in bytes.
const (
	minBuffer = 4 << 10
	maxBuffer = 512 << 10
)

// maxOptions bounds the options that are kept for a socket; there are fewer.
const maxOptions = 32

// option sets a socket option and keeps it for renew.
func (s *socket) option(r *sockns.Record) {
	s.apply(r)
	if s.datagram {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.options {
		if s.options[i].Arg0 == r.Arg0 {
			s.options[i] = *r
			return
		}
	}
	if len(s.options) < maxOptions {
		s.options = append(s.options, *r)
	}
}

// apply sets a socket option. The kernel has checked that it knows the option and answers getsockopt itself; options without
// an effect here need none.
func (s *socket) apply(r *sockns.Record) {
	options := s.ep().SocketOptions()
	value := r.Arg1
	on := value != 0
	switch r.Arg0 {
	case unix.SOL_SOCKET<<16 | unix.SO_REUSEADDR:
		options.SetReuseAddress(on)
	case unix.SOL_SOCKET<<16 | unix.SO_REUSEPORT:
		options.SetReusePort(on)
	case unix.SOL_SOCKET<<16 | unix.SO_BROADCAST:
		options.SetBroadcast(on)
	case unix.SOL_SOCKET<<16 | unix.SO_KEEPALIVE:
		options.SetKeepAlive(on)
	case unix.SOL_SOCKET<<16 | unix.SO_SNDBUF:
		options.SetSendBufferSize(bufferSize(value), true)
	case unix.SOL_SOCKET<<16 | unix.SO_RCVBUF:
		options.SetReceiveBufferSize(bufferSize(value), true)
	case unix.IPPROTO_TCP<<16 | unix.TCP_NODELAY:
		options.SetDelayOption(!on)
	case unix.IPPROTO_TCP<<16 | unix.TCP_CORK:
		options.SetCorkOption(on)
	case unix.IPPROTO_TCP<<16 | unix.TCP_QUICKACK:
		options.SetQuickAck(on)
	case unix.IPPROTO_TCP<<16 | unix.TCP_KEEPIDLE:
		idle := tcpip.KeepaliveIdleOption(seconds(value))
		_ = s.ep().SetSockOpt(&idle) // UDP refuses; the kernel does not let it ask
	case unix.IPPROTO_TCP<<16 | unix.TCP_KEEPINTVL:
		interval := tcpip.KeepaliveIntervalOption(seconds(value))
		_ = s.ep().SetSockOpt(&interval)
	case unix.IPPROTO_TCP<<16 | unix.TCP_KEEPCNT:
		_ = s.ep().SetSockOptInt(tcpip.KeepaliveCountOption, int(min(max(value, 1), 127)))
	case unix.IPPROTO_TCP<<16 | unix.TCP_USER_TIMEOUT:
		timeout := tcpip.TCPUserTimeoutOption(time.Duration(value) * time.Millisecond)
		_ = s.ep().SetSockOpt(&timeout)
	case unix.IPPROTO_IP<<16 | unix.IP_TTL:
		_ = s.ep().SetSockOptInt(tcpip.IPv4TTLOption, int(min(max(value, 1), 255)))
	case unix.IPPROTO_IP<<16 | unix.IP_TOS:
		_ = s.ep().SetSockOptInt(tcpip.IPv4TOSOption, int(value&0xff))
	}
}

// bufferSize is twice what was asked, within bounds, as Linux does (socket(7)).
func bufferSize(value uint32) int64 { return min(max(int64(value)*2, minBuffer), maxBuffer) }

// seconds is a keep-alive time within Linux's bounds, 1 to 32767 s.
func seconds(value uint32) time.Duration {
	return time.Duration(min(max(value, 1), 32767)) * time.Second
}
