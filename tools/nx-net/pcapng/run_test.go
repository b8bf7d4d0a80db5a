package pcapng

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"nexus/source/api/netapi"
)

// guest is a Source that gives batches, one a read, and then what after says.
type guest struct {
	batches [][]netapi.Packet
	after   func(timeout time.Duration) error // nil: nothing more passes

	mu     sync.Mutex
	opened []any // name and snap of CaptureOpen
	closed []uint64
	ended  chan struct{} // closed by Close
}

func newGuest(batches ...[]netapi.Packet) *guest {
	return &guest{batches: batches, ended: make(chan struct{})}
}

func (g *guest) CaptureOpen(name string, snap int) (uint64, error) {
	g.opened = []any{name, snap}
	return 7, nil
}

func (g *guest) CaptureRead(_ uint64, timeout time.Duration) ([]netapi.Packet, uint64, error) {
	if len(g.batches) > 0 {
		batch := g.batches[0]
		g.batches = g.batches[1:]
		return batch, 3, nil
	}
	if g.after != nil {
		return nil, 0, g.after(timeout)
	}
	time.Sleep(timeout)
	return nil, 0, netapi.Refused(syscall.ETIMEDOUT, "")
}

func (g *guest) CaptureClose(handle uint64) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = append(g.closed, handle)
	return nil
}

func (g *guest) Close() error { close(g.ended); return nil }

var start = time.Unix(1700000000, 123456789)

// datagram is an IPv4 packet with 4 bytes in UDP, port number n, behind an Ethernet header on virt0.
func datagram(name string, n int, outgoing bool) netapi.Packet {
	data := []byte{0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 2, 2, 10, 0, 2, 15, 0, 0, 0, 7, 0, 12, 0, 0, 'n', 'e', 'x', 't'}
	binary.BigEndian.PutUint16(data[20:], uint16(n))
	if name != loopback {
		data = append([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0}, data...)
	}
	return netapi.Packet{Interface: name, Outgoing: outgoing, Time: start.Add(time.Duration(n)), Length: len(data), Data: data}
}

// read reads a whole pcapng file; it must end between two blocks.
func read(t *testing.T, data []byte) (packets []netapi.Packet, types []layers.LinkType) {
	t.Helper()
	r, err := pcapgo.NewNgReader(bytes.NewReader(data), pcapgo.NgReaderOptions{WantMixedLinkType: true})
	if err != nil {
		t.Fatal(err)
	}
	for {
		data, info, options, err := r.ReadPacketDataWithOptions()
		if errors.Is(err, io.EOF) {
			for i := range r.NInterfaces() {
				one, err := r.Interface(i)
				if err != nil {
					t.Fatal(err)
				}
				types = append(types, one.LinkType)
			}
			return packets, types
		}
		if err != nil {
			t.Fatal(err)
		}
		from, err := r.Interface(info.InterfaceIndex)
		if err != nil || options.Flags == nil {
			t.Fatal("no interface or no direction", err)
		}
		packets = append(packets, netapi.Packet{
			Interface: from.Name, Outgoing: options.Flags.Direction == pcapgo.NgEpbFlagDirectionOutbound,
			Time: info.Timestamp, Length: info.Length, Data: slices.Clone(data),
		})
	}
}

func same(a, b netapi.Packet) bool {
	return a.Interface == b.Interface && a.Outgoing == b.Outgoing && a.Time.Equal(b.Time) && a.Length == b.Length && bytes.Equal(a.Data, b.Data)
}

