package channel

import (
	"context"
	"sync"
	"time"

	"capnproto.org/go/capnp/v3"
)

// replyTimeout bounds how long a server waits for a client that does not read its replies.
const replyTimeout = 5 * time.Second

// Handler answers the requests of one schema. Connections are served concurrently, the requests of one connection in
// order.
type Handler interface {
	// Handle makes the root of call.Reply. An error is answered by Refuse instead.
	Handle(call *Call) error

	// Refuse makes in reply the root that says err. It gets Handle's errors, ErrMalformed for a request that could not
	// be read and ErrTooLarge for a reply that was too large.
	Refuse(reply *capnp.Segment, err error)
}

// Call is one request being answered. It is valid until Handle returns.
type Call struct {
	Request     capnp.Struct   // root of the request
	Descriptors []int          // beside it; closed after Handle unless set to nil
	Reply       *capnp.Segment // where the root of the reply is to be made

	// Beside are descriptors to send with the reply; they stay the handler's.
	Beside []int
}

// Serve answers requests on conn until the other end is closed (nil), conn is closed (nil) or the peer does not read its
// replies within a bound (ErrTimeout). It closes conn.
func Serve(conn *Conn, handler Handler) error {
	defer conn.Close()
	buf := make([]byte, MaxMessage)
	for {
		got, err := conn.receive(buf, time.Time{})
		if err == nil {
			err = answer(conn, handler, buf[:got.size], &got)
		}
		if err != nil && ended(err) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// answer handles one datagram.
func answer(conn *Conn, handler Handler, data []byte, got *datagram) error {
	call := Call{Descriptors: got.descriptors}
	var id uint64
	request, root, err := parse(data)
	if err == nil {
		id = idOf(root)
		defer request.Release()
	}
	if got.damaged {
		err = ErrMalformed
	}
	reply, segment := NewMessage()
	if err == nil {
		call.Request, call.Reply = root, segment
		err = handler.Handle(&call)
	}
	closeAll(call.Descriptors)
	if err == nil {
		err = respond(conn, reply, id, call.Beside)
		if err != ErrTooLarge && err != ErrMalformed {
			return err
		}
	}
	reply.Release()
	refusal, segment := NewMessage()
	handler.Refuse(segment, err)
	return respond(conn, refusal, id, nil)
}

// respond sends reply. It releases it unless the error is ErrTooLarge or ErrMalformed, which are the handler's doing.
func respond(conn *Conn, reply *capnp.Message, id uint64, beside []int) error {
	if err := setID(reply, id); err != nil {
		return ErrMalformed
	}
	header, body, err := frame(reply)
	if err != nil {
		return err
	}
	defer reply.Release()
	return conn.send(header[:], body, beside, time.Now().Add(replyTimeout))
}

// ServeAll serves each connection in a goroutine of its own until all have ended or ctx is done, which closes them.
func ServeAll(ctx context.Context, conns []*Conn, handler Handler) {
	stop := context.AfterFunc(ctx, func() {
		for _, c := range conns {
			c.Close()
		}
	})
	defer stop()
	var all sync.WaitGroup
	for _, c := range conns {
		all.Go(func() { _ = Serve(c, handler) }) // a client that broke its channel is its own problem
	}
	all.Wait()
}
