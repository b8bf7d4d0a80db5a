package epoll

// A list is a queue of items, first in first out. An item can be on one list of each kind.
type list struct {
	first, last *item
	n           int
	kind        uint8 // index of item.links
}

// Kinds of lists.
const (
	watched = iota // all items of an instance; also the free list
	ready          // those that may be ready
	kinds
)

// link is an item's place in a list.
type link struct {
	next, prev *item
	in         bool
}

// has reports whether it is on l.
func (l *list) has(it *item) bool { return it.links[l.kind].in }

// add puts it, which is not on l, at the end.
func (l *list) add(it *item) {
	if it.links[l.kind].in {
		panic("epoll: an item is on a list twice")
	}
	it.links[l.kind] = link{prev: l.last, in: true}
	if l.last != nil {
		l.last.links[l.kind].next = it
	} else {
		l.first = it
	}
	l.last = it
	l.n++
}

// remove takes it off l, if it is on it.
func (l *list) remove(it *item) {
	at := it.links[l.kind]
	if !at.in {
		return
	}
	if at.prev != nil {
		at.prev.links[l.kind].next = at.next
	} else {
		l.first = at.next
	}
	if at.next != nil {
		at.next.links[l.kind].prev = at.prev
	} else {
		l.last = at.prev
	}
	it.links[l.kind] = link{}
	l.n--
}
