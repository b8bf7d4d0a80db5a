package driver

import (
	"nexus/source/libs/frameq"
	"nexus/source/libs/virtio/netdev"
	"nexus/source/libs/virtio/recovery"
)

const (
	// batch bounds the frames moved in one direction before the other gets its
	// turn, rounds the turns of one call of work.
	batch  = 64
	rounds = 8

	// lentRxMost bounds the receive slots with the stack. The rest keeps receiving
	// for net.capnp's recv, and for the stack once it gives slots back.
	lentRxMost = rxSlots - 32

	// stormLimit is how many interrupts in a row may bring nothing.
	stormLimit = 256
)

// engine moves frames between the device and the stack. It has no clock, no
// goroutine and no lock: whoever calls it owns it, and tells it what happened.
//
// Invariant: where[s] is withDevice exactly while s is posted, withStack exactly
// while it is lent through queue. A slot that is here is in rxIdle, in sendFree
// (or with the sender that took it from there) or, without a stack, unused.
type engine struct {
	dev   *netdev.Device
	pool  []byte
	queue *frameq.Driver // nil: no stack

	where    [frameq.Slots]place
	rxIdle   []frameq.Slot
	rxLent   int
	sendFree chan frameq.Slot // slots for send; a channel, so that senders can wait with a bound
	reserve  int              // places of the transmit ring that are kept for them

	interrupted bool               // work was called for a used-buffer interrupt
	moved       uint64             // frames that came back from the device, ever
	vain        int                // interrupts in a row that brought none
	onFirst     func(n int)        // told the length of the first frame that came by interrupt
	onFrame     func(frame []byte) // shown every frame received; it may not keep it

	recovery  *recovery.Recovery
	completed uint64 // frames sent, ever
	count     counts
}

// counts are the engine's own counters.
type counts struct {
	interrupts uint64 // passes that the device's interrupt began
	storms     uint64 // times the interrupt was left masked for a while
	rxNoStack  uint64 // received frames dropped: nobody attached
	rxLent     uint64 // received frames dropped: the stack holds all slots it may have
	rxRefused  uint64 // received frames dropped: the stack's queue took no more
	txRefused  uint64 // frames of the stack dropped: longer than the MTU allows
	txLost     uint64 // frames with the device when it was reset
	configLost uint64 // configuration changes that could not be read
	asked      uint64 // times the device asked for a reset itself
}

func newEngine(dev *netdev.Device, pool []byte) *engine {
	e := &engine{
		dev:      dev,
		pool:     pool,
		rxIdle:   make([]frameq.Slot, 0, rxSlots),
		sendFree: make(chan frameq.Slot, sendSlots),
		reserve:  min(sendSlots, max(1, dev.TxFree()/4)),
		onFrame:  func([]byte) {},
	}
	e.recovery = recovery.New(e.reset)
	for slot := frameq.Slot(rxSlots); slot > 0; slot-- {
		e.rxIdle = append(e.rxIdle, slot-1)
	}
	for i := range e.reserve {
		e.sendFree <- firstSend + frameq.Slot(i)
	}
	return e
}

// start posts the receive slots and makes the device live.
func (e *engine) start() error {
	e.refill()
	return e.dev.Start()
}

// interrupt serves an interrupt: it acknowledges it at the device first and
// looks at the rings then, so that what happens meanwhile interrupts again. It
// reports false when work must be called again instead of waiting.
func (e *engine) interrupt() (idle bool) {
	e.count.interrupts++
	used, err := e.dev.Interrupt()
	if err != nil {
		e.configFault(err)
	}
	before := e.moved
	e.interrupted = used
	idle = e.work(true)
	e.interrupted = false
	if e.vain++; e.moved != before {
		e.vain = 0
	}
	return idle
}

// storm reports whether the device interrupts again and again for nothing, and
// starts to count anew.
func (e *engine) storm() bool {
	if e.vain < stormLimit {
		return false
	}
	e.vain = 0
	e.count.storms++
	return true
}

// work moves what there is to move. receive says to look at received frames as well; only whoever
// waits for the interrupt asks for that. It reports false when it stopped at
// its bound, and must be called again instead of waiting.
func (e *engine) work(receive bool) (idle bool) {
	if e.recovery.Down() {
		return true
	}
	e.dev.QuietTx()
	if receive {
		e.dev.QuietRx()
	}
	for range rounds {
		e.reclaim() // before receive, which lends only so many
		if receive {
			e.receive()
		}
		e.finish()
		e.transmit()
		e.refill()
		e.dev.Kick()
		if e.queue != nil {
			e.queue.Flush()
		}
		if e.dev.Broken() {
			e.recovery.Break()
			return e.recovery.Down() // up again: look at everything once more
		}
		if e.arm(receive) {
			return true
		}
	}
	return false
}

