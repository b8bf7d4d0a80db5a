package nxnet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/spf13/cobra"

	"nexus/source/api/netapi"
	"nexus/source/api/netcapnp"
	"nexus/source/api/netcli"
	"nexus/source/api/netcli/netclitest"
)

// ran is what a command line did.
type ran struct {
	status    int
	out, errs string
}

// host is a host with guests to dial.
type host struct {
	guest    *netclitest.Guest
	clock    *netclitest.Clock
	patience time.Duration
	dial     func(ctx context.Context, guest string) (netcli.Services, error) // nil: the guest

	dialed []string
}

func newHost(t *testing.T) *host {
	t.Setenv(GuestVariable, "")
	return &host{guest: netclitest.New(t), clock: new(netclitest.Clock), patience: time.Minute}
}

// nx runs `nx net` with args, as nx does.
func (h *host) nx(args ...string) ran {
	var out, errs bytes.Buffer
	root := &cobra.Command{Use: "nx", SilenceUsage: true, SilenceErrors: true}
	root.SetOut(&out)
	root.SetErr(&errs)
	root.AddCommand(New(Config{
		Dial: func(ctx context.Context, guest string) (netcli.Services, error) {
			h.dialed = append(h.dialed, guest)
			if h.dial != nil {
				return h.dial(ctx, guest)
			}
			return h.guest, nil
		},
		Guests: func() []string { return []string{"g1", "g2"} },
		In:     strings.NewReader(""), Out: &out, Err: &errs, Clock: h.clock, Patience: h.patience,
	}))
	root.SetArgs(args)
	err := root.ExecuteContext(context.Background())
	status := netcli.Report(err, netcli.WantsJSON(args), &out, &errs)
	return ran{status, out.String(), errs.String()}
}

// net runs a `nx net` line without quotes in it.
func (h *host) net(line string) ran { return h.nx(append([]string{"net"}, strings.Fields(line)...)...) }

// The host's commands do what the guest's do.
func TestAsInTheGuest(t *testing.T) {
	for _, line := range []string{
		"if", "if -q", "if --json", "addr virt0", "addr virt0 set 10.0.2.16/24 gw 10.0.2.2 --json", "addr eth7", "dhcp virt0", "up lo", "down lo", "arp",
		"ping 127.0.0.1 -c 2 -i 0.5 -W 1 -s 10", "ping --count 1 --json 127.0.0.1", "fetch http://127.0.0.1:8080/hello", "fetch http://none/ --json",
		"stats", "stats --nonzero drop", "recv -c 2 --timeout 1s", "sendraw --hex ffffffffffff02000000000108060001",
	} {
		h := newHost(t)
		var out, errs bytes.Buffer
		env := &netcli.Env{Services: netclitest.New(t), Out: &out, Err: &errs, Clock: new(netclitest.Clock)}
		status := netcli.Main(t.Context(), env, append([]string{"net"}, strings.Fields(line)...))
		if got, want := h.net(line), (ran{status, out.String(), errs.String()}); got != want {
			t.Errorf("nx net %s:\n%+v\nin the guest\n%+v", line, got, want)
		}
	}
}

func TestGuestName(t *testing.T) {
	h := newHost(t)
	h.net("if --guest g2")
	h.net("--guest g3 if")
	t.Setenv(GuestVariable, "g4")
	h.net("if")
	h.net("if --guest g5")
	h.net("stats")
	if want := []string{"g2", "g3", "g4", "g5", "g4"}; !slices.Equal(h.dialed, want) {
		t.Errorf("dialed %q, want %q", h.dialed, want)
	}
}

// What is wrong with finding a guest is the dialer's to say; the status is 2 unless it says another.
func TestDialErrors(t *testing.T) {
	for _, tt := range []struct {
		err    error
		status int
	}{
		{errors.New("no guest runs: nx boot --stay starts one"), 2},
		{errors.New("two guests run, g1 and g2: --guest NAME"), 2},
		{fmt.Errorf("control socket: %w", syscall.ECONNREFUSED), 2},
		{&netcli.Error{Status: 3, Errno: syscall.ETIMEDOUT, Text: "the guest's runner does not answer"}, 3},
	} {
		h := newHost(t)
		h.dial = func(context.Context, string) (netcli.Services, error) { return nil, tt.err }
		for _, line := range []string{"if", "stats", "ping 10.0.2.2", "fetch http://10.0.2.2/", "recv", "sendraw --hex ffffffffffff02000000000108060001"} {
			if got, want := h.net(line), (ran{tt.status, "", "nx: " + tt.err.Error() + "\n"}); got != want {
				t.Errorf("%s: %+v, want %+v", line, got, want)
			}
		}
	}
}

