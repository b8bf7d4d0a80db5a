// Package nic keeps netstackd joined to virtionetd: it takes over the frame queue, runs the link on it, and when virtionetd was
// started anew or its queue broke takes over the next one. The stack above notices frames that are missing, nothing else:
// connections live on.
package nic

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"nexus/source/api/netapi"
	"nexus/source/libs/frameq"
	"nexus/source/services/netstackd/link"
)

const (
	// watchEvery is how often virtionetd is asked whether it still is the one that made the queue.
	watchEvery = 2 * time.Second
	// callTimeout bounds each call.
	callTimeout = 5 * time.Second
	// Waits between attempts to attach.
	firstRetry = 50 * time.Millisecond
	lastRetry  = 2 * time.Second
)

// ErrShape says that virtionetd's frame queue is not of the shape this program was built for.
var ErrShape = errors.New("frame queue of another shape: virtionetd and netstackd are not of one build")

// NIC is the way to virtionetd.
type NIC struct {
	client   *netapi.Client
	attached *attachment // the first one, until Run takes it
	restarts atomic.Uint64
	doubt    chan struct{} // holds a token when the queue is to be given up
}

// attachment is one frame queue, mapped.
type attachment struct {
	instance      uint64
	frames, queue []byte
	stack         *frameq.Stack
	rx, tx        *frameq.EventBell
	ring          *link.EventBell // of rx
}

// Open takes over the frame queue for the first time and returns what the NIC is.
func Open(client *netapi.Client) (*NIC, netapi.Interface, error) {
	client.Timeout = callTimeout
	n := &NIC{client: client, doubt: make(chan struct{}, 1)}
	a, info, err := n.attach()
	if err != nil {
		return nil, info, err
	}
	n.attached = a
	return n, info, nil
}

// Plug lets endpoint send, before Run lets it receive too.
func (n *NIC) Plug(endpoint *link.Endpoint) { endpoint.Plug(n.attached.stack) }

// Restarts returns how often the queue was taken over again.
func (n *NIC) Restarts() uint64 { return n.restarts.Load() }

// Reattach gives up the queue and takes over a new one.
func (n *NIC) Reattach() {
	select {
	case n.doubt <- struct{}{}:
	default:
	}
}

// attach asks for the frame queue and maps it.
func (n *NIC) attach() (*attachment, netapi.Interface, error) {
	got, err := n.client.Attach()
	if err != nil {
		return nil, netapi.Interface{}, err
	}
	defer unix.Close(got.Frames)
	defer unix.Close(got.Queue)
	a := &attachment{instance: got.Interface.Instance}
	// The bells take their descriptors over, also when they fail.
	a.rx, err = bell(got.RxBell, frameq.RxBellName)
	if err == nil {
		a.tx, err = bell(got.TxBell, frameq.TxBellName)
	} else {
		unix.Close(got.TxBell)
	}
	if err == nil {
		err = a.mapQueue(got)
	}
	if err != nil {
		a.close()
		return nil, got.Interface, err
	}
	return a, got.Interface, nil
}

func bell(fd int, name string) (*frameq.EventBell, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	return frameq.OpenEventBell(os.NewFile(uintptr(fd), name))
}

func (a *attachment) mapQueue(got netapi.Attachment) (err error) {
	if got.SlotSize != frameq.SlotSize || got.Slots != frameq.Slots ||
		got.FramesSize != frameq.PoolSize || got.QueueSize != frameq.QueueSize {
		return ErrShape
	}
	const access = unix.PROT_READ | unix.PROT_WRITE
	if a.frames, err = unix.Mmap(got.Frames, 0, frameq.PoolSize, access, unix.MAP_SHARED); err != nil {
		return os.NewSyscallError("mmap frames", err)
	}
	if a.queue, err = unix.Mmap(got.Queue, 0, frameq.QueueSize, access, unix.MAP_SHARED); err != nil {
		return os.NewSyscallError("mmap queue", err)
	}
	if a.ring, err = link.NewBell(a.rx.File()); err != nil {
		return err
	}
	a.stack, err = frameq.Attach(a.frames, a.queue, a.tx)
	return err
}

// close gives everything back. Nobody may use the queue any more.
func (a *attachment) close() {
	if a.rx != nil {
		a.rx.Close()
	}
	if a.tx != nil {
		a.tx.Close()
	}
	if a.frames != nil {
		_ = unix.Munmap(a.frames) // it is a mapping that Mmap returned
	}
	if a.queue != nil {
		_ = unix.Munmap(a.queue)
	}
}

// Run runs endpoint on the queue, and on the next ones, until ctx is done (nil) or there will be none any more.
func (n *NIC) Run(ctx context.Context, endpoint *link.Endpoint) error {
	a := n.attached
	n.attached = nil
	for {
		n.use(ctx, a, endpoint)
		if ctx.Err() != nil {
			return nil
		}
		n.restarts.Add(1)
		var err error
		if a, err = n.attachAgain(ctx); err != nil || a == nil {
			return err
		}
	}
}

// use runs endpoint on one queue until virtionetd is another or does not answer.
func (n *NIC) use(ctx context.Context, a *attachment, endpoint *link.Endpoint) {
	defer a.close()
	ended := make(chan struct{})
	go func() {
		_ = endpoint.Run(a.stack, a.ring) // ends when the bell is closed, here below
		close(ended)
	}()
	n.watch(ctx, a.instance, ended)
	a.rx.Close()
	<-ended
}

// watch returns when virtionetd is not the process any more that made the queue, or ctx or the link is done.
func (n *NIC) watch(ctx context.Context, instance uint64, ended <-chan struct{}) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ended:
			return
		case <-n.doubt:
			return
		case <-ticker.C:
		}
		info, err := n.client.Info()
		if err != nil || info.Instance != instance {
			return
		}
	}
}

// attachAgain tries until it has a queue. The result is nil when ctx is done; the error is one that trying again does not mend.
func (n *NIC) attachAgain(ctx context.Context) (*attachment, error) {
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		a, _, err := n.attach()
		switch {
		case err == nil:
			return a, nil
		case errors.Is(err, ErrShape), errors.Is(err, unix.EPIPE), errors.Is(err, os.ErrClosed):
			return nil, err
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, nil
		case <-timer.C:
		}
	}
}
