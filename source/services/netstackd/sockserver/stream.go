package sockserver

import (
	"bytes"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"

	"nexus/source/libs/sockns"
)

// chunks lends the buffers of upload: a socket has one only while it holds data.
var chunks = sync.Pool{New: func() any { return new([chunk]byte) }}

// accept hands the kernel connections that came in, as many as there may be sockets. It reports whether there may be more.
func (s *socket) accept() bool {
	if !s.server.reserve(s) {
		return false
	}
	endpoint, queue, err := s.ep().Accept(nil)
	if err != nil {
		s.server.release()
		return false // nothing there; the listener's own end shows at its data pair
	}
	pair, failed := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if failed != nil {
		s.server.count.acceptFailed.Add(1)
		endpoint.Abort()
		endpoint.Close()
		s.server.release()
		return true
	}
	defer unix.Close(pair[1])
	one, failed := s.server.newSocket(s.server.chooseID(), false, endpoint, queue, pair[0])
	if failed != nil {
		s.server.count.acceptFailed.Add(1)
		s.server.release()
		return true
	}
	one.phase = connected
	s.server.count.accepted.Add(1)
	one.run() // before the kernel can mean it by its id
	s.server.send(&sockns.Record{
		Op: sockns.Accepted, ID: s.id, Arg0: one.id, Local: one.local(), Remote: one.remote(),
	}, pair[1])
	return true
}

// upload moves what the program writes to the stack until the program's end is closed, then closes the socket.
func (s *socket) upload() {
	reset := s.uploadAll()
	s.close(reset)
}

// uploadAll reports whether the socket must be closed with a reset.
func (s *socket) uploadAll() (reset bool) {
	for {
		buf, n, err := s.receive()
		if buf == nil && s.datagram && err == syscall.ECONNRESET {
			continue // the program closed and left datagrams unread: what it sent is still there
		}
		if buf == nil {
			return err == syscall.ECONNRESET // the program closed and left data unread (RFC 1122 section 4.2.2.13)
		}
		if n == 0 {
			chunks.Put(buf)
			break
		}
		if s.datagram {
			s.sendDatagram(buf[:n])
		} else {
			s.sendStream(buf[:n])
		}
		chunks.Put(buf)
	}
	if s.datagram {
		return false // the pair of a datagram socket ends only when it is closed
	}
	// The program wants to send no more. It may still read.
	if err := s.ep().Shutdown(tcpip.ShutdownWrite); err != nil {
		if _, ok := err.(*tcpip.ErrNotConnected); !ok {
			s.fail(err)
		}
	}
	s.awaitHangUp()
	return false
}

// receive waits for what the program writes. buf is nil when the pair can not be read any more; else it must be given back to
// chunks, and n is 0 at the end of the stream.
func (s *socket) receive() (buf *[chunk]byte, n int, err error) {
	waited := s.raw.Read(func(fd uintptr) bool {
		buf = chunks.Get().(*[chunk]byte)
		n, err = unix.Read(int(fd), buf[:])
		if err != nil {
			chunks.Put(buf)
			buf = nil
		}
		return err != unix.EAGAIN
	})
	if waited != nil {
		return nil, 0, waited
	}
	return buf, n, err
}

// awaitHangUp waits until the program's end of the pair is closed, or takes and gives nothing any more. A send of no bytes tells:
// it fails with EPIPE then, and does nothing before.
func (s *socket) awaitHangUp() {
	_ = s.raw.Read(func(fd uintptr) bool {
		_, err := unix.SendmsgN(int(fd), nil, nil, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		return err != nil && err != unix.EAGAIN
	})
}

// sendStream gives the stack all of data, waiting for room. A broken connection swallows it.
func (s *socket) sendStream(data []byte) {
	reader := bytes.NewReader(data)
	for reader.Len() > 0 {
		_, err := s.ep().Write(reader, tcpip.WriteOptions{})
		switch err.(type) {
		case nil:
		case *tcpip.ErrWouldBlock:
			if !s.awaitRoom() {
				return
			}
		case *tcpip.ErrClosedForSend:
			s.shutdown(unix.SHUT_RD) // the program's next write fails with EPIPE
			return
		default:
			s.fail(err)
			return
		}
	}
}

// awaitRoom waits until the stack may take more; false means that the socket is closed or late.
func (s *socket) awaitRoom() bool {
	select {
	case <-s.writable:
		return true
	case <-s.gone:
		return false
	case <-s.late:
		return false
	}
}

// downloadStream moves one piece from the stack to the program. It reports whether there may be more.
func (s *socket) downloadStream(buf []byte) bool {
	if s.finished || s.blocked() {
		return false
	}
	room := tcpip.SliceWriter(buf)
	got, err := s.ep().Read(&room, tcpip.ReadOptions{})
	switch err.(type) {
	case nil:
	case *tcpip.ErrWouldBlock:
		return false
	case *tcpip.ErrClosedForReceive:
		s.finished = true
		s.shutdown(unix.SHUT_WR)
		return false
	default:
		s.finished = true
		s.fail(err)
		return false
	}
	if s.discard {
		return true
	}
	s.ep().ModerateRecvBuf(got.Count)
	return s.give(buf[:got.Count])
}

// give writes data to the program's end. What it does not take at once is kept, and a goroutine waits until it does. It reports
// whether the program took everything.
func (s *socket) give(data []byte) bool {
	n, err := 0, error(nil)
	if failed := s.raw.Control(func(fd uintptr) { n, err = unix.Write(int(fd), data) }); failed != nil {
		err = failed
	}
	switch {
	case err == nil && n == len(data):
		return true
	case err == nil || err == unix.EAGAIN:
		s.left = append(s.left[:0], data[max(n, 0):]...)
		s.drainLock.Lock()
		s.draining = true
		s.drainLock.Unlock()
		s.server.active.Go(s.drain)
		return false
	default:
		// The program is gone, or reads no more: what comes for it is dropped, as Linux does after SHUT_RD.
		s.discard = true
		return true
	}
}

// blocked reports whether the program has yet to take what was kept.
func (s *socket) blocked() bool {
	s.drainLock.Lock()
	defer s.drainLock.Unlock()
	return s.draining
}

// drain waits until the program has taken what was kept. While draining is set, left is this goroutine's.
func (s *socket) drain() {
	_ = s.raw.Write(func(fd uintptr) bool {
		for len(s.left) > 0 {
			n, err := unix.Write(int(fd), s.left)
			if err == unix.EAGAIN {
				return false
			}
			if err != nil {
				break
			}
			s.left = s.left[n:]
		}
		return true
	})
	s.left = nil
	s.drainLock.Lock()
	s.draining = false
	s.drainLock.Unlock()
	s.server.ready.add(s)
}
