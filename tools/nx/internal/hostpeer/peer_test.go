package hostpeer

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"go.uber.org/goleak"

	"nexus/tools/nx/internal/capture"
	"nexus/tools/nx/internal/frame"
	"nexus/tools/nx/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lab is a host peer, and the guest's end of its wire.
type lab struct {
	peer  *Peer
	link  *wire.Link // the guest's end
	stack *wire.Stack
	rec   capture.Recorder // what the host saw
}

func newLab(t *testing.T, cfg Config) *lab {
	t.Helper()
	l := new(lab)
	file, hostLink, err := wire.New(l.rec.Record)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.FileConn(file)
	file.Close()
	if err != nil {
		t.Fatal(err)
	}
	l.link = wire.NewLink(conn, func(time.Time, []byte) {})
	done := make(chan error, 2)
	go func() { done <- hostLink.Run() }()
	go func() { done <- l.link.Run() }()

	hostStack, err := wire.NewStack(hostLink, frame.Host)
	if err != nil {
		t.Fatal(err)
	}
	if l.stack, err = wire.NewStack(l.link, frame.Guest); err != nil {
		t.Fatal(err)
	}
	cfg.Link, cfg.Sockets = hostLink, hostStack
	if l.peer, err = Start(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.peer.Close()
		l.stack.Close()
		hostStack.Close()
		hostLink.Close()
		l.link.Close()
		for range 2 {
			if err := <-done; err != nil {
				t.Errorf("link: %v", err)
			}
		}
	})
	return l
}

// echod answers datagrams on the guest's port 7, changed by alter.
func (l *lab) echod(t *testing.T, alter func([]byte) []byte) {
	t.Helper()
	conn, err := l.stack.ListenPacket(EchoPort)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 2048)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if out := alter(buf[:n]); out != nil {
				conn.WriteTo(out, from)
			}
		}
	}()
}

