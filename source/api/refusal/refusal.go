// Package refusal is the error of the services' APIs: a Linux errno for programs
// and a sentence for the operator.
package refusal

import (
	"context"
	"errors"
	"syscall"

	"nexus/source/libs/channel"
)

// Error is a refusal as it crosses a channel. errors.Is sees its errno.
type Error struct {
	Errno syscall.Errno
	Text  string // what failed and what to do, one line
}

// New returns a refusal.
func New(errno syscall.Errno, text string) *Error { return &Error{errno, text} }

func (e *Error) Error() string {
	if e.Text == "" {
		return e.Errno.Error()
	}
	return e.Text
}

// Unwrap returns the errno.
func (e *Error) Unwrap() error { return e.Errno }

// ErrnoOf returns the errno that stands for err in a reply: its own, or that of
// what went wrong with the request, the reply or the time; EIO for the rest.
func ErrnoOf(err error) syscall.Errno {
	var errno syscall.Errno
	switch {
	case errors.As(err, &errno) && errno != 0:
		return errno
	case errors.Is(err, channel.ErrMalformed):
		return syscall.EBADMSG
	case errors.Is(err, channel.ErrTooLarge):
		return syscall.EMSGSIZE
	case errors.Is(err, channel.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return syscall.ETIMEDOUT
	default:
		return syscall.EIO
	}
}
