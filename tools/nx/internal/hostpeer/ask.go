package hostpeer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"nexus/tools/nx/internal/frame"
)

// The questions the host asks.
const (
	AskARP  = "arp"
	AskPing = "ping"
	AskUDP  = "udp"
)

// Outcome is how one question to the guest went.
type Outcome struct {
	Ask   string        `json:"ask"`
	OK    bool          `json:"ok"`
	Tries int           `json:"tries"`
	Took  time.Duration `json:"took_ns"`
	Error string        `json:"error,omitempty"`
}

var (
	errSilent = errors.New("no answer")
	errWrong  = errors.New("wrong answer")
)

// askAll asks every question that can be asked once, in order, each bounded by
// Tries * Retry.
func (p *Peer) askAll(ctx context.Context) []Outcome {
	type question struct {
		name string
		ask  func(context.Context) (tries int, err error)
	}
	questions := []question{{AskARP, p.askARP}, {AskPing, p.askPing}, {AskUDP, p.askUDP}}
	if p.cfg.Forward.IsValid() {
		questions = []question{{AskUDP, p.askUDP}}
	}
	var outcomes []Outcome
	for _, q := range questions {
		start := time.Now()
		tries, err := q.ask(ctx)
		o := Outcome{Ask: q.name, OK: err == nil, Tries: tries, Took: time.Since(start)}
		if err != nil {
			o.Error = err.Error()
		}
		outcomes = append(outcomes, o)
	}
	return outcomes
}

// askARP asks on the wire who has the guest's address, whatever the host's own
// neighbour table says.
func (p *Peer) askARP(ctx context.Context) (int, error) {
	return p.askFrame(ctx, frame.ARPRequest(frame.Host, frame.Guest.IP), func(s *frame.Summary) (bool, error) {
		return s.Kind == frame.ARPReplyKind && s.SrcIP == frame.Guest.IP && s.DstIP == frame.Host.IP, nil
	})
}

func (p *Peer) askPing(ctx context.Context) (int, error) {
	const id, seq = 0x4e58, 1
	payload := pattern(3, 56)
	return p.askFrame(ctx, frame.Ping(frame.Host, frame.Guest, id, seq, payload), func(s *frame.Summary) (bool, error) {
		if s.Kind != frame.PongKind || s.SrcIP != frame.Guest.IP || s.ID != id || s.Seq != seq {
			return false, nil
		}
		if !bytes.Equal(s.Payload, payload) {
			return true, fmt.Errorf("%w: the echo's payload differs", errWrong)
		}
		return true, nil
	})
}

// askFrame sends question until a frame of the guest is its answer.
func (p *Peer) askFrame(ctx context.Context, question []byte, answers func(*frame.Summary) (bool, error)) (int, error) {
	result := make(chan error, 1)
	stop := p.cfg.Link.Watch(func(raw []byte) {
		s := frame.Describe(raw)
		if !s.FromGuest() {
			return
		}
		if is, err := answers(&s); is {
			select {
			case result <- err:
			default: // a second answer
			}
		}
	})
	defer stop()

	for try := 1; try <= p.cfg.Tries; try++ {
		if err := p.cfg.Link.Send(question); err != nil {
			return try, err
		}
		select {
		case err := <-result:
			return try, err
		case <-time.After(p.cfg.Retry):
		case <-ctx.Done():
			return try, ctx.Err()
		}
	}
	return p.cfg.Tries, errSilent
}

// askUDP sends a datagram to the guest's echo port and compares what comes back.
func (p *Peer) askUDP(ctx context.Context) (int, error) {
	conn, err := p.cfg.Sockets.ListenPacket(askPort)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()

	guest := net.UDPAddrFromAddrPort(netip.AddrPortFrom(frame.Guest.IP, EchoPort))
	if p.cfg.Forward.IsValid() {
		guest = net.UDPAddrFromAddrPort(p.cfg.Forward)
	}
	payload := pattern(11, 64)
	buf := make([]byte, 2048)
	for try := 1; try <= p.cfg.Tries; try++ {
		if _, err := conn.WriteTo(payload, guest); err != nil {
			return try, err
		}
		if err := conn.SetReadDeadline(time.Now().Add(p.cfg.Retry)); err != nil {
			return try, err
		}
		n, from, err := conn.ReadFrom(buf)
		if ctx.Err() != nil {
			return try, ctx.Err()
		}
		if err != nil {
			continue // time-out, or ICMP port unreachable: echod may not listen yet
		}
		if !bytes.Equal(buf[:n], payload) {
			return try, fmt.Errorf("%w: %d bytes from %v", errWrong, n, from)
		}
		return try, nil
	}
	return p.cfg.Tries, errSilent
}
