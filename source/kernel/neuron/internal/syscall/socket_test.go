package syscall

import (
	"encoding/binary"
	"testing"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/arch"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/inet"
	"nexus/source/kernel/neuron/internal/mem"
	"nexus/source/kernel/neuron/internal/pipe"
	"nexus/source/kernel/neuron/internal/proc"
	"nexus/source/kernel/neuron/internal/unixsock"
	"nexus/source/kernel/neuron/internal/user"
	"nexus/source/kernel/neuron/internal/user/usertest"
	"nexus/source/kernel/neuron/internal/vm"
	"nexus/source/libs/sockns"
)

// Numbers of the calls that the tests make.
const (
	nrOpenat                                         = 56
	nrDup, nrDup3, nrFcntl, nrClose, nrRead, nrWrite = 23, 24, 25, 57, 63, 64
	nrSocket, nrSocketpair, nrBind, nrListen         = 198, 199, 200, 201
	nrConnect, nrGetsockname, nrGetpeername          = 203, 204, 205
	nrSendto, nrRecvfrom, nrSetsockopt, nrGetsockopt = 206, 207, 208, 209
	nrShutdown, nrSendmsg, nrRecvmsg, nrAccept4      = 210, 211, 212, 242
	nrSetns                                          = 268
)

const (
	base     = 0x100_0000
	pages    = 200
	nonblock = sockNonblock
)

// A caller is a thread whose calls the test makes.
type caller struct {
	t      *testing.T
	hart   *arch.Hart
	thread *proc.Thread
	free   uint64 // where its next bytes go
}

// start boots a program; at the end of the test all that it had must be gone.
func start(t *testing.T) *caller {
	t.Helper()
	mem.InitHost(2048, 4)
	root, _ := mem.Alloc()
	vm.Init(root)
	proc.OnInitExit = func(int32) {}
	proc.Devices = func() {}
	p, err := proc.NewProcess(nil)
	if err != abi.OK {
		t.Fatal(err)
	}
	if p.Space, err = vm.NewSpace(); err != abi.OK {
		t.Fatal(err)
	}
	p.Space.Mmap(vm.Map{Start: base, Size: pages * mem.PageSize, Fixed: true, Prot: vm.Read | vm.Write, MayWrite: true})
	hart := &new(proc.Hart).Hart
	thread, err := proc.NewThread(p, hart)
	if err != abi.OK {
		t.Fatal(err)
	}
	thread.X[arch.PC] = 0x1000
	thread.X[arch.SP] = base + pages*mem.PageSize
	thread.Start()
	proc.Schedule(hart)
	t.Cleanup(func() {
		p.Exit(hart, 0)
		for vm.Reap() || file.Reap() {
		}
		if file.Open() != 0 || unixsock.Open() != 0 || inet.Open() != 0 || unixsock.Parcels() != 0 {
			t.Errorf("left behind: %d files, %d ends, %d sockets, %d parcels", file.Open(), unixsock.Open(), inet.Open(), unixsock.Parcels())
		}
	})
	return &caller{t, hart, thread, base}
}

// put stores b in the program's memory and returns where.
func (p *caller) put(b ...byte) uint64 {
	p.t.Helper()
	at := p.free
	p.free += uint64(len(b)+15) &^ 15
	if p.free > base+pages*mem.PageSize || p.thread.Memory().Store(at, b) != len(b) {
		p.t.Fatal("out of the program's memory")
	}
	return at
}

// room is n zeroed bytes.
func (p *caller) room(n int) uint64 { return p.put(make([]byte, n)...) }

func (p *caller) bytes(at uint64, n int) []byte {
	b := make([]byte, n)
	p.thread.Memory().Load(b, at)
	return b
}

func (p *caller) word(at uint64) uint32 {
	v, _ := user.LoadUint32(p.thread.Memory(), at)
	return v
}

// call makes a system call. A result that is no error number is the value; blocked says that there is none yet.
func (p *caller) call(n int, args ...uint64) (value int64, err abi.Errno, blocked bool) {
	p.thread.X[arch.A7] = uint64(n)
	for i, v := range args {
		p.thread.X[arch.A0+i] = v
	}
	return p.again()
}

