package driver

import (
	"context"
	"strconv"
	"syscall"
	"time"

	"capnproto.org/go/capnp/v3"

	"nexus/source/api/netapi"
	"nexus/source/api/netcapnp"
	"nexus/source/libs/channel"
	"nexus/source/libs/frameq"
	"nexus/source/libs/virtio/netdev"
)

const (
	interfaceName = "virt0"

	// sendWait bounds how long send waits for a slot.
	sendWait = 2 * time.Second
	// recvMost bounds how long recv may be asked to wait.
	recvMost = time.Minute
)

// session answers one client of net.capnp.
type session struct {
	driver *Driver
	ctx    context.Context // done when the driver ends
	stack  bool            // the client is the network stack
}

// serve answers client until its other end is closed, and takes back the frame queue if it was
// this client's.
func (d *Driver) serve(ctx context.Context, client Client) {
	s := &session{driver: d, ctx: ctx, stack: client.Stack}
	channel.ServeAll(ctx, []*channel.Conn{client.Conn}, s)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.link != nil && d.link.owner == s {
		d.detach()
		d.settle(false, d.engine.work(false))
	}
}

// Refuse makes the error reply that says err.
func (s *session) Refuse(reply *capnp.Segment, err error) { netapi.Refuse(reply, err) }

// Handle answers one request.
func (s *session) Handle(call *channel.Call) error {
	reply, err := netcapnp.NewRootReply(call.Reply)
	if err != nil {
		return err
	}
	request := netcapnp.Request(call.Request)
	switch request.Which() {
	case netcapnp.Request_Which_info:
		to, err := reply.NewInfo()
		if err != nil {
			return err
		}
		return netapi.SetInterface(to, s.driver.info())
	case netcapnp.Request_Which_send:
		frame, err := request.Send()
		if err != nil {
			return err
		}
		reply.SetDone()
		return s.driver.send(frame)
	case netcapnp.Request_Which_recv:
		frame, err := s.driver.recv(s.ctx, time.Duration(request.Recv().TimeoutMs())*time.Millisecond)
		if err != nil {
			return err
		}
		return reply.SetFrame(frame)
	case netcapnp.Request_Which_attach:
		return s.attach(call, reply)
	case netcapnp.Request_Which_stats:
		return netapi.SetStats(reply, s.driver.stats())
	default:
		return netapi.Refused(syscall.ENOSYS, "virtionetd does not serve this request: ask netstackd")
	}
}

var errNotTheStack = netapi.Refused(syscall.EPERM, "attach: only netstackd's channel may take the frame queue")

// attach hands the frame queue to this client, if it is the network stack: an operator's channel could otherwise take
// the network from the system.
func (s *session) attach(call *channel.Call, reply netcapnp.Reply) error {
	if !s.stack {
		return errNotTheStack
	}
	d := s.driver
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.link != nil && d.link.owner != s {
		return netapi.Refused(syscall.EBUSY, "attach: the frame queue has an owner: netstackd is the one network stack")
	}
	l, err := d.attach(s)
	if err != nil {
		return err
	}
	call.Beside = make([]int, 4)
	// The link's files stay open as long as d.mu is held or the link is attached; the
	// reply is sent by the goroutine that would detach it.
	for i, f := range []fileDescriptor{d.config.FramesFile, l.memory, l.rxBell.File(), l.txBell.File()} {
		if call.Beside[i], err = descriptorOf(f); err != nil {
			return err
		}
	}
	return netapi.SetAttachment(reply, netapi.Attachment{
		Interface:  d.infoLocked(),
		SlotSize:   frameq.SlotSize,
		Slots:      frameq.Slots,
		FramesSize: frameq.PoolSize,
		QueueSize:  frameq.QueueSize,
	})
}

type fileDescriptor interface {
	SyscallConn() (syscall.RawConn, error)
}

// descriptorOf gives the number of f's descriptor without changing its mode, as Fd would.
func descriptorOf(f fileDescriptor) (int, error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd := -1
	err = conn.Control(func(n uintptr) { fd = int(n) })
	return fd, err
}

func (d *Driver) info() netapi.Interface {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.infoLocked()
}

func (d *Driver) infoLocked() netapi.Interface {
	dev := d.engine.dev
	return netapi.Interface{
		Name: interfaceName,
		MAC:  dev.MAC(),
		MTU:  dev.MTU(),
		Up:   dev.LinkUp() && !d.engine.recovery.Down(),
	}
}

// send puts one frame on the wire.
func (d *Driver) send(frame []byte) error {
	switch n, most := len(frame), d.engine.dev.MaxFrame(); {
	case n == 0:
		return netapi.Refused(syscall.EINVAL, "send: the frame is empty")
	case n < netdev.MinFrame:
		return netapi.Refused(syscall.EINVAL,
			"send: "+strconv.Itoa(n)+" bytes are no Ethernet frame: the header alone has 14")
	case n > most:
		return netapi.Refused(syscall.EMSGSIZE,
			"send: the frame has "+strconv.Itoa(n)+" bytes, the link takes "+strconv.Itoa(most))
	}
	slot, err := d.sendSlot()
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.engine
	if e.recovery.Down() {
		e.giveBack(slot)
		return netapi.Refused(syscall.ENETDOWN, "send: the device is being reset: try again in a second")
	}
	copy(e.pool[frameOffset(slot):], frame)
	if err := e.post(slot, len(frame)); err != nil {
		e.giveBack(slot)
		return err
	}
	d.settle(false, e.work(false))
	return nil
}

var errSendFull = netapi.Refused(syscall.EAGAIN,
	"send: the device does not take frames: the host's end of the link does not read")

// sendSlot takes a slot to send with; it waits for one at most sendWait.
func (d *Driver) sendSlot() (frameq.Slot, error) {
	free := d.engine.sendFree
	select {
	case slot := <-free:
		return slot, nil
	default:
	}
	// All are with the device: sent ones come back when it is looked at.
	d.workOnce(false)
	expired := make(chan struct{})
	defer d.config.After(sendWait, func() { close(expired) })()
	select {
	case slot := <-free:
		return slot, nil
	case <-expired:
		return 0, errSendFull
	}
}

var errRecvTimeout = netapi.Refused(syscall.ETIMEDOUT, "recv: no frame came in")

// recv gives a copy of the next frame received, whoever else gets it.
func (d *Driver) recv(ctx context.Context, timeout time.Duration) ([]byte, error) {
	got := make(chan []byte, 1)
	d.mu.Lock()
	d.waiters = append(d.waiters, got)
	d.mu.Unlock()
	expired := make(chan struct{})
	defer d.config.After(min(timeout, recvMost), func() { close(expired) })()
	select {
	case frame := <-got:
		return frame, nil
	case <-ctx.Done():
	case <-expired:
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, w := range d.waiters {
		if w == got {
			d.waiters = append(d.waiters[:i], d.waiters[i+1:]...)
			return nil, errRecvTimeout
		}
	}
	return <-got, nil // it came at the last moment
}

// mirror gives each waiter a copy of frame. d.mu is held.
func (d *Driver) mirror(frame []byte) {
	for _, w := range d.waiters {
		w <- append([]byte(nil), frame...) // has room for one
	}
	clear(d.waiters)
	d.waiters = d.waiters[:0]
}
