package netcli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

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

// bench is where command lines run: a guest, a clock and a standard input.
type bench struct {
	guest    *netclitest.Guest
	clock    *netclitest.Clock
	in       string
	ctx      context.Context
	patience time.Duration
}

func newBench(t *testing.T) *bench {
	return &bench{guest: netclitest.New(t), clock: new(netclitest.Clock), ctx: context.Background(), patience: time.Minute}
}

func (b *bench) nx(args ...string) ran {
	var out, errs bytes.Buffer
	env := &netcli.Env{
		Services: b.guest, In: strings.NewReader(b.in), Out: &out, Err: &errs, Clock: b.clock, Patience: b.patience,
	}
	status := netcli.Main(b.ctx, env, append([]string{"net"}, args...))
	return ran{status, out.String(), errs.String()}
}

const who = "ffffffffffff 020000000001 0806 0001 0800 06 04 0001 020000000001 0a00020f 000000000000 0a000202"

func TestCommands(t *testing.T) {
	tests := []struct {
		args string
		want ran
	}{
		{"if", ran{0, `NAME   STATE  MAC                MTU    ADDRESS       ORIGIN
lo     up     -                  65536  127.0.0.1/8   loopback
virt0  up     02:00:00:00:00:01  1500   10.0.2.15/24  dhcp
nx: net if n=2
`, ""}},
		{"if -q", ran{0, "nx: net if n=2\n", ""}},
		{"addr lo", ran{0, "lo 127.0.0.1/8 loopback\n", ""}},
		{"addr virt0", ran{0, "virt0 10.0.2.15/24 gw 10.0.2.2 dns 10.0.2.3 dhcp lease 86400s\n", ""}},
		{"addr virt0 set 10.0.2.16/24", ran{0, "virt0 10.0.2.16/24 static\n", ""}},
		{"addr virt0 set 10.0.2.16/24 gw 10.0.2.2", ran{0, "virt0 10.0.2.16/24 gw 10.0.2.2 static\n", ""}},
		{"addr eth7", ran{3, "", "nx: netstackd: no such interface: there are lo and virt0: nx net if lists them\n"}},
		{"dhcp virt0", ran{0, "virt0 10.0.2.15/24 gw 10.0.2.2 dns 10.0.2.3 dhcp lease 86400s\n", ""}},
		{"up virt0", ran{0, "virt0 up\n", ""}},
		{"down virt0", ran{0, "virt0 down\n", ""}},
		{"arp", ran{0, `ADDRESS   MAC                INTERFACE  STATE
10.0.2.2  02:00:00:00:00:02  virt0      reachable
10.0.2.9  -                  virt0      incomplete
`, ""}},
		{"stats", ran{0, `netstackd
  ip.received             12
  virt0.rx.drop.martian    0
virtionetd
  nic.rx.frames          104
  nic.rx.drop.short        2
controld
  sessions.opened          3
`, ""}},
		{"stats --nonzero drop", ran{0, "virtionetd\n  nic.rx.drop.short  2\n", ""}},
		{"stats nic.rx.f*", ran{0, "virtionetd\n  nic.rx.frames  104\n", ""}},
		{"stats none", ran{0, "", "nx: no counter is left: a wider PATTERN, or without --nonzero?\n"}},
		{"ping 127.0.0.1 -c 2", ran{0, `PING 127.0.0.1 (127.0.0.1) 56(84) bytes of data.
64 bytes from 127.0.0.1: icmp_seq=1 ttl=64 time=0.812 ms
64 bytes from 127.0.0.1: icmp_seq=2 ttl=64 time=0.812 ms

--- 127.0.0.1 ping statistics ---
2 packets transmitted, 2 received, 0% packet loss, time 1000ms
rtt min/avg/max/mdev = 0.812/0.812/0.812/0.000 ms
`, ""}},
		{"fetch http://127.0.0.1:8080/hello", ran{0, "hello from echod\nnx: net fetch bytes=17\n", ""}},
		{"fetch http://127.0.0.1:8080/hello -o -", ran{0, "hello from echod\n", "nx: net fetch bytes=17\n"}},
		{"fetch http://127.0.0.1:8080/hello --max-bytes 16", ran{3, "",
			"nx: fetchd: the body is longer than the bound: ask for more, or for something smaller\n"}},
		{"fetch http://127.0.0.1:1/", ran{3, "", "nx: fetchd: connection refused: does the server run, and at this port?\n"}},
		{"recv --timeout 1s", ran{1, "", "nx: 0 of 1 frames came: nx net stats nic shows whether the card receives\n"}},
	}
	for _, tt := range tests {
		if got := newBench(t).nx(strings.Fields(tt.args)...); got != tt.want {
			t.Errorf("nx net %s: status %d, want %d\n%s%s--- want\n%s%s", tt.args, got.status, tt.want.status, got.out, got.errs, tt.want.out, tt.want.errs)
		}
	}
}

