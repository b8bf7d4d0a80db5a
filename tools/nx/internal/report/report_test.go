package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"golang.org/x/net/html"

	"nexus/tools/nx/internal/boot"
	"nexus/tools/nx/internal/capture"
	"nexus/tools/nx/internal/contract"
	"nexus/tools/nx/internal/frame"
)

var update = flag.Bool("update", false, "write the page that is expected")

const ms = time.Millisecond

// recorded is a boot that was recorded: nx boot --nic wire --record --pcap.
func recorded(t testing.TB) Input {
	t.Helper()
	data, err := os.ReadFile("testdata/boot.json")
	if err != nil {
		t.Fatal(err)
	}
	in := Input{Boot: new(boot.Report)}
	if err := json.Unmarshal(data, in.Boot); err != nil {
		t.Fatal(err)
	}
	frames, err := capture.ReadFile("testdata/boot.pcap", in.Boot.Started)
	if err != nil {
		t.Fatal(err)
	}
	in.Frames = Captured(frames)
	return in
}

// complete is the recorded boot with all that a runner can add.
func complete(t testing.TB) Input {
	in := recorded(t)
	b := in.Boot
	b.Name, b.QEMUVersion, b.OpenSBI = "g1", "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)", "v1.1"
	b.Kernel = boot.Image{Path: "build/neuron.img", Size: 1254 << 10, SHA256: "0123456789abcdef"}
	b.Memory, b.SMP, b.System = 128, 1, "Linux 6.1.0 x86_64"
	b.Counters = []boot.Counters{
		{Service: "virtionetd", List: []boot.Counter{{Name: "nic.rx.frames", Value: 17}, {Name: "nic.broken"}, {Name: "nic.interrupts", Value: 31}}},
		{Service: "netstackd", List: []boot.Counter{{Name: "virt0.rx.frames", Value: 17}, {Name: "virt0.rx.drop.short"}}},
	}
	b.Command = []string{"qemu-system-riscv64", "-M", "virt", "-smp", "1", "-m", "128M", "-append", "nexus.profile=deterministic nexus.net=stub", "-display", "none"}
	return in
}

// small is the beginning of the recorded boot, until its service echod.
func small(t testing.TB) Input {
	in := complete(t)
	b := in.Boot
	i := slices.IndexFunc(b.Console, func(l boot.Line) bool { return strings.HasPrefix(l.Text, "neuron:") })
	j := slices.IndexFunc(b.Console, func(l boot.Line) bool { return l.Text == "nexus-init: start echod" })
	b.Console = append(slices.Clone(b.Console[1:2]), b.Console[i:j]...)
	var kept []contract.MarkerProof
	for _, m := range b.Verdict.Markers {
		if m.Number -= i - 1; m.Number < len(b.Console) {
			kept = append(kept, m)
		}
	}
	b.Verdict.Markers = kept
	b.Verdict.Proven, b.Verdict.Evident, b.Verdict.Took = false, 4, kept[len(kept)-1].At
	b.Verdict.Absent = []contract.Expected{{ID: "start-echod", Owner: "nexus-init", Line: "nexus-init: start echod"}}
	b.Verdict.Missing = []string{"start-echod"}
	b.Verdict.Failures = []string{"marker start-echod of nexus-init is missing: nexus-init: start echod"}
	b.Took, b.Ended = kept[len(kept)-1].At+ms, "the machine was stopped"
	in.Frames = in.Frames[:2]
	return in
}

// write is the page of in.
func write(t testing.TB, in Input) []byte {
	t.Helper()
	var page bytes.Buffer
	if err := Write(&page, in); err != nil {
		t.Fatal(err)
	}
	return page.Bytes()
}

func TestGolden(t *testing.T) {
	const path = "testdata/small.html"
	got := write(t, small(t))
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got), "\n")); d != "" {
		t.Errorf("want, got (-update writes what is got):\n%s", d)
	}
}

func TestSameInputSameBytes(t *testing.T) {
	first := write(t, complete(t))
	for range 5 {
		if !bytes.Equal(first, write(t, complete(t))) {
			t.Fatal("two pages of one boot differ")
		}
	}
}

func TestNoBoot(t *testing.T) {
	if err := Write(new(bytes.Buffer), Input{}); !errors.Is(err, ErrNoBoot) {
		t.Errorf("got %v", err)
	}
	write(t, Input{Boot: new(boot.Report)}) // an empty one is a page
}

// attack is what a guest may try: to close what is open, to run a script, to
// load something, to reorder and hide text.
const attack = `</script></style></pre></title>"'><script>alert(1)</script><img src=http://192.0.2.1/x onerror=alert(2)>` + "\x1b[31m\x00\u202e\u2028\xff`${alert(3)}{{.}}"

