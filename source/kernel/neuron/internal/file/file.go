// Package file is what a descriptor stands for: an open file description (File) over an object of the kernel, and a process's
// table of descriptors.
package file

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/arch"
	"nexus/source/kernel/neuron/internal/escape"
	"nexus/source/kernel/neuron/internal/mem"
	"nexus/source/kernel/neuron/internal/user"
	"nexus/source/kernel/neuron/internal/wait"
)

// An Object is something that can be open: a pipe's end, a socket, a file of the archive, a device window.
//
// Read and Write never block: they return EAGAIN, and the caller waits on Queue for EPOLLIN or EPOLLOUT if it may. pos is the
// place in a seekable object and means nothing elsewhere.
type Object interface {
	Read(b *user.Buffer, pos int64) (int, abi.Errno)
	Write(b *user.Buffer, pos int64) (int, abi.Errno)
	// Ready is the set of events that hold now.
	Ready() abi.Events
	// Classes are the events that poll tells beside EPOLLIN and beside EPOLLOUT.
	Classes() (in, out abi.Events)
	// Queue is notified when Ready gains an event; nil for an object that is always ready (epoll_ctl says EPERM).
	Queue() *wait.Queue
	// Stat fills in what fstat tells. st is zero before.
	Stat(st *abi.Stat)
	// Seekable reports whether pos means anything.
	Seekable() bool
	// Truncate sets the size.
	Truncate(size int64) abi.Errno
	// Mapping says whether and how mmap may map it.
	Mapping() Mapping
	// Map gives page number index for a mapping; write says that the program may write to it.
	Map(index uint64, write bool) (mem.Phys, abi.Errno)
	// Close is called when the last reference is gone, and no operation of any object is under way (see Reap). It does a bounded
	// part of its work and reports whether that was the rest; if not, it is called again.
	Close() (done bool)
}

// Mapping is how an object can be mapped.
type Mapping uint8

const (
	MapsNothing Mapping = iota // ENODEV
	// MapsPages are not memory to copy (registers), or no program's to copy (DMA memory): they are mapped shared, as they are.
	MapsPages
	// MapsMemory reads as zeros behind the end of the object, in its last page; mapped privately it is copied when written to.
	MapsMemory
	// MapsConstant never changes, and in its last page something else may follow, which is not shown: a mapping has a copy of that one.
	MapsConstant
)

// Defaults answers for what an object does not have. Objects embed it.
type Defaults struct{}

func (Defaults) Read(*user.Buffer, int64) (int, abi.Errno)  { return 0, abi.EINVAL }
func (Defaults) Write(*user.Buffer, int64) (int, abi.Errno) { return 0, abi.EINVAL }
func (Defaults) Ready() abi.Events                          { return abi.EPOLLIN | abi.EPOLLOUT }
func (Defaults) Classes() (in, out abi.Events)              { return abi.EPOLLRDNORM, abi.EPOLLWRNORM }
func (Defaults) Queue() *wait.Queue                         { return nil }
func (Defaults) Seekable() bool                             { return false }
func (Defaults) Truncate(int64) abi.Errno                   { return abi.EINVAL }
func (Defaults) Mapping() Mapping                           { return MapsNothing }
func (Defaults) Map(uint64, bool) (mem.Phys, abi.Errno)     { return 0, abi.ENODEV }
func (Defaults) Close() bool                                { return true }

// MaxFiles bounds the open file descriptions of the whole system.
const MaxFiles = 16384

// A File is an open file description: what dup, fork and SCM_RIGHTS share.
//
// Invariant: nothing is closed while an operation is under way. An operation may drop the last reference to any file, that which
// it works on included, and goes on using it: what has no reference waits for Reap.
type File struct {
	Object Object
	Pos    int64
	// Flags are the access mode and the status flags of open (O_NONBLOCK, O_APPEND).
	Flags uint32
	// Moving says that a call which is not done yet has Pos for itself.
	Moving bool

	seekable bool   // what the object says
	changed  uint64 // tick at which it was opened or written last

	refs  int32
	hooks *Hook
	next  *File // free list, or list of those to be closed
}

// A Hook is told when a file is closed for good; epoll keeps its registrations on them.
type Hook struct {
	Owner      HookOwner
	file       *File
	next, prev *Hook
}

// HookOwner is who a Hook tells. FileClosed must not add hooks to the file.
type HookOwner interface{ FileClosed(h *Hook) }

var (
	files [MaxFiles]File
	fresh int   // files[fresh:] were never used
	freed *File // list of those used and released
	open  int

	// closing are the files whose last reference is gone, oldest first. What closing one of them releases joins them.
	closing struct {
		first, last *File
		grew        bool // since the last call of Dropped
	}
)

// Clock tells what the time of day was at a tick, in nanoseconds, for times of files; set once at boot.
var Clock = func(ticks uint64) uint64 { return 0 }

// Open is the number of open file descriptions.
func Open() int { return open }

// New returns a file over o with one reference, or nil if there are too many (ENFILE). The caller still owns o then.
func New(o Object, flags uint32) *File {
	f := freed
	switch {
	case f != nil:
		freed = f.next
	case fresh < MaxFiles:
		f = &files[fresh]
		fresh++
	default:
		return nil
	}
	*f = File{Object: o, Flags: flags, seekable: o.Seekable(), changed: arch.ReadTime(), refs: 1}
	open++
	return f
}

