package netstack

import (
	"bytes"
	"context"
	"net/netip"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/waiter"

	"nexus/source/api/netapi"
)

// Bounds of Ping.
const (
	MaxPings       = 64
	MaxPingPayload = 1472 // fills one Ethernet frame
	MaxPingTimeout = 10 * time.Second
)

// Ping sends count ICMP echo requests with size bytes of payload to an IPv4 address, each after the reply to the one before
// or its time-out, and returns how many it sent and the replies. It fails only when it can not ask: ErrBadAddress or *Fault, of
// EHOSTUNREACH when nobody answered ARP within the time-out, so that the request never left.
func (s *Stack) Ping(ctx context.Context, to netip.Addr, count int, timeout time.Duration, size int) (int, []netapi.Echo, error) {
	if !to.Is4() || to.IsUnspecified() || to.IsMulticast() || to.As4()[0] >= 240 {
		return 0, nil, ErrBadAddress
	}
	endpoint, queue, err := s.Socket(icmp.ProtocolNumber4)
	if err != nil {
		return 0, nil, fault("ping socket", err)
	}
	defer endpoint.Close()
	if err := endpoint.Connect(tcpip.FullAddress{Addr: addressOf(to)}); err != nil {
		return 0, nil, fault("ping", err)
	}
	endpoint.SocketOptions().SetReceiveTTL(true)

	entry, readable := waiter.NewChannelEntry(waiter.ReadableEvents | waiter.EventErr)
	queue.EventRegister(&entry)
	defer queue.EventUnregister(&entry)

	p := pinger{stack: s, to: addressOf(to), endpoint: endpoint, readable: readable, payload: pattern(size)}
	var echoes []netapi.Echo
	for sequence := range count {
		echo, ok, err := p.once(ctx, uint16(sequence), timeout)
		if err != nil {
			return sequence, echoes, err
		}
		if ok {
			echoes = append(echoes, echo)
		}
		if ctx.Err() != nil {
			return sequence + 1, echoes, nil
		}
	}
	return count, echoes, nil
}

// pattern returns the payload: bytes that count, so that a wrong one shows.
func pattern(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

// pinger is one Ping under way.
type pinger struct {
	stack    *Stack
	to       tcpip.Address
	endpoint tcpip.Endpoint
	readable chan struct{}
	payload  []byte
}

// once sends one request and waits for its reply; ok is false when none came in time.
func (p *pinger) once(ctx context.Context, sequence uint16, timeout time.Duration) (echo netapi.Echo, ok bool, _ error) {
	request := make([]byte, header.ICMPv4MinimumSize, header.ICMPv4MinimumSize+len(p.payload))
	header.ICMPv4(request).SetType(header.ICMPv4Echo)
	header.ICMPv4(request).SetSequence(sequence)
	request = append(request, p.payload...)

	late := make(chan struct{})
	timer := p.stack.clock.AfterFunc(timeout, func() { close(late) })
	defer timer.Stop()
	sent := p.stack.clock.NowMonotonic()
	if _, err := p.endpoint.Write(bytes.NewReader(request), tcpip.WriteOptions{}); err != nil {
		return netapi.Echo{}, false, fault("ping", err)
	}
	for {
		echo, err := p.read(sequence)
		if err == nil {
			echo.RoundTrip = p.stack.clock.NowMonotonic().Sub(sent)
			return echo, true, nil
		}
		switch err.(type) {
		case *tcpip.ErrWouldBlock, *tcpip.ErrBadBuffer:
		default:
			return netapi.Echo{}, false, fault("ping", err)
		}
		select {
		case <-p.readable:
		case <-late:
			if p.stack.unresolved(p.to) {
				return netapi.Echo{}, false, fault("ping", &tcpip.ErrHostUnreachable{})
			}
			return netapi.Echo{}, false, nil
		case <-ctx.Done():
			return netapi.Echo{}, false, nil
		}
	}
}

// read takes the reply to sequence off the socket, dropping all others.
func (p *pinger) read(sequence uint16) (netapi.Echo, tcpip.Error) {
	for {
		var reply bytes.Buffer
		got, err := p.endpoint.Read(&reply, tcpip.ReadOptions{})
		if err != nil {
			return netapi.Echo{}, err
		}
		message := header.ICMPv4(reply.Bytes())
		if len(message) < header.ICMPv4MinimumSize || message.Sequence() != sequence ||
			!bytes.Equal(message.Payload(), p.payload) {
			continue
		}
		return netapi.Echo{
			Sequence: int(sequence),
			TTL:      int(got.ControlMessages.TTL),
			Size:     len(message.Payload()),
		}, nil
	}
}
