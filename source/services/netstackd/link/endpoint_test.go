package link_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"sync"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"nexus/source/libs/frameq"
	"nexus/source/services/netstackd/capture"
	"nexus/source/services/netstackd/guard"
	"nexus/source/services/netstackd/link"
)

var (
	ourMAC  = [6]byte{2, 0, 0, 0, 0, 1}
	peerMAC = [6]byte{2, 0, 0, 0, 0, 2}
)

type strangers struct{}

func (strangers) Lookup([4]byte) (guard.State, [6]byte) { return guard.Unknown, [6]byte{} }

// queue is a frame queue that the test fills and empties by hand.
type queue struct {
	mu       sync.Mutex
	rx       [][]byte
	released int
	free     []frameq.Slot
	slots    [frameq.Slots][]byte
	sent     [][]byte
	armed    bool
	flushed  int
}

func (q *queue) Recv() ([]byte, frameq.Slot, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.rx) == 0 {
		return nil, 0, false
	}
	f := q.rx[0]
	q.rx = q.rx[1:]
	return f, 0, true
}

func (q *queue) Release(frameq.Slot) { q.mu.Lock(); q.released++; q.mu.Unlock() }

func (q *queue) ArmRx() bool { q.mu.Lock(); defer q.mu.Unlock(); return len(q.rx) == 0 }

func (q *queue) Alloc() (frameq.Slot, []byte, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.free) == 0 {
		return 0, nil, false
	}
	slot := q.free[0]
	q.free = q.free[1:]
	q.slots[slot] = make([]byte, frameq.MaxFrame)
	return slot, q.slots[slot], true
}

func (q *queue) Send(slot frameq.Slot, n int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sent = append(q.sent, q.slots[slot][:n])
	return true
}

func (q *queue) Cancel(slot frameq.Slot) { q.mu.Lock(); q.free = append(q.free, slot); q.mu.Unlock() }

func (q *queue) ArmTx() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.armed = true
	return len(q.free) == 0
}

func (q *queue) Flush() { q.mu.Lock(); q.flushed++; q.mu.Unlock() }

func (q *queue) Stats() frameq.Stats { return frameq.Stats{} }

// give gives back n slots.
func (q *queue) give(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range n {
		q.free = append(q.free, frameq.Slot(i))
	}
}

func (q *queue) frames() [][]byte { q.mu.Lock(); defer q.mu.Unlock(); return q.sent }

var errClosed = errors.New("closed")

// bell rings when the test says so. asleep is told each time somebody waits.
type bell struct {
	ring   chan struct{}
	asleep chan struct{}
}

func newBell() *bell { return &bell{make(chan struct{}), make(chan struct{})} }

func (b *bell) Sleep(arm func() bool) error {
	if !arm() {
		return nil
	}
	b.asleep <- struct{}{}
	if _, ok := <-b.ring; !ok {
		return errClosed
	}
	return nil
}

// sink is a stack that keeps what it is given.
type sink struct {
	mu      sync.Mutex
	packets [][]byte
	types   []tcpip.PacketType
}

func (s *sink) DeliverNetworkPacket(_ tcpip.NetworkProtocolNumber, p *stack.PacketBuffer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.packets = append(s.packets, p.Data().AsRange().ToSlice())
	s.types = append(s.types, p.PktType)
}

func (s *sink) DeliverLinkPacket(tcpip.NetworkProtocolNumber, *stack.PacketBuffer) {}

type rig struct {
	*link.Endpoint
	queue *queue
	bell  *bell
	sink  *sink
	dhcp  [][]byte
	asked int
	done  chan error
}

// start runs an endpoint with this many transmit slots; it sleeps when start returns.
func start(t *testing.T, slots int) *rig { return startWith(t, slots, nil) }

// startWith is start with a tap.
func startWith(t *testing.T, slots int, tap *capture.Tap) *rig {
	r := &rig{queue: &queue{}, bell: newBell(), sink: &sink{}, done: make(chan error, 1)}
	r.queue.give(slots)
	g := guard.New(ourMAC, strangers{})
	g.SetAddress([4]byte{10, 0, 2, 15}, 24)
	g.SetDHCP(true)
	r.Endpoint = link.New(link.Config{
		MAC: ourMAC, MTU: 1500, Guard: g, Now: func() time.Duration { return 0 },
		OnDHCP:  func(f []byte) { r.dhcp = append(r.dhcp, bytes.Clone(f)) },
		OnAsked: func() { r.asked++ },
		Tap:     tap,
	})
	r.Attach(r.sink)
	go func() { r.done <- r.Run(r.queue, r.bell) }()
	<-r.bell.asleep
	t.Cleanup(func() {
		close(r.bell.ring)
		if err := <-r.done; err != errClosed {
			t.Errorf("Run: %v", err)
		}
	})
	return r
}

// wake rings the bell and waits until the endpoint sleeps again.
func (r *rig) wake() {
	r.bell.ring <- struct{}{}
	<-r.bell.asleep
}

func (r *rig) receive(frames ...[]byte) {
	r.queue.mu.Lock()
	r.queue.rx = append(r.queue.rx, frames...)
	r.queue.mu.Unlock()
	r.wake()
}

