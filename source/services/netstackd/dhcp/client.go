// Package dhcp is a DHCP client (RFC 2131) in two parts: Client, a pure state machine that takes the time and frames and
// returns frames and timers, and Runner, the goroutine that gives it a clock and a wire.
//
// The rules it keeps, each paid for by somebody's bug: one transaction id for an exchange, kept over retransmissions; T1 and T2
// neither overflow nor reach zero; a NAK ends the exchange or the lease without a restart loop, whenever it comes; renewing twice
// changes nothing; a lease without a router or a lease time is refused; when nobody answers, that is said after a bound
// and the search goes on slowly.
package dhcp

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// State is where the client is (RFC 2131 section 4.4, figure 5).
type State int

// States.
const (
	Init State = iota
	Selecting
	Requesting
	Bound
	Renewing
	Rebinding
)

func (s State) String() string {
	return [...]string{"init", "selecting", "requesting", "bound", "renewing", "rebinding"}[s]
}

// Lease is an address and what came with it.
type Lease struct {
	Prefix   netip.Prefix // the host's address and its network's length
	Router   netip.Addr
	DNS      []netip.Addr  // at most 3
	Duration time.Duration // whole seconds; Infinite for ever
	Server   netip.Addr

	renew, rebind time.Duration // T1, T2: since the lease began
}

// Infinite is the duration of a lease that never ends (RFC 2131 section 3.3).
const Infinite = time.Duration(1<<32-1) * time.Second

// Retransmission (RFC 2131 section 4.1, but beginning at one second: a boot waits for it).
const (
	firstWait = time.Second
	doublings = 6 // till it is 64 s

	maxRequests   = 4 // of one exchange in Requesting, then all over again
	minRenewWait  = 60 * time.Second
	maxDNSServers = 3
)

// Output is what a step wants done.
type Output struct {
	Frames [][]byte      // to send, in order
	Wake   time.Duration // call Tick at this time; 0 = never
	Event  Event
	Lease  Lease // of Got and Renewed
}

// Event says what a step has changed.
type Event int

// Events.
const (
	Nothing Event = iota
	Got           // a lease, for an interface that had none or another
	Renewed       // the lease goes on, with the same address
	Lost          // the lease has ended, or was taken away: the address must not be used any more
)

// Counters count what the client sent and what it refused.
type Counters struct {
	Discovers, Requests                    uint64
	Offers, Acks, Naks                     uint64
	NotForUs, BadFrame, BadLease, BadState uint64
	InboxFull                              uint64 // the runner's
}

// Plus returns the sum of both.
func (c Counters) Plus(d Counters) Counters {
	return Counters{
		Discovers: c.Discovers + d.Discovers, Requests: c.Requests + d.Requests,
		Offers: c.Offers + d.Offers, Acks: c.Acks + d.Acks, Naks: c.Naks + d.Naks,
		NotForUs: c.NotForUs + d.NotForUs, BadFrame: c.BadFrame + d.BadFrame,
		BadLease: c.BadLease + d.BadLease, BadState: c.BadState + d.BadState,
		InboxFull: c.InboxFull + d.InboxFull,
	}
}

// Each calls f with each counter's name and value, in a fixed order.
func (c Counters) Each(f func(name string, value uint64)) {
	f("sent.discover", c.Discovers)
	f("sent.request", c.Requests)
	f("received.offer", c.Offers)
	f("received.ack", c.Acks)
	f("received.nak", c.Naks)
	f("drop.not-for-us", c.NotForUs)
	f("drop.bad-frame", c.BadFrame)
	f("drop.bad-lease", c.BadLease)
	f("drop.bad-state", c.BadState)
	f("drop.inbox-full", c.InboxFull)
}

// Client is the state machine. Times are since some fixed moment and never go back.
type Client struct {
	mac    [6]byte
	random func() uint32

	state    State
	xid      [4]byte
	began    time.Duration // of the exchange
	attempt  int           // messages sent in it
	restarts int           // exchanges that ended with a NAK or without an answer, since the last lease
	offer    Lease
	lease    Lease
	leased   time.Duration // when the lease began
	router   [6]byte       // hardware address that the lease's server is reached by
	next     time.Duration // next thing to do
	Counters Counters
}