// guestThat is a guest that can say how it ended, and be closed.
type guestThat struct {
	*netclitest.Guest
	ended  error
	closed int
}

func (g *guestThat) Ended(string) error { return g.ended }
func (g *guestThat) Close() error       { g.closed++; return nil }

func TestGuestEnds(t *testing.T) {
	for name, fault := range map[string]netclitest.Fault{"dies": netclitest.Dies, "resets": netclitest.Resets} {
		h := newHost(t)
		h.guest.Faults = map[string]netclitest.Fault{netcli.Netstackd: fault}
		if got, want := h.net("ping 10.0.2.2"), (ran{3, "", "nx: the guest ended during the call: nx ps --all, nx logs NAME\n"}); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
		if got, want := h.net("if --guest g2"), (ran{3, "", "nx: the guest ended during the call: nx ps --all, nx logs g2\n"}); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
		said := &guestThat{Guest: h.guest, ended: &netcli.Error{Status: 3, Errno: syscall.EPIPE, Text: "netstackd ended, the guest runs on"}}
		h.dial = func(context.Context, string) (netcli.Services, error) { return said, nil }
		if got, want := h.net("arp"), (ran{3, "", "nx: netstackd ended, the guest runs on\n"}); got != want || said.closed != 1 {
			t.Errorf("%s: %+v, want %+v; closed %d times", name, got, want, said.closed)
		}
	}
}

// What goes wrong with a capture is told as with the other commands.
func TestCaptureErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "lo.pcapng")
	for name, tt := range map[string]struct {
		set    func(*host)
		status int
		says   string
	}{
		"no such interface": {func(h *host) {}, 3, "netstackd: no such interface: there are lo and virt0: nx net if lists them"},
		"it dies": {func(h *host) { h.guest.Faults = map[string]netclitest.Fault{netcli.Netstackd: netclitest.Dies} }, 3,
			"the guest ended during the call: nx ps --all, nx logs NAME"},
		"it babbles": {func(h *host) { h.guest.Faults = map[string]netclitest.Fault{netcli.Netstackd: netclitest.Babbles} }, 3,
			"nx and the guest are not of one build: make build, and boot again"},
		"no netstackd": {func(h *host) { h.guest.Missing = map[string]bool{netcli.Netstackd: true} }, 2, "netstackd cannot be opened: no such service"},
		"no guest": {func(h *host) {
			h.dial = func(context.Context, string) (netcli.Services, error) { return nil, errors.New("no guest runs") }
		}, 2, "no guest runs"},
	} {
		h := newHost(t)
		tt.set(h)
		if got := h.net("capture -i eth7 -w " + file); got.status != tt.status || got.out != "" || !strings.Contains(got.errs, tt.says) {
			t.Errorf("%s: %+v, want %d, %q", name, got, tt.status, tt.says)
		}
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is a file: %v", err)
	}
}

