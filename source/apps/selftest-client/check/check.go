// Package check is what the self-test proves about the network, each from the
// real thing: an echo over loopback, pages through fetchd, a datagram to the
// host and back over the wire. A failure says what to do.
package check

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"nexus/source/api/fetchapi"
	"nexus/source/api/netapi"
)

// Pinger sends ICMP echoes, as *netapi.Client does.
type Pinger interface {
	Ping(to netip.Addr, count int, timeout time.Duration, size int) (sent int, echoes []netapi.Echo, err error)
}

// Fetcher fetches a URL, as *fetchapi.Client does.
type Fetcher interface {
	Fetch(ask fetchapi.Ask) (status int, body []byte, err error)
}

// What can be wrong with an answer.
var (
	ErrSilent = errors.New("no answer")
	ErrWrong  = errors.New("wrong answer")
)

const (
	pings     = 2
	pingSize  = 56 // bytes of payload
	pingBound = time.Second
)

// Ping sends echoes and checks that each came back once and whole.
func Ping(p Pinger, to netip.Addr) error {
	sent, echoes, err := p.Ping(to, pings, pingBound, pingSize)
	if err != nil {
		return fmt.Errorf("ping %v: %w: is netstackd up, and lo?", to, err)
	}
	if sent != pings || len(echoes) < pings {
		return fmt.Errorf("ping %v: %w: %d of %d came back: see netstackd's counters with nx net", to, ErrSilent, len(echoes), sent)
	}
	seen := make(map[int]bool)
	for _, e := range echoes {
		if e.Size != pingSize || seen[e.Sequence] {
			return fmt.Errorf("ping %v: %w: echo %d with %d bytes, want %d, each once", to, ErrWrong, e.Sequence, e.Size, pingSize)
		}
		seen[e.Sequence] = true
	}
	return nil
}

const (
	pageBound = 5 * time.Second
	pageBytes = 4 << 10
	statusOK  = 200 // RFC 9110, 15.3.1; net/http would cost the program its start-up time
)

// Page fetches url and compares the body.
func Page(f Fetcher, url, want string) error {
	status, body, err := f.Fetch(fetchapi.Ask{URL: url, MaxBytes: pageBytes, Timeout: pageBound})
	if err != nil {
		return fmt.Errorf("fetch %s: %w: does its server run?", url, err)
	}
	if status != statusOK || string(body) != want {
		return fmt.Errorf("fetch %s: %w: status %d, %.40q, want 200, %q", url, ErrWrong, status, body, want)
	}
	return nil
}

const (
	// A host may ask the guest back before it answers: ARP, a ping and a
	// datagram take it up to three seconds when the guest is slow.
	echoTries = 5
	echoBound = 1200 * time.Millisecond // of one try
	echoSize  = 256                     // bytes
)

// UDPEcho sends a datagram on a connected socket until it comes back, and
// compares it. Every try sends the same, so that a late answer counts.
func UDPEcho(conn net.Conn) error {
	want := make([]byte, echoSize)
	for i := range want {
		want[i] = byte(i*7 + i>>3)
	}
	got := make([]byte, 2*echoSize)
	for range echoTries {
		if err := conn.SetDeadline(time.Now().Add(echoBound)); err != nil {
			return err
		}
		_, err := conn.Write(want)
		n := 0
		if err == nil {
			n, err = conn.Read(got)
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			continue
		case errors.Is(err, syscall.ECONNREFUSED):
			return fmt.Errorf("udp %v: %w: nobody listens there: start the host's echo (tools/net/echo-host.sh)", conn.RemoteAddr(), err)
		case err != nil:
			return fmt.Errorf("udp %v: %w: is virt0 up, with an address and a neighbour?", conn.RemoteAddr(), err)
		case !bytes.Equal(got[:n], want):
			return fmt.Errorf("udp %v: %w: %d bytes that are not those sent", conn.RemoteAddr(), ErrWrong, n)
		default:
			return nil
		}
	}
	return fmt.Errorf("udp %v: %w to %d datagrams: does the host's echo run (tools/net/echo-host.sh), and does the capture show them?",
		conn.RemoteAddr(), ErrSilent, echoTries)
}

// What the pages say: echod's over loopback, and the host's.
const (
	LoopBody = "hello from echod\n"
	HostBody = "hello from the host\n"
)
