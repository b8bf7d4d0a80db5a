package syscall

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/proc"
	"nexus/source/kernel/neuron/internal/unixsock"
	"nexus/source/kernel/neuron/internal/user"
)

// A message is what sendmsg and recvmsg are about: struct msghdr of riscv64, 56 bytes.
type message struct {
	body                user.Buffer
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
	if user.Uint64(h[msgCount:]) > user.MaxVectors {
		return m, abi.EMSGSIZE
	}
	m.body, err = user.Vectors(t.Memory(), user.Uint64(h[msgVectors:]), user.Uint64(h[msgCount:]))
	return m, err
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

// send sends m on f.
func send(t *proc.Thread, f *file.File, m *message) (int64, abi.Errno) {
	s, ok := f.Object.(*unixsock.Socket)
	switch {
	case !ok:
		return 0, abi.ENOTSOCK
	case m.name != 0 && m.nameLen != 0:
		if s.Kind() == unixsock.Datagram {
			return 0, abi.EISCONN
		}
		return 0, abi.EISCONN
	}
	var r unixsock.Rights
	if err := m.loadRights(t, &r); err != abi.OK {
		return 0, err
	}
	m.body.Skip(t.Done)
	for {
		n, err := s.Send(&m.body, nil, &r, m.flags)
		t.Done += n
		wait := err == abi.EAGAIN && !f.Nonblocking() && m.flags&unixsock.MSG_DONTWAIT == 0
		switch {
		case wait && t.Done > 0:
			// The descriptors went with the first byte.
			return 0, t.Block(s.Queue(), abi.EPOLLOUT)
		case wait:
			r.Release()
			return 0, t.Block(s.Queue(), abi.EPOLLOUT)
		case err == abi.OK && s.Kind() == unixsock.Stream && m.body.Len() > 0 && n > 0:
			continue
		}
		r.Release()
		if t.Done > 0 {
			return int64(t.Done), abi.OK
		}
		if err == abi.EPIPE && s.Kind() == unixsock.Stream && m.flags&unixsock.MSG_NOSIGNAL == 0 {
			t.SignalSelf(proc.SIGPIPE)
		}
		return int64(n), err
	}
}

// receive receives into m from f; flags are those of the message.
func receive(t *proc.Thread, f *file.File, m *message, r *unixsock.Rights) (n int64, flags int, err abi.Errno) {
	s, ok := f.Object.(*unixsock.Socket)
	if !ok {
		return 0, 0, abi.ENOTSOCK
	}
	k, flags, err := s.Recv(&m.body, nil, r, m.flags)
	if err == abi.EAGAIN && !f.Nonblocking() && m.flags&unixsock.MSG_DONTWAIT == 0 {
		return 0, 0, t.Block(s.Queue(), abi.EPOLLIN|abi.EPOLLRDHUP)
	}
	m.nameLen = 0
	return int64(k), flags, err
}

func sysSendmsg(t *proc.Thread, a *Args) (int64, abi.Errno) {
	f, err := t.Files().Get(a.Int(0))
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
	f, err := t.Files().Get(a.Int(0))
	if err != abi.OK {
		return 0, err
	}
	m := message{body: user.Range(t.Memory(), a[1], a[2]), flags: a.Int(3), name: a[4], nameLen: uint64(uint32(a[5]))}
	return send(t, f, &m)
}

func sysRecvmsg(t *proc.Thread, a *Args) (int64, abi.Errno) {
	f, err := t.Files().Get(a.Int(0))
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
	f, err := t.Files().Get(a.Int(0))
	if err != abi.OK {
		return 0, err
	}
	m := message{body: user.Range(t.Memory(), a[1], a[2]), flags: a.Int(3), name: a[4]}
	if m.name != 0 && a[5] != 0 {
		n, ok := user.LoadUint32(t.Memory(), a[5])
		if !ok {
			return 0, abi.EFAULT
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
