package sockserver_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/nettest"
	"golang.org/x/sys/unix"

	"nexus/source/api/netapi"
	"nexus/source/libs/sockns"
	"nexus/source/services/netstackd/kerneltest"
	"nexus/source/services/netstackd/netstack"
	"nexus/source/services/netstackd/sockserver"
)

const patience = 20 * time.Second

var (
	anyPort = netip.MustParseAddrPort("127.0.0.1:0")
	nowhere = netip.MustParseAddrPort("127.0.0.1:9")
)

// namespace is a kernel, a server and a stack with lo.
type namespace struct {
	*kerneltest.Kernel
	server *sockserver.Server
}

func newNamespace(t testing.TB) *namespace {
	t.Helper()
	seed := uint64(7)
	stack, err := netstack.New(netstack.Config{Seed: &seed})
	if err != nil {
		t.Fatal(err)
	}
	lo := netapi.Address{Prefix: netip.MustParsePrefix("127.0.0.1/8")}
	if err := errors.Join(stack.SetAddress(netstack.Loopback, lo), stack.SetUp(netstack.Loopback, true)); err != nil {
		t.Fatal(err)
	}
	kernel, serving, err := kerneltest.New()
	if err != nil {
		t.Fatal(err)
	}
	server, err := sockserver.New(serving, stack)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(context.Background()) }()
	t.Cleanup(func() {
		kernel.Close()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Serve: %v", err)
			}
		case <-time.After(patience):
			t.Error("Serve does not end")
		}
		stack.Close()
	})
	return &namespace{kernel, server}
}

// count returns one of the server's counters.
func (n *namespace) count(name string) (value uint64) {
	n.server.Each(func(is string, v uint64) {
		if is == name {
			value = v
		}
	})
	return value
}

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("never: ", what)
		}
	}
}

// connect returns both ends of a connection over lo.
func (n *namespace) connect(t testing.TB) (client, server *kerneltest.Conn) {
	t.Helper()
	l, err := n.Listen(anyPort)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err = n.Dial(l.Local())
	if err != nil {
		t.Fatal(err)
	}
	one, err := l.AcceptSocket()
	if err != nil {
		t.Fatal(err)
	}
	server = &kerneltest.Conn{Socket: one}
	for _, c := range []*kerneltest.Conn{client, server} {
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
	}
	return client, server
}

// TestConn is the test that every net.Conn has to pass.
func TestConn(t *testing.T) {
	n := newNamespace(t)
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		client, server := n.connect(t)
		errs := errors.Join(client.SetDeadline(time.Time{}), server.SetDeadline(time.Time{}))
		return client, server, func() { client.Close(); server.Close() }, errs
	})
}

func TestAddresses(t *testing.T) {
	n := newNamespace(t)
	client, server := n.connect(t)
	defer client.Close()
	defer server.Close()
	if client.Local() != server.Remote() || client.Remote() != server.Local() {
		t.Errorf("client %v-%v, server %v-%v", client.Local(), client.Remote(), server.Local(), server.Remote())
	}
	if client.Local().Port() < 32768 || server.ID()&sockns.ServerID == 0 || client.ID()&sockns.ServerID != 0 {
		t.Errorf("port %d, ids %#x %#x", client.Local().Port(), client.ID(), server.ID())
	}
}

func TestConnectRefused(t *testing.T) {
	n := newNamespace(t)
	if _, err := n.Dial(nowhere); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v", err)
	}
	if _, err := n.Dial(netip.MustParseAddrPort("192.0.2.1:80")); !errors.Is(err, syscall.ENETUNREACH) && !errors.Is(err, syscall.EHOSTUNREACH) {
		t.Errorf("no route: got %v", err)
	}
	eventually(t, "refused sockets are closed", func() bool { return n.count("open") == 0 })
}

