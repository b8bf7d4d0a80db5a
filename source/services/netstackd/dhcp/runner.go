package dhcp

import (
	"context"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// inboxSize bounds the frames that wait for the runner; more are dropped, as a busy host would.
const inboxSize = 16

// FirstBound is how long the first exchange may take before nobody is taken to answer.
const FirstBound = 8 * time.Second

// Config is what a Runner takes from outside.
type Config struct {
	MAC    [6]byte
	Clock  tcpip.Clock
	Random func() uint32

	// Send puts a frame on the wire. It must not block.
	Send func(frame []byte)
	// Apply is told each lease that begins, goes on (renewed) or, with ok false, ends.
	Apply func(lease Lease, ok bool)
}

// Runner runs one client. Start it with Run.
type Runner struct {
	config Config
	inbox  chan []byte
	start  time.Time

	mu      sync.Mutex
	client  *Client
	settled chan struct{} // closed while there is a lease
	dropped uint64
}

// NewRunner returns a runner that does nothing yet.
func NewRunner(config Config) *Runner {
	return &Runner{
		config: config, client: New(config.MAC, config.Random), start: config.Clock.Now(),
		inbox: make(chan []byte, inboxSize), settled: make(chan struct{}),
	}
}

// Deliver hands the runner a received frame, which is copied. It never blocks.
func (r *Runner) Deliver(frame []byte) {
	select {
	case r.inbox <- append([]byte(nil), frame...):
	default:
		r.mu.Lock()
		r.dropped++
		r.mu.Unlock()
	}
}

// now is the time since the runner was made.
func (r *Runner) now() time.Duration { return r.config.Clock.Now().Sub(r.start) }

// Run runs the client until ctx is done.
func (r *Runner) Run(ctx context.Context) {
	alarm := make(chan struct{}, 1)
	timer := r.config.Clock.AfterFunc(time.Hour, func() {
		select {
		case alarm <- struct{}{}:
		default:
		}
	})
	defer timer.Stop()
	r.step(timer, (*Client).Start)
	for {
		select {
		case <-ctx.Done():
			return
		case frame := <-r.inbox:
			r.step(timer, func(c *Client, now time.Duration) Output { return c.Input(now, frame) })
		case <-alarm:
			r.step(timer, (*Client).Tick)
		}
	}
}

// step lets the client take a step and does what it wants.
func (r *Runner) step(timer tcpip.Timer, take func(*Client, time.Duration) Output) {
	r.mu.Lock()
	now := r.now()
	out := take(r.client, now)
	r.mu.Unlock()
	timer.Stop()
	if out.Wake > 0 {
		timer.Reset(max(out.Wake-now, 0))
	}
	for _, frame := range out.Frames {
		r.config.Send(frame)
	}
	switch out.Event {
	case Got, Renewed:
		r.config.Apply(out.Lease, true)
		r.settle(true)
	case Lost:
		r.config.Apply(Lease{}, false)
		r.settle(false)
	}
}

// settle opens or closes the door of Wait.
func (r *Runner) settle(leased bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.settled:
		if !leased {
			r.settled = make(chan struct{})
		}
	default:
		if leased {
			close(r.settled)
		}
	}
}

// Wait waits until there is a lease that was applied; ok is false when there was none within the bound, or ctx was done.
func (r *Runner) Wait(ctx context.Context, bound time.Duration) (lease Lease, ok bool) {
	r.mu.Lock()
	settled := r.settled
	r.mu.Unlock()
	late := make(chan struct{})
	timer := r.config.Clock.AfterFunc(bound, func() { close(late) })
	defer timer.Stop()
	select {
	case <-settled:
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.client.Lease()
	case <-late:
	case <-ctx.Done():
	}
	return Lease{}, false
}

// Counters returns the client's counters and the runner's.
func (r *Runner) Counters() Counters {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.client.Counters
	all.InboxFull = r.dropped
	return all
}
