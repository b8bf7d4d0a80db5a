// Package usernet watches QEMU's own user network, where the DHCP server, ARP and
// the host's end of every connection are QEMU's (libslirp). QEMU joins it and
// the network card by a hub, and the hub's third port is a socket pair: what is
// read from it is what crossed the card, both ways. Nothing is ever sent.
package usernet

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"nexus/tools/nx/internal/capture"
	"nexus/tools/nx/internal/frame"
)

// maxFrame is the longest frame QEMU may send (its NET_BUFSIZE).
const maxFrame = 4096 + 65536

// sendBuffer is asked for at QEMU's end, so that a burst waits there and not
// in QEMU, where it would get its time late. The kernel may give less.
const sendBuffer = 4 << 20

// ErrReadOnly says that a frame cannot be put on a user network.
var ErrReadOnly = errors.New("usernet: frames cannot be sent on QEMU's user network")

// Link reads a copy of each frame on the hub. Its watchers see what the guest
// sends.
type Link struct {
	file   *os.File
	raw    syscall.RawConn
	record capture.Record
	frame.Watchers
}

// New makes a connected pair: the file to give to QEMU (-netdev dgram), to be
// closed once QEMU was started, and this end of it. The pair keeps the bounds of
// frames and, unlike datagrams, shows its end.
func New(record capture.Record) (guest *os.File, link *Link, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("usernet: socketpair: %w", err)
	}
	guest = os.NewFile(uintptr(fds[0]), "usernet-guest")
	link, err = newLink(fds[1], record)
	if err != nil {
		guest.Close()
		return nil, nil, fmt.Errorf("usernet: %w", err)
	}
	// More room is better and less is enough.
	_ = unix.SetsockoptInt(fds[0], unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer)
	return guest, link, nil
}

// newLink owns fd.
func newLink(fd int, record capture.Record) (*Link, error) {
	err := errors.Join(
		os.NewSyscallError("SO_TIMESTAMPNS", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)),
		os.NewSyscallError("nonblock", unix.SetNonblock(fd, true)))
	file := os.NewFile(uintptr(fd), "usernet-host")
	if err != nil {
		file.Close()
		return nil, err
	}
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, err
	}
	return &Link{file: file, raw: raw, record: record}, nil
}

// Run reads frames until QEMU's end is closed or Close was called, the last of
// them included, and then lets go of the socket. A frame's time is when QEMU put it on the
// hub, however late it is read.
func (l *Link) Run() error {
	defer l.file.Close()
	buf := make([]byte, maxFrame)
	oob := make([]byte, 256)
	for {
		var n, oobn int
		var err error
		waitErr := l.raw.Read(func(fd uintptr) bool {
			n, oobn, _, _, err = unix.Recvmsg(int(fd), buf, oob, 0)
			return err != unix.EAGAIN && err != unix.EINTR
		})
		switch {
		case waitErr != nil:
			return fmt.Errorf("usernet: read: %w", waitErr)
		case err == unix.ECONNRESET:
			return nil // QEMU ended
		case err != nil:
			return fmt.Errorf("usernet: read: %w", err)
		case n == 0 && oobn == 0:
			return nil // the end; an empty frame would have its time beside it
		}
		l.record(capture.KernelTime(oob[:oobn]), buf[:n])
		if s := frame.Describe(buf[:n]); s.FromGuest() {
			l.Deliver(buf[:n])
		}
	}
}

// Send refuses: only QEMU may speak for the host here.
func (l *Link) Send([]byte) error { return ErrReadOnly }

// Close ends the link: Run reads what is still there and returns.
func (l *Link) Close() error {
	var err error
	ctlErr := l.raw.Control(func(fd uintptr) { err = unix.Shutdown(int(fd), unix.SHUT_RDWR) })
	if ctlErr != nil || err == unix.ENOTCONN {
		return nil // the end came before
	}
	return err
}
