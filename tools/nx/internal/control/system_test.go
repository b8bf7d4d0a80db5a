package control_test

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"nexus/source/api/fetchapi"
	"nexus/source/api/netapi"
	"nexus/source/api/netcapnp"
	"nexus/source/api/refusal"
	"nexus/source/libs/channel"
	"nexus/source/libs/frameq"
	"nexus/source/libs/virtio/dma"
	"nexus/source/libs/virtio/fake"
	"nexus/source/libs/virtio/slot"
	"nexus/source/services/controld/gateway"
	"nexus/source/services/controld/streamtest"
	"nexus/source/services/fetchd/fetch"
	"nexus/source/services/netstackd/capture"
	netstackd "nexus/source/services/netstackd/control"
	"nexus/source/services/netstackd/netstack"
	"nexus/source/services/virtionetd/driver"
	"nexus/tools/nx/internal/control"
)

const patience = 30 * time.Second

// system is the guest's half in this process: the gateway, netstackd's stack and control server, virtionetd's driver on a
// fake card, fetchd's sessions. Of netstackd there are 3 channels, of the others 1.
type system struct {
	t       *testing.T
	stream  *streamtest.Stream
	gateway *gateway.Gateway
	nic     *fake.NIC
	path    string
	stopped chan struct{} // closed when the host asks for the end
	stop    []func()      // in the order in which they are to be called
}

func newSystem(t *testing.T) *system {
	t.Helper()
	s := &system{t: t, stream: streamtest.New(), path: filepath.Join(t.TempDir(), "control.sock"), stopped: make(chan struct{})}
	config := gateway.Config{Stream: s.stream, Mark: func(line string) { t.Log(line) }, Stop: func() error { close(s.stopped); return nil }}
	add := func(service string, n int, run func(ctx context.Context, far []*channel.Conn)) {
		p := gateway.Pool{Service: service}
		var far []*channel.Conn
		for range n {
			a, b, err := channel.Pair()
			if err != nil {
				t.Fatal(err)
			}
			p.Channels, far = append(p.Channels, a), append(far, b)
		}
		config.Pools = append(config.Pools, p)
		s.background(func(ctx context.Context) { run(ctx, far) })
	}
	add("netstackd", 3, s.netstackd)
	add("fetchd", 1, s.fetchd)
	add("virtionetd", 1, s.newCard())
	var err error
	if s.gateway, err = gateway.New(config); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.gateway.Run(context.Background()) }()
	s.stop = append([]func(){func() {
		s.stream.Close()
		if err := <-ended; err != nil {
			t.Errorf("gateway: %v", err)
		}
	}}, s.stop...)
	t.Cleanup(func() {
		for _, stop := range s.stop {
			stop()
		}
	})
	return s
}

