package syscall

import (
	"slices"
	"strings"
	"testing"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/proc"
)

const (
	nrEpollPwait, nrIoctl, nrPipe2, nrLseek = 22, 29, 59, 62
	nrSplice, nrFsync                       = 76, 82
	nrGetgroups, nrGetresuid                = 158, 148

	closed = 77 // a descriptor that nobody has
)

// TestLseek: lseek(2).
func TestLseek(t *testing.T) {
	const set, current, end, data, hole = 0, 1, 2, 3, 4
	p := start(t)
	fd := p.memfd(100)
	for _, tt := range []struct {
		offset, whence uint64
		want           int64
	}{{10, set, 10}, {5, current, 15}, {1<<64 - 6, current, 9}, {1<<64 - 1, end, 99}, {0, end, 100}, {7, end, 107}, {0, set, 0}} {
		if got := p.must(nrLseek, fd, tt.offset, tt.whence); got != tt.want {
			t.Errorf("lseek(%d, %d): %d, want %d", int64(tt.offset), tt.whence, got, tt.want)
		}
	}
	p.must(nrLseek, fd, 40, set)
	p.want(abi.EINVAL, "before the begin", nrLseek, fd, 1<<64-1, set)
	p.want(abi.EINVAL, "before the begin", nrLseek, fd, 1<<64-41, current)
	p.want(abi.EINVAL, "before the begin", nrLseek, fd, 1<<64-101, end)
	p.want(abi.EINVAL, "from somewhere else", nrLseek, fd, 0, 5)
	p.want(abi.EINVAL, "data, which is not looked for", nrLseek, fd, 0, data)
	if got := p.must(nrLseek, fd, 0, current); got != 40 {
		t.Errorf("at %d after what was refused, want 40", got)
	}
	r, _ := p.pipe()
	p.want(abi.ESPIPE, "a pipe", nrLseek, r, 0, set)
	p.want(abi.ESPIPE, "a hole of a pipe", nrLseek, r, 0, hole)
	p.want(abi.EINVAL, "a pipe, from somewhere else", nrLseek, r, 0, hole+1)
	p.want(abi.EBADF, "a closed descriptor", nrLseek, closed, 0, set)
	for _, fd := range []uint64{uint64(p.must(nrEventfd2, 0, 0)), uint64(p.must(nrEpollCreate1, 0))} {
		if got := p.must(nrLseek, fd, 7, set); got != 0 {
			t.Errorf("what has no position moves to %d", got)
		}
	}
}