func (r *rig) count(name string) (value uint64) {
	r.Each(func(is string, v uint64) {
		if is == name {
			value = v
		}
	})
	return value
}

func udp(dst byte, port byte, payload ...byte) []byte {
	n := byte(28 + len(payload))
	f := append(append(append([]byte{}, ourMAC[:]...), peerMAC[:]...), 8, 0)
	f = append(f, 0x45, 0, 0, n, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 2, 2, 10, 0, 2, dst, 4, 0, 0, port, 0, n-20, 0, 0)
	return append(f, payload...)
}

func TestReceive(t *testing.T) {
	r := start(t, 4)
	frame := udp(15, 7, 1, 2, 3)
	all := bytes.Clone(frame)
	copy(all, []byte{255, 255, 255, 255, 255, 255})
	r.receive(frame, all, udp(15, 68), make([]byte, 60))
	if len(r.sink.packets) != 2 || !bytes.Equal(r.sink.packets[0], frame[14:]) {
		t.Errorf("delivered %x", r.sink.packets)
	}
	if r.sink.types[0] != tcpip.PacketHost || r.sink.types[1] != tcpip.PacketBroadcast {
		t.Errorf("types %v", r.sink.types)
	}
	if len(r.dhcp) != 1 || r.queue.released != 4 || r.count("rx.frames") != 4 {
		t.Errorf("%d for DHCP, %d released, %d counted", len(r.dhcp), r.queue.released, r.count("rx.frames"))
	}
	// What was delivered is a copy: the driver may write to its slot again.
	clear(frame)
	if bytes.Equal(r.sink.packets[0], frame[14:]) {
		t.Error("the stack has the driver's memory")
	}
}

func TestReceiveWithoutStack(t *testing.T) {
	r := start(t, 4)
	r.Attach(nil)
	r.receive(udp(15, 7))
	if r.count("rx.drop.no-interface") != 1 || r.queue.released != 1 {
		t.Error("not counted, or the slot is lost")
	}
}

// TestAnswer: an ARP probe is answered by the guard, through the queue.
func TestAnswer(t *testing.T) {
	r := start(t, 4)
	probe := append(append(bytes.Repeat([]byte{255}, 6), peerMAC[:]...), 8, 6, 0, 1, 8, 0, 6, 4, 0, 1)
	probe = append(append(probe, peerMAC[:]...), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 0, 2, 15)
	r.receive(probe)
	if sent := r.queue.frames(); len(sent) != 1 || len(sent[0]) != 42 || r.asked != 1 || len(r.sink.packets) != 0 {
		t.Errorf("sent %x, asked %d", sent, r.asked)
	}
}

// TestEcho: a ping goes from slot to slot, and the stack does not see it.
func TestEcho(t *testing.T) {
	r := start(t, 1)
	ping := udp(15, 0, make([]byte, 100)...)
	ping[23] = 1
	copy(ping[34:], []byte{8, 0, 0, 0, 0, 1, 0, 1})
	binary.BigEndian.PutUint16(ping[24:], ^checksum.Checksum(ping[14:34], 0))
	binary.BigEndian.PutUint16(ping[36:], ^checksum.Checksum(ping[34:], 0))
	r.receive(ping, ping) // there is one slot
	sent := r.queue.frames()
	if len(sent) != 1 || len(sent[0]) != len(ping) || sent[0][34] != 0 || len(r.sink.packets) != 0 {
		t.Errorf("sent %x, delivered %d", sent, len(r.sink.packets))
	}
	if r.count("rx.echo-answered") != 1 || r.count("tx.drop.queue-full") != 1 || r.queue.flushed == 0 {
		t.Error("not counted, or the driver was not woken")
	}
}

