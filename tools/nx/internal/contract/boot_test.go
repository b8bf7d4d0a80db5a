package contract

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"nexus/tools/nx/internal/capture"
	"nexus/tools/nx/internal/frame"
)

// boot is a synthetic boot: what a console, a capture and a host say.
type boot struct {
	mode   Mode
	lines  []Line
	frames []capture.Frame
	asked  map[string]bool
	files  map[string]int64
	exit   int
}

const ms = time.Millisecond

func (b *boot) say(at time.Duration, text string) { b.lines = append(b.lines, Line{at, text}) }

func (b *boot) frame(at time.Duration, raw []byte) {
	b.frames = append(b.frames, capture.Frame{At: at, Summary: frame.Describe(raw)})
}

// good is a boot with the stub that must be proven.
func good() *boot {
	b := &boot{
		mode:  Mode{"net": "stub", "nic": "wire", "profile": "deterministic", "stay": "no"},
		asked: map[string]bool{"arp": true, "ping": true, "udp": true},
		files: map[string]int64{"pkg/fixtures/hello.txt": 28},
	}
	guest, host := frame.Guest, frame.Host
	at := 60 * ms
	lines := func(texts ...string) {
		for _, text := range texts {
			b.say(at, text)
			at += ms
		}
	}
	lines("OpenSBI v1.1", "neuron: entropy fixed, deterministic profile", "nexus-init: profile deterministic",
		"nexus-init: start virtionetd", "virtionetd: ready",
		"virtionetd: mmio=0x10002000 irq=2 mac=02:00:00:00:00:01 mtu=1500", "nexus-init: virtionetd ready",
		"nexus-init: start netstackd", "netstackd: ready", "netstackd: lo up", "netstackd: virt0 dhcp addr=10.0.2.15",
		"nexus-init: netstackd ready")
	b.frame(at, frame.ARPRequest(guest, guest.IP)) // gratuitous
	lines("nexus-init: start packagefsd", "packagefsd: ready", "nexus-init: packagefsd ready",
		"nexus-init: start echod", "echod: ready", "echod: listen udp/7", "nexus-init: echod ready",
		"nexus-init: start fetchd", "fetchd: ready",
		"fetchd: get http://127.0.0.1:8080/hello ok bytes=17", "fetchd: body hello from echod",
		"fetchd: get pkg://fixtures/hello.txt ok bytes=28")
	b.exchangeHTTP(at, 50000, "hello from the host\n")
	lines("virtionetd: rx frame len=60", "fetchd: get http://10.0.2.2:8080/hello ok bytes=20",
		"nexus-init: fetchd ready", "nexus-init: start selftest-client", "SELFTEST: net lo ping ok")
	b.exchangeHTTP(at, 50001, "hello from the host\n")
	lines("SELFTEST: net fetch echo ok")

	at = 180 * ms
	b.frame(180*ms, frame.UDP(guest, host, 40000, 7, []byte("selftest")))
	b.frame(181*ms, frame.ARPRequest(host, guest.IP))
	b.frame(182*ms, arpReply(guest, host))
	b.say(182*ms, "netstackd: recv arp who-has")
	b.frame(183*ms, frame.Ping(host, guest, 1, 1, []byte("ping")))
	b.frame(185*ms, frame.UDP(host, guest, 40007, 7, []byte("asked")))
	b.frame(186*ms, frame.UDP(guest, host, 7, 40007, []byte("asked")))
	b.frame(187*ms, frame.UDP(host, guest, 7, 40000, []byte("selftest")))
	at = 190 * ms
	lines("SELFTEST: net udp echo ok", "nexus-init: selftest-client done",
		"nexus-init: start selftest-rights", "nexus-init: selftest-rights done",
		"nexus-init: start nx", "nx: net if n=2", "nexus-init: nx done",
		"nexus-init: start controld", "controld: ready", "nexus-init: controld ready",
		"nexus-init: rights ok n=40",
		"nexus-init: memory nexus-init rss=900 KiB shared=800 KiB", "nexus-init: done",
		"neuron: power off, init exited with status 0")
	return b
}

