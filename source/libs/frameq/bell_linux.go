package frameq

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// EventBell is a doorbell made of an eventfd. Both sides hold the same open file: one that
// makes it blocking and fills its counter can stall a ring, and with it only the service whose
// frames it moves.
type EventBell struct {
	file *os.File
	conn syscall.RawConn
	ring func(fd uintptr) bool
	in   [8]byte
}

// one is what a ring adds to the eventfd's counter; the machine's byte order
// (little-endian on every platform we build for).
var one = []byte{1, 0, 0, 0, 0, 0, 0, 0}

// NewEventBell makes a bell.
func NewEventBell() (*EventBell, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	return OpenEventBell(os.NewFile(uintptr(fd), "bell"))
}

// OpenEventBell makes a bell of a non-blocking eventfd and owns it.
func OpenEventBell(file *os.File) (*EventBell, error) {
	conn, err := file.SyscallConn()
	if err != nil {
		return nil, err
	}
	b := &EventBell{file: file, conn: conn}
	b.ring = func(fd uintptr) bool {
		// EAGAIN: the counter is at its limit, so the bell rings already.
		_, _ = unix.Write(int(fd), one)
		return true // never wait for room
	}
	return b, nil
}

// File gives the descriptor, to hand it over or to set a deadline. It stays
// the bell's.
func (b *EventBell) File() *os.File { return b.file }

// Ring wakes whoever waits. It fails only when the bell is closed.
func (b *EventBell) Ring() error { return b.conn.Write(b.ring) }

// Wait blocks until the bell rang since the last Wait, or the file's deadline
// passed or it was closed (an error). One goroutine at a time.
func (b *EventBell) Wait() error {
	_, err := b.file.Read(b.in[:])
	return err
}

// Close closes the descriptor; a Wait in progress ends with an error.
func (b *EventBell) Close() error { return b.file.Close() }
