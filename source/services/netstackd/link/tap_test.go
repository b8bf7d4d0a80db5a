package link_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"

	"nexus/source/api/netapi"
	"nexus/source/services/netstackd/capture"
	"nexus/source/services/netstackd/guard"
	"nexus/source/services/netstackd/link"
)

// tapped starts an endpoint with a capture on it; read returns what was captured since.
func tapped(t *testing.T, slots int) (r *rig, read func() []netapi.Packet) {
	taps := capture.New(time.Now)
	r = startWith(t, slots, taps.Tap("virt0"))
	handle, err := taps.Open("virt0", 0)
	if err != nil {
		t.Fatal(err)
	}
	return r, func() []netapi.Packet {
		t.Helper()
		packets, dropped, err := taps.Read(context.Background(), handle, 0)
		if err != nil || dropped != 0 {
			t.Fatalf("%d dropped, %v", dropped, err)
		}
		return packets
	}
}

// expectPackets compares what was captured with frames; those in outgoing went out.
func expectPackets(t *testing.T, got []netapi.Packet, frames [][]byte, outgoing ...int) {
	t.Helper()
	if len(got) != len(frames) {
		t.Fatalf("%d packets captured, want %d", len(got), len(frames))
	}
	for i, p := range got {
		if p.Outgoing != slices.Contains(outgoing, i) || !bytes.Equal(p.Data, frames[i]) || p.Length != len(frames[i]) {
			t.Errorf("packet %d: outgoing %v, %x\nwant %x", i, p.Outgoing, p.Data, frames[i])
		}
	}
}

// TestTapReceives: every frame is seen as it came, those that the guard drops, takes aside or answers too.
func TestTapReceives(t *testing.T) {
	r, read := tapped(t, 4)
	deliver, dhcp, short, foreign := udp(15, 7, 1), udp(15, 68), []byte{1, 2, 3}, udp(15, 7, 2)
	foreign[0] = 4
	ping := udp(15, 0, make([]byte, 100)...)
	ping[23] = 1
	copy(ping[34:], []byte{8, 0, 0, 0, 0, 1, 0, 1})
	binary.BigEndian.PutUint16(ping[24:], ^checksum.Checksum(ping[14:34], 0))
	binary.BigEndian.PutUint16(ping[36:], ^checksum.Checksum(ping[34:], 0))
	probe := append(append(bytes.Repeat([]byte{255}, 6), peerMAC[:]...), 8, 6, 0, 1, 8, 0, 6, 4, 0, 1)
	probe = append(append(probe, peerMAC[:]...), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 0, 2, 15)
	in := [][]byte{deliver, dhcp, short, foreign, ping, probe}
	var kept [][]byte
	for _, f := range in {
		kept = append(kept, bytes.Clone(f))
	}
	r.receive(in...)
	for _, f := range in {
		clear(f) // the driver's again
	}
	sent := r.queue.frames()
	if len(sent) != 2 {
		t.Fatalf("%d answers", len(sent))
	}
	want := [][]byte{kept[0], kept[1], kept[2], kept[3], kept[4], sent[0], kept[5], sent[1]}
	expectPackets(t, read(), want, 5, 7)
}

// TestTapSends: every frame is seen when it goes to the driver, once, also after a wait; what is refused is not.
func TestTapSends(t *testing.T) {
	r, read := tapped(t, 1)
	raw := bytes.Repeat([]byte{9}, 60)
	if err := r.send(100, 10); err != nil {
		t.Fatal(err)
	}
	if err := r.send(101, 10); err != nil { // waits
		t.Fatal(err)
	}
	if err := r.SendFrame(raw); err != nil { // waits too
		t.Fatal(err)
	}
	if r.send(100, 127) == nil || r.SendFrame(make([]byte, 2000)) == nil {
		t.Fatal("sent what may not be")
	}
	expectPackets(t, read(), r.queue.frames(), 0)
	r.queue.give(3)
	r.wake()
	sent := r.queue.frames()
	if len(sent) != 3 || !bytes.Equal(sent[2], raw) {
		t.Fatalf("%d sent", len(sent))
	}
	expectPackets(t, read(), sent[1:], 0, 1)
}

// TestTapAllocates: a tap that nobody captures on costs no memory.
func TestTapAllocates(t *testing.T) {
	taps := capture.New(time.Now)
	g := guard.New(ourMAC, strangers{})
	e := link.New(link.Config{MAC: ourMAC, MTU: 1500, Guard: g, Now: func() time.Duration { return 0 }, Tap: taps.Tap("virt0")})
	frame := udp(15, 7)
	list := packet(100, 10)
	for _, p := range list.AsSlice() {
		e.AddHeader(p)
	}
	l := &loop{frame: frame}
	if n := testing.AllocsPerRun(100, func() {
		l.left = 100
		_ = e.Run(l, l)
		e.Plug(l)
		_, _ = e.WritePackets(list)
	}); n > 1 { // Run's own, of a method value
		t.Errorf("%v allocations for 100 frames in and one out", n)
	}
}
