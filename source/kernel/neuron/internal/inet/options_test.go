package inet

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/unixsock"
	"nexus/source/libs/sockns"
)

// TestOptionsLikeHost sets options of the host's sockets and of ours to the same values and wants the same answers.
func TestOptionsLikeHost(t *testing.T) {
	start(t, 256)
	w := newWorld(t)
	values := []int{-2, -1, 0, 1, 2, 3, 64, 127, 128, 255, 256, 257, 2304, 4608, 32767, 32768, maxBuffer - 1, maxBuffer}
	options := [][2]int{
		{unix.SOL_SOCKET, unix.SO_REUSEADDR}, {unix.SOL_SOCKET, unix.SO_BROADCAST}, {unix.SOL_SOCKET, unix.SO_SNDBUF},
		{unix.SOL_SOCKET, unix.SO_RCVBUF}, {unix.SOL_SOCKET, unix.SO_KEEPALIVE}, {unix.SOL_SOCKET, unix.SO_REUSEPORT},
		{unix.IPPROTO_IP, unix.IP_TOS}, {unix.IPPROTO_IP, unix.IP_TTL}, {unix.IPPROTO_TCP, unix.TCP_NODELAY}, {unix.IPPROTO_TCP, unix.TCP_CORK},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE}, {unix.IPPROTO_TCP, unix.TCP_KEEPINTVL}, {unix.IPPROTO_TCP, unix.TCP_KEEPCNT},
		{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT},
	}
	for _, kind := range []unixsock.Type{unixsock.Stream, unixsock.Datagram} {
		fd, err := unix.Socket(unix.AF_INET, int(kind), 0)
		if err != nil {
			t.Fatal(err)
		}
		s, data := w.open(kind)
		same := func(what string, option [2]int, n int) {
			t.Helper()
			got, errno := s.Option(option[0], option[1])
			want, err := unix.GetsockoptInt(fd, option[0], option[1])
			if errno != number(err) || err == nil && got != want {
				t.Errorf("socket type %d, option %v %s %d: %d, %d; the host has %d, %d", kind, option, what, n, got, errno, want, number(err))
			}
		}
		for _, option := range options {
			buffer := option == [2]int{unix.SOL_SOCKET, unix.SO_SNDBUF} || option == [2]int{unix.SOL_SOCKET, unix.SO_RCVBUF}
			if !buffer { // a host may be told others
				same("at the start", option, 0)
			}
			for _, n := range values {
				if buffer && n < 0 {
					continue // as large as the host was told
				}
				_, errno := s.SetOption(option[0], option[1], n)
				if want := number(unix.SetsockoptInt(fd, option[0], option[1], n)); errno != want {
					t.Errorf("socket type %d, option %v to %d: %d, want %d as the host", kind, option, n, errno, want)
				}
				if errno == abi.OK {
					w.want(sockns.Option)
				}
				same("after", option, n)
			}
		}
		s.Close()
		if kind == unixsock.Datagram {
			w.want(sockns.Close)
		}
		data.Release()
		reap()
		unix.Close(fd)
	}
	w.close()
}

// number is the error number of an answer of the host's.
func number(err error) abi.Errno {
	var errno unix.Errno
	errors.As(err, &errno)
	return abi.Errno(errno)
}

// TestLingerOptions: SO_LINGER of no second is kept for streams; one that would wait is refused, since a close never waits here.
func TestLingerOptions(t *testing.T) {
	start(t, 256)
	w := newWorld(t)
	for _, tt := range []struct {
		kind    unixsock.Type
		on      bool
		seconds int
		want    abi.Errno
		lingers bool
	}{
		{unixsock.Stream, true, 0, abi.OK, true},
		{unixsock.Stream, true, 1, abi.EINVAL, true},
		{unixsock.Stream, false, 5, abi.OK, false},
		{unixsock.Stream, true, -1, abi.EINVAL, false},
		{unixsock.Datagram, true, 0, abi.OK, false},
	} {
		s, data := w.open(tt.kind)
		if tt.seconds != 0 && tt.lingers {
			s.SetLinger(true, 0)
		}
		if err := s.SetLinger(tt.on, tt.seconds); err != tt.want || s.Linger() != tt.lingers {
			t.Errorf("%v, %d s: %d, lingers %v; want %d, %v", tt.on, tt.seconds, err, s.Linger(), tt.want, tt.lingers)
		}
		s.SetLinger(false, 0)
		s.Close()
		if tt.kind == unixsock.Datagram {
			w.want(sockns.Close)
		}
		data.Release()
		reap()
	}
	w.close()
}
