package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"nexus/source/api/netapi"
	"nexus/source/api/netcapnp"
	"nexus/source/libs/channel"
	"nexus/source/services/netstackd/control"
	"nexus/source/services/netstackd/dhcpstub"
	"nexus/source/services/netstackd/kerneltest"
	"nexus/source/services/netstackd/netstack"
	"nexus/source/services/netstackd/sockserver"
	"nexus/source/services/netstackd/wiretest"
)

const patience = 20 * time.Second

var (
	guestMAC  = [6]byte{2, 0, 0, 0, 0, 1}
	hostMAC   = [6]byte{2, 0, 0, 0, 0, 2}
	guestIP   = netip.MustParseAddr("10.0.2.15")
	hostIP    = netip.MustParseAddr("10.0.2.2")
	guestAny  = netip.MustParseAddrPort("10.0.2.15:0")
	hostAddr  = netapi.Address{Prefix: netip.MustParsePrefix("10.0.2.2/24")}
	stubLines = []string{"netstackd: ready", "netstackd: lo up", "netstackd: virt0 dhcp addr=10.0.2.15"}
)

// console collects markers.
type console struct {
	mu    sync.Mutex
	lines []string
	wake  chan struct{}
}

func (c *console) say(line string) {
	c.mu.Lock()
	c.lines = append(c.lines, line)
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *console) all() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.lines)
}

// expect waits until the markers so far are these.
func (c *console) expect(t testing.TB, want ...string) {
	t.Helper()
	deadline := time.After(patience)
	for !slices.Equal(c.all(), want) {
		select {
		case <-c.wake:
		case <-deadline:
			t.Fatalf("console:\n got %q\nwant %q", c.all(), want)
		}
	}
}

// guest is netstackd as it runs in the guest, with fakes for everything around it.
type guest struct {
	*console
	service *Service
	port    *wiretest.Port
	kernel  *kerneltest.Kernel
	client  *netapi.Client
	ready   chan struct{}
	done    chan error
	cancel  context.CancelFunc
}

// boot starts netstackd on a port whose frames go to out.
func boot(t testing.TB, options Options, out func(frame []byte)) *guest {
	t.Helper()
	port, err := wiretest.NewPort(guestMAC, 200, out)
	if err != nil {
		t.Fatal(err)
	}
	return bootOn(t, options, port)
}

func bootOn(t testing.TB, options Options, port *wiretest.Port) *guest {
	t.Helper()
	seed := uint64(1)
	options.Seed = &seed
	if options.Bound == 0 {
		options.Bound = patience
	}
	kernel, serving, err := kerneltest.New()
	if err != nil {
		t.Fatal(err)
	}
	nicNear, nicFar := pair(t)
	controlNear, controlFar := pair(t)
	nicServer, err := channel.Open(nicFar)
	if err != nil {
		t.Fatal(err)
	}
	nicDone := make(chan error, 1)
	go func() { nicDone <- channel.Serve(nicServer, port) }()
	controlConn, err := channel.Open(controlNear)
	if err != nil {
		t.Fatal(err)
	}
	g := &guest{
		console: &console{wake: make(chan struct{}, 1)}, port: port, kernel: kernel, client: netapi.NewClient(controlConn),
		ready: make(chan struct{}), done: make(chan error, 1),
	}
	ctx, cancel := context.WithCancel(context.Background())
	g.cancel = cancel
	d := Descriptors{NIC: nicNear, Sockets: serving, Control: []*os.File{controlFar}}
	if g.service, err = New(ctx, options, d, g.say); err != nil {
		t.Fatal(err)
	}
	go func() { g.done <- g.service.Run(ctx, func() error { close(g.ready); return nil }) }()
	t.Cleanup(func() {
		cancel()
		kernel.Close()
		select {
		case err := <-g.done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			t.Error("Run does not end")
		}
		g.service.Close()
		g.client.Close()
		nicServer.Close()
		<-nicDone
		port.Close()
	})
	return g
}