// TestDuplicates: dup(2), dup3(2) and fcntl(2): the lowest free descriptor, one description, close-on-exec of each descriptor alone.
func TestDuplicates(t *testing.T) {
	const dupFD, getFD, setFD, getFL, setFL, dupFDCloexec = 0, 1, 2, 3, 4, 1030
	p := start(t)
	r, w := p.pipe()
	if got := p.must(nrDup, r); got != 2 {
		t.Errorf("dup: %d, want 2", got)
	}
	if got := p.must(nrFcntl, r, dupFD, 10); got != 10 {
		t.Errorf("F_DUPFD: %d, want 10", got)
	}
	if got := p.must(nrFcntl, r, dupFDCloexec, 10); got != 11 {
		t.Errorf("F_DUPFD_CLOEXEC: %d, want 11", got)
	}
	if got := p.must(nrDup3, w, 5, abi.O_CLOEXEC); got != 5 {
		t.Errorf("dup3: %d, want 5", got)
	}
	for fd, want := range map[uint64]int64{r: 0, 2: 0, 10: 0, 11: 1, 5: 1, w: 0} {
		if got := p.must(nrFcntl, fd, getFD); got != want {
			t.Errorf("descriptor %d: FD_CLOEXEC %d, want %d", fd, got, want)
		}
	}
	p.must(nrFcntl, 11, setFD, 2) // of which bit 0 counts
	p.must(nrFcntl, 10, setFD, 1)
	if a, b := p.must(nrFcntl, 11, getFD), p.must(nrFcntl, 10, getFD); a != 0 || b != 1 {
		t.Errorf("F_SETFD: %d and %d, want 0 and 1", a, b)
	}
	p.must(nrDup3, w, 10, 0)
	if got := p.must(nrFcntl, 10, getFD); got != 0 {
		t.Errorf("dup3 without O_CLOEXEC: %d", got)
	}
	if got := p.must(nrFcntl, w, getFL); got != abi.O_WRONLY|abi.O_LARGEFILE {
		t.Errorf("F_GETFL: %#o", got)
	}
	p.must(nrFcntl, w, setFL, abi.O_NONBLOCK|abi.O_APPEND|abi.O_RDWR|abi.O_CREAT)
	if got := p.must(nrFcntl, 5, getFL); got != abi.O_WRONLY|abi.O_LARGEFILE|abi.O_NONBLOCK|abi.O_APPEND {
		t.Errorf("F_SETFL by another descriptor: %#o, want what can be set", got)
	}
	p.must(nrFcntl, 5, setFL, 0)
	if got := p.must(nrFcntl, w, getFL); got != abi.O_WRONLY|abi.O_LARGEFILE {
		t.Errorf("F_SETFL to nothing: %#o", got)
	}
	p.want(abi.EINVAL, "a command that it does not know", nrFcntl, r, 999)
	p.want(abi.EBADF, "fcntl of what is closed", nrFcntl, closed, getFD)
	p.want(abi.EINVAL, "F_DUPFD from beyond the last", nrFcntl, r, dupFD, file.MaxDescriptors)
	p.want(abi.EINVAL, "F_DUPFD from below the first", nrFcntl, r, dupFD, 1<<64-1)
	p.want(abi.EBADF, "dup of what is closed", nrDup, closed)
	p.want(abi.EINVAL, "dup3 to itself", nrDup3, r, r, 0)
	p.want(abi.EINVAL, "dup3 with other flags", nrDup3, r, 7, abi.O_NONBLOCK)
	p.want(abi.EBADF, "dup3 of what is closed", nrDup3, closed, 7, 0)
	p.want(abi.EBADF, "dup3 to beyond the last", nrDup3, r, file.MaxDescriptors, 0)
	p.want(abi.EBADF, "close of what is closed", nrClose, closed)
	for {
		if _, err, _ := p.call(nrDup, r); err != abi.OK {
			if err != abi.EMFILE {
				t.Errorf("the last dup: error %d, want EMFILE", err)
			}
			break
		}
	}
	p.want(abi.EMFILE, "one file more", nrEventfd2, 0, 0)
	p.must(nrClose, 9)
	at := p.room(8)
	p.want(abi.EMFILE, "two, of which one has a descriptor", nrPipe2, at, 0)
	if got := p.must(nrEventfd2, 0, 0); got != 9 {
		t.Errorf("the descriptor of a pipe that was not made is lost: %d is the lowest free, want 9", got)
	}
}

