package sockserver

import "sync"

// readyList holds the sockets for which the stack may have something, each once, in the order in which that became so.
type readyList struct {
	mu      sync.Mutex
	sockets []*socket
	stopped bool
	wake    chan struct{} // holds a token when there is something to see
}

func (l *readyList) init() { l.wake = make(chan struct{}, 1) }

// add adds a socket unless it is there. It never blocks: the stack calls it with its locks held.
func (l *readyList) add(s *socket) {
	l.mu.Lock()
	if s.listed {
		l.mu.Unlock()
		return
	}
	s.listed = true
	l.sockets = append(l.sockets, s)
	l.mu.Unlock()
	l.ring()
}

func (l *readyList) ring() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// take moves the list to the end of into, whose sockets can be added again from then on.
func (l *readyList) take(into []*socket) []*socket {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, s := range l.sockets {
		s.listed = false
		into = append(into, s)
		l.sockets[i] = nil
	}
	l.sockets = l.sockets[:0]
	return into
}

// stop ends wait.
func (l *readyList) stop() {
	l.mu.Lock()
	l.stopped = true
	l.mu.Unlock()
	l.ring()
}

// wait waits until there is something to take; false means that the list was stopped.
func (l *readyList) wait() bool {
	<-l.wake
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.stopped
}

// pump serves ready sockets, each one bounded piece in turn, until the list is stopped.
func (s *Server) pump() {
	var turn []*socket
	buf := make([]byte, chunk)
	for s.ready.wait() {
		turn = s.ready.take(turn[:0])
		for i, one := range turn {
			if one.serve(buf) {
				s.ready.add(one)
			}
			turn[i] = nil
		}
	}
}
