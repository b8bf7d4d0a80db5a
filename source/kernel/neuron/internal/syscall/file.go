package syscall

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/epoll"
	"nexus/source/kernel/neuron/internal/eventfd"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/mem"
	"nexus/source/kernel/neuron/internal/pipe"
	"nexus/source/kernel/neuron/internal/proc"
	"nexus/source/kernel/neuron/internal/rootfs"
	"nexus/source/kernel/neuron/internal/user"
	"nexus/source/kernel/neuron/internal/vm"
)

// piece is how many bytes of a seekable object a call moves before others have their turn. What a pipe or a socket takes at once is
// bounded by what it holds.
const piece = 64 << 10

// part makes t.Rest the next part of itself to be moved to or from f, and returns how many bytes are left behind it.
func part(t *proc.Thread, f *file.File) (behind int) {
	if f.Seekable() {
		behind = t.Rest.Limit(piece)
	}
	return behind
}

// overflows reports whether what t's call moves ends beyond the largest position.
func overflows(t *proc.Thread, f *file.File, pos int64) bool {
	const last = 1<<63 - 1
	return f.Seekable() && pos > last-int64(t.Rest.Len())
}

// read reads from f into t.Rest, at *pos, which it moves.
func read(t *proc.Thread, f *file.File, pos *int64) (int64, abi.Errno) {
	if !f.Readable() {
		return 0, abi.EBADF
	}
	if pos == &f.Pos && !t.Moves() {
		return 0, abi.Again
	}
	if overflows(t, f, *pos) {
		return 0, abi.EINVAL
	}
	behind := part(t, f)
	n, err := f.Read(&t.Rest, *pos)
	*pos += int64(n)
	t.Done += n
	whole := t.Rest.Len() == 0
	t.Rest.Extend(behind)
	switch {
	case err == abi.Again, err == abi.OK && whole && behind > 0:
		return 0, abi.Again
	case t.Done > 0:
		return int64(t.Done), abi.OK
	case err == abi.EAGAIN && !f.Nonblocking() && !ended(f):
		return 0, t.Block(f.Object.Queue(), abi.EPOLLIN|abi.EPOLLRDHUP)
	case err == abi.EAGAIN && !f.Nonblocking():
		return 0, abi.OK
	}
	return 0, err
}

// ended reports whether who would wait for something to read from f is told its end: a datagram socket that was shut down has none
// for others.
func ended(f *file.File) bool { return f.Object.Ready()&abi.EPOLLRDHUP != 0 }

// write writes t.Rest to f, at *pos, which it moves. A blocking one goes on until everything is written.
func write(t *proc.Thread, f *file.File, pos *int64) (int64, abi.Errno) {
	if !f.Writable() {
		return 0, abi.EBADF
	}
	if pos == &f.Pos && !t.Moves() {
		return 0, abi.Again
	}
	if overflows(t, f, *pos) {
		return 0, abi.EINVAL
	}
	for {
		behind := part(t, f)
		if _, one := f.Object.(*eventfd.Counter); one {
			behind = t.Rest.Limit(t.Rest.Current()) // each buffer is a number
		}
		if f.Flags&abi.O_APPEND != 0 && f.Seekable() {
			*pos = size(f)
		}
		n, err := f.Write(&t.Rest, *pos)
		*pos += int64(n)
		t.Done += n
		whole := t.Rest.Len() == 0
		t.Rest.Extend(behind)
		if err == abi.EPIPE && breaks(f, t.Done) {
			t.SignalSelf(proc.SIGPIPE)
		}
		switch {
		case err == abi.Again, err == abi.OK && whole && behind > 0:
			return 0, abi.Again
		case err == abi.EAGAIN && !f.Nonblocking():
			return 0, t.Block(f.Object.Queue(), abi.EPOLLOUT)
		case err != abi.OK && t.Done == 0:
			return 0, err
		case err != abi.OK, whole, n == 0, f.Nonblocking():
			return int64(t.Done), abi.OK
		}
	}
}

// breaks reports whether SIGPIPE tells that nobody reads f any more: of a pipe whatever was done before, of a stream if that was nothing.
func breaks(f *file.File, done int) bool {
	_, ok := f.Object.(*pipe.End)
	return ok || done == 0 && stream(f)
}

// size is where f ends.
func size(f *file.File) int64 {
	var st abi.Stat
	file.Stat(f.Object, &st)
	return st.Size
}

// bytes makes n bytes at va the buffer of t's call, unless the call is made again.
func bytes(t *proc.Thread, va, n uint64) {
	if !t.Repeated {
		t.Rest = user.Range(t.Memory(), va, n)
	}
}

// vectors does the same with count entries of struct iovec at va.
func vectors(t *proc.Thread, va, count uint64) (err abi.Errno) {
	if !t.Repeated {
		t.Rest, err = user.Vectors(t.Memory(), va, count)
	}
	return err
}

