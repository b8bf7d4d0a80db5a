package syscall

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/inet"
	"nexus/source/kernel/neuron/internal/proc"
	"nexus/source/kernel/neuron/internal/unixsock"
	"nexus/source/kernel/neuron/internal/user"
	"nexus/source/kernel/neuron/internal/vm"
	"nexus/source/libs/sockns"
)

// A message is what sendmsg and recvmsg are about: struct msghdr of riscv64, 56 bytes.
type message struct {
	name, nameLen       uint64
	control, controlLen uint64
	flags               int
}

// Layout of struct msghdr and struct cmsghdr (linux/socket.h).
const (
	msgName       = 0
	msgNameLen    = 8 // u32
	msgVectors    = 16
	msgCount      = 24
	msgControl    = 32
	msgControlLen = 40
	msgFlags      = 48 // u32
	msgSize       = 56

	cmsgHead   = 16 // u64 length, i32 level, i32 type
	solSocket  = 1
	scmRights  = 1
	maxControl = cmsgHead + 4*unixsock.MaxRights
)

// loadMessage reads the msghdr at va.
func loadMessage(t *proc.Thread, va uint64, flags int) (m message, err abi.Errno) {
	var h [msgSize]byte
	if user.Load(t.Memory(), h[:], va) != len(h) {
		return m, abi.EFAULT
	}
	m = message{
		name: user.Uint64(h[msgName:]), nameLen: uint64(user.Uint32(h[msgNameLen:])),
		control: user.Uint64(h[msgControl:]), controlLen: user.Uint64(h[msgControlLen:]), flags: flags,
	}
	if int32(m.nameLen) < 0 {
		return m, abi.EINVAL
	}
	m.nameLen = min(m.nameLen, maxAddress)
	if user.Uint64(h[msgCount:]) > user.MaxVectors {
		return m, abi.EMSGSIZE
	}
	return m, vectors(t, user.Uint64(h[msgVectors:]), user.Uint64(h[msgCount:]))
}

// loadRights reads the control data of m: at most one SCM_RIGHTS, whose files get a reference each. EINVAL for anything else.
func (m *message) loadRights(t *proc.Thread, r *unixsock.Rights) abi.Errno {
	if m.control == 0 || m.controlLen == 0 {
		return abi.OK
	}
	if m.controlLen < cmsgHead || m.controlLen > (maxControl+7)&^7 {
		return abi.EINVAL
	}
	var c [(maxControl + 7) &^ 7]byte
	n := int(m.controlLen)
	if user.Load(t.Memory(), c[:n], m.control) != n {
		return abi.EFAULT
	}
	length := user.Uint64(c[0:])
	if length < cmsgHead || length > m.controlLen || (length-cmsgHead)%4 != 0 || length+7 < m.controlLen {
		return abi.EINVAL
	}
	if user.Uint32(c[8:]) != solSocket || user.Uint32(c[12:]) != scmRights {
		return abi.EINVAL
	}
	for at := cmsgHead; at < int(length); at += 4 {
		f, err := t.Files().Get(int(int32(user.Uint32(c[at:]))))
		if err != abi.OK {
			r.Release()
			return err
		}
		r.Files[r.N] = f.Ref()
		r.N++
	}
	return abi.OK
}

// storeRights installs what came with a message, as many as m's control data has room for, and reports MSG_CTRUNC if that is not
// all. The length of the control data is left in m.
func (m *message) storeRights(t *proc.Thread, r *unixsock.Rights) (flags int) {
	room := m.controlLen
	m.controlLen = 0
	if r.N == 0 {
		return 0
	}
	fit := 0
	if room >= cmsgHead {
		fit = min(int((room-cmsgHead)/4), r.N)
	}
	var c [maxControl]byte
	n := 0
	for n < fit {
		fd, err := t.Files().Install(r.Files[n], 0, m.flags&unixsock.MSG_CMSG_CLOEXEC != 0)
		if err != abi.OK {
			break
		}
		user.PutUint32(c[cmsgHead+4*n:], uint32(fd))
		n++
	}
	if n < r.N {
		flags = unixsock.MSG_CTRUNC
	}
	for i := range n {
		r.Files[i] = nil
	}
	for i := n; i < r.N; i++ {
		r.Files[i].Release()
	}
	r.N = 0
	if n > 0 {
		length := cmsgHead + 4*n
		user.PutUint64(c[0:], uint64(length))
		user.PutUint32(c[8:], solSocket)
		user.PutUint32(c[12:], scmRights)
		user.Store(t.Memory(), m.control, c[:length])
		m.controlLen = min(uint64(length+7)&^7, room)
	}
	return flags
}

