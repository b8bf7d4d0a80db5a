package netcli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"nexus/source/api/netapi"
	"nexus/source/api/refusal"
	"nexus/source/libs/channel"
	"nexus/source/libs/svc"
)

// Exit statuses of nx.
const (
	StatusDone    = 0 // done
	StatusFault   = 1 // it ran, and found a fault: no echo came back, fewer frames than asked for, an http error
	StatusNotRun  = 2 // nothing could be run: wrong usage, something is missing, no guest
	StatusRefused = 3 // the guest refused, did not answer, or ended during the call
)

// Exits is the text of the exit statuses for help texts.
const Exits = `Exit status:
  0  done
  1  it ran and found a fault: no echo came back, fewer frames than asked for, an http error
  2  nothing could be run: wrong usage, something is missing, no guest
  3  the guest refused, did not answer in time, or ended during the call`

// ErrNoService says that a service cannot be had here while others can.
var ErrNoService = errors.New("no such service")

// Error is why a command failed, as its user sees it.
type Error struct {
	Status int
	Errno  syscall.Errno // of the guest's refusal, else 0
	Text   string        // what failed and what to do; "" when it has been said already
	cause  error
}

func (e *Error) Error() string { return e.Text }

// Unwrap returns what caused it, or nil.
func (e *Error) Unwrap() error { return e.cause }

// ExitStatus returns the exit status that says it.
func (e *Error) ExitStatus() int { return e.Status }

// Usagef returns the Error of a wrong use; its text says what is wanted.
func Usagef(format string, args ...any) error {
	return &Error{Status: StatusNotRun, Text: fmt.Sprintf(format, args...)}
}

// found ends a command that has said already what is wrong.
func found() error { return &Error{Status: StatusFault} }

var errInterrupted = &Error{Status: StatusRefused, Errno: syscall.EINTR, Text: "interrupted"}

// Unavailable explains why a service could not be opened. Errors that say their own status keep it.
func Unavailable(service string, err error) error {
	var own *Error
	var errno syscall.Errno
	switch {
	case errors.As(err, &own):
		return err
	case errors.As(err, &errno):
		return &Error{StatusRefused, errno, service + " cannot be opened: " + err.Error(), err}
	default:
		return &Error{StatusNotRun, 0, service + " cannot be opened: " + err.Error(), err}
	}
}

// Explain makes of the error of a call to one of services one that Report understands: what happened and what to do.
func Explain(ctx context.Context, services Services, service string, err error) error {
	return (&Env{Services: services}).explain(ctx, service, err)
}

// explain makes of a call's error one that says what happened and what to do.
func (e *Env) explain(ctx context.Context, service string, err error) error {
	var own *Error
	var refused *netapi.Error
	var other *refusal.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &own):
		return err
	case ctx.Err() != nil:
		return errInterrupted
	case errors.As(err, &refused):
		return refusedBy(service, refused.Errno, refused.Error(), err)
	case errors.As(err, &other):
		return refusedBy(service, other.Errno, other.Error(), err)
	case errors.Is(err, channel.ErrTimeout):
		return &Error{StatusRefused, syscall.ETIMEDOUT, service + " did not answer in time: it may be busy or stopped: " +
			"try again, then look at the console's last lines (on the host: nx logs NAME)", err}
	case errors.Is(err, io.EOF), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET), errors.Is(err, os.ErrClosed):
		return e.ended(service, err)
	case errors.Is(err, channel.ErrTooLarge):
		return &Error{StatusNotRun, syscall.EMSGSIZE, "the request is larger than a message may be (64 KiB): ask for less", err}
	default:
		return &Error{StatusRefused, syscall.EBADMSG, service + " sent a reply that cannot be read (" + err.Error() +
			"): nx and the guest are not of one build: make build, and boot again", err}
	}
}

// maxRefusal bounds a refusal's sentence, in bytes.
const maxRefusal = 500

// refusedBy is a service's refusal: its own sentence, and advice where that says nothing about nx.
func refusedBy(service string, errno syscall.Errno, text string, cause error) error {
	if len(text) > maxRefusal {
		text = text[:maxRefusal] + "…"
	}
	if more := advice(errno); more != "" {
		text += ": " + more
	}
	return &Error{StatusRefused, errno, service + ": " + text, cause}
}

// advice says what to do about a refusal in terms of nx.
func advice(errno syscall.Errno) string {
	switch errno {
	case syscall.EADDRNOTAVAIL:
		return "nx net dhcp NAME, or nx net addr NAME set A.B.C.D/N"
	case syscall.ENETUNREACH:
		return "no way leads there: has virt0 an address and a gateway, and is it up? nx net if, nx net addr virt0"
	case syscall.EHOSTUNREACH:
		return "nobody there answers ARP: nx net arp, and is the address right?"
	case syscall.ENODEV:
		return "nx net if lists them"
	case syscall.EBADMSG:
		return "nx and the guest are not of one build: make build, and boot again"
	case syscall.ENOSYS:
		return "the guest is of another build than nx: make build, and boot again"
	case syscall.ETIMEDOUT:
		return "see nx net stats --nonzero for what arrived"
	}
	return ""
}

// ended says that a service's channel ended during a call.
func (e *Env) ended(service string, cause error) error {
	if s, ok := e.Services.(Ender); ok {
		if err := s.Ended(service); err != nil {
			return err
		}
	}
	return &Error{StatusRefused, syscall.ECONNRESET, service + " ended during the call: the console's last lines say why", cause}
}

// Report says err to the user, as text on errs or as the run's JSON document on out, and returns the exit status. Errors that
// say no status of their own are StatusNotRun.
func Report(err error, asJSON bool, out, errs io.Writer) int {
	if err == nil {
		return StatusDone
	}
	status, errno := StatusNotRun, syscall.Errno(0)
	var own interface{ ExitStatus() int }
	if errors.As(err, &own) {
		status = own.ExitStatus()
	}
	var e *Error
	if errors.As(err, &e) {
		errno = e.Errno
	}
	text := strings.ReplaceAll(err.Error(), "\n", " ")
	switch {
	case text == "":
	case asJSON:
		if _, err := io.WriteString(out, errorDocument(text, errno, status)); err == nil {
			break
		}
		fallthrough
	default:
		_, _ = io.WriteString(errs, "nx: "+svc.Printable(text)+"\n")
	}
	return status
}

// errorFields are an error in JSON.
type errorFields struct {
	Text   string `json:"text"`
	Errno  int    `json:"errno"`
	Status int    `json:"status"`
}

func errorDocument(text string, errno syscall.Errno, status int) string {
	data, err := encode(map[string]errorFields{"error": {text, int(errno), status}})
	if err != nil {
		return "" // strings and numbers always can be encoded
	}
	return data
}
