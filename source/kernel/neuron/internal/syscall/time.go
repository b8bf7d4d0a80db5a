package syscall

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/proc"
	"nexus/source/kernel/neuron/internal/user"
)

// Clocks (uapi/linux/time.h).
const (
	clockRealtime        = 0
	clockMonotonic       = 1
	clockProcess         = 2
	clockThread          = 3
	clockMonotonicRaw    = 4
	clockRealtimeCoarse  = 5
	clockMonotonicCoarse = 6
	clockBoottime        = 7
)

const second = 1_000_000_000

// clock is what clock id shows, in nanoseconds.
func clock(t *proc.Thread, id int) (uint64, abi.Errno) {
	switch id {
	case clockRealtime, clockRealtimeCoarse:
		return proc.Realtime(), abi.OK
	case clockMonotonic, clockMonotonicRaw, clockMonotonicCoarse, clockBoottime:
		return proc.Now(), abi.OK
	case clockProcess:
		_, all := t.CPU()
		return proc.Nanoseconds(all), abi.OK
	case clockThread:
		own, _ := t.CPU()
		return proc.Nanoseconds(own), abi.OK
	}
	return 0, abi.EINVAL
}

func storeTime(t *proc.Thread, va, ns uint64) abi.Errno {
	m := t.Memory()
	if !user.StoreUint64(m, va, ns/second) || !user.StoreUint64(m, va+8, ns%second) {
		return abi.EFAULT
	}
	return abi.OK
}

// loadTime reads a struct timespec as nanoseconds, bounded so that sums cannot overflow.
func loadTime(t *proc.Thread, va uint64) (uint64, abi.Errno) {
	m := t.Memory()
	s, ok := user.LoadUint64(m, va)
	ns, ok2 := user.LoadUint64(m, va+8)
	switch {
	case !ok || !ok2:
		return 0, abi.EFAULT
	case int64(s) < 0 || ns >= second:
		return 0, abi.EINVAL
	}
	const most = 1 << 61 / second
	return min(s, most)*second + ns, abi.OK
}

func sysClockGettime(t *proc.Thread, a *Args) (int64, abi.Errno) {
	ns, err := clock(t, a.Int(0))
	if err != abi.OK {
		return 0, err
	}
	return 0, storeTime(t, a[1], ns)
}

func sysClockGetres(t *proc.Thread, a *Args) (int64, abi.Errno) {
	if _, err := clock(t, a.Int(0)); err != abi.OK {
		return 0, err
	}
	if a[1] == 0 {
		return 0, abi.OK
	}
	return 0, storeTime(t, a[1], proc.Nanoseconds(1))
}

// loadTimeout reads a struct timespec that a call may leave out (va 0): -1 then, and when the call is made again and has its deadline.
func loadTimeout(t *proc.Thread, va uint64) (ns int64, err abi.Errno) {
	if va == 0 || t.Repeated {
		return -1, abi.OK
	}
	v, err := loadTime(t, va)
	return int64(v), err
}

// sleep ends the call with 0 after ns. If a signal ends it the remaining time is stored at remain, unless that is 0.
func sleep(t *proc.Thread, ns int64, remain uint64) (int64, abi.Errno) {
	if ns == 0 || t.Expired(ns) {
		return 0, abi.OK
	}
	return 0, t.Sleep(remain)
}

func sysNanosleep(t *proc.Thread, a *Args) (int64, abi.Errno) {
	ns, err := loadTimeout(t, a[0])
	switch {
	case err != abi.OK:
		return 0, err
	case a[0] == 0:
		return 0, abi.EFAULT
	}
	return sleep(t, ns, a[1])
}

func sysClockNanosleep(t *proc.Thread, a *Args) (int64, abi.Errno) {
	const absolute = 1
	id := a.Int(0)
	switch id {
	case clockRealtime, clockMonotonic, clockBoottime:
	case clockProcess, clockThread, clockMonotonicRaw, clockRealtimeCoarse, clockMonotonicCoarse:
		return 0, abi.EOPNOTSUPP
	default:
		return 0, abi.EINVAL
	}
	ns, err := loadTimeout(t, a[2])
	switch {
	case err != abi.OK:
		return 0, err
	case a[2] == 0:
		return 0, abi.EFAULT
	case a[1]&absolute == 0:
		return sleep(t, ns, a[3])
	case !t.Repeated:
		now, _ := clock(t, id)
		ns = max(ns-int64(now), 0)
	}
	return sleep(t, ns, 0)
}

// Operations of futex (uapi/linux/futex.h).
const (
	futexWait       = 0
	futexWake       = 1
	futexWaitBitset = 9
	futexWakeBitset = 10
	futexPrivate    = 128
	futexRealtime   = 256
	futexAll        = 0xffffffff
)

func sysFutex(t *proc.Thread, a *Args) (int64, abi.Errno) {
	op := a.Int(1)
	cmd := op &^ (futexPrivate | futexRealtime)
	bitset := cmd == futexWaitBitset || cmd == futexWakeBitset
	if a[0]%4 != 0 || bitset && uint32(a[5]) == 0 {
		return 0, abi.EINVAL
	}
	if bitset && uint32(a[5]) != futexAll {
		return 0, abi.ENOSYS
	}
	switch cmd {
	case futexWait, futexWaitBitset:
		return futexSleep(t, a, op)
	case futexWake, futexWakeBitset:
		key, err := t.Process.Space.Key(a[0], op&futexPrivate != 0)
		if err != abi.OK {
			return 0, err
		}
		return int64(proc.Wake(key, max(a.Int(2), 1))), abi.OK
	}
	return 0, abi.ENOSYS
}

// futexSleep waits while the word at a[0] is a[2].
func futexSleep(t *proc.Thread, a *Args, op int) (int64, abi.Errno) {
	if t.Repeated && t.Expired(-1) {
		return 0, abi.ETIMEDOUT
	}
	timeout, err := loadTimeout(t, a[3])
	if err != abi.OK {
		return 0, err
	}
	if timeout > 0 && op&^(futexPrivate|futexRealtime) == futexWaitBitset { // an absolute time
		now := proc.Now()
		if op&futexRealtime != 0 {
			now = proc.Realtime()
		}
		timeout = max(timeout-int64(now), 0)
	}
	key, err := t.Process.Space.Key(a[0], op&futexPrivate != 0)
	if err != abi.OK {
		return 0, err
	}
	switch word, ok := user.LoadUint32(t.Memory(), a[0]); {
	case !ok:
		return 0, abi.EFAULT
	case word != uint32(a[2]):
		return 0, abi.EAGAIN
	case t.Expired(timeout):
		return 0, abi.ETIMEDOUT
	}
	return 0, t.WaitFutex(key)
}
