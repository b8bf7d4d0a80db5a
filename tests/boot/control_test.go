package boot

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gopacket/gopacket/pcapgo"

	"nexus/source/api/netapi"
	"nexus/source/libs/channel"
)

// detached boots a guest that stays until the test's end.
func detached(t *testing.T, name string, args ...string) guest {
	t.Helper()
	status, out := script(t, exec.Command(nx, append([]string{"boot", "--detach", "--name", name}, args...)...))
	if status != 0 {
		t.Fatalf("%s: status %d:\n%s", name, status, out)
	}
	t.Cleanup(func() { _ = exec.Command(nx, "stop", name).Run() }) // it may have ended: that is for the test to say
	return is(t, name, "standing")
}

// answer is what an nx said.
type answer struct {
	status    int
	out, errs string
}

// crowded is how the guest refuses one client too many.
const crowded = " are in use: close another nx\n"

// operate runs a line of nx without quotes in it, again while clients that have just ended still count.
func operate(t *testing.T, line string) answer {
	t.Helper()
	for deadline := time.Now().Add(bound); ; {
		a := once(t, line)
		if a.status != 3 || !strings.HasSuffix(a.errs, crowded) || time.Now().After(deadline) {
			return a
		}
	}
}

// once runs a line of nx. One that does not end by itself is killed, which is status -1.
func once(t *testing.T, line string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, nx, strings.Fields(line)...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Error(err)
		return answer{status: -1}
	}
	return answer{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// matches fails the test unless the answer has the status and its output, both streams of it, matches the pattern as a whole.
func (a answer) matches(t *testing.T, line string, status int, pattern string) {
	t.Helper()
	if !regexp.MustCompile(`^(?s:`+pattern+`)$`).MatchString(a.out+a.errs) || a.status != status {
		t.Errorf("nx %s: status %d, want %d, and\n%s\ngot\n%s%s", line, a.status, status, pattern, a.out, a.errs)
	}
}

// whoHas is an ARP request for the host, which answers it.
const whoHas = "--hex ffffffffffff:020000000001:0806:0001:0800:06:04:0001:020000000001:0a00020f:000000000000:0a000202"

// pinged is what ping prints of n echoes that all came back.
func pinged(address string, n int) string {
	return "PING " + address + ` \(` + address + `\) 56\(84\) bytes of data\.
(64 bytes from ` + address + `: icmp_seq=\d+ ttl=64 time=[0-9.]+ ms
){` + strconv.Itoa(n) + `}
--- ` + address + ` ping statistics ---
` + strconv.Itoa(n) + ` packets transmitted, ` + strconv.Itoa(n) + ` received, 0% packet loss, time \d+ms
rtt min/avg/max/mdev = [0-9./]+ ms
`
}

// commands are each command of nx net, in an order in which they can be run, and what it prints.
var commands = []struct {
	line   string
	status int
	out    string // a pattern of all
}{
	{"net if", 0, `NAME   STATE  MAC                MTU    ADDRESS       ORIGIN
lo     up     -                  65536  127\.0\.0\.1/8   loopback
virt0  up     02:00:00:00:00:01  1500   10\.0\.2\.15/24  dhcp
nx: net if n=2
`},
	{"net if -q", 0, "nx: net if n=2\n"},
	{"net addr virt0", 0, "virt0 10.0.2.15/24 gw 10.0.2.2 dns 10.0.2.3 dhcp lease 86400s\n"},
	{"net addr virt0 set 10.0.2.16/24 gw 10.0.2.2", 0, "virt0 10.0.2.16/24 gw 10.0.2.2 static\n"},
	{"net addr virt0", 0, "virt0 10.0.2.16/24 gw 10.0.2.2 static\n"},
	{"net dhcp virt0", 0, "virt0 10.0.2.15/24 gw 10.0.2.2 dns 10.0.2.3 dhcp lease 86400s\n"},
	{"net addr eth7", 3, "nx: netstackd: no such interface: there are lo and virt0: nx net if lists them\n"},
	{"net down virt0", 0, "virt0 down\n"},
	{"net ping 10.0.2.2 -c 1", 3, "nx: netstackd: ping: network is unreachable: no way leads there: .*nx net addr virt0\n"},
	{"net up virt0", 0, "virt0 up\n"},
	{"net ping 127.0.0.1 -c 2", 0, pinged("127.0.0.1", 2)},
	{"net ping 10.0.2.2 -c 3 -i 0.05", 0, pinged("10.0.2.2", 3)},
	{"net ping 10.0.2.99 -c 1 -W 0.1", 1, `PING 10.0.2.99 .*
icmp_seq=1 Destination Host Unreachable

--- 10.0.2.99 ping statistics ---
1 packets transmitted, 0 received, \+1 errors, 100% packet loss, time \d+ms
`},
	{"net arp", 0, `ADDRESS    MAC                INTERFACE  STATE
10\.0\.2\.2   02:00:00:00:00:02  virt0      (reachable|delay|probe|stale)
10\.0\.2\.99  -                  virt0      (incomplete|unreachable)
`},
	{"net fetch http://127.0.0.1:8080/hello", 0, "hello from echod\nnx: net fetch bytes=17\n"},
	{"net fetch pkg://fixtures/hello.txt", 0, "Hello from a Nexus package.\nnx: net fetch bytes=28\n"},
	{"net fetch http://10.0.2.2:8080/hello", 0, "hello from the host\nnx: net fetch bytes=20\n"},
	{"net fetch http://127.0.0.1:8081/", 3, "nx: fetchd: .*connection refused.*\n"},
	{"net fetch pkg://fixtures/none", 3, "nx: fetchd: .*\n"},
	{"net stats", 0, `netstackd\n.*virtionetd\n.*nic\.rx\.frames +[1-9]\d*\n.*controld\n.*control\.hosts +1\n.*`},
	{"net stats nic.?x.frames --nonzero", 0, `virtionetd\n  nic\.rx\.frames +[1-9]\d*\n  nic\.tx\.frames +[1-9]\d*\n`},
	{"net sendraw " + whoHas, 0,
		"sent 42 bytes: 02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff, ethertype ARP .*: Request who-has 10.0.2.2 tell 10.0.2.15\n"},
	{"net recv --timeout 0.05", 1, "nx: 0 of 1 frames came: nx net stats nic shows whether the card receives\n"},
	{"net capture -n 1 --json", 2, `\{.*"text": "capture: .*give -w FILE".*\}\n`},
}

// documents are the commands whose answer is a document, and some of its fields, down to the deepest.
var documents = []struct{ line, fields string }{
	{"net if", "interfaces.1.name interfaces.1.up interfaces.1.mac interfaces.1.mtu interfaces.1.address.address interfaces.1.address.gateway " +
		"interfaces.1.address.dns.0 interfaces.1.address.origin interfaces.1.address.leaseSeconds"},
	{"net addr virt0", "name address.address address.origin"},
	{"net addr virt0 set 10.0.2.15/24 gw 10.0.2.2", "name address.gateway"},
	{"net dhcp virt0", "name address.leaseSeconds"},
	{"net up virt0", "name up"},
	{"net ping 10.0.2.2 -c 1", "address size transmitted received errors lossPercent milliseconds roundTripMilliseconds.mdev " +
		"echoes.0.sequence echoes.0.bytes echoes.0.ttl echoes.0.milliseconds"},
	{"net fetch http://10.0.2.2:8080/hello", "url status bytes body"},
	{"net arp", "neighbours.0.ip neighbours.0.mac neighbours.0.interface neighbours.0.state"},
	{"net stats nic", "services.0.service services.1.counters.0.name services.1.counters.0.value services.2.counters"},
	{"net sendraw " + whoHas, "frames bytes"},
	{"net doctor", "guest running faulty findings.0.id findings.0.level findings.0.cause"},
}

// field gives what a document has at a path of names and numbers.
func field(document any, path string) (any, bool) {
	for name := range strings.SplitSeq(path, ".") {
		switch d := document.(type) {
		case map[string]any:
			v, ok := d[name]
			if !ok {
				return nil, false
			}
			document = v
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i >= len(d) {
				return nil, false
			}
			document = d[i]
		default:
			return nil, false
		}
	}
	return document, true
}

// decode reads the one JSON document of an answer.
func decode(t *testing.T, line string, a answer) any {
	t.Helper()
	var document any
	if err := json.Unmarshal([]byte(a.out), &document); err != nil || a.errs != "" {
		t.Fatalf("nx %s: status %d, %v:\n%s%s", line, a.status, err, a.out, a.errs)
	}
	return document
}

// Every command of nx net does with a guest what its documentation says.
func TestNet(t *testing.T) {
	for _, nic := range nics(t) {
		t.Run(nic, func(t *testing.T) {
			detached(t, "net-"+nic, "--nic", nic)
			t.Setenv("NEXUS_GUEST", "net-"+nic)
			for _, c := range commands {
				operate(t, c.line).matches(t, c.line, c.status, c.out)
			}
			testCapture(t)
			if nic != "wire" { // what follows does not look at the wire
				return
			}
			for _, d := range documents {
				line := d.line + " --json"
				document := decode(t, line, operate(t, line))
				for path := range strings.FieldsSeq(d.fields) {
					if _, ok := field(document, path); !ok {
						t.Errorf("nx %s: no %s in %v", line, path, document)
					}
				}
			}
			document := decode(t, "addr eth7", operate(t, "net addr eth7 --json"))
			if errno, _ := field(document, "error.errno"); errno != float64(syscall.ENODEV) {
				t.Errorf("no such interface: %v", document)
			}
			testFetchToFile(t)
			testFrames(t)
		})
	}
}

func testFetchToFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hello")
	line := "net fetch http://10.0.2.2:8080/hello -o " + path
	operate(t, line).matches(t, line, 0, "nx: net fetch bytes=20\n")
	if data, err := os.ReadFile(path); err != nil || string(data) != "hello from the host\n" {
		t.Errorf("fetched %q, %v", data, err)
	}
}

