package boot

import (
	"errors"
	"os"
	"sync"

	"nexus/tools/nx/internal/capture"
	"nexus/tools/nx/internal/hostpeer"
	"nexus/tools/nx/internal/machine"
	"nexus/tools/nx/internal/tap"
	"nexus/tools/nx/internal/wire"

	"nexus/tools/nx/internal/frame"
)

// backend is the host's end of the network card, open and at work.
type backend struct {
	nic   machine.NIC
	peer  *hostpeer.Peer
	guest *os.File // QEMU's end, to be closed here once QEMU has it
	close []func() // in reverse order of opening
	pump  sync.WaitGroup
	err   error // how the link's reader ended; valid after shut
}

// link is what both kinds of link offer.
type link interface {
	hostpeer.Link
	Run() error
	Close() error
}

// openBackend opens the back end of kind NICTap, NICWire or NICNone. For a TAP the
// process must be in the TAP's network namespace.
func openBackend(kind string, o *Options, rec *capture.Recorder) (*backend, error) {
	b := new(backend)
	var l link
	var sockets hostpeer.Sockets
	switch kind {
	case NICNone:
		return b, nil
	case NICTap:
		t, err := tap.Open(tap.Name(), rec.Record)
		if err != nil {
			return nil, err
		}
		b.nic.TAP = tap.Name()
		l, sockets = t, tap.Sockets{}
		b.start(l)
	default:
		guest, w, err := wire.New(rec.Record)
		if err != nil {
			return nil, err
		}
		b.nic.File, b.guest = guest, guest
		l = w
		b.start(l)
		s, err := wire.NewStack(w, frame.Host)
		if err != nil {
			b.shut()
			return nil, err
		}
		b.close = append(b.close, s.Close)
		sockets = s
	}
	b.nic.Legacy = o.Legacy
	peer, err := hostpeer.Start(hostpeer.Config{
		Link: l, Sockets: sockets,
		AskBack: true,
		DHCP:    o.Net == NetDHCP && !o.NoLease,
		Noise:   o.Noise,
	})
	if err != nil {
		b.shut()
		return nil, err
	}
	b.peer = peer
	b.close = append(b.close, peer.Close)
	return b, nil
}

// start reads the link until it is closed.
func (b *backend) start(l link) {
	b.pump.Go(func() { b.err = l.Run() })
	// Closing twice or late loses nothing.
	b.close = append(b.close, func() { _ = l.Close() })
}

// started lets go of QEMU's end, so that the link ends when QEMU does.
func (b *backend) started() {
	if b.guest != nil {
		_ = b.guest.Close()
		b.guest = nil
	}
}

// outcomes are the host's questions to the guest.
func (b *backend) outcomes() []hostpeer.Outcome {
	if b.peer == nil {
		return nil
	}
	return b.peer.Outcomes()
}

// shut closes everything and waits for its goroutines. It reports a link that
// broke for another reason than QEMU's end.
func (b *backend) shut() error {
	b.started()
	for i := len(b.close) - 1; i >= 0; i-- {
		b.close[i]()
	}
	b.close = nil
	b.pump.Wait()
	if errors.Is(b.err, os.ErrClosed) {
		return nil
	}
	return b.err
}