// TestFile: what is written is what was captured, over both kinds of link.
func TestFile(t *testing.T) {
	cut := datagram("virt0", 3, false)
	cut.Data = cut.Data[:17]
	want := []netapi.Packet{datagram("virt0", 1, false), datagram("lo", 2, true), cut, datagram("virt0", 4, true)}
	g := newGuest(want[:2], want[2:])
	var out bytes.Buffer
	stats, err := Run(context.Background(), g, Options{Count: 4, Snap: 17}, &out)
	if err != nil || stats != (Stats{4, 3}) || !slices.Equal(g.closed, []uint64{7}) || !slices.Equal(g.opened, []any{"", 17}) {
		t.Fatalf("%+v, opened %v, closed %v, %v", stats, g.opened, g.closed, err)
	}
	got, types := read(t, out.Bytes())
	if !slices.EqualFunc(got, want, same) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if !slices.Equal(types, []layers.LinkType{layers.LinkTypeEthernet, layers.LinkTypeRaw}) {
		t.Errorf("link types %v", types)
	}
}

// TestTcpdump: tcpdump reads a capture of either interface, nanoseconds and all.
func TestTcpdump(t *testing.T) {
	tcpdump, err := exec.LookPath("tcpdump")
	if err != nil {
		t.Fatal("tcpdump is needed: scripts/setup.sh installs it")
	}
	for _, name := range []string{"virt0", "lo"} {
		g := newGuest([]netapi.Packet{datagram(name, 1, false), datagram(name, 2, true)})
		var out, text, problems bytes.Buffer
		if _, err := Run(context.Background(), g, Options{Interface: name, Count: 2}, &out); err != nil {
			t.Fatal(err)
		}
		command := exec.Command(tcpdump, "-nn", "-tt", "--nano", "-r", "-")
		command.Stdin, command.Stdout, command.Stderr = &out, &text, &problems
		if err := command.Run(); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, problems.String())
		}
		lines := strings.Split(strings.TrimSpace(text.String()), "\n")
		want := []string{"1700000000.123456790 IP 10.0.2.2.1 > 10.0.2.15.7: UDP, length 4", "1700000000.123456791 IP 10.0.2.2.2 > 10.0.2.15.7: UDP, length 4"}
		for i, line := range lines {
			// tcpdump 4.99 says the direction where it knows it.
			lines[i] = strings.NewReplacer(" In ", " ", " Out ", " ").Replace(line)
		}
		if !slices.Equal(lines, want) {
			t.Errorf("%s: tcpdump says\n%s", name, text.String())
		}
	}
}

// TestLive: a packet can be read as soon as it was captured, and the head before any was.
func TestLive(t *testing.T) {
	ours, theirs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	g := newGuest()
	more := make(chan netapi.Packet)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	g.after = func(time.Duration) error {
		select {
		case p := <-more:
			g.batches = [][]netapi.Packet{{p}}
		case <-ctx.Done():
		}
		return netapi.Refused(syscall.ETIMEDOUT, "")
	}
	done := make(chan error, 1)
	go func() {
		_, err := Run(ctx, g, Options{}, theirs)
		theirs.Close()
		done <- err
	}()
	r, err := pcapgo.NewNgReader(ours, pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		want := datagram("virt0", n, false)
		more <- want
		if data, _, err := r.ReadPacketData(); err != nil || !bytes.Equal(data, want.Data) {
			t.Fatalf("packet %d: %x %v", n, data, err)
		}
	}
	cancel()
	if _, _, err := r.ReadPacketData(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
	if err := <-done; err != nil || len(g.closed) != 1 {
		t.Errorf("%v, closed %v", err, g.closed)
	}
}

// TestEnds: when and how a capture ends; the file is whole each time.
func TestEnds(t *testing.T) {
	batch := func() []netapi.Packet {
		return []netapi.Packet{datagram("virt0", 1, false), datagram("virt0", 2, true), datagram("virt0", 3, true)}
	}
	for _, test := range []struct {
		name    string
		options Options
		after   func(time.Duration) error
		cancel  time.Duration
		packets uint64
		took    time.Duration
		want    error
	}{
		{"count", Options{Count: 2}, nil, 0, 2, 0, nil},
		{"count over batches", Options{Count: 5}, nil, 0, 5, 0, nil},
		{"duration", Options{Duration: time.Second}, nil, 0, 6, time.Second, nil},
		{"cancelled", Options{}, nil, 2 * time.Second, 6, 2 * time.Second, nil},
		{"guest dies", Options{}, func(time.Duration) error { return io.EOF }, 0, 6, 0, ErrGuest},
		{"forgotten", Options{}, func(time.Duration) error { return netapi.Refused(syscall.EBADF, "forgotten") }, 0, 6, 0, syscall.EBADF},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGuest(batch(), batch())
				g.after = test.after
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				if test.cancel > 0 {
					time.AfterFunc(test.cancel, cancel)
				}
				begin := time.Now()
				var out bytes.Buffer
				stats, err := Run(ctx, g, test.options, &out)
				took := time.Since(begin)
				if !errors.Is(err, test.want) || stats.Packets != test.packets || took < test.took || took > test.took+wait {
					t.Errorf("%+v after %v, %v", stats, took, err)
				}
				if got, _ := read(t, out.Bytes()); uint64(len(got)) != test.packets {
					t.Errorf("%d packets in the file", len(got))
				}
				if !slices.Equal(g.closed, []uint64{7}) {
					t.Errorf("closed %v", g.closed)
				}
			})
		})
	}
}