// testFrames sends requests until recv has seen the host's reply, and sends that from its file.
func testFrames(t *testing.T) {
	path := filepath.Join(t.TempDir(), "reply.pcap")
	line := "net recv --timeout 30 --write " + path
	seen := make(chan answer, 1)
	go func() { seen <- operate(t, line) }()
	for waiting := true; waiting; {
		if a := operate(t, "net sendraw "+whoHas); a.status != 0 {
			t.Errorf("sendraw: %+v", a)
			break
		}
		select {
		case a := <-seen:
			seen <- a
			waiting = false
		default:
		}
	}
	(<-seen).matches(t, line, 0, `02:00:00:00:00:02 > 02:00:00:00:00:01, ethertype ARP \(0x0806\), length \d+: Reply 10\.0\.2\.2 is-at 02:00:00:00:00:02
        0x0000:  0200 0000 0001 0200 0000 0002 0806 0001  .*`)
	line = "net sendraw --file " + path
	operate(t, line).matches(t, line, 0, `sent \d+ bytes: .*Reply 10\.0\.2\.2 is-at 02:00:00:00:00:02\n`)
}

// working is an nx at work.
type working struct {
	*exec.Cmd
	ended chan struct{}

	mu   sync.Mutex
	said strings.Builder // both streams
	text string          // what is waited for
	seen chan struct{}   // closed once it was said
}