func arpReply(from, to frame.Station) []byte {
	buf := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{},
		&layers.Ethernet{SrcMAC: from.MAC, DstMAC: to.MAC, EthernetType: layers.EthernetTypeARP},
		&layers.ARP{
			AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4,
			HwAddressSize: 6, ProtAddressSize: 4, Operation: layers.ARPReply,
			SourceHwAddress: from.MAC, SourceProtAddress: from.IP.AsSlice(),
			DstHwAddress: to.MAC, DstProtAddress: to.IP.AsSlice(),
		})
	if err != nil {
		panic(err)
	}
	return buf.Bytes()
}

// exchangeHTTP adds GET /hello to the host and its answer in two segments, the
// second of which overtakes the first, which is also sent twice.
func (b *boot) exchangeHTTP(at time.Duration, port uint16, body string) {
	answer := "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n" + body
	guest := func(seq uint32, syn bool, data string) {
		b.frame(at, segment(frame.Guest, frame.Host, port, 8080, seq, syn, data))
	}
	host := func(seq uint32, syn bool, data string) {
		b.frame(at, segment(frame.Host, frame.Guest, 8080, port, seq, syn, data))
	}
	isn := uint32(0xfffffffe) // wraps within the stream
	guest(isn, true, "")
	host(isn, true, "")
	guest(isn+1, false, "GET /hello HTTP/1.1\r\nHost: 10.0.2.2:8080\r\n\r\n")
	host(isn+1+10, false, answer[10:])
	host(isn+1, false, answer[:10])
	host(isn+1, false, answer[:10])
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
	raw := buf.Bytes()
	// A card pads short frames.
	if len(raw) < 60 {
		raw = append(raw, make([]byte, 60-len(raw))...)
	}
	return raw
}

func (b *boot) judge(t *testing.T) Verdict {
	t.Helper()
	c, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	track := c.Track(b.mode)
	for _, l := range b.lines {
		track.Feed(l)
	}
	return track.Judge(Outside{Frames: b.frames, HostAsked: b.asked, Files: b.files, Exit: &b.exit})
}

// line gives the place of the first line with this beginning.
func (b *boot) line(beginning string) int {
	i := slices.IndexFunc(b.lines, func(l Line) bool { return strings.HasPrefix(l.Text, beginning) })
	if i < 0 {
		panic("no line " + beginning)
	}
	return i
}

func (b *boot) without(drop func(*capture.Frame) bool) {
	b.frames = slices.DeleteFunc(b.frames, func(f capture.Frame) bool { return drop(&f) })
}

func TestGoodBootIsProven(t *testing.T) {
	v := good().judge(t)
	if !v.Proven || v.Evident < 16 {
		t.Errorf("proven %v with %d evident: %q", v.Proven, v.Evident, v.Failures)
	}
	b := good()
	if last := b.lines[len(b.lines)-1].At; v.Took != last {
		t.Errorf("took %v, want %v", v.Took, last)
	}
}

// A guest that stays has no power-off to wait for, and may power off when it is asked to.
func TestStayingGuest(t *testing.T) {
	b := good()
	b.mode["stay"] = "yes"
	b.say(time.Minute, "nexus-init: asked to stop")
	if v := b.judge(t); !v.Proven {
		t.Errorf("with a power-off: %q", v.Failures)
	}
	b.lines = b.lines[:b.line("neuron: power off")]
	if v := b.judge(t); !v.Proven {
		t.Errorf("without: %q", v.Failures)
	}
}

func TestWithoutAnyOneLineNotProven(t *testing.T) {
	for i := range good().lines {
		b := good()
		gone := b.lines[i].Text
		b.lines = slices.Delete(b.lines, i, i+1)
		// Two lines are nobody's marker.
		if want := strings.HasPrefix(gone, "OpenSBI") || strings.HasPrefix(gone, "fetchd: body"); b.judge(t).Proven != want {
			t.Errorf("without %q: proven %v, want %v", gone, !want, want)
		}
	}
}