// pair returns the two ends of a channel as files, as nexus-init makes them.
func pair(t testing.TB) (a, b *os.File) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fds[0]), "near"), os.NewFile(uintptr(fds[1]), "far")
}

// pairOfHosts is a guest and a host on one cable.
type pairOfHosts struct {
	*guest
	host  *wiretest.Host
	cable *wiretest.Cable
}

func join(t testing.TB, options Options) *pairOfHosts {
	t.Helper()
	cable := &wiretest.Cable{}
	seed := uint64(2)
	host, err := wiretest.NewHost(hostMAC, netstack.Config{Seed: &seed}, cable.Out(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(host.Close)
	if err := host.SetAddress(netstack.Ethernet, hostAddr); err != nil {
		t.Fatal(err)
	}
	cable.Plug(1, host.Port)
	port, err := wiretest.NewPort(guestMAC, 200, cable.Out(0))
	if err != nil {
		t.Fatal(err)
	}
	cable.Plug(0, port)
	g := bootOn(t, options, port)
	<-g.ready
	return &pairOfHosts{g, host, cable}
}

func TestStubBoot(t *testing.T) {
	frames := make(chan []byte, 100)
	g := boot(t, Options{Mode: Stub}, func(f []byte) { frames <- f })
	<-g.ready
	g.expect(t, stubLines...)
	// Nothing of the exchange with the stub is on the wire; the gratuitous ARP is.
	first := <-frames
	if !bytes.Equal(first[12:14], []byte{8, 6}) || !bytes.Equal(first[28:32], guestIP.AsSlice()) {
		t.Errorf("first frame: %x", first)
	}
	list, err := g.client.IfList()
	if err != nil || len(list) != 2 {
		t.Fatal(list, err)
	}
	if lo := list[0]; lo.Name != "lo" || !lo.Up || lo.Address.Prefix.String() != "127.0.0.1/8" || lo.Address.Origin != netcapnp.Origin_loopback {
		t.Errorf("lo: %+v", lo)
	}
	want := netapi.Address{
		Prefix: netip.MustParsePrefix("10.0.2.15/24"), Gateway: hostIP, DNS: []netip.Addr{netip.MustParseAddr("10.0.2.3")},
		Origin: netcapnp.Origin_dhcp, Lease: 86400 * time.Second,
	}
	if v := list[1]; v.Name != "virt0" || !v.Up || v.MAC != guestMAC || v.MTU != 1500 || fmt.Sprint(v.Address) != fmt.Sprint(want) {
		t.Errorf("virt0: %+v", v)
	}
	// Asking again confirms the same lease.
	if got, err := g.client.DHCP("virt0"); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("dhcp: %+v %v", got, err)
	}
}

func TestStaticBoot(t *testing.T) {
	g := boot(t, Options{Mode: Static, Address: netip.MustParsePrefix("192.0.2.7/28"), Gateway: netip.MustParseAddr("192.0.2.1")}, func([]byte) {})
	<-g.ready
	g.expect(t, "netstackd: ready", "netstackd: lo up", "netstackd: virt0 static addr=192.0.2.7")
	a, err := g.client.AddrGet("virt0")
	if err != nil || a.Origin != netcapnp.Origin_static || a.Prefix.String() != "192.0.2.7/28" {
		t.Errorf("%+v %v", a, err)
	}
}

// TestWireDHCP: the exchange is on the wire, and the lease is the server's there.
func TestWireDHCP(t *testing.T) {
	var port *wiretest.Port
	var mu sync.Mutex
	var seen []string
	port, err := wiretest.NewPort(guestMAC, 200, func(f []byte) {
		if reply := dhcpstub.Handle(f); reply != nil {
			mu.Lock()
			seen = append(seen, fmt.Sprintf("%x", f[46:50]))
			mu.Unlock()
			port.Inject(reply)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	g := bootOn(t, Options{Mode: DHCP}, port)
	<-g.ready
	g.expect(t, stubLines...)
	mu.Lock()
	defer mu.Unlock()
	if len(seen) != 2 || seen[0] != seen[1] {
		t.Errorf("transaction ids on the wire: %v", seen)
	}
}

// TestNobodyAnswersDHCP: boot goes on without an address, says so, and finds the server that comes late.
func TestNobodyAnswersDHCP(t *testing.T) {
	var port *wiretest.Port
	awake := make(chan struct{})
	port, err := wiretest.NewPort(guestMAC, 200, func(f []byte) {
		select {
		case <-awake:
		default:
			return
		}
		if reply := dhcpstub.Handle(f); reply != nil {
			port.Inject(reply)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	g := bootOn(t, Options{Mode: DHCP, Bound: 100 * time.Millisecond}, port)
	<-g.ready
	degraded := []string{"netstackd: ready", "netstackd: lo up",
		"netstackd: virt0 dhcp no answer after 1 DISCOVER in 0s, going on without an address"}
	g.expect(t, degraded...)
	if _, err := g.client.AddrGet("virt0"); !errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Errorf("addrGet: %v", err)
	}
	if _, err := g.client.DHCP("virt0"); !errors.Is(err, syscall.ETIMEDOUT) {
		t.Errorf("dhcp: %v", err)
	}
	if _, echoes, err := g.client.Ping(loopback.Prefix.Addr(), 1, 5*time.Second, 0); err != nil || len(echoes) != 1 {
		t.Errorf("lo: %v", err)
	}
	close(awake)
	g.expect(t, append(degraded, "netstackd: virt0 dhcp addr=10.0.2.15")...)
}

// TestStaticThenDHCP: the operator may change his mind, both ways.
func TestStaticThenDHCP(t *testing.T) {
	var port *wiretest.Port
	port, err := wiretest.NewPort(guestMAC, 200, func(f []byte) {
		if reply := dhcpstub.Handle(f); reply != nil {
			port.Inject(reply)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	g := bootOn(t, Options{Mode: Static, Address: netip.MustParsePrefix("192.0.2.7/24")}, port)
	<-g.ready
	if a, err := g.client.DHCP("virt0"); err != nil || a.Prefix.Addr() != guestIP {
		t.Fatal(a, err)
	}
	back := netapi.Address{Prefix: netip.MustParsePrefix("192.0.2.8/24")}
	if err := g.client.AddrSet("virt0", back); err != nil {
		t.Fatal(err)
	}
	if a, err := g.client.AddrGet("virt0"); err != nil || a.Prefix != back.Prefix || a.Origin != netcapnp.Origin_static {
		t.Errorf("%+v %v", a, err)
	}
}

func TestParse(t *testing.T) {
	tests := []struct {
		name      string
		env       map[string]string
		arguments []string
		want      string
		err       error
	}{
		{"nothing", nil, nil, "stub invalid Prefix invalid IP", nil},
		{"dhcp", map[string]string{"NEXUS_NET": "dhcp"}, nil, "dhcp invalid Prefix invalid IP", nil},
		{"static", map[string]string{"NEXUS_NET": "static", "NEXUS_ADDR": "10.0.2.15/24", "NEXUS_GW": "10.0.2.2"}, nil, "static 10.0.2.15/24 10.0.2.2", nil},
		{"static without gateway", map[string]string{"NEXUS_NET": "static", "NEXUS_ADDR": "10.0.2.15/24"}, nil, "static 10.0.2.15/24 invalid IP", nil},
		{"flags win", map[string]string{"NEXUS_NET": "dhcp"}, []string{"-net=static", "-addr=192.0.2.1/24"}, "static 192.0.2.1/24 invalid IP", nil},
		{"no such mode", map[string]string{"NEXUS_NET": "slirp"}, nil, "", ErrMode},
		{"static without address", map[string]string{"NEXUS_NET": "static"}, nil, "", ErrAddress},
		{"address without length", map[string]string{"NEXUS_NET": "static", "NEXUS_ADDR": "10.0.2.15"}, nil, "", ErrAddress},
		{"IPv6", map[string]string{"NEXUS_NET": "static", "NEXUS_ADDR": "fe80::1/64"}, nil, "", ErrAddress},
		{"bad gateway", map[string]string{"NEXUS_NET": "static", "NEXUS_ADDR": "10.0.2.15/24", "NEXUS_GW": "router"}, nil, "", ErrGateway},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, name := range []string{"NEXUS_NET", "NEXUS_ADDR", "NEXUS_GW"} {
				t.Setenv(name, test.env[name])
			}
			t.Setenv("NEXUS_SEED", "18446744073709551615")
			o, err := Parse(test.arguments)
			if !errors.Is(err, test.err) {
				t.Fatalf("got %v, want %v", err, test.err)
			}
			if got := fmt.Sprint(o.Mode, " ", o.Address, " ", o.Gateway); err == nil && got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if o.Seed == nil || *o.Seed != 1<<64-1 {
				t.Error("no seed")
			}
		})
	}
}

func TestPingBothWays(t *testing.T) {
	n := join(t, Options{Mode: Stub})
	ctx := context.Background()
	sent, echoes, err := n.host.Ping(ctx, guestIP, 3, patience, 1472)
	if err != nil || sent != 3 || len(echoes) != 3 {
		t.Fatalf("host asks: sent %d, got %d, %v", sent, len(echoes), err)
	}
	n.expect(t, append(slices.Clone(stubLines), "netstackd: recv arp who-has")...)
	sent, echoes, err = n.client.Ping(hostIP, 3, 5*time.Second, 64)
	if err != nil || sent != 3 || len(echoes) != 3 || echoes[2].Size != 64 || echoes[2].TTL != 64 {
		t.Fatalf("guest asks: sent %d, got %+v, %v", sent, echoes, err)
	}
	neighbours, err := n.client.ARP()
	if err != nil || len(neighbours) != 1 || neighbours[0].IP != hostIP || neighbours[0].MAC != hostMAC {
		t.Errorf("arp: %+v %v", neighbours, err)
	}
	// Nobody there: the request never leaves.
	sent, echoes, err = n.client.Ping(netip.MustParseAddr("10.0.2.99"), 1, 10*time.Millisecond, 0)
	if !errors.Is(err, syscall.EHOSTUNREACH) || sent != 0 || len(echoes) != 0 {
		t.Errorf("nobody: sent %d, got %d, %v", sent, len(echoes), err)
	}
}

// TestSelfPing: a host reaches its own address without a wire.
func TestSelfPing(t *testing.T) {
	g := boot(t, Options{Mode: Stub}, func([]byte) {})
	<-g.ready
	for _, to := range []string{"127.0.0.1", "10.0.2.15"} {
		sent, echoes, err := g.client.Ping(netip.MustParseAddr(to), 2, 5*time.Second, 8)
		if err != nil || sent != 2 || len(echoes) != 2 {
			t.Errorf("%s: sent %d, got %d, %v", to, sent, len(echoes), err)
		}
	}
}

func TestUDPEcho(t *testing.T) {
	n := join(t, Options{Mode: Stub})
	// echod, in the guest.
	server, err := n.kernel.ListenPacket(netip.MustParseAddrPort("0.0.0.0:7"))
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() {
		buf := make([]byte, 65536)
		for {
			k, from, err := server.ReadFrom(buf)
			if err != nil {
				return
			}
			server.WriteTo(buf[:k], from)
		}
	}()
	host := n.programOn(t)
	client, err := host.ListenPacket(netip.MustParseAddrPort("10.0.2.2:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	client.SetReadDeadline(time.Now().Add(patience))
	buf := make([]byte, 65536)
	for _, size := range []int{0, 1, 1472, 1473, 4000, 9000} { // those beyond 1472 in fragments
		payload := bytes.Repeat([]byte{byte(size)}, size)
		if err := client.WriteTo(payload, netip.AddrPortFrom(guestIP, 7)); err != nil {
			t.Fatal(err)
		}
		k, from, err := client.ReadFrom(buf)
		if err != nil || from != netip.AddrPortFrom(guestIP, 7) || !bytes.Equal(buf[:k], payload) {
			t.Fatalf("size %d: got %d from %v, %v", size, k, from, err)
		}
	}
}

// TestTCPUnderLoss moves 4 MiB each way through a cable that loses, swaps, doubles and damages frames.
func TestTCPUnderLoss(t *testing.T) {
	n := join(t, Options{Mode: Stub})
	random := rand.New(rand.NewChaCha8([32]byte{1}))
	var held []byte
	n.cable.SetTamper(func(_ int, frame []byte) [][]byte {
		switch p := random.IntN(1000); {
		case p < 10:
			return nil
		case p < 15:
			return [][]byte{frame, frame}
		case p < 20:
			damaged := bytes.Clone(frame)
			damaged[random.IntN(len(damaged))] ^= 1 << random.IntN(8)
			return [][]byte{damaged}
		case p < 30 && held == nil:
			held = frame
			return nil
		}
		out := [][]byte{frame}
		if held != nil {
			out = append(out, held)
			held = nil
		}
		return out
	})
	transfer(t, n, 4<<20)
}

// TestTCP moves 16 MiB each way through a good cable.
func TestTCP(t *testing.T) { transfer(t, join(t, Options{Mode: Stub}), 16<<20) }

// transfer moves size bytes each way between a program on the host and one in the guest.
func transfer(t *testing.T, n *pairOfHosts, size int) {
	t.Helper()
	l, err := n.kernel.Listen(guestAny)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	host := n.programOn(t)
	client, err := host.Dial(l.Local())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	one, err := l.AcceptSocket()
	if err != nil {
		t.Fatal(err)
	}
	server := &kerneltest.Conn{Socket: one}
	defer server.Close()
	var all sync.WaitGroup
	for i, way := range [][2]*kerneltest.Conn{{client, server}, {server, client}} {
		data := make([]byte, size)
		rand.NewChaCha8([32]byte{byte(i)}).Read(data)
		way[0].SetDeadline(time.Now().Add(3 * patience))
		all.Go(func() {
			if _, err := way[0].Write(data); err != nil {
				t.Error("write:", err)
			}
			way[0].CloseWrite()
		})
		all.Go(func() {
			got, err := io.ReadAll(way[1])
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("way %d: got %d of %d bytes, equal %v, %v", i, len(got), size, bytes.Equal(got, data), err)
			}
		})
	}
	all.Wait()
}

// programOn returns a socket namespace on the host.
func (n *pairOfHosts) programOn(t testing.TB) *kerneltest.Kernel {
	t.Helper()
	kernel, serving, err := kerneltest.New()
	if err != nil {
		t.Fatal(err)
	}
	server, err := sockserver.New(serving, n.host.Stack)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(context.Background()) }()
	t.Cleanup(func() {
		kernel.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return kernel
}

func TestInterfaceDownAndUp(t *testing.T) {
	n := join(t, Options{Mode: Stub})
	if err := n.client.IfDown("virt0"); err != nil {
		t.Fatal(err)
	}
	if _, echoes, err := n.host.Ping(context.Background(), guestIP, 1, 20*time.Millisecond, 8); err == nil && len(echoes) > 0 {
		t.Error("a down interface answers")
	}
	if _, _, err := n.client.Ping(hostIP, 1, time.Second, 8); !errors.Is(err, syscall.ENETUNREACH) && !errors.Is(err, syscall.EHOSTUNREACH) {
		t.Errorf("ping from a down interface: %v", err)
	}
	if err := n.client.IfUp("virt0"); err != nil {
		t.Fatal(err)
	}
	if _, echoes, err := n.client.Ping(hostIP, 1, 5*time.Second, 8); err != nil || len(echoes) != 1 {
		t.Errorf("after ifUp: %d, %v", len(echoes), err)
	}
}

// TestAddressChange: sockets bound to no address go on with the new one.
func TestAddressChange(t *testing.T) {
	n := join(t, Options{Mode: Stub})
	server, err := n.kernel.ListenPacket(netip.MustParseAddrPort("0.0.0.0:7"))
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	fresh := netapi.Address{Prefix: netip.MustParsePrefix("10.0.2.77/24"), Gateway: hostIP}
	if err := n.client.AddrSet("virt0", fresh); err != nil {
		t.Fatal(err)
	}
	if a, err := n.client.AddrGet("virt0"); err != nil || a.Prefix != fresh.Prefix || a.Origin != netcapnp.Origin_static {
		t.Fatal(a, err)
	}
	client, err := n.programOn(t).ListenPacket(netip.MustParseAddrPort("10.0.2.2:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.WriteTo([]byte("there?"), netip.AddrPortFrom(fresh.Prefix.Addr(), 7)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	server.SetReadDeadline(time.Now().Add(patience))
	if k, from, err := server.ReadFrom(buf); err != nil || string(buf[:k]) != "there?" || from.Addr() != hostIP {
		t.Errorf("got %q from %v, %v", buf[:k], from, err)
	}
	if _, echoes, err := n.host.Ping(context.Background(), guestIP, 1, 20*time.Millisecond, 8); err == nil && len(echoes) > 0 {
		t.Error("the old address still answers")
	}
}

func TestControlRefusals(t *testing.T) {
	g := boot(t, Options{Mode: Stub}, func([]byte) {})
	<-g.ready
	c := g.client
	pingTo := func(ip string, count int, timeout time.Duration, size int) error {
		_, _, err := c.Ping(netip.MustParseAddr(ip), count, timeout, size)
		return err
	}
	_, dhcpLo := c.DHCP("lo")
	_, addrNone := c.AddrGet("eth0")
	_, recv := c.Recv(time.Millisecond)
	_, attach := c.Attach()
	tests := []struct {
		name string
		err  error
		want syscall.Errno
	}{
		{"ifUp eth0", c.IfUp("eth0"), syscall.ENODEV},
		{"ifDown empty", c.IfDown(""), syscall.ENODEV},
		{"dhcp lo", dhcpLo, syscall.EOPNOTSUPP},
		{"addrGet eth0", addrNone, syscall.ENODEV},
		{"addrSet zero", c.AddrSet("virt0", netapi.Address{}), syscall.EINVAL},
		{"addrSet multicast", c.AddrSet("virt0", netapi.Address{Prefix: netip.MustParsePrefix("224.0.0.1/4")}), syscall.EINVAL},
		{"addrSet far gateway", c.AddrSet("virt0", netapi.Address{Prefix: netip.MustParsePrefix("10.0.2.9/24"), Gateway: netip.MustParseAddr("10.9.9.9")}), syscall.EINVAL},
		{"ping none", pingTo("127.0.0.1", 0, time.Second, 0), syscall.EINVAL},
		{"ping many", pingTo("127.0.0.1", 65, time.Second, 0), syscall.EINVAL},
		{"ping large", pingTo("127.0.0.1", 1, time.Second, 1473), syscall.EINVAL},
		{"ping long", pingTo("127.0.0.1", 1, time.Minute, 0), syscall.EINVAL},
		{"ping multicast", pingTo("224.0.0.1", 1, time.Second, 0), syscall.EINVAL},
		{"send", c.Send(make([]byte, 60)), syscall.ENOSYS},
		{"recv", recv, syscall.ENOSYS},
		{"attach", attach, syscall.ENOSYS},
	}
	for _, test := range tests {
		var refusal *netapi.Error
		if !errors.Is(test.err, test.want) || !errors.As(test.err, &refusal) || refusal.Text == "" {
			t.Errorf("%s: got %v, want %v with a sentence", test.name, test.err, test.want)
		}
	}
	// The old address is still there after all the bad ones.
	if a, err := c.AddrGet("virt0"); err != nil || a.Prefix.Addr() != guestIP {
		t.Errorf("%+v %v", a, err)
	}
}

// TestHostileControlClient: garbage harms nothing and nobody.
func TestHostileControlClient(t *testing.T) {
	cable := func([]byte) {}
	g := boot(t, Options{Mode: Stub}, cable)
	<-g.ready
	near, far := pair(t)
	conn, err := channel.Open(far)
	if err != nil {
		t.Fatal(err)
	}
	server := control.New(context.Background(), network{g.service.stack, g.service.addresses, g.service}, g.service.taps)
	done := make(chan struct{})
	go func() { server.Serve([]*channel.Conn{conn}); close(done) }()
	random := rand.New(rand.NewChaCha8([32]byte{9}))
	fd := int(near.Fd())
	reply := make([]byte, channel.MaxMessage)
	for range 2000 {
		garbage := make([]byte, random.IntN(300))
		for i := range garbage {
			garbage[i] = byte(random.Uint32())
		}
		if len(garbage) >= 16 && random.IntN(2) == 0 { // a sound frame around it, and a root that is a struct
			garbage = garbage[:len(garbage)&^7]
			copy(garbage, []byte{0, 0, 0, 0, byte(len(garbage)/8 - 1), 0, 0, 0, 0, 0, 0, 0, 2, 0, byte(random.IntN(5)), 0})
		}
		if err := syscall.Sendmsg(fd, garbage, nil, nil, 0); err != nil {
			t.Fatal(err)
		}
		if n, err := syscall.Read(fd, reply); err != nil || n == 0 {
			t.Fatalf("reply of %d bytes to %x: %v", n, garbage, err)
		}
	}
	near.Close()
	<-done
	if sent, echoes, err := g.client.Ping(loopback.Prefix.Addr(), 1, 5*time.Second, 0); err != nil || sent != 1 || len(echoes) != 1 {
		t.Errorf("after garbage: %d, %d, %v", sent, len(echoes), err)
	}
}

// TestDriverRestart: when virtionetd is another process, netstackd takes over its queue and connections live on.
func TestDriverRestart(t *testing.T) {
	n := join(t, Options{Mode: Stub})
	l, err := n.kernel.Listen(guestAny)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := n.programOn(t).Dial(l.Local())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	one, err := l.AcceptSocket()
	if err != nil {
		t.Fatal(err)
	}
	server := &kerneltest.Conn{Socket: one}
	defer server.Close()
	n.service.nic.Reattach()
	for deadline := time.After(patience); n.port.Attached() < 2; {
		select {
		case <-time.After(time.Millisecond):
		case <-deadline:
			t.Fatal("queue was not taken over again")
		}
	}
	client.SetDeadline(time.Now().Add(patience))
	server.SetDeadline(time.Now().Add(patience))
	if _, err := client.Write([]byte("still here")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 10)
	if _, err := io.ReadFull(server, got); err != nil || string(got) != "still here" {
		t.Errorf("got %q %v", got, err)
	}
}

func TestCountersAreNamed(t *testing.T) {
	g := boot(t, Options{Mode: Stub}, func([]byte) {})
	<-g.ready
	counters, err := g.client.Stats()
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for _, c := range counters {
		if c.Name == "" || seen[c.Name] {
			t.Errorf("counter %q twice or without a name", c.Name)
		}
		seen[c.Name] = true
	}
	for _, name := range []string{"virt0.rx.drop.martian", "dhcp.received.ack", "sockets.open", "tcp.retransmits", "virt0.driver-restarts"} {
		if !seen[name] {
			t.Errorf("no counter %s", name)
		}
	}
}
