package inet

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/mem"
	"nexus/source/kernel/neuron/internal/unixsock"
	"nexus/source/kernel/neuron/internal/user"
	"nexus/source/kernel/neuron/internal/wait"
	"nexus/source/libs/sockns"
)

// Server is the serving end of a namespace, a file.Object. It behaves as a socket of type SOCK_SEQPACKET.
type Server struct {
	file.Defaults
	namespace *Namespace
	in        *unixsock.Socket // the server's end of the records' pair; nil while nobody serves
	told      int              // while it closes: sockets[:told] know
}

// Recv receives one record; the results are those of unixsock's Recv.
func (s *Server) Recv(b *user.Buffer, r *unixsock.Rights, flags int) (n, msg int, err abi.Errno) {
	n, msg, err = s.in.Recv(b, nil, r, flags)
	if err != abi.EAGAIN && flags&unixsock.MSG_PEEK == 0 {
		s.namespace.room.Notify(Answered)
	}
	return n, msg, err
}

// Send takes one record of the server; the rights beside it stay in r unless they are needed. EINVAL if b is not one record; a record
// that makes no sense, or not any more, is dropped and counted.
func (s *Server) Send(b *user.Buffer, r *unixsock.Rights) (int, abi.Errno) {
	n := s.namespace
	var data [sockns.Size]byte
	if b.Len() != len(data) {
		n.drop(BadSize)
		return 0, abi.EINVAL
	}
	if _, ok := b.Get(data[:]); !ok {
		return 0, abi.EFAULT
	}
	var rec sockns.Record
	rec.Decode(&data)
	n.handle(&rec, r)
	return len(data), abi.OK
}

// Read is file.Object's; descriptors beside the record are closed.
func (s *Server) Read(b *user.Buffer, _ int64) (int, abi.Errno) {
	if b.Len() == 0 {
		return 0, abi.OK
	}
	n, _, err := s.Recv(b, nil, 0)
	return n, err
}

// Write is file.Object's.
func (s *Server) Write(b *user.Buffer, _ int64) (int, abi.Errno) { return s.Send(b, nil) }

// Ready is file.Object's.
func (s *Server) Ready() abi.Events { return s.in.Ready()&abi.EPOLLIN | abi.EPOLLOUT }

// Queue is file.Object's.
func (s *Server) Queue() *wait.Queue { return s.in.Queue() }

// Stat is file.Object's.
func (s *Server) Stat(st *abi.Stat) {
	st.Mode = abi.S_IFSOCK | 0o777
	st.Nlink = 1
	st.Blksize = mem.PageSize
}

// piece is how many sockets one Close of a server looks at.
const piece = 256

// Close is file.Object's: the end of the namespace's network. What waits for an answer gets ENETDOWN; another server may follow.
func (s *Server) Close() bool {
	n := s.namespace
	if n.out != nil {
		n.out.Close()
		n.out, s.told = nil, 0 // no socket is made any more
	}
	for end := min(s.told+piece, fresh); s.told < end; s.told++ {
		if one := &sockets[s.told]; one.namespace == n {
			one.goDown()
		}
	}
	if s.told < fresh {
		return false
	}
	s.in.Close()
	s.in = nil
	n.room.Notify(Answered)
	n.release()
	return true
}

// goDown tells the socket that its server is gone.
func (s *Socket) goDown() {
	s.down = true
	s.err = abi.ENETDOWN
	if s.seq != 0 {
		s.seq, s.answer = 0, abi.ENETDOWN
	}
	if s.state == connecting {
		s.state, s.op = failed, 0
	}
	s.end.Shutdown(2)
	s.end.Queue().Notify(all)
}

// handle does what the server says.
func (n *Namespace) handle(rec *sockns.Record, r *unixsock.Rights) {
	switch rec.Op {
	case sockns.Reply, sockns.Error, sockns.Accepted:
	default:
		n.drop(BadOp)
		return
	}
	s := find(n, rec.ID)
	if s == nil {
		n.drop(UnknownSocket)
		return
	}
	switch rec.Op {
	case sockns.Reply:
		if s.seq == 0 || s.seq != rec.Seq {
			n.drop(NotAsked)
			return
		}
		s.settle(rec)
	case sockns.Error:
		err := errno(rec.Errno)
		if err == abi.OK {
			n.drop(BadErrno)
			return
		}
		s.err = err
		s.end.Queue().Notify(all)
	case sockns.Accepted:
		if reason := s.enqueue(rec, r); reason != reasons {
			n.drop(reason)
		}
	}
}

// errno is an error number of the server's. What is none becomes EIO.
func errno(v int32) abi.Errno {
	const last = 133 // EHWPOISON
	if v < 0 || v > last {
		return abi.EIO
	}
	return abi.Errno(v)
}

// settle is the answer to the request under way.
func (s *Socket) settle(rec *sockns.Record) {
	s.seq = 0
	s.answer = errno(rec.Errno)
	ok := s.answer == abi.OK
	if ok && rec.Local.Family == sockns.FamilyIP4 {
		s.local = rec.Local
	}
	switch s.op {
	case sockns.Bind:
		s.bound = s.bound || ok
	case sockns.Listen:
		if ok {
			s.state = listening
		}
	case sockns.Connect:
		s.connectEnds(rec, ok)
		return
	}
	s.end.Queue().Notify(Answered)
}

// connectEnds is the answer to CONNECT.
func (s *Socket) connectEnds(rec *sockns.Record, ok bool) {
	switch {
	case s.kind == unixsock.Datagram:
		// The answer waits for connect, which knows what was asked.
		if ok {
			s.state, s.remote = idle, sockns.Address{}
			if rec.Remote.Family == sockns.FamilyIP4 && rec.Remote.Port != 0 {
				s.state, s.remote = connected, rec.Remote
			}
		}
	case ok:
		s.op = 0
		s.state, s.untold = connected, true
		if rec.Remote.Family == sockns.FamilyIP4 {
			s.remote = rec.Remote
		}
	default:
		s.op = 0
		s.state, s.err = failed, s.answer
	}
	s.end.Queue().Notify(all)
}

// enqueue makes a socket of the connection that rec tells the listener s of. It returns why not, or reasons.
func (s *Socket) enqueue(rec *sockns.Record, r *unixsock.Rights) Reason {
	n := s.namespace
	switch {
	case s.state != listening:
		return NotListening
	case s.queued == maxQueued:
		return QueueFull
	case rec.Arg0&sockns.ServerID == 0 || find(n, rec.Arg0) != nil:
		return BadID
	case r == nil || r.N != 1:
		return BadDescriptor
	}
	end, ok := r.Files[0].Object.(*unixsock.Socket)
	if !ok || end.Kind() != unixsock.Stream || !end.NoRights() {
		return BadDescriptor
	}
	c := take(n, rec.Arg0)
	if c == nil {
		return TooManySockets
	}
	c.end, c.accepted = end, r.Files[0]
	r.N = 0
	c.kind, c.state, c.bound = unixsock.Stream, connected, true
	c.local, c.remote = rec.Local, rec.Remote
	c.options, c.abort = s.options, s.abort
	if s.first == nil {
		s.first = c
	} else {
		s.last.next = c
	}
	s.last = c
	s.queued++
	s.end.Queue().Notify(abi.EPOLLIN)
	return reasons
}
