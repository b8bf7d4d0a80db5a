package channel_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	"capnproto.org/go/capnp/v3"
	"golang.org/x/sys/unix"

	"nexus/source/api/netcapnp"
	"nexus/source/libs/channel"
)

const patience = 10 * time.Second

// echo answers send with the same frame and recv with a descriptor.
type echo struct {
	fd      int
	release chan struct{} // attach waits for it
}

func (e *echo) Handle(call *channel.Call) error {
	request := netcapnp.Request(call.Request)
	if request.Which() == netcapnp.Request_Which_arp {
		return nil // and no root
	}
	reply, err := netcapnp.NewRootReply(call.Reply)
	if err != nil {
		return err
	}
	switch request.Which() {
	case netcapnp.Request_Which_send:
		data, err := request.Send()
		if err != nil {
			return err
		}
		return reply.SetFrame(data)
	case netcapnp.Request_Which_attach:
		<-e.release
		reply.SetDone()
		return nil
	case netcapnp.Request_Which_info:
		call.Beside = []int{e.fd}
		reply.SetDone()
		return nil
	case netcapnp.Request_Which_stats: // a reply that does not fit
		return reply.SetFrame(make([]byte, channel.MaxMessage))
	}
	return syscall.ENOSYS
}

func (e *echo) Refuse(segment *capnp.Segment, err error) {
	reply, _ := netcapnp.NewRootReply(segment)
	reply.SetError()
	switch {
	case errors.Is(err, channel.ErrTooLarge):
		reply.Error().SetErrno(uint16(syscall.EMSGSIZE))
	case errors.Is(err, channel.ErrMalformed):
		reply.Error().SetErrno(uint16(syscall.EBADMSG))
	default:
		reply.Error().SetErrno(uint16(syscall.ENOSYS))
	}
}