// New returns a client in Init. random gives transaction ids and jitter.
func New(mac [6]byte, random func() uint32) *Client {
	return &Client{mac: mac, random: random}
}

// State returns where the client is.
func (c *Client) State() State { return c.state }

// Lease returns the lease; ok is false when there is none.
func (c *Client) Lease() (Lease, bool) {
	return c.lease, c.state == Bound || c.state == Renewing || c.state == Rebinding
}

// Start begins to look for a lease.
func (c *Client) Start(now time.Duration) Output {
	return c.discover(now)
}

// Tick does what is due at now.
func (c *Client) Tick(now time.Duration) Output {
	if c.next == 0 || now < c.next {
		return Output{Wake: c.next}
	}
	switch c.state {
	case Init:
		return c.discover(now)
	case Selecting:
		return c.sendDiscover(now)
	case Requesting:
		if c.attempt >= maxRequests {
			return c.restart(now, Output{})
		}
		return c.sendRequest(now)
	default:
		return c.keep(now)
	}
}

// discover begins a new exchange.
func (c *Client) discover(now time.Duration) Output {
	c.begin(now)
	c.state = Selecting
	return c.sendDiscover(now)
}

// begin takes a new transaction id.
func (c *Client) begin(now time.Duration) {
	binary.BigEndian.PutUint32(c.xid[:], c.random())
	c.began, c.attempt = now, 0
}

func (c *Client) sendDiscover(now time.Duration) Output {
	c.Counters.Discovers++
	frame := c.broadcast(c.message(now, dhcpv4.MessageTypeDiscover))
	c.later(now)
	return Output{Frames: [][]byte{frame}, Wake: c.next}
}

func (c *Client) sendRequest(now time.Duration) Output {
	c.Counters.Requests++
	m := c.message(now, dhcpv4.MessageTypeRequest)
	m.UpdateOption(dhcpv4.OptRequestedIPAddress(c.offer.Prefix.Addr().AsSlice()))
	m.UpdateOption(dhcpv4.OptServerIdentifier(c.offer.Server.AsSlice()))
	frame := c.broadcast(m)
	c.later(now)
	return Output{Frames: [][]byte{frame}, Wake: c.next}
}

// later plans the retransmission: 1, 2, 4 ... 64 s after this message.
func (c *Client) later(now time.Duration) {
	c.next = now + backoff(c.attempt)
	c.attempt++
}

func backoff(attempt int) time.Duration {
	return firstWait << min(attempt, doublings)
}

// restart goes back to Init, and waits there the longer the more often it happened.
func (c *Client) restart(now time.Duration, out Output) Output {
	c.state = Init
	c.next = now + backoff(c.restarts)
	c.restarts++
	out.Wake = c.next
	return out
}

// keep looks after a lease: renews, rebinds or ends it.
func (c *Client) keep(now time.Duration) Output {
	age := now - c.leased
	switch {
	case age >= c.lease.Duration:
		c.state = Init
		out := c.discover(now)
		out.Event = Lost
		return out
	case age >= c.lease.rebind:
		if c.state != Rebinding {
			c.state = Rebinding
			c.begin(now)
		}
		return c.sendRenewal(now, c.lease.Duration)
	default:
		if c.state != Renewing {
			c.state = Renewing
			c.begin(now)
		}
		return c.sendRenewal(now, c.lease.rebind)
	}
}

