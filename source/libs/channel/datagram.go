package channel

import (
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// rightsSpace is the room for the control message of MaxDescriptors descriptors: cmsghdr (16) and 4 bytes each.
const rightsSpace = 16 + 4*MaxDescriptors

// datagram is what one recvmsg gave.
type datagram struct {
	size        int
	descriptors []int
	damaged     bool // truncated, or its descriptors were: not to be used
	cut         bool // longer than the buffer
}

// discard closes the datagram's descriptors.
func (d *datagram) discard() {
	closeAll(d.descriptors)
	d.descriptors = nil
}

func closeAll(descriptors []int) {
	for _, fd := range descriptors {
		unix.Close(fd)
	}
}

// send sends header and body as one datagram with descriptors beside it, and waits for room until the deadline.
func (c *Conn) send(header, body []byte, descriptors []int, deadline time.Time) error {
	if len(header)+len(body) > MaxMessage {
		return ErrTooLarge
	}
	if len(descriptors) > MaxDescriptors {
		return os.NewSyscallError("sendmsg", syscall.EINVAL)
	}
	c.tx.Lock()
	defer c.tx.Unlock()
	if err := c.file.SetWriteDeadline(deadline); err != nil {
		return c.explain(err)
	}
	c.txParts = [2][]byte{header, body}
	c.txRight = nil
	if len(descriptors) > 0 {
		c.txRight = unix.UnixRights(descriptors...)
	}
	err := c.raw.Write(c.txReady)
	if err == nil {
		err = c.txError
	}
	c.txParts = [2][]byte{}
	return c.explain(err)
}

// trySend is one attempt of send; false means that there was no room.
func (c *Conn) trySend(fd uintptr) bool {
	_, err := unix.SendmsgBuffers(int(fd), c.txParts[:], c.txRight, nil, unix.MSG_NOSIGNAL)
	if err == syscall.EAGAIN {
		return false
	}
	c.txError = err
	return true
}

// receive waits until the deadline for one datagram and stores it in buf. The zero deadline waits for ever. io.EOF means
// that the other end is closed.
func (c *Conn) receive(buf []byte, deadline time.Time) (datagram, error) {
	c.rx.Lock()
	defer c.rx.Unlock()
	if err := c.file.SetReadDeadline(deadline); err != nil {
		return datagram{}, c.explain(err)
	}
	c.rxBytes = buf
	err := c.raw.Read(c.rxReady)
	if err == nil {
		err = c.rxError
	}
	got := c.rxGot
	c.rxBytes, c.rxGot = nil, datagram{}
	return got, c.explain(err)
}

// tryReceive is one attempt of receive; false means that nothing was there.
func (c *Conn) tryReceive(fd uintptr) bool {
	n, rights, flags, _, err := unix.Recvmsg(int(fd), c.rxBytes, c.rxRight[:], unix.MSG_CMSG_CLOEXEC)
	if err == syscall.EAGAIN {
		return false
	}
	c.rxGot, c.rxError = datagram{}, err
	if err != nil {
		return true
	}
	descriptors, good := parseRights(c.rxRight[:rights])
	c.rxGot = datagram{
		size:        n,
		descriptors: descriptors,
		damaged:     !good || flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0,
		cut:         flags&unix.MSG_TRUNC != 0,
	}
	if n == 0 && rights == 0 && hungUp(int(fd)) {
		c.rxError = io.EOF
	}
	return true
}

// parseRights returns the descriptors of a control buffer, and whether it held nothing else.
func parseRights(control []byte) ([]int, bool) {
	if len(control) == 0 {
		return nil, true
	}
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil, false
	}
	var all []int
	good := true
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			good = false
			continue
		}
		all = append(all, fds...)
	}
	return all, good
}

// hungUp tells the end of a SEQPACKET stream from an empty datagram, which read the same. A kernel that cannot answer is
// taken to say that the stream ended.
func hungUp(fd int) bool {
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	_, err := unix.Poll(poll, 0)
	return err != nil || poll[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
}
