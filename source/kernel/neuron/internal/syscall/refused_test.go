package syscall

import (
	"encoding/binary"
	"fmt"
	"testing"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/mem"
	"nexus/source/kernel/neuron/internal/memfd"
	"nexus/source/kernel/neuron/internal/proc"
	"nexus/source/kernel/neuron/internal/unixsock"
	"nexus/source/kernel/neuron/internal/vm"
)

const (
	nrEventfd2, nrEpollCreate1, nrEpollCtl = 19, 20, 21
	nrPwrite64                             = 68
	nrMunmap, nrMmap, nrMprotect           = 215, 222, 226
)

// memfd is a new file of n zeros.
func (p *caller) memfd(n uint64) uint64 {
	p.t.Helper()
	m, _ := memfd.New()
	fd, _ := p.thread.Files().Install(file.New(m, abi.O_RDWR), 0, false)
	p.must(nrFtruncate, uint64(fd), n)
	return uint64(fd)
}

// TestFirstRefusal: of several things that are wrong Linux names one, always the same.
func TestFirstRefusal(t *testing.T) {
	const closed, bad = 77, 8
	p := start(t)
	r, w := p.pipe()
	m := p.memfd(0)
	e := uint64(p.must(nrEpollCreate1, 0))
	event := p.room(16)
	minus := ^uint64(0)
	for _, tt := range []struct {
		what string
		want abi.Errno
		n    int
		args []uint64
	}{
		{"pread64 of what is closed at -1", abi.EINVAL, nrPread64, []uint64{closed, 0, 0, minus}},
		{"pread64 of what is closed", abi.EBADF, nrPread64, []uint64{closed, 0, 0, 0}},
		{"pread64 of a pipe's other end", abi.ESPIPE, nrPread64, []uint64{w, 0, 0, 0}},
		{"pwrite64 to what is closed at -1", abi.EINVAL, nrPwrite64, []uint64{closed, 0, 0, minus}},
		{"pwrite64 to a pipe at -1", abi.EINVAL, nrPwrite64, []uint64{w, 0, 0, minus}},
		{"pwrite64 to a pipe's other end", abi.ESPIPE, nrPwrite64, []uint64{r, 0, 0, 0}},
		{"ftruncate of what is closed to -1", abi.EINVAL, nrFtruncate, []uint64{closed, minus}},
		{"ftruncate of what is closed", abi.EBADF, nrFtruncate, []uint64{closed, 0}},
		{"epoll_ctl of what is closed with a bad event", abi.EFAULT, nrEpollCtl, []uint64{closed, 1, r, bad}},
		{"epoll_ctl of what is no instance, for what is closed", abi.EBADF, nrEpollCtl, []uint64{r, 1, closed, event}},
		{"epoll_ctl of what is no instance, for a file", abi.EPERM, nrEpollCtl, []uint64{r, 1, m, event}},
		{"epoll_ctl of what is no instance", abi.EINVAL, nrEpollCtl, []uint64{r, 1, w, event}},
		{"epoll_ctl to do what it cannot, for a file", abi.EPERM, nrEpollCtl, []uint64{e, 99, m, event}},
		{"readv of too many", abi.EINVAL, nrReadv, []uint64{w, event, 1025}},
		{"readv of nothing from a writing end", abi.EBADF, nrReadv, []uint64{w, 0, 0}},
		{"writev of nothing to a reading end", abi.EBADF, nrWritev, []uint64{r, 0, 0}},
		{"readv of nothing from what cannot be read", abi.EINVAL, nrReadv, []uint64{e, 0, 0}},
		{"writev of nothing to what cannot be written", abi.EINVAL, nrWritev, []uint64{e, 0, 0}},
		{"pread64 beyond the largest position", abi.EINVAL, nrPread64, []uint64{m, base, 8, 1<<63 - 8}},
		{"pwrite64 beyond the largest position", abi.EINVAL, nrPwrite64, []uint64{m, base, 1, 1<<63 - 1}},
		{"waitid with options that it does not know", abi.EINVAL, nrWaitid, []uint64{waitAll, 0, 0, waitExited | 1<<20, 0}},
		{"waitid without children", abi.ECHILD, nrWaitid, []uint64{waitAll, 0, 0, waitExited | waitNoHang | waitNoReap, 0}},
		{"sched_getaffinity of a stranger", abi.ESRCH, nrGetaffinity, []uint64{4000, 8, event}},
		{"prlimit64 of a stranger", abi.ESRCH, nrPrlimit64, []uint64{4000, 7, 0, event}},
		{"mprotect at an odd address", abi.EINVAL, nrMprotect, []uint64{base + 1, 0, 0x100}},
		{"mprotect with bits that it does not know", abi.EINVAL, nrMprotect, []uint64{base, mem.PageSize, 0x10}},
		{"mprotect of what is behind all programs", abi.ENOMEM, nrMprotect, []uint64{1 << 40, mem.PageSize, 1}},
		{"mprotect of a size that wraps", abi.ENOMEM, nrMprotect, []uint64{base, minus, 1}},
		{"mprotect from memory to behind all programs", abi.ENOMEM, nrMprotect, []uint64{base, 1 << 50, 3}},
	} {
		p.want(tt.want, tt.what, tt.n, tt.args...)
	}
	p.must(nrPread64, m, base, 8, 1<<63-9)
	p.must(nrPread64, m, base, 0, 1<<63-1)
	p.must(nrGetaffinity, uint64(p.thread.ID), 8, event)
	p.must(nrPrlimit64, uint64(p.thread.Process.ID), 7, 0, event)
	p.must(nrMprotect, base, 0, 0x100)
	p.must(nrMprotect, base, mem.PageSize, 8|3) // PROT_SEM
}