// The documents are the ones that docs/network/nx.md shows.
func TestJSON(t *testing.T) {
	tests := []struct{ args, want string }{
		{"if", `{"interfaces":[
			{"name":"lo","up":true,"mac":"","mtu":65536,"address":{"address":"127.0.0.1/8","gateway":"","dns":[],"origin":"loopback","leaseSeconds":0}},
			{"name":"virt0","up":true,"mac":"02:00:00:00:00:01","mtu":1500,"address":
				{"address":"10.0.2.15/24","gateway":"10.0.2.2","dns":["10.0.2.3"],"origin":"dhcp","leaseSeconds":86400}}]}`},
		{"addr lo", `{"name":"lo","address":{"address":"127.0.0.1/8","gateway":"","dns":[],"origin":"loopback","leaseSeconds":0}}`},
		{"down virt0", `{"name":"virt0","up":false}`},
		{"arp", `{"neighbours":[{"ip":"10.0.2.2","mac":"02:00:00:00:00:02","interface":"virt0","state":"reachable"},
			{"ip":"10.0.2.9","mac":"","interface":"virt0","state":"incomplete"}]}`},
		{"stats short", `{"services":[{"service":"netstackd","counters":[]},
			{"service":"virtionetd","counters":[{"name":"nic.rx.drop.short","value":2}]},{"service":"controld","counters":[]}]}`},
		{"ping 127.0.0.1 -c 1", `{"address":"127.0.0.1","size":56,"transmitted":1,"received":1,"errors":0,"lossPercent":0,"milliseconds":0,
			"roundTripMilliseconds":{"min":0.812,"avg":0.812,"max":0.812,"mdev":0},
			"echoes":[{"sequence":1,"bytes":64,"ttl":64,"milliseconds":0.812}]}`},
		{"fetch http://127.0.0.1:8080/hello", `{"url":"http://127.0.0.1:8080/hello","status":200,"bytes":17,"body":"hello from echod\n"}`},
		{"recv", `{"wanted":1,"frames":[{"bytes":14,"summary":"00:01:02:03:04:05 > ff:fe:fd:fc:fb:fa, 802.3, length 14: LLC","hex":"fffefdfcfbfa0001020304050001"}]}`},
		{"addr eth7", `{"error":{"text":"netstackd: no such interface: there are lo and virt0: nx net if lists them","errno":19,"status":3}}`},
		{"ping localhost", `{"error":{"text":"\"localhost\" is no IPv4 address: want four numbers from 0 to 255, as 10.0.2.2; names are not looked up","errno":0,"status":2}}`},
		{"ping 127.0.0.1 -c 0", `{"error":{"text":"ping: invalid value \"0\" for flag -c: want a whole number from 1 to 65535","errno":0,"status":2}}`},
	}
	for _, tt := range tests {
		b := newBench(t)
		b.guest.Frames = [][]byte{{0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0xfa, 0, 1, 2, 3, 4, 5, 0, 1}}
		ran := b.nx(append(strings.Fields(tt.args), "--json")...)
		var got, want any
		if err := json.Unmarshal([]byte(ran.out), &got); err != nil {
			t.Errorf("nx net %s: %v in %q", tt.args, err, ran.out)
			continue
		}
		if err := json.Unmarshal([]byte(tt.want), &want); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) || ran.errs != "" {
			t.Errorf("nx net %s --json: %q\n%s\nwant\n%s", tt.args, ran.errs, ran.out, tt.want)
		}
	}
}