// TestConnectAgain: a socket whose connect failed can be connected, with the options and the address it had.
func TestConnectAgain(t *testing.T) {
	n := newNamespace(t)
	s, err := n.Open(sockns.Stream)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Bind(anyPort); err != nil {
		t.Fatal(err)
	}
	bound := s.Local()
	if err := s.Option(unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := s.Connect(nowhere); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("got %v", err)
		}
	}
	l, err := n.Listen(anyPort)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := s.Connect(l.Local()); err != nil {
		t.Fatal(err)
	}
	if s.Local() != bound {
		t.Errorf("bound to %v, connected from %v", bound, s.Local())
	}
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	client := &kerneltest.Conn{Socket: s}
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(server, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}

// TestShutdownRead: what comes for a program that reads no more is dropped, and its peer notices nothing.
func TestShutdownRead(t *testing.T) {
	n := newNamespace(t)
	client, server := n.connect(t)
	defer client.Close()
	defer server.Close()
	if err := client.CloseRead(); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Write(make([]byte, 4<<20)); err != nil {
		t.Fatalf("peer: %v", err)
	}
	if _, err := client.Write([]byte("still sends")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(server, make([]byte, 11)); err != nil {
		t.Fatal(err)
	}
}

func TestBindInUse(t *testing.T) {
	n := newNamespace(t)
	l, err := n.Listen(anyPort)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Listen(l.Local()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("second listener: %v", err)
	}
	if _, err := n.Listen(netip.MustParseAddrPort("192.0.2.1:80")); !errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Errorf("foreign address: %v", err)
	}
	l.Close()
	eventually(t, "port is free again", func() bool {
		again, err := n.Listen(l.Local())
		if err == nil {
			again.Close()
		}
		return err == nil
	})
}

// TestAddressIsFree: when the kernel tells of a close, the next record can use the address.
func TestAddressIsFree(t *testing.T) {
	n := newNamespace(t)
	at := netip.MustParseAddrPort("127.0.0.1:8080")
	for range 50 {
		l, err := n.Listen(at)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.CloseTold(); err != nil {
			t.Fatal(err)
		}
		s, err := n.Open(sockns.Stream)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Bind(at); err != nil {
			t.Fatal(err)
		}
		if err := s.CloseTold(); err != nil {
			t.Fatal(err)
		}
	}
	reader, err := n.ListenPacket(anyPort)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	reader.SetReadDeadline(time.Now().Add(patience))
	for range 50 {
		u, err := n.ListenPacket(at)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			if err := u.WriteTo([]byte{byte(i)}, reader.Local()); err != nil {
				t.Fatal(err)
			}
		}
		if err := u.CloseTold(); err != nil {
			t.Fatal(err)
		}
		for i := range 5 { // none of them is lost
			b := make([]byte, 9)
			if k, from, err := reader.ReadFrom(b); err != nil || k != 1 || b[0] != byte(i) || from != at {
				t.Fatalf("datagram %d: %d %x from %v, %v", i, k, b[:k], from, err)
			}
		}
	}
	// A connected stream is not harmed by such a record, nor is the server by one about nobody.
	client, server := n.connect(t)
	defer client.Close()
	defer server.Close()
	for _, id := range []uint32{client.ID(), server.ID(), 1 << 30} {
		var b [sockns.Size]byte
		r := sockns.Record{Op: sockns.Close, ID: id}
		r.Encode(&b)
		if err := n.Send(b[:], -1); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(server, make([]byte, 1)); err != nil {
		t.Error(err)
	}
}

// TestCloseUnread: what a program has sent goes out, whatever else it left unread on its socket.
func TestCloseUnread(t *testing.T) {
	n := newNamespace(t)
	reader, err := n.ListenPacket(anyPort)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	reader.SetReadDeadline(time.Now().Add(patience))
	u, err := n.ListenPacket(anyPort)
	if err != nil {
		t.Fatal(err)
	}
	if err := reader.WriteTo([]byte("unread"), u.Local()); err != nil {
		t.Fatal(err)
	}
	raw, err := u.File().SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Read(func(fd uintptr) bool {
		ready, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		return ready > 0 || err != nil && err != unix.EINTR
	}); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		if err := u.WriteTo([]byte{byte(i)}, reader.Local()); err != nil {
			t.Fatal(err)
		}
	}
	if err := u.Close(); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		b := make([]byte, 9)
		if k, _, err := reader.ReadFrom(b); err != nil || k != 1 || b[0] != byte(i) {
			t.Fatalf("datagram %d: %d %x, %v", i, k, b[:k], err)
		}
	}
}

