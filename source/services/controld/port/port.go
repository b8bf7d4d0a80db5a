// Package port is the guest's end of the control port: it drives the virtio console device and gives what a host sends
// to its port `nexus.control` as a stream of bytes, host after host.
package port

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"nexus/source/libs/virtio/dma"
	"nexus/source/libs/virtio/recovery"
	"nexus/source/libs/virtio/serialdev"
	"nexus/source/libs/virtio/slot"
)

const (
	// tickTime is the length of package recovery's tick.
	tickTime = time.Second
	// stormPause is how long the interrupt stays masked when it storms.
	stormPause = 10 * time.Millisecond
	// stormLimit is how many interrupts in a row may bring nothing.
	stormLimit = 256
	// rounds bounds the looks at the device of one call of work.
	rounds = 8
)

// Config is what the port works with.
type Config struct {
	slot.Slot
	Memory dma.Region // serialdev.MemoryBytes at least, the driver's alone

	// After runs f in a goroutine of its own after d, unless stop is called before; nil means
	// time.AfterFunc.
	After func(d time.Duration, f func()) (stop func() bool)
}

// Port is a running driver and the stream of its port. One goroutine may Read at a time, any number may Write.
type Port struct {
	config  Config
	fatal   chan error    // takes the first error that ends the driver
	done    chan struct{} // closed when the port has ended
	unread  chan struct{} // holds one: unread has something, or the port has ended
	room    chan struct{} // holds one: something about the device changed for the writer
	writing chan struct{} // holds one: whoever has put it there writes

	mu       sync.Mutex // guards what follows
	dev      *serialdev.Device
	recovery *recovery.Recovery
	inbox    inbox
	hosts    uint64 // that have opened the port, ever
	waits    bool   // the writer waits for room
	ticking  bool
	stop     func() bool // stops the tick that is due
	ended    bool        // the memory may be gone
	vain     int         // interrupts in a row that brought nothing
	moved    uint64      // things that came back from the device, ever
	count    counts
}

// Open brings the device up: it is live, and a host's bytes are kept for Read, when Open returns. Errors: those of
// serialdev.Open, each with what to do.
func Open(c Config) (*Port, error) {
	if len(c.Memory.Bytes) < serialdev.MemoryBytes {
		return nil, fmt.Errorf("memory has %d bytes, want %d: correct the manifest", len(c.Memory.Bytes), serialdev.MemoryBytes)
	}
	if c.After == nil {
		c.After = func(d time.Duration, f func()) func() bool { return time.AfterFunc(d, f).Stop }
	}
	dev, err := serialdev.Open(c.Window, c.Memory)
	if err != nil {
		return nil, err
	}
	p := &Port{
		config: c, dev: dev,
		fatal: make(chan error, 1), done: make(chan struct{}),
		unread: make(chan struct{}, 1), room: make(chan struct{}, 1), writing: make(chan struct{}, 1),
	}
	p.recovery = recovery.New(p.reset)
	if err := dev.Start(); err != nil {
		return nil, err
	}
	return p, nil
}

// Run serves until ctx is done or the driver cannot go on, and leaves the device reset. It returns why it ended. Read
// and Write fail from then on.
func (p *Port) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p.mu.Lock()
	p.settle() // time runs from now on: a device may never interrupt
	p.mu.Unlock()
	var all sync.WaitGroup
	all.Go(func() { p.interrupts(ctx) })
	var err error
	select {
	case <-ctx.Done():
	case err = <-p.fatal:
	}
	cancel()
	p.config.Interrupt.Close()
	all.Wait()

	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	close(p.done)
	if p.ticking {
		p.stop()
	}
	// The device must be quiet before its memory goes back to the system.
	return errors.Join(err, p.dev.Close())
}

// interrupts serves the interrupt line: unmask, wait, serve; it is masked from its firing to the next round. No look at
// the rings is needed after unmasking: work has asked for the device's interrupts and looked again after that, and the
// line is a level, so what came since fires as soon as it is unmasked.
func (p *Port) interrupts(ctx context.Context) {
	for {
		if err := p.config.Interrupt.Arm(); err != nil {
			p.fail(fmt.Errorf("arm interrupt: %w", err))
			return
		}
		if err := p.config.Interrupt.Wait(); err != nil {
			p.fail(fmt.Errorf("wait for interrupt: %w", err))
			return
		}
		p.mu.Lock()
		storm := p.interrupt()
		p.mu.Unlock()
		if storm {
			p.pause(ctx, stormPause)
		}
	}
}

