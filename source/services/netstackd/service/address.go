package service

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	crand "crypto/rand"

	"nexus/source/api/netapi"
	"nexus/source/api/netcapnp"
	"nexus/source/services/netstackd/dhcp"
	"nexus/source/services/netstackd/dhcpstub"
	"nexus/source/services/netstackd/guard"
	"nexus/source/services/netstackd/link"
	"nexus/source/services/netstackd/netstack"
)

// addresses decides where virt0's address comes from: from DHCP, with the stub or on the wire, or from somebody's hand. It starts
// and stops the DHCP client, which is there only while it is needed.
type addresses struct {
	ctx      context.Context
	stack    *netstack.Stack
	endpoint *link.Endpoint
	guard    *guard.Guard
	stub     bool
	bound    time.Duration // of DHCP
	random   func() uint32
	mac      [6]byte

	// leased is told each new lease; see Service.
	leased func(dhcp.Lease)

	mu     sync.Mutex // guards what follows, and its order with the stack's address
	runner atomic.Pointer[dhcp.Runner]
	cancel context.CancelFunc
	old    dhcp.Counters // of runners that have ended
}

// randomNumbers returns the source of DHCP's transaction ids.
func randomNumbers(seed *uint64) func() uint32 {
	var key [32]byte
	if seed != nil {
		binary.LittleEndian.PutUint64(key[:], *seed)
		copy(key[8:], "dhcp")
	} else {
		_, _ = crand.Read(key[:]) // never fails (crypto/rand)
	}
	source := rand.NewChaCha8(key)
	return func() uint32 { return uint32(source.Uint64()) } // the runner's goroutine alone calls it
}

// deliver gives the DHCP client a frame that came in.
func (a *addresses) deliver(frame []byte) {
	if r := a.runner.Load(); r != nil {
		r.Deliver(frame)
	}
}

// start starts the DHCP client unless it runs, and returns it.
func (a *addresses) start() *dhcp.Runner {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r := a.runner.Load(); r != nil {
		return r
	}
	ctx, cancel := context.WithCancel(a.ctx)
	var r *dhcp.Runner
	r = dhcp.NewRunner(dhcp.Config{
		MAC: a.mac, Clock: a.stack.Clock(), Random: a.random,
		Send:  func(frame []byte) { a.send(r, frame) },
		Apply: func(lease dhcp.Lease, ok bool) { a.apply(ctx, lease, ok) },
	})
	a.runner.Store(r)
	a.cancel = cancel
	a.guard.SetDHCP(!a.stub)
	go r.Run(ctx)
	return r
}

// send puts the client's frame on the wire, or gives it to the stub, whose answer comes back as a frame.
func (a *addresses) send(r *dhcp.Runner, frame []byte) {
	if !a.stub {
		_ = a.endpoint.SendFrame(frame) // counted when it is dropped; the client asks again
		return
	}
	if answer := dhcpstub.Handle(frame); answer != nil {
		r.Deliver(answer)
	}
}

// apply makes a lease virt0's address, or takes it away.
func (a *addresses) apply(ctx context.Context, lease dhcp.Lease, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if ctx.Err() != nil {
		return // stopped meanwhile: somebody else has decided
	}
	var address netapi.Address
	if ok {
		address = addressOf(lease)
	}
	if err := a.stack.SetAddress(netstack.Ethernet, address); err != nil || !ok {
		return // the client accepts only leases that the stack does
	}
	a.leased(lease)
}

func addressOf(lease dhcp.Lease) netapi.Address {
	return netapi.Address{
		Prefix: lease.Prefix, Gateway: lease.Router, DNS: lease.DNS,
		Origin: netcapnp.Origin_dhcp, Lease: lease.Duration,
	}
}

// stop ends the DHCP client if it runs. a.mu is held.
func (a *addresses) stop() {
	r := a.runner.Swap(nil)
	if r == nil {
		return
	}
	a.cancel()
	a.guard.SetDHCP(false)
	a.old = a.old.Plus(r.Counters())
}

// SetStatic implements control.Network.
func (a *addresses) SetStatic(name string, address netapi.Address) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.stack.SetAddress(name, address); err != nil {
		return err
	}
	if name == netstack.Ethernet {
		a.stop()
	}
	return nil
}

// DHCP implements control.Network.
func (a *addresses) DHCP(ctx context.Context, name string) (netapi.Address, error) {
	i, err := a.stack.Interface(name)
	if err != nil {
		return netapi.Address{}, err
	}
	if i.Name != netstack.Ethernet {
		return netapi.Address{}, netapi.Refused(syscall.EOPNOTSUPP, "dhcp: only virt0 can have a lease")
	}
	lease, ok := a.start().Wait(ctx, a.bound)
	if !ok {
		return netapi.Address{}, os.ErrDeadlineExceeded
	}
	return addressOf(lease), nil
}

// counters returns what all clients so far have counted.
func (a *addresses) counters() dhcp.Counters {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := a.old
	if r := a.runner.Load(); r != nil {
		all = all.Plus(r.Counters())
	}
	return all
}
