// Package epoll is epoll(7): a set of open files of which a program waits for the ready ones, level- or edge-triggered.
//
// Each registration is an item that stays in the queue of its object. An object that tells its queue of an event puts the item
// on the instance's ready list; Collect looks at each item there again, oldest first, and reports what holds then. Differences from
// Linux: an epoll instance cannot watch another (EINVAL), and EPOLLEXCLUSIVE is unknown (EINVAL).
package epoll

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/user"
	"nexus/source/kernel/neuron/internal/wait"
)

const (
	// MaxInstances bounds the epoll instances of the whole system, MaxItems their registrations together.
	MaxInstances = 256
	MaxItems     = 8192

	// EventSize is sizeof(struct epoll_event) on riscv64: u32 events, u32 padding, u64 data.
	EventSize = 16
	// MaxEvents is the most that one call may ask for (Linux's EP_MAX_EVENTS).
	MaxEvents = 0x7fffffff / EventSize
)

// Op is what epoll_ctl does.
type Op int

// Operations (uapi/linux/eventpoll.h).
const (
	Add    Op = 1
	Delete Op = 2
	Modify Op = 3
)

const (
	exclusive abi.Events = 1 << 28
	// wakeup is EPOLLWAKEUP; without suspend there is nothing to prevent.
	wakeup abi.Events = 1 << 29
	// modes are the bits of a registration that are no events.
	modes = abi.EPOLLET | abi.EPOLLONESHOT | wakeup | exclusive
	// always are reported unasked.
	always = abi.EPOLLERR | abi.EPOLLHUP
)

// Epoll is one instance, a file.Object.
type Epoll struct {
	file.Defaults
	items list
	ready list // each item that may be ready, oldest first
	queue wait.Queue
	open  bool
	next  *Epoll // free list
}

// item is the registration of one descriptor. It ends with the file, even if the descriptor was closed before.
type item struct {
	waiter wait.Waiter
	hook   file.Hook
	epoll  *Epoll
	file   *file.File
	data   uint64
	events abi.Events // modes alone: a one-shot that has fired
	fd     int32
	links  [kinds]link
}

var (
	instances [MaxInstances]Epoll
	fresh     int // instances[fresh:] were never used
	freed     *Epoll
	inUse     int

	pool       [MaxItems]item
	freshItems int
	freedItems *item // linked by links[watched]
	itemsInUse int
)

// Open is the number of open instances, Items that of all registrations.
func Open() int  { return inUse }
func Items() int { return itemsInUse }

// New returns an instance that watches nothing. ENFILE if there are too many.
func New() (*Epoll, abi.Errno) {
	e := freed
	switch {
	case e != nil:
		freed = e.next
	case fresh < MaxInstances:
		e = &instances[fresh]
		fresh++
	default:
		return nil, abi.ENFILE
	}
	*e = Epoll{items: list{kind: watched}, ready: list{kind: ready}, open: true}
	inUse++
	return e, abi.OK
}

// Control is epoll_ctl for fd, which stands for f. EPERM if f can only be always ready, EINVAL to add an epoll instance, for an unknown op or
// EPOLLEXCLUSIVE, EEXIST and ENOENT by whether (f, fd) is registered, ENOMEM if there are too many registrations (Linux: ENOSPC
// for a user's too many, ENOMEM for no memory).
func (e *Epoll) Control(op Op, fd int, f *file.File, events abi.Events, data uint64) abi.Errno {
	if f.Object.Queue() == nil {
		return abi.EPERM
	}
	inner, nested := f.Object.(*Epoll)
	if inner == e || nested && op == Add || op != Delete && events&exclusive != 0 {
		return abi.EINVAL
	}
	it := e.find(fd, f)
	switch op {
	case Add:
		if it != nil {
			return abi.EEXIST
		}
		return e.add(fd, f, events, data)
	case Delete:
		if it == nil {
			return abi.ENOENT
		}
		it.hook.Unhook()
		it.free()
		return abi.OK
	case Modify:
		if it == nil {
			return abi.ENOENT
		}
		it.set(events, data)
		return abi.OK
	}
	return abi.EINVAL
}

func (e *Epoll) find(fd int, f *file.File) *item {
	for h := f.Hooked(); h != nil; h = h.Next() {
		if it, ok := h.Owner.(*item); ok && it.epoll == e && it.fd == int32(fd) {
			return it
		}
	}
	return nil
}

