package syscall

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/arch"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/inet"
	"nexus/source/kernel/neuron/internal/proc"
	"nexus/source/kernel/neuron/internal/unixsock"
	"nexus/source/kernel/neuron/internal/wait"
	"nexus/source/libs/sockns"
)

// Flags of a socket's type (linux/net.h).
const (
	sockNonblock = abi.O_NONBLOCK
	sockCloexec  = abi.O_CLOEXEC
	sockTypeMask = 0xf
	sockMax      = 11
)

// socketType splits the type argument; EINVAL for unknown flags and types that Linux has no name for.
func socketType(v uint64) (kind unixsock.Type, flags uint32, err abi.Errno) {
	kind, flags = unixsock.Type(v&sockTypeMask), uint32(v)&^sockTypeMask
	if flags&^(sockNonblock|sockCloexec) != 0 || kind >= sockMax {
		return 0, 0, abi.EINVAL
	}
	return kind, flags, abi.OK
}

// sysSocket makes a socket of the namespace that the thread is in. AF_UNIX sockets come in pairs only.
func sysSocket(t *proc.Thread, a *Args) (int64, abi.Errno) {
	kind, flags, err := socketType(a[1])
	if err != abi.OK {
		return 0, err
	}
	if a.Int(0) != afInet || t.Namespace == nil {
		return 0, abi.EAFNOSUPPORT
	}
	n, ok := t.Namespace.Object.(*inet.Namespace)
	if !ok {
		return 0, abi.EAFNOSUPPORT
	}
	protocol := a.Int(2)
	switch {
	case kind != unixsock.Stream && kind != unixsock.Datagram:
		return 0, abi.ESOCKTNOSUPPORT
	case kind == unixsock.Stream && protocol != 0 && protocol != sockns.TCP,
		kind == unixsock.Datagram && protocol != 0 && protocol != sockns.UDP:
		return 0, abi.EPROTONOSUPPORT
	}
	s, q, err := inet.New(n, kind)
	if q != nil {
		if t.Expired(inet.RequestTimeout) {
			return 0, abi.ENOBUFS
		}
		return 0, t.Block(q, inet.Answered)
	}
	if err != abi.OK {
		return 0, err
	}
	return install(t, s, abi.O_RDWR|flags)
}

func sysSocketpair(t *proc.Thread, a *Args) (int64, abi.Errno) {
	kind, flags, err := socketType(a[1])
	switch {
	case err != abi.OK:
		return 0, err
	case a.Int(0) == afInet:
		return 0, abi.EOPNOTSUPP
	case a.Int(0) != afUnix:
		return 0, abi.EAFNOSUPPORT
	case uint32(a[2]) > 1: // PF_UNIX is the one protocol
		return 0, abi.EPROTONOSUPPORT
	}
	switch kind {
	case unixsock.Stream, unixsock.Datagram, unixsock.Seqpacket:
	default:
		return 0, abi.ESOCKTNOSUPPORT
	}
	x, y, err := unixsock.Pair(kind)
	if err != abi.OK {
		return 0, err
	}
	return 0, installPair(t, x, y, abi.O_RDWR|flags, abi.O_RDWR|flags, a[3])
}

// socket is the open file of descriptor fd, which is a socket of any kind; ENOTSOCK if it is none.
func socket(t *proc.Thread, fd int) (*file.File, abi.Errno) {
	f, err := t.File(fd)
	if err != abi.OK {
		return nil, err
	}
	switch f.Object.(type) {
	case *unixsock.Socket, *inet.Socket, *inet.Server:
		return f, abi.OK
	}
	return nil, abi.ENOTSOCK
}

// inetSocket is the inet socket of descriptor fd; otherwise is the error for a socket of another kind.
func inetSocket(t *proc.Thread, fd int, otherwise abi.Errno) (*inet.Socket, *file.File, abi.Errno) {
	f, err := socket(t, fd)
	if err != abi.OK {
		return nil, nil, err
	}
	s, ok := f.Object.(*inet.Socket)
	if !ok {
		return nil, nil, otherwise
	}
	return s, f, abi.OK
}

// await ends a call that asked the server of s, or makes it wait for the answer if there is a queue. limit is how long, in
// nanoseconds.
func await(t *proc.Thread, s *inet.Socket, q *wait.Queue, err abi.Errno, limit int64) (int64, abi.Errno) {
	if q == nil {
		return 0, err
	}
	if t.Expired(limit) {
		s.Cancel()
		return 0, abi.ETIMEDOUT
	}
	return 0, t.Block(q, inet.Answered)
}

func sysBind(t *proc.Thread, a *Args) (int64, abi.Errno) {
	s, _, err := inetSocket(t, a.Int(0), abi.EINVAL)
	if err != abi.OK {
		return 0, err
	}
	to, err := loadAddress(t, a[1], a[2])
	switch {
	case err != abi.OK:
		return 0, err
	case to.Family == sockns.FamilyNone:
		return 0, abi.EAFNOSUPPORT
	}
	q, err := s.Bind(&to)
	return await(t, s, q, err, inet.RequestTimeout)
}