// TestVectorsWithoutBytes are 0 whatever a call without any would say.
func TestVectorsWithoutBytes(t *testing.T) {
	p := start(t)
	_, w := p.pipe()
	r, full := p.pipe()
	p.must(nrClose, r) // EPIPE
	count := uint64(p.must(nrEventfd2, 1, 0))
	s, peer := p.pair(unixsock.Seqpacket, nonblock)
	empty := p.vector(base, 0, 3)
	for _, fd := range []uint64{w, full, count, s} {
		for n := range uint64(4) {
			if got := p.must(nrWritev, fd, empty, n); got != 0 {
				t.Errorf("writev of %d to descriptor %d: %d", n, fd, got)
			}
		}
	}
	for _, fd := range []uint64{count, peer} {
		if got := p.must(nrReadv, fd, empty, 3); got != 0 {
			t.Errorf("readv from descriptor %d: %d", fd, got)
		}
	}
	p.want(abi.EAGAIN, "a packet that nobody has sent", nrRead, peer, p.room(1), 1)
	p.want(abi.EINVAL, "read of no byte from an eventfd", nrRead, count, 0, 0)
}

// TestNumbersOfAnEventfd: writev gives it one buffer after the other.
func TestNumbersOfAnEventfd(t *testing.T) {
	const one, most = 1, 1<<64 - 2
	p := start(t)
	numbers := p.put(binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, one), most)...)
	add, fill := numbers, numbers+8
	for _, tt := range []struct {
		what    string
		vectors [][2]uint64
		n       int64
		err     abi.Errno
		value   uint64
	}{
		{"two numbers", [][2]uint64{{add, 8}, {add, 8}}, 16, abi.OK, 3},
		{"one in two halves", [][2]uint64{{add, 4}, {add + 4, 4}}, 0, abi.EINVAL, 1},
		{"one and a half", [][2]uint64{{add, 8}, {add, 4}, {add, 8}}, 8, abi.OK, 2},
		{"one that begins with nothing", [][2]uint64{{add, 0}, {add, 8}}, 0, abi.EINVAL, 1},
		{"two with nothing between", [][2]uint64{{add, 8}, {add, 0}, {add, 8}, {add, 0}}, 16, abi.OK, 3},
		{"one and one too many", [][2]uint64{{add, 8}, {fill, 8}}, 8, abi.OK, 2},
		{"one that is not there", [][2]uint64{{add, 8}, {8, 8}}, 8, abi.OK, 2},
	} {
		fd := uint64(p.must(nrEventfd2, one, nonblock))
		var list []byte
		for _, v := range tt.vectors {
			list = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(list, v[0]), v[1])
		}
		n, err, blocked := p.call(nrWritev, fd, p.put(list...), uint64(len(tt.vectors)))
		if blocked {
			n, err, _ = p.finish()
		}
		at := p.room(8)
		p.must(nrRead, fd, at, 8)
		if n != tt.n || err != tt.err || uint64(p.word(at)) != tt.value {
			t.Errorf("%s: %d, error %d, then %d, want %d, error %d, then %d", tt.what, n, err, p.word(at), tt.n, tt.err, tt.value)
		}
		p.must(nrClose, fd)
	}
}

