package syscall

import (
	"encoding/binary"
	"testing"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/arch"
	"nexus/source/kernel/neuron/internal/proc"
)

const (
	nrFutex, nrClockGettime, nrClockGetres, nrClockNanosleep = 98, 113, 114, 115

	nowhere = 8 // no program has memory there
)

// long is a 64-bit word of the program's memory.
func (p *caller) long(at uint64) uint64 { return binary.LittleEndian.Uint64(p.bytes(at, 8)) }

// timespec stores a struct timespec.
func (p *caller) timespec(s, ns uint64) uint64 {
	return p.put(binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, s), ns)...)
}

// clockAt makes the monotonic clock show s seconds and ns nanoseconds, of which a tick is 100.
func clockAt(s, ns uint64) { arch.Host.Time = (s*second + ns) / 100 }

// TestClockGettime: clock_gettime(2): seconds and nanoseconds of each clock, EINVAL for what is none.
func TestClockGettime(t *testing.T) {
	p := start(t)
	clockAt(1234, 567_890_100)
	proc.SetRealtime(1_700_000_000*second + 5)
	_, before := p.thread.CPU()
	arch.Host.Time += 30_000_000 // 3 s
	for clock, want := range map[uint64][2]uint64{
		clockRealtime: {1_700_000_003, 5}, clockRealtimeCoarse: {1_700_000_003, 5},
		clockMonotonic: {1237, 567_890_100}, clockMonotonicRaw: {1237, 567_890_100}, clockMonotonicCoarse: {1237, 567_890_100},
		clockBoottime: {1237, 567_890_100},
		clockProcess:  {(before*100 + 3*second) / second, before * 100 % second}, clockThread: {(before*100 + 3*second) / second, before * 100 % second},
	} {
		at := p.room(16)
		p.must(nrClockGettime, clock, at)
		if s, ns := p.long(at), p.long(at+8); s != want[0] || ns != want[1] {
			t.Errorf("clock %d: %d.%09d, want %d.%09d", clock, s, ns, want[0], want[1])
		}
	}
	at := p.room(16)
	p.must(nrClockGetres, clockMonotonic, at)
	if s, ns := p.long(at), p.long(at+8); s != 0 || ns != 100 {
		t.Errorf("resolution %d.%09d, want a tick", s, ns)
	}
	p.must(nrClockGetres, clockThread, 0)
	for _, nr := range []int{nrClockGettime, nrClockGetres} {
		p.want(abi.EINVAL, "no clock", nr, 99, at)
		p.want(abi.EINVAL, "a negative clock", nr, 1<<64-1, at)
		p.want(abi.EFAULT, "a time nowhere", nr, clockRealtime, nowhere)
	}
}