func TestSlowGuest(t *testing.T) {
	h := newHost(t)
	h.patience = time.Millisecond
	h.guest.Faults = map[string]netclitest.Fault{netcli.Netstackd: netclitest.Silent}
	got := h.net("arp --json")
	var doc struct {
		Error struct{ Errno, Status int }
	}
	if err := json.Unmarshal([]byte(got.out), &doc); err != nil || doc.Error.Errno != int(syscall.ETIMEDOUT) || doc.Error.Status != 3 || got.status != 3 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestCompletion(t *testing.T) {
	tests := []struct {
		args []string
		want string
	}{
		{[]string{"net", "addr", ""}, "lo\nvirt0\n:4\n"},
		{[]string{"net", "down", "v"}, "lo\nvirt0\n:4\n"}, // the shell picks
		{[]string{"net", "dhcp", "virt0", ""}, ":4\n"},
		{[]string{"net", "addr", "virt0", ""}, "set\n:4\n"},
		{[]string{"net", "addr", "virt0", "set", "10.0.2.16/24", ""}, "gw\n:4\n"},
		{[]string{"net", "if", "--guest", ""}, "g1\ng2\n:4\n"},
		{[]string{"net", "sendraw", "--file", ""}, "pcap\npcapng\n:8\n"},
	}
	for _, tt := range tests {
		got := newHost(t).nx(append([]string{"__complete"}, tt.args...)...)
		if got.status != 0 || got.out != tt.want {
			t.Errorf("%q: %+v, want %q", tt.args, got, tt.want)
		}
	}
	got := newHost(t).nx("__complete", "net", "")
	for _, c := range netcli.Commands() {
		if !strings.Contains(got.out, c.Name+"\t"+c.Short+"\n") {
			t.Errorf("%s is not completed: %s", c.Name, got.out)
		}
	}
}

func TestHelp(t *testing.T) {
	for _, c := range netcli.Commands() {
		got := newHost(t).net(c.Name + " --help")
		for _, part := range []string{c.Long, c.Synopsis(), "Examples:", "Exit status:", "--guest", "--json"} {
			if !strings.Contains(got.out, part) {
				t.Errorf("%s --help does not have %q:\n%s", c.Name, part, got.out)
			}
		}
	}
	if got := newHost(t).net("ping --help"); !strings.Contains(got.out, "-c, --count N ") || !strings.Contains(got.out, "-W, --timeout DURATION ") {
		t.Errorf("flags:\n%s", got.out)
	}
}

// frame is a frame of n bytes.
func frame(n int) []byte {
	f := bytes.Repeat([]byte{0x5a}, n)
	copy(f, "\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02\x88\xb5")
	return f
}

// pcap and pcapng are captures of frames, as our writer makes them.
func pcap(t testing.TB, link layers.LinkType, frames ...[]byte) []byte {
	t.Helper()
	var file bytes.Buffer
	w := pcapgo.NewWriter(&file)
	err := w.WriteFileHeader(snapLength, link)
	for _, f := range frames {
		err = errors.Join(err, w.WritePacket(gopacket.CaptureInfo{CaptureLength: len(f), Length: len(f)}, f))
	}
	if err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func pcapngFile(t testing.TB, link layers.LinkType, frames ...[]byte) []byte {
	t.Helper()
	var file bytes.Buffer
	w, err := pcapgo.NewNgWriter(&file, link)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range frames {
		err = errors.Join(err, w.WritePacket(gopacket.CaptureInfo{Timestamp: time.Unix(0, 0), CaptureLength: len(f), Length: len(f)}, f))
	}
	if err := errors.Join(err, w.Flush()); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func write(t testing.TB, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "frames")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSendFile(t *testing.T) {
	frames := [][]byte{frame(14), frame(1514), frame(60)}
	for name, data := range map[string][]byte{"pcap": pcap(t, layers.LinkTypeEthernet, frames...), "pcapng": pcapngFile(t, layers.LinkTypeEthernet, frames...)} {
		h := newHost(t)
		got := h.nx("net", "sendraw", "--file", write(t, data))
		if got != (ran{0, "sent 3 frames, 1588 bytes\n", ""}) || !reflect.DeepEqual(h.guest.Sent(), frames) {
			t.Errorf("%s: %+v, %d frames", name, got, len(h.guest.Sent()))
		}
		if got := h.nx("net", "sendraw", "--json", "--file", write(t, data)); !strings.Contains(got.out, `"frames": 3`) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// A long file says how far it is; a refusal in its midst, how far it came.
func TestSendFileProgress(t *testing.T) {
	frames := make([][]byte, 5)
	for i := range frames {
		frames[i] = frame(60)
	}
	path := write(t, pcap(t, layers.LinkTypeEthernet, frames...))
	h := newHost(t)
	h.guest.Refuse = func(string, netcapnp.Request) error {
		h.clock.Pass(600 * time.Millisecond)
		return nil
	}
	if got, want := h.nx("net", "sendraw", "--file", path), (ran{0, "sent 5 frames, 300 bytes\n", "nx: 2 of 5 frames sent\nnx: 4 of 5 frames sent\n"}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	h = newHost(t)
	h.guest.Refuse = func(string, netcapnp.Request) error {
		if len(h.guest.Sent()) == 2 {
			return netapi.Refused(syscall.ENETDOWN, "send: the device is being reset: try again in a second")
		}
		return nil
	}
	want := ran{3, "", "nx: 2 of 5 frames were sent\nnx: virtionetd: send: the device is being reset: try again in a second\n"}
	if got := h.nx("net", "sendraw", "--file", path); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// A file that cannot be sent as a whole is not sent at all.
func TestBadFiles(t *testing.T) {
	whole := pcap(t, layers.LinkTypeEthernet, frame(60), frame(60))
	cut := slices.Clone(whole)
	cut[24+12] = 0xff // the first record's original length
	const ethernet = layers.LinkTypeEthernet
	tests := []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "the file is empty"},
		{"two bytes", []byte("ab"), "not a capture of Ethernet frames: it is too short"},
		{"text", []byte("no capture at all, just words"), "not a capture of Ethernet frames: Unknown magic"},
		{"head only", whole[:24], "not a capture of Ethernet frames: it has no frames"},
		{"ends early", whole[:len(whole)-1], "not a capture of Ethernet frames: frame 2: unexpected EOF"},
		{"raw IP", pcap(t, layers.LinkTypeRaw, frame(60)), "not a capture of Ethernet frames: link type Raw"},
		{"raw IP, pcapng", pcapngFile(t, layers.LinkTypeRaw, frame(60)), "not a capture of Ethernet frames: link type Raw"},
		{"cut", cut, "frame 1 was cut to 60 of 255 bytes when it was captured"},
		{"short frame", pcap(t, ethernet, frame(60), frame(60)[:13]), "frame 2: the frame has 13 bytes"},
		{"long frame", pcap(t, ethernet, frame(1515)), "frame 1: the frame has 1515 bytes: the link takes at most 1514"},
	}
	for _, tt := range tests {
		h := newHost(t)
		got := h.nx("net", "sendraw", "--file", write(t, tt.data))
		if got.status != 2 || !strings.Contains(got.errs, tt.want) || !strings.HasSuffix(got.errs, "(tcpdump -w FILE)\n") || len(h.dialed) > 0 {
			t.Errorf("%s: %+v, want %q; dialed %d times", tt.name, got, tt.want, len(h.dialed))
		}
	}
	if _, err := readFrames(bytes.NewReader(pcap(t, ethernet, slices.Repeat([][]byte{frame(14)}, MaxFrames+1)...))); !errors.Is(err, ErrCapture) {
		t.Errorf("too many frames: %v", err)
	}
}

func FuzzReadFrames(f *testing.F) {
	f.Add(pcap(f, layers.LinkTypeEthernet, frame(60), frame(14)))
	f.Add(pcapngFile(f, layers.LinkTypeEthernet, frame(60), frame(14)))
	f.Add(pcapngFile(f, layers.LinkTypeRaw, frame(60)))
	f.Fuzz(func(t *testing.T, data []byte) {
		frames, err := readFrames(bytes.NewReader(data))
		if (err == nil) == (len(frames) == 0) {
			t.Errorf("%d frames, %v", len(frames), err)
		}
		for _, one := range frames {
			if netcli.CheckFrame(one) != nil {
				t.Errorf("a frame of %d bytes", len(one))
			}
		}
	})
}

func TestRecvToFile(t *testing.T) {
	h := newHost(t)
	h.guest.Frames = [][]byte{frame(60), frame(1514)}
	h.clock.Pass(1500 * time.Millisecond)
	path := filepath.Join(t.TempDir(), "got.pcap")
	if got := h.nx("net", "recv", "-c", "2", "--write", path); got.status != 0 || !strings.Contains(got.out, "length 1514") {
		t.Errorf("%+v", got)
	}
	frames, err := readFile(path)
	if err != nil || !reflect.DeepEqual(frames, [][]byte{frame(60), frame(1514)}) {
		t.Errorf("%d frames, %v", len(frames), err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := pcapgo.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if _, info, err := r.ReadPacketData(); err != nil || !info.Timestamp.Equal(time.Unix(1, 5e8)) {
		t.Errorf("at %v, %v", info.Timestamp, err)
	}
	h = newHost(t)
	h.guest.Frames = [][]byte{frame(60)}
	if got := h.nx("net", "recv", "--write", "/dev/full"); got.status != 2 || !strings.Contains(got.errs, "no space left on device: is the disk full?") {
		t.Errorf("a full disk: %+v", got)
	}
}
