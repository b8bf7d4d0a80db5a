package inet

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/unixsock"
	"nexus/source/kernel/neuron/internal/wait"
	"nexus/source/libs/sockns"
)

// Bounds of operations that wait for the server, in nanoseconds: who waits longer cancels the operation and gives ETIMEDOUT.
// Where nobody waits, Expire does so.
const (
	RequestTimeout = 10_000_000_000
	ConnectTimeout = 130_000_000_000
)

// maxQueued bounds the connections that wait at one listener. It is no smaller for a small backlog, which is the server's to
// honour: there a connection beyond it is tried again, here it would be lost.
const maxQueued = 1024

// request sends rec, or finds the answer to the one that an earlier call of the same kind sent. If the queue is not nil
// the call is to be made again when Answered is told there.
func (s *Socket) request(rec *sockns.Record) (*wait.Queue, abi.Errno) {
	if s.op == rec.Op {
		if s.seq != 0 {
			return s.end.Queue(), abi.EAGAIN
		}
		s.op = 0
		return nil, s.answer
	}
	if s.seq != 0 {
		return nil, abi.EALREADY // another thread's operation is under way
	}
	return s.ask(rec)
}

// ask sends rec.
func (s *Socket) ask(rec *sockns.Record) (*wait.Queue, abi.Errno) {
	n := s.namespace
	if s.down {
		return nil, abi.ENETDOWN
	}
	rec.ID, rec.Seq = s.id, n.newSeq()
	if q, err := n.post(rec, nil); err != abi.OK {
		return q, err
	}
	s.op, s.seq = rec.Op, rec.Seq
	return s.end.Queue(), abi.EAGAIN
}

// tell sends rec, which has no answer.
func (s *Socket) tell(rec *sockns.Record) (*wait.Queue, abi.Errno) {
	if s.down {
		return nil, abi.ENETDOWN
	}
	rec.ID = s.id
	return s.namespace.post(rec, nil)
}

// Cancel ends the wait for an answer; one that comes later is dropped.
func (s *Socket) Cancel() {
	if s.seq == 0 {
		return
	}
	s.seq, s.op = 0, 0
	if s.state == connecting {
		s.state = idle
	}
}

// own reports whether the server knows the socket by an id of the kernel's: one that it did not make itself.
func (s *Socket) own() bool { return s.accepted == nil }

// Bind gives the socket its address; port 0 lets the server choose. EINVAL if it has one. The queue is as request has it.
func (s *Socket) Bind(to *sockns.Address) (*wait.Queue, abi.Errno) {
	if s.op != sockns.Bind && (s.bound || s.state != idle || !s.own()) {
		return nil, abi.EINVAL
	}
	return s.request(&sockns.Record{Op: sockns.Bind, Local: *to})
}

// Listen makes a stream take connections; the server learns how many may wait there. It can be called again to change that.
func (s *Socket) Listen(backlog int) (*wait.Queue, abi.Errno) {
	switch {
	case s.kind != unixsock.Stream:
		return nil, abi.EOPNOTSUPP
	case s.state != idle && s.state != listening || !s.own():
		return nil, abi.EINVAL
	}
	if backlog < 0 || backlog > maxQueued {
		backlog = maxQueued
	}
	return s.request(&sockns.Record{Op: sockns.Listen, Arg0: uint32(backlog)})
}

// Accept takes the connection that has waited longest; the caller closes it. EAGAIN if there is none, EINVAL if the socket
// does not listen.
func (s *Socket) Accept() (*Socket, abi.Errno) {
	switch {
	case s.kind != unixsock.Stream:
		return nil, abi.EOPNOTSUPP
	case s.state != listening:
		return nil, abi.EINVAL
	}
	c := s.first
	if c == nil {
		if s.down {
			return nil, abi.ENETDOWN
		}
		if err := s.TakeError(); err != abi.OK {
			return nil, err
		}
		return nil, abi.EAGAIN
	}
	s.first = c.next
	c.next = nil
	s.queued--
	return c, abi.OK
}

// Never is the time of what does not happen.
const Never = 1<<64 - 1

// deadline is a time, in nanoseconds, before which no connecting stream gives up.
var deadline uint64 = Never

// Deadline is the time, on the clock that Connect was given, at which Expire is to be called next.
func Deadline() uint64 { return deadline }

// Expire ends the connecting of streams whose time is up with ETIMEDOUT.
func Expire(now uint64) {
	if now < deadline {
		return
	}
	deadline = Never
	for i := range sockets[:fresh] {
		s := &sockets[i]
		switch {
		case s.state != connecting:
		case s.until <= now:
			s.seq, s.op = 0, 0
			s.state, s.err = failed, abi.ETIMEDOUT
			s.end.Queue().Notify(all)
		default:
			deadline = min(deadline, s.until)
		}
	}
}

// Connect connects to an address, or dissolves the connection of a datagram socket if its family is 0. A stream that may not wait
// gets EINPROGRESS, and then EALREADY until the server has answered; after that 0 once, or the error. The queue is as
// request has it. now is the time in nanoseconds, from which on a stream has ConnectTimeout.
func (s *Socket) Connect(to *sockns.Address, nonblocking bool, now uint64) (*wait.Queue, abi.Errno) {
	if s.kind == unixsock.Datagram {
		return s.request(&sockns.Record{Op: sockns.Connect, Remote: *to})
	}
	switch s.state {
	case connected:
		if s.untold {
			s.untold = false
			return nil, abi.OK
		}
		return nil, abi.EISCONN
	case listening:
		return nil, abi.EISCONN
	case failed:
		s.state = idle
		if err := s.TakeError(); err != abi.OK {
			return nil, err
		}
		return nil, abi.ECONNABORTED
	case connecting:
		if nonblocking {
			return nil, abi.EALREADY
		}
		return s.end.Queue(), abi.EAGAIN
	}
	switch {
	case to.Family == sockns.FamilyNone:
		return nil, abi.EOPNOTSUPP // Linux would give up the socket's address
	case s.seq != 0:
		return nil, abi.EALREADY
	}
	q, err := s.ask(&sockns.Record{Op: sockns.Connect, Remote: *to})
	if s.seq == 0 {
		return q, err
	}
	s.state, s.remote = connecting, *to
	s.until = now + ConnectTimeout
	deadline = min(deadline, s.until)
	if nonblocking {
		return nil, abi.EINPROGRESS
	}
	return q, err
}

// Name is the socket's own address: 0.0.0.0:0 before bind, connect or listen. The port that a datagram socket gets by its
// first send alone is known to the server only.
func (s *Socket) Name() sockns.Address {
	a := s.local
	a.Family = sockns.FamilyIP4
	return a
}

// Peer is the address it is connected to; ENOTCONN if it is not.
func (s *Socket) Peer() (sockns.Address, abi.Errno) {
	if s.state != connected {
		return sockns.Address{}, abi.ENOTCONN
	}
	return s.remote, abi.OK
}