// TestTransfer moves 4 MiB each way at once and compares them.
func TestTransfer(t *testing.T) {
	n := newNamespace(t)
	client, server := n.connect(t)
	defer client.Close()
	defer server.Close()
	var all sync.WaitGroup
	for i, way := range [][2]*kerneltest.Conn{{client, server}, {server, client}} {
		data := make([]byte, 4<<20)
		rand.NewChaCha8([32]byte{byte(i)}).Read(data)
		all.Go(func() {
			if _, err := way[0].Write(data); err != nil {
				t.Error("write:", err)
			}
			if err := way[0].CloseWrite(); err != nil {
				t.Error("close write:", err)
			}
		})
		all.Go(func() {
			got, err := io.ReadAll(way[1])
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("got %d of %d bytes, equal %v, %v", len(got), len(data), bytes.Equal(got, data), err)
			}
		})
	}
	all.Wait()
	client.Close()
	server.Close()
	eventually(t, "both sockets closed", func() bool { return n.count("open") == 0 })
}

// TestHalfClose: after one side has sent its end it still receives.
func TestHalfClose(t *testing.T) {
	n := newNamespace(t)
	client, server := n.connect(t)
	defer client.Close()
	defer server.Close()
	if _, err := client.Write([]byte("question")); err != nil {
		t.Fatal(err)
	}
	if err := client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(server); err != nil || string(got) != "question" {
		t.Fatalf("got %q %v", got, err)
	}
	if _, err := server.Write([]byte("answer")); err != nil {
		t.Fatal(err)
	}
	server.Close()
	if got, err := io.ReadAll(client); err != nil || string(got) != "answer" {
		t.Fatalf("got %q %v", got, err)
	}
}

// TestReset: closing with unread data resets the connection, and the peer's SO_ERROR says so.
func TestReset(t *testing.T) {
	n := newNamespace(t)
	client, server := n.connect(t)
	defer client.Close()
	if _, err := client.Write([]byte("never read")); err != nil {
		t.Fatal(err)
	}
	one := make([]byte, 1)
	if _, err := io.ReadFull(server, one); err != nil { // the data is in the program's end
		t.Fatal(err)
	}
	server.Close()
	<-client.Broken()
	if err := client.Err(); err != syscall.ECONNRESET {
		t.Errorf("SO_ERROR %v", err)
	}
	if _, err := client.Read(one); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read: %v", err)
	}
	if _, err := client.Write(one); err == nil {
		t.Error("write after a reset succeeded")
	}
}

// TestBackPressure: a program that does not read stops its peer's writes, and gets everything once it reads.
func TestBackPressure(t *testing.T) {
	n := newNamespace(t)
	client, server := n.connect(t)
	defer client.Close()
	defer server.Close()
	sent := make(chan int, 1)
	go func() {
		if err := client.SetWriteDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
			t.Error(err)
		}
		total, block := 0, make([]byte, 64<<10)
		for {
			n, err := client.Write(block)
			total += n
			if err != nil {
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Error(err)
				}
				break
			}
		}
		client.CloseWrite()
		sent <- total
	}()
	total := <-sent
	const most = 4 << 20 // two data pairs, the stack's two buffers, one piece
	if total > most {
		t.Errorf("%d bytes were taken from a program whose peer does not read", total)
	}
	got, err := io.Copy(io.Discard, server)
	if err != nil || got != int64(total) {
		t.Errorf("got %d of %d bytes, %v", got, total, err)
	}
}

