// Package service is netstackd itself: it joins the stack to the NIC, serves the socket namespace and net.capnp, brings up lo and
// virt0, and says on the console what is true by then.
package service

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"nexus/source/api/netapi"
	"nexus/source/api/netcapnp"
	"nexus/source/libs/channel"
	"nexus/source/libs/svc"
	"nexus/source/services/netstackd/capture"
	"nexus/source/services/netstackd/control"
	"nexus/source/services/netstackd/dhcp"
	"nexus/source/services/netstackd/guard"
	"nexus/source/services/netstackd/link"
	"nexus/source/services/netstackd/netstack"
	"nexus/source/services/netstackd/nic"
	"nexus/source/services/netstackd/sockserver"
)

// Service is netstackd.
type Service struct {
	options Options
	say     func(line string)

	stack     *netstack.Stack
	guard     *guard.Guard
	endpoint  *link.Endpoint
	nic       *nic.NIC
	sockets   *sockserver.Server
	addresses *addresses
	taps      *capture.Taps

	first   sync.Once // marker of the first lease
	asked   sync.Once // marker of the first ARP request
	control []*channel.Conn
}

// Descriptors are what the service was handed, all of which it takes over.
type Descriptors struct {
	NIC     *os.File   // channel to virtionetd's net
	Sockets *os.File   // serving end of the socket namespace; nil for none
	Control []*os.File // serving ends of net.capnp
}

// Inherited finds the descriptors that nexus-init handed over.
func Inherited(s *svc.Service) (Descriptors, error) {
	var d Descriptors
	var err error
	if d.NIC, err = s.Descriptor("virtionetd"); err != nil {
		return d, err
	}
	if d.Sockets, err = s.Descriptor("sockets"); err != nil {
		return d, err
	}
	for _, named := range s.Descriptors("net") {
		d.Control = append(d.Control, named.File)
	}
	return d, nil
}

// New joins the stack to the NIC. say prints a marker.
func New(ctx context.Context, options Options, d Descriptors, say func(line string)) (*Service, error) {
	s := &Service{options: options, say: say, taps: capture.New(time.Now)}
	conn, err := channel.Open(d.NIC)
	if err != nil {
		return nil, fmt.Errorf("virtionetd: %w", err)
	}
	var info netapi.Interface
	if s.nic, info, err = nic.Open(netapi.NewClient(conn)); err != nil {
		return nil, fmt.Errorf("virtionetd: %w", err)
	}
	if s.stack, err = netstack.New(netstack.Config{Seed: options.Seed, Tap: s.taps.Tap(netstack.Loopback)}); err != nil {
		return nil, err
	}
	s.guard = guard.New(info.MAC, s.stack.Neighbours())
	start := time.Now()
	s.endpoint = link.New(link.Config{
		MAC: info.MAC, MTU: info.MTU, Guard: s.guard,
		Now:     func() time.Duration { return time.Since(start) },
		OnDHCP:  func(frame []byte) { s.addresses.deliver(frame) },
		OnAsked: s.onAsked,
		Tap:     s.taps.Tap(netstack.Ethernet),
	})
	s.nic.Plug(s.endpoint)
	if err := s.stack.AddEthernet(info.MAC, s.endpoint, s.guard); err != nil {
		return nil, err
	}
	s.addresses = &addresses{
		ctx: ctx, stack: s.stack, endpoint: s.endpoint, guard: s.guard, mac: info.MAC,
		stub: options.Mode == Stub, bound: options.Bound, random: randomNumbers(options.Seed), leased: s.onLeased,
	}
	if d.Sockets != nil {
		if s.sockets, err = sockserver.New(d.Sockets, s.stack); err != nil {
			return nil, fmt.Errorf("sockets: %w", err)
		}
	}
	for _, f := range d.Control {
		conn, err := channel.Open(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name(), err)
		}
		s.control = append(s.control, conn)
	}
	return s, nil
}

// Run serves until ctx is done (nil) or the namespace or the NIC is gone for good (the error). ready is called once the network is
// up, or its bound has passed.
func (s *Service) Run(ctx context.Context, ready func() error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel(nil)
	running.Go(func() { cancel(s.nic.Run(ctx, s.endpoint)) })
	if s.sockets != nil {
		running.Go(func() { cancel(s.sockets.Serve(ctx)) })
	}
	running.Go(func() { control.New(ctx, network{s.stack, s.addresses, s}, s.taps).Serve(s.control) })
	s.say("netstackd: ready")

	if err := s.bringUp(ctx); err != nil {
		return err
	}
	if err := ready(); err != nil {
		return err
	}
	<-ctx.Done()
	if cause := context.Cause(ctx); cause != context.Canceled {
		return cause
	}
	return nil
}

// bringUp brings up lo and virt0.
func (s *Service) bringUp(ctx context.Context) error {
	if err := s.stack.SetAddress(netstack.Loopback, loopback); err != nil {
		return err
	}
	if err := s.stack.SetUp(netstack.Loopback, true); err != nil {
		return err
	}
	s.say("netstackd: lo up")
	if err := s.stack.SetUp(netstack.Ethernet, true); err != nil {
		return err
	}
	if s.options.Mode == Static {
		return s.bringUpStatic()
	}
	// The marker is onLeased's.
	if _, ok := s.addresses.start().Wait(ctx, s.options.Bound); !ok && ctx.Err() == nil {
		s.say("netstackd: virt0 dhcp no answer after " + strconv.FormatUint(s.addresses.counters().Discovers, 10) +
			" DISCOVER in " + strconv.Itoa(int(s.options.Bound/time.Second)) + "s, going on without an address")
	}
	return nil
}

func (s *Service) bringUpStatic() error {
	address := netapi.Address{Prefix: s.options.Address, Gateway: s.options.Gateway, Origin: netcapnp.Origin_static}
	if err := s.addresses.SetStatic(netstack.Ethernet, address); err != nil {
		return svc.Permanent(fmt.Errorf("virt0 static %v: %w", s.options.Address, err))
	}
	s.say("netstackd: virt0 static addr=" + s.options.Address.Addr().String())
	return nil
}

// onLeased prints the marker of the first lease. The address is virt0's by then.
func (s *Service) onLeased(lease dhcp.Lease) {
	s.first.Do(func() { s.say("netstackd: virt0 dhcp addr=" + lease.Prefix.Addr().String()) })
}

// onAsked prints the marker of the first ARP request for our address.
func (s *Service) onAsked() {
	s.asked.Do(func() { s.say("netstackd: recv arp who-has") })
}

// Close ends the stack after Run.
func (s *Service) Close() { s.stack.Close() }