// TestBrokenPipe: when the reader goes, the capture ends and that is no error, whether packets pass or not.
func TestBrokenPipe(t *testing.T) {
	for name, batches := range map[string][][]netapi.Packet{"packets": {{datagram("virt0", 1, false)}}, "silence": nil} {
		ours, theirs, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		g := newGuest(batches...)
		_, err = Run(context.Background(), g, Options{Started: func() { ours.Close() }}, theirs)
		if err != nil || len(g.closed) != 1 {
			t.Errorf("%s: closed %v, %v", name, g.closed, err)
		}
		theirs.Close()
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

func TestWriteFails(t *testing.T) {
	g := newGuest()
	if _, err := Run(context.Background(), g, Options{}, failing{}); !errors.Is(err, syscall.ENOSPC) || errors.Is(err, ErrGuest) || len(g.closed) != 1 {
		t.Errorf("closed %v, %v", g.closed, err)
	}
}

// TestManyInterfaces: a guest that makes names up is an error.
func TestManyInterfaces(t *testing.T) {
	var packets []netapi.Packet
	for i := range maxInterfaces + 1 {
		packets = append(packets, datagram("eth"+strings.Repeat("0", i), i, false))
	}
	var out bytes.Buffer
	if _, err := Run(context.Background(), newGuest(packets), Options{}, &out); !errors.Is(err, ErrGuest) {
		t.Error(err)
	}
	if got, _ := read(t, out.Bytes()); len(got) != maxInterfaces-1 { // virt0 has a block too
		t.Errorf("%d packets in the file", len(got))
	}
}

// stuck is a pipe that nobody empties, until it is closed.
type stuck struct{ closed chan struct{} }

func (s stuck) Write([]byte) (int, error) { <-s.closed; return 0, io.ErrClosedPipe }

// TestNothingAnswers: neither a reader that does not read nor a guest that does not answer keeps a capture that is to end.
func TestNothingAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := stuck{make(chan struct{})}
		begin := time.Now()
		_, err := Run(context.Background(), newGuest(), Options{Duration: time.Second}, out)
		if took := time.Since(begin); !errors.Is(err, ErrStuck) || took != time.Second+grace {
			t.Errorf("reader: after %v, %v", took, err)
		}
		close(out.closed)
		g := newGuest()
		g.after = func(time.Duration) error { <-g.ended; return os.ErrClosed }
		begin = time.Now()
		_, err = Run(context.Background(), g, Options{Duration: time.Second}, io.Discard)
		if took := time.Since(begin); err != nil || took != time.Second+grace {
			t.Errorf("guest: after %v, %v", took, err)
		}
	})
}