func TestDatagrams(t *testing.T) {
	n := newNamespace(t)
	a, err := n.ListenPacket(anyPort)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := n.ListenPacket(anyPort)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	buf := make([]byte, 70000)
	for _, size := range []int{0, 1, 1472, 9000, sockns.MaxDatagram} {
		payload := bytes.Repeat([]byte{byte(size)}, size)
		if err := a.WriteTo(payload, b.Local()); err != nil {
			t.Fatal(size, err)
		}
		b.SetReadDeadline(time.Now().Add(patience))
		got, from, err := b.ReadFrom(buf)
		if err != nil || from != a.Local() || !bytes.Equal(buf[:got], payload) {
			t.Errorf("size %d: got %d from %v, %v", size, got, from, err)
		}
	}
}

func TestConnectedDatagram(t *testing.T) {
	n := newNamespace(t)
	server, err := n.ListenPacket(anyPort)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	client, err := n.ListenPacket(anyPort)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.Connect(server.Local()); err != nil {
		t.Fatal(err)
	}
	if err := client.WriteTo([]byte("hello"), netip.AddrPort{}); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	if got, from, err := server.ReadFrom(buf); err != nil || string(buf[:got]) != "hello" || from != client.Local() {
		t.Fatalf("got %q from %v, %v", buf[:got], from, err)
	}
	// Nobody listens there: ICMP says so.
	if err := client.Connect(nowhere); err != nil {
		t.Fatal(err)
	}
	if err := client.WriteTo([]byte("hello"), netip.AddrPort{}); err != nil {
		t.Fatal(err)
	}
	<-client.Broken()
	if err := client.Err(); err != syscall.ECONNREFUSED {
		t.Errorf("SO_ERROR %v", err)
	}
	if err := client.Connect(netip.AddrPort{}); err != nil {
		t.Errorf("dissolve: %v", err)
	}
	if err := client.WriteTo([]byte("hello"), server.Local()); err != nil {
		t.Error(err)
	}
	if got, _, err := server.ReadFrom(buf); err != nil || string(buf[:got]) != "hello" {
		t.Errorf("got %q %v", buf[:got], err)
	}
}

func TestDatagramWithoutDestination(t *testing.T) {
	n := newNamespace(t)
	c, err := n.ListenPacket(anyPort)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.WriteTo([]byte("x"), netip.AddrPort{}); err != nil {
		t.Fatal(err)
	}
	<-c.Broken()
	if err := c.Err(); err != syscall.EDESTADDRREQ {
		t.Errorf("SO_ERROR %v", err)
	}
}

func TestWrongUse(t *testing.T) {
	n := newNamespace(t)
	stream, err := n.Open(sockns.Stream)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	datagram, err := n.Open(sockns.Datagram)
	if err != nil {
		t.Fatal(err)
	}
	defer datagram.Close()
	inet6 := sockns.Address{Family: 10}
	tests := []struct {
		name   string
		socket *kerneltest.Socket
		record sockns.Record
		want   syscall.Errno
	}{
		{"listen on a datagram", datagram, sockns.Record{Op: sockns.Listen}, syscall.EOPNOTSUPP},
		{"bind to IPv6", stream, sockns.Record{Op: sockns.Bind, Local: inet6}, syscall.EAFNOSUPPORT},
		{"connect to IPv6", stream, sockns.Record{Op: sockns.Connect, Remote: inet6}, syscall.EAFNOSUPPORT},
		{"connect datagram to IPv6", datagram, sockns.Record{Op: sockns.Connect, Remote: inet6}, syscall.EAFNOSUPPORT},
		{"dissolve a stream", stream, sockns.Record{Op: sockns.Connect}, syscall.EAFNOSUPPORT},
		{"unknown operation", stream, sockns.Record{Op: 99}, syscall.ENOSYS},
	}
	for _, test := range tests {
		if _, err := test.socket.Request(test.record); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, err, test.want)
		}
	}
	if err := stream.Listen(1); err != nil {
		t.Errorf("listen without bind: %v", err)
	}
	if _, err := stream.Request(sockns.Record{Op: sockns.Connect, Remote: sockns.Address{Family: 2, Port: 1}}); !errors.Is(err, syscall.EISCONN) {
		t.Errorf("connect a listener: %v", err)
	}
}

