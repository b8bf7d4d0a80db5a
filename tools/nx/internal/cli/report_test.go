package cli

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// The page of a boot, and the page made again of its recording.
func TestPage(t *testing.T) {
	b := newBench(t, "good")
	live, record, pcap, again := b.path("live.html"), b.path("boot.json"), b.path("boot.pcap"), b.path("again.html")
	if status, out := run(t, b.boot("--nic", "wire", "--report", live, "--record", record, "--pcap", pcap)); status != exitDone {
		t.Fatalf("status %d:\n%s", status, out)
	}
	if status, out := run(t, b.nx("report", record, "--pcap", pcap, "-o", again)); status != exitDone || out != "" {
		t.Fatalf("status %d:\n%s", status, out)
	}
	for _, path := range []string{live, again} {
		page, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"Boot proven", `id="marker-selftest-udp"`, `id="frame-1"`, "</html>"} {
			if !bytes.Contains(page, []byte(want)) {
				t.Errorf("%s: no %q", path, want)
			}
		}
	}
}

// A boot that is not proven has a page too.
func TestPageOfUnproven(t *testing.T) {
	b := newBench(t, "silent")
	path := b.path("boot.html")
	status, out := run(t, b.boot("--nic", "none", "--timeout", "2s", "--report", path))
	page, err := os.ReadFile(path)
	if status != exitUnproven || err != nil || !bytes.Contains(page, []byte("Boot <em>not</em> proven")) {
		t.Errorf("status %d, %v:\n%s", status, err, out)
	}
}

func TestNoPage(t *testing.T) {
	b := newBench(t, "good")
	for name, text := range map[string]string{"empty.json": `{"started": "2026-01-01T00:00:00Z", "command": ["qemu"]}`, "other.json": "{}", "text.json": "not JSON", "list.json": "[]"} {
		if err := os.WriteFile(b.path(name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		args []string
		says string
	}{
		"no such report":      {[]string{"nowhere.json", "-o", b.path("x")}, "no such file or directory; nx boot --record FILE writes one"},
		"a report of no kind": {[]string{b.path("text.json"), "-o", b.path("x")}, "invalid character"},
		"a list":              {[]string{b.path("list.json"), "-o", b.path("x")}, "cannot unmarshal array"},
		"another document":    {[]string{b.path("other.json"), "-o", b.path("x")}, "not the report of a boot: it says no time and no command"},
		"no such capture":     {[]string{b.path("empty.json"), "--pcap", "nowhere", "-o", b.path("x")}, "capture: open nowhere"},
		"no capture":          {[]string{b.path("empty.json"), "--pcap", b.path("text.json"), "-o", b.path("x")}, "not an Ethernet capture"},
		"nowhere to write":    {[]string{b.path("empty.json"), "-o", "/nowhere/x"}, "report: --output: create /nowhere/x"},
		"no output":           {[]string{b.path("empty.json")}, "--output is missing: name the file to write"},
		"nothing":             {nil, "want `nx report REPORT -o FILE`, got 0 arguments"},
	} {
		t.Run(name, func(t *testing.T) {
			status, out := run(t, b.nx(append([]string{"report"}, tc.args...)...))
			if status != exitFailed || !strings.Contains(out, tc.says) || strings.Count(out, "\n") != 1 {
				t.Errorf("status %d, want one line with %q:\n%s", status, tc.says, out)
			}
		})
	}
	if _, err := os.Stat(b.path("x")); err == nil {
		t.Error("there is a page all the same")
	}
}
