package netstack_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/faketime"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"

	"nexus/source/api/netapi"
	"nexus/source/services/netstackd/dhcp"
	"nexus/source/services/netstackd/netstack"
	"nexus/source/services/netstackd/wiretest"
)

var (
	ourMAC   = [6]byte{2, 0, 0, 0, 0, 1}
	peerMAC  = [6]byte{2, 0, 0, 0, 0, 2}
	thiefMAC = [6]byte{2, 0, 0, 0, 0, 3}
	everyone = [6]byte{255, 255, 255, 255, 255, 255}
	ourIP    = netip.MustParseAddr("10.0.2.15")
	peerIP   = netip.MustParseAddr("10.0.2.2")
)

// wire is a stack with virt0, and what it sends.
type wire struct {
	*wiretest.Host
	clock *faketime.ManualClock

	mu     sync.Mutex
	frames [][]byte
	wake   chan struct{}
}

// newWire returns a host at 10.0.2.15/24 whose gratuitous ARP is taken off the wire already.
func newWire(t testing.TB) *wire {
	t.Helper()
	w := &wire{clock: faketime.NewManualClock(), wake: make(chan struct{}, 1)}
	seed := uint64(3)
	host, err := wiretest.NewHost(ourMAC, netstack.Config{Clock: w.clock, Seed: &seed}, func(f []byte) {
		w.mu.Lock()
		w.frames = append(w.frames, f)
		w.mu.Unlock()
		select {
		case w.wake <- struct{}{}:
		default:
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(host.Close)
	w.Host = host
	address := netapi.Address{Prefix: netip.PrefixFrom(ourIP, 24), Gateway: peerIP}
	if err := w.SetAddress(netstack.Ethernet, address); err != nil {
		t.Fatal(err)
	}
	if f := w.next(t, func([]byte) bool { return true }); f == nil || f[13] != 6 || [6]byte(f) != everyone {
		t.Fatalf("no gratuitous ARP: %x", f)
	}
	return w
}

// next waits for the first frame that matches and takes it off the wire.
func (w *wire) next(t testing.TB, match func(f []byte) bool) []byte {
	t.Helper()
	deadline := time.After(patience)
	for {
		w.mu.Lock()
		for i, f := range w.frames {
			if match(f) {
				w.frames = slices.Delete(w.frames, i, i+1)
				w.mu.Unlock()
				return f
			}
		}
		w.mu.Unlock()
		select {
		case <-w.wake:
		case <-deadline:
			t.Fatal("no such frame")
		}
	}
}

// count returns how many frames on the wire match.
func (w *wire) count(match func(f []byte) bool) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.frames {
		if match(f) {
			n++
		}
	}
	return n
}

// settle waits until the host has handled everything that was injected, which an ARP probe tells: its answer comes after.
func (w *wire) settle(t testing.TB) {
	t.Helper()
	w.inject(t, arp(1, peerMAC, netip.IPv4Unspecified(), [6]byte{}, ourIP, everyone))
	w.next(t, func(f []byte) bool { return isARP(f, 2) && bytes.Equal(f[38:42], []byte{0, 0, 0, 0}) })
}

// inject hands the host a frame, again and again while the queue is full.
func (w *wire) inject(t testing.TB, frame []byte) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !w.Port.Inject(frame) {
		if time.Now().After(deadline) {
			t.Fatal("the host takes nothing")
		}
	}
}

func isARP(f []byte, op byte) bool { return f[12] == 8 && f[13] == 6 && f[21] == op }
func isRequest(f []byte) bool      { return isARP(f, 1) }
func isUDP(f []byte) bool          { return f[12] == 8 && f[13] == 0 && f[23] == 17 }

func arp(op byte, senderMAC [6]byte, sender netip.Addr, targetMAC [6]byte, target netip.Addr, to [6]byte) []byte {
	f := append(append(append([]byte{}, to[:]...), senderMAC[:]...), 8, 6, 0, 1, 8, 0, 6, 4, 0, op)
	f = append(append(f, senderMAC[:]...), sender.AsSlice()...)
	return append(append(f, targetMAC[:]...), target.AsSlice()...)
}

func datagram(from, to netip.AddrPort, payload []byte) []byte {
	return dhcp.BuildFrame(peerMAC, ourMAC, from, to, payload)
}

// udpSocket returns a socket bound to a port.
func (w *wire) udpSocket(t testing.TB, port uint16) (tcpip.Endpoint, chan struct{}) {
	t.Helper()
	e, q, err := w.Socket(udp.ProtocolNumber)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	if err := e.Bind(tcpip.FullAddress{Port: port}); err != nil {
		t.Fatal(err)
	}
	entry, readable := waiter.NewChannelEntry(waiter.ReadableEvents)
	q.EventRegister(&entry)
	return e, readable
}

func peer(port uint16) *tcpip.FullAddress {
	return &tcpip.FullAddress{Addr: tcpip.AddrFrom4(peerIP.As4()), Port: port}
}

func write(t testing.TB, e tcpip.Endpoint, text string) {
	t.Helper()
	if _, err := e.Write(bytes.NewReader([]byte(text)), tcpip.WriteOptions{To: peer(7)}); err != nil {
		t.Fatal(err)
	}
}

// stat returns one of the stack's counters.
func (w *wire) stat(name string) (value uint64) {
	w.Each(func(is string, v uint64) {
		if is == name {
			value = v
		}
	})
	return value
}

// TestPacketsWaitForARP: what is sent before the neighbour is known is kept, in order, and one request is on the wire, not one a
// packet.
func TestPacketsWaitForARP(t *testing.T) {
	w := newWire(t)
	e, _ := w.udpSocket(t, 7)
	for _, text := range []string{"one", "two", "three"} {
		write(t, e, text)
	}
	request := w.next(t, isRequest)
	if !bytes.Equal(request[38:42], peerIP.AsSlice()) {
		t.Fatalf("request %x", request)
	}
	w.settle(t)
	if n := w.count(isRequest) + w.count(isUDP); n != 0 {
		t.Errorf("%d frames before the answer", n)
	}
	w.inject(t, arp(2, peerMAC, peerIP, ourMAC, ourIP, ourMAC))
	for _, text := range []string{"one", "two", "three"} {
		f := w.next(t, isUDP)
		if [6]byte(f) != peerMAC || !bytes.HasPrefix(f[42:], []byte(text)) {
			t.Errorf("want %q, got %x", text, f)
		}
	}
}

// TestARPGivesUp: three requests, a second apart, and the socket hears that nobody is there.
func TestARPGivesUp(t *testing.T) {
	w := newWire(t)
	e, _ := w.udpSocket(t, 7)
	write(t, e, "anybody?")
	w.next(t, isRequest)
	for range 2 {
		w.settle(t)
		if w.count(isRequest) != 0 {
			t.Fatal("asked again at once")
		}
		w.clock.Advance(time.Second)
		w.next(t, isRequest)
	}
	w.clock.Advance(time.Minute)
	w.settle(t)
	if n := w.count(isRequest) + w.count(isUDP); n != 0 {
		t.Errorf("%d frames after giving up", n)
	}
}

// TestPendingIsBounded: packets that wait for ARP do not pile up.
func TestPendingIsBounded(t *testing.T) {
	w := newWire(t)
	e, _ := w.udpSocket(t, 7)
	const sent, most = 2000, 256
	for range sent {
		write(t, e, "x")
	}
	w.inject(t, arp(2, peerMAC, peerIP, ourMAC, ourIP, ourMAC))
	w.next(t, isUDP)
	w.settle(t)
	if n := w.count(isUDP) + 1; n > most {
		t.Errorf("%d of %d packets were kept", n, sent)
	}
}

// TestARPThief: neither a reply nor a request moves a live entry.
func TestARPThief(t *testing.T) {
	w := newWire(t)
	e, _ := w.udpSocket(t, 7)
	write(t, e, "hello")
	w.next(t, isRequest)
	w.inject(t, arp(2, peerMAC, peerIP, ourMAC, ourIP, ourMAC))
	w.next(t, isUDP)
	w.inject(t, arp(2, thiefMAC, peerIP, ourMAC, ourIP, ourMAC))
	w.inject(t, arp(2, thiefMAC, peerIP, thiefMAC, peerIP, everyone))
	w.inject(t, arp(1, thiefMAC, peerIP, [6]byte{}, peerIP, everyone))
	w.inject(t, arp(1, thiefMAC, peerIP, [6]byte{}, ourIP, everyone))
	answer := w.next(t, func(f []byte) bool { return isARP(f, 2) })
	if [6]byte(answer) != thiefMAC { // who asks is answered all the same
		t.Errorf("answer to %x", answer[:6])
	}
	write(t, e, "hello again")
	if f := w.next(t, isUDP); [6]byte(f) != peerMAC {
		t.Errorf("the packet went to %x", f[:6])
	}
	if all := w.ARP(); len(all) != 1 || all[0].MAC != peerMAC {
		t.Errorf("table %+v", all)
	}
}

// TestUnsolicitedARP: nobody enters the table without being asked, except who asks for us.
func TestUnsolicitedARP(t *testing.T) {
	w := newWire(t)
	for i := range 200 {
		ip := netip.AddrFrom4([4]byte{10, 0, 2, byte(20 + i)})
		w.inject(t, arp(2, thiefMAC, ip, ourMAC, ourIP, ourMAC))
	}
	w.settle(t)
	if all := w.ARP(); len(all) != 0 {
		t.Errorf("table %+v", all)
	}
	w.inject(t, arp(1, peerMAC, peerIP, [6]byte{}, ourIP, everyone))
	if f := w.next(t, func(f []byte) bool { return isARP(f, 2) }); [6]byte(f) != peerMAC || [6]byte(f[22:]) != ourMAC {
		t.Errorf("answer %x", f)
	}
	if all := w.ARP(); len(all) != 1 || all[0].IP != peerIP || all[0].MAC != peerMAC {
		t.Errorf("table %+v", all)
	}
}

// TestFloodDoesNotStarveARP: in the middle of a flood of datagrams that nobody reads, a question is answered, and a socket
// keeps what fits.
func TestFloodDoesNotStarveARP(t *testing.T) {
	w := newWire(t)
	e, _ := w.udpSocket(t, 9)
	flood := datagram(netip.AddrPortFrom(peerIP, 1), netip.AddrPortFrom(ourIP, 9), make([]byte, 1000))
	for range 20 {
		for range 500 {
			w.inject(t, flood)
		}
		w.settle(t) // asks who has, and waits for the answer
	}
	if w.stat("udp.drop.buffer-full") == 0 {
		t.Error("the socket has no bound")
	}
	var got bytes.Buffer
	if _, err := e.Read(&got, tcpip.ReadOptions{}); err != nil || got.Len() != 1000 {
		t.Errorf("read %d bytes, %v", got.Len(), err)
	}
}

// TestBadPackets: each is dropped, counted, and not delivered.
func TestBadPackets(t *testing.T) {
	w := newWire(t)
	e, _ := w.udpSocket(t, 9)
	good := datagram(netip.AddrPortFrom(peerIP, 1), netip.AddrPortFrom(ourIP, 9), []byte("sound"))
	edit := func(at int, v ...byte) []byte {
		f := bytes.Clone(good)
		copy(f[at:], v)
		return f
	}
	resum := func(f []byte) []byte {
		f[24], f[25] = 0, 0
		binary.BigEndian.PutUint16(f[24:], ^checksum.Checksum(f[14:34], 0))
		return f
	}
	tests := []struct {
		name  string
		frame []byte
		stat  string
	}{
		{"IP checksum", edit(24, 0, 0), "ip.drop.malformed"},
		{"UDP checksum", edit(40, 1, 2), "udp.drop.checksum"},
		{"UDP length", edit(38, 0, 200), "udp.drop.malformed"},
		{"other port", datagram(netip.AddrPortFrom(peerIP, 1), netip.AddrPortFrom(ourIP, 10), nil), "udp.drop.no-port"},
		{"other address", resum(edit(30, 10, 0, 2, 16)), "ip.drop.destination"},
		{"bad option", resum(append(append(edit(14, 0x46, 0, 0, 37)[:34:34], 0x83, 0xff, 0, 0), good[34:]...)), ""},
	}
	for _, test := range tests {
		before := w.stat(test.stat)
		w.inject(t, test.frame)
		w.settle(t)
		if test.stat != "" && w.stat(test.stat) != before+1 {
			t.Errorf("%s: %s is %d, was %d", test.name, test.stat, w.stat(test.stat), before)
		}
		if _, err := e.Read(&bytes.Buffer{}, tcpip.ReadOptions{}); err == nil {
			t.Errorf("%s was delivered", test.name)
		}
	}
	w.inject(t, good)
	w.settle(t)
	var got bytes.Buffer
	if _, err := e.Read(&got, tcpip.ReadOptions{}); err != nil || got.String() != "sound" {
		t.Errorf("got %q, %v", got.String(), err)
	}
}

// fragments cuts a datagram's frame into pieces of n bytes.
func fragments(frame []byte, n int) (all [][]byte) {
	body := frame[34:]
	for at := 0; at < len(body); at += n {
		piece := body[at:min(at+n, len(body))]
		all = append(all, fragment(frame, at, at+n < len(body), piece))
	}
	return all
}

func fragment(frame []byte, at int, more bool, piece []byte) []byte {
	f := append(bytes.Clone(frame[:34]), piece...)
	binary.BigEndian.PutUint16(f[16:], uint16(20+len(piece)))
	binary.BigEndian.PutUint16(f[18:], 77)
	offset := uint16(at / 8)
	if more {
		offset |= 0x2000
	}
	binary.BigEndian.PutUint16(f[20:], offset)
	f[24], f[25] = 0, 0
	binary.BigEndian.PutUint16(f[24:], ^checksum.Checksum(f[14:34], 0))
	return f
}

func TestFragments(t *testing.T) {
	w := newWire(t)
	e, _ := w.udpSocket(t, 9)
	payload := bytes.Repeat([]byte("0123456789abcdef"), 256)
	whole := datagram(netip.AddrPortFrom(peerIP, 1), netip.AddrPortFrom(ourIP, 9), payload)
	pieces := fragments(whole, 1024)
	read := func() []byte {
		w.settle(t)
		var got bytes.Buffer
		if _, err := e.Read(&got, tcpip.ReadOptions{}); err != nil {
			return nil
		}
		return got.Bytes()
	}
	for i := len(pieces) - 1; i >= 0; i-- { // in the worst order
		w.inject(t, pieces[i])
	}
	if got := read(); !bytes.Equal(got, payload) {
		t.Fatalf("got %d of %d bytes", len(got), len(payload))
	}
	// Overlapping fragments: nothing of them is delivered (RFC 5722's rule, for IPv4 too).
	w.inject(t, pieces[0])
	w.inject(t, fragment(whole, 512, true, bytes.Repeat([]byte{0xee}, 1024)))
	for _, p := range pieces[1:] {
		w.inject(t, p)
	}
	if got := read(); got != nil {
		t.Errorf("%d bytes of overlapping fragments were delivered", len(got))
	}
	// Fragments that never become whole are forgotten.
	for id := range 5000 {
		f := bytes.Clone(pieces[0])
		binary.BigEndian.PutUint16(f[18:], uint16(1000+id))
		f[24], f[25] = 0, 0
		binary.BigEndian.PutUint16(f[24:], ^checksum.Checksum(f[14:34], 0))
		w.inject(t, f)
	}
	w.clock.Advance(2 * time.Minute)
	for _, p := range pieces {
		w.inject(t, p)
	}
	if got := read(); !bytes.Equal(got, payload) {
		t.Errorf("after a flood of fragments: got %d of %d bytes", len(got), len(payload))
	}
}

// TestOptionsAndLargePing: the reply carries the payload unchanged up to the MTU.
func TestPingReply(t *testing.T) {
	w := newWire(t)
	w.inject(t, arp(1, peerMAC, peerIP, [6]byte{}, ourIP, everyone))
	w.next(t, func(f []byte) bool { return isARP(f, 2) })
	for _, size := range []int{0, 1, 56, 1472} {
		payload := make([]byte, size)
		for i := range payload {
			payload[i] = byte(i * 7)
		}
		f := datagram(netip.AddrPortFrom(peerIP, 1), netip.AddrPortFrom(ourIP, 1), payload)
		f[23] = 1
		f[24], f[25] = 0, 0
		binary.BigEndian.PutUint16(f[24:], ^checksum.Checksum(f[14:34], 0))
		copy(f[34:42], []byte{8, 0, 0, 0, 1, 2, 3, 4})
		binary.BigEndian.PutUint16(f[36:], ^checksum.Checksum(f[34:], 0))
		w.inject(t, f)
		reply := w.next(t, func(f []byte) bool { return f[23] == 1 && f[34] == 0 })
		if [6]byte(reply) != peerMAC || !bytes.Equal(reply[38:42], []byte{1, 2, 3, 4}) || !bytes.Equal(reply[42:], payload) {
			t.Errorf("size %d: reply %x", size, reply)
		}
	}
}

func TestPingUnresolved(t *testing.T) {
	w := newWire(t)
	type result struct {
		sent, got int
		err       error
	}
	done := make(chan result, 1)
	go func() {
		sent, echoes, err := w.Ping(context.Background(), peerIP, 1, 500*time.Millisecond, 8)
		done <- result{sent, len(echoes), err}
	}()
	w.next(t, isRequest)
	w.clock.Advance(time.Second)
	var fault *netstack.Fault
	if r := <-done; r.sent != 0 || r.got != 0 || !errors.As(r.err, &fault) || fault.Errno() != syscall.EHOSTUNREACH {
		t.Errorf("nobody answers ARP: %+v", r)
	}
	// Somebody does, but not the ping.
	go func() {
		sent, echoes, err := w.Ping(context.Background(), peerIP, 1, 500*time.Millisecond, 8)
		done <- result{sent, len(echoes), err}
	}()
	w.next(t, isRequest)
	w.inject(t, arp(2, peerMAC, peerIP, ourMAC, ourIP, ourMAC))
	w.next(t, func(f []byte) bool { return f[23] == 1 && f[34] == 8 })
	w.clock.Advance(time.Second)
	if r := <-done; r.sent != 1 || r.got != 0 || r.err != nil {
		t.Errorf("no reply: %+v", r)
	}
	// A ping can be given up.
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		sent, echoes, err := w.Ping(ctx, peerIP, 5, time.Hour, 8)
		done <- result{sent, len(echoes), err}
	}()
	cancel()
	if r := <-done; r.got != 0 || r.err != nil || r.sent > 1 {
		t.Errorf("%+v", r)
	}
}

