package proc

import "nexus/source/kernel/neuron/internal/arch"

// A Stay is a time that the kernel kept a hart in one trap, without what it idled: how long, why, and for which system call.
type Stay struct {
	Ticks, Cause, Number uint64
}

var (
	longest Stay
	// watching: nobody pays for two looks at the clock a trap until somebody has asked.
	watching bool
)

// Longest is the longest stay since it was last asked for; the first time it is none.
func Longest() Stay {
	s := longest
	longest, watching = Stay{}, true
	return s
}

// Enter is the begin of a trap, number what the thread has in the register of system calls' numbers.
func Enter(ah *arch.Hart, cause, number uint64) {
	if watching {
		h := hartOf(ah)
		h.entered, h.stay = arch.ReadTime(), Stay{Cause: cause, Number: number}
	}
}

// Leave is its end.
func Leave(ah *arch.Hart) { hartOf(ah).leave() }

func (h *Hart) leave() {
	if watching {
		h.stayed()
	}
}

func (h *Hart) stayed() {
	if h.entered == 0 {
		return
	}
	h.stay.Ticks = arch.ReadTime() - h.entered
	h.entered = 0
	if h.stay.Ticks > longest.Ticks {
		longest = h.stay
	}
}

// resume is where a trap goes on that has idled: what was due then is a stay of its own.
func (h *Hart) resume() {
	if watching {
		h.entered, h.stay = arch.ReadTime(), Stay{Cause: arch.CauseTimer}
	}
}
