package port

import (
	"errors"
	"io"
	"os"
	"time"

	"nexus/source/libs/virtio/serialdev"
)

// writeWait bounds a Write.
const writeWait = 5 * time.Second

// Why a Write failed.
var (
	ErrHostGone = errors.New("port: no host has the control port open")
	ErrStalled  = errors.New("port: the host takes nothing from the control port: see why it does not read")
)

// Read gives the bytes of the host. It returns io.EOF once each time that a host goes away, or the device was reset, when
// all its bytes were read, and then blocks until there are the next host's. A host that came and went without a byte
// while nobody read is not told of. Error: os.ErrClosed when the port has ended.
func (p *Port) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for {
		n, err := p.take(b)
		if n > 0 || err != nil {
			return n, err
		}
		select {
		case <-p.unread:
		case <-p.done:
		}
	}
}

// take reads what there is.
func (p *Port) take(b []byte) (n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return 0, os.ErrClosed
	}
	given := false
	for n < len(b) && !p.inbox.empty() {
		head := p.inbox.head()
		if head.end {
			if n == 0 {
				p.inbox.pop()
				err = io.EOF
			}
			break
		}
		copied := copy(b[n:], head.bytes)
		n += copied
		p.count.read += uint64(copied)
		if head.bytes = head.bytes[copied:]; len(head.bytes) > 0 {
			break
		}
		given = p.dev.PostRx(head.buffer) == nil // an error cannot be: the buffer is ours
		p.inbox.pop()
	}
	if given && !p.recovery.Down() {
		p.dev.Kick()
	}
	return n, err
}

// Write hands all of b to the device, and waits for its ring to have room for it at most 5 s. Up to MaxFrame bytes go
// whole or not at all, and no other Write comes in between; n counts what was handed over. Until Read has told of a host's
// end, nothing goes to the next one.
//
// Errors: ErrHostGone when no host has the port open, or it went away meanwhile; ErrStalled; os.ErrClosed.
func (p *Port) Write(b []byte) (n int, err error) {
	expired := make(chan struct{})
	defer p.config.After(writeWait, func() { close(expired) })()
	select {
	case p.writing <- struct{}{}:
	case <-expired:
		p.mu.Lock()
		p.count.stalled++
		p.mu.Unlock()
		return 0, ErrStalled
	case <-p.done:
		return 0, os.ErrClosed
	}
	defer func() { <-p.writing }()
	p.mu.Lock()
	hosts := p.hosts
	p.mu.Unlock()
	for n < len(b) {
		piece := b[n:min(len(b), n+p.dev.MaxSend())]
		if err := p.give(piece, hosts, expired); err != nil {
			return n, err
		}
		n += len(piece)
	}
	return n, nil
}

// MaxFrame is how many bytes one Write hands over whole or not at all, on a device with queues of at least
// serialdev.TxBuffers entries.
const MaxFrame = serialdev.TxBuffers * serialdev.TxBuffer

// give hands over one piece, to the host that was the hosts-th one. The caller is the writer.
func (p *Port) give(piece []byte, hosts uint64, expired <-chan struct{}) error {
	for {
		p.mu.Lock()
		err := p.offer(piece, hosts)
		p.waits = errors.Is(err, serialdev.ErrFull)
		if p.waits && !p.dev.ArmTx() {
			signal(p.room)
		}
		if !p.ended && p.dev.Broken() {
			p.settle()
		}
		p.mu.Unlock()
		if !errors.Is(err, serialdev.ErrFull) {
			return err
		}
		select {
		case <-p.room:
		case <-p.done:
		case <-expired:
			p.mu.Lock()
			p.waits = false
			p.count.stalled++
			p.mu.Unlock()
			return ErrStalled
		}
	}
}

// offer hands over one piece if there is room. p.mu is held. Errors:
// serialdev.ErrFull, ErrHostGone, os.ErrClosed.
func (p *Port) offer(piece []byte, hosts uint64) error {
	if p.ended {
		return os.ErrClosed
	}
	if p.recovery.Down() || p.inbox.ends > 0 || p.hosts != hosts {
		return ErrHostGone
	}
	for p.dev.PopTx() {
		p.moved++
	}
	switch err := p.dev.PostTx(piece); {
	case err == nil:
		p.dev.Kick()
		return nil
	case errors.Is(err, serialdev.ErrFull):
		return err
	default: // serialdev.ErrNoPort, serialdev.ErrBroken
		return ErrHostGone
	}
}
