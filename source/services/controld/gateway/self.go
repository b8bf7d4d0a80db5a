package gateway

import (
	"syscall"

	"capnproto.org/go/capnp/v3"

	"nexus/source/api/netapi"
	"nexus/source/api/netcapnp"
	"nexus/source/libs/channel"
)

const (
	// Self is the service that tells the gateway's own counters: net.capnp's stats.
	Self = "controld"
	// selfChannels is how many sessions with Self there may be at a time.
	selfChannels = 4
)

// counts are the gateway's counters.
type counts struct {
	hosts, framesIn, framesOut, bytesIn, bytesOut uint64

	opened, closed                                        uint64
	refusedNumber, refusedName, refusedBusy, refusedEnded uint64

	protocol, writes, floods, stops   uint64
	noSession, late, unasked, retired uint64
}

// refuse counts a refused session by its reason.
func (c *counts) refuse(errno syscall.Errno) {
	switch errno {
	case syscall.EBUSY:
		c.refusedNumber++
	case syscall.ENOENT:
		c.refusedName++
	case syscall.EAGAIN:
		c.refusedBusy++
	default:
		c.refusedEnded++
	}
}

// Stats gives every counter of the gateway and then of its stream, in a fixed order.
func (g *Gateway) Stats() []netapi.Counter {
	g.mu.Lock()
	c := g.count
	g.mu.Unlock()
	list := []netapi.Counter{
		{Name: "control.hosts", Value: c.hosts},
		{Name: "control.rx.frames", Value: c.framesIn},
		{Name: "control.rx.bytes", Value: c.bytesIn},
		{Name: "control.tx.frames", Value: c.framesOut},
		{Name: "control.tx.bytes", Value: c.bytesOut},
		{Name: "control.sessions.opened", Value: c.opened},
		{Name: "control.sessions.closed", Value: c.closed},
		{Name: "control.sessions.refused.number", Value: c.refusedNumber},
		{Name: "control.sessions.refused.name", Value: c.refusedName},
		{Name: "control.sessions.refused.busy", Value: c.refusedBusy},
		{Name: "control.sessions.refused.ended", Value: c.refusedEnded},
		{Name: "control.sessions.flooded", Value: c.floods},
		{Name: "control.rx.protocol", Value: c.protocol},
		{Name: "control.rx.drop.nosession", Value: c.noSession},
		{Name: "control.tx.failed", Value: c.writes},
		{Name: "control.replies.late", Value: c.late},
		{Name: "control.replies.unasked", Value: c.unasked},
		{Name: "control.channels.ended", Value: c.retired},
		{Name: "control.stops", Value: c.stops},
	}
	if g.more == nil {
		return list
	}
	return append(list, g.more()...)
}

// openSelf makes the channels of Self: to the relay it is a service like any other.
func (g *Gateway) openSelf() (Pool, error) {
	p := Pool{Service: Self}
	for range selfChannels {
		near, far, err := channel.Pair()
		if err != nil {
			closeAll(append(p.Channels, g.own...))
			return Pool{}, err
		}
		p.Channels, g.own = append(p.Channels, near), append(g.own, far)
	}
	return p, nil
}

func closeAll(conns []*channel.Conn) {
	for _, conn := range conns {
		conn.Close()
	}
}

// self answers for Self; it implements channel.Handler.
type self struct{ g *Gateway }

var errNotServed = netapi.Refused(syscall.ENOSYS, "controld serves stats alone: ask netstackd or virtionetd")

// Handle implements channel.Handler.
func (s self) Handle(call *channel.Call) error {
	if netcapnp.Request(call.Request).Which() != netcapnp.Request_Which_stats {
		return errNotServed
	}
	reply, err := netcapnp.NewRootReply(call.Reply)
	if err != nil {
		return err
	}
	return netapi.SetStats(reply, s.g.Stats())
}

// Refuse implements channel.Handler.
func (s self) Refuse(reply *capnp.Segment, err error) { netapi.Refuse(reply, err) }