func TestOptions(t *testing.T) {
	n := newNamespace(t)
	client, server := n.connect(t)
	defer client.Close()
	defer server.Close()
	for _, s := range []*kerneltest.Conn{client, server} {
		for _, o := range [][3]int{
			{unix.SOL_SOCKET, unix.SO_REUSEADDR, 1}, {unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1}, {unix.SOL_SOCKET, unix.SO_BROADCAST, 1},
			{unix.SOL_SOCKET, unix.SO_SNDBUF, 1 << 30}, {unix.SOL_SOCKET, unix.SO_RCVBUF, 0},
			{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1}, {unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 15},
			{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 0}, {unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 1 << 20},
			{unix.IPPROTO_IP, unix.IP_TTL, 1000}, {77, 77, 77},
		} {
			if err := s.Option(o[0], o[1], uint32(o[2])); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := client.Write([]byte("still works")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(server, make([]byte, 11)); err != nil {
		t.Fatal(err)
	}
}

// TestManyConnections opens many connections at once, uses each, and closes them all.
func TestManyConnections(t *testing.T) {
	raiseDescriptorLimit(t, 8*many)
	n := newNamespace(t)
	l, err := n.Listen(anyPort)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { io.Copy(c, c); c.Close() }()
		}
	}()
	conns := make([]*kerneltest.Conn, many)
	for i := range conns {
		if conns[i], err = n.Dial(l.Local()); err != nil {
			t.Fatal(i, err)
		}
	}
	var all sync.WaitGroup
	for i, c := range conns {
		all.Go(func() {
			defer c.Close()
			want := fmt.Appendf(nil, "connection %d", i)
			c.SetDeadline(time.Now().Add(patience))
			if _, err := c.Write(want); err != nil {
				t.Error(i, err)
				return
			}
			c.CloseWrite()
			if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d: got %q %v", i, got, err)
			}
		})
	}
	all.Wait()
	l.Close()
	eventually(t, "all sockets closed", func() bool { return n.count("open") == 0 })
}

func raiseDescriptorLimit(t *testing.T, want uint64) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur >= want {
		return
	}
	if limit.Max < want {
		t.Skipf("NOT TESTED: only %d descriptors allowed, %d needed", limit.Max, want)
	}
	limit.Cur = want
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
}

// TestNamespaceEnds: a dead server gives errors, and leaves nothing behind.
func TestNamespaceEnds(t *testing.T) {
	n := newNamespace(t)
	client, server := n.connect(t)
	defer client.Close()
	defer server.Close()
	n.Close()
	<-client.Broken()
	if _, err := client.Read(make([]byte, 1)); err == nil {
		t.Error("read after the namespace ended")
	}
	if _, err := n.Open(sockns.Stream); !errors.Is(err, syscall.ENETDOWN) {
		t.Errorf("open: %v", err)
	}
}

