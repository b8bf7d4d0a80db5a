// Package fetchapi is fetch.capnp with Go types: a client of fetchd, and the
// half of the service that knows the messages.
package fetchapi

import (
	"syscall"
	"time"

	"capnproto.org/go/capnp/v3"

	"nexus/source/api/fetchcapnp"
	"nexus/source/api/refusal"
	"nexus/source/libs/channel"
)

// MaxPiece bounds one piece of a body, in bytes.
const MaxPiece = 32 << 10

// slack is what a client gives a call beyond the time that fetchd was given, so
// that fetchd's own refusal arrives.
const slack = 2 * time.Second

// defaultWait is how long a client waits for a piece when it gave no time-out.
const defaultWait = time.Minute

// Ask is what to fetch, and the bounds; zero bounds are fetchd's own.
type Ask struct {
	URL      string
	MaxBytes uint64
	Timeout  time.Duration // from the request to the end of the body
}

// Piece is a part of a body.
type Piece struct {
	Status int // of the http reply; 200 from a package
	Body   []byte
	Last   bool // nothing follows
}

// Client asks fetchd. A refusal is a *refusal.Error. Fetches of one client run
// one after the other: it must not be used concurrently.
type Client struct{ calls *channel.Client }

// NewClient returns a client on conn, which it takes over.
func NewClient(conn *channel.Conn) *Client { return &Client{channel.NewClient(conn)} }

// Close closes the channel.
func (c *Client) Close() error { return c.calls.Close() }

// Fetch fetches all of a body. Should the server send more than ask.MaxBytes,
// the error is EFBIG: a client that gives no bound trusts fetchd's.
func (c *Client) Fetch(ask Ask) (status int, body []byte, err error) {
	status, err = c.Stream(ask, func(piece []byte) error {
		body = append(body, piece...)
		return nil
	})
	if err != nil {
		return 0, nil, err
	}
	return status, body, nil
}

// Stream is Fetch for a body that need not be held as a whole: each gets one
// piece after the other, valid until it returns. Its error ends the fetch.
func (c *Client) Stream(ask Ask, each func(piece []byte) error) (status int, err error) {
	wait := defaultWait
	if ask.Timeout > 0 {
		wait = ask.Timeout + slack
	}
	piece, err := c.call(wait, func(r fetchcapnp.Request) error {
		r.SetFetch()
		r.Fetch().SetMaxBytes(ask.MaxBytes)
		r.Fetch().SetTimeoutMs(milliseconds(ask.Timeout))
		return r.Fetch().SetUrl(ask.URL)
	})
	var size uint64
	for err == nil {
		size += uint64(len(piece.Body))
		if ask.MaxBytes > 0 && size > ask.MaxBytes {
			return 0, refusal.New(syscall.EFBIG, "the body is longer than asked for")
		}
		if err := each(piece.Body); err != nil {
			return 0, err
		}
		if piece.Last {
			return piece.Status, nil
		}
		if len(piece.Body) == 0 {
			return 0, refusal.New(syscall.EBADMSG, "fetchd sent an empty piece that is not the last")
		}
		piece, err = c.call(wait, func(r fetchcapnp.Request) error { r.SetMore(); return nil })
	}
	return 0, err
}

func (c *Client) call(wait time.Duration, fill func(fetchcapnp.Request) error) (p Piece, err error) {
	message, segment := channel.NewMessage()
	request, err := fetchcapnp.NewRootRequest(segment)
	if err != nil {
		return p, err
	}
	if err := fill(request); err != nil {
		return p, err
	}
	got, err := c.calls.Call(wait, message)
	if err != nil {
		return p, err
	}
	defer got.Close()
	reply := fetchcapnp.Reply(got.Root)
	if reply.Which() == fetchcapnp.Reply_Which_piece {
		p.Status, p.Last = int(reply.Piece().Status()), reply.Piece().Last()
		p.Body, err = reply.Piece().Body()
		return p, err
	}
	text, err := reply.Error().Text()
	if err != nil {
		return p, err
	}
	return p, refusal.New(syscall.Errno(reply.Error().Errno()), text)
}

// milliseconds rounds up, so that a short wait does not become none.
func milliseconds(d time.Duration) uint32 {
	return uint32(min(max(d+time.Millisecond-1, 0)/time.Millisecond, 1<<32-1))
}

// Fetches is what fetchd does for one client. Its errors are sent as refusals.
type Fetches interface {
	// Begin drops the body at hand, begins to fetch and returns the first piece.
	Begin(Ask) (Piece, error)
	// More returns the next piece of the body at hand.
	More() (Piece, error)
}

// Handler answers fetch.capnp from Fetches. It implements channel.Handler for
// one channel.
type Handler struct{ Fetches Fetches }

var errUnknown = refusal.New(syscall.ENOSYS, "fetchd knows fetch and more")

// Handle implements channel.Handler.
func (h Handler) Handle(call *channel.Call) error {
	request := fetchcapnp.Request(call.Request)
	var piece Piece
	var err error
	switch request.Which() {
	case fetchcapnp.Request_Which_fetch:
		url, failed := request.Fetch().Url()
		if failed != nil {
			return channel.ErrMalformed
		}
		piece, err = h.Fetches.Begin(Ask{
			URL:      url,
			MaxBytes: request.Fetch().MaxBytes(),
			Timeout:  time.Duration(request.Fetch().TimeoutMs()) * time.Millisecond,
		})
	case fetchcapnp.Request_Which_more:
		piece, err = h.Fetches.More()
	default:
		err = errUnknown
	}
	if err != nil {
		return err
	}
	return reply(call.Reply, piece)
}

// reply makes the reply piece.
func reply(segment *capnp.Segment, p Piece) error {
	reply, err := fetchcapnp.NewRootReply(segment)
	if err != nil {
		return err
	}
	reply.SetPiece()
	reply.Piece().SetStatus(uint16(p.Status))
	reply.Piece().SetLast(p.Last)
	return reply.Piece().SetBody(p.Body)
}

// Refuse implements channel.Handler.
func (h Handler) Refuse(segment *capnp.Segment, err error) {
	reply, failed := fetchcapnp.NewRootReply(segment)
	if failed != nil {
		return // a fresh segment always has room for a root
	}
	reply.SetError()
	reply.Error().SetErrno(uint16(refusal.ErrnoOf(err)))
	_ = reply.Error().SetText(err.Error()) // without the text the number still says it
}
