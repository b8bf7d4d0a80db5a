// Package capture keeps copies of the packets that pass netstackd, for clients that read them.
//
// A Tap stands where the packets of one interface pass. While nobody captures there it costs one atomic load a packet. Each
// capture holds a bounded number of bytes; a packet that finds no room is dropped and counted, never an older one, and never
// waited for. A capture that nobody reads is forgotten after a bound, whether its client said so or is dead.
package capture

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"nexus/source/api/netapi"
)

const (
	// MaxCaptures bounds the captures at a time.
	MaxCaptures = 4
	// Room is how many bytes a capture holds at most. Each packet takes its data and Overhead.
	Room = 512 << 10
	// Overhead is what a packet takes beside its data, so that small ones are bounded too.
	Overhead = 128
	// Patience is how long a capture lives without being read.
	Patience = 30 * time.Second
)

// Errors of captures. A Read that found nothing is os.ErrDeadlineExceeded.
var (
	ErrNoInterface = errors.New("no such interface to capture on")
	ErrTooMany     = errors.New("too many captures: close one, or wait until those that nobody reads are forgotten, 30 s")
	ErrNoCapture   = errors.New("no such capture: it was closed, or not read for 30 s; open another")
)

// Taps are the taps of all interfaces and the captures on them. It is safe for concurrent use.
type Taps struct {
	now func() time.Time

	mu    sync.Mutex // guards what follows
	taps  []*Tap
	open  []*capture
	last  uint64 // handle; none is given twice
	count struct{ packets, dropped, forgotten uint64 }
}

// Tap is where the packets of one interface pass. The nil Tap captures nothing.
type Tap struct {
	name    string
	all     *Taps
	watched atomic.Bool // by any capture; all.mu is held to change it
}

// capture is one client's.
type capture struct {
	handle  uint64
	tap     *Tap // nil for all
	snap    int
	read    time.Time // last
	kept    []netapi.Packet
	used    int // bytes of Room
	dropped uint64
	arrived chan struct{} // holds a token when there may be packets; closed with the capture
}

// New returns no taps yet. now is the wall clock, with a monotonic reading beside it.
func New(now func() time.Time) *Taps { return &Taps{now: now} }

// Tap adds the tap of an interface.
func (t *Taps) Tap(name string) *Tap {
	t.mu.Lock()
	defer t.mu.Unlock()
	tap := &Tap{name: name, all: t}
	t.taps = append(t.taps, tap)
	return tap
}

// Open begins a capture on the named interface, or on all for "", that keeps snap bytes of each packet, or for 0 as many as a
// reply can carry.
func (t *Taps) Open(name string, snap int) (handle uint64, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := &capture{snap: snap, read: t.now(), arrived: make(chan struct{}, 1)}
	if snap <= 0 || snap > netapi.MaxPacketData {
		c.snap = netapi.MaxPacketData
	}
	if name != "" {
		i := slices.IndexFunc(t.taps, func(tap *Tap) bool { return tap.name == name })
		if i < 0 {
			return 0, ErrNoInterface
		}
		c.tap = t.taps[i]
	}
	t.forget(c.read)
	if len(t.open) >= MaxCaptures {
		return 0, ErrTooMany
	}
	t.last++
	c.handle = t.last
	t.open = append(t.open, c)
	t.watch()
	return c.handle, nil
}

// Read takes packets out of a capture, oldest first: as many as one reply can carry, at least one. It waits for the first up to
// timeout, and at most netapi.MaxCaptureWait. dropped is how many found no room since Open.
func (t *Taps) Read(ctx context.Context, handle uint64, timeout time.Duration) (packets []netapi.Packet, dropped uint64, err error) {
	timer := time.NewTimer(min(timeout, netapi.MaxCaptureWait))
	defer timer.Stop()
	for last := false; ; {
		c, packets, dropped := t.take(handle)
		switch {
		case c == nil:
			return nil, 0, ErrNoCapture
		case len(packets) > 0:
			return packets, dropped, nil
		case last:
			return nil, dropped, os.ErrDeadlineExceeded
		}
		select {
		case <-c.arrived:
		case <-timer.C:
			last = true
		case <-ctx.Done():
			return nil, dropped, ctx.Err()
		}
	}
}

