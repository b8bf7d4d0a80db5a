package control

import (
	"errors"
	"net"
	"strconv"
	"syscall"
	"time"

	"nexus/source/libs/channel"
	"nexus/source/libs/control"
)

// client is one connection, from its handshake to its end.
//
// Its queue is closed, once, by whoever takes it from the mux's table; what was put in before is still sent.
type client struct {
	conn     *channel.Conn
	session  uint32      // 0 before it has one; guarded by the mux's mu
	known    bool        // the guest need not be told of the end; guarded by the mux's mu
	queue    chan []byte // datagrams on their way to the client
	answered chan *fault // the guest's answer to OPEN: nil for opened
}

func newClient(conn *channel.Conn) *client {
	return &client{conn: conn, queue: make(chan []byte, maxQueue), answered: make(chan *fault, 1)}
}

// answer gives the guest's answer to OPEN; only the first counts.
func (c *client) answer(why *fault) {
	select {
	case c.answered <- why:
	default:
	}
}

// put queues a datagram for the client; false when it has left too many unread.
func (c *client) put(datagram []byte) bool {
	select {
	case c.queue <- append([]byte(nil), datagram...):
		return true
	default:
		return false
	}
}

// say sends a line of the handshake.
func (c *client) say(line []byte) error {
	return c.conn.SendDatagram(line, time.Now().Add(readBound))
}

// refuse tells the client why its connection ends.
func (c *client) refuse(why *fault) { _ = c.say(why.line()) } // one that is gone does not care

// accept serves each client that connects until the listener is closed.
func (m *Mux) accept() {
	for {
		conn, err := m.listener.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(acceptPause) // out of descriptors: they come back
			continue
		}
		far, err := channelOf(conn)
		if err != nil {
			continue
		}
		c := newClient(far)
		if why := m.enter(c); why != nil {
			_ = far.TrySendDatagram(why.line())
			far.Close()
			continue
		}
		m.served.Go(func() {
			defer m.leave(c)
			defer c.conn.Close()
			m.serve(c)
		})
	}
}

// serve serves one client until it or the guest ends.
func (m *Mux) serve(c *client) {
	buf := make([]byte, channel.MaxMessage)
	n, err := c.conn.ReceiveDatagram(buf[:maxHello], time.Now().Add(helloBound))
	if err != nil && !errors.Is(err, channel.ErrTooLarge) {
		return
	}
	service, ok := parseHello(buf[:n])
	if !ok {
		c.refuse(errHello)
		return
	}
	if why := m.begin(c); why != nil {
		c.refuse(why)
		return
	}
	defer m.finish(c)
	if why := m.open(c, service); why != nil {
		c.refuse(why)
		return
	}
	if c.say([]byte(okLine)) != nil {
		return
	}
	m.served.Go(c.send)
	m.receive(c, buf)
}

var errHello = &fault{syscall.EINVAL, "the first datagram must be OPEN and the name of a service: use the nx that booted the guest"}

// open asks the guest for a session and waits for its answer within a bound.
func (m *Mux) open(c *client, service string) *fault {
	if why := m.write(control.Frame{Session: c.session, Kind: control.Open, Body: []byte(service)}); why != nil {
		m.mu.Lock()
		c.known = true // it has heard of no session
		m.mu.Unlock()
		return why
	}
	bound := time.NewTimer(answerBound)
	defer bound.Stop()
	select {
	case why := <-c.answered:
		return why
	case <-bound.C:
		return errSilent
	}
}

var errSilent = &fault{syscall.ETIMEDOUT,
	"the guest does not answer on its control channel: it is still starting, or its manifest has no controld"}

// receive passes on what the client sends until the connection ends.
func (m *Mux) receive(c *client, buf []byte) {
	for {
		n, err := c.conn.ReceiveDatagram(buf, time.Time{})
		switch {
		case errors.Is(err, channel.ErrTooLarge):
			c.refuse(&fault{syscall.EMSGSIZE, "a datagram has at most " + strconv.Itoa(channel.MaxMessage) + " bytes"})
			return
		case err != nil:
			return
		case n == 0:
			c.refuse(&fault{syscall.EINVAL, "a datagram must not be empty"})
			return
		}
		// When the guest does not take it the client sees the end, as it does when the guest ends.
		if m.write(control.Frame{Session: c.session, Kind: control.Data, Body: buf[:n]}) != nil {
			return
		}
	}
}

// send sends what is queued until the session is taken from the table, then ends the connection. So does a client that
// does not read.
func (c *client) send() {
	defer c.conn.Close()
	for datagram := range c.queue {
		if c.conn.SendDatagram(datagram, time.Now().Add(readBound)) != nil {
			return
		}
	}
}