// target is the address of m: nil if there is none.
func (m *message) target(t *proc.Thread, a *sockns.Address) (*sockns.Address, abi.Errno) {
	if m.name == 0 || m.nameLen == 0 {
		return nil, abi.OK
	}
	var err abi.Errno
	*a, err = loadAddress(t, m.name, m.nameLen)
	if err == abi.OK && a.Family == sockns.FamilyNone {
		return nil, abi.OK // as Linux's UDP has it
	}
	return a, err
}

// unixTarget is the error of an address in m, for an AF_UNIX socket: sequenced packets pass over it, and nobody has one.
func (m *message) unixTarget(t *proc.Thread, f *file.File) abi.Errno {
	const least, most = 3, 110 // of struct sockaddr_un: a family and a name
	s, ok := f.Object.(*unixsock.Socket)
	if !ok || m.name == 0 || m.nameLen == 0 {
		return abi.OK
	}
	var b [least]byte
	n := min(m.nameLen, least)
	switch {
	case m.nameLen > maxAddress:
		return abi.EINVAL
	case user.Load(t.Memory(), b[:n], m.name) != int(n):
		return abi.EFAULT
	case s.Kind() == unixsock.Stream:
		return abi.EISCONN
	case s.Kind() == unixsock.Seqpacket:
		return abi.OK
	case n < least, m.nameLen > most, uint16(b[0])|uint16(b[1])<<8 != afUnix:
		return abi.EINVAL
	}
	// Only who could send looks for the name.
	err := s.MaySend(t.Rest.Len())
	switch {
	case err != abi.OK:
	case b[2] != 0:
		err = abi.ENOENT // of a path
	default:
		err = abi.ECONNREFUSED
	}
	return err
}

// send sends m on f, which is a socket.
func send(t *proc.Thread, f *file.File, m *message) (int64, abi.Errno) {
	if s, ok := f.Object.(*unixsock.Socket); ok && s.Kind() == unixsock.Seqpacket && !t.Repeated {
		if err := s.TakeError(); err != abi.OK {
			return 0, err
		}
	}
	var r unixsock.Rights
	if t.Repeated {
		r.N = t.Kept(&r.Files)
	} else if err := m.loadRights(t, &r); err != abi.OK {
		return 0, err
	}
	if err := m.unixTarget(t, f); err != abi.OK {
		r.Release()
		return 0, err
	}
	n, err := sendAll(t, f, m, &r)
	if err == abi.Blocked || err == abi.Again {
		t.Keep(&r.Files, r.N)
		r.N = 0
	}
	r.Release()
	return n, err
}

// sendAll sends m beside r. A stream that may wait goes on until everything is sent.
func sendAll(t *proc.Thread, f *file.File, m *message, r *unixsock.Rights) (int64, abi.Errno) {
	if err := faultIn(t, vm.Read); err != abi.OK {
		return 0, err
	}
	for {
		n, stream, err := sendOne(t, f, m, r)
		t.Done += n
		switch {
		case err == abi.EAGAIN && m.mayWait(f):
			return 0, t.Block(f.Object.Queue(), abi.EPOLLOUT)
		case err == abi.OK && stream && t.Rest.Len() > 0 && n > 0:
			continue
		case t.Done > 0:
			return int64(t.Done), abi.OK
		case err == abi.EPIPE && stream && m.flags&unixsock.MSG_NOSIGNAL == 0:
			t.SignalSelf(proc.SIGPIPE)
		}
		return int64(n), err
	}
}

// sendOne sends what there is room for and tells whether f is a stream.
func sendOne(t *proc.Thread, f *file.File, m *message, r *unixsock.Rights) (n int, stream bool, err abi.Errno) {
	switch s := f.Object.(type) {
	case *unixsock.Socket:
		n, err = s.Send(&t.Rest, nil, r, m.flags)
		return n, s.Kind() == unixsock.Stream, err
	case *inet.Socket:
		var a sockns.Address
		var to *sockns.Address
		if s.Kind() == unixsock.Datagram {
			if to, err = m.target(t, &a); err != abi.OK {
				return 0, false, err
			}
		}
		n, err = s.Send(&t.Rest, to, m.flags)
		return n, s.Kind() == unixsock.Stream, err
	case *inet.Server:
		n, err = s.Send(&t.Rest, r)
		return n, false, err
	}
	return 0, false, abi.ENOTSOCK
}

// mayWait reports whether a call on f may wait.
func (m *message) mayWait(f *file.File) bool {
	return !f.Nonblocking() && m.flags&unixsock.MSG_DONTWAIT == 0
}

