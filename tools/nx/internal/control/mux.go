// Package control shares a guest's control channel among programs of the host.
//
// The runner of a guest holds the one end of its control port and is the Mux; every other nx is a client. They meet at a
// socket of type SOCK_SEQPACKET in the guest's run directory:
//
//	client: OPEN service\n
//	mux:    OK\n, or ERR errno text\n and the end
//
// From OK on the connection is a channel (source/libs/channel) to that service of the guest: one message a datagram. The
// end of the guest, or of the service, is the end of the connection. A client that breaks the rules is told by one ERR
// datagram more, and its connection ends.
//
// Between the runner and the guest go the frames of source/libs/control. Neither the guest nor a client is trusted:
// everything is bounded, and no client can hold up another.
package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"nexus/source/api/refusal"
	"nexus/source/libs/control"
	"nexus/source/libs/svc"
)

const (
	// MaxClients bounds the clients at a time; the guest has no more sessions.
	MaxClients = 16

	// helloBound is how long a client may take to say what it wants.
	helloBound = 5 * time.Second
	// answerBound is how long the guest may take to open a session.
	answerBound = 10 * time.Second
	// readBound is how long a client may leave a datagram unread.
	readBound = 5 * time.Second
	// writeBound is how long the guest may leave a frame unread.
	writeBound = 5 * time.Second
	// acceptPause is how long no client is let in after one could not be.
	acceptPause = 100 * time.Millisecond
	// maxQueue bounds the datagrams that wait for a client. The guest has at most 8 requests of a session at hand.
	maxQueue = 16
)

// Port is the host's end of the control port: a stream whose waits can be bounded, as *os.File of a socket and net.Conn
// are.
type Port interface {
	io.ReadWriteCloser
	SetWriteDeadline(time.Time) error
}

// Mux is the clients of one guest's control port.
type Mux struct {
	port     Port
	listener *net.UnixListener
	served   sync.WaitGroup

	writing sync.Mutex // guards what follows
	out     *control.Writer

	mu      sync.Mutex           // guards what follows
	last    uint32               // session that was given last
	clients map[uint32]*client   // by session
	all     map[*client]struct{} // those without a session too
	broken  *fault               // why the port is of no use any more
	ended   bool
}

// Listen makes the mux of the guest at the other end of port, which it takes over. Clients can connect to the socket path
// once it returns; they are served by Serve. The socket of a runner that died is replaced.
func Listen(path string, port Port) (*Mux, error) {
	if err := port.SetWriteDeadline(time.Time{}); err != nil {
		port.Close()
		return nil, fmt.Errorf("control port: %w", err)
	}
	listener, err := listen(path)
	if err != nil {
		port.Close()
		return nil, err
	}
	return &Mux{
		port: port, listener: listener,
		out:     control.NewWriter(port, control.Host),
		clients: make(map[uint32]*client), all: make(map[*client]struct{}),
	}, nil
}

// Serve serves until ctx is done or the guest has closed the port; then every client is gone, the socket is removed and
// the port closed. A guest that sends something other than frames does not end it: clients are told.
func (m *Mux) Serve(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { m.port.Close() })
	defer stop()
	m.served.Go(m.accept)
	err := m.read()
	m.end()
	m.served.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

var errEnded = &fault{syscall.ENOTCONN, "the guest has ended"}

// end ends every client and lets in no other.
func (m *Mux) end() {
	m.mu.Lock()
	m.ended = true
	m.dropAll(errEnded)
	for c := range m.all {
		if c.session == 0 {
			c.conn.Close()
		}
	}
	m.mu.Unlock()
	m.listener.Close() // removes the socket
	m.port.Close()
}

// read takes what the guest sends until the port is closed. It never waits for a client, nor writes to the port: the guest
// may be waiting for its writes to be read.
func (m *Mux) read() error {
	in := control.NewReader(m.port, control.Guest)
	for {
		f, err := in.Next()
		switch {
		case err == nil:
			m.handle(f)
		case errors.Is(err, control.ErrProtocol):
			m.breakOff("the guest does not speak the control channel's protocol")
		case gone(err):
			return nil
		default:
			return err
		}
	}
}