// TestHostileRecords: whatever the records say, the server goes on.
func TestHostileRecords(t *testing.T) {
	n := newNamespace(t)
	send := func(r sockns.Record, fd int) {
		t.Helper()
		var b [sockns.Size]byte
		r.Encode(&b)
		if err := n.Send(b[:], fd); err != nil {
			t.Fatal(err)
		}
	}
	pipe := func() (a, b int) {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		return fds[0], fds[1]
	}
	for _, size := range []int{1, sockns.Size - 1, sockns.Size + 1, 4096} {
		if err := n.Send(make([]byte, size), -1); err != nil {
			t.Fatal(err)
		}
	}
	send(sockns.Record{Op: sockns.Open, ID: 1 << 20, Arg0: sockns.Stream, Arg1: sockns.TCP}, -1)
	for _, open := range []sockns.Record{
		{Op: sockns.Open, ID: 1 << 21, Arg0: 3, Arg1: 255},
		{Op: sockns.Open, ID: sockns.ServerID | 1, Arg0: sockns.Stream, Arg1: sockns.TCP},
		{Op: sockns.Open, ID: 1 << 22, Arg0: sockns.Stream, Arg1: sockns.UDP},
		{Op: sockns.Open, ID: 1 << 23, Arg0: sockns.Stream, Arg1: sockns.TCP},
		{Op: sockns.Open, ID: 1 << 23, Arg0: sockns.Datagram, Arg1: sockns.UDP}, // the same id again
		{Op: sockns.Bind, ID: 1 << 23, Local: sockns.Address{Family: 2}},        // a descriptor that nobody wants
	} {
		a, b := pipe()
		send(open, b)
		unix.Close(a)
		unix.Close(b)
	}
	for op := range sockns.Op(32) {
		send(sockns.Record{Op: op, ID: 12345}, -1)
		send(sockns.Record{Op: op, ID: 1 << 23, Seq: 5, Arg0: ^uint32(0), Arg1: ^uint32(0)}, -1)
	}
	client, server := n.connect(t)
	defer client.Close()
	defer server.Close()
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(server, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if n.count("drop.bad-record") == 0 || n.count("drop.unknown-socket") == 0 || n.count("refused.no-descriptor") == 0 {
		t.Error("nothing was counted")
	}
	client.Close()
	server.Close()
	eventually(t, "nothing left open", func() bool { return n.count("open") == 0 })
}

func FuzzRecords(f *testing.F) {
	var b [sockns.Size]byte
	for _, r := range []sockns.Record{
		{Op: sockns.Open, ID: 1, Arg0: 1, Arg1: 6}, {Op: sockns.Open, ID: 1, Arg0: 2, Arg1: 17},
		{Op: sockns.Bind, ID: 1, Seq: 1, Local: sockns.Address{Family: 2, Port: 7}},
		{Op: sockns.Listen, ID: 1, Seq: 2, Arg0: 1 << 31}, {Op: sockns.Shutdown, ID: 1, Arg0: 2},
		{Op: sockns.Connect, ID: 1, Seq: 3, Remote: sockns.Address{Family: 2, Port: 7, IP: [16]byte{127, 0, 0, 1}}},
		{Op: sockns.Option, ID: 1, Arg0: 6<<16 | 1, Arg1: 1},
	} {
		r.Encode(&b)
		f.Add(b[:], true)
		f.Add(b[:], false)
	}
	n := newNamespace(f)
	f.Fuzz(func(t *testing.T, data []byte, descriptor bool) {
		// The first socket of each run is the fuzzer's to play with.
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		beside := -1
		if descriptor {
			beside = fds[1]
		}
		for len(data) > 0 {
			k := min(len(data), sockns.Size)
			if err := n.Send(data[:k], beside); err != nil {
				t.Fatal(err)
			}
			data = data[k:]
		}
		unix.Close(fds[0])
		unix.Close(fds[1])
		// The server still answers.
		s, err := n.Open(sockns.Stream)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := s.Bind(anyPort); err != nil && !errors.Is(err, syscall.ENOBUFS) && !errors.Is(err, syscall.EINVAL) {
			t.Fatal(err)
		}
	})
}

func BenchmarkStream(b *testing.B) {
	n := newNamespace(b)
	client, server := n.connect(b)
	defer client.Close()
	defer server.Close()
	client.SetDeadline(time.Time{})
	server.SetDeadline(time.Time{})
	go io.Copy(io.Discard, server)
	block := make([]byte, 64<<10)
	b.SetBytes(int64(len(block)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Write(block); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDatagramRoundTrip(b *testing.B) {
	n := newNamespace(b)
	server, err := n.ListenPacket(anyPort)
	if err != nil {
		b.Fatal(err)
	}
	defer server.Close()
	client, err := n.ListenPacket(anyPort)
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	go func() {
		buf := make([]byte, 2048)
		for {
			k, from, err := server.ReadFrom(buf)
			if err != nil {
				return
			}
			server.WriteTo(buf[:k], from)
		}
	}()
	buf := make([]byte, 2048)
	payload := sha256.Sum256(nil)
	b.ReportAllocs()
	for b.Loop() {
		if err := client.WriteTo(payload[:], server.Local()); err != nil {
			b.Fatal(err)
		}
		if _, _, err := client.ReadFrom(buf); err != nil {
			b.Fatal(err)
		}
	}
}