// ask sends a datagram to the host's port 7 and gives the answer.
func (l *lab) ask(t *testing.T, text string) string {
	t.Helper()
	conn, err := l.stack.ListenPacket(40000)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.WriteTo([]byte(text), &net.UDPAddr{IP: frame.Host.IP.AsSlice(), Port: EchoPort}); err != nil {
		t.Fatal(err)
	}
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	buf := make([]byte, 2048)
	n, _, err := conn.ReadFrom(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

func same(b []byte) []byte { return b }

func TestAsksBackBeforeAnswering(t *testing.T) {
	l := newLab(t, Config{AskBack: true})
	l.echod(t, same)
	for _, text := range []string{"first", "second"} {
		if got := l.ask(t, text); got != text {
			t.Errorf("got %q", got)
		}
	}
	var asked []string
	for _, o := range l.peer.Outcomes() {
		asked = append(asked, o.Ask)
		if !o.OK || o.Tries != 1 {
			t.Errorf("%+v", o)
		}
	}
	if want := []string{AskARP, AskPing, AskUDP}; !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}

	// On the wire: the three questions and answers stand between the guest's
	// first datagram and its answer.
	var order []frame.Kind
	for _, f := range l.rec.Frames(time.Now()) {
		if f.Kind == frame.ARPRequestKind && f.FromGuest() || f.Kind == frame.ARPReplyKind && !f.FromGuest() {
			continue // the guest's own resolution
		}
		order = append(order, f.Kind)
	}
	want := []frame.Kind{
		frame.UDPKind,
		frame.ARPRequestKind, frame.ARPReplyKind, frame.PingKind, frame.PongKind, frame.UDPKind, frame.UDPKind,
		frame.UDPKind,
		frame.UDPKind, frame.UDPKind, // the second datagram is just answered
	}
	if !slices.Equal(order, want) {
		t.Errorf("on the wire: %v, want %v", order, want)
	}
}

func TestGuestThatDoesNotAnswer(t *testing.T) {
	l := newLab(t, Config{AskBack: true, Retry: 5 * time.Millisecond, Tries: 3})
	l.echod(t, func([]byte) []byte { return nil })
	if got := l.ask(t, "hello"); got != "hello" {
		t.Errorf("got %q", got)
	}
	udp := l.peer.Outcomes()[2]
	if udp.Ask != AskUDP || udp.OK || udp.Tries != 3 || udp.Error == "" {
		t.Errorf("%+v", udp)
	}
}

func TestGuestThatAnswersWrongly(t *testing.T) {
	l := newLab(t, Config{AskBack: true})
	l.echod(t, func(b []byte) []byte { return append(bytes.Clone(b), '!') })
	l.ask(t, "hello")
	if udp := l.peer.Outcomes()[2]; udp.OK {
		t.Errorf("%+v", udp)
	}
}

func TestHello(t *testing.T) {
	l := newLab(t, Config{})
	for range 2 { // the answer is the same each time
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		conn, err := l.stack.Dial(ctx, frame.Host, HTTPPort)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		io.WriteString(conn, "GET /hello HTTP/1.1\r\nHost: 10.0.2.2:8080\r\nConnection: close\r\n\r\n")
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if err != nil || string(body) != Hello || response.Header.Get("Date") != "" {
			t.Errorf("%q, %v, headers %v", body, err, response.Header)
		}
	}
}

// dhcp sends a message as the guest and gives the frame that answers it.
func (l *lab) dhcp(t *testing.T, m *dhcpv4.DHCPv4) (frame.Summary, *dhcpv4.DHCPv4) {
	t.Helper()
	answers := make(chan frame.Summary, 1)
	defer l.link.Watch(func(raw []byte) {
		if s := frame.Describe(bytes.Clone(raw)); s.DstPort == dhcpv4.ClientPort {
			answers <- s
		}
	})()
	from := frame.Station{MAC: frame.Guest.MAC, IP: netip.IPv4Unspecified()}
	if err := l.link.Send(frame.UDP(from, everyone, 68, 67, m.ToBytes())); err != nil {
		t.Fatal(err)
	}
	select {
	case s := <-answers:
		reply, err := dhcpv4.FromBytes(s.Payload)
		if err != nil {
			t.Fatal(err)
		}
		return s, reply
	case <-time.After(10 * time.Second):
		t.Fatal("no answer")
	}
	panic("unreachable")
}

func TestLease(t *testing.T) {
	l := newLab(t, Config{DHCP: true})
	discover, err := dhcpv4.NewDiscovery(frame.Guest.MAC)
	if err != nil {
		t.Fatal(err)
	}
	discover.SetUnicast()
	s, offer := l.dhcp(t, discover)
	if s.Kind != "dhcp.offer" || s.DstIP != frame.Guest.IP || !bytes.Equal(s.DstMAC, frame.Guest.MAC) {
		t.Fatalf("got %+v", s)
	}
	request, err := dhcpv4.NewRequestFromOffer(offer)
	if err != nil {
		t.Fatal(err)
	}
	s, ack := l.dhcp(t, request)
	if s.Kind != "dhcp.ack" || !ack.YourIPAddr.Equal(frame.Guest.IP.AsSlice()) ||
		!ack.Router()[0].Equal(frame.Host.IP.AsSlice()) || !ack.DNS()[0].Equal(frame.DNS.AsSlice()) ||
		ack.IPAddressLeaseTime(0) != leaseTime || ack.TransactionID != request.TransactionID {
		t.Errorf("got %v", ack.Summary())
	}

	request.UpdateOption(dhcpv4.OptRequestedIPAddress(net.IPv4(10, 0, 2, 99)))
	if s, _ := l.dhcp(t, request); s.Kind != "dhcp.nak" || s.DstIP != everyone.IP {
		t.Errorf("another address: got %v to %v", s.Kind, s.DstIP)
	}
	discover.SetBroadcast()
	if s, _ := l.dhcp(t, discover); s.DstIP != everyone.IP || !bytes.Equal(s.DstMAC, frame.Broadcast) {
		t.Errorf("broadcast wanted: got %v, %v", s.DstIP, s.DstMAC)
	}
}

func TestNoAnswerToNonsense(t *testing.T) {
	offer, err := dhcpv4.New(dhcpv4.WithMessageType(dhcpv4.MessageTypeOffer))
	if err != nil {
		t.Fatal(err)
	}
	other, err := dhcpv4.New(dhcpv4.WithMessageType(dhcpv4.MessageTypeRequest),
		dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.IPv4(10, 0, 2, 77))))
	if err != nil {
		t.Fatal(err)
	}
	for name, message := range map[string][]byte{
		"nothing": nil, "noise": []byte("noise"), "an offer": offer.ToBytes(), "a request to another": other.ToBytes(),
	} {
		if reply := lease(message); reply != nil {
			t.Errorf("%s is answered with %v", name, reply.Summary())
		}
	}
}

// FuzzLease: no message makes the server panic, and what it answers can be read.
func FuzzLease(f *testing.F) {
	m, err := dhcpv4.NewDiscovery(frame.Guest.MAC)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(m.ToBytes())
	f.Fuzz(func(t *testing.T, message []byte) {
		if reply := lease(message); reply != nil {
			if _, err := dhcpv4.FromBytes(reply.ToBytes()); err != nil {
				t.Error(err)
			}
		}
	})
}