// arm asks everybody to say when there is more, and then looks again. It
// reports false when there already is.
func (e *engine) arm(receive bool) bool {
	idle := true
	if receive {
		idle = e.dev.ArmRx()
	}
	if e.wantsSent() {
		idle = e.dev.ArmTx() && idle
	}
	if e.queue == nil {
		return idle
	}
	if e.dev.TxFree() > e.reserve {
		idle = e.queue.ArmTx() && idle
	}
	if n := e.wantsReleased(); n > 0 {
		idle = e.queue.ArmRxFree(n) && idle
	}
	return idle
}

// wantsSent says whether to be interrupted when a frame was sent. Mostly sent
// frames are taken back in passing; somebody must be short of slots to be worth it.
func (e *engine) wantsSent() bool {
	posted := e.dev.TxPosted()
	return posted > 0 && (posted >= stackSlots/2 || e.dev.TxFree() <= 2*e.reserve || len(e.sendFree) == 0)
}

// wantsReleased says for how many released slots the stack should ring: none while
// the device has plenty, for then they are taken back in passing.
func (e *engine) wantsReleased() int {
	switch posted := e.dev.RxPosted(); {
	case e.rxLent == 0 || posted >= rxSlots/2:
		return 0
	case posted < rxSlots/8:
		return 1
	default:
		return min(16, e.rxLent)
	}
}

// receive takes frames from the device to the stack.
func (e *engine) receive() {
	for range batch {
		off, n, ok := e.dev.PopRx()
		if !ok {
			return
		}
		slot := slotAt(off)
		e.where[slot] = here
		e.moved++
		if n == 0 || !e.deliver(slot, n) {
			e.rxIdle = append(e.rxIdle, slot)
		}
	}
}

// deliver shows a frame to everybody who wants it and lends it to the stack. It reports false when the
// slot stays here.
func (e *engine) deliver(slot frameq.Slot, n int) bool {
	if e.interrupted && e.onFirst != nil {
		e.onFirst(n)
		e.onFirst = nil
	}
	e.onFrame(e.pool[frameOffset(slot):][:n])
	switch {
	case e.queue == nil:
		e.count.rxNoStack++
		return false
	case e.rxLent >= lentRxMost:
		e.count.rxLent++
		return false
	case !e.queue.DeliverRx(slot, n):
		e.count.rxRefused++
		return false
	}
	e.where[slot] = withStack
	e.rxLent++
	return true
}

// reclaim takes back what the stack released: at most what it was lent.
func (e *engine) reclaim() {
	if e.queue == nil {
		return
	}
	for slot, ok := e.queue.ReclaimRx(); ok; slot, ok = e.queue.ReclaimRx() {
		e.where[slot] = here
		e.rxLent--
		e.rxIdle = append(e.rxIdle, slot)
	}
}

// refill posts every idle slot that the ring has room for.
func (e *engine) refill() {
	for e.dev.RxFree() > 0 && len(e.rxIdle) > 0 {
		slot := e.rxIdle[len(e.rxIdle)-1]
		if e.dev.PostRx(rxOffset(slot)) != nil {
			return // broken: work sees it
		}
		e.rxIdle = e.rxIdle[:len(e.rxIdle)-1]
		e.where[slot] = withDevice
	}
}

// transmit takes frames from the stack to the device while its ring has room.
// Beyond that the stack keeps them: it runs out of slots, which is the back-pressure.
func (e *engine) transmit() {
	if e.queue == nil {
		return
	}
	for range batch {
		if e.dev.TxFree() <= e.reserve {
			return
		}
		slot, n, ok := e.queue.TakeTx()
		if !ok {
			return
		}
		e.where[slot] = here
		if e.post(slot, n) != nil {
			e.count.txRefused++
			e.giveBack(slot)
		}
	}
}

// post hands the frame of n bytes in slot to the device.
func (e *engine) post(slot frameq.Slot, n int) error {
	if err := e.dev.PostTx(frameOffset(slot), n); err != nil {
		return err
	}
	e.where[slot] = withDevice
	return nil
}

// finish takes sent frames' slots back from the device: at most what it was
// given.
func (e *engine) finish() {
	for off, ok := e.dev.PopTx(); ok; off, ok = e.dev.PopTx() {
		slot := slotAt(off)
		e.where[slot] = here
		e.moved++
		e.completed++
		e.giveBack(slot)
	}
}

// giveBack returns a transmit slot to whoever may send with it.
func (e *engine) giveBack(slot frameq.Slot) {
	switch {
	case slot < firstStack:
		e.sendFree <- slot // has room for all of them
	case e.queue != nil && e.queue.CompleteTx(slot):
		e.where[slot] = withStack
	}
}

// attach makes queue the stack's, and takes back what an earlier one still
// had. nil detaches.
func (e *engine) attach(queue *frameq.Driver) {
	e.queue = queue
	for slot := range frameq.Slot(rxSlots) {
		if e.where[slot] == withStack {
			e.where[slot] = here
			e.rxIdle = append(e.rxIdle, slot)
		}
	}
	e.rxLent = 0
	for slot := firstStack; slot < frameq.Slots; slot++ {
		if e.where[slot] == withDevice {
			continue // lent when the device is done with it
		}
		e.where[slot] = here
		e.giveBack(slot)
	}
}