// TestSleeps: nanosleep(2), clock_nanosleep(2): none ends early, none much later, and what is over ends at once.
func TestSleeps(t *testing.T) {
	const absolute = 1
	p := start(t)
	clockAt(1000, 0)
	proc.SetRealtime(5000 * second)
	for _, tt := range []struct {
		what   string
		nr     int
		args   []uint64
		s, ns  uint64
		sleeps uint64 // ns
	}{
		{"nanosleep", nrNanosleep, nil, 2, 300, 2*second + 300},
		{"of nothing", nrNanosleep, nil, 0, 0, 0},
		{"just below a second", nrNanosleep, nil, 0, second - 1, second - 1},
		{"clock_nanosleep", nrClockNanosleep, []uint64{clockMonotonic, 0}, 3, 0, 3 * second},
		{"of the wall clock", nrClockNanosleep, []uint64{clockRealtime, 0}, 3, 0, 3 * second},
		{"until a time", nrClockNanosleep, []uint64{clockMonotonic, absolute}, 1007, 0, 7 * second},
		{"until a time of the wall clock", nrClockNanosleep, []uint64{clockRealtime, absolute}, 5009, 100, 9*second + 100},
		{"until the time since boot", nrClockNanosleep, []uint64{clockBoottime, absolute}, 1001, 0, second},
		{"until now", nrClockNanosleep, []uint64{clockMonotonic, absolute}, 1000, 0, 0},
		{"until a time that is past", nrClockNanosleep, []uint64{clockMonotonic, absolute}, 7, 0, 0},
	} {
		clockAt(1000, 0)
		began := proc.Now()
		v, err, blocked := p.call(tt.nr, append(tt.args, p.timespec(tt.s, tt.ns), 0)...)
		if blocked != (tt.sleeps > 0) {
			t.Fatalf("%s: asleep %v", tt.what, blocked)
		}
		if blocked {
			// The call is complete when it is woken.
			if proc.Schedule(p.hart) != &p.thread.Context {
				t.Fatal("another thread")
			}
			v = int64(p.thread.X[arch.A0])
		}
		slept := proc.Now() - began
		if v != 0 || err != abi.OK || slept < tt.sleeps || slept > tt.sleeps+200 {
			t.Errorf("%s: %d, %v after %d ns, want %d", tt.what, v, err, slept, tt.sleeps)
		}
	}
	for _, tt := range []struct {
		what string
		at   uint64
		want abi.Errno
	}{
		{"a whole second of nanoseconds", p.timespec(0, second), abi.EINVAL},
		{"negative nanoseconds", p.timespec(0, 1<<64-1), abi.EINVAL},
		{"negative seconds", p.timespec(1<<64-1, 0), abi.EINVAL},
		{"nowhere", nowhere, abi.EFAULT},
		{"no time", 0, abi.EFAULT},
	} {
		p.want(tt.want, tt.what, nrNanosleep, tt.at, 0)
		p.want(tt.want, tt.what, nrClockNanosleep, clockMonotonic, 0, tt.at, 0)
		p.want(tt.want, tt.what, nrClockNanosleep, clockMonotonic, absolute, tt.at, 0)
	}
	// An age, which must not be a sum that overflows, and a time whose rest nobody is told.
	left := p.room(16)
	for _, flags := range []uint64{0, absolute} {
		if _, _, blocked := p.call(nrClockNanosleep, clockMonotonic, flags, p.timespec(1<<62, 0), left); !blocked {
			t.Fatal("an age is over")
		}
		p.handled()
		if got := p.leaveHandler(); got != -int64(abi.EINTR) || (p.long(left) == 0) != (flags == absolute) {
			t.Errorf("flags %d: %d, %d s remain", flags, got, p.long(left))
		}
		p.thread.Memory().Store(left, make([]byte, 16))
	}
}

// TestFutexWords: futex(2): a wait is for a word that has the value, and its errors.
func TestFutexWords(t *testing.T) {
	p := start(t)
	word := p.put(7, 0, 0, 0, 9, 0, 0, 0)
	p.want(abi.EAGAIN, "another value", nrFutex, word, futexWait, 8, 0)
	p.want(abi.EAGAIN, "another value, with a time", nrFutex, word, futexWait|futexPrivate, 8, p.timespec(1, 0))
	p.want(abi.EINVAL, "a word that is not aligned", nrFutex, word+2, futexWait, 7, 0)
	p.want(abi.EINVAL, "a word that is not aligned", nrFutex, word+1, futexWake, 1)
	p.want(abi.EFAULT, "a word nowhere", nrFutex, nowhere, futexWait, 7, 0)
	p.want(abi.EFAULT, "a private word nowhere", nrFutex, nowhere, futexWait|futexPrivate, 7, 0)
	p.want(abi.EFAULT, "a shared word nowhere to wake", nrFutex, nowhere, futexWake, 1)
	p.want(abi.EINVAL, "no bits", nrFutex, word, futexWaitBitset, 7, 0, 0, 0)
	p.want(abi.EINVAL, "no bits to wake", nrFutex, word, futexWakeBitset, 1, 0, 0, 0)
	p.want(abi.ENOSYS, "some bits", nrFutex, word, futexWaitBitset, 7, 0, 0, 1)
	p.want(abi.ENOSYS, "requeue", nrFutex, word, 3, 1, 0, word, 0)
	p.want(abi.EINVAL, "a time that is none", nrFutex, word, futexWait, 7, p.timespec(0, second))
	p.want(abi.EFAULT, "a time nowhere", nrFutex, word, futexWait, 7, nowhere)
	if n := p.must(nrFutex, word, futexWake, 1); n != 0 {
		t.Errorf("woke %d where nobody waits", n)
	}
	if n := p.must(nrFutex, word, futexWakeBitset|futexPrivate, 1, 0, 0, futexAll); n != 0 {
		t.Errorf("woke %d where nobody waits", n)
	}
}

