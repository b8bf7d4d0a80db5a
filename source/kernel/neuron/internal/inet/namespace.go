package inet

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/unixsock"
	"nexus/source/kernel/neuron/internal/wait"
	"nexus/source/libs/sockns"
)

// MaxNamespaces bounds the socket namespaces.
const MaxNamespaces = 8

// Namespace is where the sockets of some processes live, a file.Object: who holds it may enter it, or serve it.
//
// It lasts while it is open, served, or has sockets.
type Namespace struct {
	file.Defaults
	used, open bool
	server     Server
	out        *unixsock.Socket // the kernel's end of the records' pair; nil without a server
	room       wait.Queue       // of those whose record the server has no room for
	lastID     uint32
	lastSeq    uint32
	sockets    int
	dropped    [reasons]uint64
}

// Reason is why a record of a server was dropped.
type Reason int

// Reasons.
const (
	BadSize        Reason = iota // not one record
	BadOp                        // no operation of a server's
	UnknownSocket                // no such id; also of sockets closed meanwhile
	NotAsked                     // a reply that nobody waits for, or not any more
	BadErrno                     // an ERROR without an error
	NotListening                 // ACCEPTED for a socket that does not listen
	BadDescriptor                // not exactly the descriptor that belongs to the record
	BadID                        // ACCEPTED with an id that is taken or the kernel's to choose
	QueueFull                    // ACCEPTED beyond what waits at a listener
	TooManySockets               // ACCEPTED beyond MaxSockets
	NoSource                     // a datagram without an IPv4 source address
	reasons
)

var namespaces [MaxNamespaces]Namespace

// NewNamespace returns a namespace without a server. ENFILE if there are too many.
func NewNamespace() (*Namespace, abi.Errno) {
	for i := range namespaces {
		n := &namespaces[i]
		if !n.used {
			*n = Namespace{used: true, open: true}
			n.server.namespace = n
			return n, abi.OK
		}
	}
	return nil, abi.ENFILE
}

// Dropped is how many records of the server were dropped for a reason.
func (n *Namespace) Dropped(r Reason) uint64 { return n.dropped[r] }

func (n *Namespace) drop(r Reason) { n.dropped[r]++ }

// Stat is file.Object's.
func (n *Namespace) Stat(st *abi.Stat) {
	st.Mode = abi.S_IFDIR | 0o700
	st.Nlink = 1
}

// Close is file.Object's: nobody can enter or serve the namespace any more.
func (n *Namespace) Close() bool {
	n.open = false
	n.release()
	return true
}

// release frees the namespace when nothing is left of it.
func (n *Namespace) release() {
	if n.sockets < 0 {
		panic("inet: a namespace has lost more sockets than it had")
	}
	if !n.open && n.server.in == nil && n.sockets == 0 {
		n.room.Gone()
		n.used = false
	}
}

// Serve opens the serving end. EBUSY while it is open; ENFILE without room for it.
func (n *Namespace) Serve() (*Server, abi.Errno) {
	if n.server.in != nil {
		return nil, abi.EBUSY
	}
	out, in, err := unixsock.Pair(unixsock.Seqpacket)
	if err != abi.OK {
		return nil, err
	}
	n.out, n.server.in = out, in
	return &n.server, abi.OK
}

// newID chooses the id of a socket: not 0, no server's, and free.
func (n *Namespace) newID() uint32 {
	for {
		n.lastID = (n.lastID + 1) &^ sockns.ServerID
		if n.lastID != 0 && find(n, n.lastID) == nil {
			return n.lastID
		}
	}
}

func (n *Namespace) newSeq() uint32 {
	if n.lastSeq++; n.lastSeq == 0 {
		n.lastSeq = 1
	}
	return n.lastSeq
}

// post gives the server a record, beside it the rights in r, which may be nil and stay the caller's unless the result is OK.
// ENETDOWN without a server; EAGAIN with the queue to wait on while the server has no room.
func (n *Namespace) post(rec *sockns.Record, r *unixsock.Rights) (*wait.Queue, abi.Errno) {
	if n.out == nil {
		return nil, abi.ENETDOWN
	}
	var b [sockns.Size]byte
	rec.Encode(&b)
	if _, err := n.out.Send(nil, b[:], r, 0); err != abi.OK {
		return &n.room, abi.EAGAIN
	}
	return nil, abi.OK
}