// TestNumbersThatWait: a write that waits for room goes on with the number that it waits with.
func TestNumbersThatWait(t *testing.T) {
	p := start(t)
	add := p.put(binary.LittleEndian.AppendUint64(nil, 1)...)
	fill := p.put(binary.LittleEndian.AppendUint64(nil, 1<<64-2)...)
	fd := uint64(p.must(nrEventfd2, 0, 0))
	list := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, fill), 8)
	list = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(list, add), 8)
	_, _, blocked := p.call(nrWritev, fd, p.put(list...), 2)
	if blocked {
		_, _, blocked = p.woken()
	}
	if !blocked {
		t.Fatal("a full eventfd takes more")
	}
	other := p.second()
	other.must(nrRead, fd, p.room(8), 8)
	proc.Schedule(p.hart)
	if n, err, _ := p.again(); n != 16 || err != abi.OK {
		t.Errorf("woken: %d, error %d, want 16", n, err)
	}
	at := p.room(8)
	p.must(nrRead, fd, at, 8)
	if p.word(at) != 1 {
		t.Errorf("%d is left, want 1", p.word(at))
	}
	other.thread.Exit(0)
}

// TestNobodyReads: a pipe tells by SIGPIPE even who has written something, a stream only who has not, packets nobody.
func TestNobodyReads(t *testing.T) {
	const handler = 0x2000
	for _, tt := range []struct {
		what    string
		kind    unixsock.Type // 0 for a pipe
		waits   bool          // the reader goes away while a large write waits
		err     abi.Errno
		signals bool
	}{
		{"a pipe", 0, false, abi.EPIPE, true},
		{"a pipe, in the middle", 0, true, abi.OK, true},
		{"a stream", unixsock.Stream, false, abi.EPIPE, true},
		{"a stream, in the middle", unixsock.Stream, true, abi.OK, false},
		{"packets", unixsock.Seqpacket, false, abi.EPIPE, false},
	} {
		t.Run(tt.what, func(t *testing.T) {
			p := start(t)
			p.thread.Process.Action(proc.SIGPIPE).Handler = handler
			r, w := p.pipe()
			if tt.kind != 0 {
				r, w = p.pair(tt.kind, 0)
			}
			big, size := p.room(4*capacity), uint64(4*capacity)
			if !tt.waits {
				p.must(nrClose, r)
				size = 1
			}
			n, err, blocked := p.call(nrWrite, w, big, size)
			if blocked != tt.waits {
				t.Fatalf("asleep %v", blocked)
			}
			if blocked {
				other := p.second()
				other.must(nrClose, r)
				proc.Schedule(p.hart)
				n, err, _ = p.again()
				other.thread.Exit(0)
			}
			if err != tt.err || (n > 0) != tt.waits || n == 4*capacity {
				t.Errorf("%d, error %d", n, err)
			}
			if got := p.thread.Signalled(); got != tt.signals {
				t.Errorf("SIGPIPE %v, want %v", got, tt.signals)
			}
		})
	}
}

// TestShutDatagrams: their end is for those who would wait for more.
func TestShutDatagrams(t *testing.T) {
	for _, tt := range []struct {
		what  string
		kind  unixsock.Type
		flags uint64 // of the socket
		how   uint64 // of the message
		want  abi.Errno
	}{
		{"datagrams", unixsock.Datagram, 0, 0, abi.OK},
		{"datagrams, not waiting", unixsock.Datagram, 0, unixsock.MSG_DONTWAIT, abi.EAGAIN},
		{"datagrams of a socket that never waits", unixsock.Datagram, nonblock, 0, abi.EAGAIN},
		{"packets, not waiting", unixsock.Seqpacket, nonblock, unixsock.MSG_DONTWAIT, abi.OK},
		{"a stream, not waiting", unixsock.Stream, nonblock, unixsock.MSG_DONTWAIT, abi.OK},
	} {
		t.Run(tt.what, func(t *testing.T) {
			p := start(t)
			s, peer := p.pair(tt.kind, tt.flags)
			at := p.room(8)
			p.must(nrSendto, peer, at, 3, 0, 0, 0)
			p.must(nrShutdown, s, 0)
			if n := p.must(nrRead, s, at, 8); n != 3 {
				t.Errorf("%d bytes, want what was there", n)
			}
			p.want(tt.want, "recvfrom", nrRecvfrom, s, at, 8, tt.how, 0, 0)
			p.want(tt.want, "recvmsg", nrRecvmsg, s, p.message(at, 8, 0, 0), tt.how)
			if tt.flags != 0 || tt.how == 0 {
				p.want(tt.want, "read", nrRead, s, at, 8)
				p.want(tt.want, "readv", nrReadv, s, p.vector(at, 8, 1), 1)
			}
		})
	}
}

