package frameq

// Stack is the network stack's end of the frame queue.
//
// Recv, Release and ArmRx belong to the receiving half, Alloc, Send, Cancel
// and ArmTx to the transmitting half. Within a half one goroutine may call
// at a time; the two halves, Flush and Stats may run at the same time.
type Stack struct {
	side
	rxFilled consumer
	rxFree   producer
	txFilled producer
	txFree   consumer
}

// Attach joins the queue that a driver made with Create. pool is the mapped frame
// memory (PoolSize bytes), queue the mapped queue memory (QueueSize bytes), bell rings the
// driver (txbell). Both mappings must outlive the Stack. A queue memory may be
// attached once in its life; ask the driver for a new one after that.
//
// Errors: ErrPoolSize, ErrQueueSize, ErrAlign, ErrMagic.
func Attach(pool, queue []byte, bell Bell) (*Stack, error) {
	if err := checkMemory(pool, queue); err != nil {
		return nil, err
	}
	if word64(queue, 0).Load() != queueMagic {
		return nil, ErrMagic
	}
	s := &Stack{
		side:     side{pool: pool, bell: bell},
		rxFilled: consumer{ring: ringOf(queue, rxFilled)},
		rxFree:   producer{ring: ringOf(queue, rxFree)},
		txFilled: producer{ring: ringOf(queue, txFilled)},
		txFree:   consumer{ring: ringOf(queue, txFree)},
	}
	return s, nil
}

// Recv takes the next received frame: an Ethernet frame of MinFrame to
// SlotSize bytes, without frame check sequence. It reports false when none is
// there. The frame is the caller's until Release(slot), in any order; until then the
// driver has one slot fewer to receive into.
func (s *Stack) Recv() (frame []byte, slot Slot, ok bool) {
	// A bad entry is skipped; the bound keeps a flood of them from holding the caller.
	for range Slots {
		e, ok := s.rxFilled.pop(&s.count.jumps)
		if !ok {
			return nil, 0, false
		}
		if !s.accept(e, driverHas, stackRx) {
			continue
		}
		frame, ok := s.frameOf(e)
		if !ok {
			s.count.badFrame.add()
			s.Release(e.slot())
			continue
		}
		s.count.rxFrames.add()
		return frame, e.slot(), true
	}
	return nil, 0, false
}

// Release gives a slot from Recv back to the driver. The frame must not be
// touched any more. A slot that is not held is counted in Stats.Misuse.
func (s *Stack) Release(slot Slot) {
	s.give(&s.rxFree, slot, stackRx, driverHas, 0)
}

// Alloc takes a free slot to build a frame in: buf is the place of the frame,
// MaxFrame bytes, with undefined content. It reports false when the driver holds all
// transmit slots: keep the packet back, ArmTx, and go on when rxbell rings.
// The slot must go to Send or Cancel.
func (s *Stack) Alloc() (slot Slot, buf []byte, ok bool) {
	for range Slots {
		e, ok := s.txFree.pop(&s.count.jumps)
		if !ok {
			return 0, nil, false
		}
		if s.accept(e, driverHas, stackTx) {
			return e.slot(), s.frame(e.slot(), FrameOffset, MaxFrame), true
		}
	}
	return 0, nil, false
}

// Send hands the first n bytes of the slot's buffer to the driver as one frame, MinFrame to
// MaxFrame bytes. It reports false, and counts why, when n is out of these bounds,
// the slot is not held, or the driver's index left no room; the slot then stays with the caller.
// Call Flush after the last frame of a batch.
func (s *Stack) Send(slot Slot, n int) bool {
	if n < MinFrame {
		s.count.misuse.add()
		return false
	}
	if !s.give(&s.txFilled, slot, stackTx, driverHas, n) {
		return false
	}
	s.count.txFrames.add()
	return true
}

// Cancel gives a slot from Alloc back unsent.
func (s *Stack) Cancel(slot Slot) {
	// A length of 0 is how the driver is told to return the slot without sending.
	s.give(&s.txFilled, slot, stackTx, driverHas, 0)
}

// Flush rings txbell if the driver sleeps and there is something for it.
func (s *Stack) Flush() {
	tx := s.txFilled.takeWake()
	rx := s.rxFree.takeWake()
	if tx || rx {
		s.side.ring()
	}
}

// ArmRx asks for a ring of rxbell when the next frame comes in. It reports
// false when frames are already there: call Recv again instead of sleeping.
func (s *Stack) ArmRx() bool { return s.rxFilled.arm(1, &s.count.jumps) }

// ArmTx asks for a ring of rxbell when a transmit slot comes back. It reports
// false when one is already there: call Alloc again instead of sleeping.
func (s *Stack) ArmTx() bool { return s.txFree.arm(1, &s.count.jumps) }

// Stats gives this side's counters.
func (s *Stack) Stats() Stats { return s.count.snapshot() }