// TestAddressChangeIsAnnounced, and taking it away leaves nothing.
func TestAddressChangeIsAnnounced(t *testing.T) {
	w := newWire(t)
	fresh := netip.MustParsePrefix("10.0.2.99/24")
	if err := w.SetAddress(netstack.Ethernet, netapi.Address{Prefix: fresh}); err != nil {
		t.Fatal(err)
	}
	f := w.next(t, isRequest)
	if !bytes.Equal(f[28:32], fresh.Addr().AsSlice()) || !bytes.Equal(f[38:42], fresh.Addr().AsSlice()) || [6]byte(f) != everyone {
		t.Errorf("announcement %x", f)
	}
	// The same again is no change.
	if err := w.SetAddress(netstack.Ethernet, netapi.Address{Prefix: fresh}); err != nil {
		t.Fatal(err)
	}
	if n := w.count(isRequest); n != 0 {
		t.Errorf("%d announcements of no change", n)
	}
	if err := w.SetAddress(netstack.Ethernet, netapi.Address{}); err != nil {
		t.Fatal(err)
	}
	w.inject(t, arp(1, peerMAC, peerIP, [6]byte{}, fresh.Addr(), everyone))
	var fault *netstack.Fault
	if _, _, err := w.Ping(context.Background(), peerIP, 1, time.Second, 8); !errors.As(err, &fault) {
		t.Errorf("ping without an address: %v", err)
	}
	if n := w.count(func(f []byte) bool { return isARP(f, 2) }); n != 0 {
		t.Error("answers for an address that it has not")
	}
}

