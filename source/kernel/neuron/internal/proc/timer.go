package proc

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/arch"
)

// The timer heap holds the sleeping threads that have a deadline, the earliest first.
var (
	heap     [MaxThreads]*Thread
	heapSize int
)

// Later is what another package has to do at a time of its own: Run is called at tick At or soon after, and sets At anew.
var Later = struct {
	At  uint64
	Run func(now uint64)
}{At: arch.AlarmNever}

// tickNS is the length of a tick, in nanoseconds; realtime what the wall clock is ahead of the monotonic one.
var (
	tickNS   uint64 = 100
	realtime uint64
)

// SetFrequency takes the timebase of the device tree.
func SetFrequency(hz uint64) {
	tickNS = 1_000_000_000 / hz
	slice = hz / 100
}

// Ticks is a time in nanoseconds as ticks, rounded up and bounded so that sums cannot overflow.
func Ticks(ns uint64) uint64 { return min(ns, 1<<62)/tickNS + 1 }

// Now is the monotonic clock in nanoseconds.
func Now() uint64 { return Nanoseconds(arch.ReadTime()) }

// SetRealtime says what the wall clock shows now, in nanoseconds since 1970, and returns how far it is ahead of Now.
func SetRealtime(ns uint64) uint64 {
	realtime = ns - Now()
	return realtime
}

// Realtime is the wall clock in nanoseconds since 1970, RealtimeAt what it was at a tick.
func Realtime() uint64 { return RealtimeAt(arch.ReadTime()) }

func RealtimeAt(ticks uint64) uint64 { return Nanoseconds(ticks) + realtime }

// Nanoseconds is a number of ticks as a time.
func Nanoseconds(ticks uint64) uint64 { return ticks * tickNS }

func (t *Thread) time() {
	if t.heapPlace != 0 {
		return
	}
	heap[heapSize] = t
	heapSize++
	t.heapPlace = heapSize
	up(heapSize - 1)
}

func (t *Thread) untime() {
	if t.heapPlace == 0 {
		return
	}
	i := t.heapPlace - 1
	t.heapPlace = 0
	heapSize--
	last := heap[heapSize]
	heap[heapSize] = nil
	if i == heapSize {
		return
	}
	put(i, last)
	up(i)
	down(i)
}

func put(i int, t *Thread) {
	heap[i] = t
	t.heapPlace = i + 1
}

func up(i int) {
	t := heap[i]
	for i > 0 {
		parent := (i - 1) / 2
		if heap[parent].deadline <= t.deadline {
			break
		}
		put(i, heap[parent])
		i = parent
	}
	put(i, t)
}

func down(i int) {
	t := heap[i]
	for {
		child := 2*i + 1
		if child >= heapSize {
			break
		}
		if child+1 < heapSize && heap[child+1].deadline < heap[child].deadline {
			child++
		}
		if t.deadline <= heap[child].deadline {
			break
		}
		put(i, heap[child])
		i = child
	}
	put(i, t)
}

// due is the tick at which something is to be done next.
func due() uint64 {
	if heapSize > 0 {
		return min(heap[0].deadline, Later.At)
	}
	return Later.At
}

// expire wakes whose deadline has passed.
func expire(now uint64) {
	if Later.At <= now {
		Later.Run(now)
	}
	for heapSize > 0 && heap[0].deadline <= now {
		t := heap[0]
		if t.phase == onTime {
			t.Finish(0, abi.OK)
		} else {
			t.wake(again)
		}
	}
}
