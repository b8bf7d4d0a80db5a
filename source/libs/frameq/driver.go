package frameq

// Driver is the network driver's end of the frame queue. In the beginning it
// owns every slot. One goroutine may call its methods at a time; Stats may be
// called at any time.
type Driver struct {
	side
	rxFilled producer
	rxFree   consumer
	txFilled consumer
	txFree   producer
}

// Create makes a new, empty queue in queue (QueueSize bytes, mapped shared) over the frame memory
// pool (PoolSize bytes, mapped shared). bell rings the stack (rxbell). Lend
// transmit slots with CompleteTx afterwards. Both mappings must outlive the Driver.
//
// Errors: ErrPoolSize, ErrQueueSize, ErrAlign.
func Create(pool, queue []byte, bell Bell) (*Driver, error) {
	if err := checkMemory(pool, queue); err != nil {
		return nil, err
	}
	clear(queue)
	d := &Driver{
		side:     side{pool: pool, bell: bell},
		rxFilled: producer{ring: ringOf(queue, rxFilled)},
		rxFree:   consumer{ring: ringOf(queue, rxFree)},
		txFilled: consumer{ring: ringOf(queue, txFilled)},
		txFree:   producer{ring: ringOf(queue, txFree)},
	}
	word64(queue, 0).Store(queueMagic)
	return d, nil
}

// DeliverRx hands the frame of n bytes at FrameOffset of slot to the stack. It
// reports false, and the driver keeps the slot, when the driver does not own the slot, n is no
// frame's length, or the stack's index left no room. Call Flush after a batch.
func (d *Driver) DeliverRx(slot Slot, n int) bool {
	if n < MinFrame {
		d.count.misuse.add()
		return false
	}
	if !d.give(&d.rxFilled, slot, driverHas, stackRx, n) {
		return false
	}
	d.count.rxFrames.add()
	return true
}

// ReclaimRx takes back one slot that the stack has released.
func (d *Driver) ReclaimRx() (slot Slot, ok bool) {
	for range Slots {
		e, ok := d.rxFree.pop(&d.count.jumps)
		if !ok {
			return 0, false
		}
		if d.accept(e, stackRx, driverHas) {
			return e.slot(), true
		}
	}
	return 0, false
}

// TakeTx takes the next frame to send: n bytes (MinFrame to MaxFrame) at
// FrameOffset of slot. Entries that describe no frame go straight back to the
// stack. The slot is the driver's until CompleteTx.
func (d *Driver) TakeTx() (slot Slot, n int, ok bool) {
	for range Slots {
		e, ok := d.txFilled.pop(&d.count.jumps)
		if !ok {
			return 0, 0, false
		}
		if !d.accept(e, stackTx, driverHas) {
			continue
		}
		if e.length() == 0 { // Stack.Cancel
			d.CompleteTx(e.slot())
			continue
		}
		if e.offset() != FrameOffset || e.length() < MinFrame || e.length() > MaxFrame {
			d.count.badFrame.add()
			d.CompleteTx(e.slot())
			continue
		}
		d.count.txFrames.add()
		return e.slot(), e.length(), true
	}
	return 0, 0, false
}

// CompleteTx lends slot to the stack for sending: a slot from TakeTx whose
// frame is sent, or in the beginning any slot of the driver's. It reports false, and
// the driver keeps the slot, when the driver does not own it or the stack's index left no room.
// Call Flush after a batch.
func (d *Driver) CompleteTx(slot Slot) bool {
	return d.give(&d.txFree, slot, driverHas, stackTx, 0)
}

// Flush rings rxbell if the stack sleeps and there is something for it.
func (d *Driver) Flush() {
	rx := d.rxFilled.takeWake()
	tx := d.txFree.takeWake()
	if rx || tx {
		d.side.ring()
	}
}

// ArmTx asks for a ring of txbell when the next frame to send is there. It
// reports false when one already is.
func (d *Driver) ArmTx() bool { return d.txFilled.arm(1, &d.count.jumps) }

// ArmRxFree asks for a ring of txbell when n released slots wait. It reports
// false when they already do.
func (d *Driver) ArmRxFree(n int) bool { return d.rxFree.arm(n, &d.count.jumps) }

// Stats gives this side's counters.
func (d *Driver) Stats() Stats { return d.count.snapshot() }
