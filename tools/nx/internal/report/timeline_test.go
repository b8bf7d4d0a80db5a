package report

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"nexus/tools/nx/internal/boot"
)

// console has a line each millisecond, from 1.
func lineEachMS(texts ...string) []boot.Line {
	var lines []boot.Line
	for i, text := range texts {
		lines = append(lines, boot.Line{At: time.Duration(i+1) * ms, Text: text})
	}
	return lines
}

func TestServices(t *testing.T) {
	parts, left := services(lineEachMS(
		"OpenSBI v1.1",
		"neuron: hart 0, memory 116 MiB, devices 3, archive 9176 KiB",
		"nexus-init: profile default",
		"nexus-init: start a",
		"nexus-init: a ready",
		"nexus-init: start test",
		"nexus-init: test done",
		"nexus-init: start a", // again
		"nexus-init: a ready",
		"nexus-init: start stuck",
		"nexus-init: nobody ready",
		"nexus-init: memory a rss=12 KiB shared=34 KiB",
		"nexus-init: memory a rss=99 KiB shared=99 KiB",
		"nexus-init: memory a rss=99999999999999999999 KiB shared=1 KiB",
		"nexus-init: start <script>",
	), 20*ms)
	want := []service{
		{Name: firmware, Start: 0, Ready: 2 * ms},
		{Name: kernel, Start: 2 * ms, Ready: 3 * ms},
		{Name: initName, Start: 3 * ms, Ready: 20 * ms, Unfinished: true},
		{Name: "a", Start: 4 * ms, Ready: 5 * ms, RSS: 12, Shared: 34, measured: true},
		{Name: "test", Start: 6 * ms, Ready: 7 * ms, Done: true},
		{Name: "stuck", Start: 10 * ms, Ready: 20 * ms, Unfinished: true},
	}
	var got []service
	for _, s := range parts {
		got = append(got, *s)
	}
	if !slices.Equal(got, want) || left != 0 {
		t.Errorf("got %+v and %d more\nwant %+v", got, left, want)
	}
}

func TestServicesAreBounded(t *testing.T) {
	var texts []string
	for i := range 1000 {
		texts = append(texts, "nexus-init: start s"+strings.Repeat("x", i%39))
	}
	parts, left := services(lineEachMS(texts...), time.Second)
	if len(parts) != maxServices || left == 0 {
		t.Errorf("%d services, %d left out", len(parts), left)
	}
}

// The grid has a few lines at round times, however long the boot took.
func TestGrid(t *testing.T) {
	for end, want := range map[time.Duration]string{
		0:                      "0",
		5 * ms:                 "0 0.001 s 0.002 s 0.003 s 0.004 s 0.005 s",
		480 * time.Millisecond: "0 0.1 s 0.2 s 0.3 s 0.4 s",
		time.Second:            "0 0.2 s 0.4 s 0.6 s 0.8 s 1.0 s",
		30 * time.Second:       "0 10 s 20 s 30 s",
	} {
		var tl timeline
		tl.grid(end)
		var got []string
		for _, g := range tl.Grid {
			got = append(got, g.Text)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%v: got %q, want %q", end, got, want)
		}
	}
	for _, end := range []time.Duration{-1, 1, 24 * time.Hour, math.MaxInt64} {
		var tl timeline
		tl.grid(end)
		if len(tl.Grid) > 7 {
			t.Errorf("%v: %d lines", end, len(tl.Grid))
		}
	}
}

func TestText(t *testing.T) {
	for s, want := range map[string]string{
		"plain ü 漢\tx":             "plain ü 漢\tx",
		"a\x1b[2Jb":                `a<\x1b>[2Jb`,
		"a\r\n\x00b":               `a<\r\n\x00>b`,
		"\u202egnp.exe":            `<\u202e>gnp.exe`,
		"\u200b\u2066\u0085\ufeff": `<\u200b\u2066\u0085\ufeff>`,
		"bad \xc3(":                `bad <\xc3>(`,
		"\ufffd":                   "\ufffd",
		"":                         "",
	} {
		got := ""
		for _, p := range shown(s) {
			if p.Escaped {
				got += "<" + p.Text + ">"
			} else {
				got += p.Text
			}
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", s, got, want)
		}
	}
}

func TestUnits(t *testing.T) {
	for _, tc := range []struct{ got, want string }{
		{span(-1), "–"}, {span(1500 * time.Microsecond), "1.5 ms"}, {span(12600 * time.Microsecond), "13 ms"}, {span(1824 * ms), "1.82 s"},
		{kibibytes(1020), "1020 KiB"}, {kibibytes(20480), "20.0 MiB"}, {octets(1), "1 byte"}, {octets(1 << 20), "1024 KiB"},
		{percent(1, 0), "0"}, {percent(-5, 10), "0.0"}, {percent(20, 10), "100.0"}, {percent(1, 3), "33.3"},
		{cut("héllo", 2), "h…"}, {cut("abc", 3), "abc"},
		{commandLine([]string{"qemu", "-append", "a b", "-x", "", "it's"}), "qemu \\\n  -append 'a b' \\\n  -x '' 'it'\\''s'"},
		{hexdump([]byte("A\x00")), "0000  41 00" + strings.Repeat("   ", 6) + " " + strings.Repeat("   ", 8) + "  A.\n"},
	} {
		if tc.got != tc.want {
			t.Errorf("got %q, want %q", tc.got, tc.want)
		}
	}
}

// Every failure that a verdict can tell has an advice that fits it.
func TestAdvise(t *testing.T) {
	for what, want := range map[string]string{
		"marker echod-udp has no evidence: udp from the host":                 "packets",
		`forbidden line (a program crashed): "panic: marker x is missing"`:    "console",
		"marker done of nexus-init is missing: nexus-init: done (and 1 more)": "console",
		"marker done came after 21s, its bound is 20s":                        "timeline",
		`marker a does not belong to this kind of boot: "is missing"`:         "machine",
		"marker a came before b":                                              "console",
		"QEMU ended with status 1, not 0":                                     "machine",
	} {
		if f := advise(what); f.Link != want || f.Advice == "" {
			t.Errorf("%s: got %q %q, want %q", what, f.Advice, f.Link, want)
		}
	}
}
