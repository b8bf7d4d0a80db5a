package udpecho

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"
)

const bound = 10 * time.Second

// listen opens a UDP socket on loopback.
func listen(t *testing.T) *net.UDPConn {
	t.Helper()
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestEcho(t *testing.T) {
	server, client := listen(t), listen(t)
	var counters Counters
	done := make(chan error, 1)
	go func() { done <- Serve(server, &counters) }()

	if err := client.SetDeadline(time.Now().Add(bound)); err != nil {
		t.Fatal(err)
	}
	to := server.LocalAddr().(*net.UDPAddr).AddrPort()
	buf := make([]byte, maxDatagram+1)
	for _, size := range []int{0, 1, 64, 1472, 1473, 9000, maxDatagram} {
		want := bytes.Repeat([]byte{byte(size), 0xa5}, size)[:size]
		if _, err := client.WriteToUDPAddrPort(want, to); err != nil {
			t.Fatal(err)
		}
		n, from, err := client.ReadFromUDPAddrPort(buf)
		if err != nil || from != to || !bytes.Equal(buf[:n], want) {
			t.Fatalf("%d bytes: got %d from %v, %v", size, n, from, err)
		}
	}
	server.Close()
	if err := <-done; err != nil {
		t.Errorf("closed: %v", err)
	}
	if got := counters.Echoed.Load(); got != 7 {
		t.Errorf("echoed %d, want 7", got)
	}
}

// script is a socket that gives what is in it and remembers what was sent.
type script struct {
	reads  []read
	writes []error // how each write goes
	sent   []netip.AddrPort
	limits int // deadlines set
}

type read struct {
	from netip.AddrPort
	err  error
}

func (s *script) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	if len(s.reads) == 0 {
		return 0, netip.AddrPort{}, net.ErrClosed
	}
	next := s.reads[0]
	s.reads = s.reads[1:]
	return copy(b, "text"), next.from, next.err
}

func (s *script) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	s.sent = append(s.sent, to)
	if len(s.writes) == 0 {
		return len(b), nil
	}
	err := s.writes[0]
	s.writes = s.writes[1:]
	return 0, err
}

func (s *script) SetWriteDeadline(time.Time) error { s.limits++; return nil }

func TestDrops(t *testing.T) {
	peer := netip.MustParseAddrPort("10.0.2.2:40000")
	s := &script{
		reads: []read{
			{from: netip.MustParseAddrPort("10.0.2.2:7")}, // another echo service: no loop
			{from: netip.MustParseAddrPort("10.0.2.2:0")},
			{},
			{err: errors.New("connection refused")},
			{from: peer}, // sent after the deadline was renewed
			{from: peer}, // cannot be sent
			{from: peer},
		},
		writes: []error{os.ErrDeadlineExceeded, nil, io.ErrShortWrite, nil},
	}
	var c Counters
	if err := Serve(s, &c); err != nil {
		t.Fatal(err)
	}
	got := [...]uint64{c.Echoed.Load(), c.Looped.Load(), c.Unsent.Load(), c.Unread.Load(), c.Foreign.Load()}
	if want := [...]uint64{2, 1, 1, 1, 2}; got != want {
		t.Errorf("echoed, looped, unsent, unread, foreign = %v, want %v", got, want)
	}
	if s.limits != 2 {
		t.Errorf("set the deadline %d times, want at the begin and when it had passed", s.limits)
	}
}

// A socket that cannot be read any more ends the service instead of spinning.
func TestBrokenSocket(t *testing.T) {
	broken := errors.New("network is down")
	s := &script{}
	for range maxFailures + 1 {
		s.reads = append(s.reads, read{err: broken})
	}
	var c Counters
	if err := Serve(s, &c); !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
}

func TestAnswerDoesNotAllocate(t *testing.T) {
	s := &script{sent: make([]netip.AddrPort, 0, 2000)}
	var c Counters
	peer, text := netip.MustParseAddrPort("10.0.2.2:40000"), []byte("text")
	if n := testing.AllocsPerRun(1000, func() { answer(s, text, peer, &c) }); n != 0 {
		t.Errorf("%v allocations for a datagram", n)
	}
}