// again makes the call again that blocked, as the scheduler does with a thread that was woken.
func (p *caller) again() (value int64, err abi.Errno, blocked bool) {
	pc := p.thread.X[arch.PC]
	Handle(p.thread)
	for file.Reap() {
	}
	if p.thread.X[arch.PC] == pc {
		return 0, abi.OK, true
	}
	value = int64(p.thread.X[arch.A0])
	if value < 0 && value > -4096 {
		return 0, abi.Errno(-value), false
	}
	return value, abi.OK, false
}

// woken goes on with the call that blocked, which must have been woken.
func (p *caller) woken() (value int64, err abi.Errno, blocked bool) {
	p.t.Helper()
	if got := proc.Schedule(p.hart); got != &p.thread.Context {
		p.t.Fatal("another thread")
	}
	return p.again()
}

// must is a call that succeeds.
func (p *caller) must(n int, args ...uint64) int64 {
	p.t.Helper()
	v, err, blocked := p.call(n, args...)
	if err != abi.OK || blocked {
		p.t.Fatalf("call %d: error %d, blocked %v", n, err, blocked)
	}
	return v
}

// want is a call that fails.
func (p *caller) want(want abi.Errno, what string, n int, args ...uint64) {
	p.t.Helper()
	if v, err, blocked := p.call(n, args...); err != want || blocked {
		p.t.Errorf("%s: %d, error %d, blocked %v, want error %d", what, v, err, blocked, want)
	}
}

// pair is a socketpair.
func (p *caller) pair(kind unixsock.Type, flags uint64) (a, b uint64) {
	p.t.Helper()
	at := p.room(8)
	p.must(nrSocketpair, afUnix, uint64(kind)|flags, 0, at)
	return uint64(p.word(at)), uint64(p.word(at + 4))
}

// message is a struct msghdr with one vector.
func (p *caller) message(body, size, control, controlSize uint64) uint64 {
	iov := binary.LittleEndian.AppendUint64(nil, body)
	iov = binary.LittleEndian.AppendUint64(iov, size)
	h := make([]byte, msgSize)
	binary.LittleEndian.PutUint64(h[msgVectors:], p.put(iov...))
	binary.LittleEndian.PutUint64(h[msgCount:], 1)
	binary.LittleEndian.PutUint64(h[msgControl:], control)
	binary.LittleEndian.PutUint64(h[msgControlLen:], controlSize)
	return p.put(h...)
}

// rights is control data with SCM_RIGHTS.
func (p *caller) rights(fds ...uint64) (at, size uint64) {
	c := binary.LittleEndian.AppendUint64(nil, uint64(cmsgHead+4*len(fds)))
	c = binary.LittleEndian.AppendUint32(c, solSocket)
	c = binary.LittleEndian.AppendUint32(c, scmRights)
	for _, fd := range fds {
		c = binary.LittleEndian.AppendUint32(c, uint32(fd))
	}
	for len(c)%8 != 0 {
		c = append(c, 0)
	}
	return p.put(c...), uint64(len(c))
}

func (p *caller) pipe() (r, w uint64) {
	p.t.Helper()
	a, b, _ := pipe.New()
	rfd, _ := p.thread.Files().Install(file.New(a, abi.O_RDONLY), 0, false)
	wfd, _ := p.thread.Files().Install(file.New(b, abi.O_WRONLY), 0, false)
	return uint64(rfd), uint64(wfd)
}

func TestRightsAreInstalled(t *testing.T) {
	p := start(t)
	a, b := p.pair(unixsock.Seqpacket, nonblock)
	r, w := p.pipe()
	control, size := p.rights(r, w)
	body := p.put([]byte("two pipes")...)
	for range 3 {
		p.must(nrSendmsg, a, p.message(body, 9, control, size), 0)
	}
	for _, tt := range []struct {
		room      uint64
		flags     uint64
		installed int
		cut       uint32
	}{
		{24, 0, 2, 0},
		{23, unixsock.MSG_CMSG_CLOEXEC, 1, unixsock.MSG_CTRUNC | unixsock.MSG_CMSG_CLOEXEC},
		{8, 0, 0, unixsock.MSG_CTRUNC},
	} {
		before := file.Open()
		at := p.room(64)
		m := p.message(p.room(20), 20, at, tt.room)
		if n := p.must(nrRecvmsg, b, m, tt.flags); n != 9 {
			t.Errorf("room for %d: %d bytes", tt.room, n)
		}
		if got := p.word(m + msgFlags); got != tt.cut {
			t.Errorf("room for %d: flags %#x, want %#x", tt.room, got, tt.cut)
		}
		want := uint64(0)
		if tt.installed > 0 {
			want = uint64(cmsgHead + 4*tt.installed)
		}
		if got, _ := user.LoadUint64(p.thread.Memory(), at); got != want {
			t.Errorf("room for %d: a header of %d bytes, want %d", tt.room, got, want)
		}
		for i := range tt.installed {
			fd := int(p.word(at + cmsgHead + 4*uint64(i)))
			f, err := p.thread.Files().Get(fd)
			original, _ := p.thread.Files().Get(int([]uint64{r, w}[i]))
			if err != abi.OK || f != original || p.thread.Files().CloseOnExec(fd) != (tt.flags != 0) {
				t.Errorf("room for %d: descriptor %d is not what was sent", tt.room, fd)
			}
			p.must(nrClose, uint64(fd))
		}
		if file.Open() != before {
			t.Errorf("room for %d: files leak", tt.room)
		}
	}
	if unixsock.Parcels() != 0 {
		t.Error("descriptors still under way")
	}
}

