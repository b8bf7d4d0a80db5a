// Package link joins the IP stack to the frame queue that it shares with the driver.
//
// An Endpoint is an Ethernet interface's lower half. One goroutine, Run, receives: it inspects each frame where it lies, in
// the driver's memory, and copies only those that the stack gets. Any goroutine may send; a packet is copied once, into its
// slot. When the driver holds all slots a bounded number of packets wait, the rest are dropped and counted.
package link

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"nexus/source/libs/frameq"
	"nexus/source/services/netstackd/capture"
	"nexus/source/services/netstackd/guard"
)

// maxWaiting bounds the packets that wait for a transmit slot.
const maxWaiting = 128

const ethernetHeader = 14

// Queue is the stack's half of a frame queue; *frameq.Stack is one.
type Queue interface {
	Recv() (frame []byte, slot frameq.Slot, ok bool)
	Release(frameq.Slot)
	ArmRx() bool
	Alloc() (slot frameq.Slot, buf []byte, ok bool)
	Send(slot frameq.Slot, n int) bool
	Cancel(frameq.Slot)
	ArmTx() bool
	Flush()
	Stats() frameq.Stats
}

// Bell is what Run waits for.
type Bell interface {
	// Sleep calls arm and, if that reports true, returns when the bell rings after that. The error means that it can not
	// ring any more.
	Sleep(arm func() bool) error
}

// Config describes an Endpoint.
type Config struct {
	MAC   [6]byte
	MTU   int // bytes of IP
	Guard *guard.Guard

	// Now is the time since some fixed moment, for the guard's limits.
	Now func() time.Duration
	// OnDHCP gets each frame for the DHCP client, valid during the call. It must not block.
	OnDHCP func(frame []byte)
	// OnAsked is told each ARP request for our address. It must not block.
	OnAsked func()
	// Tap sees each frame as the driver gave it, whatever becomes of it, and each that goes to the driver; nil for none.
	Tap *capture.Tap
}

// Endpoint implements stack.LinkEndpoint.
type Endpoint struct {
	config Config

	dispatcher atomic.Pointer[dispatcher]

	tx      sync.Mutex // guards the transmitting half of queue, and waiting
	queue   Queue      // nil: no driver
	waiting [][]byte   // frames, oldest first

	count struct {
		rx, tx, txWaited, echoes                       atomic.Uint64
		txFull, txNoDriver, txMartian, txSize, rxNoNIC atomic.Uint64
	}
}

// dispatcher boxes the interface value for atomic access.
type dispatcher struct{ stack.NetworkDispatcher }

var _ stack.LinkEndpoint = (*Endpoint)(nil)

// New returns an endpoint without a driver: what is sent is dropped until Run is called.
func New(config Config) *Endpoint { return &Endpoint{config: config} }

// Each calls f with each counter's name and value, in a fixed order.
func (e *Endpoint) Each(f func(name string, value uint64)) {
	c := &e.count
	f("rx.frames", c.rx.Load())
	f("rx.echo-answered", c.echoes.Load())
	f("rx.drop.no-interface", c.rxNoNIC.Load())
	f("tx.frames", c.tx.Load())
	f("tx.waited", c.txWaited.Load())
	f("tx.drop.queue-full", c.txFull.Load())
	f("tx.drop.no-driver", c.txNoDriver.Load())
	f("tx.drop.martian", c.txMartian.Load())
	f("tx.drop.size", c.txSize.Load())
	e.tx.Lock()
	q := e.queue
	e.tx.Unlock()
	if q == nil {
		return
	}
	s := q.Stats()
	f("queue.bells", s.Bells)
	f("queue.index-jumps", s.IndexJumps)
	f("queue.bad-slot", s.BadSlot)
	f("queue.not-lent", s.NotLent)
	f("queue.bad-frame", s.BadFrame)
	f("queue.full", s.Full)
	f("queue.misuse", s.Misuse)
	f("queue.bell-failed", s.BellFailed)
}

// Plug lets the endpoint send through q from now on. Run does so itself; before it, Plug keeps what is sent first from being
// dropped.
func (e *Endpoint) Plug(q Queue) {
	e.tx.Lock()
	defer e.tx.Unlock()
	e.queue = q
}

// Run receives from q and sends through it until bell fails, whose error it returns. The packets still waiting are dropped
// then.
func (e *Endpoint) Run(q Queue, bell Bell) error {
	e.Plug(q)
	defer e.detach(q)
	for {
		e.receive(q)
		e.sendWaiting(q)
		q.Flush()
		if err := bell.Sleep(q.ArmRx); err != nil {
			return err
		}
	}
}

// receive takes every frame that is there.
func (e *Endpoint) receive(q Queue) {
	for frame, slot, ok := q.Recv(); ok; frame, slot, ok = q.Recv() {
		e.input(frame)
		q.Release(slot)
	}
}

