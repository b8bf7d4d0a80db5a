package frameq

import "sync/atomic"

// counter counts events; it may be read while it grows.
type counter struct{ n atomic.Uint64 }

func (c *counter) add()         { c.n.Add(1) }
func (c *counter) load() uint64 { return c.n.Load() }

// counters are the live form of Stats.
type counters struct {
	rxFrames, txFrames, bells         counter
	jumps, badSlot, notLent, badFrame counter
	full, misuse, bellFailed          counter
}

// Stats is a snapshot of one side's counters. The first three count work, the rest count
// dropped entries by reason.
type Stats struct {
	RxFrames uint64 // frames that went up to the stack
	TxFrames uint64 // frames that went down to the driver
	Bells    uint64 // bells rung

	IndexJumps uint64 // times the other side's producer index claimed more than a queue holds
	BadSlot    uint64 // entries whose slot does not exist or whose reserved bits are set
	NotLent    uint64 // entries that give a slot which this side already owns
	BadFrame   uint64 // entries whose offset or length is no frame within the slot
	Full       uint64 // entries not queued because the other side's index left no room
	Misuse     uint64 // own calls with a slot that the caller does not hold, or a bad length
	BellFailed uint64 // bells that could not be rung
}

func (c *counters) snapshot() Stats {
	return Stats{
		RxFrames:   c.rxFrames.load(),
		TxFrames:   c.txFrames.load(),
		Bells:      c.bells.load(),
		IndexJumps: c.jumps.load(),
		BadSlot:    c.badSlot.load(),
		NotLent:    c.notLent.load(),
		BadFrame:   c.badFrame.load(),
		Full:       c.full.load(),
		Misuse:     c.misuse.load(),
		BellFailed: c.bellFailed.load(),
	}
}
