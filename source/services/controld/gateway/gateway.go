// Package gateway joins sessions of the control channel, which a program of the host opens (source/libs/control), with
// channels to services. It is a relay and no more: it does not look into what it carries, and holds no authority but the
// channels that it was given.
//
// A session has a channel of its service for itself until it ends, and datagrams pass both ways as they are. A service
// answers each request once; a channel whose session left earlier first gives up the replies that are owed, so that the
// next session never sees one.
//
// Everything is bounded: sessions, requests without a reply, how long the host may leave a write unread. One goroutine a
// channel waits for what its service sends; one lock guards all state and is held while a frame is written, so that no
// frame of an ended session follows its end.
package gateway

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"syscall"

	"nexus/source/api/netapi"
	"nexus/source/libs/channel"
	"nexus/source/libs/control"
)

const (
	// MaxSessions bounds the sessions open at a time.
	MaxSessions = 16
	// MaxOwed bounds the requests of a session that have no reply yet.
	MaxOwed = 8
)

// ErrConfig says that pools cannot be told apart.
var ErrConfig = errors.New("gateway: each service needs a name of its own, of at most 64 bytes, that is not " + Self)

// Stream is the byte stream to the host. Read returns io.EOF once each time that the host goes away, blocks until there
// is another, and returns os.ErrClosed at the end. Write writes everything or returns an error within a bound, with how
// much it has written.
type Stream interface {
	io.Reader
	io.Writer
}

// Pool is the channels to one service.
type Pool struct {
	Service  string
	Channels []*channel.Conn
}

// Config is what a gateway works with, all of which it takes over.
type Config struct {
	Stream Stream
	Pools  []Pool
	Stats  func() []netapi.Counter // the stream's counters, which Self tells too; nil for none
	Mark   func(line string)       // prints one console line
	Stop   func() error            // asks for the system's end
}

// Gateway is the sessions of one stream.
type Gateway struct {
	mark func(line string)
	more func() []netapi.Counter
	stop func() error
	in   *control.Reader
	own  []*channel.Conn // serving ends of Self's channels

	mu       sync.Mutex // guards what follows
	out      *control.Writer
	pools    []*pool
	sessions map[uint32]*seat
	datagram []byte // what a service has sent
	heard    bool   // the host has said something since it came
	broken   bool   // until the host goes away nothing is said to it, and what it says is not heard
	ended    bool
	count    counts
}

// New makes a gateway. It serves Self beside the pools.
func New(c Config) (*Gateway, error) {
	g := &Gateway{
		mark:     c.Mark,
		more:     c.Stats,
		stop:     c.Stop,
		in:       control.NewReader(c.Stream, control.Host),
		out:      control.NewWriter(c.Stream, control.Guest),
		sessions: make(map[uint32]*seat),
		datagram: make([]byte, channel.MaxMessage),
	}
	if err := g.addPools(c.Pools); err != nil {
		for _, p := range c.Pools {
			closeAll(p.Channels)
		}
		return nil, err
	}
	return g, nil
}

func (g *Gateway) addPools(pools []Pool) error {
	for _, p := range pools {
		if p.Service == "" || len(p.Service) > control.MaxName || p.Service == Self || g.pool(p.Service) != nil {
			return ErrConfig
		}
		g.pools = append(g.pools, newPool(p))
	}
	self, err := g.openSelf()
	if err != nil {
		return err
	}
	g.pools = append(g.pools, newPool(self))
	return nil
}

// Run serves until the stream ends (nil) or fails (the error), and closes every channel. When ctx is done it closes the
// channels; ending the stream is its owner's part.
func (g *Gateway) Run(ctx context.Context) error {
	var all sync.WaitGroup
	for _, p := range g.pools {
		for _, s := range p.seats {
			all.Go(func() { g.relay(s) })
		}
	}
	for _, conn := range g.own {
		all.Go(func() { _ = channel.Serve(conn, self{g}) }) // ends with its other end, which is ours
	}
	stop := context.AfterFunc(ctx, g.shut)
	err := g.read()
	stop()
	g.shut()
	all.Wait()
	return err
}

// shut ends every session and closes every channel.
func (g *Gateway) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ended = true
	g.endAll()
	for _, p := range g.pools {
		for _, s := range p.seats {
			g.retire(s, syscall.ECONNRESET, "")
		}
	}
}

// read takes what the host sends until the stream ends.
func (g *Gateway) read() error {
	for {
		f, err := g.in.Next()
		switch {
		case err == nil:
			g.handle(f)
		case errors.Is(err, control.ErrProtocol):
			g.lostFraming(err)
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			g.hostGone()
		case errors.Is(err, os.ErrClosed):
			return nil
		default:
			return err
		}
	}
}

// handle does what a frame says.
func (g *Gateway) handle(f control.Frame) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hear()
	if g.broken {
		return
	}
	g.count.framesIn++
	g.count.bytesIn += control.HeaderSize + uint64(len(f.Body))
	switch f.Kind {
	case control.Open:
		g.open(f.Session, string(f.Body))
	case control.Data:
		g.forward(f.Session, f.Body)
	case control.Close:
		g.hangUp(f.Session)
	case control.Stop:
		g.count.stops++
		if err := g.stop(); err != nil {
			g.mark("controld: cannot ask for the system's end: " + err.Error())
		}
	}
}

// hear counts a host when it says its first word.
func (g *Gateway) hear() {
	if !g.heard {
		g.heard = true
		g.count.hosts++
	}
}

// lostFraming answers what is no frame: the stream cannot be read any more until the host comes anew.
func (g *Gateway) lostFraming(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hear()
	g.count.protocol++
	g.send(control.Frame{
		Kind: control.Refused, Errno: syscall.EPROTO,
		Body: control.Text(err.Error() + ": close the port and open it again"),
	})
	g.breakOff()
}

// hostGone ends what the host that is gone had begun.
func (g *Gateway) hostGone() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.endAll()
	g.heard, g.broken = false, false
}

// breakOff gives the stream up until the host goes away.
func (g *Gateway) breakOff() {
	g.broken = true
	g.endAll()
}

// send writes one frame. A host that takes nothing of it within the stream's bound misses it, as a datagram may be missed
// by one that does not read; after a part of a frame it would not understand what follows.
func (g *Gateway) send(f control.Frame) {
	if g.broken {
		return
	}
	whole, err := g.out.Write(f)
	if !whole {
		g.breakOff()
	}
	if err != nil {
		g.count.writes++
		return
	}
	g.count.framesOut++
	g.count.bytesOut += control.HeaderSize + uint64(len(f.Body))
}