// TestShutWhileItWaits: who waits for a datagram already is told the end.
func TestShutWhileItWaits(t *testing.T) {
	p := start(t)
	s, _ := p.pair(unixsock.Datagram, 0)
	if _, _, blocked := p.call(nrRead, s, p.room(8), 8); !blocked {
		t.Fatal("read of nothing")
	}
	other := p.second()
	other.must(nrShutdown, s, 0)
	proc.Schedule(p.hart)
	if n, err, blocked := p.again(); n != 0 || err != abi.OK || blocked {
		t.Errorf("woken: %d, error %d, asleep %v, want the end", n, err, blocked)
	}
	other.thread.Exit(0)
}

// TestAddressesOfPairs: what a socket without a name says of an address that it should send to.
func TestAddressesOfPairs(t *testing.T) {
	p := start(t)
	inet := p.address(80, 127, 0, 0, 1)
	path := p.put(append([]byte{afUnix, 0}, "/none\x00"...)...)
	abstract := p.put(append([]byte{afUnix, 0, 0}, "none"...)...)
	for _, tt := range []struct {
		what                     string
		at, size                 uint64
		stream, packet, datagram abi.Errno
	}{
		{"none", inet, 0, abi.OK, abi.OK, abi.OK},
		{"another family's", inet, 16, abi.EISCONN, abi.OK, abi.EINVAL},
		{"a family alone", path, 2, abi.EISCONN, abi.OK, abi.EINVAL},
		{"half a family", path, 1, abi.EISCONN, abi.OK, abi.EINVAL},
		{"a path", path, 8, abi.EISCONN, abi.OK, abi.ENOENT},
		{"an abstract name", abstract, 7, abi.EISCONN, abi.OK, abi.ECONNREFUSED},
		{"one that is too long", path, 111, abi.EISCONN, abi.OK, abi.EINVAL},
		{"one that is longer than any", path, 129, abi.EINVAL, abi.EINVAL, abi.EINVAL},
		{"one that is not there", 8, 16, abi.EFAULT, abi.EFAULT, abi.EFAULT},
	} {
		for kind, want := range map[unixsock.Type]abi.Errno{
			unixsock.Stream: tt.stream, unixsock.Seqpacket: tt.packet, unixsock.Datagram: tt.datagram} {
			a, b := p.pair(kind, nonblock)
			p.want(want, tt.what, nrSendto, a, tt.at, 1, 0, tt.at, tt.size)
			control, size := p.rights(77)
			m := p.message(inet, 1, control, size)
			p.thread.Memory().Store(m, p.bytes(p.put(binary.LittleEndian.AppendUint64(nil, inet)...), 8))
			p.thread.Memory().Store(m+msgNameLen, []byte{16})
			p.want(abi.EBADF, "a descriptor that is closed comes first", nrSendmsg, a, m, 0)
			p.must(nrClose, a)
			p.must(nrClose, b)
		}
	}
}

// TestGoneDatagramPeer: a datagram socket has a peer until a send finds that it has not.
func TestGoneDatagramPeer(t *testing.T) {
	for kind, want := range map[unixsock.Type]abi.Errno{
		unixsock.Stream: abi.OK, unixsock.Seqpacket: abi.OK, unixsock.Datagram: abi.ENOTCONN} {
		t.Run(fmt.Sprint("type ", kind), func(t *testing.T) {
			p := start(t)
			s, peer := p.pair(kind, nonblock)
			at := p.room(16)
			size := p.put(16, 0, 0, 0)
			p.must(nrClose, peer)
			p.must(nrGetpeername, s, at, size)
			p.call(nrSendto, s, at, 1, unixsock.MSG_NOSIGNAL, 0, 0)
			if _, err, _ := p.call(nrGetpeername, s, at, size); err != want {
				t.Errorf("getpeername: error %d, want %d", err, want)
			}
			p.must(nrGetsockname, s, at, size)
		})
	}
}

// TestErrorComesBeforeDescriptors: what has happened to a socket for sequenced packets is told before what a message has beside it.
func TestErrorComesBeforeDescriptors(t *testing.T) {
	p := start(t)
	s, peer := p.pair(unixsock.Seqpacket, nonblock)
	at := p.room(8)
	p.must(nrSendto, s, at, 1, 0, 0, 0)
	p.must(nrClose, peer) // with what it has not read
	control, size := p.rights(77)
	m := p.message(at, 1, control, size)
	p.want(abi.ECONNRESET, "first", nrSendmsg, s, m, 0)
	p.want(abi.EBADF, "then", nrSendmsg, s, m, 0)
}

