package syscall

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/inet"
	"nexus/source/kernel/neuron/internal/proc"
	"nexus/source/kernel/neuron/internal/unixsock"
	"nexus/source/kernel/neuron/internal/user"
)

// Every option known here is an int, but for SO_LINGER, which is two. Another one is ENOPROTOOPT, so that no program believes in what
// does nothing.

func sysSetsockopt(t *proc.Thread, a *Args) (int64, abi.Errno) {
	f, err := socket(t, a.Int(0))
	if err != abi.OK {
		return 0, err
	}
	level, name := a.Int(1), a.Int(2)
	s, ok := f.Object.(*inet.Socket)
	switch {
	case !ok && level != inet.SOL_SOCKET:
		return 0, abi.EOPNOTSUPP
	case !ok:
		return 0, abi.ENOPROTOOPT
	case level == inet.SOL_SOCKET && name == inet.SO_LINGER:
		return 0, setLinger(t, s, a)
	case !s.HasOption(level, name):
		return 0, abi.ENOPROTOOPT
	case a.Int(4) < 4:
		return 0, abi.EINVAL
	}
	value, ok := user.LoadUint32(t.Memory(), a[3])
	if !ok {
		return 0, abi.EFAULT
	}
	q, err := s.SetOption(level, name, int(int32(value)))
	return await(t, s, q, err, inet.RequestTimeout)
}

// setLinger takes a struct linger: whether, and how many seconds.
func setLinger(t *proc.Thread, s *inet.Socket, a *Args) abi.Errno {
	if a.Int(4) < 8 {
		return abi.EINVAL
	}
	v, ok := user.LoadUint64(t.Memory(), a[3])
	if !ok {
		return abi.EFAULT
	}
	return s.SetLinger(uint32(v) != 0, int(int32(v>>32)))
}

func sysGetsockopt(t *proc.Thread, a *Args) (int64, abi.Errno) {
	f, err := socket(t, a.Int(0))
	if err != abi.OK {
		return 0, err
	}
	m := t.Memory()
	room, ok := user.LoadUint32(m, a[4])
	switch {
	case !ok:
		return 0, abi.EFAULT
	case int32(room) < 0:
		return 0, abi.EINVAL
	}
	var b [8]byte
	size := 4
	var value int
	switch s := f.Object.(type) {
	case *inet.Socket:
		if a.Int(1) == inet.SOL_SOCKET && a.Int(2) == inet.SO_LINGER {
			size = 8
			if s.Linger() {
				value = 1
			}
			break
		}
		value, err = s.Option(a.Int(1), a.Int(2))
	case *unixsock.Socket:
		value, err = unixOption(s, a.Int(1), a.Int(2))
	default: // the serving end of a namespace
		value, err = unixOption(nil, a.Int(1), a.Int(2))
	}
	if err != abi.OK {
		return 0, err
	}
	user.PutUint32(b[:], uint32(value))
	n := min(int(room), size)
	if user.Store(m, a[3], b[:n]) != n || !user.StoreUint32(m, a[4], uint32(n)) {
		return 0, abi.EFAULT
	}
	return 0, abi.OK
}

// unixOption is an option of an AF_UNIX socket, or of the serving end of a namespace, which looks like one.
func unixOption(s *unixsock.Socket, level, name int) (int, abi.Errno) {
	if level != inet.SOL_SOCKET {
		return 0, abi.EOPNOTSUPP
	}
	switch name {
	case inet.SO_TYPE:
		if s == nil {
			return int(unixsock.Seqpacket), abi.OK
		}
		return int(s.Kind()), abi.OK
	case inet.SO_ERROR:
		if s == nil {
			return 0, abi.OK
		}
		return int(s.TakeError()), abi.OK
	case inet.SO_DOMAIN:
		return afUnix, abi.OK
	case inet.SO_PROTOCOL, inet.SO_ACCEPTCONN:
		return 0, abi.OK
	}
	return 0, abi.ENOPROTOOPT
}
