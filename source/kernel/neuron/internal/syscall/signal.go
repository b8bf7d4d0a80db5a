package syscall

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/proc"
	"nexus/source/kernel/neuron/internal/user"
)

const (
	maxSignal  = 64
	sigsetSize = 8
)

func sysRtSigaction(t *proc.Thread, a *Args) (int64, abi.Errno) {
	n := a.Int(0)
	if n < 1 || n > maxSignal || a[3] != sigsetSize {
		return 0, abi.EINVAL
	}
	m, old := t.Memory(), *t.Process.Action(n)
	if a[1] != 0 {
		if n == proc.SIGKILL || n == proc.SIGSTOP {
			return 0, abi.EINVAL
		}
		var b [24]byte
		if user.Load(m, b[:], a[1]) != len(b) {
			return 0, abi.EFAULT
		}
		*t.Process.Action(n) = proc.Action{
			Handler: user.Uint64(b[0:]), Flags: user.Uint64(b[8:]), Mask: proc.SignalSet(user.Uint64(b[16:])),
		}
	}
	if a[2] != 0 {
		var b [24]byte
		user.PutUint64(b[0:], old.Handler)
		user.PutUint64(b[8:], old.Flags)
		user.PutUint64(b[16:], uint64(old.Mask))
		if user.Store(m, a[2], b[:]) != len(b) {
			return 0, abi.EFAULT
		}
	}
	return 0, abi.OK
}

func sysRtSigprocmask(t *proc.Thread, a *Args) (int64, abi.Errno) {
	const block, unblock, set = 0, 1, 2
	if a[3] != sigsetSize {
		return 0, abi.EINVAL
	}
	m, old := t.Memory(), t.Mask()
	if a[1] != 0 {
		v, ok := user.LoadUint64(m, a[1])
		if !ok {
			return 0, abi.EFAULT
		}
		switch a.Int(0) {
		case block:
			t.SetMask(old | proc.SignalSet(v))
		case unblock:
			t.SetMask(old &^ proc.SignalSet(v))
		case set:
			t.SetMask(proc.SignalSet(v))
		default:
			return 0, abi.EINVAL
		}
	}
	if a[2] != 0 && !user.StoreUint64(m, a[2], uint64(old)) {
		return 0, abi.EFAULT
	}
	return 0, abi.OK
}

// loadMask gives t the signal mask at va, if there is one, for as long as its call lasts (ppoll, epoll_pwait).
func loadMask(t *proc.Thread, va, size uint64) abi.Errno {
	if va == 0 || t.Repeated {
		return abi.OK
	}
	if size != sigsetSize {
		return abi.EINVAL
	}
	m, ok := user.LoadUint64(t.Memory(), va)
	if !ok {
		return abi.EFAULT
	}
	t.Masked(proc.SignalSet(m))
	return abi.OK
}

func sysSigaltstack(t *proc.Thread, a *Args) (int64, abi.Errno) {
	m, old := t.Memory(), *t.Alternate()
	if t.OnAlternate() {
		old.Flags = proc.StackOnStack
	}
	if a[0] != 0 {
		var b [24]byte
		if user.Load(m, b[:], a[0]) != len(b) {
			return 0, abi.EFAULT
		}
		n := proc.Stack{Base: user.Uint64(b[0:]), Flags: uint64(user.Uint32(b[8:])), Size: user.Uint64(b[16:])}
		if err := t.SetAlternate(n); err != abi.OK {
			return 0, err
		}
	}
	if a[1] != 0 {
		var b [24]byte
		user.PutUint64(b[0:], old.Base)
		user.PutUint64(b[8:], old.Flags)
		user.PutUint64(b[16:], old.Size)
		if user.Store(m, a[1], b[:]) != len(b) {
			return 0, abi.EFAULT
		}
	}
	return 0, abi.OK
}

func sysRtSigreturn(t *proc.Thread, a *Args) (int64, abi.Errno) {
	t.SignalReturn()
	return 0, abi.Blocked
}

// sysKill: a process may signal itself and what descends from it.
func sysKill(t *proc.Thread, a *Args) (int64, abi.Errno) {
	id, n := a.Int(0), a.Int(1)
	if n < 0 || n > maxSignal {
		return 0, abi.EINVAL
	}
	if id <= 0 {
		return 0, abi.EPERM // there are no process groups
	}
	p := proc.Find(id)
	switch {
	case p == nil:
		return 0, abi.ESRCH
	case !p.Descends(t.Process):
		return 0, abi.EPERM
	case n == 0 || !p.Alive():
	case n == proc.SIGKILL:
		p.Kill(t.Hart, proc.SIGKILL)
		if p == t.Process {
			return 0, abi.Blocked
		}
	default:
		p.Signal(n)
	}
	return 0, abi.OK
}

func sysTkill(t *proc.Thread, a *Args) (int64, abi.Errno) {
	return signalThread(t, a.Int(0), a.Int(1))
}

func sysTgkill(t *proc.Thread, a *Args) (int64, abi.Errno) {
	switch id := a.Int(0); {
	case id <= 0:
		return 0, abi.EINVAL
	case id != t.Process.ID:
		return 0, abi.ESRCH
	}
	return signalThread(t, a.Int(1), a.Int(2))
}

func signalThread(t *proc.Thread, id, n int) (int64, abi.Errno) {
	if id <= 0 || n < 0 || n > maxSignal {
		return 0, abi.EINVAL
	}
	u := t.Process.Thread(id)
	switch {
	case u == nil:
		return 0, abi.ESRCH
	case n == proc.SIGKILL:
		t.Process.Kill(t.Hart, proc.SIGKILL)
		return 0, abi.Blocked
	case n == 0:
	case u == t:
		t.SignalSelf(n)
	default:
		u.Signal(n)
	}
	return 0, abi.OK
}
