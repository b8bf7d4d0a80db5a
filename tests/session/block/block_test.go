package block

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const document = "# Title\n\n<!-- boot:begin: a remark -->\n```\n$ make run\nnexus: up\n\n$ nx stop\n```\n<!-- boot:end -->\n\nMore.\n"

func TestFind(t *testing.T) {
	got, ok, err := Find(document, "boot")
	want := []Command{{"make run", []string{"nexus: up", ""}}, {"nx stop", nil}}
	if err != nil || !ok || !reflect.DeepEqual(got.Commands, want) {
		t.Fatalf("got %+v, %v, %v", got, ok, err)
	}
	if same := got.Replace(document, got.Commands); same != document {
		t.Errorf("replaced by itself: %q", same)
	}
	other := got.Replace(document, []Command{{"true", nil}})
	if want := strings.Replace(document, "$ make run\nnexus: up\n\n$ nx stop\n", "$ true\n", 1); other != want {
		t.Errorf("replaced: %q", other)
	}
	if _, ok, err := Find(document, "session"); ok || err != nil {
		t.Errorf("a block that is not there: %v, %v", ok, err)
	}
}

func TestFindRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"no end":            "<!-- x:begin -->\n```\n$ a\n```\n",
		"end before":        "<!-- x:end -->\n<!-- x:begin -->\n```\n$ a\n```\n",
		"no fences":         "<!-- x:begin -->\n$ a\n<!-- x:end -->\n",
		"one fence":         "<!-- x:begin -->\n```\n$ a\n<!-- x:end -->\n",
		"nothing in it":     "<!-- x:begin -->\n```\n```\n<!-- x:end -->\n",
		"output of nothing": "<!-- x:begin -->\n```\nout\n$ a\n```\n<!-- x:end -->\n",
		"an empty command":  "<!-- x:begin -->\n```\n$ \n```\n<!-- x:end -->\n",
	} {
		if _, ok, err := Find(text, "x"); !ok || !errors.Is(err, ErrBlock) {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
}

func TestNormal(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{"   0.141 * nexus-init: start virtionetd", "TIME * nexus-init: start virtionetd"},
		{"  12.222 ! nexus-init: boot failed", "TIME ! nexus-init: boot failed"},
		{"   0.475 * nexus-init: memory nexus-init rss=1076 KiB shared=3120 KiB", "TIME * nexus-init: memory nexus-init rss=N KiB shared=N KiB"},
		{"nexus: boot proven: 36 markers, 16 with evidence, 0.48 s", "nexus: boot proven: 36 markers, 16 with evidence, SPAN"},
		{"build/neuron.img: 1254 KiB and 6143 KiB of zeroed memory, 708 functions checked", "build/neuron.img: COUNTS"},
		{"nexus: g1: QEMU 7.2, network card on wire (no TAP: x)", "nexus: g1: QEMU VERSION, network card on NIC"},
		{"first   standing   11131   wire   stub   900ms   proven", "first  standing PID  wire  stub  SPAN  proven"},
		{"ok       QEMU 7.2", "ok QEMU VERSION"},
		{"64 bytes from 127.0.0.1: icmp_seq=1 ttl=64 time=0.123 ms", "64 bytes from 127.0.0.1: icmp_seq=1 ttl=64 time=SPAN"},
		{"2 packets transmitted, 2 received, 0% packet loss, time 1001ms", "2 packets transmitted, 2 received, 0% packet loss, time SPAN"},
		{"rtt min/avg/max = 0.1/0.2/0.3 ms", "rtt min/avg/max = SPAN"},
		{"nexus: g1 runs, pid 1234", "nexus: g1 runs, pid N"},
		{"   0.412 * SELFTEST: net lo ping ok", "TIME * SELFTEST: net lo ping ok"},
		{"inet 10.0.2.15/24, 2 packets, 3 seconds", "inet 10.0.2.15/24, 2 packets, 3 seconds"},
	} {
		if got := Normal([]string{tt.line}); !slices.Equal(got, []string{tt.want}) {
			t.Errorf("%q: %q, want %q", tt.line, got, tt.want)
		}
	}
	early := Normal([]string{"   0.100 * netstackd: recv arp who-has", "   0.200 * virtionetd: rx frame len=42", "   0.300 * a", "b"})
	late := Normal([]string{"   0.300 * a", "   0.400 * virtionetd: rx frame len=60", "b", "   0.500 * netstackd: recv arp who-has"})
	if !slices.Equal(early, late) {
		t.Errorf("%q\n%q", early, late)
	}
	if slices.Equal(late, Normal([]string{"   0.300 * a", "b"})) {
		t.Error("lines that float may be missing")
	}
	if slow := Normal([]string{"a", "nexus: waiting for done of nexus-init: 5 s", "b"}); !slices.Equal(slow, []string{"a", "b"}) {
		t.Errorf("on a slow machine: %q", slow)
	}
}

// FuzzFind: what is found is written back as it was.
func FuzzFind(f *testing.F) {
	f.Add(document)
	f.Add("<!-- boot:begin -->\n```\n```\n<!-- boot:end -->")
	f.Fuzz(func(t *testing.T, text string) {
		b, ok, err := Find(text, "boot")
		if err != nil || !ok {
			return
		}
		again, ok, err := Find(b.Replace(text, b.Commands), "boot")
		if err != nil || !ok || !reflect.DeepEqual(again.Commands, b.Commands) {
			t.Errorf("%+v\n%+v, %v, %v", b, again, ok, err)
		}
	})
}