func (e *Endpoint) detach(q Queue) {
	e.tx.Lock()
	defer e.tx.Unlock()
	if e.queue == q {
		e.queue = nil
	}
	e.count.txNoDriver.Add(uint64(len(e.waiting)))
	e.waiting = nil
}

// input handles one received frame, which is gone after it returns.
func (e *Endpoint) input(frame []byte) {
	e.count.rx.Add(1)
	e.config.Tap.Received(frame)
	result := e.config.Guard.Inspect(e.config.Now(), frame)
	if result.Asked && e.config.OnAsked != nil {
		e.config.OnAsked()
	}
	switch result.Verdict {
	case guard.Pass:
		e.deliver(frame)
	case guard.DHCP:
		e.config.OnDHCP(frame)
	case guard.Answer:
		_ = e.SendFrame(result.Reply[:]) // counted; the asker asks again
	case guard.Echo:
		e.echo(frame)
	}
}

// echo answers an ICMP echo request, from slot to slot. Without a slot it is lost, as on any busy host.
func (e *Endpoint) echo(frame []byte) {
	e.tx.Lock()
	defer e.tx.Unlock()
	switch {
	case e.queue == nil:
		e.count.txNoDriver.Add(1)
		return
	case len(frame) > e.config.MTU+ethernetHeader:
		e.count.txSize.Add(1)
		return
	}
	slot, buf, ok := e.queue.Alloc()
	if !ok {
		e.count.txFull.Add(1)
		return
	}
	e.submitLocked(slot, buf[:guard.EchoReply(buf, frame)])
	e.count.echoes.Add(1)
	// Run flushes when it has seen every frame.
}

// deliver copies frame and gives it to the stack.
func (e *Endpoint) deliver(frame []byte) {
	d := e.dispatcher.Load()
	if d == nil {
		e.count.rxNoNIC.Add(1)
		return
	}
	view := buffer.NewView(len(frame))
	_, _ = view.Write(frame) // a view grows
	packet := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithView(view)})
	defer packet.DecRef()
	if !e.ParseHeader(packet) {
		return // the guard has seen a whole header
	}
	ethernet := header.Ethernet(packet.LinkHeader().Slice())
	switch to := ethernet.DestinationAddress(); {
	case to == header.EthernetBroadcastAddress:
		packet.PktType = tcpip.PacketBroadcast
	case header.IsMulticastEthernetAddress(to):
		packet.PktType = tcpip.PacketMulticast
	default:
		packet.PktType = tcpip.PacketHost
	}
	d.DeliverNetworkPacket(ethernet.Type(), packet)
}

// WritePackets implements stack.LinkWriter.
func (e *Endpoint) WritePackets(packets stack.PacketBufferList) (int, tcpip.Error) {
	e.tx.Lock()
	defer e.tx.Unlock()
	n := 0
	for _, packet := range packets.AsSlice() {
		if err := e.writeLocked(packet); err != nil {
			e.flushLocked()
			return n, err
		}
		n++
	}
	e.flushLocked()
	return n, nil
}

func (e *Endpoint) flushLocked() {
	if e.queue != nil {
		e.queue.Flush()
	}
}

// writeLocked sends one packet, or lets it wait.
func (e *Endpoint) writeLocked(packet *stack.PacketBuffer) tcpip.Error {
	if guard.LeavesLoopback(uint16(packet.NetworkProtocolNumber), packet.NetworkHeader().Slice()) {
		e.count.txMartian.Add(1)
		return &tcpip.ErrNetworkUnreachable{}
	}
	size := packet.Size()
	if size > e.config.MTU+ethernetHeader {
		e.count.txSize.Add(1)
		return &tcpip.ErrMessageTooLong{}
	}
	if e.queue == nil {
		e.count.txNoDriver.Add(1)
		return nil // as a cable that is not plugged in
	}
	if len(e.waiting) == 0 {
		if slot, buf, ok := e.queue.Alloc(); ok {
			copyPacket(buf[:size], packet)
			e.submitLocked(slot, buf[:size])
			return nil
		}
	}
	if len(e.waiting) >= maxWaiting {
		e.count.txFull.Add(1)
		return &tcpip.ErrNoBufferSpace{}
	}
	frame := make([]byte, size)
	copyPacket(frame, packet)
	e.waitLocked(frame)
	return nil
}

// waitLocked queues a frame until a slot comes back.
func (e *Endpoint) waitLocked(frame []byte) {
	e.waiting = append(e.waiting, frame)
	e.count.txWaited.Add(1)
	if !e.queue.ArmTx() {
		e.drainLocked()
	}
}

// submitLocked hands a slot with frame in it to the driver.
func (e *Endpoint) submitLocked(slot frameq.Slot, frame []byte) {
	e.config.Tap.Sent(frame) // before the answer can come in
	if !e.queue.Send(slot, len(frame)) {
		e.queue.Cancel(slot)
		e.count.txSize.Add(1)
		return
	}
	e.count.tx.Add(1)
}