// Write implements io.Writer.
func (w *working) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := strings.Contains(w.said.String(), w.text)
	w.said.Write(b)
	if !before && strings.Contains(w.said.String(), w.text) {
		close(w.seen)
	}
	return len(b), nil
}

// work starts a line of nx and waits until it has said the text, again while clients that have just ended still count.
func work(t *testing.T, line, text string) *working {
	t.Helper()
	for deadline := time.Now().Add(bound); ; {
		w := start(t, line, text)
		select {
		case <-w.seen:
			return w
		case <-w.ended:
			if !strings.HasSuffix(w.said.String(), crowded) || time.Now().After(deadline) {
				t.Fatalf("nx %s: %v, said\n%s", line, w.ProcessState, w.said.String())
			}
		case <-time.After(bound):
			t.Fatalf("nx %s does not say %q", line, text)
		}
	}
}

func start(t *testing.T, line, text string) *working {
	t.Helper()
	w := &working{Cmd: exec.Command(nx, strings.Fields(line)...), ended: make(chan struct{}), text: text, seen: make(chan struct{})}
	w.Stdout, w.Stderr = w, w
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(w.ended)
		_ = w.Wait() // its status says all
	}()
	t.Cleanup(func() { _ = w.Process.Kill() })
	return w
}

// end waits for the end and gives the status, and all that was said.
func (w *working) end(t *testing.T) (status int, said string) {
	t.Helper()
	select {
	case <-w.ended:
	case <-time.After(bound):
		t.Fatalf("%q does not end", w.Args)
	}
	return w.ProcessState.ExitCode(), w.said.String()
}