// TestMartiansOut: nothing to or from 127/8 leaves, whatever a program does.
func TestMartiansOut(t *testing.T) {
	w := newWire(t)
	e, _ := w.udpSocket(t, 9)
	for _, ip := range [][4]byte{{127, 0, 0, 1}, {127, 1, 2, 3}, {127, 255, 255, 255}} {
		to := tcpip.FullAddress{NIC: 2, Addr: tcpip.AddrFrom4(ip), Port: 9}
		_, _ = e.Write(bytes.NewReader([]byte("x")), tcpip.WriteOptions{To: &to}) // it may fail
	}
	w.settle(t)
	if n := w.count(func(f []byte) bool { return isUDP(f) || isRequest(f) && f[38] == 127 }); n != 0 {
		t.Errorf("%d frames for 127/8", n)
	}
}

// TestDeterminism: the same seed gives the same ports and the same frames.
func TestDeterminism(t *testing.T) {
	run := func() []byte {
		w := newWire(t)
		e, _, err := w.Socket(udp.ProtocolNumber)
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		write(t, e, "hello")
		w.next(t, isRequest)
		w.inject(t, arp(2, peerMAC, peerIP, ourMAC, ourIP, ourMAC))
		return w.next(t, isUDP)
	}
	if a, b := run(), run(); !bytes.Equal(a, b) {
		t.Errorf("first  %x\nsecond %x", a, b)
	}
}