// sendWaiting sends what waited, as far as there are slots again.
func (e *Endpoint) sendWaiting(q Queue) {
	e.tx.Lock()
	defer e.tx.Unlock()
	if e.queue == q {
		e.drainLocked()
	}
}

// drainLocked sends waiting frames until none is left or the driver was asked to ring when a slot is back.
func (e *Endpoint) drainLocked() {
	for len(e.waiting) > 0 {
		slot, buf, ok := e.queue.Alloc()
		if !ok {
			if e.queue.ArmTx() {
				return
			}
			continue
		}
		n := copy(buf, e.waiting[0])
		e.waiting[0] = nil
		e.waiting = e.waiting[1:]
		e.submitLocked(slot, buf[:n])
	}
	e.waiting = nil
}

// SendFrame sends one Ethernet frame as it is. The error is ErrNoBufferSpace or ErrMessageTooLong.
func (e *Endpoint) SendFrame(frame []byte) tcpip.Error {
	if len(frame) < ethernetHeader || len(frame) > e.config.MTU+ethernetHeader {
		e.count.txSize.Add(1)
		return &tcpip.ErrMessageTooLong{}
	}
	e.tx.Lock()
	defer e.tx.Unlock()
	if e.queue == nil {
		e.count.txNoDriver.Add(1)
		return nil
	}
	if len(e.waiting) >= maxWaiting {
		e.count.txFull.Add(1)
		return &tcpip.ErrNoBufferSpace{}
	}
	e.waitLocked(append([]byte(nil), frame...))
	e.drainLocked()
	e.queue.Flush()
	return nil
}

// copyPacket copies the whole packet, link header first, to b, which has its size.
func copyPacket(b []byte, packet *stack.PacketBuffer) {
	views, skip := packet.AsViewList()
	for v := views.Front(); v != nil; v = v.Next() {
		data := v.AsSlice()
		if skip >= len(data) {
			skip -= len(data)
			continue
		}
		b = b[copy(b, data[skip:]):]
		skip = 0
	}
}

// MTU implements stack.NetworkLinkEndpoint.
func (e *Endpoint) MTU() uint32 { return uint32(e.config.MTU) }

// SetMTU implements stack.NetworkLinkEndpoint; the driver's is the only one.
func (e *Endpoint) SetMTU(uint32) {}

// MaxHeaderLength implements stack.NetworkLinkEndpoint.
func (e *Endpoint) MaxHeaderLength() uint16 { return ethernetHeader }

// LinkAddress implements stack.NetworkLinkEndpoint.
func (e *Endpoint) LinkAddress() tcpip.LinkAddress { return tcpip.LinkAddress(e.config.MAC[:]) }

// SetLinkAddress implements stack.NetworkLinkEndpoint; the device's is the only one.
func (e *Endpoint) SetLinkAddress(tcpip.LinkAddress) {}

// Capabilities implements stack.NetworkLinkEndpoint.
func (e *Endpoint) Capabilities() stack.LinkEndpointCapabilities {
	return stack.CapabilityResolutionRequired
}

// Attach implements stack.NetworkLinkEndpoint.
func (e *Endpoint) Attach(d stack.NetworkDispatcher) {
	if d == nil {
		e.dispatcher.Store(nil)
		return
	}
	e.dispatcher.Store(&dispatcher{d})
}

// IsAttached implements stack.NetworkLinkEndpoint.
func (e *Endpoint) IsAttached() bool { return e.dispatcher.Load() != nil }

// Wait implements stack.NetworkLinkEndpoint. Run belongs to its caller.
func (e *Endpoint) Wait() {}

// ARPHardwareType implements stack.NetworkLinkEndpoint.
func (e *Endpoint) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareEther }

// AddHeader implements stack.NetworkLinkEndpoint.
func (e *Endpoint) AddHeader(packet *stack.PacketBuffer) {
	ethernet := packet.LinkHeader().Push(ethernetHeader)
	copy(ethernet[0:6], packet.EgressRoute.RemoteLinkAddress)
	copy(ethernet[6:12], e.config.MAC[:])
	binary.BigEndian.PutUint16(ethernet[12:], uint16(packet.NetworkProtocolNumber))
}

// ParseHeader implements stack.NetworkLinkEndpoint.
func (e *Endpoint) ParseHeader(packet *stack.PacketBuffer) bool {
	_, ok := packet.LinkHeader().Consume(ethernetHeader)
	return ok
}

// Close implements stack.NetworkLinkEndpoint.
func (e *Endpoint) Close() {}

// SetOnCloseAction implements stack.NetworkLinkEndpoint.
func (e *Endpoint) SetOnCloseAction(func()) {}