func TestFlagsAnywhere(t *testing.T) {
	want := newBench(t).nx("ping", "-c", "2", "-s", "8", "127.0.0.1")
	for _, args := range [][]string{
		{"ping", "127.0.0.1", "-c", "2", "-s", "8"},
		{"ping", "-c", "2", "127.0.0.1", "-s", "8"},
		{"ping", "--count=2", "--size=8", "--", "127.0.0.1"},
	} {
		if got := newBench(t).nx(args...); got != want || got.status != 0 {
			t.Errorf("%q: %+v, want %+v", args, got, want)
		}
	}
}

func TestHelp(t *testing.T) {
	for _, c := range netcli.Commands() {
		got := newBench(t).nx(c.Name, "-h")
		if got.status != 0 || !strings.Contains(got.out, c.Synopsis()) || !strings.Contains(got.out, "Exit status:") {
			t.Errorf("%s -h: %+v", c.Name, got)
		}
		if c.Short == "" || c.Long == "" || c.Example == "" {
			t.Errorf("%s: says too little", c.Name)
		}
	}
	if got := newBench(t).nx("help"); got.status != 0 || !strings.Contains(got.out, "sendraw") {
		t.Errorf("help: %+v", got)
	}
}

func TestPingStatistics(t *testing.T) {
	b := newBench(t)
	trips := []time.Duration{500 * time.Microsecond, 0, 1500 * time.Microsecond, 25 * time.Millisecond, 250 * time.Millisecond}
	n := 0
	b.guest.Ping = func(netip.Addr, int) ([]netapi.Echo, error) {
		n++
		if trips[n-1] == 0 {
			b.clock.Pass(time.Second)
			return nil, nil
		}
		b.clock.Pass(trips[n-1])
		return []netapi.Echo{{TTL: 63, Size: 100, RoundTrip: trips[n-1]}}, nil
	}
	got := b.nx("ping", "10.0.2.2", "-c", "5", "-i", "0.2", "-s", "100")
	want := ran{0, `PING 10.0.2.2 (10.0.2.2) 100(128) bytes of data.
108 bytes from 10.0.2.2: icmp_seq=1 ttl=63 time=0.500 ms
108 bytes from 10.0.2.2: icmp_seq=3 ttl=63 time=1.50 ms
108 bytes from 10.0.2.2: icmp_seq=4 ttl=63 time=25.0 ms
108 bytes from 10.0.2.2: icmp_seq=5 ttl=63 time=250 ms

--- 10.0.2.2 ping statistics ---
5 packets transmitted, 4 received, 20% packet loss, time 1850ms
rtt min/avg/max/mdev = 0.500/69.250/250.000/104.816 ms
`, ""}
	if got != want {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
	// From send to send, not from reply to send.
	waits := []time.Duration{199500 * time.Microsecond, 0, 198500 * time.Microsecond, 175 * time.Millisecond}
	if !slices.Equal(b.clock.Waits(), waits) {
		t.Errorf("waits %v, want %v", b.clock.Waits(), waits)
	}
}

func TestPingFailures(t *testing.T) {
	unreachable := netapi.Refused(syscall.EHOSTUNREACH, "ping: no route to host")
	down := netapi.Refused(syscall.ENETUNREACH, "ping: network is unreachable")
	tests := []struct {
		name    string
		answers []error // nil: an echo; errSilent: none
		want    ran
	}{
		{"no reply", []error{errSilent, errSilent}, ran{1, `PING 10.0.2.2 (10.0.2.2) 56(84) bytes of data.

--- 10.0.2.2 ping statistics ---
2 packets transmitted, 0 received, 100% packet loss, time 1000ms
`, ""}},
		{"nobody answers ARP", []error{unreachable, nil}, ran{0, `PING 10.0.2.2 (10.0.2.2) 56(84) bytes of data.
icmp_seq=1 Destination Host Unreachable
64 bytes from 10.0.2.2: icmp_seq=2 ttl=64 time=1.00 ms

--- 10.0.2.2 ping statistics ---
2 packets transmitted, 1 received, +1 errors, 50% packet loss, time 1000ms
rtt min/avg/max/mdev = 1.000/1.000/1.000/0.000 ms
`, ""}},
		{"no way", []error{down}, ran{3, "", "nx: netstackd: ping: network is unreachable: no way leads there: " +
			"has virt0 an address and a gateway, and is it up? nx net if, nx net addr virt0\n"}},
		{"no way any more", []error{nil, down}, ran{3, `PING 10.0.2.2 (10.0.2.2) 56(84) bytes of data.
64 bytes from 10.0.2.2: icmp_seq=1 ttl=64 time=1.00 ms

--- 10.0.2.2 ping statistics ---
1 packets transmitted, 1 received, 0% packet loss, time 1000ms
rtt min/avg/max/mdev = 1.000/1.000/1.000/0.000 ms
`, "nx: netstackd: ping: network is unreachable: no way leads there: " +
			"has virt0 an address and a gateway, and is it up? nx net if, nx net addr virt0\n"}},
	}
	for _, tt := range tests {
		b := newBench(t)
		n := 0
		b.guest.Ping = func(_ netip.Addr, size int) ([]netapi.Echo, error) {
			n++
			switch err := tt.answers[n-1]; err {
			case nil:
				return []netapi.Echo{{TTL: 64, Size: size, RoundTrip: time.Millisecond}}, nil
			case errSilent:
				return nil, nil
			default:
				return nil, err
			}
		}
		if got := b.nx("ping", "10.0.2.2", "-c", "2"); got != tt.want {
			t.Errorf("%s: got\n%+v\nwant\n%+v", tt.name, got, tt.want)
		}
	}
}

var errSilent = errors.New("silent")

// ^C while ping waits, and while a call runs: the statistics come, and the status is that of what had come.
func TestPingInterrupted(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	b.ctx = ctx
	b.clock.OnWait = func(n int) {
		if n == 2 {
			cancel()
		}
	}
	got := b.nx("ping", "127.0.0.1", "-c", "9")
	if got.status != 0 || !strings.Contains(got.out, "\n2 packets transmitted, 2 received, 0% packet loss") {
		t.Errorf("while it waits: %+v", got)
	}

	b = newBench(t)
	b.ctx, cancel = context.WithCancel(t.Context())
	b.guest.Ping = func(netip.Addr, int) ([]netapi.Echo, error) {
		cancel()
		return nil, nil
	}
	got = b.nx("ping", "127.0.0.1", "-c", "9")
	if got.status != 1 || !strings.Contains(got.out, "\n1 packets transmitted, 0 received, 100% packet loss") {
		t.Errorf("during a call: %+v", got)
	}
}

// ^C during any other call ends it: recv with what it has, the others with a line.
func TestInterrupted(t *testing.T) {
	for args, want := range map[string]ran{
		"if":                       {3, "", "nx: interrupted\n"},
		"dhcp virt0":               {3, "", "nx: interrupted\n"},
		"stats --watch 1s":         {3, "", "nx: interrupted\n"},
		"sendraw --hex -":          {3, "", "nx: interrupted\n"},
		"recv -c 2 --json":         {1, "{\n \"wanted\": 2,\n \"frames\": []\n}\n", "nx: 0 of 2 frames came: nx net stats nic shows whether the card receives\n"},
		"fetch http://10.0.2.2/ok": {3, "", "nx: interrupted\n"},
	} {
		b := newBench(t)
		b.in = who
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		b.ctx = ctx
		b.guest.Faults = make(map[string]netclitest.Fault)
		for _, service := range []string{netcli.Netstackd, netcli.Virtionetd, netcli.Fetchd} {
			b.guest.Faults[service] = func(peer *os.File) {
				netclitest.Dies(peer) // which waits for the request
				cancel()
				netclitest.Silent(peer)
			}
		}
		if got := b.nx(strings.Fields(args)...); got != want {
			t.Errorf("%s: %+v, want %+v", args, got, want)
		}
	}
}

func TestWatch(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	b.ctx = ctx
	b.clock.OnWait = func(n int) {
		switch n {
		case 1:
			b.guest.SetCounter(netcli.Virtionetd, 0, 111)
			b.guest.SetCounter(netcli.Netstackd, 1, 1)
		case 2:
			b.guest.SetCounter(netcli.Netstackd, 0, 2) // started anew
		case 3:
			cancel()
		}
	}
	got := b.nx("stats", "--watch", "2s", "--nonzero", "r")
	want := ran{0, `netstackd
  ip.received         12
virtionetd
  nic.rx.frames      104
  nic.rx.drop.short    2
after 2s
  netstackd virt0.rx.drop.martian +1
  virtionetd nic.rx.frames +7
after 4s
  netstackd ip.received -10
`, ""}
	if got != want {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
	if n := len(b.guest.Opened()); n != 3 {
		t.Errorf("%d channels for three services", n)
	}
}

// A service that cannot be had is left out of stats, and an error where it is needed.
func TestMissingService(t *testing.T) {
	b := newBench(t)
	b.guest.Missing = map[string]bool{netcli.Controld: true, netcli.Fetchd: true}
	got := b.nx("stats", "ip.received")
	if want := (ran{0, "netstackd\n  ip.received  12\n", "nx: left out: controld cannot be opened: no such service\n"}); got != want {
		t.Errorf("stats: %+v, want %+v", got, want)
	}
	got = b.nx("fetch", "http://127.0.0.1:8080/hello")
	if want := (ran{2, "", "nx: fetchd cannot be opened: no such service\n"}); got != want {
		t.Errorf("fetch: %+v, want %+v", got, want)
	}
}

// However a service fails, it is said in one line and ends with status 3.
func TestFaults(t *testing.T) {
	gone := "nx: %s ended during the call: the console's last lines say why\n"
	tests := []struct {
		name  string
		fault netclitest.Fault
		want  string
	}{
		{"dies", netclitest.Dies, gone},
		{"resets", netclitest.Resets, gone},
		{"babbles", netclitest.Babbles, "nx: %s sent a reply that cannot be read (channel: malformed message): " +
			"nx and the guest are not of one build: make build, and boot again\n"},
	}
	commands := map[string]string{
		"if": netcli.Netstackd, "addr lo": netcli.Netstackd, "addr lo set 127.0.0.1/8": netcli.Netstackd, "dhcp virt0": netcli.Netstackd,
		"up lo": netcli.Netstackd, "down lo": netcli.Netstackd, "arp": netcli.Netstackd, "ping 127.0.0.1": netcli.Netstackd,
		"recv": netcli.Virtionetd, "stats": netcli.Virtionetd, "fetch http://10.0.2.2/": netcli.Fetchd,
	}
	for _, tt := range tests {
		for args, service := range commands {
			b := newBench(t)
			b.guest.Faults = map[string]netclitest.Fault{service: tt.fault}
			got := b.nx(strings.Fields(args)...)
			if want := (ran{3, "", fmt.Sprintf(tt.want, service)}); got != want {
				t.Errorf("%s, %s: %+v, want %+v", args, tt.name, got, want)
			}
		}
	}
}

// A service that does not answer costs no more than the bound.
func TestSilence(t *testing.T) {
	for args, service := range map[string]string{"if": netcli.Netstackd, "stats": netcli.Virtionetd, "sendraw --hex " + strings.ReplaceAll(who, " ", ""): netcli.Virtionetd} {
		b := newBench(t)
		b.patience = time.Millisecond
		b.guest.Faults = map[string]netclitest.Fault{service: netclitest.Silent}
		if service == netcli.Virtionetd {
			b.guest.Missing = map[string]bool{netcli.Netstackd: true}
		}
		got := b.nx(strings.Fields(args)...)
		if got.status != 3 || !strings.Contains(got.errs, service+" did not answer in time: it may be busy or stopped: try again") {
			t.Errorf("%s: %+v", args, got)
		}
	}
}

// What a service says cannot end a line, drive a terminal or forge a marker.
func TestHostileText(t *testing.T) {
	b := newBench(t)
	b.guest.Interfaces[1].Name = "v\x1b[2J\nnx: net if n=9"
	b.guest.Bodies["pkg://a/b"] = "\x1b]0;x\x07\r\nnx:\tok\x00\u0085"
	b.guest.Refuse = func(_ string, request netcapnp.Request) error {
		if request.Which() == netcapnp.Request_Which_arp {
			return netapi.Refused(syscall.EIO, "a\nb\x1b[31m"+strings.Repeat("c", 9999))
		}
		return nil
	}
	got := b.nx("if")
	if !strings.Contains(got.out, "v?[2J?nx: net if n=9  up") || strings.Count(got.out, "\n") != 4 {
		t.Errorf("if: %q", got.out)
	}
	if got := b.nx("fetch", "pkg://a/b"); got.out != "?]0;x?\nnx:    ok??\nnx: net fetch bytes=17\n" {
		t.Errorf("fetch: %q", got.out)
	}
	if got := b.nx("arp"); !strings.HasPrefix(got.errs, "nx: netstackd: a b?[31mccc") || len(got.errs) > 600 || got.status != 3 {
		t.Errorf("arp: %+v", got)
	}
	for _, args := range [][]string{{"if", "--json"}, {"arp", "--json"}, {"fetch", "pkg://a/b", "--json"}} {
		if got := b.nx(args...); !json.Valid([]byte(got.out)) || strings.ContainsAny(got.out, "\x1b\x07\x00\u0085") {
			t.Errorf("%q: %q", args, got.out)
		}
	}
}

func TestSendraw(t *testing.T) {
	want := "sent 42 bytes: 02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff, ethertype ARP (0x0806), length 42: Request who-has 10.0.2.2 tell 10.0.2.15\n"
	for _, written := range []string{who, strings.ReplaceAll(who, " ", "\n"), strings.ToUpper(who), "-"} {
		b := newBench(t)
		b.in = "ff:ff:ff:ff:ff:ff\t02:00:00:00:00:01\r\n" + who[26:] + "\n"
		got := b.nx("sendraw", "--hex", written)
		if got.status != 0 || got.out != want {
			t.Errorf("%q: %+v", written, got)
		}
		frame := "\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x01\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01" +
			"\x02\x00\x00\x00\x00\x01\x0a\x00\x02\x0f\x00\x00\x00\x00\x00\x00\x0a\x00\x02\x02"
		if sent := b.guest.Sent(); len(sent) != 1 || string(sent[0]) != frame {
			t.Errorf("%q: sent %x", written, sent)
		}
	}
}

func TestRecv(t *testing.T) {
	b := newBench(t)
	b.guest.Frames = [][]byte{[]byte("\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02\x88\xccabc"), make([]byte, 14)}
	got := b.nx("recv", "-c", "3", "--timeout", "2s")
	want := ran{1, `02:00:00:00:00:02 > 02:00:00:00:00:01, ethertype Unknown (0x88cc), length 17: Unknown
        0x0000:  0200 0000 0001 0200 0000 0002 88cc 6162  ..............ab
        0x0010:  63                                       c
00:00:00:00:00:00 > 00:00:00:00:00:00, 802.3, length 14: LLC
        0x0000:  0000 0000 0000 0000 0000 0000 0000       ..............
`, "nx: 2 of 3 frames came: nx net stats nic shows whether the card receives\n"}
	if got != want {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

// A wait longer than the service makes in one call is several calls.
func TestRecvWaitsOn(t *testing.T) {
	b := newBench(t)
	var calls atomic.Int32
	b.guest.Refuse = func(_ string, request netcapnp.Request) error {
		calls.Add(1)
		b.clock.Pass(time.Duration(request.Recv().TimeoutMs()) * time.Millisecond)
		return netapi.Refused(syscall.ETIMEDOUT, "recv: no frame came in")
	}
	if got := b.nx("recv", "--timeout", "25s"); got.status != 1 || calls.Load() != 3 {
		t.Errorf("%d calls, %+v", calls.Load(), got)
	}
}

func TestFetchToFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "body")
	b := newBench(t)
	b.guest.Bodies["pkg://a/b"] = "\x00\xff raw \x1b bytes\n"
	got := b.nx("fetch", "-o", path, "pkg://a/b")
	data, err := os.ReadFile(path)
	if got != (ran{0, "nx: net fetch bytes=15\n", ""}) || err != nil || string(data) != b.guest.Bodies["pkg://a/b"] {
		t.Errorf("%+v, %q, %v", got, data, err)
	}
	// One that fails leaves what was there, and nothing else.
	got = b.nx("fetch", "-o", path, "pkg://a/none")
	after, err := os.ReadFile(path)
	if got.status != 3 || err != nil || !bytes.Equal(after, data) {
		t.Errorf("%+v, %q, %v", got, after, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left over: %v, %v", left, err)
	}
	if got := b.nx("fetch", "-o", "/dev/null", "pkg://a/b"); got.status != 0 {
		t.Errorf("to a device: %+v", got)
	}
	if info, err := os.Stat("/dev/null"); err != nil || info.Mode().IsRegular() {
		t.Error("/dev/null was replaced")
	}
}

func TestFetchStatus(t *testing.T) {
	b := newBench(t)
	b.guest.Status = 404
	got := b.nx("fetch", "http://127.0.0.1:8080/hello")
	if want := (ran{1, "hello from echod\nnx: net fetch bytes=17\n", "nx: the server answered with http status 404: is the path right?\n"}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// An output that cannot be written is an error, and ends what would go on.
func TestFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	for _, args := range []string{"if", "ping 127.0.0.1 -c 1000", "stats --watch 1s", "fetch http://127.0.0.1:8080/hello", "fetch http://127.0.0.1:8080/hello -o -"} {
		var errs bytes.Buffer
		env := &netcli.Env{Services: netclitest.New(t), Out: full, Err: &errs, Clock: new(netclitest.Clock)}
		status := netcli.Main(t.Context(), env, append([]string{"net"}, strings.Fields(args)...))
		if status != 2 || !strings.Contains(errs.String(), "could not be written") && !strings.Contains(errs.String(), "cannot be written") {
			t.Errorf("%s: status %d, %s", args, status, errs.String())
		}
	}
}

// What is wrong is found before anything is opened.
func TestBadArguments(t *testing.T) {
	for _, args := range []string{
		"", "none", "if x", "if --x", "addr", "addr \x1b", "addr aaaaaaaaaaaaaaaa", "addr virt0 get", "addr virt0 set", "addr virt0 set 10.0.2.16",
		"addr virt0 set 10.0.2.16/33", "addr virt0 set 10.0.2.0/24", "addr virt0 set 10.0.2.255/24", "addr virt0 set 224.0.0.1/8",
		"addr virt0 set ::1/64", "addr virt0 set 10.0.2.16/24 via 10.0.2.2", "addr virt0 set 10.0.2.16/24 gw", "addr virt0 set 0.0.0.1/8",
		"addr virt0 set 10.0.2.16/24 gw 10.0.3.2", "addr virt0 set 10.0.2.16/24 gw 10.0.2.16", "addr virt0 set 10.0.2.16/0",
		"dhcp", "up", "down a b", "ping", "ping ::1", "ping 10.0.2", "ping 0.0.0.0", "ping 224.0.0.1", "ping 1.2.3.4 -c 65536", "ping 1.2.3.4 -c -1",
		"ping 1.2.3.4 -c 99999999999999999999", "ping 1.2.3.4 -i 0", "ping 1.2.3.4 -i NaN", "ping 1.2.3.4 -W 11", "ping 1.2.3.4 -s 1473",
		"fetch", "fetch x", "fetch https://a/", "fetch http:///a", "fetch pkg://a", "fetch ftp://a/", "fetch http://a/\x7f",
		"fetch http://a/" + strings.Repeat("a", 2048), "fetch http://a/ --max-bytes 0", "fetch http://a/ --timeout 61", "fetch http://a/ -o - --json",
		"fetch http://a/ -o /nowhere/file", "fetch http://a/ -o /", "fetch http://a/ -o=",
		"sendraw", "sendraw --hex=", "sendraw --hex 0", "sendraw --hex zz", "sendraw --hex 00:1:22", "sendraw --hex 00", "sendraw --hex " + strings.Repeat("00", 1515),
		"sendraw --hex " + strings.Repeat("00", 10000), "recv -c 0", "recv --timeout 0", "recv x", "stats a b", "stats [", "stats --watch 1ms", "stats --watch 1s --json",
	} {
		b := newBench(t)
		got := b.nx(strings.Split(args, " ")...)
		if args == "" {
			got = b.nx()
		}
		if got.status != 2 || got.errs == "" && !strings.Contains(got.out, `"error"`) || len(got.errs) > 300 || len(b.guest.Opened()) > 0 {
			t.Errorf("nx net %.60q: %+v, opened %v", args, got, b.guest.Opened())
		}
	}
}

func FuzzParseHex(f *testing.F) {
	for _, seed := range []string{"", who, "0", "0 0", "zz", "00:11\n22", "é0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		frame, err := netcli.ParseHex(text)
		if err != nil {
			return
		}
		again, err := netcli.ParseHex(fmt.Sprintf("% x", frame))
		if err != nil || !bytes.Equal(frame, again) {
			t.Errorf("%q: %x, then %x, %v", text, frame, again, err)
		}
	})
}
