package channel

import (
	"bytes"
	"time"

	"capnproto.org/go/capnp/v3"
)

// Client calls the server at the other end of a channel, one call after the other. It is safe for concurrent use; the
// time a call waits for its turn counts against its time-out.
type Client struct {
	conn *Conn
	turn chan struct{} // holds one token while a call runs
	last uint64        // id of the last call
	buf  []byte
}

// Reply is the answer to a Call. Close must be called when it is no longer needed.
type Reply struct {
	Root        capnp.Struct
	Descriptors []int // closed by Close unless taken
}

// NewClient returns a client of the server at the other end of conn, which it takes over.
func NewClient(conn *Conn) *Client {
	return &Client{conn: conn, turn: make(chan struct{}, 1)}
}

// Close closes the channel.
func (c *Client) Close() error { return c.conn.Close() }

// Call sends request, whose root struct the caller has made, with descriptors beside it, and returns the reply. It
// releases request. Errors: ErrTimeout, ErrTooLarge, ErrMalformed (the reply), io.EOF or EPIPE when the server is gone.
func (c *Client) Call(timeout time.Duration, request *capnp.Message, descriptors ...int) (*Reply, error) {
	defer request.Release()
	deadline := time.Now().Add(timeout)
	if err := c.acquire(timeout); err != nil {
		return nil, err
	}
	defer func() { <-c.turn }()

	c.last++
	if err := setID(request, c.last); err != nil {
		return nil, err
	}
	header, body, err := frame(request)
	if err != nil {
		return nil, err
	}
	if err := c.conn.send(header[:], body, descriptors, deadline); err != nil {
		return nil, err
	}
	return c.await(c.last, deadline)
}

// acquire waits for the turn.
func (c *Client) acquire(timeout time.Duration) error {
	select {
	case c.turn <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case c.turn <- struct{}{}:
		return nil
	case <-timer.C:
		return ErrTimeout
	}
}

// await receives until the reply to id; late replies to calls that timed out are dropped.
func (c *Client) await(id uint64, deadline time.Time) (*Reply, error) {
	if c.buf == nil {
		c.buf = make([]byte, MaxMessage)
	}
	for {
		got, err := c.conn.receive(c.buf, deadline)
		if err != nil {
			return nil, err
		}
		if got.damaged {
			got.discard()
			return nil, ErrMalformed
		}
		_, root, err := parse(c.buf[:got.size])
		if err != nil {
			got.discard()
			return nil, err
		}
		if replied := idOf(root); replied != id && replied != 0 {
			got.discard()
			continue
		}
		// The buffer is the next call's.
		_, root, err = parse(bytes.Clone(c.buf[:got.size]))
		if err != nil {
			got.discard()
			return nil, err
		}
		return &Reply{Root: root, Descriptors: got.descriptors}, nil
	}
}

// Take returns the descriptors that came with the reply; the caller now closes them.
func (r *Reply) Take() []int {
	taken := r.Descriptors
	r.Descriptors = nil
	return taken
}

// Close closes what was not taken.
func (r *Reply) Close() {
	closeAll(r.Descriptors)
	r.Descriptors = nil
}