func serve(t testing.TB, handler channel.Handler) *channel.Conn {
	t.Helper()
	near, far, err := channel.Pair()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- channel.Serve(far, handler) }()
	t.Cleanup(func() {
		near.Close()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return near
}

func request(t testing.TB, fill func(netcapnp.Request)) *capnp.Message {
	t.Helper()
	m, segment := channel.NewMessage()
	r, err := netcapnp.NewRootRequest(segment)
	if err != nil {
		t.Fatal(err)
	}
	fill(r)
	return m
}

func send(t testing.TB, frame []byte) *capnp.Message {
	return request(t, func(r netcapnp.Request) {
		if err := r.SetSend(frame); err != nil {
			t.Fatal(err)
		}
	})
}

func TestCall(t *testing.T) {
	client := channel.NewClient(serve(t, &echo{}))
	for _, size := range []int{0, 1, 1514, 60000} {
		frame := bytes.Repeat([]byte{0xa5}, size)
		reply, err := client.Call(patience, send(t, frame))
		if err != nil {
			t.Fatal(size, err)
		}
		got, err := netcapnp.Reply(reply.Root).Frame()
		if err != nil || !bytes.Equal(got, frame) {
			t.Errorf("size %d: got %d bytes, %v", size, len(got), err)
		}
		reply.Close()
	}
}

func TestRefusals(t *testing.T) {
	client := channel.NewClient(serve(t, &echo{}))
	tests := []struct {
		fill func(netcapnp.Request)
		want syscall.Errno
	}{
		{netcapnp.Request.SetStats, syscall.EMSGSIZE},
		{netcapnp.Request.SetArp, syscall.EBADMSG},
		{netcapnp.Request.SetIfList, syscall.ENOSYS},
	}
	for _, test := range tests {
		reply, err := client.Call(patience, request(t, test.fill))
		if err != nil {
			t.Fatal(err)
		}
		r := netcapnp.Reply(reply.Root)
		if r.Which() != netcapnp.Reply_Which_error || syscall.Errno(r.Error().Errno()) != test.want {
			t.Errorf("got %v %v, want %v", r.Which(), r.Error().Errno(), test.want)
		}
		reply.Close()
	}
}

func TestTooLargeRequest(t *testing.T) {
	client := channel.NewClient(serve(t, &echo{}))
	if _, err := client.Call(patience, send(t, make([]byte, channel.MaxMessage))); !errors.Is(err, channel.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
}

func TestDescriptorBeside(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	client := channel.NewClient(serve(t, &echo{fd: int(w.Fd())}))
	reply, err := client.Call(patience, request(t, netcapnp.Request.SetInfo))
	if err != nil {
		t.Fatal(err)
	}
	if len(reply.Descriptors) != 1 {
		t.Fatalf("got %d descriptors", len(reply.Descriptors))
	}
	got := os.NewFile(uintptr(reply.Take()[0]), "got")
	defer got.Close()
	if _, err := got.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if flags, _ := unix.FcntlInt(got.Fd(), unix.F_GETFD, 0); flags&unix.FD_CLOEXEC == 0 {
		t.Error("a received descriptor would leak into a child")
	}
	b := make([]byte, 1)
	if _, err := io.ReadFull(r, b); err != nil || b[0] != 'x' {
		t.Errorf("got %q %v", b, err)
	}
}

// A reply that comes after its call gave up must not answer the next call.
func TestLateReplyIsDropped(t *testing.T) {
	e := &echo{release: make(chan struct{})}
	client := channel.NewClient(serve(t, e))
	if _, err := client.Call(time.Millisecond, request(t, netcapnp.Request.SetAttach)); !errors.Is(err, channel.ErrTimeout) {
		t.Fatalf("got %v, want a time-out", err)
	}
	close(e.release)
	reply, err := client.Call(patience, send(t, []byte("second")))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := netcapnp.Reply(reply.Root).Frame(); err != nil || string(got) != "second" {
		t.Errorf("got %q %v", got, err)
	}
}

func TestServerGone(t *testing.T) {
	near, far, err := channel.Pair()
	if err != nil {
		t.Fatal(err)
	}
	far.Close()
	client := channel.NewClient(near)
	defer client.Close()
	if _, err := client.Call(patience, send(t, nil)); !errors.Is(err, syscall.EPIPE) && !errors.Is(err, io.EOF) {
		t.Errorf("got %v", err)
	}
}

func TestServeAllEndsWithContext(t *testing.T) {
	a, b, err := channel.Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { channel.ServeAll(ctx, []*channel.Conn{b}, &echo{}); close(done) }()
	cancel()
	<-done
}

func TestOpenTakesOver(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	far, err := channel.Open(os.NewFile(uintptr(fds[1]), "net.nx"))
	if err != nil {
		t.Fatal(err)
	}
	if far.Name() != "net.nx" {
		t.Errorf("name %q", far.Name())
	}
	far.Close()
	if n, err := unix.Read(fds[0], make([]byte, 1)); n != 0 || err != nil {
		t.Errorf("the other end is still open: %d %v", n, err)
	}
	unix.Close(fds[0])
}

func TestOpenRefusesFile(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := channel.Open(f); err == nil {
		t.Error("a plain file was accepted as a channel")
	}
}

// hostile are datagrams that no client of ours sends.
func hostile() [][]byte {
	word := func(v ...uint32) (b []byte) {
		for _, x := range v {
			b = binary.LittleEndian.AppendUint32(b, x)
		}
		return b
	}
	return [][]byte{
		{},
		{0},
		word(0, 0),
		word(0, 1),                         // shorter than it says
		word(0, 1, 0, 0, 0, 0),             // longer
		word(1, 1, 1, 0, 0, 0),             // two segments
		word(0xffffffff, 0xffffffff, 0, 0), // 4 billion segments
		word(0, 1, 0, 0),                   // null root
		word(0, 1, 0xfffffffc, 0xffff),     // root points before itself
		word(0, 1, 0xfffffffd, 0xffffffff), // root is a list
		word(0, 1, 3, 0),                   // root is a capability
		word(0, 2, 0, 0x00010000, 0, 0),    // root's only pointer is null, no data section
		word(0, 2, 0, 0x00010000, 0xfffffffd, 0xfffffff6), // its pointer leads nowhere
		word(0, 1, 0xfffffffc, 0x00010000),                // root contains itself
		make([]byte, channel.MaxMessage+8),
		bytes.Repeat([]byte{0xff}, 4096),
	}
}

func TestHostileClient(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	far, err := channel.FromDescriptor(fds[1], "hostile")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- channel.Serve(far, &echo{}) }()
	before := openDescriptors(t)
	reply := make([]byte, channel.MaxMessage)
	for i, datagram := range hostile() {
		// Every one brings a descriptor along, which must be closed.
		if err := unix.Sendmsg(fds[0], datagram, unix.UnixRights(fds[0]), nil, 0); err != nil {
			t.Fatal(i, err)
		}
		if n, err := unix.Read(fds[0], reply); err != nil || n <= 8 {
			t.Fatalf("datagram %d: reply of %d bytes, %v", i, n, err)
		}
	}
	if after := openDescriptors(t); after > before {
		t.Errorf("%d descriptors leaked", after-before)
	}
	unix.Close(fds[0])
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func openDescriptors(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc:", err)
	}
	return len(entries)
}

func FuzzServe(f *testing.F) {
	for _, seed := range hostile() {
		f.Add(seed)
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		f.Fatal(err)
	}
	far, err := channel.FromDescriptor(fds[1], "fuzz")
	if err != nil {
		f.Fatal(err)
	}
	release := make(chan struct{})
	close(release)
	go channel.Serve(far, &echo{fd: fds[0], release: release})
	reply := make([]byte, channel.MaxMessage)
	f.Fuzz(func(t *testing.T, datagram []byte) {
		if len(datagram) > channel.MaxMessage+100 {
			return
		}
		if err := unix.Send(fds[0], datagram, 0); err != nil {
			t.Fatal(err)
		}
		if n, err := unix.Read(fds[0], reply); err != nil || n <= 8 {
			t.Fatalf("reply of %d bytes, %v", n, err)
		}
	})
}

func BenchmarkCall(b *testing.B) {
	client := channel.NewClient(serve(b, &echo{}))
	frame := make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		reply, err := client.Call(patience, send(b, frame))
		if err != nil {
			b.Fatal(err)
		}
		reply.Close()
	}
}