// gone reports whether err is one of the ways in which a closed stream shows itself.
func gone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrClosedPipe) ||
		errors.Is(err, os.ErrClosed) || errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ECONNRESET)
}

var errUnread = &fault{syscall.ENOBUFS, "this client does not read its replies"}

// handle does what a frame of the guest says. Frames of sessions that are gone mean nothing.
func (m *Mux) handle(f control.Frame) {
	text := svc.Printable(string(f.Body))
	if f.Session == 0 { // only REFUSED
		m.breakOff("the guest could not read the control channel: " + text)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.clients[f.Session]
	if c == nil {
		return
	}
	switch f.Kind {
	case control.Opened:
		c.answer(nil)
	case control.Refused, control.Close:
		errno := f.Errno
		if errno == 0 {
			errno = syscall.EIO
		}
		c.known = true
		m.drop(c, &fault{errno, text})
	case control.Data:
		if !c.put(f.Body) {
			m.drop(c, errUnread)
		}
	}
}

// breakOff gives the port up: every client ends, and those that come are told why.
func (m *Mux) breakOff(text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken == nil {
		m.broken = &fault{syscall.EPROTO, text + ": boot it again"}
	}
	m.dropAll(m.broken)
}

// dropAll ends every session on this side; the guest is not to be told. m.mu is held.
func (m *Mux) dropAll(why *fault) {
	for _, c := range m.clients {
		c.known = true
		m.drop(c, why)
	}
}

// drop ends a client's session on this side. m.mu is held.
func (m *Mux) drop(c *client, why *fault) {
	if m.clients[c.session] != c {
		return
	}
	delete(m.clients, c.session)
	c.answer(why)
	close(c.queue)
}

// enter lets a connection in, if there is room.
func (m *Mux) enter(c *client) *fault {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.ended:
		return errEnded
	case len(m.all) >= MaxClients:
		return &fault{syscall.EAGAIN, "all " + strconv.Itoa(MaxClients) + " connections to this guest are in use: close another nx"}
	}
	m.all[c] = struct{}{}
	return nil
}

func (m *Mux) leave(c *client) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.all, c)
}

// begin gives a client a session.
func (m *Mux) begin(c *client) *fault {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ended {
		return errEnded
	}
	if m.broken != nil {
		return m.broken
	}
	m.last++
	for m.last == 0 || m.clients[m.last] != nil {
		m.last++
	}
	c.session = m.last
	m.clients[c.session] = c
	return nil
}

// finish ends the session of a client that is leaving, and tells the guest unless it knows.
func (m *Mux) finish(c *client) {
	m.mu.Lock()
	m.drop(c, errEnded)
	tell := !c.known
	c.known = true
	m.mu.Unlock()
	if tell {
		_ = m.write(control.Frame{Session: c.session, Kind: control.Close}) // a guest that does not read learns nothing
	}
}

// Stop asks the guest to end its system in peace. A guest that does not hear it,
// still starting for example, does not: the caller waits with a bound.
func (m *Mux) Stop() error {
	if why := m.write(control.Frame{Kind: control.Stop}); why != nil {
		return refusal.New(why.errno, why.text)
	}
	return nil
}

// write sends one frame to the guest. After a frame that was written in part nothing can follow.
func (m *Mux) write(f control.Frame) *fault {
	m.writing.Lock()
	defer m.writing.Unlock()
	if why := m.unusable(); why != nil {
		return why
	}
	_ = m.port.SetWriteDeadline(time.Now().Add(writeBound)) // a closed port fails in the write
	whole, err := m.out.Write(f)
	switch {
	case err == nil:
		return nil
	case !whole:
		m.breakOff("the guest stopped reading its control channel within a frame")
		return m.unusable()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errStuck
	default:
		return errEnded
	}
}

var errStuck = &fault{syscall.ETIMEDOUT, "the guest does not read its control channel: it is still starting, or it hangs"}

func (m *Mux) unusable() *fault {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.broken
}