// receive receives into m from f, which is a socket; flags are those of the message. A source address is stored at m's name, and its
// length left in m. With MSG_WAITALL a stream that may wait goes on until the buffer is full, or descriptors came.
func receive(t *proc.Thread, f *file.File, m *message, r *unixsock.Rights) (n int64, flags int, err abi.Errno) {
	if err := faultIn(t, vm.Write); err != abi.OK {
		return 0, 0, err
	}
	var from sockns.Address
	for more := true; more; {
		var k int
		k, flags, err = receiveOne(t, f, m, r, &from)
		t.Done += k
		switch {
		case err == abi.EAGAIN && m.mayWait(f) && !ended(f):
			return 0, 0, t.Block(f.Object.Queue(), abi.EPOLLIN|abi.EPOLLRDHUP)
		case err == abi.EAGAIN && m.mayWait(f):
			err = abi.OK
		case err != abi.OK && t.Done == 0:
			return 0, 0, err
		}
		more = err == abi.OK && m.flags&(unixsock.MSG_WAITALL|unixsock.MSG_PEEK) == unixsock.MSG_WAITALL &&
			stream(f) && k > 0 && t.Rest.Len() > 0 && flags == 0 && r.N == 0
	}
	room := m.nameLen
	m.nameLen = 0
	if from.Family != sockns.FamilyNone && m.name != 0 {
		b := encodeAddress(&from)
		fit := b[:min(room, inetSize)]
		if user.Store(t.Memory(), m.name, fit) != len(fit) {
			r.Release()
			return 0, 0, abi.EFAULT
		}
		m.nameLen = inetSize
	}
	return int64(t.Done), flags, abi.OK
}

// receiveOne receives what is there.
func receiveOne(t *proc.Thread, f *file.File, m *message, r *unixsock.Rights, from *sockns.Address) (n, flags int, err abi.Errno) {
	how := m.flags
	if f.Nonblocking() {
		how |= unixsock.MSG_DONTWAIT
	}
	switch s := f.Object.(type) {
	case *unixsock.Socket:
		return s.Recv(&t.Rest, nil, r, how)
	case *inet.Socket:
		return s.Recv(&t.Rest, from, how)
	case *inet.Server:
		return s.Recv(&t.Rest, r, how)
	}
	return 0, 0, abi.ENOTSOCK
}

// stream reports whether f is a stream.
func stream(f *file.File) bool {
	switch s := f.Object.(type) {
	case *unixsock.Socket:
		return s.Kind() == unixsock.Stream
	case *inet.Socket:
		return s.Kind() == unixsock.Stream
	}
	return false
}

func sysSendmsg(t *proc.Thread, a *Args) (int64, abi.Errno) {
	f, err := socket(t, a.Int(0))
	if err != abi.OK {
		return 0, err
	}
	m, err := loadMessage(t, a[1], a.Int(2))
	if err != abi.OK {
		return 0, err
	}
	return send(t, f, &m)
}

func sysSendto(t *proc.Thread, a *Args) (int64, abi.Errno) {
	f, err := socket(t, a.Int(0))
	if err != abi.OK {
		return 0, err
	}
	bytes(t, a[1], a[2])
	m := message{flags: a.Int(3), name: a[4], nameLen: uint64(uint32(a[5]))}
	return send(t, f, &m)
}

func sysRecvmsg(t *proc.Thread, a *Args) (int64, abi.Errno) {
	f, err := socket(t, a.Int(0))
	if err != abi.OK {
		return 0, err
	}
	m, err := loadMessage(t, a[1], a.Int(2))
	if err != abi.OK {
		return 0, err
	}
	var r unixsock.Rights
	n, flags, err := receive(t, f, &m, &r)
	if err != abi.OK {
		return 0, err
	}
	flags |= m.storeRights(t, &r) | m.flags&unixsock.MSG_CMSG_CLOEXEC
	mm := t.Memory()
	ok := user.StoreUint64(mm, a[1]+msgControlLen, m.controlLen) && user.StoreUint32(mm, a[1]+msgFlags, uint32(flags)) &&
		(m.name == 0 || user.StoreUint32(mm, a[1]+msgNameLen, uint32(m.nameLen)))
	if !ok {
		return 0, abi.EFAULT
	}
	return n, abi.OK
}

func sysRecvfrom(t *proc.Thread, a *Args) (int64, abi.Errno) {
	f, err := socket(t, a.Int(0))
	if err != abi.OK {
		return 0, err
	}
	bytes(t, a[1], a[2])
	m := message{flags: a.Int(3), name: a[4]}
	if m.name != 0 && a[5] != 0 {
		n, ok := user.LoadUint32(t.Memory(), a[5])
		if !ok {
			return 0, abi.EFAULT
		}
		if int32(n) < 0 {
			return 0, abi.EINVAL
		}
		m.nameLen = uint64(n)
	}
	var r unixsock.Rights
	n, _, err := receive(t, f, &m, &r)
	r.Release()
	if err != abi.OK {
		return 0, err
	}
	if m.name != 0 && a[5] != 0 && !user.StoreUint32(t.Memory(), a[5], uint32(m.nameLen)) {
		return 0, abi.EFAULT
	}
	return n, abi.OK
}
