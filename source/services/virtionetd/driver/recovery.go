package driver

import (
	"errors"

	"nexus/source/libs/frameq"
	"nexus/source/libs/virtio"
)

// configFault handles an error of the device's configuration interrupt.
func (e *engine) configFault(err error) {
	if errors.Is(err, virtio.ErrNotReady) {
		e.count.asked++
		e.recovery.Break()
		return
	}
	e.count.configLost++ // the link's state stays what it was
}

// needsTicks says whether tick must be called, about every second: it bounds how
// long the device may be silent, and how often it is reset.
func (e *engine) needsTicks() bool { return e.recovery.Needed(e.dev.TxPosted() > 0) }

// tick tells the engine that time passed; work must be called after it. Its
// error is fatal.
func (e *engine) tick() error {
	if !e.recovery.Down() {
		e.finish()
	}
	return e.recovery.Tick(e.dev.TxPosted() > 0, e.completed)
}

// reset brings a device that is down up again. Frames that it held are lost
// and counted; nothing else is.
func (e *engine) reset() error {
	if err := e.dev.Reset(); err != nil {
		return err // its memory stays its own: it may not have stopped
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
	return e.dev.Start()
}