// TestReadsAndWrites: read(2), write(2): the access mode, the position, the end, and files that are appended to.
func TestReadsAndWrites(t *testing.T) {
	p := start(t)
	fd := p.memfd(0)
	text, at := p.put([]byte("0123456789")...), p.room(32)
	p.must(nrWrite, fd, text, 10)
	if n := p.must(nrRead, fd, at, 10); n != 0 {
		t.Errorf("%d bytes behind the end", n)
	}
	p.must(nrLseek, fd, 4, 0)
	if n := p.must(nrRead, fd, at, 3); n != 3 || string(p.bytes(at, 3)) != "456" {
		t.Errorf("%d bytes, %q, want 456", n, p.bytes(at, 3))
	}
	if n := p.must(nrRead, fd, at, 30); n != 3 || string(p.bytes(at, 3)) != "789" {
		t.Errorf("%d bytes, %q, want the rest", n, p.bytes(at, 3))
	}
	p.must(nrPwrite64, fd, text, 2, 8)
	p.must(nrLseek, fd, 0, 0)
	f, _ := p.thread.Files().Get(int(fd))
	f.Flags |= abi.O_APPEND
	p.must(nrWrite, fd, text, 3)
	if n := p.must(nrLseek, fd, 0, 1); n != 13 {
		t.Errorf("at %d behind what was appended, want 13", n)
	}
	if n := p.must(nrPread64, fd, at, 30, 6); n != 7 || string(p.bytes(at, 7)) != "6701012" {
		t.Errorf("%d bytes, %q, want 6701012", n, p.bytes(at, int(n)))
	}
	p.must(nrWritev, fd, p.vector(text, 2, 3), 3)
	if n := p.must(nrLseek, fd, 0, 1); n != 19 {
		t.Errorf("at %d, want 19", n)
	}
	p.must(nrFtruncate, fd, 5)
	if n := p.must(nrLseek, fd, 0, 2); n != 5 {
		t.Errorf("%d bytes long, want 5", n)
	}
	r, w := p.pipe()
	for what, x := range map[string]struct {
		nr   int
		args []uint64
		want abi.Errno
	}{
		"read of a writing end":       {nrRead, []uint64{w, at, 1}, abi.EBADF},
		"write to a reading end":      {nrWrite, []uint64{r, at, 1}, abi.EBADF},
		"read of what is closed":      {nrRead, []uint64{closed, at, 1}, abi.EBADF},
		"write to what is closed":     {nrWrite, []uint64{closed, at, 1}, abi.EBADF},
		"readv of what is closed":     {nrReadv, []uint64{closed, at, 1}, abi.EBADF},
		"writev to what is closed":    {nrWritev, []uint64{closed, at, 1}, abi.EBADF},
		"readv of vectors nowhere":    {nrReadv, []uint64{r, nowhere, 1}, abi.EFAULT},
		"writev of vectors nowhere":   {nrWritev, []uint64{w, nowhere, 1}, abi.EFAULT},
		"write from nowhere":          {nrWrite, []uint64{w, nowhere, 1}, abi.EFAULT},
		"read to nowhere":             {nrPread64, []uint64{fd, nowhere, 1, 0}, abi.EFAULT},
		"ftruncate of a pipe":         {nrFtruncate, []uint64{w, 1}, abi.EINVAL},
		"ftruncate of what is closed": {nrFtruncate, []uint64{closed, 1}, abi.EBADF},
		"ioctl":                       {nrIoctl, []uint64{r, 1}, abi.ENOTTY},
		"ioctl of what is closed":     {nrIoctl, []uint64{closed, 1}, abi.EBADF},
		"fsync of a pipe":             {nrFsync, []uint64{w}, abi.EINVAL},
		"fsync of what is closed":     {nrFsync, []uint64{closed}, abi.EBADF},
		"splice":                      {nrSplice, []uint64{r, 0, w, 0, 1, 0}, abi.EINVAL},
		"splice from what is closed":  {nrSplice, []uint64{closed, 0, w, 0, 1, 0}, abi.EBADF},
		"splice to what is closed":    {nrSplice, []uint64{r, 0, closed, 0, 1, 0}, abi.EBADF},
		"getgroups of a size below 0": {nrGetgroups, []uint64{1<<64 - 1, at}, abi.EINVAL},
		"getresuid to nowhere":        {nrGetresuid, []uint64{at, nowhere, at}, abi.EFAULT},
	} {
		p.want(x.want, what, x.nr, x.args...)
	}
	p.must(nrFsync, fd)
	if p.must(nrGetgroups, 0, 0) != 0 || p.must(nrGetresuid, at, at+4, at+8) != 0 || p.word(at) != 0 || p.word(at+8) != 0 {
		t.Error("another user than 0, or groups")
	}
	f.Flags = abi.O_RDONLY
	p.want(abi.EINVAL, "ftruncate of a file that is open for reading", nrFtruncate, fd, 1)
}

// TestLongWritesAt: pwrite(2) in pieces writes at its own place and moves no position; a long read keeps the position to itself until it is
// done, which those with a place of their own do not wait for.
func TestLongWritesAt(t *testing.T) {
	p := start(t)
	const size = 3*piece + 10
	fd := p.memfd(0)
	text := p.put([]byte(strings.Repeat("0123456789", size/10+1))...)
	p.call(nrPwrite64, fd, text, size, 7)
	if n, err, pieces := p.finish(); n != size || err != abi.OK || pieces != 4 {
		t.Errorf("pwrite64: %d, %v in %d pieces, want %d in 4", n, err, pieces, size)
	}
	if end, at := p.must(nrLseek, fd, 0, 2), p.must(nrLseek, fd, 0, 0); end != size+7 || at != 0 {
		t.Errorf("%d bytes long, want %d", end, size+7)
	}
	back, other := p.room(size), p.second()
	if p.must(nrPread64, fd, back, 10, 7+2*piece); string(p.bytes(back, 10)) != string(p.bytes(text+2*piece, 10)) {
		t.Errorf("%q in the third piece, want %q", p.bytes(back, 10), p.bytes(text+2*piece, 10))
	}
	if _, _, more := p.call(nrRead, fd, back, size); !more {
		t.Fatal("a long read in one piece")
	}
	for _, nr := range []int{nrRead, nrWrite} {
		if _, _, waits := other.call(nr, fd, back, 1); !waits {
			t.Errorf("call %d moves the position that another call has", nr)
		}
		other.thread.Return(0, abi.OK)
	}
	if n := other.must(nrPread64, fd, back, 1, 0); n != 1 {
		t.Errorf("pread64: %d beside a long read", n)
	}
	other.must(nrPwrite64, fd, back, 1, 0)
	if n, err, _ := p.finish(); n != size || err != abi.OK {
		t.Errorf("read: %d, %v, want %d", n, err, size)
	}
	if n := other.must(nrRead, fd, back, 100); n != 7 {
		t.Errorf("read after it: %d bytes, want the last 7", n)
	}
	other.thread.Exit(0)
}

