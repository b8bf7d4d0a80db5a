package netcli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"net/netip"
	"syscall"
	"time"

	"nexus/source/api/netapi"
)

// Sizes that ping's texts count, in bytes.
const (
	icmpHeader = 8
	ip4Header  = 20
)

// pingPlan is what ping was asked for.
type pingPlan struct {
	to       netip.Addr
	count    int
	interval time.Duration
	timeout  time.Duration
	size     int
}

func pingCommand() Command {
	c := Command{
		Name:      "ping",
		Arguments: "ADDRESS",
		Short:     "Send ICMP echo requests from the guest",
		Long: `Send ICMP echo requests from the guest to an IPv4 address and print each reply as it comes, then the statistics, as
iputils ping does. The round trip is measured in the guest. Each echo is a call of its own: others who use the network
meanwhile are not held up. ^C ends it with the statistics.

As with iputils ping the exit status is 0 when at least one reply came and 1 when none did. A host that nobody answers ARP
for costs that echo; any other refusal of the guest ends the run with status 3.`,
		Example: "nx net ping 127.0.0.1 -c 2\nnx net ping 10.0.2.2 -c 10 -i 0.2 -s 1472",
	}
	c.Prepare = func(flags *flag.FlagSet) Runner {
		number := &count{value: 4, low: 1, high: 65535}
		interval := &seconds{value: time.Second, low: 10 * time.Millisecond, high: time.Hour}
		timeout := &seconds{value: time.Second, low: time.Millisecond, high: 10 * time.Second}
		size := &count{value: 56, low: 0, high: 1472}
		both(flags, number, "c", "count", "how many echoes to send")
		both(flags, interval, "i", "interval", "time from one echo to the next")
		both(flags, timeout, "W", "timeout", "time to wait for each reply")
		both(flags, size, "s", "size", "bytes of payload")
		return func(ctx context.Context, env *Env, args []string) error {
			if err := arguments(args, 1, 1, c); err != nil {
				return err
			}
			to, err := parseAddress(args[0])
			if err != nil {
				return err
			}
			if to.IsUnspecified() || to.IsMulticast() || to.As4()[0] >= 240 {
				return Usagef("%s is not the address of one host: name another", to)
			}
			p := pinging{env: env, plan: pingPlan{to, number.value, interval.value, timeout.value, size.value}}
			return p.run(ctx)
		}
	}
	return c
}

// echo is one reply in JSON.
type echo struct {
	Sequence     int     `json:"sequence"`
	Bytes        int     `json:"bytes"` // of ICMP
	TTL          int     `json:"ttl"`
	Milliseconds float64 `json:"milliseconds"`
}

// roundTrips are the round trips of a ping in milliseconds.
type roundTrips struct {
	Min  float64 `json:"min"`
	Avg  float64 `json:"avg"`
	Max  float64 `json:"max"`
	Mdev float64 `json:"mdev"`
}

// pingDocument is a whole ping in JSON.
type pingDocument struct {
	Address      string      `json:"address"`
	Size         int         `json:"size"` // bytes of payload
	Transmitted  int         `json:"transmitted"`
	Received     int         `json:"received"`
	Errors       int         `json:"errors"` // echoes that nobody could be asked for
	LossPercent  float64     `json:"lossPercent"`
	Milliseconds int64       `json:"milliseconds"` // of the whole run
	RoundTrip    *roundTrips `json:"roundTripMilliseconds"`
	Echoes       []echo      `json:"echoes"`
}

// pinging is a ping under way.
type pinging struct {
	env  *Env
	plan pingPlan
	doc  pingDocument
}

func (p *pinging) run(ctx context.Context) error {
	p.doc = pingDocument{Address: p.plan.to.String(), Size: p.plan.size, Echoes: []echo{}}
	start := p.env.Clock.Now()
	err := p.env.ask(ctx, Netstackd, func(client *netapi.Client) error { return p.all(ctx, client) })
	if err != nil && p.doc.Transmitted == 0 {
		return err
	}
	p.doc.Milliseconds = p.env.Clock.Now().Sub(start).Milliseconds()
	p.summarise()
	if err != nil && !errors.Is(err, errInterrupted) {
		if !p.env.JSON {
			p.statistics()
		}
		return err
	}
	if p.env.JSON {
		if err := p.env.document(p.doc); err != nil {
			return err
		}
	} else {
		p.statistics()
	}
	if p.doc.Received == 0 {
		return found()
	}
	return nil
}

