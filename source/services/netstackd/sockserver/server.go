// Package sockserver serves the socket namespace: it makes the programs' inet sockets, which the kernel shows it as records
// and data pairs (package sockns), out of the stack's.
//
// Three kinds of goroutine share the work. Serve reads the kernel's records and carries them out. One goroutine for each
// socket, upload, moves what the program writes to the stack, waiting at the data pair or for room in the stack. One for
// all, pump, moves what the stack has for the programs, a bounded piece for each socket in turn; a program that does not read
// leaves its data in the stack, whose window then closes.
//
// Everything is bounded: sockets, bytes in each, the piece moved at once. A program can only hurt its own sockets.
package sockserver

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/waiter"

	"nexus/source/libs/sockns"
)

// Bounds.
const (
	// MaxSockets bounds the sockets of the namespace, those being closed included.
	MaxSockets = 4096
	// maxBacklog bounds the connections that wait in the stack for one listener.
	maxBacklog = 1024

	// Above smallAbove sockets each new one gets small buffers, so that all together fit the machine.
	smallAbove  = 256
	smallBuffer = 16 << 10 // bytes
)

// Stack makes sockets; *netstack.Stack is one.
type Stack interface {
	Socket(protocol tcpip.TransportProtocolNumber) (tcpip.Endpoint, *waiter.Queue, tcpip.Error)
}

// Server is one socket namespace's.
type Server struct {
	records *records
	stack   Stack
	ready   readyList
	limit   int

	mu       sync.Mutex
	sockets  map[uint32]*socket // by id, the kernel's and ours
	open     int                // sockets that hold resources, also those whose id was taken over
	starved  []*socket          // listeners that wait for a free socket
	serverID uint32             // last one chosen
	closing  bool
	active   sync.WaitGroup // upload and drain goroutines

	count counters
}

// counters count what the server met; see Each.
type counters struct {
	opened, accepted, connected                               atomic.Uint64
	badRecord, tooMany, noDescriptor, unknownSocket           atomic.Uint64
	datagramShort, datagramNoRoom, streamResets, acceptFailed atomic.Uint64
}

// New returns a server for the serving end of a namespace, which it takes over.
func New(namespace *os.File, stack Stack) (*Server, error) {
	records, err := openRecords(namespace)
	if err != nil {
		return nil, err
	}
	s := &Server{records: records, stack: stack, sockets: make(map[uint32]*socket), limit: MaxSockets}
	s.ready.init()
	return s, nil
}

// Each calls f with each counter's name and value, in a fixed order.
func (s *Server) Each(f func(name string, value uint64)) {
	s.mu.Lock()
	open := s.open
	s.mu.Unlock()
	c := &s.count
	f("open", uint64(open))
	f("opened", c.opened.Load())
	f("accepted", c.accepted.Load())
	f("connected", c.connected.Load())
	f("resets", c.streamResets.Load())
	f("refused.too-many", c.tooMany.Load())
	f("refused.no-descriptor", c.noDescriptor.Load())
	f("drop.accept-failed", c.acceptFailed.Load())
	f("drop.bad-record", c.badRecord.Load())
	f("drop.unknown-socket", c.unknownSocket.Load())
	f("drop.datagram-short", c.datagramShort.Load())
	f("drop.datagram-no-room", c.datagramNoRoom.Load())
}

// Serve carries out the kernel's records until the namespace ends (nil), ctx is done (nil) or the namespace can not be read
// (the error). All sockets are closed when it returns.
func (s *Server) Serve(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { s.records.close() })
	defer stop()
	pumped := make(chan struct{})
	go func() { s.pump(); close(pumped) }()

	err := s.readRecords()
	s.records.close()
	s.closeAll()
	s.ready.stop()
	<-pumped
	s.active.Wait()
	if ctx.Err() != nil || errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func (s *Server) readRecords() error {
	for {
		record, fd, err := s.records.receive()
		switch {
		case errors.Is(err, errBadRecord):
			s.count.badRecord.Add(1)
			continue
		case err != nil:
			return err
		}
		s.handle(&record, fd)
	}
}

// closeAll closes every socket.
func (s *Server) closeAll() {
	s.mu.Lock()
	s.closing = true
	all := make([]*socket, 0, len(s.sockets))
	for _, one := range s.sockets {
		all = append(all, one)
	}
	s.mu.Unlock()
	for _, one := range all {
		one.close(false)
	}
}

// reserve takes one of the bounded number of sockets; false means that there is none. A listener that gets none is told
// when there is one again.
func (s *Server) reserve(listener *socket) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open < s.limit && !s.closing {
		s.open++
		return true
	}
	if listener != nil && !listener.starved {
		listener.starved = true
		s.starved = append(s.starved, listener)
	}
	return false
}

// release gives a reserved socket back and lets starved listeners accept again.
func (s *Server) release() {
	s.mu.Lock()
	s.open--
	starved := s.starved
	s.starved = nil
	for _, listener := range starved {
		listener.starved = false
	}
	s.mu.Unlock()
	for _, listener := range starved {
		s.ready.add(listener)
	}
}

// enter registers a socket under its id. A socket that had the id before keeps running without one: the kernel has closed
// it, which its data pair is about to show. The result is false when the server is closing.
func (s *Server) enter(one *socket) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sockets[one.id] = one
	return !s.closing
}

// leave removes a socket from the register, unless its id is somebody else's by now.
func (s *Server) leave(one *socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sockets[one.id] == one {
		delete(s.sockets, one.id)
	}
}

// find returns the socket with an id, or nil.
func (s *Server) find(id uint32) *socket {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sockets[id]
}

// owns reports whether one is still the socket that the kernel means by its id.
func (s *Server) owns(one *socket) bool { return s.find(one.id) == one }

// chooseID returns an id for an accepted socket that no open one has.
func (s *Server) chooseID() uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		s.serverID = (s.serverID + 1) &^ sockns.ServerID
		if id := s.serverID | sockns.ServerID; s.sockets[id] == nil {
			return id
		}
	}
}

// small reports whether new sockets must get small buffers.
func (s *Server) small() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open > smallAbove
}

// reply answers a request that wants one.
func (s *Server) reply(request *sockns.Record, errno syscall.Errno, local, remote sockns.Address) {
	if request.Seq == 0 {
		return
	}
	s.send(&sockns.Record{
		Op: sockns.Reply, ID: request.ID, Seq: request.Seq, Errno: int32(errno), Local: local, Remote: remote,
	}, -1)
}

// event tells the kernel an error of a socket, if it still knows it.
func (s *Server) event(one *socket, errno syscall.Errno) {
	if errno == 0 || !s.owns(one) {
		return
	}
	s.send(&sockns.Record{Op: sockns.Error, ID: one.id, Errno: int32(errno)}, -1)
}

// send gives the kernel a record, beside it fd unless that is -1. A namespace that can not be written is at its end, which
// Serve sees.
func (s *Server) send(r *sockns.Record, fd int) bool { return s.records.send(r, fd) == nil }

// closeDescriptor closes a descriptor that came with a record and is not wanted.
func closeDescriptor(fd int) {
	if fd >= 0 {
		unix.Close(fd)
	}
}
