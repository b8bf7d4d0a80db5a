// Package recovery says when a driver resets a device that misbehaves: at once when it breaks, but at most once a
// tick, so that one which breaks again and again does not keep the processor; after it has been silent for too long;
// and no more after so many failures.
//
// It has no clock and no lock: its owner calls Tick about every second as long as Needed says so.
package recovery

import "errors"

const (
	// StuckTicks is how many ticks a device may hold what it was given without
	// completing any of it.
	StuckTicks = 5
	// MaxFailures is how many resets may fail in a row before the driver gives up.
	MaxFailures = 10
)

// ErrDevice: the device cannot be brought up again.
var ErrDevice = errors.New("device does not come back after a reset: restart the machine, or replace the device")

// Recovery is what a driver knows of a device that misbehaves.
type Recovery struct {
	reset    func() error // brings the device up again, live
	down     bool         // not live; the next tick tries a reset
	worn     bool         // no tick has passed since the last reset
	atTick   uint64       // completed at the last tick
	silent   int          // ticks without one
	failures int          // resets in a row that failed
	stats    Stats
}

// Stats counts what happened since New.
type Stats struct {
	Stuck  uint64 // times the device was silent for too long
	Failed uint64 // resets that failed
}

// New makes a Recovery of a device that is live. reset resets it and makes it
// live again; after an error the device is not live, and may be reset again.
func New(reset func() error) *Recovery { return &Recovery{reset: reset} }

// Down reports whether the device is out of service.
func (r *Recovery) Down() bool { return r.down }

// Rested reports whether the device is in service and a break would reset it at once.
func (r *Recovery) Rested() bool { return !r.down && !r.worn }

// Stats gives the counters.
func (r *Recovery) Stats() Stats { return r.stats }

// Break takes the device out of service and resets it, at once when the last
// reset was more than a tick ago, else at the next one.
func (r *Recovery) Break() {
	r.down = true
	if !r.worn {
		r.again()
	}
}

// Needed says whether Tick must be called; busy: the device holds something that it must complete.
func (r *Recovery) Needed(busy bool) bool { return r.down || r.worn || busy }

// Tick tells that time passed. completed is how much the device has completed, ever. Error: ErrDevice; the driver
// ends then.
func (r *Recovery) Tick(busy bool, completed uint64) error {
	r.worn = false
	if r.down {
		r.again()
		if r.failures >= MaxFailures {
			return ErrDevice
		}
		return nil
	}
	if !busy || completed != r.atTick {
		r.atTick, r.silent = completed, 0
		return nil
	}
	if r.silent++; r.silent >= StuckTicks {
		r.stats.Stuck++
		r.Break()
	}
	return nil
}

// again tries one reset.
func (r *Recovery) again() {
	r.worn = true
	if r.reset() != nil {
		r.failures++
		r.stats.Failed++
		return
	}
	r.down, r.failures, r.silent = false, 0, 0
}