// Read and Write are the object's. Objects keep no buffer, which therefore stays where it is.
func (f *File) Read(b *user.Buffer, pos int64) (int, abi.Errno) {
	return f.Object.Read(escape.Hide(b), pos)
}

func (f *File) Write(b *user.Buffer, pos int64) (int, abi.Errno) {
	n, err := f.Object.Write(escape.Hide(b), pos)
	if n > 0 {
		f.changed = arch.ReadTime()
	}
	return n, err
}

// Seekable is the object's.
func (f *File) Seekable() bool { return f.seekable }

// Stat is what fstat says. Where the object has no times, they are those of its opening and of the last write.
func (f *File) Stat(st *abi.Stat) {
	Stat(f.Object, st)
	if st.Mtim == (abi.Timespec{}) {
		ns := Clock(f.changed)
		t := abi.Timespec{Sec: int64(ns / 1e9), Nsec: int64(ns % 1e9)}
		st.Atim, st.Mtim, st.Ctim = t, t, t
	}
}

// Ready is what poll tells of o.
func Ready(o Object) abi.Events {
	ev := o.Ready()
	in, out := o.Classes()
	if ev&abi.EPOLLIN != 0 {
		ev |= in
	}
	if ev&abi.EPOLLOUT != 0 {
		ev |= out
	}
	return ev
}

// Awaited are the events of which an object tells its queue where a program asks for those of want.
func Awaited(want abi.Events) abi.Events {
	if want&abi.EPOLLRDNORM != 0 {
		want |= abi.EPOLLIN
	}
	if want&(abi.EPOLLWRNORM|abi.EPOLLWRBAND) != 0 {
		want |= abi.EPOLLOUT
	}
	return want
}

// Stat tells what fstat says of o.
func Stat(o Object, st *abi.Stat) { o.Stat(escape.Hide(st)) }

// Ref takes one more reference and returns f.
func (f *File) Ref() *File {
	if f.refs <= 0 {
		panic("file: reference to a file without one")
	}
	f.refs++
	return f
}

// Release drops a reference. With the last one f waits to be closed.
func (f *File) Release() {
	if f.refs <= 0 {
		panic("file: release of a file without a reference")
	}
	if f.refs--; f.refs > 0 {
		return
	}
	f.next = nil
	if closing.first == nil {
		closing.first = f
	} else {
		closing.last.next = f
	}
	closing.last = f
	closing.grew = true
}

// Waiting reports whether a file waits for Reap.
func Waiting() bool { return closing.first != nil }

// Dropped reports whether a file has lost its last reference since the last call.
func Dropped() bool {
	d := closing.grew
	closing.grew = false
	return d
}

// Piece is how many files, or hooks of one, a Reap deals with at most, and piecePages how many pages they may give back, or one file's if
// that has more.
const (
	Piece      = 128
	piecePages = 1024
)

// reaped is how many files, or as much work, the Reap under way has dealt with.
var reaped int

// Work is told by an object whose Close does as much as that of n files more.
func Work(n int) { reaped += n }

// Reap closes some of the files that wait for it and reports whether there are more. It is called at the end of a trap, when
// no operation is under way.
func Reap() (more bool) {
	full := mem.Available() + piecePages
	for reaped = 0; reaped < Piece && mem.Available() < full; reaped++ {
		f := closing.first
		switch {
		case f == nil:
			return false
		case f.hooks != nil:
			h := f.hooks
			h.Unhook()
			h.Owner.FileClosed(h)
		case !f.Object.Close():
			return true // a whole piece of work
		case f.Moving:
			panic("file: closed while a call has its position")
		default:
			closing.first = f.next
			*f = File{next: freed}
			freed = f
			open--
		}
	}
	return closing.first != nil
}

// Hook asks for h to be told when f closes.
func (f *File) Hook(h *Hook) {
	h.file, h.prev, h.next = f, nil, f.hooks
	if f.hooks != nil {
		f.hooks.prev = h
	}
	f.hooks = h
}

// Hooked is the first hook of f; follow with Next.
func (f *File) Hooked() *Hook { return f.hooks }

// Next is the hook after h.
func (h *Hook) Next() *Hook { return h.next }

// Unhook takes h back, if it is in use.
func (h *Hook) Unhook() {
	f := h.file
	if f == nil {
		return
	}
	if h.prev != nil {
		h.prev.next = h.next
	} else {
		f.hooks = h.next
	}
	if h.next != nil {
		h.next.prev = h.prev
	}
	h.file, h.next, h.prev = nil, nil, nil
}

// Readable and Writable report what the access mode allows.
func (f *File) Readable() bool { return f.Flags&abi.O_ACCMODE != abi.O_WRONLY }
func (f *File) Writable() bool { return f.Flags&abi.O_ACCMODE != abi.O_RDONLY }

// Nonblocking reports O_NONBLOCK.
func (f *File) Nonblocking() bool { return f.Flags&abi.O_NONBLOCK != 0 }
