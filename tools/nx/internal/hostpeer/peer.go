// Package hostpeer is what the host does on the wire, whatever carries it: it
// answers UDP echo on port 7 and HTTP on port 8080, may lease the guest's
// address by DHCP, and asks the guest back.
//
// Asking back: when the guest's first datagram reaches port 7, the host does not
// answer yet. It first asks who has 10.0.2.15, pings it and sends a datagram to
// its port 7, and checks each answer; then it answers. So a guest whose own
// echo succeeded has been proven reachable before.
package hostpeer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"nexus/tools/nx/internal/frame"
)

// Ports of the host's services, and of its own questions.
const (
	EchoPort = 7
	HTTPPort = 8080
	askPort  = 40007
	// ForwardPort is where a user network passes datagrams on to the guest's
	// EchoPort.
	ForwardPort = 40008
)

// Hello is the body of http://10.0.2.2:8080/hello.
const Hello = "hello from the host\n"

// Link carries frames between the host and the guest.
type Link interface {
	// Send gives one frame to the guest.
	Send(frame []byte) error
	// Watch calls f with each frame of the guest until stop is called. f must
	// not keep the frame nor block.
	Watch(f func(frame []byte)) (stop func())
}

// Sockets opens sockets at the host's address.
type Sockets interface {
	ListenPacket(port uint16) (net.PacketConn, error)
	Listen(port uint16) (net.Listener, error)
}

// Config is what the host does.
type Config struct {
	Link    Link
	Sockets Sockets
	// Ports other than EchoPort and HTTPPort; 0 is those.
	UDP, TCP uint16
	AskBack  bool
	// Forward is where datagrams for the guest's EchoPort are passed on to it
	// by a user network, which cannot carry ARP or a ping to it and
	// behind which the guest itself has this address. The zero value is none.
	Forward netip.AddrPort
	DHCP    bool          // lease 10.0.2.15
	Noise   bool          // send garbage too, from the guest's first frame on
	Retry   time.Duration // until an unanswered question is asked again; 0 is 250 ms
	Tries   int           // how often it is asked at most; 0 is 8
}

// Peer is the host at work.
type Peer struct {
	cfg    Config
	cancel context.CancelFunc
	echo   net.PacketConn
	http   *http.Server
	work   sync.WaitGroup
	undhcp func()

	mu       sync.Mutex
	outcomes []Outcome
}

// Start opens the host's ports. The peer works until Close.
func Start(cfg Config) (*Peer, error) {
	if cfg.Retry == 0 {
		cfg.Retry = 250 * time.Millisecond
	}
	if cfg.Tries == 0 {
		cfg.Tries = 8
	}
	if cfg.UDP == 0 {
		cfg.UDP = EchoPort
	}
	if cfg.TCP == 0 {
		cfg.TCP = HTTPPort
	}
	echo, err := cfg.Sockets.ListenPacket(cfg.UDP)
	if err != nil {
		return nil, fmt.Errorf("hostpeer: %w", err)
	}
	web, err := cfg.Sockets.Listen(cfg.TCP)
	if err != nil {
		echo.Close()
		return nil, fmt.Errorf("hostpeer: %w", err)
	}

	ctx, cancel := context.WithCancel(context.Background())
	p := &Peer{cfg: cfg, cancel: cancel, echo: echo, http: newServer(), undhcp: func() {}}
	if cfg.DHCP {
		p.undhcp = serveDHCP(cfg.Link)
	}
	if cfg.Noise {
		p.work.Go(func() { makeNoise(ctx, cfg.Link) })
	}
	p.work.Go(func() { p.serveEcho(ctx) })
	// Serve returns only when the server or its listener is closed.
	p.work.Go(func() { _ = p.http.Serve(web) })
	return p, nil
}

// Close ends the host's services.
func (p *Peer) Close() {
	p.cancel()
	p.undhcp()
	p.echo.Close()
	p.http.Close()
	p.work.Wait()
}

// serveEcho answers datagrams, after asking the guest back once.
func (p *Peer) serveEcho(ctx context.Context) {
	buf := make([]byte, 65536)
	asked := !p.cfg.AskBack
	for {
		n, from, err := p.echo.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) || ctx.Err() != nil {
			return
		}
		if err != nil {
			// An ICMP error for an earlier answer; the socket lives on.
			continue
		}
		if !asked && p.fromGuest(from) {
			asked = true
			p.record(p.askAll(ctx))
		}
		// An answer that cannot be sent is lost as on any network.
		_, _ = p.echo.WriteTo(buf[:n], from)
	}
}

func (p *Peer) fromGuest(from net.Addr) bool {
	guest := frame.Guest.IP
	if p.cfg.Forward.IsValid() {
		guest = p.cfg.Forward.Addr()
	}
	a, ok := from.(*net.UDPAddr)
	return ok && a.AddrPort().Addr().Unmap() == guest
}

func (p *Peer) record(o []Outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.outcomes = append(p.outcomes, o...)
}

// Outcomes are the questions asked so far and how each went.
func (p *Peer) Outcomes() []Outcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Outcome(nil), p.outcomes...)
}

// newServer serves /hello, every wait bounded.
func newServer() *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header()["Date"] = nil // the same answer every time
		// A client that went away is no matter of ours.
		_, _ = w.Write([]byte(Hello))
	})
	return &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       30 * time.Second,
	}
}

// pattern is n bytes, different for each question.
func pattern(seed byte, n int) []byte {
	b := bytes.Repeat([]byte{0}, n)
	for i := range b {
		b[i] = seed + byte(i)*7
	}
	return b
}