// sendRenewal asks to keep the address; until is when, in the lease's life, the next state begins. It is asked again at half
// of the time left, at least a minute later (RFC 2131 section 4.4.5).
func (c *Client) sendRenewal(now, until time.Duration) Output {
	c.Counters.Requests++
	m := c.message(now, dhcpv4.MessageTypeRequest)
	m.ClientIPAddr = c.lease.Prefix.Addr().AsSlice()
	left := c.leased + until - now
	c.next = now + min(max(left/2, minRenewWait), left)
	frame := c.frame(m, c.lease.Prefix.Addr(), broadcastIP, broadcastMAC)
	if c.state == Renewing {
		frame = c.frame(m, c.lease.Prefix.Addr(), c.lease.Server, c.router)
	}
	return Output{Frames: [][]byte{frame}, Wake: c.next}
}

// Input handles one received frame.
func (c *Client) Input(now time.Duration, frame []byte) Output {
	idle := Output{Wake: c.next}
	from, payload, ok := parseFrame(frame)
	if !ok {
		c.Counters.BadFrame++
		return idle
	}
	m, err := dhcpv4.FromBytes(payload)
	if err != nil {
		c.Counters.BadFrame++
		return idle
	}
	if m.OpCode != dhcpv4.OpcodeBootReply || [4]byte(m.TransactionID) != c.xid || string(m.ClientHWAddr) != string(c.mac[:]) {
		c.Counters.NotForUs++
		return idle
	}
	switch m.MessageType() {
	case dhcpv4.MessageTypeOffer:
		c.Counters.Offers++
		return c.offered(now, m)
	case dhcpv4.MessageTypeAck:
		c.Counters.Acks++
		return c.acknowledged(now, m, from)
	case dhcpv4.MessageTypeNak:
		c.Counters.Naks++
		return c.refused(now, m)
	default:
		c.Counters.BadFrame++
		return idle
	}
}

// offered takes the first sound offer.
func (c *Client) offered(now time.Duration, m *dhcpv4.DHCPv4) Output {
	if c.state != Selecting {
		c.Counters.BadState++
		return Output{Wake: c.next}
	}
	offer, ok := leaseOf(m)
	if !ok || !offer.Server.IsValid() {
		c.Counters.BadLease++
		return Output{Wake: c.next}
	}
	c.offer = offer
	c.state = Requesting
	c.attempt = 0
	return c.sendRequest(now)
}

// acknowledged begins a lease, or goes on with it.
func (c *Client) acknowledged(now time.Duration, m *dhcpv4.DHCPv4, from [6]byte) Output {
	if c.state != Requesting && c.state != Renewing && c.state != Rebinding {
		c.Counters.BadState++ // the second copy of an answer
		return Output{Wake: c.next}
	}
	lease, ok := leaseOf(m)
	if !ok {
		c.Counters.BadLease++
		if c.state == Requesting {
			return c.restart(now, Output{})
		}
		return Output{Wake: c.next}
	}
	if !lease.Server.IsValid() {
		lease.Server = c.offer.Server
	}
	if c.state == Requesting && lease.Server != c.offer.Server {
		c.Counters.NotForUs++
		return Output{Wake: c.next}
	}
	event := Got
	if c.state != Requesting && lease.Prefix == c.lease.Prefix {
		event = Renewed
	}
	// The lease counts from when it was asked for (RFC 2131 section 4.4.1).
	c.lease, c.leased, c.router = lease, c.began, from
	if c.state != Requesting {
		c.offer.Server = lease.Server
	}
	c.state, c.restarts = Bound, 0
	c.next = 0
	if lease.Duration != Infinite {
		c.next = max(c.leased+lease.renew, now+1) // 0 would mean never
	}
	return Output{Event: event, Lease: lease, Wake: c.next}
}

// refused ends the exchange, and the lease if there is one.
func (c *Client) refused(now time.Duration, m *dhcpv4.DHCPv4) Output {
	server, _ := netip.AddrFromSlice(m.ServerIdentifier())
	switch c.state {
	case Requesting:
		if server.IsValid() && server.Unmap() != c.offer.Server {
			c.Counters.NotForUs++
			return Output{Wake: c.next}
		}
		return c.restart(now, Output{})
	case Renewing, Rebinding:
		return c.restart(now, Output{Event: Lost})
	default:
		c.Counters.BadState++
		return Output{Wake: c.next}
	}
}
