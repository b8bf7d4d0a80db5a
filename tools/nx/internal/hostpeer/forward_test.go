package hostpeer

import (
	"net"
	"net/netip"
	"testing"
	"time"
)

// loopback opens sockets at 127.0.0.1, at any port.
type loopback struct{ echo chan net.Addr }

func (l loopback) ListenPacket(port uint16) (net.PacketConn, error) {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err == nil && port == EchoPort {
		l.echo <- conn.LocalAddr()
	}
	return conn, err
}

func (loopback) Listen(uint16) (net.Listener, error) { return net.Listen("tcp4", "127.0.0.1:0") }

// Behind a user network the host asks with a datagram alone, where it is passed
// on, before it answers.
func TestForward(t *testing.T) {
	forward, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer forward.Close()
	sockets := loopback{make(chan net.Addr, 1)}
	peer, err := Start(Config{Sockets: sockets, AskBack: true, Forward: netip.MustParseAddrPort(forward.LocalAddr().String())})
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	guest, err := net.Dial("udp4", (<-sockets.echo).String())
	if err != nil {
		t.Fatal(err)
	}
	defer guest.Close()
	if _, err := guest.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 2048)
	deadline := time.Now().Add(10 * time.Second)
	forward.SetReadDeadline(deadline)
	n, from, err := forward.ReadFrom(buf)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := forward.WriteTo(buf[:n], from); err != nil {
		t.Fatal(err)
	}
	guest.SetReadDeadline(deadline)
	if n, err := guest.Read(buf); err != nil || string(buf[:n]) != "hello" {
		t.Fatalf("%q, %v", buf[:n], err)
	}
	o := peer.Outcomes()
	if len(o) != 1 || o[0].Ask != AskUDP || !o[0].OK {
		t.Errorf("asked %+v", o)
	}
}
