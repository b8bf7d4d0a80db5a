package tap

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"nexus/tools/nx/internal/capture"
	"nexus/tools/nx/internal/frame"
)

// Link sees and sends frames on a TAP beside the host's own network stack
// (packet(7)). Its watchers see what the guest sends.
type Link struct {
	index  int
	file   *os.File
	raw    fdCaller
	record capture.Record
	closed atomic.Bool
	frame.Watchers
}

// fdCaller is what of syscall.RawConn a Link needs.
type fdCaller interface {
	Read(f func(fd uintptr) (done bool)) error
	Write(f func(fd uintptr) (done bool)) error
}

// Open opens interface name of the current network namespace.
func Open(name string, record capture.Record) (*Link, error) {
	iface, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("tap: %w", err)
	}
	protocol := swap(unix.ETH_P_ALL)
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(protocol))
	if err != nil {
		return nil, fmt.Errorf("tap: packet socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: iface.Index}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("tap: bind to %s: %w", name, err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("tap: time stamps: %w", err)
	}
	file := os.NewFile(uintptr(fd), "packet:"+name)
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("tap: %w", err)
	}
	return &Link{index: iface.Index, file: file, raw: raw, record: record}, nil
}

// swap turns a 16 bit number into network byte order.
func swap(v uint16) uint16 { return v<<8 | v>>8 }

// Run reads frames until Close.
func (l *Link) Run() error {
	buf := make([]byte, 65536)
	oob := make([]byte, 256)
	for {
		var n, oobn int
		var from unix.Sockaddr
		var err error
		waitErr := l.raw.Read(func(fd uintptr) bool {
			n, oobn, _, from, err = unix.Recvmsg(int(fd), buf, oob, 0)
			return err != unix.EAGAIN && err != unix.EINTR
		})
		if waitErr != nil {
			if l.closed.Load() {
				return nil
			}
			return fmt.Errorf("tap: read: %w", waitErr)
		}
		if errors.Is(err, unix.ENETDOWN) {
			continue // the TAP has no reader for now; QEMU comes or went
		}
		if err != nil {
			return fmt.Errorf("tap: read: %w", err)
		}
		l.record(capture.KernelTime(oob[:oobn]), buf[:n])
		if ll, ok := from.(*unix.SockaddrLinklayer); ok && ll.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		l.Deliver(buf[:n])
	}
}

// Send puts one frame on the wire as if the host's stack had sent it.
func (l *Link) Send(raw []byte) error {
	// A packet socket is not shown what it sent itself.
	l.record(time.Now(), raw)
	var err error
	waitErr := l.raw.Write(func(fd uintptr) bool {
		err = unix.Sendto(int(fd), raw, 0, &unix.SockaddrLinklayer{Ifindex: l.index})
		return err != unix.EAGAIN && err != unix.EINTR
	})
	if waitErr != nil {
		return fmt.Errorf("tap: send: %w", waitErr)
	}
	if err != nil {
		return fmt.Errorf("tap: send: %w", err)
	}
	return nil
}

// Close ends the link; Run returns.
func (l *Link) Close() error {
	l.closed.Store(true)
	return l.file.Close()
}

// Sockets opens the kernel's sockets at an address of this network namespace.
type Sockets struct {
	Address netip.Addr // the zero Addr is the host's on the TAP
}

// ListenPacket opens a UDP socket.
func (s Sockets) ListenPacket(port uint16) (net.PacketConn, error) {
	return net.ListenPacket("udp4", s.at(port))
}

// Listen opens a TCP listener.
func (s Sockets) Listen(port uint16) (net.Listener, error) {
	return (&net.ListenConfig{}).Listen(context.Background(), "tcp4", s.at(port))
}

func (s Sockets) at(port uint16) string {
	address := s.Address
	if !address.IsValid() {
		address = frame.Host.IP
	}
	return netip.AddrPortFrom(address, port).String()
}
