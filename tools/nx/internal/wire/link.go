// Package wire is the network card's other end when there is no TAP: a unix
// socket that QEMU carries Ethernet frames over (-netdev stream), and on it a
// TCP/IP stack that plays the host. It needs no privileges and leaves nothing
// in the file system.
package wire

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"nexus/tools/nx/internal/capture"
	"nexus/tools/nx/internal/frame"
)

// maxFrame is the longest frame QEMU may send (its NET_BUFSIZE); a longer
// length field means the stream lost its framing.
const maxFrame = 4096 + 65536

// sendBound is how long QEMU may leave a frame unread before it is dropped.
const sendBound = time.Second

// ErrFraming says that the peer sent a length that no frame can have.
var ErrFraming = errors.New("wire: invalid frame length")

// Link carries frames between this process and QEMU. QEMU's framing is a
// 4-byte big-endian length before each frame.
type Link struct {
	conn   net.Conn
	record capture.Record

	sending sync.Mutex
	out     []byte
	broken  bool // a partly written frame ended the framing; guarded by sending

	frame.Watchers // see what QEMU sends

	received, sent, dropped atomic.Uint64
}

// New makes a connected pair: the file to give to QEMU, to be closed once QEMU
// was started, and this end of it.
func New(record capture.Record) (guest *os.File, link *Link, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("wire: socketpair: %w", err)
	}
	guest = os.NewFile(uintptr(fds[0]), "wire-guest")
	host := os.NewFile(uintptr(fds[1]), "wire-host")
	defer host.Close()
	conn, err := net.FileConn(host)
	if err != nil {
		guest.Close()
		return nil, nil, fmt.Errorf("wire: %w", err)
	}
	return guest, NewLink(conn, record), nil
}

// NewLink is a link over a stream that is connected already.
func NewLink(conn net.Conn, record capture.Record) *Link {
	return &Link{conn: conn, record: record}
}

// Run reads frames until the other end closes (nil) or the framing is broken.
func (l *Link) Run() error {
	in := bufio.NewReaderSize(l.conn, maxFrame)
	buf := make([]byte, maxFrame)
	var head [4]byte
	for {
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return ended(err)
		}
		n := binary.BigEndian.Uint32(head[:])
		if n == 0 || n > maxFrame {
			return fmt.Errorf("%w: %d bytes", ErrFraming, n)
		}
		if _, err := io.ReadFull(in, buf[:n]); err != nil {
			return ended(err)
		}
		l.received.Add(1)
		l.record(time.Now(), buf[:n])
		l.Deliver(buf[:n])
	}
}

// ended turns the ways a closed stream shows itself into nil. QEMU may end in the
// middle of a frame.
func ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ECONNRESET) {
		return nil
	}
	return fmt.Errorf("wire: read: %w", err)
}

// Send gives one frame to the guest. A frame that QEMU does not take within a
// second is dropped and counted.
func (l *Link) Send(raw []byte) error {
	if len(raw) == 0 || len(raw) > maxFrame {
		return fmt.Errorf("%w: %d bytes", ErrFraming, len(raw))
	}
	l.sending.Lock()
	defer l.sending.Unlock()
	if l.broken {
		l.dropped.Add(1)
		return fmt.Errorf("wire: send: %w", net.ErrClosed)
	}
	l.out = binary.BigEndian.AppendUint32(l.out[:0], uint32(len(raw)))
	l.out = append(l.out, raw...)
	// Recorded first, or the guest's answer could be recorded before it.
	now := time.Now()
	l.record(now, raw)
	// A deadline on a socket of this process cannot fail but by being closed,
	// which the write then reports.
	_ = l.conn.SetWriteDeadline(now.Add(sendBound))
	n, err := l.conn.Write(l.out)
	if err != nil {
		l.broken = n > 0
		l.dropped.Add(1)
		return fmt.Errorf("wire: send: %w", err)
	}
	l.sent.Add(1)
	return nil
}

// Counts are the frames received from the guest, sent to it, and dropped.
func (l *Link) Counts() (received, sent, dropped uint64) {
	return l.received.Load(), l.sent.Load(), l.dropped.Load()
}

// Close ends the link; Run returns.
func (l *Link) Close() error { return l.conn.Close() }
