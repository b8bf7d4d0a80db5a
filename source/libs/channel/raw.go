package channel

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// What a relay needs: datagrams as they are, whatever is in them. A relay passes no descriptors on.

// SendDatagram sends data as one datagram and waits for room until the deadline; the zero deadline waits for ever.
// Errors: ErrTooLarge, ErrTimeout, EPIPE or ECONNRESET when the other end is gone, os.ErrClosed.
func (c *Conn) SendDatagram(data []byte, deadline time.Time) error {
	return c.send(data, nil, nil, deadline)
}

// TrySendDatagram is SendDatagram without a wait: it is EAGAIN when the other end has to read first.
func (c *Conn) TrySendDatagram(data []byte) error {
	if len(data) > MaxMessage {
		return ErrTooLarge
	}
	c.tx.Lock()
	defer c.tx.Unlock()
	c.txParts, c.txRight = [2][]byte{data}, nil
	err := c.raw.Control(func(fd uintptr) {
		if !c.trySend(fd) {
			c.txError = syscall.EAGAIN
		}
	})
	if err == nil {
		err = c.txError
	}
	c.txParts = [2][]byte{}
	return c.explain(err)
}

// ReceiveDatagram waits until the deadline for one datagram, stores it in buf and returns its size, which may be 0. The
// zero deadline waits for ever. Descriptors beside it are closed. Errors: ErrTooLarge for a datagram longer than buf,
// which is lost; ErrTimeout; io.EOF when the other end is closed; os.ErrClosed.
func (c *Conn) ReceiveDatagram(buf []byte, deadline time.Time) (int, error) {
	got, err := c.receive(buf, deadline)
	if err != nil {
		return 0, err
	}
	got.discard()
	if got.cut {
		return 0, ErrTooLarge
	}
	return got.size, nil
}

// Wait waits until ReceiveDatagram would not: a datagram is there, or the end. The zero deadline waits for ever. It is
// for a relay whose channels share a buffer. Errors: ErrTimeout, os.ErrClosed.
func (c *Conn) Wait(deadline time.Time) error {
	c.rx.Lock()
	defer c.rx.Unlock()
	if err := c.file.SetReadDeadline(deadline); err != nil {
		return c.explain(err)
	}
	return c.explain(c.raw.Read(readable))
}

// readable reports whether a receive would not wait. A kernel that cannot answer is taken to say so.
func readable(fd uintptr) bool {
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN | unix.POLLRDHUP}}
	n, err := unix.Poll(poll, 0)
	return n > 0 || err != nil && err != syscall.EINTR
}