func TestSwappedNeighboursNotProven(t *testing.T) {
	// These may come earlier or later, within bounds.
	loose := []string{"OpenSBI", "fetchd: body", "virtionetd: rx", "netstackd: recv"}
	for i := range len(good().lines) - 1 {
		b := good()
		first, second := b.lines[i].Text, b.lines[i+1].Text
		b.lines[i], b.lines[i+1] = b.lines[i+1], b.lines[i]
		free := slices.ContainsFunc(loose, func(s string) bool {
			return strings.HasPrefix(first, s) || strings.HasPrefix(second, s)
		}) && !strings.HasPrefix(second, "SELFTEST: net udp")
		if !free && b.judge(t).Proven {
			t.Errorf("%q before %q is proven", second, first)
		}
	}
}

func TestBadBootsNotProven(t *testing.T) {
	for name, tc := range map[string]struct {
		spoil func(b *boot)
		says  string
	}{
		"a marker twice": {func(b *boot) {
			b.say(196*ms, "echod: ready")
		}, "twice"},
		"a kernel failure": {func(b *boot) {
			b.say(196*ms, "neuron: fatal: bad trap")
		}, "forbidden"},
		"a program's crash": {func(b *boot) {
			b.say(196*ms, "panic: runtime error: index out of range")
		}, "forbidden"},
		"a failed selftest": {func(b *boot) {
			b.say(196*ms, "SELFTEST: net udp echo FAILED")
		}, "forbidden"},
		"another MAC": {func(b *boot) {
			l := &b.lines[b.line("virtionetd: mmio")]
			l.Text = strings.Replace(l.Text, "02:00:00:00:00:01", "52:54:00:12:34:56", 1)
		}, "virtionetd-device"},
		"another address": {func(b *boot) {
			b.lines[b.line("netstackd: virt0")].Text = "netstackd: virt0 dhcp addr=10.0.2.16"
		}, "virt0-dhcp"},
		"words after a marker": {func(b *boot) {
			b.lines[b.line("echod: ready")].Text = "echod: ready or not"
		}, "echod-ready"},
		"a marker of another mode": {func(b *boot) {
			b.say(150*ms, "nexus-init: profile default")
		}, "does not belong"},
		"too late": {func(b *boot) {
			b.lines[len(b.lines)-1].At = time.Minute
		}, "its bound is"},
		"QEMU's status": {func(b *boot) { b.exit = 1 }, "status 1"},
		"no capture":    {func(b *boot) { b.frames = nil }, "no evidence"},
		"nobody answered the host's ARP": {func(b *boot) {
			b.asked["arp"] = false
		}, "own arp"},
		"nobody answered the host's ping": {func(b *boot) {
			b.asked["ping"] = false
		}, "own ping"},
		"no ARP reply on the wire": {func(b *boot) {
			b.without(func(f *capture.Frame) bool { return f.Kind == frame.ARPReplyKind })
		}, "arp-who-has"},
		"a received frame nobody sent": {func(b *boot) {
			b.lines[b.line("virtionetd: rx")].Text = "virtionetd: rx frame len=61"
		}, "virtionetd-rx"},
		"no answer to the selftest's datagram": {func(b *boot) {
			b.without(func(f *capture.Frame) bool { return f.Kind == frame.UDPKind && f.SrcPort == 7 && !f.FromGuest() })
		}, "selftest-udp"},
		"another payload in the answer": {func(b *boot) {
			b.without(func(f *capture.Frame) bool { return f.Kind == frame.UDPKind && f.SrcPort == 7 && !f.FromGuest() })
			b.frame(187*ms, frame.UDP(frame.Host, frame.Guest, 7, 40000, []byte("selftesT")))
		}, "selftest-udp"},
		"an answer to another port": {func(b *boot) {
			b.without(func(f *capture.Frame) bool { return f.Kind == frame.UDPKind && f.SrcPort == 7 && !f.FromGuest() })
			b.frame(187*ms, frame.UDP(frame.Host, frame.Guest, 7, 40001, []byte("selftest")))
		}, "selftest-udp"},
		"an answer before the question": {func(b *boot) {
			slices.Reverse(b.frames)
		}, "selftest-udp"},
		"a marker before the answer": {func(b *boot) {
			b.lines[b.line("SELFTEST: net udp")].At = 186 * ms
		}, "selftest-udp"},
		"a wrong checksum": {func(b *boot) {
			b.without(func(f *capture.Frame) bool { return f.Kind == frame.UDPKind && f.SrcPort == 7 && f.FromGuest() })
			raw := frame.UDP(frame.Guest, frame.Host, 7, 40007, []byte("asked"))
			raw[bytes.Index(raw, []byte("asked"))-1] ^= 1 // the UDP checksum's low byte
			b.frame(186*ms, raw)
		}, "echod-udp"},
		"one fetch of the host's page instead of two": {func(b *boot) {
			b.without(func(f *capture.Frame) bool { return f.SrcPort == 50001 })
		}, "selftest-fetch"},
		"the loopback on the wire": {func(b *boot) {
			b.frame(150*ms, frame.UDP(frame.Guest, frame.Station{MAC: frame.Host.MAC, IP: loopback}, 1, 2, nil))
		}, "lo-up"},
		"DHCP on the wire with the stub": {func(b *boot) {
			b.frame(121*ms, discover)
		}, "virt0-dhcp"},
		"fewer bytes than the host sent": {func(b *boot) {
			b.lines[b.line("fetchd: get http://10")].Text = "fetchd: get http://10.0.2.2:8080/hello ok bytes=19"
		}, "fetch-host"},
		"a hole in the host's answer": {func(b *boot) {
			b.without(func(f *capture.Frame) bool { return len(f.Payload) == 10 && !f.FromGuest() })
		}, "fetch-host"},
		"another size than the archive's file": {func(b *boot) {
			b.files["pkg/fixtures/hello.txt"] = 29
		}, "fetch-package"},
		"a package that is not there": {func(b *boot) { b.files = nil }, "fetch-package"},
	} {
		t.Run(name, func(t *testing.T) {
			b := good()
			tc.spoil(b)
			v := b.judge(t)
			if v.Proven {
				t.Fatal("proven")
			}
			if all := strings.Join(v.Failures, "\n"); !strings.Contains(all, tc.says) {
				t.Errorf("no word of %q in:\n%s", tc.says, all)
			}
		})
	}
}