// TestNonblocking: what would wait is EAGAIN, and a write has what fits.
func TestNonblocking(t *testing.T) {
	const setFL = 4
	p := start(t)
	at := p.room(8)
	p.must(nrPipe2, at, abi.O_NONBLOCK|abi.O_CLOEXEC)
	r, w := uint64(p.word(at)), uint64(p.word(at+4))
	big := p.room(2 * capacity)
	if !p.thread.Files().CloseOnExec(int(r)) || !p.thread.Files().CloseOnExec(int(w)) {
		t.Error("O_CLOEXEC is lost")
	}
	p.want(abi.EAGAIN, "read of an empty pipe", nrRead, r, big, 1)
	if n := p.must(nrWrite, w, big, 2*capacity); n != capacity {
		t.Errorf("%d bytes, want what fits, %d", n, capacity)
	}
	p.want(abi.EAGAIN, "write to a full pipe", nrWrite, w, big, 1)
	if n := p.must(nrRead, r, big, 2*capacity); n != capacity {
		t.Errorf("%d bytes, want what is there, %d", n, capacity)
	}
	p.must(nrClose, w)
	if n := p.must(nrRead, r, big, 1); n != 0 {
		t.Errorf("%d bytes, want the end", n)
	}
	p.must(nrFcntl, r, setFL, 0)
	if n := p.must(nrRead, r, big, 1); n != 0 {
		t.Errorf("%d bytes, want the end", n)
	}
}

// TestNewFiles: pipe2(2), eventfd2(2), epoll_create1(2), memfd_create(2): their flags, and nothing left behind if they fail.
func TestNewFiles(t *testing.T) {
	p := start(t)
	at := p.room(8)
	before := file.Open()
	p.want(abi.EINVAL, "a pipe with other flags", nrPipe2, at, abi.O_APPEND)
	p.want(abi.EFAULT, "a pipe nowhere", nrPipe2, nowhere, 0)
	p.want(abi.EINVAL, "an eventfd with other flags", nrEventfd2, 0, 2)
	p.want(abi.EINVAL, "an epoll instance with other flags", nrEpollCreate1, abi.O_NONBLOCK)
	p.want(abi.EINVAL, "a memfd with other flags", nrMemfdCreate, p.name("m"), 8)
	p.want(abi.EINVAL, "a memfd with a long name", nrMemfdCreate, p.name(strings.Repeat("m", 250)), 0)
	p.want(abi.EFAULT, "a memfd with a name nowhere", nrMemfdCreate, nowhere, 0)
	if got := file.Open(); got != before {
		t.Errorf("%d files are left behind", got-before)
	}
	for what, fd := range map[string]int64{
		"eventfd":        p.must(nrEventfd2, 0, abi.O_CLOEXEC),
		"epoll instance": p.must(nrEpollCreate1, abi.O_CLOEXEC),
		"memfd":          p.must(nrMemfdCreate, p.name(strings.Repeat("m", 249)), 1),
	} {
		if !p.thread.Files().CloseOnExec(int(fd)) {
			t.Errorf("%s: O_CLOEXEC is lost", what)
		}
	}
	for _, flags := range []uint64{0, 2} {
		if fd := p.must(nrMemfdCreate, p.name(""), flags); p.thread.Files().CloseOnExec(int(fd)) {
			t.Errorf("memfd with flags %d: closed on exec", flags)
		}
	}
	counter := uint64(p.must(nrEventfd2, 5, abi.O_NONBLOCK))
	p.must(nrRead, counter, at, 8)
	if p.long(at) != 5 {
		t.Errorf("the counter gives %d, want all of it", p.long(at))
	}
	p.want(abi.EAGAIN, "read of nothing", nrRead, counter, at, 8)
	semaphore := uint64(p.must(nrEventfd2, 5, abi.O_NONBLOCK|1))
	p.must(nrRead, semaphore, at, 8)
	if p.long(at) != 1 {
		t.Errorf("the semaphore gives %d, want 1", p.long(at))
	}
}