func sysListen(t *proc.Thread, a *Args) (int64, abi.Errno) {
	s, _, err := inetSocket(t, a.Int(0), abi.EOPNOTSUPP)
	if err != abi.OK {
		return 0, err
	}
	q, err := s.Listen(a.Int(1))
	return await(t, s, q, err, inet.RequestTimeout)
}

func sysConnect(t *proc.Thread, a *Args) (int64, abi.Errno) {
	s, f, err := inetSocket(t, a.Int(0), abi.EISCONN)
	if err != abi.OK {
		return 0, err
	}
	to, err := loadAddress(t, a[1], a[2])
	if err != abi.OK {
		return 0, err
	}
	q, err := s.Connect(&to, f.Nonblocking(), proc.Now())
	setExpiry()
	limit := int64(inet.RequestTimeout)
	if s.Kind() == unixsock.Stream {
		limit = inet.ConnectTimeout
	}
	return await(t, s, q, err, limit)
}

// setExpiry asks for a look at the connects under way when the first of them has taken too long.
func setExpiry() {
	proc.Later.At, proc.Later.Run = arch.AlarmNever, expireConnects
	if at := inet.Deadline(); at != inet.Never {
		proc.Later.At = proc.Ticks(at)
	}
}

func expireConnects(now uint64) {
	inet.Expire(proc.Nanoseconds(now))
	setExpiry()
}

func sysAccept(t *proc.Thread, a *Args) (int64, abi.Errno) { return accept(t, a, 0) }

func sysAccept4(t *proc.Thread, a *Args) (int64, abi.Errno) {
	flags := uint32(a[3])
	if flags&^(sockNonblock|sockCloexec) != 0 {
		return 0, abi.EINVAL
	}
	return accept(t, a, flags)
}

func accept(t *proc.Thread, a *Args, flags uint32) (int64, abi.Errno) {
	s, f, err := inetSocket(t, a.Int(0), abi.EINVAL)
	if err != abi.OK {
		return 0, err
	}
	// The descriptor is taken first, by the listener itself: without one the connection must stay in the queue.
	fd, err := t.Files().Install(f.Ref(), 0, false)
	if err != abi.OK {
		f.Release()
		return 0, err
	}
	c, err := s.Accept()
	if err != abi.OK {
		t.Files().Close(fd)
		if err == abi.EAGAIN && !f.Nonblocking() {
			return 0, t.Block(s.Queue(), abi.EPOLLIN)
		}
		return 0, err
	}
	g := file.New(c, abi.O_RDWR|flags&sockNonblock)
	if g == nil {
		c.Close()
		t.Files().Close(fd)
		return 0, abi.ENFILE
	}
	if err := t.Files().Replace(fd, g, flags&sockCloexec != 0); err != abi.OK {
		panic("syscall: a descriptor in use cannot be replaced")
	}
	if peer, err := c.Peer(); a[1] != 0 && err == abi.OK {
		if err := storeInet(t, &peer, a[1], a[2]); err != abi.OK {
			t.Files().Close(fd)
			return 0, err
		}
	}
	return int64(fd), abi.OK
}

func sysShutdown(t *proc.Thread, a *Args) (int64, abi.Errno) {
	f, err := socket(t, a.Int(0))
	if err != abi.OK {
		return 0, err
	}
	switch s := f.Object.(type) {
	case *unixsock.Socket:
		return 0, s.Shutdown(a.Int(1))
	case *inet.Socket:
		q, err := s.Shutdown(a.Int(1))
		return await(t, s, q, err, inet.RequestTimeout)
	}
	return 0, abi.EOPNOTSUPP
}

func sysGetsockname(t *proc.Thread, a *Args) (int64, abi.Errno) {
	f, err := socket(t, a.Int(0))
	if err != abi.OK {
		return 0, err
	}
	if s, ok := f.Object.(*inet.Socket); ok {
		name := s.Name()
		return 0, storeInet(t, &name, a[1], a[2])
	}
	return 0, storeUnix(t, a[1], a[2])
}

func sysGetpeername(t *proc.Thread, a *Args) (int64, abi.Errno) {
	f, err := socket(t, a.Int(0))
	if err != abi.OK {
		return 0, err
	}
	if s, ok := f.Object.(*inet.Socket); ok {
		peer, err := s.Peer()
		if err != abi.OK {
			return 0, err
		}
		return 0, storeInet(t, &peer, a[1], a[2])
	}
	if s, ok := f.Object.(*unixsock.Socket); ok && !s.Connected() {
		return 0, abi.ENOTCONN
	}
	return 0, storeUnix(t, a[1], a[2])
}

// sysSetns puts the thread into a socket namespace.
func sysSetns(t *proc.Thread, a *Args) (int64, abi.Errno) {
	const cloneNewnet = 0x40000000
	f, err := t.Files().Get(a.Int(0))
	if err != abi.OK {
		return 0, err
	}
	if _, ok := f.Object.(*inet.Namespace); !ok || a.Int(1) != 0 && a.Int(1) != cloneNewnet {
		return 0, abi.EINVAL
	}
	old := t.Namespace
	t.Namespace = f.Ref()
	if old != nil {
		old.Release()
	}
	return 0, abi.OK
}