// testCapture captures a ping into a file, and another into tcpdump.
func testCapture(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ping.pcapng")
	capture := work(t, "net capture -n 4 -w "+path, "capturing on virt0\n")
	ping := "net ping 10.0.2.2 -c 4 -i 0.01"
	operate(t, ping).matches(t, ping, 0, pinged("10.0.2.2", 4))
	if status, said := capture.end(t); status != 0 || !strings.HasSuffix(said, "4 packets written, 0 dropped by the guest\n") {
		t.Errorf("capture: status %d:\n%s", status, said)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	packets := 0
	in, err := pcapgo.NewNgReader(f, pcapgo.DefaultNgReaderOptions)
	for ; err == nil; packets++ {
		_, _, err = in.ReadPacketData()
	}
	if packets-1 != 4 {
		t.Errorf("%d packets, then %v", packets-1, err)
	}

	// bash ends with the status of the first that failed.
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	pipe := exec.CommandContext(ctx, "bash", "-c", "set -o pipefail; "+nx+` net capture -i lo -n 2 2> >(read -r && `+nx+` net ping 127.0.0.1 -c 1 >&2) | tcpdump -nr - 2>/dev/null`)
	out, err := pipe.Output()
	if n := strings.Count(string(out), "127.0.0.1 > 127.0.0.1: ICMP echo re"); err != nil || n != 2 {
		t.Errorf("into tcpdump: %v, %d packets:\n%s", err, n, out)
	}
}

// raw connects to a guest's control socket.
func raw(t *testing.T, g guest) *net.UnixConn {
	t.Helper()
	conn, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: filepath.Join(g.Dir, "control.sock"), Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(bound)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// say sends a datagram on a raw connection and gives the answer; "" for the end of the connection.
func say(t *testing.T, conn *net.UnixConn, datagram string) string {
	t.Helper()
	if _, err := conn.Write([]byte(datagram)); err != nil && !errors.Is(err, syscall.EPIPE) {
		t.Fatal(err)
	}
	buf := make([]byte, channel.MaxMessage)
	n, err := conn.Read(buf)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("no answer to %.40q", datagram)
	}
	return string(buf[:n])
}

// session opens a service for a client of this process.
func session(t *testing.T, g guest, service string) *netapi.Client {
	t.Helper()
	stream := raw(t, g)
	if got := say(t, stream, "OPEN "+service+"\n"); got != "OK\n" {
		t.Fatalf("open %s: %q", service, got)
	}
	f, err := stream.File()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := channel.Open(f)
	if err != nil {
		t.Fatal(err)
	}
	stream.Close()
	client := netapi.NewClient(conn)
	client.Timeout = bound
	t.Cleanup(func() { client.Close() })
	return client
}

// netChannels is how many channels controld has to netstackd (pkg/manifests/default.json).
const netChannels = 4

// allFree opens every channel to netstackd, which fails while one is in use, and lets them go. Those who had them may have
// been killed a moment ago.
func allFree(t *testing.T, g guest) (held []*net.UnixConn) {
	t.Helper()
	for deadline := time.Now().Add(bound); len(held) < netChannels; {
		conn := raw(t, g)
		switch got := say(t, conn, "OPEN netstackd\n"); {
		case got == "OK\n":
			held = append(held, conn)
		case !strings.HasPrefix(got, "ERR 11 ") || time.Now().After(deadline):
			t.Fatalf("with %d channels: %q", len(held), got)
		default:
			conn.Close()
		}
	}
	return held
}

const busy = "nx: netstackd cannot be opened: all 4 channels to netstackd" + crowded

// Clients of one guest: many at once, hostile ones, and those that are killed in the middle. Each sees what becomes of it,
// and none what becomes of another.
func TestClients(t *testing.T) {
	g := detached(t, "clients", "--nic", "wire")
	t.Setenv("NEXUS_GUEST", g.Name)
	t.Run("rights", func(t *testing.T) {
		for service, want := range map[string]syscall.Errno{"virtionetd": syscall.EPERM, "netstackd": syscall.ENOSYS, "controld": syscall.ENOSYS} {
			if _, err := session(t, g, service).Attach(); !errors.Is(err, want) {
				t.Errorf("attach to %s: %v, want %v", service, err, want)
			}
		}
	})
	t.Run("garbage", func(t *testing.T) { testGarbage(t, g) })
	t.Run("all channels in use", func(t *testing.T) {
		held := allFree(t, g)
		once(t, "net if").matches(t, "net if", 3, busy)
		line := "net capture -n 1 -w " + filepath.Join(t.TempDir(), "none")
		once(t, line).matches(t, line, 3, busy)
		document := decode(t, "arp", once(t, "net arp --json"))
		if errno, _ := field(document, "error.errno"); errno != float64(syscall.EAGAIN) {
			t.Errorf("%v", document)
		}
		for _, conn := range held {
			conn.Close()
		}
	})
	t.Run("together", func(t *testing.T) {
		lines := []string{"net ping 10.0.2.2 -c 3 -i 0.01", "net arp", "net fetch http://127.0.0.1:8080/hello", "net ping 127.0.0.1 -c 3 -i 0.01"}
		lines = slices.Concat(lines, lines)
		answers := make([]answer, len(lines))
		var all sync.WaitGroup
		for i, line := range lines {
			all.Go(func() { answers[i] = once(t, line) })
		}
		all.Wait()
		done := 0
		for i, a := range answers {
			switch {
			case a.status == 0:
				done++
			case a.status != 3 || !strings.HasSuffix(a.errs, crowded):
				t.Errorf("nx %s: %+v", lines[i], a)
			}
		}
		if done == 0 {
			t.Error("none was served")
		}
	})
	t.Run("killed", func(t *testing.T) {
		for range netChannels {
			ping := work(t, "net ping 10.0.2.2 -c 100 -i 0.02", "icmp_seq=1")
			if err := ping.Process.Kill(); err != nil {
				t.Error(err)
			}
			ping.end(t)
		}
		for _, conn := range allFree(t, g) {
			conn.Close()
		}
		// A capture that nobody closed is forgotten later: till then it counts, and its channel is free.
		for range netChannels {
			capture := work(t, "net capture -w /dev/null", "capturing on virt0\n")
			if err := capture.Process.Kill(); err != nil {
				t.Error(err)
			}
			capture.end(t)
		}
		for _, conn := range allFree(t, g) {
			conn.Close()
		}
		line := "net capture -n 1 -w /dev/null"
		operate(t, line).matches(t, line, 3, "nx: netstackd: too many captures: .*30 s\n")
	})
}

func testGarbage(t *testing.T, g guest) {
	other := session(t, g, "netstackd")
	for _, hello := range []string{"", "OPEN", "OPEN netstackd", "open netstackd\n", "OPEN ../etc\n", "OPEN " + strings.Repeat("n", 200) + "\n", "\xff\x00\x01", strings.Repeat("A", 100<<10)} {
		if hello == "" { // no datagram can be told from the end
			raw(t, g).Close()
			continue
		}
		if got := say(t, raw(t, g), hello); !strings.HasPrefix(got, "ERR 22 ") {
			t.Errorf("hello %.40q: %q", hello, got)
		}
	}
	if got := say(t, raw(t, g), "OPEN fsd\n"); !strings.HasPrefix(got, `ERR 2 no service "fsd": there are netstackd, `) {
		t.Errorf("no such service: %q", got)
	}
	for _, service := range []string{"netstackd", "virtionetd", "fetchd", "controld"} {
		conn := raw(t, g)
		if got := say(t, conn, "OPEN "+service+"\n"); got != "OK\n" {
			t.Fatalf("open %s: %q", service, got)
		}
		for _, garbage := range []string{"x", strings.Repeat("\xff", 1000), strings.Repeat("\x00", channel.MaxMessage)} {
			if got := say(t, conn, garbage); !strings.Contains(got, "malformed message") && !strings.Contains(got, "cannot") {
				t.Errorf("%s: to %.10q… %q", service, garbage, got)
			}
		}
		if got := say(t, conn, strings.Repeat("x", channel.MaxMessage+1)); !strings.HasPrefix(got, "ERR 90 ") {
			t.Errorf("%s: too long: %q", service, got)
		}
	}
	// One who asks and asks and never reads is ended, alone.
	flood := raw(t, g)
	if got := say(t, flood, "OPEN netstackd\n"); got != "OK\n" {
		t.Fatal(got)
	}
	for {
		if _, err := flood.Write([]byte("x")); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("a flood is not ended")
			}
			break
		}
	}
	if sent, echoes, err := other.Ping(netip.MustParseAddr("10.0.2.2"), 1, 5*time.Second, 56); err != nil || sent != 1 || len(echoes) != 1 {
		t.Errorf("the other client: sent %d, got %d, %v", sent, len(echoes), err)
	}
}

