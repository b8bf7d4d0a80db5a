package gateway

import (
	"errors"
	"syscall"
	"time"

	"nexus/source/libs/channel"
	"nexus/source/libs/control"
)

// receiveBound bounds a receive of what is there already.
const receiveBound = time.Second

// pool is the channels to one service.
type pool struct {
	service string
	seats   []*seat
}

// seat is one channel to a service. It is free if it is alive, in no session, and no reply is owed.
type seat struct {
	pool    *pool
	conn    *channel.Conn
	session uint32 // 0: none
	owed    int    // replies that the service has not sent yet
	dead    bool   // the service's end is closed, or it broke the rules: never used again
}

func newPool(of Pool) *pool {
	p := &pool{service: of.Service}
	for _, conn := range of.Channels {
		p.seats = append(p.seats, &seat{pool: p, conn: conn})
	}
	return p
}

// free returns a free seat, or nil, and how many seats are alive.
func (p *pool) free() (free *seat, alive int) {
	for _, s := range p.seats {
		if s.dead {
			continue
		}
		alive++
		if free == nil && s.session == 0 && s.owed == 0 {
			free = s
		}
	}
	return free, alive
}

// relay passes on what s's service sends until the channel is closed.
func (g *Gateway) relay(s *seat) {
	for {
		err := s.conn.Wait(time.Time{})
		if !g.pass(s, err) {
			return
		}
	}
}

// pass passes one datagram on, which is there unless waiting for it failed; false means that there will be no other.
func (g *Gateway) pass(s *seat, err error) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s.dead {
		return false
	}
	n := 0
	if err == nil {
		n, err = s.conn.ReceiveDatagram(g.datagram, time.Now().Add(receiveBound))
	}
	switch {
	case errors.Is(err, channel.ErrTimeout):
		return true
	case errors.Is(err, channel.ErrTooLarge), err == nil && (n == 0 || s.owed == 0):
		g.count.unasked++
		g.retire(s, syscall.EPROTO, s.pool.service+" sent what is no reply to a request: its channel is given up")
		return false
	case err != nil:
		g.retire(s, syscall.ECONNRESET, s.pool.service+" has ended: the console's lines say why")
		return false
	}
	s.owed--
	if s.session == 0 {
		g.count.late++
		return true
	}
	g.send(control.Frame{Session: s.session, Kind: control.Data, Body: g.datagram[:n]})
	return true
}

// retire gives up a channel for good, and ends its session with a word why.
func (g *Gateway) retire(s *seat, errno syscall.Errno, text string) {
	if s.dead {
		return
	}
	s.dead = true
	s.conn.Close()
	if s.session != 0 {
		g.end(s, errno, text)
	}
	if g.ended {
		return
	}
	g.count.retired++
	if _, alive := s.pool.free(); alive == 0 {
		g.mark("controld: no channel to " + s.pool.service + " is left")
	}
}