// hostile is a boot in which everything that can be is an attack.
func hostile(t testing.TB) Input {
	in := complete(t)
	b := in.Boot
	b.NIC, b.Why, b.Net, b.Profile, b.QEMU, b.Ended, b.Stderr, b.Advice = attack, attack, attack, attack, attack, attack, attack, attack
	b.Warnings = []string{attack}
	b.Verdict.Proven = false
	b.Verdict.Failures = []string{attack, "marker x has no evidence: " + attack, "forbidden line (" + attack + `): "` + attack + `"`}
	b.Verdict.Missing = []string{attack}
	b.Verdict.Absent = []contract.Expected{{ID: attack, Owner: attack, Line: attack}}
	b.Verdict.Forbidden = []int{0, -5, 1 << 40}
	for i := range b.Host {
		b.Host[i].Ask, b.Host[i].Error, b.Host[i].OK = attack, attack, false
	}
	for i := range b.Console {
		b.Console[i].Text += attack
	}
	for i := range b.Verdict.Markers {
		m := &b.Verdict.Markers[i]
		m.Line += attack
		switch i % 4 {
		case 0:
			m.ID += attack
		case 1:
			m.ID, m.At = "twice", -time.Hour
		case 2:
			m.Number, m.Unproven = -1, attack
		}
		m.Evidence = append(m.Evidence, contract.Finding{What: attack, Found: i%2 == 0, Frames: []int{i, -1, 1 << 40}})
	}
	for i := range in.Frames {
		in.Frames[i].Raw = slices.Concat(in.Frames[i].Raw[:min(i*3, len(in.Frames[i].Raw))], []byte(attack))
	}
	in.Frames = append(in.Frames,
		Frame{time.Second, frame.UDP(frame.Guest, frame.Host, 1, 2, []byte(attack+strings.Repeat(" and on", 50)))},
		Frame{time.Second, segment(frame.Guest, frame.Host, 1, 8080, 1, false, "GET /"+attack+" HTTP/1.1\r\n\r\n")},
		Frame{-time.Second, nil})
	in.Boot.Name, in.Boot.QEMUVersion, in.Boot.OpenSBI, in.Boot.System, in.Boot.NX = attack, attack, attack, attack, attack
	in.Boot.Kernel = boot.Image{Path: attack, Size: -1, SHA256: attack}
	in.Boot.Counters = []boot.Counters{{Service: attack, List: []boot.Counter{{Name: attack, Value: 1}, {Name: attack}}}}
	in.Boot.Command = []string{attack, "-" + attack, ""}
	return in
}

// busy is the recorded boot and a download, whose frames are alike.
func busy(t testing.TB) Input {
	in := complete(t)
	data := strings.Repeat("0123456789abcdef", 90)
	for i := range 20 {
		at := in.Boot.Took + time.Duration(i)*ms
		in.Frames = append(in.Frames,
			Frame{at, segment(frame.Host, frame.Guest, 8080, 50000, uint32(i*len(data)), false, data)},
			Frame{at, segment(frame.Guest, frame.Host, 50000, 8080, 1, false, "")})
	}
	return in
}

// flooded is a boot with more of everything than a page shows.
func flooded(t testing.TB) Input {
	in := recorded(t)
	at := in.Boot.Took
	add := func(raw []byte) {
		at += 10 * time.Microsecond
		in.Frames = append(in.Frames, Frame{at, raw})
	}
	data := strings.Repeat("0123456789abcdef", 90)
	for i := range 600 {
		add(segment(frame.Host, frame.Guest, 8080, 50000, uint32(i*len(data)), false, data))
		add(segment(frame.Guest, frame.Host, 50000, 8080, 1, false, ""))
	}
	for i := range 2000 {
		add(frame.UDP(frame.Guest, frame.Host, uint16(1000+i), 9, []byte(data)))
	}
	last := len(in.Frames) - 1
	in.Boot.Verdict.Markers[2].Evidence[0].Frames = []int{0, 100, last - 5, last + 1}
	for range 20_000 {
		in.Boot.Console = append(in.Boot.Console, boot.Line{At: at, Text: "again"})
	}
	for i := range 100 {
		in.Boot.Console = append(in.Boot.Console, boot.Line{At: at, Text: "nexus-init: start service" + strings.Repeat("x", i%30)})
	}
	return in
}

