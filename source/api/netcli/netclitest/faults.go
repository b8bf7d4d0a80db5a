package netclitest

import (
	"context"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"nexus/source/libs/channel"
)

// Fault is what a service does with a channel instead of serving it.
type Fault func(peer *os.File)

// open returns a channel to the fault, which runs until it returns.
func (f Fault) open(running *sync.WaitGroup) (*channel.Conn, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	peer := os.NewFile(uintptr(fds[1]), "fault")
	conn, err := channel.FromDescriptor(fds[0], "fault")
	if err != nil {
		peer.Close()
		return nil, err
	}
	running.Go(func() {
		defer peer.Close()
		f(peer)
	})
	return conn, nil
}

// request waits for one request; what is in it does not matter, nor that there may be none.
func request(peer *os.File) { _, _ = peer.Read(make([]byte, channel.MaxMessage)) }

// Dies ends after it got a request.
func Dies(peer *os.File) { request(peer) }

// Resets ends while a request lies unread, which the client sees as ECONNRESET or EPIPE.
func Resets(peer *os.File) {
	poll := []unix.PollFd{{Fd: int32(peer.Fd()), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(poll, -1); err != unix.EINTR {
			return
		}
	}
}

// Silent answers nothing until the client goes.
func Silent(peer *os.File) {
	request(peer)
	request(peer) // returns when the other end is closed
}

// Babbles answers with data that is no message.
func Babbles(peer *os.File) {
	request(peer)
	_, _ = peer.WriteString("HTTP/1.1 200 OK\r\n\r\n")
	request(peer)
}

// Clock is a clock that stands still but for the time that is waited.
type Clock struct {
	// OnWait, if set, is called with how many waits there were, this one included, before the time passes.
	OnWait func(n int)

	mu    sync.Mutex
	at    time.Duration
	waits []time.Duration
}

// Now implements netcli.Clock.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Unix(0, 0).Add(c.at)
}

// Wait implements netcli.Clock.
func (c *Clock) Wait(_ context.Context, d time.Duration) {
	c.mu.Lock()
	c.at += d
	c.waits = append(c.waits, d)
	n := len(c.waits)
	c.mu.Unlock()
	if c.OnWait != nil {
		c.OnWait(n)
	}
}

// Pass makes the time pass by d.
func (c *Clock) Pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at += d
}

// Waits returns how long was waited, each time.
func (c *Clock) Waits() []time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waits
}