// all sends the echoes until all are sent, ctx is done or the guest refuses.
func (p *pinging) all(ctx context.Context, client *netapi.Client) error {
	for sequence := 1; sequence <= p.plan.count && p.env.unwritten == nil; sequence++ {
		next := p.env.Clock.Now().Add(p.plan.interval)
		_, replies, err := client.Ping(p.plan.to, 1, p.plan.timeout, p.plan.size)
		var refused *netapi.Error
		unreachable := errors.As(err, &refused) && refused.Errno == syscall.EHOSTUNREACH
		if err != nil && !unreachable && ctx.Err() == nil {
			return err
		}
		p.header()
		p.doc.Transmitted++
		switch {
		case unreachable:
			p.doc.Errors++
			p.say("icmp_seq=%d %s", sequence, "Destination Host Unreachable")
		case err == nil && len(replies) > 0:
			p.reply(sequence, replies[0])
		}
		if ctx.Err() != nil {
			return errInterrupted
		}
		if sequence < p.plan.count {
			p.env.Clock.Wait(ctx, max(0, next.Sub(p.env.Clock.Now())))
		}
		if ctx.Err() != nil {
			return errInterrupted
		}
	}
	return nil
}

// say prints a line of the running ping.
func (p *pinging) say(format string, args ...any) {
	if !p.env.JSON {
		p.env.line(format, args...)
	}
}

// header prints the first line before the first echo's.
func (p *pinging) header() {
	if p.doc.Transmitted == 0 {
		p.say("PING %v (%v) %d(%d) bytes of data.", p.plan.to, p.plan.to, p.plan.size, p.plan.size+icmpHeader+ip4Header)
	}
}

func (p *pinging) reply(sequence int, from netapi.Echo) {
	e := echo{sequence, from.Size + icmpHeader, from.TTL, milliseconds(from.RoundTrip)}
	p.doc.Echoes = append(p.doc.Echoes, e)
	p.say("%d bytes from %v: icmp_seq=%d ttl=%d time=%s ms", e.Bytes, p.plan.to, e.Sequence, e.TTL, timeText(from.RoundTrip))
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// timeText is a round trip in milliseconds with as many digits as iputils gives it.
func timeText(d time.Duration) string {
	digits := 3
	switch {
	case d >= 100*time.Millisecond:
		digits = 0
	case d >= 10*time.Millisecond:
		digits = 1
	case d >= time.Millisecond:
		digits = 2
	}
	return fmt.Sprintf("%.*f", digits, milliseconds(d))
}

// summarise computes what the statistics say.
func (p *pinging) summarise() {
	d := &p.doc
	d.Received = len(d.Echoes)
	d.LossPercent = 100 * float64(d.Transmitted-d.Received) / float64(d.Transmitted)
	if d.Received == 0 {
		return
	}
	r := &roundTrips{Min: math.Inf(1)}
	squares := 0.0
	for _, e := range d.Echoes {
		r.Min, r.Max = min(r.Min, e.Milliseconds), max(r.Max, e.Milliseconds)
		r.Avg += e.Milliseconds / float64(d.Received)
		squares += e.Milliseconds * e.Milliseconds / float64(d.Received)
	}
	r.Mdev = math.Sqrt(max(0, squares-r.Avg*r.Avg))
	d.RoundTrip = r
}

// statistics prints the last block.
func (p *pinging) statistics() {
	d := &p.doc
	failed := ""
	if d.Errors > 0 {
		failed = fmt.Sprintf(" +%d errors,", d.Errors)
	}
	p.env.line("")
	p.env.line("--- %s ping statistics ---", d.Address)
	p.env.line("%d packets transmitted, %d received,%s %.6g%% packet loss, time %dms",
		d.Transmitted, d.Received, failed, d.LossPercent, d.Milliseconds)
	if r := d.RoundTrip; r != nil {
		p.env.line("rtt min/avg/max/mdev = %.3f/%.3f/%.3f/%.3f ms", r.Min, r.Avg, r.Max, r.Mdev)
	}
}
