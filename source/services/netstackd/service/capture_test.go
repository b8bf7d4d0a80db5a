package service

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"nexus/source/api/netapi"
	"nexus/source/services/netstackd/capture"
	"nexus/source/services/netstackd/netstack"
)

// captured reads a capture until done says that all is there.
func captured(t *testing.T, c *netapi.Client, handle uint64, done func([]netapi.Packet) bool) []netapi.Packet {
	t.Helper()
	var all []netapi.Packet
	for deadline := time.Now().Add(patience); !done(all); {
		packets, dropped, err := c.CaptureRead(handle, time.Second)
		if err != nil && !errors.Is(err, syscall.ETIMEDOUT) || dropped != 0 {
			t.Fatalf("%d dropped, %v", dropped, err)
		}
		if all = append(all, packets...); time.Now().After(deadline) {
			t.Fatalf("only %d packets: %+v", len(all), all)
		}
	}
	return all
}

// TestCaptureLo: packets over lo are seen once each, as they are sent, without a link header.
func TestCaptureLo(t *testing.T) {
	g := boot(t, Options{Mode: Stub}, func([]byte) {})
	<-g.ready
	handle, err := g.client.CaptureOpen("lo", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{"127.0.0.1", "10.0.2.15"} {
		before := time.Now()
		if _, echoes, err := g.client.Ping(netip.MustParseAddr(to), 1, 5*time.Second, 32); err != nil || len(echoes) != 1 {
			t.Fatal(to, err)
		}
		packets := captured(t, g.client, handle, func(all []netapi.Packet) bool { return len(all) >= 2 })
		if len(packets) != 2 {
			t.Errorf("%s: %d packets", to, len(packets))
		}
		for i, p := range packets[:2] {
			// An IPv4 header, then ICMP: 8 asks, 0 answers.
			if p.Interface != "lo" || !p.Outgoing || p.Length != 60 || len(p.Data) != 60 || p.Data[0] != 0x45 || p.Data[20] != byte(8-8*i) {
				t.Errorf("%s: packet %d: %+v", to, i, p)
			}
			if p.Time.Before(before.Round(0)) || p.Time.After(time.Now().Round(0)) {
				t.Errorf("%s: packet %d at %v", to, i, p.Time)
			}
		}
	}
	if err := g.client.CaptureClose(handle); err != nil {
		t.Error(err)
	}
}

// TestCaptureWire: a capture sees both ways on virt0 and lives on when the interface goes down and up.
func TestCaptureWire(t *testing.T) {
	n := join(t, Options{Mode: Stub})
	handle, err := n.client.CaptureOpen("", 42)
	if err != nil {
		t.Fatal(err)
	}
	ping := func() {
		t.Helper()
		if _, echoes, err := n.client.Ping(hostIP, 1, patience/2, 100); err != nil || len(echoes) != 1 {
			t.Fatal(len(echoes), err)
		}
	}
	of := func(all []netapi.Packet, kind byte) (found []netapi.Packet) {
		for _, p := range all {
			if p.Data[12] == 8 && p.Data[13] == 0 && p.Data[34] == kind {
				found = append(found, p)
			}
		}
		return found
	}
	ping()
	all := captured(t, n.client, handle, func(all []netapi.Packet) bool { return len(of(all, 0)) == 1 })
	ask, answer := of(all, 8), of(all, 0)
	if len(ask) != 1 || !ask[0].Outgoing || ask[0].Length != 142 || len(ask[0].Data) != 42 || !bytes.Equal(ask[0].Data[6:12], guestMAC[:]) {
		t.Errorf("request: %+v", ask)
	}
	if answer[0].Outgoing || answer[0].Length != 142 || answer[0].Interface != "virt0" || !bytes.Equal(answer[0].Data[6:12], hostMAC[:]) {
		t.Errorf("reply: %+v", answer)
	}
	if err := errors.Join(n.client.IfDown("virt0"), n.client.IfUp("virt0")); err != nil {
		t.Fatal(err)
	}
	ping()
	captured(t, n.client, handle, func(all []netapi.Packet) bool { return len(of(all, 8)) == 1 && len(of(all, 0)) == 1 })
}

// TestCaptureLarge: the largest packet of lo is cut to what a reply can carry, and a capture that is full goes on.
func TestCaptureLarge(t *testing.T) {
	g := boot(t, Options{Mode: Stub}, func([]byte) {})
	<-g.ready
	handle, err := g.client.CaptureOpen("", 0)
	if err != nil {
		t.Fatal(err)
	}
	large := bytes.Repeat([]byte{7}, 65507)
	socket, err := g.kernel.ListenPacket(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	if err := socket.WriteTo(large, netip.MustParseAddrPort("127.0.0.1:9")); err != nil {
		t.Fatal(err)
	}
	packets := captured(t, g.client, handle, func(all []netapi.Packet) bool { return len(all) >= 1 })
	if p := packets[0]; p.Length != 65535 || len(p.Data) != netapi.MaxPacketData || p.Data[1000] != 7 {
		t.Errorf("%d bytes of %d", len(p.Data), p.Length)
	}
}

func TestCaptureRefusals(t *testing.T) {
	g := boot(t, Options{Mode: Stub}, func([]byte) {})
	<-g.ready
	c := g.client
	for i := range capture.MaxCaptures {
		if handle, err := c.CaptureOpen("", 0); err != nil || handle != uint64(i)+1 {
			t.Fatal(handle, err)
		}
	}
	_, many := c.CaptureOpen("lo", 0)
	_, name := c.CaptureOpen("eth0", 0)
	_, _, read := c.CaptureRead(99, time.Second)
	tests := []struct {
		name string
		err  error
		want syscall.Errno
	}{
		{"one more", many, syscall.EMFILE},
		{"eth0", name, syscall.ENODEV},
		{"read 99", read, syscall.EBADF},
		{"close 99", c.CaptureClose(99), syscall.EBADF},
		{"close 0", c.CaptureClose(0), syscall.EBADF},
	}
	for _, test := range tests {
		var refusal *netapi.Error
		if !errors.Is(test.err, test.want) || !errors.As(test.err, &refusal) || refusal.Text == "" {
			t.Errorf("%s: got %v, want %v with a sentence", test.name, test.err, test.want)
		}
	}
	if err := c.CaptureClose(1); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.CaptureRead(1, time.Second); !errors.Is(err, syscall.EBADF) || !strings.Contains(err.Error(), "open another") {
		t.Errorf("read after close: %v", err)
	}
	if handle, err := c.CaptureOpen(netstack.Loopback, 0); err != nil || handle != capture.MaxCaptures+1 {
		t.Errorf("handle %d given again, or %v", handle, err)
	}
	if _, _, err := c.CaptureRead(capture.MaxCaptures+1, time.Millisecond); !errors.Is(err, syscall.ETIMEDOUT) {
		t.Errorf("nothing there: %v", err)
	}
}
