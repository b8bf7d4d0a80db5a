package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"nexus/source/api/refusal"
	"nexus/source/libs/channel"
)

// dialBound bounds how long a session takes to begin; the mux's own bounds are shorter.
const dialBound = helloBound + answerBound + writeBound

// ErrNoGuest says that nobody serves a guest's control socket.
var ErrNoGuest = errors.New("no guest is running here: start one with `nx boot --stay`, or name another (`nx ps` lists them)")

// Services are those of one guest.
type Services struct {
	ctx  context.Context
	path string
}

// Dial returns the services of the guest whose runner serves the socket path. Nothing is connected before the first
// Open; ctx bounds each.
func Dial(ctx context.Context, path string) *Services { return &Services{ctx, path} }

// Open opens a channel to a service of the guest: netstackd, virtionetd, fetchd, controld. Errors: ErrNoGuest,
// ErrPathTooLong; a *refusal.Error of the guest, or of its runner; context's.
func (s *Services) Open(service string) (*channel.Conn, error) {
	if err := checkPath(s.path); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(s.ctx, dialBound)
	defer cancel()
	var dialer net.Dialer
	stream, err := dialer.DialContext(ctx, network, s.path)
	if err != nil {
		return nil, dialError(s.path, err)
	}
	conn, err := channelOf(stream.(*net.UnixConn))
	if err != nil {
		return nil, err
	}
	if err := greet(ctx, conn, service); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// dialError explains why nobody could be reached at path.
func dialError(path string, err error) error {
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%s: %w", path, ErrNoGuest)
	}
	return fmt.Errorf("control socket: %w", err)
}

// greet makes the channel one to service.
func greet(ctx context.Context, conn *channel.Conn, service string) error {
	// A wait ends with ctx: closing the channel is the only way to tell it.
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	answer, err := ask(conn, service, time.Now().Add(dialBound))
	switch {
	case !stop():
		return fmt.Errorf("open %s: %w", service, context.Cause(ctx))
	case err != nil && gone(err):
		return fmt.Errorf("open %s: the guest ended: %w", service, ErrNoGuest)
	case err != nil:
		return fmt.Errorf("open %s: %w", service, err)
	}
	refused, ok := parseAnswer(answer)
	switch {
	case !ok:
		return refusal.New(syscall.EPROTO, "open "+service+": what listens at the socket is no runner of a guest")
	case refused != nil:
		return refusal.New(refused.errno, refused.text)
	}
	return nil
}

// ask sends the hello and returns the mux's answer. A mux that refuses may close before it was asked, which shows as an
// error of its own; its answer is there all the same.
func ask(conn *channel.Conn, service string, deadline time.Time) ([]byte, error) {
	if err := conn.SendDatagram(hello(service), deadline); err != nil && !errors.Is(err, syscall.EPIPE) {
		return nil, err
	}
	answer := make([]byte, maxAnswer)
	n, err := conn.ReceiveDatagram(answer, deadline)
	if errors.Is(err, syscall.ECONNRESET) {
		n, err = conn.ReceiveDatagram(answer, deadline)
	}
	return answer[:n], err
}