// take takes what is there; c is nil when there is no such capture.
func (t *Taps) take(handle uint64) (c *capture, packets []netapi.Packet, dropped uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	t.forget(now)
	i := t.find(handle)
	if i < 0 {
		return nil, nil, 0
	}
	c = t.open[i]
	c.read = now
	return c, c.take(), c.dropped
}

// Close forgets a capture and what it holds.
func (t *Taps) Close(handle uint64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := t.find(handle)
	if i < 0 {
		return ErrNoCapture
	}
	t.remove(i)
	return nil
}

// Each calls f with each counter's name and value, in a fixed order.
func (t *Taps) Each(f func(name string, value uint64)) {
	t.mu.Lock()
	open, count := len(t.open), t.count
	t.mu.Unlock()
	f("open", uint64(open))
	f("packets", count.packets)
	f("drop.full", count.dropped)
	f("forgotten", count.forgotten)
}

func (t *Taps) find(handle uint64) int {
	return slices.IndexFunc(t.open, func(c *capture) bool { return c.handle == handle })
}

// forget ends the captures that nobody reads.
func (t *Taps) forget(now time.Time) {
	for i := len(t.open) - 1; i >= 0; i-- {
		if now.Sub(t.open[i].read) >= Patience {
			t.remove(i)
			t.count.forgotten++
		}
	}
}

func (t *Taps) remove(i int) {
	close(t.open[i].arrived)
	t.open = slices.Delete(t.open, i, i+1)
	t.watch()
}

// watch tells each tap whether anybody captures there.
func (t *Taps) watch() {
	for _, tap := range t.taps {
		tap.watched.Store(slices.ContainsFunc(t.open, func(c *capture) bool { return c.on(tap) }))
	}
}

// record gives each capture on tap its copy.
func (t *Taps) record(tap *Tap, outgoing bool, packet []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	t.forget(now)
	for _, c := range t.open {
		if !c.on(tap) {
			continue
		}
		if c.keep(netapi.Packet{Interface: tap.name, Outgoing: outgoing, Time: now, Length: len(packet)}, packet) {
			t.count.packets++
		} else {
			t.count.dropped++
		}
	}
}

// Watched reports whether anybody captures here.
func (p *Tap) Watched() bool { return p != nil && p.watched.Load() }

// Received records a packet that came in. It may lie in memory that others write; it is copied once and not looked at.
func (p *Tap) Received(packet []byte) {
	if p.Watched() {
		p.all.record(p, false, packet)
	}
}

// Sent records a packet that goes out.
func (p *Tap) Sent(packet []byte) {
	if p.Watched() {
		p.all.record(p, true, packet)
	}
}

func (c *capture) on(tap *Tap) bool { return c.tap == nil || c.tap == tap }

// keep copies the first bytes of data to p and keeps it, if there is room.
func (c *capture) keep(p netapi.Packet, data []byte) bool {
	data = data[:min(len(data), c.snap)]
	if c.used+len(data)+Overhead > Room {
		c.dropped++
		return false
	}
	p.Data = slices.Clone(data)
	c.kept = append(c.kept, p)
	c.used += len(data) + Overhead
	c.signal()
	return true
}

// take takes as many packets as one reply can carry.
func (c *capture) take() []netapi.Packet {
	n, room := 0, netapi.PacketsRoom
	for n < len(c.kept) {
		if room -= netapi.PacketSize(c.kept[n]); room < 0 {
			break
		}
		c.used -= len(c.kept[n].Data) + Overhead
		n++
	}
	packets := slices.Clone(c.kept[:n])
	clear(c.kept[:n]) // what was read is not held until the slice grows
	c.kept = c.kept[n:]
	if len(c.kept) == 0 {
		c.kept = nil
	} else {
		c.signal() // somebody else may wait for the rest
	}
	return packets
}

func (c *capture) signal() {
	select {
	case c.arrived <- struct{}{}:
	default:
	}
}
