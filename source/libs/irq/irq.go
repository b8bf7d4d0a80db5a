// Package irq is a device's interrupt line as a program that was given one holds it: an
// interrupt descriptor of the kernel, or whatever stands in for it in a test.
package irq

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Line is a device's interrupt line.
type Line interface {
	// Wait blocks until the line was raised since the last Wait; the line is masked
	// then. One goroutine at a time.
	Wait() error
	// Arm unmasks the line. It starts masked.
	Arm() error
	// Close ends a Wait in progress with an error.
	Close() error
}

// file is a `NODE/irq` descriptor of the device directory
// (docs/architecture/07-contracts-map.md).
type file struct {
	f     *os.File
	count [4]byte
	arm   [4]byte
}

// Open makes a Line of f and takes it over. number is the interrupt's, for
// messages. Error: ErrNotPollable.
func Open(f *os.File) (line Line, number uint64, err error) {
	p, err := pollable(f)
	if err != nil {
		return nil, 0, fmt.Errorf("interrupt: %w", err)
	}
	stat, err := inodeOf(p)
	if err != nil {
		p.Close()
		return nil, 0, fmt.Errorf("interrupt: %w", err)
	}
	i := &file{f: p}
	binary.LittleEndian.PutUint32(i.arm[:], 1)
	return i, stat, nil
}

func (i *file) Wait() error {
	n, err := i.f.Read(i.count[:])
	if err == nil && n != len(i.count) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

func (i *file) Arm() error {
	_, err := i.f.Write(i.arm[:])
	return err
}

func (i *file) Close() error { return i.f.Close() }

// ErrNotPollable: the descriptor is no interrupt descriptor.
var ErrNotPollable = errors.New("descriptor cannot be waited for: give an irq descriptor in the manifest")

// pollable gives a file of the same descriptor that Go's poller waits for, and closes f. An inherited
// descriptor is blocking, and a thread would sit in each read of it.
func pollable(f *os.File) (*os.File, error) {
	defer f.Close()
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := -1
	var dupErr error
	err = conn.Control(func(old uintptr) {
		if fd, dupErr = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0); dupErr == nil {
			dupErr = unix.SetNonblock(fd, true)
		}
	})
	if err = errors.Join(err, dupErr); err != nil {
		if fd >= 0 {
			unix.Close(fd)
		}
		return nil, err
	}
	p := os.NewFile(uintptr(fd), f.Name())
	// A file that the poller refused has no deadlines.
	if err := p.SetDeadline(time.Time{}); err != nil {
		p.Close()
		return nil, ErrNotPollable
	}
	return p, nil
}

// inodeOf gives st_ino, by which the kernel says a window's address and an
// interrupt's number.
func inodeOf(f *os.File) (uint64, error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	var stat unix.Stat_t
	var statErr error
	err = conn.Control(func(fd uintptr) { statErr = unix.Fstat(int(fd), &stat) })
	return stat.Ino, errors.Join(err, statErr)
}