// TestPpoll: poll(2): what holds of each descriptor, how many hold something, and the time.
func TestPpoll(t *testing.T) {
	const nval = 0x20
	p := start(t)
	r, w := p.pipe()
	device := p.memfd(0)
	gone, ends := p.pipe()
	p.must(nrClose, ends)
	poll := func(fds ...uint64) uint64 { // descriptor, events
		var b []byte
		for i := 0; i < len(fds); i += 2 {
			b = append(b, byte(fds[i]), byte(fds[i]>>8), byte(fds[i]>>16), byte(fds[i]>>24), byte(fds[i+1]), byte(fds[i+1]>>8), 9, 9)
		}
		return p.put(b...)
	}
	const in, out, hup = uint64(abi.EPOLLIN), uint64(abi.EPOLLOUT), uint64(abi.EPOLLHUP)
	at := poll(r, in, w, out, w, in, closed, in, 1<<32-1, in, device, in|out, gone, 0)
	zero := p.timespec(0, 0)
	if n := p.must(nrPpoll, at, 7, zero, 0, 8); n != 4 {
		t.Errorf("%d descriptors, want 4", n)
	}
	for i, want := range []uint64{0, out, 0, nval, 0, in | out, hup} {
		if got := uint64(p.word(at+uint64(i)*8+4) >> 16); got != want {
			t.Errorf("descriptor %d: events %#x, want %#x", i, got, want)
		}
	}
	one := poll(r, in)
	if n := p.must(nrPpoll, one, 1, zero, 0, 8); n != 0 {
		t.Errorf("%d descriptors, want none", n)
	}
	began := proc.Now()
	if _, _, blocked := p.call(nrPpoll, one, 1, p.timespec(2, 0), 0, 8); !blocked {
		t.Fatal("does not wait")
	}
	if n, err, blocked := p.woken(); n != 0 || err != abi.OK || blocked || proc.Now()-began < 2*second || proc.Now()-began > 2*second+1000 {
		t.Errorf("%d, %v after %d ns, want 0 after 2 s", n, err, proc.Now()-began)
	}
	if _, _, blocked := p.call(nrPpoll, one, 1, 0, 0, 8); !blocked {
		t.Fatal("does not wait without a time")
	}
	other := p.second()
	other.must(nrWrite, w, at, 1)
	if n, err, blocked := p.woken(); n != 1 || err != abi.OK || blocked {
		t.Errorf("%d, %v, asleep %v, want 1", n, err, blocked)
	}
	other.thread.Exit(0)
	p.must(nrPpoll, 0, 0, zero, 0, 8)
	all := p.put(slices.Repeat([]byte{0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0}, maxPolled)...)
	p.must(nrPpoll, all, maxPolled, zero, 0, 8)
	p.want(abi.EINVAL, "more than there can be", nrPpoll, one, maxPolled+1, zero, 0, 8)
	p.want(abi.EFAULT, "descriptors nowhere", nrPpoll, nowhere, 1, zero, 0, 8)
	p.want(abi.EFAULT, "a time nowhere", nrPpoll, one, 1, nowhere, 0, 8)
	p.want(abi.EINVAL, "a time that is none", nrPpoll, one, 1, p.timespec(0, second), 0, 8)
	p.want(abi.EINVAL, "a mask of another size", nrPpoll, one, 1, zero, at, 4)
	p.want(abi.EFAULT, "a mask nowhere", nrPpoll, one, 1, zero, nowhere, 8)
	// A signal that the call's mask lets through ends it; the mask is the thread's own again.
	p.must(nrRead, r, at, 1)
	*p.thread.Process.Action(signalNumber) = proc.Action{Handler: handlerPC}
	p.thread.SetMask(proc.One(signalNumber))
	p.thread.Signal(signalNumber)
	if n := p.must(nrPpoll, one, 1, zero, 0, 8); n != 0 {
		t.Errorf("%d", n)
	}
	if _, _, blocked := p.call(nrPpoll, one, 1, zero, p.words(0), 8); !blocked {
		t.Error("goes on despite the signal")
	}
	proc.Schedule(p.hart)
	if got := p.leaveHandler(); got != -int64(abi.EINTR) || p.thread.Mask() != proc.One(signalNumber) {
		t.Errorf("%d, mask %#x, want EINTR and the mask of before", got, p.thread.Mask())
	}
}

