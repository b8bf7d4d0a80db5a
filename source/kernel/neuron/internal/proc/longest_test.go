package proc

import (
	"testing"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/arch"
	"nexus/source/kernel/neuron/internal/wait"
)

// TestLongest: the longest stay in the kernel counts from the first question on, and what a trap idles is no part of it.
func TestLongest(t *testing.T) {
	_, a, h := boot(t)
	watching, longest = false, Stay{}
	trap := func(number, ticks uint64) {
		Enter(h, arch.CauseUserCall, number)
		arch.Host.Time += ticks
		Schedule(h)
		Leave(h)
	}
	trap(1, 500)
	if got := Longest(); got != (Stay{}) {
		t.Errorf("before anybody asked: %+v", got)
	}
	trap(2, 30)
	trap(3, 70)
	trap(4, 50)
	if got, want := Longest(), (Stay{70, arch.CauseUserCall, 3}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	var q wait.Queue
	Later.At, Later.Run = arch.Host.Time+1000, func(now uint64) { Later.At = arch.AlarmNever; q.Notify(abi.EPOLLIN) }
	defer func() { Later.Run = nil }()
	Enter(h, arch.CauseUserCall, 5)
	arch.Host.Time += 20
	a.Block(&q, abi.EPOLLIN)
	Schedule(h) // idles until Later's time
	Leave(h)
	if got, want := Longest(), (Stay{20, arch.CauseUserCall, 5}); got != want {
		t.Errorf("a trap that idled: got %+v, want %+v", got, want)
	}
}
