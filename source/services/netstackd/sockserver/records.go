package sockserver

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"nexus/source/libs/sockns"
)

var errBadRecord = errors.New("not a record")

// sendTimeout bounds how long the kernel may leave no room for a record; it never does.
const sendTimeout = 10 * time.Second

// records is the serving end of the namespace.
type records struct {
	file *os.File
	raw  syscall.RawConn

	in       [sockns.Size + 1]byte // one more, to see a record that is too long
	inRights [64]byte

	mu  sync.Mutex // guards sending
	out [sockns.Size]byte
}

// openRecords takes over f.
func openRecords(f *os.File) (*records, error) {
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("dup", err)
	}
	file, raw, err := pollable(fd, f.Name())
	if err != nil {
		return nil, err
	}
	return &records{file: file, raw: raw}, nil
}

// pollable makes a file of a descriptor, which it takes over, that the runtime waits for without a thread.
func pollable(fd int, name string) (*os.File, syscall.RawConn, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, nil, os.NewSyscallError("fcntl", err)
	}
	file := os.NewFile(uintptr(fd), name)
	raw, err := file.SyscallConn()
	if err == nil {
		err = file.SetDeadline(time.Time{}) // refused when the poller did not take the descriptor
	}
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return file, raw, nil
}

func (r *records) close() { r.file.Close() }

// receive waits for a record; fd is the descriptor beside it, or -1. The error is errBadRecord, io.EOF at the end of the
// namespace, or the system's.
func (r *records) receive() (record sockns.Record, fd int, err error) {
	var n, rights, flags int
	var failed error
	err = r.raw.Read(func(socket uintptr) bool {
		n, rights, flags, _, failed = unix.Recvmsg(int(socket), r.in[:], r.inRights[:], unix.MSG_CMSG_CLOEXEC)
		return failed != unix.EAGAIN
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return record, -1, err
	}
	if n == 0 && rights == 0 {
		return record, -1, io.EOF
	}
	fd = onlyDescriptor(r.inRights[:rights])
	if n != sockns.Size || flags&unix.MSG_TRUNC != 0 {
		closeDescriptor(fd)
		return record, -1, errBadRecord
	}
	record.Decode((*[sockns.Size]byte)(r.in[:sockns.Size]))
	return record, fd, nil
}

// onlyDescriptor returns the descriptor in a control buffer, or -1; if there are more, the others are closed.
func onlyDescriptor(control []byte) int {
	if len(control) == 0 {
		return -1
	}
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return -1
	}
	first := -1
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			continue
		}
		for _, fd := range fds {
			if first < 0 {
				first = fd
				continue
			}
			unix.Close(fd)
		}
	}
	return first
}

// send sends a record, beside it fd unless that is -1.
func (r *records) send(record *sockns.Record, fd int) error {
	var rights []byte
	if fd >= 0 {
		rights = unix.UnixRights(fd)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	record.Encode(&r.out)
	if err := r.file.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return err
	}
	var failed error
	err := r.raw.Write(func(socket uintptr) bool {
		failed = unix.Sendmsg(int(socket), r.out[:], rights, nil, unix.MSG_NOSIGNAL)
		return failed != unix.EAGAIN
	})
	if err == nil {
		err = failed
	}
	return err
}
