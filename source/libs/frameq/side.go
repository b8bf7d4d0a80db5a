package frameq

import "sync/atomic"

// Bell wakes the other side. Ring must not block; an eventfd's counter that is
// already non-zero is a bell that rings.
type Bell interface {
	Ring() error
}

// owner says who holds a slot, as this side believes it.
type owner = uint32

// A slot lent for one direction must come back through the same one, so that
// the other side cannot drain the receive slots through the transmit queue.
const (
	driverHas owner = iota // the driver; where every slot begins
	stackRx                // the stack, lent with a received frame
	stackTx                // the stack, lent to send with
)

// side is what driver and stack have in common. The halves (receive and transmit) may
// run in two goroutines; owners is atomic because a hostile other side can
// name one slot in both.
type side struct {
	pool   []byte
	owners [Slots]atomic.Uint32
	bell   Bell
	count  counters
}

func (s *side) frame(slot Slot, offset, length int) []byte {
	start := int(slot)*SlotSize + offset
	return s.pool[start : start+length : start+length]
}

// accept takes over the slot that e names, if e is sound and the slot was lent.
func (s *side) accept(e entry, from, to owner) bool {
	if e.slot() >= Slots || e.reserved() != 0 {
		s.count.badSlot.add()
		return false
	}
	if !s.owners[e.slot()].CompareAndSwap(from, to) {
		s.count.notLent.add()
		return false
	}
	return true
}

// give hands a slot to the other side through p. On failure the slot stays
// with this side.
func (s *side) give(p *producer, slot Slot, from, to owner, length int) bool {
	if slot >= Slots || length < 0 || length > MaxFrame || !s.owners[slot].CompareAndSwap(from, to) {
		s.count.misuse.add()
		return false
	}
	// Ownership changes before the entry is visible: the other side may give the
	// slot back at once.
	if !p.push(makeEntry(slot, FrameOffset, length)) {
		s.owners[slot].Store(from)
		s.count.full.add()
		return false
	}
	return true
}

// frameOf gives the frame that e describes, or false when e describes none.
func (s *side) frameOf(e entry) ([]byte, bool) {
	if e.length() < MinFrame || e.offset()+e.length() > SlotSize {
		return nil, false
	}
	return s.frame(e.slot(), e.offset(), e.length()), true
}

func (s *side) ring() {
	if err := s.bell.Ring(); err != nil {
		s.count.bellFailed.add()
		return
	}
	s.count.bells.add()
}
