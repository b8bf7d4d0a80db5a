// Package wiretest plays virtionetd for tests: a frame queue whose driver's side is a Go function for each frame, and hosts that
// are joined by such queues.
package wiretest

import (
	"os"
	"sync"
	"syscall"

	"capnproto.org/go/capnp/v3"
	"golang.org/x/sys/unix"

	"nexus/source/api/netapi"
	"nexus/source/api/netcapnp"
	"nexus/source/libs/channel"
	"nexus/source/libs/frameq"
)

// Port is the driver's side of one frame queue.
type Port struct {
	MAC [6]byte
	MTU int

	mu           sync.Mutex
	out          func(frame []byte)
	driver       *frameq.Driver
	frames       *os.File
	queue        *os.File
	pool, shared []byte
	rx, tx       *frameq.EventBell
	free         []frameq.Slot
	lost         int
	attached     int
	stopped      chan struct{}
	closed       bool
	slots        int
}

// NewPort returns a port with this many slots each way, at most frameq.Slots/2. out gets each frame that the stack sends, one at a
// time; it may keep it.
func NewPort(mac [6]byte, slots int, out func(frame []byte)) (*Port, error) {
	p := &Port{MAC: mac, MTU: 1500, out: out, slots: slots}
	var err error
	if p.frames, p.pool, err = sharedMemory("frames", frameq.PoolSize); err != nil {
		return nil, err
	}
	if err := p.renew(); err != nil {
		return nil, err
	}
	return p, nil
}

func sharedMemory(name string, size int) (*os.File, []byte, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	if err := f.Truncate(int64(size)); err != nil {
		return nil, nil, err
	}
	b, err := unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	return f, b, err
}

// renew makes a new queue, as a driver does for each attachment.
func (p *Port) renew() error {
	var err error
	if p.queue, p.shared, err = sharedMemory("queue", frameq.QueueSize); err != nil {
		return err
	}
	if p.rx, err = frameq.NewEventBell(); err != nil {
		return err
	}
	if p.tx, err = frameq.NewEventBell(); err != nil {
		return err
	}
	if p.driver, err = frameq.Create(p.pool, p.shared, p.rx); err != nil {
		return err
	}
	p.free = p.free[:0]
	for i := range p.slots {
		p.free = append(p.free, frameq.Slot(i))
		p.driver.CompleteTx(frameq.Slot(frameq.Slots/2 + i))
	}
	p.stopped = make(chan struct{})
	go p.transmit(p.driver, p.tx, p.stopped)
	return nil
}

// Stack attaches in this process: the stack's half and the bell it waits for.
func (p *Port) Stack() (*frameq.Stack, *frameq.EventBell, error) {
	s, err := frameq.Attach(p.pool, p.shared, p.tx)
	return s, p.rx, err
}

// transmit hands what the stack sends to out until the bell is closed.
func (p *Port) transmit(driver *frameq.Driver, bell *frameq.EventBell, stopped chan struct{}) {
	defer close(stopped)
	for {
		for {
			frame, ok := p.take(driver)
			if !ok {
				break
			}
			p.out(frame)
		}
		p.mu.Lock()
		sleep := driver.ArmTx()
		p.mu.Unlock()
		if sleep && bell.Wait() != nil {
			return
		}
	}
}

func (p *Port) take(driver *frameq.Driver) ([]byte, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	slot, n, ok := driver.TakeTx()
	if !ok {
		driver.Flush()
		return nil, false
	}
	at := int(slot)*frameq.SlotSize + frameq.FrameOffset
	frame := append([]byte(nil), p.pool[at:at+n]...)
	driver.CompleteTx(slot)
	return frame, true
}

// Inject hands the stack a frame; false means that it was lost because no slot was free.
func (p *Port) Inject(frame []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	for slot, ok := p.driver.ReclaimRx(); ok; slot, ok = p.driver.ReclaimRx() {
		p.free = append(p.free, slot)
	}
	if len(p.free) == 0 {
		p.lost++
		return false
	}
	slot := p.free[len(p.free)-1]
	p.free = p.free[:len(p.free)-1]
	copy(p.pool[int(slot)*frameq.SlotSize+frameq.FrameOffset:], frame)
	p.driver.DeliverRx(slot, len(frame))
	p.driver.Flush()
	return true
}

// Lost returns how many frames found no slot.
func (p *Port) Lost() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lost
}

// Attached returns how often a client took the queue over.
func (p *Port) Attached() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.attached
}

// Close ends the port; the stack's bell rings no more.
func (p *Port) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.tx.Close()
	<-p.stopped
	p.rx.Close()
	p.frames.Close()
	p.queue.Close()
}

// Handle implements channel.Handler: info and attach.
func (p *Port) Handle(call *channel.Call) error {
	reply, err := netcapnp.NewRootReply(call.Reply)
	if err != nil {
		return err
	}
	i := netapi.Interface{Name: "virt0", MAC: p.MAC, MTU: p.MTU, Up: true}
	switch netcapnp.Request(call.Request).Which() {
	case netcapnp.Request_Which_info:
		to, err := reply.NewInfo()
		if err != nil {
			return err
		}
		return netapi.SetInterface(to, i)
	case netcapnp.Request_Which_attach:
		return p.attach(call, reply, i)
	default:
		return netapi.Refused(syscall.ENOSYS, "not here")
	}
}

func (p *Port) attach(call *channel.Call, reply netcapnp.Reply, i netapi.Interface) error {
	p.mu.Lock()
	p.attached++
	again := p.attached > 1
	p.mu.Unlock()
	if again {
		p.tx.Close()
		<-p.stopped
		p.rx.Close()
		p.queue.Close()
		p.mu.Lock()
		err := p.renew()
		p.mu.Unlock()
		if err != nil {
			return err
		}
	}
	for _, f := range []*os.File{p.frames, p.queue, p.rx.File(), p.tx.File()} {
		raw, err := f.SyscallConn()
		if err != nil {
			return err
		}
		if err := raw.Control(func(fd uintptr) { call.Beside = append(call.Beside, int(fd)) }); err != nil {
			return err
		}
	}
	return netapi.SetAttachment(reply, netapi.Attachment{
		Interface: i, SlotSize: frameq.SlotSize, Slots: frameq.Slots, FramesSize: frameq.PoolSize, QueueSize: frameq.QueueSize,
	})
}

// Refuse implements channel.Handler.
func (p *Port) Refuse(reply *capnp.Segment, err error) { netapi.Refuse(reply, err) }