// TestEventBell: no ring that follows arm is lost, however close.
func TestEventBell(t *testing.T) {
	event, err := frameq.NewEventBell()
	if err != nil {
		t.Fatal(err)
	}
	b, err := link.NewBell(event.File())
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Sleep(func() bool { return false }); err != nil {
		t.Fatal(err)
	}
	rung := make(chan struct{}, 1)
	go func() {
		for range rung {
			event.Ring()
		}
	}()
	for i := range 2000 {
		err := b.Sleep(func() bool {
			if i%2 == 0 {
				event.Ring() // before the wait
			} else {
				rung <- struct{}{} // during it, or just before
			}
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	close(rung)
	done := make(chan error)
	go func() { done <- b.Sleep(func() bool { return true }) }()
	event.Close()
	for err == nil {
		select {
		case err = <-done: // a ring that was left over, or the end
			if err == nil {
				go func() { done <- b.Sleep(func() bool { return true }) }()
			}
		case <-time.After(20 * time.Second):
			t.Fatal("a closed bell does not end the wait")
		}
	}
}

// packet is what the stack would send.
func packet(size int, dst byte) stack.PacketBufferList {
	p := stack.NewPacketBuffer(stack.PacketBufferOptions{
		ReserveHeaderBytes: 14 + 20, Payload: buffer.MakeWithData(bytes.Repeat([]byte{0xaa}, size-34)),
	})
	ip := header.IPv4(p.NetworkHeader().Push(20))
	ip.Encode(&header.IPv4Fields{
		TotalLength: uint16(size - 14), TTL: 64, SrcAddr: tcpip.AddrFrom4([4]byte{10, 0, 2, 15}), DstAddr: tcpip.AddrFrom4([4]byte{dst, 0, 2, 2}),
	})
	p.NetworkProtocolNumber = header.IPv4ProtocolNumber
	p.EgressRoute.RemoteLinkAddress = tcpip.LinkAddress(peerMAC[:])
	var list stack.PacketBufferList
	list.PushBack(p)
	return list
}

func (r *rig) send(size int, dst byte) tcpip.Error {
	list := packet(size, dst)
	for _, p := range list.AsSlice() {
		r.AddHeader(p)
	}
	_, err := r.WritePackets(list)
	return err
}

func TestSend(t *testing.T) {
	r := start(t, 4)
	if err := r.send(1514, 10); err != nil {
		t.Fatal(err)
	}
	sent := r.queue.frames()
	if len(sent) != 1 || len(sent[0]) != 1514 {
		t.Fatalf("%d frames", len(sent))
	}
	f := sent[0]
	if [6]byte(f) != peerMAC || [6]byte(f[6:]) != ourMAC || f[12] != 8 || f[13] != 0 || f[14] != 0x45 || f[1513] != 0xaa {
		t.Errorf("frame %x", f[:40])
	}
	if r.queue.flushed == 0 {
		t.Error("the driver was not woken")
	}
}

func TestSendRefusals(t *testing.T) {
	r := start(t, 4)
	if _, ok := r.send(1515, 10).(*tcpip.ErrMessageTooLong); !ok {
		t.Error("a frame beyond the MTU was sent")
	}
	if _, ok := r.send(100, 127).(*tcpip.ErrNetworkUnreachable); !ok {
		t.Error("a packet to loopback was sent")
	}
	if err := r.SendFrame(make([]byte, 13)); err == nil {
		t.Error("half a header was sent")
	}
	if err := r.SendFrame(make([]byte, 1515)); err == nil {
		t.Error("a frame beyond the MTU was sent")
	}
	if len(r.queue.frames()) != 0 || r.count("tx.drop.martian") != 1 || r.count("tx.drop.size") != 3 {
		t.Error("sent, or not counted")
	}
}

// TestFullQueue: packets wait in order, within a bound, and go when slots come back.
func TestFullQueue(t *testing.T) {
	const bound = 128
	r := start(t, 0)
	for i := range bound {
		if err := r.send(100+i, 10); err != nil {
			t.Fatalf("packet %d: %v", i, err)
		}
	}
	if _, ok := r.send(99, 10).(*tcpip.ErrNoBufferSpace); !ok {
		t.Error("no bound")
	}
	if err := r.SendFrame(make([]byte, 60)); err == nil {
		t.Error("no bound for raw frames")
	}
	if len(r.queue.frames()) != 0 || !r.queue.armed || r.count("tx.drop.queue-full") != 2 || r.count("tx.waited") != bound {
		t.Errorf("%d sent, armed %v", len(r.queue.frames()), r.queue.armed)
	}
	for sent := 0; sent < bound; {
		r.queue.give(50)
		r.wake()
		got := r.queue.frames()
		if len(got) != min(sent+50, bound) {
			t.Fatalf("%d sent after %d", len(got), sent)
		}
		sent = len(got)
	}
	for i, f := range r.queue.frames() {
		if len(f) != 100+i {
			t.Fatalf("packet %d has %d bytes: out of order", i, len(f))
		}
	}
}

// TestOrder: a packet does not overtake those that wait.
func TestOrder(t *testing.T) {
	r := start(t, 1)
	for i := range 3 {
		if err := r.send(100+i, 10); err != nil {
			t.Fatal(err)
		}
	}
	r.queue.give(1) // but nobody has rung yet
	if err := r.send(103, 10); err != nil {
		t.Fatal(err)
	}
	r.queue.give(4)
	r.wake()
	for i, f := range r.queue.frames() {
		if len(f) != 100+i {
			t.Fatalf("place %d: %d bytes", i, len(f))
		}
	}
	if len(r.queue.frames()) != 4 {
		t.Errorf("%d sent", len(r.queue.frames()))
	}
}

func TestWithoutDriver(t *testing.T) {
	g := guard.New(ourMAC, strangers{})
	r := &rig{Endpoint: link.New(link.Config{MAC: ourMAC, MTU: 1500, Guard: g}), queue: &queue{}}
	if err := r.send(100, 10); err != nil {
		t.Errorf("as with a cable that is not plugged in, nothing should fail: %v", err)
	}
	if r.count("tx.drop.no-driver") != 1 {
		t.Error("not counted")
	}
	r.Plug(r.queue)
	r.queue.give(1)
	if err := r.send(100, 10); err != nil || len(r.queue.frames()) != 1 {
		t.Errorf("after Plug: %v", err)
	}
}
