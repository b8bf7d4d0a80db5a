// Package channel carries Cap'n Proto messages between services: one message a datagram of an AF_UNIX SOCK_SEQPACKET
// socket, descriptors beside it as SCM_RIGHTS.
//
// A message travels as one segment, unpacked, in the standard stream framing (u32 0, u32 words, then the words), at most
// MaxMessage bytes with it. The root of a request and of a reply is a struct whose first field is `id @0 :UInt64`; the
// reply repeats the request's. Every call has a time-out. docs/architecture/07-contracts-map.md, "Channels", is the
// contract; any schema of that shape can be used.
//
// The other end is never trusted: what it sends is bounded in size, depth and traversal, descriptors that nobody asked for
// are closed, and a peer that does not read is given up after a bound.
package channel

import (
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// MaxMessage bounds one datagram, framing included.
	MaxMessage = 64 << 10
	// MaxDescriptors bounds the descriptors beside one datagram.
	MaxDescriptors = 8
)

// What can be wrong with a datagram or a call. Errors of the system itself are syscall.Errno values.
var (
	ErrMalformed = errors.New("channel: malformed message")
	ErrTooLarge  = errors.New("channel: message exceeds 64 KiB")
	ErrTimeout   = os.ErrDeadlineExceeded
)

// Conn is one end of a channel. Send and Receive may run at the same time; each by one goroutine at a time, others wait.
type Conn struct {
	file   *os.File
	raw    syscall.RawConn
	closed atomic.Bool

	tx      sync.Mutex
	txParts [2][]byte // header and segment of the datagram being sent
	txRight []byte    // its control message
	txError error
	txReady func(fd uintptr) bool

	rx      sync.Mutex
	rxBytes []byte
	rxRight [rightsSpace]byte
	rxGot   datagram
	rxError error
	rxReady func(fd uintptr) bool
}

// Open makes a channel of an inherited or received socket and takes it over: f must not be used afterwards, also when an
// error is returned.
func Open(f *os.File) (*Conn, error) {
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("dup", err)
	}
	return FromDescriptor(fd, f.Name())
}

// FromDescriptor makes a channel of a descriptor and takes it over.
func FromDescriptor(fd int, name string) (*Conn, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	c := &Conn{file: os.NewFile(uintptr(fd), name)}
	raw, err := c.file.SyscallConn()
	if err == nil {
		// Only a descriptor that the poller accepts can be waited for with a bound.
		err = c.file.SetDeadline(time.Time{})
	}
	if err != nil {
		c.file.Close()
		return nil, err
	}
	c.raw = raw
	c.txReady = c.trySend
	c.rxReady = c.tryReceive
	return c, nil
}

// Pair returns two channels joined to each other.
func Pair() (*Conn, *Conn, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	a, err := FromDescriptor(fds[0], "channel")
	if err != nil {
		unix.Close(fds[1])
		return nil, nil, err
	}
	b, err := FromDescriptor(fds[1], "channel")
	if err != nil {
		a.Close()
		return nil, nil, err
	}
	return a, b, nil
}

// Name returns the name of the file the channel was made of.
func (c *Conn) Name() string { return c.file.Name() }

// Close ends the channel; pending calls return os.ErrClosed.
func (c *Conn) Close() error {
	c.closed.Store(true)
	return c.file.Close()
}

// explain returns os.ErrClosed for whatever a closed file answers, which os does not do for raw access.
func (c *Conn) explain(err error) error {
	if err != nil && c.closed.Load() {
		return os.ErrClosed
	}
	return err
}

// ended reports whether err means that there is no other end any more.
func ended(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, os.ErrClosed) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}