// background runs a service until the system ends.
func (s *system) background(run func(ctx context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { run(ctx); close(done) }()
	s.stop = append(s.stop, func() { cancel(); <-done })
}

// network is a stack as netstackd's control server wants it.
type network struct{ *netstack.Stack }

func (network) SetStatic(string, netapi.Address) error { return syscall.EOPNOTSUPP }

func (network) DHCP(context.Context, string) (netapi.Address, error) {
	return netapi.Address{}, os.ErrDeadlineExceeded
}

func (s *system) netstackd(ctx context.Context, far []*channel.Conn) {
	stack, err := netstack.New(netstack.Config{})
	if err != nil {
		s.t.Error(err)
		return
	}
	defer stack.Close()
	lo := netapi.Address{Prefix: netip.MustParsePrefix("127.0.0.1/8"), Origin: netcapnp.Origin_loopback}
	if err := stack.SetAddress(netstack.Loopback, lo); err != nil {
		s.t.Error(err)
	}
	if err := stack.SetUp(netstack.Loopback, true); err != nil {
		s.t.Error(err)
	}
	netstackd.New(ctx, network{stack}, capture.New(time.Now)).Serve(far)
}

// large is a body of several pieces.
var large = strings.Repeat("0123456789abcdef", 10000)

type files map[string]string

func (f files) Read(path string, offset uint64, count int, _ time.Duration) ([]byte, uint64, error) {
	text, found := f[path]
	if !found {
		return nil, 0, refusal.New(syscall.ENOENT, "no such package file")
	}
	rest := text[min(offset, uint64(len(text))):]
	return []byte(rest[:min(len(rest), count)]), uint64(len(text)), nil
}

func (s *system) fetchd(ctx context.Context, far []*channel.Conn) {
	session := &fetch.Session{Fetcher: fetch.New(files{"fixtures/large": large})}
	defer session.Close()
	channel.ServeAll(ctx, far, fetchapi.Handler{Fetches: session})
}

// line is the interrupt line of the fake card.
type line struct {
	nic    *fake.NIC
	fired  chan struct{}
	closed chan struct{}
}

func (l *line) raise() {
	select {
	case l.fired <- struct{}{}:
	default:
	}
}

func (l *line) Arm() error {
	if l.nic.InterruptStatus() != 0 {
		l.raise()
	}
	return nil
}

func (l *line) Wait() error {
	select {
	case <-l.fired:
		return nil
	case <-l.closed:
		return os.ErrClosed
	}
}

func (l *line) Close() error { close(l.closed); return nil }

// newCard makes a fake card and returns what drives it.
func (s *system) newCard() func(context.Context, []*channel.Conn) {
	rings, err := fake.NewMemory(0x9000_0000, 64<<10)
	if err != nil {
		s.t.Fatal(err)
	}
	frames, err := fake.NewMemory(dma.Addr(0x9100_0000), frameq.PoolSize)
	if err != nil {
		s.t.Fatal(err)
	}
	s.nic = fake.NewNIC([6]byte{2, 0, 0, 0, 0, 1}, rings, frames)
	l := &line{nic: s.nic, fired: make(chan struct{}, 1), closed: make(chan struct{})}
	s.nic.OnInterrupt = l.raise
	return func(ctx context.Context, far []*channel.Conn) {
		defer rings.Close()
		defer frames.Close()
		config := driver.Config{
			Slot:  slot.Slot{Window: s.nic, Interrupt: l},
			Rings: rings.Region(), Frames: frames.Region(), FramesFile: frames.File(),
			Mark: func(string) {},
		}
		for _, conn := range far {
			config.Clients = append(config.Clients, driver.Client{Conn: conn})
		}
		d, err := driver.Open(config)
		if err != nil {
			s.t.Error(err)
			return
		}
		if err := d.Run(ctx); err != nil {
			s.t.Error(err)
		}
	}
}

// counter gives one of the gateway's counters.
func (s *system) counter(name string) uint64 {
	s.t.Helper()
	for _, c := range s.gateway.Stats() {
		if c.Name == name {
			return c.Value
		}
	}
	s.t.Fatalf("no counter %s", name)
	return 0
}

// runner is the host's half: a mux on the port, which dials.
type runner struct {
	*control.Services
	mux *control.Mux
	end func() // takes the host away
}

func (s *system) run() *runner {
	s.t.Helper()
	mux, err := control.Listen(s.path, s.stream.Connect())
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- mux.Serve(ctx) }()
	var once sync.Once
	r := &runner{mux: mux, Services: control.Dial(context.Background(), s.path), end: func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				s.t.Errorf("mux: %v", err)
			}
		})
	}}
	s.stop = append([]func(){r.end}, s.stop...)
	return r
}

// patiently opens a channel, which takes a moment where the one before is only just going.
func (r *runner) patiently(service string) (*channel.Conn, error) {
	for deadline := time.Now().Add(patience); ; {
		conn, err := r.Open(service)
		if !errors.Is(err, syscall.EAGAIN) || time.Now().After(deadline) {
			return conn, err
		}
	}
}

func (s *system) open(r *runner, service string) *channel.Conn {
	s.t.Helper()
	conn, err := r.patiently(service)
	if err != nil {
		s.t.Fatalf("open %s: %v", service, err)
	}
	return conn
}

func (s *system) net(r *runner, service string) *netapi.Client {
	s.t.Helper()
	client := netapi.NewClient(s.open(r, service))
	client.Timeout = patience
	return client
}