// TestClassesOfEvents: what poll tells beside EPOLLIN and EPOLLOUT can be asked for and waited for without them.
func TestClassesOfEvents(t *testing.T) {
	const all = abi.EPOLLRDNORM | abi.EPOLLWRNORM | abi.EPOLLWRBAND | abi.EPOLLPRI
	p := start(t)
	r, w := p.pipe()
	s, peer := p.pair(unixsock.Seqpacket, 0)
	count := uint64(p.must(nrEventfd2, 1, 0))
	ask := func(fd uint64, want abi.Events) (value int64, got abi.Events, blocked bool) {
		at := p.put(byte(fd), 0, 0, 0, byte(want), byte(want>>8), 0, 0)
		value, _, blocked = p.call(nrPpoll, at, 1, 0, 0, 0)
		return value, abi.Events(p.word(at+4) >> 16), blocked
	}
	if n, got, _ := ask(w, all); n != 1 || got != abi.EPOLLWRNORM {
		t.Errorf("a pipe with room: %d, %#x", n, got)
	}
	if n, got, _ := ask(s, all); n != 1 || got != abi.EPOLLWRNORM|abi.EPOLLWRBAND {
		t.Errorf("a socket with room: %d, %#x", n, got)
	}
	if n, got, _ := ask(count, all|abi.EPOLLIN); n != 1 || got != abi.EPOLLIN {
		t.Errorf("an eventfd: %d, %#x", n, got)
	}
	at := p.put(byte(r), 0, 0, 0, byte(abi.EPOLLRDNORM), 0, 0, 0)
	e := uint64(p.must(nrEpollCreate1, 0))
	event := p.put(byte(abi.EPOLLRDNORM), 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0)
	p.must(nrEpollCtl, e, 1, s, event)
	for _, tt := range []struct {
		what   string
		args   []uint64
		n      int
		writer uint64
	}{
		{"ppoll", []uint64{at, 1, 0, 0, 0}, nrPpoll, w},
		{"epoll_pwait", []uint64{e, event, 1, 1<<64 - 1, 0, 8}, nrEpollPwait, peer},
	} {
		if _, _, blocked := p.call(tt.n, tt.args...); !blocked {
			t.Fatalf("%s: nothing to read, and does not wait", tt.what)
		}
		other := p.second()
		other.must(nrWrite, tt.writer, base, 1)
		proc.Schedule(p.hart)
		if n, err, blocked := p.again(); n != 1 || err != abi.OK || blocked {
			t.Errorf("%s: %d, error %d, asleep %v", tt.what, n, err, blocked)
		}
		other.thread.Exit(0)
	}
	if got := abi.Events(p.word(event)); got != abi.EPOLLRDNORM {
		t.Errorf("epoll_pwait tells %#x", got)
	}
}

// TestAddressOfNobody: a socket that cannot send says so before it looks for whom.
func TestAddressOfNobody(t *testing.T) {
	p := start(t)
	s, _ := p.pair(unixsock.Datagram, nonblock)
	path := p.put(append([]byte{afUnix, 0}, "/none\x00"...)...)
	p.want(abi.EMSGSIZE, "too much", nrSendto, s, base, unixsock.MaxMessage+1, 0, path, 8)
	p.must(nrShutdown, s, 1)
	p.want(abi.EPIPE, "shut down", nrSendto, s, base, 1, 0, path, 8)
	p.want(abi.EINVAL, "no address", nrSendto, s, base, 1, 0, path, 2)
}

// TestExecutableFiles: a memfd's memory can be executed, as on Linux.
func TestExecutableFiles(t *testing.T) {
	p := start(t)
	fd := p.memfd(mem.PageSize)
	for _, flags := range []uint64{mapShared, mapPrivate} {
		at := uint64(p.must(nrMmap, 0, mem.PageSize, 5, flags, fd, 0))
		if f := p.thread.Process.Space.Touch(at, vm.Exec); f != vm.FaultNone {
			t.Errorf("flags %d: fault %d", flags, f)
		}
		p.must(nrMprotect, at, mem.PageSize, 1)
		p.must(nrMprotect, at, mem.PageSize, 5)
		p.must(nrMunmap, at, mem.PageSize)
	}
}