// faults is how many pages a piece of a call has brought in.
const faults = 128

// faultIn brings in what many small vectors are in, in pieces: they may be on as many pages, and what is done with all of them at once
// (a packet, PIPE_BUF bytes of a pipe) would keep the hart for all their faults together.
func faultIn(t *proc.Thread, need vm.Prot) abi.Errno {
	for range faults / 2 {
		va, n, ok := t.Rest.Ahead()
		if !ok {
			return abi.OK
		}
		if n > 0 && n <= mem.PageSize {
			t.Process.Space.FaultIn(va, need)
			t.Process.Space.FaultIn(va+uint64(n-1), need)
		}
	}
	return abi.Again
}

func sysRead(t *proc.Thread, a *Args) (int64, abi.Errno) {
	f, err := t.File(a.Int(0))
	if err != abi.OK {
		return 0, err
	}
	bytes(t, a[1], a[2])
	return read(t, f, &f.Pos)
}

func sysWrite(t *proc.Thread, a *Args) (int64, abi.Errno) {
	f, err := t.File(a.Int(0))
	if err != abi.OK {
		return 0, err
	}
	bytes(t, a[1], a[2])
	return write(t, f, &f.Pos)
}

func sysReadv(t *proc.Thread, a *Args) (int64, abi.Errno) {
	f, err := t.File(a.Int(0))
	if err != abi.OK {
		return 0, err
	}
	if err := vectors(t, a[1], a[2]); err != abi.OK {
		return 0, err
	}
	if t.Rest.Len() == 0 && f.Readable() && transfers(f.Object) {
		return 0, abi.OK
	}
	if err := faultIn(t, vm.Write); err != abi.OK {
		return 0, err
	}
	return read(t, f, &f.Pos)
}

func sysWritev(t *proc.Thread, a *Args) (int64, abi.Errno) {
	f, err := t.File(a.Int(0))
	if err != abi.OK {
		return 0, err
	}
	if err := vectors(t, a[1], a[2]); err != abi.OK {
		return 0, err
	}
	if t.Rest.Len() == 0 && f.Writable() && transfers(f.Object) {
		return 0, abi.OK
	}
	if err := faultIn(t, vm.Read); err != abi.OK {
		return 0, err
	}
	return write(t, f, &f.Pos)
}

// transfers reports whether o can be read or written at all: then vectors without a byte are none of its business.
func transfers(o file.Object) bool {
	_, ok := o.(*epoll.Epoll)
	return !ok
}

// seekable is the file behind descriptor fd if a position may be given with the call.
func seekable(t *proc.Thread, fd int, pos int64) (*file.File, abi.Errno) {
	if pos < 0 {
		return nil, abi.EINVAL
	}
	f, err := t.File(fd)
	switch {
	case err != abi.OK:
		return nil, err
	case !f.Seekable():
		return nil, abi.ESPIPE
	}
	return f, abi.OK
}

func sysPread64(t *proc.Thread, a *Args) (int64, abi.Errno) {
	f, err := seekable(t, a.Int(0), int64(a[3]))
	if err != abi.OK {
		return 0, err
	}
	bytes(t, a[1], a[2])
	pos := int64(a[3]) + int64(t.Done)
	return read(t, f, &pos)
}

func sysPwrite64(t *proc.Thread, a *Args) (int64, abi.Errno) {
	f, err := seekable(t, a.Int(0), int64(a[3]))
	if err != abi.OK {
		return 0, err
	}
	bytes(t, a[1], a[2])
	pos := int64(a[3]) + int64(t.Done)
	return write(t, f, &pos)
}

// stays reports whether o has a position that never moves (Linux's noop_llseek).
func stays(o file.Object) bool {
	switch o.(type) {
	case *eventfd.Counter, *epoll.Epoll:
		return true
	}
	return false
}

func sysLseek(t *proc.Thread, a *Args) (int64, abi.Errno) {
	const last = 4 // SEEK_HOLE
	f, err := t.File(a.Int(0))
	switch {
	case err != abi.OK:
		return 0, err
	case a[2] > last:
		return 0, abi.EINVAL
	case stays(f.Object):
		return 0, abi.OK
	case !f.Seekable():
		return 0, abi.ESPIPE
	}
	pos := int64(a[1])
	switch a[2] {
	case 0:
	case 1:
		pos += f.Pos
	case 2:
		pos += size(f)
	default:
		return 0, abi.EINVAL
	}
	if pos < 0 {
		return 0, abi.EINVAL
	}
	f.Pos = pos
	return pos, abi.OK
}