// TestEpollCalls: epoll_ctl(2), epoll_wait(2).
func TestEpollCalls(t *testing.T) {
	const add, remove, modify = 1, 2, 3
	p := start(t)
	e := uint64(p.must(nrEpollCreate1, 0))
	r, w := p.pipe()
	event := func(events, data uint64) uint64 { return p.words(events, data) }
	at := p.room(64)
	wait := func(timeout uint64) int64 { return p.must(nrEpollPwait, e, at, 4, timeout, 0, 8) }
	p.must(nrEpollCtl, e, add, r, event(uint64(abi.EPOLLIN), 0x1122334455667788))
	p.want(abi.EEXIST, "twice", nrEpollCtl, e, add, r, event(1, 0))
	p.want(abi.ENOENT, "to remove what was not added", nrEpollCtl, e, remove, w, 0)
	p.want(abi.EBADF, "a closed descriptor", nrEpollCtl, e, add, closed, event(1, 0))
	p.want(abi.EBADF, "a closed instance", nrEpollCtl, closed, add, r, event(1, 0))
	p.want(abi.EINVAL, "no instance", nrEpollCtl, r, add, w, event(1, 0))
	p.want(abi.EFAULT, "an event nowhere", nrEpollCtl, e, add, w, nowhere)
	if n := wait(0); n != 0 {
		t.Errorf("%d events of an empty pipe", n)
	}
	began := proc.Now()
	if _, _, blocked := p.call(nrEpollPwait, e, at, 4, 3, 0, 8); !blocked {
		t.Fatal("does not wait")
	}
	if n, err, blocked := p.woken(); n != 0 || err != abi.OK || blocked || proc.Now()-began < 3_000_000 || proc.Now()-began > 3_001_000 {
		t.Errorf("%d, %v, asleep %v after %d ns, want 0 after 3 ms", n, err, blocked, proc.Now()-began)
	}
	if _, _, blocked := p.call(nrEpollPwait, e, at, 4, 1<<64-1, 0, 8); !blocked {
		t.Fatal("does not wait for ever")
	}
	other := p.second()
	other.must(nrWrite, w, at, 1)
	if n, err, blocked := p.woken(); n != 1 || err != abi.OK || blocked || p.word(at) != uint32(abi.EPOLLIN) || p.long(at+8) != 0x1122334455667788 {
		t.Errorf("%d, %v, events %#x, data %#x", n, err, p.word(at), p.long(at+8))
	}
	other.thread.Exit(0)
	p.must(nrEpollCtl, e, modify, r, event(uint64(abi.EPOLLIN), 5))
	if n := wait(0); n != 1 || p.long(at+8) != 5 {
		t.Errorf("%d events, data %d, want 5", n, p.long(at+8))
	}
	p.want(abi.EFAULT, "events nowhere", nrEpollPwait, e, nowhere, 4, 0, 0, 8)
	p.want(abi.EINVAL, "no events", nrEpollPwait, e, at, 0, 0, 0, 8)
	p.want(abi.EINVAL, "less than none", nrEpollPwait, e, at, 1<<64-1, 0, 0, 8)
	p.want(abi.EINVAL, "too many events", nrEpollPwait, e, at, 1<<31-1, 0, 0, 8)
	p.must(nrEpollPwait, e, at, (1<<31-1)/16, 0, 0, 8)
	p.must(nrEpollPwait, e, at, 1, 0, 0, 8)
	p.want(abi.EBADF, "a closed instance", nrEpollPwait, closed, at, 4, 0, 0, 8)
	p.want(abi.EINVAL, "no instance", nrEpollPwait, r, at, 4, 0, 0, 8)
	p.want(abi.EINVAL, "a mask of another size", nrEpollPwait, e, at, 4, 0, at, 16)
	p.must(nrEpollCtl, e, remove, r, nowhere) // the event is not looked at
	if n := wait(0); n != 0 {
		t.Errorf("%d events of what was removed", n)
	}
}
