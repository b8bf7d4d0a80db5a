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
	b.say(60*ms, "OpenSBI v1.1")
	b.say(100*ms, "nexus-init: profile deterministic")
	b.say(110*ms, "virtionetd: ready")
	b.say(111*ms, "virtionetd: mmio=0x10002000 irq=2 mac=02:00:00:00:00:01 mtu=1500")
	b.say(120*ms, "netstackd: ready")
	b.say(121*ms, "netstackd: lo up")
	b.say(122*ms, "netstackd: virt0 dhcp addr=10.0.2.15")
	b.frame(123*ms, frame.ARPRequest(guest, guest.IP)) // gratuitous
	b.say(130*ms, "echod: ready")
	b.say(131*ms, "echod: listen udp/7")
	b.say(140*ms, "fetchd: ready")
	b.say(145*ms, "fetchd: get http://127.0.0.1:8080/hello ok bytes=15")
	b.exchangeHTTP(150*ms, "hello from the host\n")
	b.say(160*ms, "virtionetd: rx frame len=60")
	b.say(161*ms, "fetchd: get http://10.0.2.2:8080/hello ok bytes=20")
	b.say(165*ms, "fetchd: get pkg://fixtures/hello.txt ok bytes=28")
	b.say(170*ms, "SELFTEST: net lo ping ok")
	b.say(171*ms, "SELFTEST: net fetch echo ok")
	b.frame(180*ms, frame.UDP(guest, host, 40000, 7, []byte("selftest")))
	b.frame(181*ms, frame.ARPRequest(host, guest.IP))
	b.frame(182*ms, arpReply(guest, host))
	b.say(182*ms, "netstackd: recv arp who-has 10.0.2.15 from 10.0.2.2")
	b.frame(183*ms, frame.Ping(host, guest, 1, 1, []byte("ping")))
	b.frame(185*ms, frame.UDP(host, guest, 40007, 7, []byte("asked")))
	b.frame(186*ms, frame.UDP(guest, host, 7, 40007, []byte("asked")))
	b.frame(187*ms, frame.UDP(host, guest, 7, 40000, []byte("selftest")))
	b.say(190*ms, "SELFTEST: net udp echo ok")
	b.say(191*ms, "nexus-init: rights ok n=40")
	b.say(192*ms, "nexus-init: done")
	b.say(195*ms, "neuron: power off, init exited with status 0")
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
func (b *boot) exchangeHTTP(at time.Duration, body string) {
	answer := "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n" + body
	guest := func(seq uint32, syn bool, data string) {
		b.frame(at, segment(frame.Guest, frame.Host, 50000, 8080, seq, syn, data))
	}
	host := func(seq uint32, syn bool, data string) {
		b.frame(at, segment(frame.Host, frame.Guest, 8080, 50000, seq, syn, data))
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
	if !v.Proven || v.Evident < 14 {
		t.Errorf("proven %v with %d evident: %q", v.Proven, v.Evident, v.Failures)
	}
	if v.Took != 195*ms {
		t.Errorf("took %v", v.Took)
	}
}

func TestWithoutAnyOneLineNotProven(t *testing.T) {
	for i := range good().lines {
		b := good()
		gone := b.lines[i].Text
		b.lines = slices.Delete(b.lines, i, i+1)
		// The firmware's line is nobody's marker.
		if want := strings.HasPrefix(gone, "OpenSBI"); b.judge(t).Proven != want {
			t.Errorf("without %q: proven %v, want %v", gone, !want, want)
		}
	}
}

func TestSwappedNeighboursNotProven(t *testing.T) {
	// These may come in any order, as others run meanwhile.
	loose := []string{"OpenSBI", "virtionetd: rx", "fetchd: get http://10", "fetchd: get pkg", "netstackd: recv", "SELFTEST: net lo ping"}
	for i := range len(good().lines) - 1 {
		b := good()
		first, second := b.lines[i].Text, b.lines[i+1].Text
		b.lines[i], b.lines[i+1] = b.lines[i+1], b.lines[i]
		free := slices.ContainsFunc(loose, func(s string) bool {
			return strings.HasPrefix(first, s) || strings.HasPrefix(second, s) && !strings.HasPrefix(s, "fetchd")
		})
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
			i := b.line("virtionetd: mmio")
			b.lines[i].Text = strings.Replace(b.lines[i].Text, "02:00:00:00:00:01", "52:54:00:12:34:56", 1)
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
		b.frames = append(b.frames, capture.Frame{At: 121 * ms, Summary: frame.Summary{Kind: kind.name, SrcMAC: kind.mac.MAC}})
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

func TestStayingBoot(t *testing.T) {
	b := good()
	b.mode["stay"] = "yes"
	b.lines = b.lines[:len(b.lines)-1]
	if v := b.judge(t); !v.Proven {
		t.Errorf("not proven: %q", v.Failures)
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