func sysFtruncate(t *proc.Thread, a *Args) (int64, abi.Errno) {
	if int64(a[1]) < 0 {
		return 0, abi.EINVAL
	}
	f, err := t.File(a.Int(0))
	switch {
	case err != abi.OK:
		return 0, err
	case !f.Writable():
		return 0, abi.EINVAL
	}
	return 0, f.Object.Truncate(int64(a[1]))
}

func sysClose(t *proc.Thread, a *Args) (int64, abi.Errno) {
	return 0, t.Files().Close(a.Int(0))
}

func sysDup(t *proc.Thread, a *Args) (int64, abi.Errno) { return duplicate(t, a.Int(0), 0, false) }

func duplicate(t *proc.Thread, fd, least int, closeOnExec bool) (int64, abi.Errno) {
	f, err := t.Files().Get(fd)
	if err != abi.OK {
		return 0, err
	}
	n, err := t.Files().Install(f.Ref(), least, closeOnExec)
	if err != abi.OK {
		f.Release()
	}
	return int64(n), err
}

func sysDup3(t *proc.Thread, a *Args) (int64, abi.Errno) {
	from, to, flags := a.Int(0), a.Int(1), a[2]
	if flags&^abi.O_CLOEXEC != 0 || from == to {
		return 0, abi.EINVAL
	}
	f, err := t.Files().Get(from)
	if err != abi.OK {
		return 0, err
	}
	if err := t.Files().Replace(to, f.Ref(), flags != 0); err != abi.OK {
		f.Release()
		return 0, err
	}
	return int64(to), abi.OK
}

func sysFcntl(t *proc.Thread, a *Args) (int64, abi.Errno) {
	const (
		dupFD, getFD, setFD, getFL, setFL, dupFDCloexec = 0, 1, 2, 3, 4, 1030
		settable                                        = abi.O_NONBLOCK | abi.O_APPEND
	)
	fd, arg := a.Int(0), a[2]
	f, err := t.Files().Get(fd)
	if err != abi.OK {
		return 0, err
	}
	switch a.Int(1) {
	case dupFD, dupFDCloexec:
		return duplicate(t, fd, int(int32(arg)), a.Int(1) == dupFDCloexec)
	case getFD:
		if t.Files().CloseOnExec(fd) {
			return 1, abi.OK
		}
		return 0, abi.OK
	case setFD:
		t.Files().SetCloseOnExec(fd, arg&1 != 0)
		return 0, abi.OK
	case getFL:
		return int64(f.Flags | abi.O_LARGEFILE), abi.OK
	case setFL:
		f.Flags = f.Flags&^settable | uint32(arg)&settable
		return 0, abi.OK
	}
	return 0, abi.EINVAL
}

func sysIoctl(t *proc.Thread, a *Args) (int64, abi.Errno) {
	if _, err := t.Files().Get(a.Int(0)); err != abi.OK {
		return 0, err
	}
	return 0, abi.ENOTTY
}

func sysFstat(t *proc.Thread, a *Args) (int64, abi.Errno) {
	f, err := t.Files().Get(a.Int(0))
	if err != abi.OK {
		return 0, err
	}
	var st abi.Stat
	f.Stat(&st)
	return 0, storeStat(t, &st, a[1])
}

func storeStat(t *proc.Thread, st *abi.Stat, va uint64) abi.Errno {
	b := statBytes(st)
	if user.Store(t.Memory(), va, b) != len(b) {
		return abi.EFAULT
	}
	return abi.OK
}

func sysGetdents64(t *proc.Thread, a *Args) (int64, abi.Errno) {
	f, err := t.Files().Get(a.Int(0))
	if err != abi.OK {
		return 0, err
	}
	n, ok := node(f.Object)
	if !ok || !n.IsDirectory() {
		return 0, abi.ENOTDIR
	}
	b := user.Range(t.Memory(), a[1], uint64(uint32(a[2])))
	done := 0
	for {
		e, next, ok := n.Dirent(int(f.Pos))
		if !ok {
			break
		}
		size := (direntHead + len(e.Name) + 1 + 7) &^ 7
		if size > b.Len() {
			if done == 0 {
				return 0, abi.EINVAL
			}
			break
		}
		if !putDirent(&b, &e, next, size) {
			return 0, abi.EFAULT
		}
		done += size
		f.Pos = int64(next)
	}
	return int64(done), abi.OK
}

// direntHead is the size of struct linux_dirent64 before its name.
const direntHead = 19

func putDirent(b *user.Buffer, e *rootfs.Dirent, next, size int) bool {
	var d [direntHead + proc.MaxPath + 8]byte
	if size > len(d) {
		return false
	}
	user.PutUint64(d[0:], e.Inode)
	user.PutUint64(d[8:], uint64(next))
	d[16], d[17], d[18] = byte(size), byte(size>>8), e.Type
	copy(d[direntHead:], e.Name)
	_, ok := b.Put(d[:size])
	return ok
}
