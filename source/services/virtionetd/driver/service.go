// Package driver is virtionetd: it owns the network device, moves its frames to
// and from the network stack over the frame queue, and answers net.capnp.
//
// docs/network/life-of-a-frame.md follows a frame through it.
package driver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"

	"nexus/source/libs/channel"
	"nexus/source/libs/frameq"
	"nexus/source/libs/virtio/dma"
	"nexus/source/libs/virtio/netdev"
	"nexus/source/libs/virtio/slot"
)

const (
	// tickTime is the length of package recovery's tick.
	tickTime = time.Second
	// stormPause is how long the interrupt stays masked when it storms.
	stormPause = 10 * time.Millisecond
)

// Config is what the driver works with.
type Config struct {
	slot.Slot
	Rings      dma.Region // netdev.RingBytes at least, the driver's alone
	Frames     dma.Region // frameq.PoolSize bytes, shared with the stack
	FramesFile *os.File   // the descriptor behind Frames, to hand to the stack
	Clients    []Client

	Mark func(line string) // prints one console line
	// After runs f in a goroutine of its own after d, unless stop is called before; nil means
	// time.AfterFunc.
	After func(d time.Duration, f func()) (stop func() bool)
}

// Client is one channel that net.capnp is served on.
type Client struct {
	Conn  *channel.Conn
	Stack bool // it is the network stack's, and may take the frame queue
}

// Driver is a running driver.
type Driver struct {
	config Config
	fatal  chan error // takes the first error that ends the driver

	mu      sync.Mutex // guards what follows
	engine  *engine
	ticking bool
	stop    func() bool // stops the tick that is due
	ended   bool        // the memory may be gone
	link    *link       // the attached stack's; nil without
	waiters []chan []byte
}

// Open brings the device up: it is live and receiving when Open returns.
// Errors: those of netdev.Open, each with what to do.
func Open(c Config) (*Driver, error) {
	if len(c.Frames.Bytes) != frameq.PoolSize {
		return nil, fmt.Errorf("frames has %d bytes, want %d: correct the manifest", len(c.Frames.Bytes), frameq.PoolSize)
	}
	if len(c.Rings.Bytes) < netdev.RingBytes {
		return nil, fmt.Errorf("rings has %d bytes, want %d: correct the manifest", len(c.Rings.Bytes), netdev.RingBytes)
	}
	if c.After == nil {
		c.After = func(d time.Duration, f func()) func() bool { return time.AfterFunc(d, f).Stop }
	}
	dev, err := netdev.Open(c.Window, netdev.Memory{Rings: c.Rings, Frames: c.Frames, RxBuffer: rxBuffer})
	if err != nil {
		return nil, err
	}
	d := &Driver{config: c, fatal: make(chan error, 1), engine: newEngine(dev, c.Frames.Bytes)}
	d.engine.onFrame = d.mirror
	d.engine.onFirst = func(n int) { c.Mark("virtionetd: rx frame len=" + strconv.Itoa(n)) }
	if err := d.engine.start(); err != nil {
		return nil, err
	}
	return d, nil
}

// Announce prints the markers: the device is live and its receive slots are posted.
func (d *Driver) Announce() {
	dev := d.engine.dev
	d.config.Mark("virtionetd: ready")
	d.config.Mark("virtionetd: mmio=0x" + strconv.FormatUint(d.config.Base, 16) +
		" irq=" + strconv.FormatUint(d.config.Number, 10) +
		" mac=" + dev.MAC().String() +
		" mtu=" + strconv.Itoa(dev.MTU()))
}

// Run serves until ctx is done or the driver cannot go on, and leaves the device reset.
// It returns why it ended.
func (d *Driver) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var all sync.WaitGroup
	all.Go(func() { d.interrupts(ctx) })
	for _, client := range d.config.Clients {
		all.Go(func() { d.serve(ctx, client) })
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-d.fatal:
	}
	cancel()
	d.config.Interrupt.Close()
	all.Wait()

	d.mu.Lock()
	defer d.mu.Unlock()
	d.detach()
	d.ended = true
	if d.ticking {
		d.stop()
	}
	// The device must be quiet before its memory goes back to the system.
	return errors.Join(err, d.engine.dev.Close())
}

// interrupts serves the interrupt line: unmask, wait, serve; it is masked from
// its firing to the next round. No look at the rings is needed after unmasking:
// engine.work has re-enabled the device's interrupts and looked again after that,
// and the line is a level, so what came since fires as soon as it is unmasked.
func (d *Driver) interrupts(ctx context.Context) {
	for {
		if err := d.config.Interrupt.Arm(); err != nil {
			d.fail(fmt.Errorf("arm interrupt: %w", err))
			return
		}
		if err := d.config.Interrupt.Wait(); err != nil {
			d.fail(fmt.Errorf("wait for interrupt: %w", err))
			return
		}
		d.mu.Lock()
		d.settle(true, d.engine.interrupt())
		storm := d.engine.storm()
		d.mu.Unlock()
		if storm {
			d.pause(ctx, stormPause)
		}
	}
}

// pause waits for a moment, or for the driver's end.
func (d *Driver) pause(ctx context.Context, moment time.Duration) {
	over := make(chan struct{})
	defer d.config.After(moment, func() { close(over) })()
	select {
	case <-over:
	case <-ctx.Done():
	}
}

// workOnce moves what there is, until nothing is left.
func (d *Driver) workOnce(receive bool) {
	d.mu.Lock()
	d.settle(receive, d.engine.work(receive))
	d.mu.Unlock()
}

// settle calls work until everybody can be waited for, and keeps time running
// while the engine needs it. d.mu is held, and let go between two calls.
func (d *Driver) settle(receive, idle bool) {
	for !idle {
		d.mu.Unlock()
		runtime.Gosched()
		d.mu.Lock()
		idle = d.engine.work(receive)
	}
	if d.engine.needsTicks() && !d.ticking {
		d.ticking = true
		d.stop = d.config.After(tickTime, d.tick)
	}
}

func (d *Driver) tick() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended {
		return
	}
	d.ticking = false
	if err := d.engine.tick(); err != nil {
		d.fail(err)
		return
	}
	d.settle(false, d.engine.work(false))
}

// fail ends Run with err, unless it ends already.
func (d *Driver) fail(err error) {
	select {
	case d.fatal <- err:
	default:
	}
}