func TestDHCPOnTheWire(t *testing.T) {
	b := good()
	b.mode["net"] = "dhcp"
	if b.judge(t).Proven {
		t.Fatal("proven without DHCP frames")
	}
	b.frames = nil
	for _, kind := range []struct {
		name frame.Kind
		mac  frame.Station
	}{{"dhcp.discover", frame.Guest}, {"dhcp.offer", frame.Host}, {"dhcp.request", frame.Guest}, {"dhcp.ack", frame.Host}} {
		b.frames = append(b.frames, capture.Frame{At: 60 * ms, Summary: frame.Summary{Kind: kind.name, SrcMAC: kind.mac.MAC}})
	}
	b.frames = append(b.frames, good().frames...)
	if v := b.judge(t); !v.Proven {
		t.Errorf("not proven: %q", v.Failures)
	}
	b.frames = slices.Delete(b.frames, 3, 4) // the ACK
	if b.judge(t).Proven {
		t.Error("proven without an ACK")
	}
}

// On QEMU's user network the host asks neither ARP nor ping; everywhere else a
// boot without them stays unproven, and there nobody may claim them.
func TestUserNetwork(t *testing.T) {
	user := func(nic string) *boot {
		b := good()
		b.mode["nic"] = nic
		b.asked = map[string]bool{"udp": true}
		b.lines = slices.Delete(b.lines, b.line("netstackd: recv"), b.line("netstackd: recv")+1)
		b.without(func(f *capture.Frame) bool {
			return !f.FromGuest() && (f.Kind == frame.ARPRequestKind || f.Kind == frame.PingKind)
		})
		return b
	}
	if v := user("user").judge(t); !v.Proven || v.Evident != 15 {
		t.Errorf("proven %v with %d evident: %q", v.Proven, v.Evident, v.Failures)
	}
	for _, nic := range []string{"tap", "wire", "none"} {
		if v := user(nic).judge(t); v.Proven || !slices.Contains(v.Missing, "arp-who-has") ||
			!strings.Contains(strings.Join(v.Failures, " "), "the host's own ping answered") {
			t.Errorf("%s: proven %v: %q", nic, v.Proven, v.Failures)
		}
	}
	deaf := user("user")
	deaf.asked["udp"] = false
	claims := user("user")
	claims.say(189*ms, "netstackd: recv arp who-has")
	for name, b := range map[string]*boot{"deaf": deaf, "claims ARP": claims} {
		if b.judge(t).Proven {
			t.Errorf("%s: proven", name)
		}
	}
}

