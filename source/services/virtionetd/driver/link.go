package driver

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"nexus/source/libs/frameq"
	"nexus/source/libs/virtio/dma"
)

// link is the shared memory and the doorbells between the driver and one
// attached stack.
type link struct {
	owner  *session
	memory *os.File // memfd of frameq.QueueSize bytes
	queue  []byte   // it, mapped
	rxBell *frameq.EventBell
	txBell *frameq.EventBell
}

// newLink makes everything an attachment needs.
func newLink(owner *session) (*link, error) {
	l := &link{owner: owner}
	if err := l.open(); err != nil {
		l.close()
		return nil, fmt.Errorf("attach: %w", err)
	}
	return l, nil
}

func (l *link) open() error {
	fd, err := unix.MemfdCreate("frameq", unix.MFD_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("memfd_create", err)
	}
	l.memory = os.NewFile(uintptr(fd), "frameq")
	if err := l.memory.Truncate(frameq.QueueSize); err != nil {
		return err
	}
	if l.queue, err = dma.MapShared(l.memory, frameq.QueueSize); err != nil {
		return err
	}
	if l.rxBell, err = frameq.NewEventBell(); err != nil {
		return err
	}
	l.txBell, err = frameq.NewEventBell()
	return err
}

// close gives everything back. Nobody may use the queue any more.
func (l *link) close() {
	if l.rxBell != nil {
		l.rxBell.Close()
	}
	if l.txBell != nil {
		l.txBell.Close()
	}
	if l.queue != nil {
		unix.Munmap(l.queue)
	}
	if l.memory != nil {
		l.memory.Close()
	}
}

// attach makes a new link for owner in place of any that it had. d.mu is held.
func (d *Driver) attach(owner *session) (*link, error) {
	l, err := newLink(owner)
	if err != nil {
		return nil, err
	}
	queue, err := frameq.Create(d.config.Frames.Bytes, l.queue, l.rxBell)
	if err != nil {
		l.close()
		return nil, fmt.Errorf("attach: %w", err)
	}
	d.detach()
	d.link = l
	d.engine.attach(queue)
	go d.bells(l)
	d.settle(false, d.engine.work(false))
	return l, nil
}

// detach takes every slot back from the attached stack, if there is one. d.mu is held.
func (d *Driver) detach() {
	if d.link == nil {
		return
	}
	d.engine.attach(nil)
	d.link.close()
	d.link = nil
}

// bells serves the stack's doorbell until the link is closed.
func (d *Driver) bells(l *link) {
	for l.txBell.Wait() == nil {
		d.mu.Lock()
		if d.link != l {
			d.mu.Unlock()
			return
		}
		d.settle(false, d.engine.work(false))
		d.mu.Unlock()
	}
}