func TestBadControlData(t *testing.T) {
	p := start(t)
	a, _ := p.pair(unixsock.Stream, nonblock)
	control, size := p.rights(a, 77)
	body := p.put('x')
	p.want(abi.EBADF, "a closed descriptor", nrSendmsg, a, p.message(body, 1, control, size), 0)
	fds := make([]uint64, unixsock.MaxRights+1)
	for i := range fds {
		fds[i] = a
	}
	many, manySize := p.rights(fds...)
	p.want(abi.EINVAL, "too many", nrSendmsg, a, p.message(body, 1, many, manySize), 0)
	p.want(abi.EINVAL, "cut", nrSendmsg, a, p.message(body, 1, control, 15), 0)
	p.want(abi.EINVAL, "shorter than it says", nrSendmsg, a, p.message(body, 1, control, 20), 0)
	p.want(abi.EINVAL, "huge", nrSendmsg, a, p.message(body, 1, control, 1<<40), 0)
	p.want(abi.EFAULT, "nowhere", nrSendmsg, a, p.message(body, 1, 8, 24), 0)
	p.want(abi.EFAULT, "no message", nrSendmsg, a, 8, 0)
	other := p.put(24, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	p.want(abi.EINVAL, "credentials", nrSendmsg, a, p.message(body, 1, other, 24), 0)
	if unixsock.Parcels() != 0 {
		t.Error("descriptors under way")
	}
}

// TestBlockedSend: a long blocking send goes on where it stopped, and its descriptors go once.
func TestBlockedSend(t *testing.T) {
	p := start(t)
	a, b := p.pair(unixsock.Stream, 0)
	r, _ := p.pipe()
	control, size := p.rights(r)
	const total = 600000
	data := make([]byte, total)
	for i := range data {
		data[i] = byte(i * 2654435761 >> 13)
	}
	body := p.put(data...)
	_, _, blocked := p.call(nrSendmsg, a, p.message(body, total, control, size), 0)
	if !blocked {
		t.Fatal("600000 bytes fit")
	}
	f, _ := p.thread.Files().Get(int(b))
	receiver := f.Object.(*unixsock.Socket)
	var got []byte
	descriptors := 0
	for len(got) < total {
		piece := make([]byte, 100000)
		var rights unixsock.Rights
		n, _, err := receiver.Recv(usertest.Out(piece), nil, &rights, 0)
		if err == abi.EAGAIN {
			if v, err, again := p.woken(); !again && (v != total || err != abi.OK) {
				t.Fatalf("send: %d, %d", v, err)
			}
			continue
		}
		if err != abi.OK {
			t.Fatal(err)
		}
		got = append(got, piece[:n]...)
		descriptors += rights.N
		rights.Release()
	}
	for i := range data {
		if got[i] != data[i] {
			t.Fatalf("byte %d differs", i)
		}
	}
	if descriptors != 1 {
		t.Errorf("%d descriptors arrived, want 1", descriptors)
	}
}

func TestSignalsOfSends(t *testing.T) {
	p := start(t)
	for _, tt := range []struct {
		kind  unixsock.Type
		flags uint64
		want  bool
	}{{unixsock.Stream, 0, true}, {unixsock.Stream, unixsock.MSG_NOSIGNAL, false}, {unixsock.Seqpacket, 0, false}} {
		const handler = 0x2000
		p.thread.Process.Action(proc.SIGPIPE).Handler = handler
		p.thread.SetMask(0)
		a, b := p.pair(tt.kind, nonblock)
		p.must(nrClose, b)
		p.want(abi.EPIPE, "send", nrSendto, a, p.put('x'), 1, tt.flags, 0, 0)
		proc.Schedule(p.hart)
		if got := p.thread.X[arch.PC] == handler; got != tt.want {
			t.Errorf("type %d, flags %#x: SIGPIPE %v", tt.kind, tt.flags, got)
		}
		p.must(nrClose, a)
	}
}

// A network is a namespace that the program is in, with the test as its server.
type network struct {
	*caller
	server *inet.Server
}

func enter(p *caller) *network {
	p.t.Helper()
	n, err := inet.NewNamespace()
	if err != abi.OK {
		p.t.Fatal(err)
	}
	s, err := n.Serve()
	if err != abi.OK {
		p.t.Fatal(err)
	}
	fd, _ := p.thread.Files().Install(file.New(n, 0), 0, false)
	p.thread.Files().Install(file.New(s, abi.O_RDWR), 0, false)
	p.want(abi.EINVAL, "setns to another kind", nrSetns, uint64(fd), 0x20000000)
	p.must(nrSetns, uint64(fd), 0x40000000)
	p.must(nrClose, uint64(fd))
	return &network{p, s}
}

// next is the next record of an operation; descriptors beside it are returned.
func (n *network) next(op sockns.Op) (rec sockns.Record, r *unixsock.Rights) {
	n.t.Helper()
	var b [sockns.Size]byte
	r = new(unixsock.Rights)
	n.server.Recv(usertest.Out(b[:]), r, 0)
	if rec.Decode(&b); rec.Op != op {
		n.t.Fatalf("record %+v, want op %d", rec, op)
	}
	return rec, r
}

func (n *network) send(rec sockns.Record, r *unixsock.Rights) {
	var b [sockns.Size]byte
	rec.Encode(&b)
	n.server.Send(usertest.In(b[:]), r)
}

func (n *network) reply(to sockns.Record, err abi.Errno) {
	n.send(sockns.Record{Op: sockns.Reply, ID: to.ID, Seq: to.Seq, Errno: int32(err), Local: local, Remote: to.Remote}, nil)
}

var local = sockns.Address{Family: sockns.FamilyIP4, Port: 4000, IP: [16]byte{10, 0, 2, 15}}

// address is a struct sockaddr_in.
func (p *caller) address(port uint16, ip ...byte) uint64 {
	b := []byte{afInet, 0, byte(port >> 8), byte(port)}
	b = append(b, ip...)
	return p.put(append(b, make([]byte, 8)...)...)
}

// socket opens an inet socket; data is the server's end.
func (n *network) socket(kind unixsock.Type, flags uint64) (fd uint64, data *file.File) {
	n.t.Helper()
	fd = uint64(n.must(nrSocket, afInet, uint64(kind)|flags, 0))
	_, r := n.next(sockns.Open)
	return fd, r.Files[0]
}

// finish wakes the blocked call with the server's answer to op and returns the call's error.
func (n *network) finish(op sockns.Op, answer abi.Errno) abi.Errno {
	n.t.Helper()
	rec, _ := n.next(op)
	n.reply(rec, answer)
	_, err, blocked := n.woken()
	if blocked {
		n.t.Fatal("still blocked")
	}
	return err
}

func TestSocketRefusals(t *testing.T) {
	p := start(t)
	p.want(abi.EAFNOSUPPORT, "AF_INET outside a namespace", nrSocket, afInet, 1, 0)
	n := enter(p)
	for _, tt := range []struct {
		what                   string
		family, kind, protocol uint64
		want                   abi.Errno
	}{
		{"AF_INET6", 10, 1, 0, abi.EAFNOSUPPORT},
		{"AF_UNIX", afUnix, 1, 0, abi.EAFNOSUPPORT},
		{"AF_NETLINK", 16, 3, 0, abi.EAFNOSUPPORT},
		{"raw", afInet, 3, 1, abi.ESOCKTNOSUPPORT},
		{"UDP on a stream", afInet, 1, 17, abi.EPROTONOSUPPORT},
		{"TCP on datagrams", afInet, 2, 6, abi.EPROTONOSUPPORT},
		{"MPTCP", afInet, 1, 262, abi.EPROTONOSUPPORT},
		{"a type that is none", afInet, 12, 0, abi.EINVAL},
		{"unknown flags", afInet, 1 | 0x100, 0, abi.EINVAL},
	} {
		p.want(tt.want, tt.what, nrSocket, tt.family, tt.kind, tt.protocol)
	}
	fd, data := n.socket(unixsock.Stream, nonblock)
	r, _ := p.pipe()
	for _, nr := range []int{nrBind, nrListen, nrConnect, nrShutdown, nrGetsockname, nrGetpeername, nrSendto, nrRecvfrom, nrSetsockopt, nrGetsockopt, nrAccept4} {
		p.want(abi.EBADF, "a closed descriptor", nr, 99, base, 16, 0, 0, 0)
		p.want(abi.ENOTSOCK, "a pipe", nr, r, base, 16, 0, 0, 0)
	}
	good := p.address(80, 10, 0, 2, 2)
	six := p.put(10, 0, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	p.want(abi.EINVAL, "a short address", nrConnect, fd, good, 15)
	p.want(abi.EINVAL, "an address without a family", nrConnect, fd, good, 1)
	p.want(abi.EINVAL, "a huge address", nrConnect, fd, good, 1<<31)
	p.want(abi.EFAULT, "an address in nowhere", nrConnect, fd, 8, 16)
	p.want(abi.EAFNOSUPPORT, "an IPv6 address", nrConnect, fd, six, 28)
	p.want(abi.EAFNOSUPPORT, "bind to no family", nrBind, fd, p.room(16), 16)
	p.want(abi.ENOTCONN, "getpeername", nrGetpeername, fd, p.room(16), p.put(16, 0, 0, 0))
	p.want(abi.EINVAL, "accept without listen", nrAccept4, fd, 0, 0, 0)
	p.want(abi.EINVAL, "accept with unknown flags", nrAccept4, fd, 0, 0, 1)
	p.want(abi.EINVAL, "a negative length", nrGetsockname, fd, p.room(16), p.put(255, 255, 255, 255))
	data.Release()
}

func TestBindConnectAndNames(t *testing.T) {
	n := enter(start(t))
	fd, data := n.socket(unixsock.Stream, nonblock)
	defer data.Release()
	to := n.address(80, 10, 0, 2, 2)

	// Bind waits although the socket must not block: Linux's has an answer at once.
	if _, _, blocked := n.call(nrBind, fd, n.address(0, 0, 0, 0, 0), 16); !blocked {
		t.Fatal("bind without an answer")
	}
	if err := n.finish(sockns.Bind, abi.OK); err != abi.OK {
		t.Errorf("bind: %d", err)
	}
	at, length := n.room(16), n.put(9, 0, 0, 0)
	n.must(nrGetsockname, fd, at, length)
	if got := n.bytes(at, 16); string(got[:9]) != "\x02\x00\x0f\xa0\x0a\x00\x02\x0f\x00" || n.word(length) != 16 {
		t.Errorf("name % x, length %d", got, n.word(length))
	}

	n.want(abi.EINPROGRESS, "connect", nrConnect, fd, to, 16)
	n.want(abi.EALREADY, "connect again", nrConnect, fd, to, 16)
	rec, _ := n.next(sockns.Connect)
	n.reply(rec, abi.OK)
	value, size := n.room(4), n.put(4, 0, 0, 0)
	n.must(nrGetsockopt, fd, inet.SOL_SOCKET, inet.SO_ERROR, value, size)
	if n.word(value) != 0 {
		t.Errorf("SO_ERROR %d", n.word(value))
	}
	n.must(nrGetpeername, fd, at, n.put(16, 0, 0, 0))
	if got := n.bytes(at, 8); string(got) != "\x02\x00\x00\x50\x0a\x00\x02\x02" {
		t.Errorf("peer % x", got)
	}
	n.must(nrWrite, fd, n.put([]byte("hi")...), 2)
	n.must(nrShutdown, fd, 1)
	n.want(abi.EPIPE, "send after shutdown", nrSendto, fd, at, 1, unixsock.MSG_NOSIGNAL, 0, 0)

	blocking, data2 := n.socket(unixsock.Stream, 0)
	defer data2.Release()
	if _, _, blocked := n.call(nrConnect, blocking, to, 16); !blocked {
		t.Fatal("connect without an answer")
	}
	if err := n.finish(sockns.Connect, abi.ECONNREFUSED); err != abi.ECONNREFUSED {
		t.Errorf("connect: %d, want ECONNREFUSED", err)
	}
}

// TestServerIsSilent: a call that waits for the server ends with ETIMEDOUT, a blocking one on its own, a connect in any case.
func TestServerIsSilent(t *testing.T) {
	n := enter(start(t))
	fd, data := n.socket(unixsock.Datagram, nonblock)
	defer data.Release()
	for _, tt := range []struct {
		nr   int
		op   sockns.Op
		args []uint64
	}{{nrBind, sockns.Bind, []uint64{n.address(7, 0, 0, 0, 0), 16}}, {nrConnect, sockns.Connect, []uint64{n.address(7, 10, 0, 2, 2), 16}}} {
		began := proc.Now()
		if _, _, blocked := n.call(tt.nr, append([]uint64{fd}, tt.args...)...); !blocked {
			t.Fatal("an answer without a server")
		}
		if _, err, _ := n.woken(); err != abi.ETIMEDOUT || proc.Now()-began < inet.RequestTimeout {
			t.Errorf("op %d: %d after %d ns, want ETIMEDOUT", tt.op, err, proc.Now()-began)
		}
		rec, _ := n.next(tt.op)
		n.reply(rec, abi.OK) // too late
		at := n.room(16)
		n.must(nrGetsockname, fd, at, n.put(16, 0, 0, 0))
		if got := n.bytes(at, 8); string(got) != "\x02\x00\x00\x00\x00\x00\x00\x00" {
			t.Errorf("op %d: the late answer counts: % x", tt.op, got)
		}
	}
	stream, data2 := n.socket(unixsock.Stream, nonblock)
	defer data2.Release()
	n.want(abi.EINPROGRESS, "connect", nrConnect, stream, n.address(80, 10, 0, 2, 2), 16)
	began := proc.Now()
	n.must(nrFcntl, stream, 4, 0) // now it may block
	if _, _, blocked := n.call(nrRead, stream, n.room(4), 4); !blocked {
		t.Fatal("a read while connecting")
	}
	if _, err, _ := n.woken(); err != abi.ENOTCONN || proc.Now()-began < inet.ConnectTimeout {
		t.Errorf("read: %d after %d ns", err, proc.Now()-began)
	}
	value := n.room(4)
	n.must(nrGetsockopt, stream, inet.SOL_SOCKET, inet.SO_ERROR, value, n.put(4, 0, 0, 0))
	if abi.Errno(n.word(value)) != abi.ETIMEDOUT {
		t.Errorf("SO_ERROR %d, want ETIMEDOUT", n.word(value))
	}
}

// TestAcceptWithoutDescriptor: a connection for which there is no descriptor stays in the queue.
func TestAcceptWithoutDescriptor(t *testing.T) {
	n := enter(start(t))
	fd, data := n.socket(unixsock.Stream, 0)
	defer data.Release()
	n.call(nrListen, fd, 5)
	if err := n.finish(sockns.Listen, abi.OK); err != abi.OK {
		t.Fatal(err)
	}
	lowest := n.must(nrDup, fd)
	n.must(nrClose, uint64(lowest))
	if _, _, blocked := n.call(nrAccept4, fd, 0, 0, sockCloexec); !blocked {
		t.Fatal("accept of nothing")
	}
	if _, err := n.thread.Files().Get(int(lowest)); err != abi.EBADF {
		t.Error("the call that blocked keeps a descriptor")
	}
	f, _ := n.thread.Files().Get(int(fd))
	id := uint32(0)
	connection := func() {
		a, b, _ := unixsock.Pair(unixsock.Stream)
		var r unixsock.Rights
		r.Files[0], r.N = file.New(b, abi.O_RDWR), 1
		id++
		n.send(sockns.Record{Op: sockns.Accepted, ID: 1, Arg0: sockns.ServerID | id, Local: local, Remote: local}, &r)
		r.Release()
		a.Close()
	}
	connection()
	got, err, blocked := n.woken()
	if err != abi.OK || blocked || !n.thread.Files().CloseOnExec(int(got)) {
		t.Fatalf("accept: %d, %d, blocked %v", got, err, blocked)
	}
	last := uint64(0)
	for {
		v, err, _ := n.call(nrDup, uint64(got))
		if err != abi.OK {
			break
		}
		last = uint64(v)
	}
	connection()
	at, length := n.room(16), n.put(16, 0, 0, 0)
	n.want(abi.EMFILE, "accept without a descriptor", nrAccept4, fd, at, length, 0)
	n.must(nrClose, last)
	if f.Object.Ready() != abi.EPOLLIN {
		t.Fatal("the connection is lost")
	}
	if v := n.must(nrAccept4, fd, at, length, 0); uint64(v) != last || n.word(length) != 16 {
		t.Errorf("accept: %d, want %d", v, last)
	}
	n.must(nrClose, last)
	connection()
	n.want(abi.EFAULT, "accept with an address in nowhere", nrAccept4, fd, 8, length, 0)
}

func TestDatagramCalls(t *testing.T) {
	n := enter(start(t))
	fd, data := n.socket(unixsock.Datagram, nonblock)
	defer data.Release()
	theirs := data.Object.(*unixsock.Socket)
	to := n.address(7, 10, 0, 2, 2)
	n.want(abi.EDESTADDRREQ, "send to nowhere", nrSendto, fd, to, 4, 0, 0, 0)
	n.want(abi.EINVAL, "send to a short address", nrSendto, fd, to, 4, 0, to, 8)
	n.must(nrSendto, fd, n.put([]byte("ping")...), 4, 0, to, 16)
	got := make([]byte, 100)
	k, _ := theirs.Read(usertest.Out(got), 0)
	var a sockns.Address
	if a.Decode((*[sockns.AddressSize]byte)(got)); a.Port != 7 || string(got[sockns.AddressSize:k]) != "ping" {
		t.Errorf("the server got %q to %+v", got[:k], a)
	}
	for range 2 {
		theirs.Write(usertest.In(got[:k]), 0)
	}
	at, length := n.room(16), n.put(6, 0, 0, 0)
	body := n.room(2)
	if v := n.must(nrRecvfrom, fd, body, 2, unixsock.MSG_TRUNC, at, length); v != 4 || n.word(length) != 16 {
		t.Errorf("recvfrom: %d, address of %d bytes", v, n.word(length))
	}
	if got := n.bytes(at, 8); string(got) != "\x02\x00\x00\x07\x0a\x00\x00\x00" {
		t.Errorf("source % x, want its first 6 bytes", got)
	}
	m := n.message(body, 2, 0, 0)
	if v := n.must(nrRecvmsg, fd, m, 0); v != 2 || n.word(m+msgFlags) != unixsock.MSG_TRUNC {
		t.Errorf("recvmsg: %d, flags %#x", v, n.word(m+msgFlags))
	}
	n.want(abi.EAGAIN, "recvfrom of nothing", nrRecvfrom, fd, body, 2, 0, 0, 0)
}

func TestOptionCalls(t *testing.T) {
	n := enter(start(t))
	fd, data := n.socket(unixsock.Stream, nonblock)
	defer data.Release()
	a, _ := n.pair(unixsock.Seqpacket, 0)
	one, value := n.put(1, 0, 0, 0, 0, 0, 0, 0), n.room(8)
	n.must(nrSetsockopt, fd, inet.IPPROTO_TCP, 1, one, 4)
	n.next(sockns.Option)
	n.want(abi.EINVAL, "2 bytes", nrSetsockopt, fd, inet.IPPROTO_TCP, 1, one, 2)
	n.want(abi.EFAULT, "nowhere", nrSetsockopt, fd, inet.IPPROTO_TCP, 1, 8, 4)
	n.want(abi.ENOPROTOOPT, "an unknown option", nrSetsockopt, fd, inet.SOL_SOCKET, 999, one, 4)
	n.want(abi.ENOPROTOOPT, "an option of AF_UNIX", nrSetsockopt, a, inet.SOL_SOCKET, 7, one, 4)
	n.want(abi.EOPNOTSUPP, "a level of AF_UNIX", nrSetsockopt, a, inet.IPPROTO_TCP, 1, one, 4)
	n.must(nrSetsockopt, fd, inet.SOL_SOCKET, inet.SO_LINGER, one, 8)
	n.want(abi.EINVAL, "SO_LINGER of 4 bytes", nrSetsockopt, fd, inet.SOL_SOCKET, inet.SO_LINGER, one, 4)
	for _, tt := range []struct {
		fd          uint64
		level, name uint64
		size, want  uint32
	}{
		{fd, inet.IPPROTO_TCP, 1, 4, 1},
		{fd, inet.SOL_SOCKET, inet.SO_TYPE, 4, 1},
		{fd, inet.SOL_SOCKET, inet.SO_LINGER, 8, 1},
		{a, inet.SOL_SOCKET, inet.SO_TYPE, 4, uint32(unixsock.Seqpacket)},
		{a, inet.SOL_SOCKET, inet.SO_DOMAIN, 4, afUnix},
		{a, inet.SOL_SOCKET, inet.SO_ERROR, 4, 0},
	} {
		length := n.put(100, 0, 0, 0)
		n.must(nrGetsockopt, tt.fd, tt.level, tt.name, value, length)
		if n.word(value) != tt.want || n.word(length) != tt.size {
			t.Errorf("option %d/%d: %d in %d bytes, want %d in %d", tt.level, tt.name, n.word(value), n.word(length), tt.want, tt.size)
		}
	}
	length := n.put(1, 0, 0, 0)
	n.thread.Memory().Store(value, []byte{9, 9, 9, 9})
	n.must(nrGetsockopt, fd, inet.SOL_SOCKET, inet.SO_TYPE, value, length)
	if n.word(value) != 0x09090901 || n.word(length) != 1 {
		t.Errorf("one byte of an option: %#x in %d", n.word(value), n.word(length))
	}
	n.want(abi.EINVAL, "a negative length", nrGetsockopt, fd, inet.SOL_SOCKET, inet.SO_TYPE, value, n.put(255, 255, 255, 255))
}

// TestWaitAll: MSG_WAITALL of a stream waits until the buffer is full, the end, or descriptors; recv(2) and unix(7).
func TestWaitAll(t *testing.T) {
	p := start(t)
	a, b := p.pair(unixsock.Stream, 0)
	r, _ := p.pipe()
	send := func(text string) { p.must(nrSendto, a, p.put([]byte(text)...), uint64(len(text)), 0, 0, 0) }
	to := p.room(16)
	recv := func(flags uint64) (int64, abi.Errno, bool) {
		p.thread.Memory().Store(to, make([]byte, 16))
		return p.call(nrRecvfrom, b, to, 8, unixsock.MSG_WAITALL|flags, 0, 0)
	}
	want := func(what, text string, n int64, err abi.Errno, blocked bool) {
		t.Helper()
		if got := string(p.bytes(to, len(text))); blocked || err != abi.OK || n != int64(len(text)) || got != text {
			t.Errorf("%s: %d, error %d, blocked %v, %q, want %q", what, n, err, blocked, got, text)
		}
	}
	send("01234567")
	n, err, blocked := recv(0)
	want("all is there", "01234567", n, err, blocked)
	send("012")
	n, err, blocked = recv(unixsock.MSG_DONTWAIT)
	want("must not wait", "012", n, err, blocked)
	send("345")
	n, err, blocked = recv(unixsock.MSG_PEEK)
	want("peek", "345", n, err, blocked)

	f, _ := p.thread.Files().Get(int(a))
	sender := f.Object.(*unixsock.Socket)
	if _, _, blocked = recv(0); !blocked {
		t.Fatal("does not wait for the rest")
	}
	sender.Write(usertest.In([]byte("67")), 0)
	if _, _, blocked = p.woken(); !blocked {
		t.Fatal("does not wait for the rest of the rest")
	}
	sender.Write(usertest.In([]byte("89abc")), 0)
	n, err, blocked = p.woken()
	want("in three pieces", "3456789a", n, err, blocked)
	control, size := p.rights(r)
	p.must(nrSendmsg, a, p.message(p.put('d'), 1, control, size), 0)
	n, err, blocked = recv(0)
	want("up to descriptors", "bcd", n, err, blocked)
	if _, _, blocked = recv(0); !blocked {
		t.Fatal("does not wait")
	}
	sender.Write(usertest.In([]byte("e")), 0)
	if _, _, blocked = p.woken(); !blocked {
		t.Fatal("does not wait for the end")
	}
	sender.Shutdown(1)
	n, err, blocked = p.woken()
	want("up to the end", "e", n, err, blocked)
}
