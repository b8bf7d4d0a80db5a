package gateway

import (
	"errors"
	"strconv"
	"strings"
	"syscall"

	"nexus/source/api/refusal"
	"nexus/source/libs/control"
)

// open begins a session with a free channel of service's, or says why not.
func (g *Gateway) open(session uint32, service string) {
	s, err := g.choose(session, service)
	if err != nil {
		g.count.refuse(err.Errno)
		g.send(control.Frame{Session: session, Kind: control.Refused, Errno: err.Errno, Body: control.Text(err.Text)})
		return
	}
	s.session = session
	g.sessions[session] = s
	g.count.opened++
	g.send(control.Frame{Session: session, Kind: control.Opened})
}

// choose finds a free channel to service.
func (g *Gateway) choose(session uint32, service string) (*seat, *refusal.Error) {
	if g.sessions[session] != nil {
		return nil, refusal.New(syscall.EBUSY, "session "+strconv.FormatUint(uint64(session), 10)+" is open already")
	}
	p := g.pool(service)
	if p == nil {
		return nil, refusal.New(syscall.ENOENT, "no service "+strconv.Quote(service)+": there are "+g.names())
	}
	free, alive := p.free()
	switch {
	case alive == 0:
		return nil, refusal.New(syscall.ECONNREFUSED, service+" has ended: the console's lines say why")
	case len(g.sessions) >= MaxSessions:
		return nil, refusal.New(syscall.EAGAIN, "all "+strconv.Itoa(MaxSessions)+" sessions are in use: close another nx")
	case free == nil:
		return nil, refusal.New(syscall.EAGAIN,
			"all "+strconv.Itoa(alive)+" channels to "+service+" are in use: close another nx")
	}
	return free, nil
}

// pool returns the pool of a service, nil without.
func (g *Gateway) pool(service string) *pool {
	for _, p := range g.pools {
		if p.service == service {
			return p
		}
	}
	return nil
}

func (g *Gateway) names() string {
	all := make([]string, len(g.pools))
	for i, p := range g.pools {
		all[i] = p.service
	}
	return strings.Join(all, ", ")
}

// forward gives a request to the session's service. It never waits: what the service has no room for is too much.
func (g *Gateway) forward(session uint32, request []byte) {
	s := g.sessions[session]
	if s == nil {
		g.count.noSession++
		g.send(control.Frame{
			Session: session, Kind: control.Close, Errno: syscall.ENOTCONN,
			Body: control.Text("session " + strconv.FormatUint(uint64(session), 10) + " is not open: open another"),
		})
		return
	}
	if s.owed >= MaxOwed {
		g.flood(s, strconv.Itoa(MaxOwed)+" requests have no reply yet: wait for one before the next")
		return
	}
	err := s.conn.TrySendDatagram(request)
	switch {
	case err == nil:
		s.owed++
	case errors.Is(err, syscall.EAGAIN):
		g.flood(s, s.pool.service+" has no room for this request: wait for the replies to those before")
	default:
		g.retire(s, syscall.ECONNRESET, s.pool.service+" has ended: the console's lines say why")
	}
}

// flood ends a session that asks more than it may.
func (g *Gateway) flood(s *seat, text string) {
	g.count.floods++
	g.end(s, syscall.ENOBUFS, text)
}

// hangUp ends a session as the host wants it.
func (g *Gateway) hangUp(session uint32) {
	if s := g.sessions[session]; s != nil {
		g.release(s)
	}
}

// end ends a session and tells the host why.
func (g *Gateway) end(s *seat, errno syscall.Errno, text string) {
	session := s.session
	g.release(s)
	g.send(control.Frame{Session: session, Kind: control.Close, Errno: errno, Body: control.Text(text)})
}

// endAll ends every session without a word.
func (g *Gateway) endAll() {
	for _, s := range g.sessions {
		g.release(s)
	}
}

// release takes a seat from its session. It is free once no reply is owed any more.
func (g *Gateway) release(s *seat) {
	delete(g.sessions, s.session)
	s.session = 0
	g.count.closed++
}