// A capture full of questions that nobody answered is searched in a bounded number of steps.
func TestFloodedCapture(t *testing.T) {
	flood := make([]capture.Frame, 10_000)
	for i := range flood {
		flood[i] = capture.Frame{At: ms, Summary: frame.Summary{
			Kind: frame.UDPKind, SrcMAC: frame.Guest.MAC, SrcIP: frame.Guest.IP, DstIP: frame.Host.IP, SrcPort: uint16(i), DstPort: 7,
		}}
	}
	answers := slices.Clone(flood)
	for i := range answers {
		answers[i].SrcMAC = frame.Host.MAC
		answers[i].SrcPort, answers[i].DstPort = 7, 0xffff
	}
	var frames []*capture.Frame
	for _, half := range [][]capture.Frame{flood, answers} {
		for i := range half {
			frames = append(frames, &half[i])
		}
	}
	// To try each of the questions with each of the answers would take a hundred million.
	s := search{}
	if s.find([]Pattern{{Kind: "udp"}, {Kind: "udp", Echoes: 1}}, frames, nil) != nil {
		t.Error("an answer was found")
	}
	if s.steps < maxSteps || s.steps > maxSteps+len(frames) {
		t.Errorf("gave up after %d steps, want about %d", s.steps, maxSteps)
	}
}

func TestParseRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":            ``,
		"no markers":         `{"budget_ms": 1}`,
		"no budget":          `{"markers":[{"id":"a","owner":"o","line":"x","unproven":"y"}]}`,
		"an unknown field":   `{"budget_ms":1,"markers":[{"id":"a","owner":"o","line":"x","unproven":"y","evidense":[]}]}`,
		"no reason":          `{"budget_ms":1,"markers":[{"id":"a","owner":"o","line":"x"}]}`,
		"reason and proof":   `{"budget_ms":1,"markers":[{"id":"a","owner":"o","line":"x","unproven":"y","evidence":[{"host":"arp"}]}]}`,
		"an id twice":        `{"budget_ms":1,"markers":[{"id":"a","owner":"o","line":"x","unproven":"y"},{"id":"a","owner":"o","line":"z","unproven":"y"}]}`,
		"before nothing":     `{"budget_ms":1,"markers":[{"id":"a","owner":"o","line":"x","before":"b","unproven":"y"}]}`,
		"a later marker":     `{"budget_ms":1,"markers":[{"id":"a","owner":"o","line":"x","after":["b"],"unproven":"y"},{"id":"b","owner":"o","line":"z","unproven":"y"}]}`,
		"no such group":      `{"budget_ms":1,"markers":[{"id":"a","owner":"o","line":"x","evidence":[{"frames":[{"len":"$n"}]}]}]}`,
		"two in one":         `{"budget_ms":1,"markers":[{"id":"a","owner":"o","line":"x","evidence":[{"host":"arp","no_frame":{"from":"host"}}]}]}`,
		"an empty evidence":  `{"budget_ms":1,"markers":[{"id":"a","owner":"o","line":"x","evidence":[{}]}]}`,
		"a bad expression":   `{"budget_ms":1,"markers":[{"id":"a","owner":"o","line":"(","unproven":"y"}]}`,
		"a bad address":      `{"budget_ms":1,"markers":[{"id":"a","owner":"o","line":"x","evidence":[{"frames":[{"dst":"10.0.2"}]}]}]}`,
		"an echo of a later": `{"budget_ms":1,"markers":[{"id":"a","owner":"o","line":"x","evidence":[{"frames":[{"echoes":1}]}]}]}`,
		"nobody's frame":     `{"budget_ms":1,"markers":[{"id":"a","owner":"o","line":"x","evidence":[{"frames":[{"from":"peer"}]}]}]}`,
		"forbidden for fun":  `{"budget_ms":1,"markers":[{"id":"a","owner":"o","line":"x","unproven":"y"}],"forbidden":[{"line":"x"}]}`,
	} {
		if _, err := Parse([]byte(text)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// The verdict names the frames that are a marker's evidence, also those of an
// exchange put together from segments, and the line that the marker is.
func TestEvidenceNamesFrames(t *testing.T) {
	b := good()
	v := b.judge(t)
	want := map[string][]int{
		"virtionetd-ready": {0},
		"fetch-host":       {1, 2, 3, 4, 5},
		"arp-who-has":      {14, 15},
		"echod-udp":        {17, 18},
		"selftest-udp":     {13, 19},
	}
	for _, m := range v.Markers {
		if b.lines[m.Number].Text != m.Line {
			t.Errorf("%s: line %d is %q, want %q", m.ID, m.Number, b.lines[m.Number].Text, m.Line)
		}
		if (len(m.Evidence) == 0) == (m.Unproven == "") {
			t.Errorf("%s: neither evidence nor a reason, or both", m.ID)
		}
		frames, named := want[m.ID]
		if !named {
			continue
		}
		var got []int
		for _, f := range m.Evidence {
			got = append(got, f.Frames...)
		}
		if !slices.Equal(got, frames) {
			t.Errorf("%s: got %v, want %v", m.ID, got, frames)
		}
	}
}

// What speaks against a boot is named too.
func TestVerdictNamesTheOffenders(t *testing.T) {
	b := good()
	b.frame(150*ms, frame.UDP(frame.Guest, frame.Station{MAC: frame.Host.MAC, IP: loopback}, 1, 2, nil))
	b.lines = slices.Insert(b.lines, 1, Line{60 * ms, "panic: no"})
	b.lines = slices.DeleteFunc(b.lines, func(l Line) bool { return l.Text == "echod: ready" })
	v := b.judge(t)
	if !slices.Equal(v.Forbidden, []int{1}) {
		t.Errorf("forbidden lines %v, want 1", v.Forbidden)
	}
	if want := []Expected{{"echod-ready", "echod", "echod: ready"}}; !slices.Equal(v.Absent, want) {
		t.Errorf("absent %v, want %v", v.Absent, want)
	}
	i := slices.IndexFunc(v.Markers, func(m MarkerProof) bool { return m.ID == "lo-up" })
	if f := v.Markers[i].Evidence[0]; f.Found || !slices.Equal(f.Frames, []int{len(b.frames) - 1}) {
		t.Errorf("got %+v, want the last frame", f)
	}
}

// A Finding names a bounded number of frames.
func TestNamedFramesAreBounded(t *testing.T) {
	b := good()
	for range 2 * MaxNamed {
		b.exchangeHTTP(70*ms, uint16(51000+len(b.frames)), "hello from the host\n")
	}
	for _, m := range b.judge(t).Markers {
		for _, f := range m.Evidence {
			if len(f.Frames) > MaxNamed {
				t.Errorf("%s names %d frames", m.ID, len(f.Frames))
			}
		}
	}
}