// TestFutexTimes: a wait's time is from now, that of WAIT_BITSET is a point of the monotonic or the wall clock.
func TestFutexTimes(t *testing.T) {
	p := start(t)
	clockAt(1000, 0)
	proc.SetRealtime(5000 * second)
	word := p.put(7, 0, 0, 0)
	for _, tt := range []struct {
		what  string
		op    uint64
		s     uint64
		takes uint64
	}{
		{"from now", futexWait, 2, 2 * second},
		{"from now, private", futexWait | futexPrivate, 2, 2 * second},
		{"until a time", futexWaitBitset, 1003, 3 * second},
		{"until a time of the wall clock", futexWaitBitset | futexRealtime, 5004, 4 * second},
		{"until a time that is past", futexWaitBitset | futexPrivate, 999, 0},
		{"until now", futexWaitBitset, 1000, 0},
		{"no time at all", futexWait, 0, 0},
	} {
		clockAt(1000, 0)
		began := proc.Now()
		_, err, blocked := p.call(nrFutex, word, tt.op, 7, p.timespec(tt.s, 0), 0, futexAll)
		if blocked {
			_, err, blocked = p.woken()
		}
		if took := proc.Now() - began; blocked || err != abi.ETIMEDOUT || took < tt.takes || took > tt.takes+200 {
			t.Errorf("%s: %v after %d ns, asleep %v, want ETIMEDOUT after %d", tt.what, err, took, blocked, tt.takes)
		}
	}
}

// TestFutexWakes: who waits is woken by its own word alone, private or shared as it waits, and a wake of none wakes one, as on Linux.
func TestFutexWakes(t *testing.T) {
	p := start(t)
	word := p.put(7, 0, 0, 0, 7, 0, 0, 0)
	waiter := func(op uint64) *caller {
		o := p.second()
		o.thread.Start()
		o.thread.X[arch.PC] = 0x2000
		for proc.Schedule(p.hart) != &o.thread.Context {
			p.thread.Yield()
		}
		if _, _, blocked := o.call(nrFutex, word, op, 7, 0, 0, futexAll); !blocked {
			t.Fatal("does not wait")
		}
		proc.Schedule(p.hart)
		return o
	}
	for _, kind := range []uint64{0, futexPrivate} {
		var all []*caller
		for _, op := range []uint64{futexWait, futexWaitBitset, futexWait, futexWait} {
			all = append(all, waiter(op|kind))
		}
		wake := func(at, op, n uint64, want int64) {
			t.Helper()
			if got := p.must(nrFutex, at, op|kind, n, 0, 0, futexAll); got != want {
				t.Errorf("kind %d: woke %d, want %d", kind, got, want)
			}
		}
		wake(word+4, futexWake, 9, 0)
		wake(word, futexWake, 1, 1)
		wake(word, futexWakeBitset, 1, 1)
		wake(word, futexWake, 0, 1)
		wake(word, futexWake, 9, 1)
		wake(word, futexWake, 9, 0)
		for i, o := range all {
			if got := int64(o.thread.X[arch.A0]); got != 0 || o.thread.X[arch.PC] != 0x2004 {
				t.Errorf("waiter %d: %d at %#x, want 0", i, got, o.thread.X[arch.PC])
			}
			o.thread.Exit(0)
		}
	}
}