func FuzzFrame(f *testing.F) {
	w := newWire(f)
	e, _ := w.udpSocket(f, 9)
	f.Add(datagram(netip.AddrPortFrom(peerIP, 1), netip.AddrPortFrom(ourIP, 9), []byte("hello")))
	f.Add(arp(1, peerMAC, peerIP, [6]byte{}, ourIP, everyone))
	f.Add(arp(2, peerMAC, peerIP, ourMAC, ourIP, ourMAC))
	whole := datagram(netip.AddrPortFrom(peerIP, 1), netip.AddrPortFrom(ourIP, 9), make([]byte, 3000))
	for _, piece := range fragments(whole, 1000) {
		f.Add(piece)
	}
	for _, protocol := range []byte{1, 2, 6} {
		frame := bytes.Clone(datagram(netip.AddrPortFrom(peerIP, 1), netip.AddrPortFrom(ourIP, 9), make([]byte, 40)))
		frame[23] = protocol
		f.Add(frame)
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		if len(frame) < 14 || len(frame) > 2030 {
			return
		}
		if len(frame) >= 34 && frame[14]>>4 == 4 { // a header checksum that is right, to get behind it
			if n := int(frame[14]&0xf) * 4; n >= 20 && len(frame) >= 14+n {
				frame[24], frame[25] = 0, 0
				binary.BigEndian.PutUint16(frame[24:], ^checksum.Checksum(frame[14:14+n], 0))
			}
		}
		w.inject(t, frame)
		w.settle(t)
		_, _ = e.Read(&bytes.Buffer{}, tcpip.ReadOptions{})
		w.clock.Advance(time.Second)
	})
}
