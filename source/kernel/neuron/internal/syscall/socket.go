package syscall

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/proc"
	"nexus/source/kernel/neuron/internal/unixsock"
	"nexus/source/kernel/neuron/internal/user"
)

// Address families and flags of a socket's type (linux/socket.h, linux/net.h).
const (
	afUnix       = 1
	afInet       = 2
	sockNonblock = abi.O_NONBLOCK
	sockCloexec  = abi.O_CLOEXEC
	sockTypeMask = 0xf
)

// socketType splits the type argument; EINVAL for unknown flags.
func socketType(v uint64) (kind uint32, flags uint32, err abi.Errno) {
	kind, flags = uint32(v)&sockTypeMask, uint32(v)&^sockTypeMask
	if flags&^(sockNonblock|sockCloexec) != 0 {
		return 0, 0, abi.EINVAL
	}
	return kind, flags, abi.OK
}

func sysSocketpair(t *proc.Thread, a *Args) (int64, abi.Errno) {
	kind, flags, err := socketType(a[1])
	switch {
	case err != abi.OK:
		return 0, err
	case a[0] != afUnix:
		return 0, abi.EAFNOSUPPORT
	case a[2] > 1: // PF_UNIX is the one protocol
		return 0, abi.EPROTONOSUPPORT
	}
	switch unixsock.Type(kind) {
	case unixsock.Stream, unixsock.Datagram, unixsock.Seqpacket:
	default:
		return 0, abi.ESOCKTNOSUPPORT
	}
	x, y, err := unixsock.Pair(unixsock.Type(kind))
	if err != abi.OK {
		return 0, err
	}
	return 0, installPair(t, x, y, abi.O_RDWR|flags, abi.O_RDWR|flags, a[3])
}

func sysShutdown(t *proc.Thread, a *Args) (int64, abi.Errno) {
	f, err := t.Files().Get(a.Int(0))
	if err != abi.OK {
		return 0, err
	}
	switch s := f.Object.(type) {
	case *unixsock.Socket:
		return 0, s.Shutdown(a.Int(1))
	}
	return 0, abi.ENOTSOCK
}

// sysGetsockname answers for both ends of a pair, which have no names.
func sysGetsockname(t *proc.Thread, a *Args) (int64, abi.Errno) {
	f, err := t.Files().Get(a.Int(0))
	if err != abi.OK {
		return 0, err
	}
	switch f.Object.(type) {
	case *unixsock.Socket:
		var name [2]byte
		name[0] = afUnix
		return 0, storeName(t, name[:], a[1], a[2])
	}
	return 0, abi.ENOTSOCK
}

// storeName gives a program the name of a socket: as much as fits, and its true length.
func storeName(t *proc.Thread, name []byte, va, lenAt uint64) abi.Errno {
	m := t.Memory()
	room, ok := user.LoadUint32(m, lenAt)
	if !ok {
		return abi.EFAULT
	}
	if int32(room) < 0 {
		return abi.EINVAL
	}
	n := min(int(room), len(name))
	if user.Store(m, va, name[:n]) != n || !user.StoreUint32(m, lenAt, uint32(len(name))) {
		return abi.EFAULT
	}
	return abi.OK
}

// Options of level SOL_SOCKET (asm-generic/socket.h).
const (
	soType   = 3
	soError  = 4
	soDomain = 39
)

func sysGetsockopt(t *proc.Thread, a *Args) (int64, abi.Errno) {
	f, err := t.Files().Get(a.Int(0))
	if err != abi.OK {
		return 0, err
	}
	s, ok := f.Object.(*unixsock.Socket)
	if !ok {
		return 0, abi.ENOTSOCK
	}
	if a[1] != solSocket {
		return 0, abi.EOPNOTSUPP
	}
	var v uint32
	switch a[2] {
	case soType:
		v = uint32(s.Kind())
	case soDomain:
		v = afUnix
	case soError:
		v = uint32(s.TakeError())
	default:
		return 0, abi.ENOPROTOOPT
	}
	var b [4]byte
	user.PutUint32(b[:], v)
	return 0, storeName(t, b[:], a[3], a[4])
}
