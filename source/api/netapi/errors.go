// Package netapi speaks net.capnp with Go types: a Client with one method a request, and the error that both sides mean.
package netapi

import (
	"errors"
	"os"
	"syscall"

	"capnproto.org/go/capnp/v3"

	"nexus/source/api/netcapnp"
	"nexus/source/libs/channel"
)

// Error is a refusal: a Linux errno and a sentence for the operator. errors.Is sees the errno.
type Error struct {
	Errno syscall.Errno
	Text  string
}

// Refused returns an Error.
func Refused(errno syscall.Errno, text string) *Error { return &Error{errno, text} }

func (e *Error) Error() string {
	if e.Text == "" {
		return e.Errno.Error()
	}
	return e.Text
}

func (e *Error) Unwrap() error { return e.Errno }

// Refuse makes the error reply that says err. It is the second half of a channel.Handler for net.capnp.
func Refuse(segment *capnp.Segment, err error) {
	reply, failed := netcapnp.NewRootReply(segment)
	if failed != nil {
		return // a fresh segment always has room for a root
	}
	reply.SetError()
	reply.Error().SetErrno(uint16(ErrnoOf(err)))
	_ = reply.Error().SetText(err.Error()) // without the text the number still says it
}

// ErrnoOf returns the errno that stands for err in a reply.
func ErrnoOf(err error) syscall.Errno {
	var errno syscall.Errno
	switch {
	case errors.As(err, &errno) && errno != 0:
		return errno
	case errors.Is(err, channel.ErrMalformed):
		return syscall.EBADMSG
	case errors.Is(err, channel.ErrTooLarge):
		return syscall.EMSGSIZE
	case errors.Is(err, os.ErrDeadlineExceeded):
		return syscall.ETIMEDOUT
	default:
		return syscall.EIO
	}
}
