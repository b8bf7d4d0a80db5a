package boot

import (
	"errors"
	"net/netip"
	"os"
	"sync"

	"nexus/tools/nx/internal/capture"
	"nexus/tools/nx/internal/hostpeer"
	"nexus/tools/nx/internal/machine"
	"nexus/tools/nx/internal/tap"
	"nexus/tools/nx/internal/usernet"
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

// link is what every kind of link offers.
type link interface {
	hostpeer.Link
	Run() error
	Close() error
}

// loopback is where QEMU's user network finds what the guest looks for at
// 10.0.2.2.
var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// openBackend opens the back end of kind NICTap, NICWire, NICUser or NICNone. For a TAP
// the process must be in the TAP's network namespace, and for a user network in one
// where the host's ports of 127.0.0.1 are free.
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
	case NICUser:
		guest, u, err := usernet.New(rec.Record)
		if err != nil {
			return nil, err
		}
		b.nic.File, b.guest = guest, guest
		b.nic.Forward = netip.AddrPortFrom(loopback, hostpeer.ForwardPort)
		l, sockets = u, tap.Sockets{Address: loopback}
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
		Forward: b.nic.Forward,
		DHCP:    o.Net == NetDHCP && !o.NoLease && kind != NICUser,
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
