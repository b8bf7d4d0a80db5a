package unixsock

import "nexus/source/kernel/neuron/internal/file"

const (
	// MaxRights is how many descriptors go with one message. Linux's SCM_MAX_FD is 253.
	MaxRights = 16
	// MaxParcels bounds the messages with descriptors that are under way in the whole system, and perSocket those that wait
	// at one socket.
	MaxParcels = 1024
	perSocket  = 256
)

// Rights are open files on their way: N references.
type Rights struct {
	Files [MaxRights]*file.File
	N     int
}

// Release drops what is left in r.
func (r *Rights) Release() {
	n := r.N
	r.N = 0
	for i := range n {
		f := r.Files[i]
		r.Files[i] = nil
		f.Release()
	}
}

// parcel is the rights of one frame of a queue. A socket's parcels stand in the order of their frames.
type parcel struct {
	rights Rights
	next   *parcel // of the socket, or free list
}

var (
	parcels      [MaxParcels]parcel
	freshParcels int // parcels[freshParcels:] were never used
	freedParcels *parcel
	onTheWay     int
)

// Parcels is the number of messages with descriptors under way.
func Parcels() int { return onTheWay }

// pack moves the references of r to a new parcel; nil if there are too many.
func pack(r *Rights) *parcel {
	p := freedParcels
	switch {
	case p != nil:
		freedParcels = p.next
	case freshParcels < MaxParcels:
		p = &parcels[freshParcels]
		freshParcels++
	default:
		return nil
	}
	p.rights, p.next = *r, nil
	r.N = 0
	onTheWay++
	return p
}

// free returns p, whose references the caller has taken or dropped.
func (p *parcel) free() {
	p.rights.N = 0
	p.next, freedParcels = freedParcels, p
	onTheWay--
}

// addParcel appends p to those that wait at s.
func (s *Socket) addParcel(p *parcel) {
	if s.firstParcel == nil {
		s.firstParcel = p
	} else {
		s.lastParcel.next = p
	}
	s.lastParcel = p
	s.parcels++
}

// takeParcel moves the rights of the oldest parcel of s to r, or drops them if r is nil.
func (s *Socket) takeParcel(r *Rights) {
	p := s.firstParcel
	if p == nil {
		panic("unixsock: a frame's descriptors are missing")
	}
	s.firstParcel = p.next
	s.parcels--
	if r != nil {
		*r = p.rights
	} else {
		p.rights.Release()
	}
	p.free()
}

// copyParcel gives r its own references to the rights of p.
func copyParcel(p *parcel, r *Rights) {
	if r == nil {
		return
	}
	*r = p.rights
	for _, f := range r.Files[:r.N] {
		f.Ref()
	}
}

// circular reports whether r, waiting at s, would keep s from ever being closed: one of its files is s, or a socket at
// which, over any number of steps, s waits. Linux collects such rings when they are unreachable; neuron does not let
// them come about.
func (s *Socket) circular(r *Rights) bool {
	search++
	var todo *Socket
	todo = visit(r, todo)
	for todo != nil {
		t := todo
		if t == s {
			return true
		}
		todo = t.todo
		for p := t.firstParcel; p != nil; p = p.next {
			todo = visit(&p.rights, todo)
		}
	}
	return false
}

// search numbers the searches: a socket that bears its number was met already.
var search uint64

// visit puts the sockets among r that were not met yet in front of todo.
func visit(r *Rights, todo *Socket) *Socket {
	for _, f := range r.Files[:r.N] {
		t, ok := f.Object.(*Socket)
		if !ok || t.searched == search {
			continue
		}
		t.searched, t.todo = search, todo
		todo = t
	}
	return todo
}
