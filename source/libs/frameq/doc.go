// Package frameq is the shared-memory frame queue between a network driver
// (virtionetd) and a network stack (netstackd).
//
// Two pieces of memory are mapped by both sides:
//
//   - the frame pool, PoolSize bytes of DMA memory: Slots slots of SlotSize
//     bytes. A frame lies at FrameOffset in its slot, so the bytes before it
//     are free for a device header and the IP header behind a 14-byte Ethernet
//     header starts at byte 32 of the slot;
//   - the queue memory, QueueSize bytes of memfd: four single-producer
//     single-consumer index queues. No frame byte is ever copied into it.
//
// Two eventfds are the doorbells: rxbell wakes the stack, txbell wakes the
// driver. A bell is rung only when the other side said that it sleeps.
//
// # Ownership
//
// Each slot belongs to one side at a time and each side keeps its own private
// record of that. In the beginning every slot is the driver's. The four verbs
// move them:
//
//	verb         queue      producer            consumer
//	rx return    rx-filled  Driver.DeliverRx    Stack.Recv
//	rx provide   rx-free    Stack.Release       Driver.ReclaimRx
//	tx provide   tx-filled  Stack.Send          Driver.TakeTx
//	tx return    tx-free    Driver.CompleteTx   Stack.Alloc
//
// A stack that attaches anew (after a restart of either side) gets a new queue
// memory; the driver calls Create again and lends only those slots that the
// device does not hold.
//
// # The other side is hostile
//
// Nothing that the other side can write is trusted: indices, slot numbers,
// offsets, lengths and the wake-up word are read once, checked against the private
// record, and an entry that fails is consumed, counted by reason in Stats and
// skipped. A queue holds as many entries as there are slots, so between honest
// sides no queue is ever full. Frame bytes may change while they are being
// read: parse a header once, from a copy where it matters.
//
// # Sleeping
//
// Both sides sleep the same way, and no wake-up is lost because every access
// to a shared word is sequentially consistent:
//
//	for {
//		for frame, slot, ok := stack.Recv(); ok; frame, slot, ok = stack.Recv() {
//			input(frame)
//			stack.Release(slot)
//		}
//		stack.Flush()       // ring txbell if the driver sleeps
//		if stack.ArmRx() {  // false: a frame came in meanwhile
//			waitFor(rxbell)
//		}
//	}
//
// Nothing here allocates after Create and Attach, blocks, or spins.
package frameq

// Geometry of the pool and of the queue memory. Both sides are built with the
// same numbers; the magic number in the queue memory changes when they do.
const (
	SlotSize    = 2048                   // bytes of a slot
	Slots       = 512                    // slots in the pool
	PoolSize    = Slots * SlotSize       // bytes of the frame pool
	FrameOffset = 18                     // bytes from the slot's start to the frame's
	MaxFrame    = SlotSize - FrameOffset // longest frame, in bytes
	MinFrame    = 14                     // shortest frame: an Ethernet header
	QueueSize   = controlSize + 4*ringSize
)

// Names of the descriptors that net.capnp's attach hands over, in this order.
const (
	FramesName = "frames" // DMA memory of PoolSize bytes
	QueueName  = "queue"  // memfd of QueueSize bytes
	RxBellName = "rxbell" // eventfd, rung by the driver, read by the stack
	TxBellName = "txbell" // eventfd, rung by the stack, read by the driver
)

// Slot names one slot of the frame pool: 0 to Slots-1.
type Slot uint16