// A guest that dies during a call, none and several: each is told apart.
func TestWhichGuest(t *testing.T) {
	one := detached(t, "one", "--nic", "wire")
	two := detached(t, "two", "--nic", "wire")
	runners := []int{pidfd(t, one.PID), pidfd(t, two.PID)}
	for _, line := range []string{"net if", "net doctor", "net capture -n 1 -w /dev/null"} {
		operate(t, line).matches(t, line, 2, `nx: (netstackd cannot be opened: )?several guests are running \(one, two\): say which with --guest NAME\n`)
	}
	operate(t, "net if -q --guest two").matches(t, "net if -q --guest two", 0, "nx: net if n=2\n")

	const died = "nx: the guest ended during the call: nx ps --all, nx logs "
	for _, tc := range []struct {
		line, begins string
		victim       int
	}{
		{"net ping 10.0.2.2 -c 50 -i 0.1 --guest one", "icmp_seq=1", one.PID},
		{"net capture -w /dev/null --guest two", "capturing on virt0\n", two.QEMU},
	} {
		call := work(t, tc.line, tc.begins)
		if err := syscall.Kill(tc.victim, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		name := tc.line[strings.LastIndex(tc.line, " ")+1:]
		if status, said := call.end(t); status != 3 || !strings.HasSuffix(said, died+name+"\n") {
			t.Errorf("nx %s: status %d:\n%s", tc.line, status, said)
		}
	}
	for i, g := range []guest{one, two} {
		if !gone(runners[i], bound) {
			t.Errorf("the runner of %s stays", g.Name)
		}
	}
	operate(t, "net if").matches(t, "net if", 2, "nx: .*no guest is running: start one with nx boot --stay\n")
	operate(t, "net if --guest one").matches(t, "net if --guest one", 2, "nx: .*one died; `nx logs one` shows what it said\n")
	operate(t, "net doctor --guest one").matches(t, "net doctor --guest one", 1, ".*fault +guest-died: guest one died: its nx was killed.*nx logs one.*1 fault found\n")
	operate(t, "net doctor --guest two").matches(t, "net doctor --guest two", 1, ".*fault +guest-died: guest two died: QEMU was ended by a signal: killed.*1 fault found\n")
}
