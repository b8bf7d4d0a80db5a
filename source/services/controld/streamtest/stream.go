// Package streamtest is a control port without a machine: a stream that the gateway reads and writes, whose host comes
// and goes as a test says.
package streamtest

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// writeBound is the port's: how long the host may leave a write unread.
const writeBound = 5 * time.Second

// ErrHostGone says that there is no host to write to.
var ErrHostGone = errors.New("streamtest: the host has closed the port")

// Stream is the guest's end. One goroutine reads; any number writes.
type Stream struct {
	next   chan net.Conn // the host that comes
	ending chan struct{}
	end    sync.Once

	mu   sync.Mutex
	host net.Conn // nil: none
}

// New returns a stream without a host.
func New() *Stream {
	return &Stream{next: make(chan net.Conn), ending: make(chan struct{})}
}

// Connect returns the end of a new host, once the guest has seen the end of the one before. It is nil after Close.
func (s *Stream) Connect() net.Conn {
	near, far := net.Pipe()
	select {
	case s.next <- near:
		return far
	case <-s.ending:
		return nil
	}
}

// Close ends the stream for both sides.
func (s *Stream) Close() error {
	s.end.Do(func() { close(s.ending) })
	if host := s.current(); host != nil {
		host.Close()
	}
	return nil
}

func (s *Stream) ended() bool {
	select {
	case <-s.ending:
		return true
	default:
		return false
	}
}

func (s *Stream) current() net.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.host
}

func (s *Stream) set(host net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.host = host
}

// Read implements io.Reader as the port does: io.EOF once for each host that goes away, os.ErrClosed at the end.
func (s *Stream) Read(p []byte) (int, error) {
	host := s.current()
	if host == nil {
		select {
		case host = <-s.next:
			s.set(host)
		case <-s.ending:
			return 0, os.ErrClosed
		}
	}
	if s.ended() {
		host.Close() // it came at the last moment
	}
	n, err := host.Read(p)
	if s.ended() {
		host.Close()
		return n, os.ErrClosed
	}
	if err != nil {
		host.Close()
		s.set(nil)
		return n, io.EOF
	}
	return n, nil
}

// Write implements io.Writer as the port does: everything, or an error within a bound.
func (s *Stream) Write(p []byte) (int, error) {
	host := s.current()
	if host == nil {
		return 0, ErrHostGone
	}
	if err := host.SetWriteDeadline(time.Now().Add(writeBound)); err != nil {
		return 0, ErrHostGone
	}
	n, err := host.Write(p)
	if errors.Is(err, io.ErrClosedPipe) {
		err = ErrHostGone
	}
	return n, err
}