// interrupt serves one interrupt: it acknowledges it at the device first and looks at the rings then, so that what
// happens meanwhile interrupts again. It reports whether the device interrupts again and again for nothing. p.mu is held.
func (p *Port) interrupt() (storm bool) {
	p.count.interrupts++
	before := p.moved
	if p.dev.Interrupt() != nil {
		p.count.asked++
		p.receive() // a reset loses what is left there
		p.recovery.Break()
	}
	p.settle()
	if p.vain++; p.moved != before {
		p.vain = 0
	}
	if p.vain < stormLimit {
		return false
	}
	p.vain = 0
	p.count.storms++
	return true
}

// pause waits for a moment, or for the driver's end.
func (p *Port) pause(ctx context.Context, moment time.Duration) {
	over := make(chan struct{})
	defer p.config.After(moment, func() { close(over) })()
	select {
	case <-over:
	case <-ctx.Done():
	}
}

// settle works until the device can be waited for, and keeps time running while that is needed. p.mu is held, and let go
// between two calls of work.
func (p *Port) settle() {
	for !p.work() {
		p.mu.Unlock()
		runtime.Gosched()
		p.mu.Lock()
		if p.ended {
			return
		}
	}
	if p.recovery.Needed(p.dev.MessagesPosted() > 0) && !p.ticking && !p.ended {
		p.ticking = true
		p.stop = p.config.After(tickTime, p.tick)
	}
}

// work takes what the device has and gives it what it is to have. It reports false when it stopped at its bound, and must
// be called again instead of waiting. p.mu is held.
func (p *Port) work() (idle bool) {
	defer p.wake()
	if p.recovery.Down() {
		p.receive() // only that its host has gone
		return true
	}
	p.dev.Quiet()
	for range rounds {
		p.receive()
		for p.dev.PopTx() {
			p.moved++
		}
		p.dev.Kick()
		if p.dev.Broken() {
			p.recovery.Break()
			p.receive()
			return p.recovery.Down() // up again: look at everything once more
		}
		if p.arm() {
			return true
		}
	}
	return false
}

// arm asks the device to say when there is more, and then looks again. It reports false when there already is.
func (p *Port) arm() bool {
	idle := p.dev.Arm()
	if !p.waits {
		p.dev.QuietTx() // taken back in passing
		return idle
	}
	return p.dev.ArmTx() && idle
}

// receive keeps what the device has for Read.
func (p *Port) receive() {
	for e := p.dev.Pop(); e.Kind != serialdev.Nothing; e = p.dev.Pop() {
		p.moved++
		if e.Kind == serialdev.Opened {
			p.hosts++
		}
		p.inbox.put(e)
	}
}

// reset brings the device up again after it broke. What a host sent before stays.
func (p *Port) reset() error {
	if err := p.dev.Reset(); err != nil {
		return err // its memory stays its own: it may not have stopped
	}
	return p.dev.Start()
}

// tick tells that time passed. Only control messages must be taken in time: bytes may wait for their host for ever, and
// whoever writes them has a bound of his own.
func (p *Port) tick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return
	}
	p.ticking = false
	if !p.recovery.Down() {
		p.dev.Kick() // takes back messages that were taken
	}
	if err := p.recovery.Tick(p.dev.MessagesPosted() > 0, p.dev.Stats().Said); err != nil {
		p.fail(err)
		return
	}
	p.settle()
}

// wake tells the reader and the writer to look.
func (p *Port) wake() {
	if !p.inbox.empty() {
		signal(p.unread)
	}
	if p.waits {
		signal(p.room)
	}
}

// signal puts one into a channel that holds one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// fail ends Run with err, unless it ends already.
func (p *Port) fail(err error) {
	select {
	case p.fatal <- err:
	default:
	}
}
