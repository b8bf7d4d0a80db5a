package nxnet

import (
	"bytes"
	"context"
	"flag"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"nexus/source/api/netapi"
	"nexus/source/api/netcli"
	"nexus/source/api/netcli/netclitest"
	"nexus/tools/nx-net/doctor"
)

var update = flag.Bool("update", false, "rewrite the tables and examples of docs/network/nx.md")

const document = "../../docs/network/nx.md"

// readDocument returns the document, and a function that stores a changed one with -update.
func readDocument(t *testing.T) (string, func(string)) {
	t.Helper()
	data, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	return string(data), func(text string) {
		if err := os.WriteFile(document, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

const (
	who  = `"ffffffffffff 020000000001 0806 0001 0800 06 04 0001 020000000001 0a00020f 000000000000 0a000202"`
	body = "http://127.0.0.1:8080/hello"
)

// worst are, for each command, inputs that must not get as far as the guest, with all that is said. They are the table in the
// document.
var worst = []struct{ line, says string }{
	{`net`, `net: a command is missing: want one of: addr, arp, capture, dhcp, doctor, down, fetch, if, ping, recv, sendraw, stats, up`},
	{`net pong`, `net: there is no command "pong": is ping meant?`},
	{`net if --watch`, `if: unknown flag: --watch: see nx net if --help`},
	{`net if virt0`, "if: want `nx net if`, got 1 argument"},
	{`net if --json=maybe`, `if: invalid argument "maybe" for "--json" flag: want true or false`},
	{`net if -n`, `if: unknown shorthand flag: 'n' in -n: see nx net if --help`},
	{`net addr virt0 set 10.0.2.16`, `"10.0.2.16" is no IPv4 address with a prefix length: want A.B.C.D/N, as 10.0.2.16/24`},
	{`net addr virt0 set 10.0.2.255/24`, `10.0.2.255/24 cannot be an interface's address: it is the network's broadcast address`},
	{`net addr virt0 set 10.0.2.16/24 gw 10.0.3.1`, `gateway 10.0.3.1 is not inside 10.0.2.0/24: it must be a neighbour`},
	{`net dhcp`, "dhcp: want `nx net dhcp NAME`, got 0 arguments"},
	{`net dhcp virt0 lo`, "dhcp: want `nx net dhcp NAME`, got 2 arguments"},
	{`net dhcp virt0-with-a-long-name`, `"virt0-with-a-long-name" is no interface's name: want 1 to 15 printable characters, as lo or virt0 (nx net if lists them)`},
	{`net up`, "up: want `nx net up NAME`, got 0 arguments"},
	{`net up ""`, `"" is no interface's name: want 1 to 15 printable characters, as lo or virt0 (nx net if lists them)`},
	{`net up --force virt0`, `up: unknown flag: --force: see nx net up --help`},
	{`net down`, "down: want `nx net down NAME`, got 0 arguments"},
	{`net down "virt 0"`, `"virt 0" is no interface's name: want 1 to 15 printable characters, as lo or virt0 (nx net if lists them)`},
	{`net down lo virt0`, "down: want `nx net down NAME`, got 2 arguments"},
	{`net ping localhost`, `"localhost" is no IPv4 address: want four numbers from 0 to 255, as 10.0.2.2; names are not looked up`},
	{`net ping 10.0.2.2 -c 0`, `ping: invalid argument "0" for "-c, --count" flag: want a whole number from 1 to 65535`},
	{`net ping 10.0.2.2 -W 1h`, `ping: invalid argument "1h" for "-W, --timeout" flag: want a time from 1ms to 10s, as 500ms or 2s or 0.2`},
	{`net fetch https://10.0.2.2/`, `https is not spoken: want http://HOST/PATH or pkg://PACKAGE/FILE`},
	{`net fetch http:///hello`, `"http:///hello" is no URL that can be fetched: want http://HOST/PATH or pkg://PACKAGE/FILE`},
	{`net fetch ` + body + ` -o /nowhere/hello`, `the body cannot be written: open /nowhere/.nx-fetch-*: no such file or directory: name a file in a folder that can be written to`},
	{`net arp virt0`, "arp: want `nx net arp`, got 1 argument"},
	{`net arp -a`, `arp: unknown shorthand flag: 'a' in -a: see nx net arp --help`},
	{`net arp --guest`, `arp: flag needs an argument: --guest`},
	{`net stats "["`, `"[" is no pattern: a [ has no ]; want a part of a name, or * ? [a-z]`},
	{`net stats --watch 1ms`, `stats: invalid argument "1ms" for "--watch" flag: want a time from 100ms to 1h0m0s, as 500ms or 2s or 0.2`},
	{`net stats rx drop`, "stats: want `nx net stats [PATTERN]`, got 2 arguments"},
	{`net sendraw`, `sendraw: a frame is missing: give --hex "…", or --hex - to read it from the standard input`},
	{`net sendraw --hex "ffff ffff fffg"`, `byte 5 of the frame: 'g' is no hexadecimal digit: want pairs of 0-9 and a-f, with blanks, colons or line ends between`},
	{`net sendraw --hex "ff:ff:ff:ff:ff:ff"`, `the frame has 6 bytes: an Ethernet header alone has 14 (destination, source, type)`},
	{`net sendraw --file /nowhere/frames.pcap`, `open /nowhere/frames.pcap: no such file or directory: want a pcap or pcapng file of whole frames of 14 to 1514 bytes (tcpdump -w FILE)`},
	{`net recv -c many`, `recv: invalid argument "many" for "-c, --count" flag: want a whole number from 1 to 10000`},
	{`net recv --timeout 0`, `recv: invalid argument "0" for "--timeout" flag: want a time from 1ms to 1h0m0s, as 500ms or 2s or 0.2`},
	{`net recv --write /nowhere/frames.pcap`, `open /nowhere/frames.pcap: no such file or directory: name a file in a folder that can be written to`},
	{`net capture virt0`, `capture: "virt0" is one word too many: -i names the interface, -w the file`},
	{`net capture -i "virt 0"`, `capture: "virt 0" is no interface's name: want 1 to 15 printable characters, as lo or virt0 (nx net if lists them), or any for all`},
	{`net capture -n many`, `capture: invalid argument "many" for "-n, --count" flag: want a whole number from 0 to 1000000000`},
	{`net capture --json`, `capture: --json prints a document on stdout, where the packets go: give -w FILE`},
	{`net capture -w /nowhere/lo.pcapng`, `capture: create /nowhere/lo.pcapng: no such file or directory: name a file in a folder that can be written to`},
	{`net doctor gateway`, `doctor: "gateway" is not an IPv4 address: give one such as 10.0.2.2`},
	{`net doctor fe80::1`, `doctor: "fe80::1" is not an IPv4 address: give one such as 10.0.2.2`},
	{`net doctor 10.0.2.2 10.0.2.3`, "doctor: want `nx net doctor [ADDRESS]`, got 2 arguments"},
	{`net doctor --fix`, `doctor: unknown flag: --fix: see nx net doctor --help`},
}

// commandNames are the names of all commands below `nx net`.
func commandNames() []string {
	var names []string
	for _, sub := range New(Config{}).Commands() {
		names = append(names, sub.Name())
	}
	return names
}

// words splits a command line at blanks outside quotes.
func words(line string) []string {
	var all []string
	for i, part := range strings.Split(line, `"`) {
		if i%2 == 1 {
			all = append(all, part)
			continue
		}
		all = append(all, strings.Fields(part)...)
	}
	return all
}

var temporary = regexp.MustCompile(`\.nx-fetch-[0-9]+`)

func TestWorstInputs(t *testing.T) {
	counted := make(map[string]int)
	for _, tt := range worst {
		h := newHost(t)
		got := h.nx(words(tt.line)...)
		got.errs = temporary.ReplaceAllString(got.errs, ".nx-fetch-*")
		want := ran{2, "", "nx: " + tt.says + "\n"}
		if netcli.WantsJSON(words(tt.line)) {
			var out strings.Builder
			netcli.Report(netcli.Usagef("%s", tt.says), true, &out, nil)
			want = ran{2, out.String(), ""}
		}
		if got != want || len(h.dialed) > 0 {
			t.Errorf("nx %s:\n%+v, dialed %d times; want\n%+v", tt.line, got, len(h.dialed), want)
		}
		if w := words(tt.line); len(w) > 1 {
			counted[w[1]]++
		}
	}
	for _, name := range commandNames() {
		if counted[name] < 3 {
			t.Errorf("%s: %d bad inputs, want at least three", name, counted[name])
		}
	}
}

// The table in the document is the one above.
func TestDocumentedWorstInputs(t *testing.T) {
	const begin, end = "<!-- worst:begin -->\n", "<!-- worst:end -->"
	text, store := readDocument(t)
	before, rest, found := strings.Cut(text, begin)
	shown, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no %s … %s", document, begin, end)
	}
	var table strings.Builder
	table.WriteString("| command | what it says |\n| --- | --- |\n")
	for _, tt := range worst {
		table.WriteString("| `nx " + tt.line + "` | " + strings.ReplaceAll(tt.says, "|", `\|`) + " |\n")
	}
	if shown == table.String() {
		return
	}
	if *update {
		store(before + begin + table.String() + end + after)
		return
	}
	t.Errorf("the table in %s is not that of the test: go test ./tools/nx-net -update", document)
}

var example = regexp.MustCompile("(?m)^```\n\\$ (nx net .*)\n((?:.*\n)*?)```$")

// Every example in the document is what the command prints, for a guest that answers as the real one.
func TestDocumentedExamples(t *testing.T) {
	text, store := readDocument(t)
	seen := make(map[string]bool)
	fresh := example.ReplaceAllStringFunc(text, func(block string) string {
		m := example.FindStringSubmatch(block)
		line := strings.TrimPrefix(m[1], "nx ")
		seen[strings.Fields(line)[1]] = true
		return "```\n$ " + m[1] + "\n" + shown(t, line) + "```"
	})
	for _, name := range commandNames() {
		if !seen[name] {
			t.Errorf("%s has no example of %s", document, name)
		}
	}
	for _, c := range netcli.Commands() {
		for _, line := range strings.Split(c.Example, "\n") {
			if !strings.HasPrefix(line, "nx net ") {
				t.Errorf("%s: example %q is no command", c.Name, line)
			}
		}
	}
	if fresh == text {
		return
	}
	if *update {
		store(fresh)
		return
	}
	t.Errorf("examples in %s are not what the commands print: go test ./tools/nx-net -update\n%s", document, fresh)
}

// healthy is what doctor finds outside a guest whose boot is proven, on a machine that has everything.
var healthy = doctor.Facts{
	Host: doctor.Host{QEMU: "7.2"},
	Boot: &doctor.Boot{Name: "g1", NIC: "tap", Net: "stub", Running: true, Proven: true},
}

// shown is what a terminal shows of a command line, whose files are in a folder of its own.
func shown(t *testing.T, line string) string {
	back, err := os.Getwd()
	if err == nil {
		err = os.Chdir(t.TempDir())
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := os.Chdir(back); err != nil {
			t.Fatal(err)
		}
	}()
	guest := netclitest.New(t)
	guest.Packets = []netapi.Packet{{Interface: "lo", Length: 84, Data: make([]byte, 84)}, {Interface: "lo", Length: 84, Data: make([]byte, 84)}}
	trips := []time.Duration{1003 * time.Microsecond, 718 * time.Microsecond}
	guest.Ping = func(to netip.Addr, size int) ([]netapi.Echo, error) {
		if to == netip.MustParseAddr("10.0.2.9") {
			return nil, netapi.Refused(syscall.EHOSTUNREACH, "ping: no route to host")
		}
		trip := trips[0]
		trips = append(trips[1:], trip)
		echoes := []netapi.Echo{{TTL: 64, Size: size, RoundTrip: trip}}
		if strings.HasPrefix(line, "net doctor") { // which asks for two at once
			echoes = append(echoes, echoes...)
		}
		return echoes, nil
	}
	guest.Bodies["pkg://fixtures/hello.txt"] = "Hello from a Nexus package.\n"
	guest.Frames = [][]byte{{
		2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 2, 10, 0, 2, 2, 0, 0, 0, 0, 0, 0, 10, 0, 2, 15,
	}}
	var terminal bytes.Buffer
	root := &cobra.Command{Use: "nx", SilenceUsage: true, SilenceErrors: true}
	root.AddCommand(New(Config{
		Dial:  func(context.Context, string) (netcli.Services, error) { return guest, nil },
		Facts: func(context.Context, string) (doctor.Facts, error) { return healthy, nil },
		In:    strings.NewReader(""), Out: &terminal, Err: &terminal, Clock: new(netclitest.Clock), Patience: time.Minute,
	}))
	args := words(line)
	root.SetArgs(args)
	netcli.Report(root.ExecuteContext(context.Background()), netcli.WantsJSON(args), &terminal, &terminal)
	return terminal.String()
}