func (e *Epoll) add(fd int, f *file.File, events abi.Events, data uint64) abi.Errno {
	it := freedItems
	switch {
	case it != nil:
		freedItems = it.links[watched].next
	case freshItems < MaxItems:
		it = &pool[freshItems]
		freshItems++
	default:
		return abi.ENOMEM
	}
	itemsInUse++
	it.epoll, it.file, it.fd = e, f, int32(fd)
	it.links = [kinds]link{}
	it.waiter.Sink = it
	it.hook.Owner = it
	e.items.add(it)
	f.Hook(&it.hook)
	f.Object.Queue().Add(&it.waiter)
	it.set(events, data)
	return abi.OK
}

// set changes what the item is registered for. Whatever holds already counts as an edge.
func (it *item) set(events abi.Events, data uint64) {
	it.events, it.data = events|always, data
	it.waiter.Mask = file.Awaited(it.events &^ modes)
	if it.now() != 0 {
		it.makeReady()
	}
}

// now is the set of registered events that hold.
func (it *item) now() abi.Events { return file.Ready(it.file.Object) & it.events &^ modes }

// Wake is wait.Sink's: the item's object has changed.
func (it *item) Wake(_ *wait.Waiter, _ abi.Events) {
	if it.events&^modes != 0 {
		it.makeReady()
	}
}

func (it *item) makeReady() {
	e := it.epoll
	if !e.ready.has(it) {
		e.ready.add(it)
	}
	e.queue.Notify(abi.EPOLLIN)
}

// FileClosed is file.HookOwner's.
func (it *item) FileClosed(*file.Hook) { it.free() }

// free ends the registration; its hook is off the file.
func (it *item) free() {
	e := it.epoll
	it.waiter.Remove()
	e.ready.remove(it)
	e.items.remove(it)
	it.epoll, it.file = nil, nil
	it.links[watched].next, freedItems = freedItems, it
	itemsInUse--
}

// Collect stores up to limit events of ready items at addr and returns how many. EINVAL for a limit that is not in 1 to MaxEvents;
// EFAULT if the first event cannot be stored.
//
// An item that is reported leaves the list if it is edge-triggered, else it goes to its end, so that every ready item has its turn.
func (e *Epoll) Collect(m user.Memory, addr uint64, limit int) (int, abi.Errno) {
	if limit < 1 || limit > MaxEvents {
		return 0, abi.EINVAL
	}
	done := 0
	for left := e.ready.n; left > 0 && done < limit; left-- {
		it := e.ready.first
		ev := it.now()
		if ev == 0 {
			e.ready.remove(it)
			continue
		}
		var event [EventSize]byte
		user.PutUint32(event[:], uint32(ev))
		user.PutUint64(event[8:], it.data)
		if user.Store(m, addr+uint64(done)*EventSize, event[:]) != EventSize {
			if done == 0 {
				return 0, abi.EFAULT
			}
			break
		}
		done++
		e.ready.remove(it)
		switch {
		case it.events&abi.EPOLLONESHOT != 0:
			it.events &= modes
			it.waiter.Mask = 0
		case it.events&abi.EPOLLET == 0:
			e.ready.add(it)
		}
	}
	return done, abi.OK
}

// Ready is file.Object's: EPOLLIN if Collect would report something. Items that were ready once and are not any more leave the list.
func (e *Epoll) Ready() abi.Events {
	for it := e.ready.first; it != nil; it = e.ready.first {
		if it.now() != 0 {
			return abi.EPOLLIN
		}
		e.ready.remove(it)
	}
	return 0
}

// Queue is file.Object's.
func (e *Epoll) Queue() *wait.Queue { return &e.queue }

// Stat is file.Object's; Linux's anonymous inodes have no file type either.
func (e *Epoll) Stat(st *abi.Stat) {
	st.Mode = 0o600
	st.Nlink = 1
}

// piece is how many registrations one Close ends.
const piece = 1024

// Close is file.Object's.
func (e *Epoll) Close() bool {
	if !e.open {
		panic("epoll: closed twice")
	}
	for range piece {
		it := e.items.first
		if it == nil {
			break
		}
		it.hook.Unhook()
		it.free()
	}
	if e.items.first != nil {
		return false
	}
	if e.ready.n != 0 {
		panic("epoll: an instance without registrations has ready ones")
	}
	e.queue.Gone()
	e.open = false
	e.next, freed = freed, e
	inUse--
	return true
}