func segment(from, to frame.Station, sport, dport uint16, seq uint32, syn bool, data string) []byte {
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: from.IP.AsSlice(), DstIP: to.IP.AsSlice()}
	tcp := &layers.TCP{SrcPort: layers.TCPPort(sport), DstPort: layers.TCPPort(dport), Seq: seq, SYN: syn, ACK: !syn, Window: 65535}
	if err := tcp.SetNetworkLayerForChecksum(ip); err != nil {
		panic(err)
	}
	buf := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
		&layers.Ethernet{SrcMAC: from.MAC, DstMAC: to.MAC, EthernetType: layers.EthernetTypeIPv4}, ip, tcp, gopacket.Payload(data))
	if err != nil {
		panic(err)
	}
	return buf.Bytes()
}

// Nothing that the guest or the wire says becomes part of the page's structure.
func TestHostile(t *testing.T) {
	page := write(t, hostile(t))
	for _, bad := range []string{"\x00", "\x1b", "\u202e", "\u2028", "\xff", "<script>alert", "<img"} {
		if i := bytes.Index(page, []byte(bad)); i >= 0 {
			t.Errorf("%q stands in the page: …%q", bad, page[max(0, i-40):min(len(page), i+40)])
		}
	}
	if !bytes.Contains(page, []byte(`<b class="esc">\x1b</b>[31m<b class="esc">\x00\u202e\u2028\xff</b>`)) {
		t.Error("controls do not show")
	}
	checkStructure(t, page)
}

// checkStructure checks that a page has the elements that the template has, and
// that nothing in it loads anything.
func checkStructure(t *testing.T, page []byte) {
	t.Helper()
	root, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	ids := map[string]bool{}
	var links []string
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		counts[n.Data]++
		for _, a := range n.Attr {
			switch {
			case a.Key == "id":
				if ids[a.Val] {
					t.Errorf("id %q is used twice", a.Val)
				}
				ids[a.Val] = true
			case a.Key == "href" && n.Data == "link":
				if a.Val != "data:," {
					t.Errorf("the page links %q", a.Val)
				}
			case a.Key == "href":
				links = append(links, a.Val)
			case strings.HasPrefix(a.Key, "on"), a.Key == "src", a.Key == "style", a.Key == "srcset", a.Key == "action":
				t.Errorf("<%s> has %s=%q", n.Data, a.Key, a.Val)
			}
		}
	}
	for name, want := range map[string]int{"script": 1, "style": 1, "link": 1, "img": 0, "iframe": 0, "object": 0, "base": 0, "form": 0, "meta": 4} {
		if counts[name] != want {
			t.Errorf("%d of <%s>, want %d", counts[name], name, want)
		}
	}
	for _, l := range links {
		if name, inside := strings.CutPrefix(l, "#"); !inside || !ids[name] {
			t.Errorf("the link %q leads nowhere", l)
		}
	}
}

func TestStructure(t *testing.T) {
	for name, in := range map[string]Input{"complete": complete(t), "small": small(t), "flooded": flooded(t), "empty": {Boot: new(boot.Report)}} {
		t.Run(name, func(t *testing.T) { checkStructure(t, write(t, in)) })
	}
}

// A flood gives a page of bounded size that says what it leaves out.
func TestBounded(t *testing.T) {
	page := write(t, flooded(t))
	t.Logf("%d bytes", len(page))
	if len(page) > 12<<20 {
		t.Errorf("the page has %d bytes", len(page))
	}
	for _, want := range []string{"frames are left out here", "lines are left out", "more bytes, in the capture", "frames alike", "have no lane"} {
		if !bytes.Contains(page, []byte(want)) {
			t.Errorf("no word of %q", want)
		}
	}
}

// A report made before verdicts named frames and lines is a page too.
func TestOlderReport(t *testing.T) {
	in := recorded(t)
	v := &in.Boot.Verdict
	v.Proven, v.Missing, v.Failures = false, []string{"gone"}, []string{"marker gone of x is missing: x"}
	for i := range v.Markers {
		v.Markers[i].Number, v.Markers[i].Unproven = 0, ""
		for j := range v.Markers[i].Evidence {
			v.Markers[i].Evidence[j].Frames = nil
		}
	}
	page := write(t, in)
	checkStructure(t, page)
	if !bytes.Contains(page, []byte("<code>gone</code>")) {
		t.Error("the missing marker is not on the page")
	}
}

// FuzzWrite: nothing the guest or the wire says breaks the page.
func FuzzWrite(f *testing.F) {
	f.Add(attack, []byte(attack))
	for _, fr := range recorded(f).Frames {
		f.Add("nexus-init: start x", fr.Raw)
	}
	f.Fuzz(func(t *testing.T, said string, raw []byte) {
		in := small(t)
		in.Frames = append(in.Frames, Frame{ms, raw})
		in.Boot.Console = append(in.Boot.Console, boot.Line{At: ms, Text: said})
		in.Boot.Verdict.Markers[0].Line = said
		checkStructure(t, write(t, in))
	})
}
