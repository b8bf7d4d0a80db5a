package driver

import (
	"errors"

	"nexus/source/libs/frameq"
	"nexus/source/libs/virtio"
)

// Time passes in ticks, which come while something is with the device or the
// device is down. They bound how long a device may be silent, and how often it is
// reset.
const (
	// stuckTicks is how many ticks the device may hold frames to send without
	// completing one.
	stuckTicks = 5
	// resetFailures is how many resets may fail in a row before the driver
	// gives up.
	resetFailures = 10
)

// ErrDevice: the device cannot be brought up again.
var ErrDevice = errors.New("device does not come back after a reset: restart the machine, or replace its network device")

// recovery is what the engine knows of a device that misbehaves.
type recovery struct {
	down      bool   // not live; the next tick tries a reset
	rested    bool   // a tick has passed since the last reset
	completed uint64 // frames sent, ever
	atTick    uint64 // completed at the last tick
	silent    int    // ticks without one
	failures  int    // resets in a row that failed
	stuck     uint64 // times the device was silent for too long
	asked     uint64 // times it asked for a reset itself
	failed    uint64 // resets that failed
}

// breakDown takes the device out of service and resets it, at once when
// the last reset was more than a tick ago, else at the next one: a device that
// breaks again and again does not keep the processor.
func (e *engine) breakDown() {
	e.recovery.down = true
	if e.recovery.rested {
		e.reset()
	}
}

// configFault handles an error of the device's configuration interrupt.
func (e *engine) configFault(err error) {
	if errors.Is(err, virtio.ErrNotReady) {
		e.recovery.asked++
		e.breakDown()
		return
	}
	e.count.configLost++ // the link's state stays what it was
}

// needsTicks says whether tick must be called.
func (e *engine) needsTicks() bool {
	return e.recovery.down || !e.recovery.rested || e.dev.TxPosted() > 0
}

// tick tells the engine that time passed; work must be called after it. Its
// error is fatal.
func (e *engine) tick() error {
	r := &e.recovery
	r.rested = true
	if r.down {
		e.reset()
		if r.failures >= resetFailures {
			return ErrDevice
		}
		return nil
	}
	e.finish()
	if e.dev.TxPosted() == 0 || r.completed != r.atTick {
		r.atTick, r.silent = r.completed, 0
		return nil
	}
	if r.silent++; r.silent >= stuckTicks {
		r.stuck++
		e.breakDown()
	}
	return nil
}

// reset brings a device that is down up again. Frames that it held are lost
// and counted; nothing else is.
func (e *engine) reset() {
	r := &e.recovery
	r.rested = false
	if err := e.dev.Reset(); err != nil {
		// Its memory stays its own: it may not have stopped.
		r.failures++
		r.failed++
		return
	}
	for slot := range frameq.Slot(frameq.Slots) {
		if e.where[slot] != withDevice {
			continue
		}
		e.where[slot] = here
		if slot < rxSlots {
			e.rxIdle = append(e.rxIdle, slot)
			continue
		}
		e.count.txLost++
		e.giveBack(slot)
	}
	e.refill()
	if err := e.dev.Start(); err != nil {
		r.failures++
		r.failed++
		return
	}
	r.down, r.failures, r.silent, r.atTick = false, 0, 0, r.completed
}
