package boot

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestConsoleLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "console.log")
	log, err := newConsoleLog(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := []LoggedLine{
		{Line{0, ""}, MarkNone},
		{Line{1500 * time.Microsecond, "virtionetd: ready"}, MarkMarker},
		{Line{61 * time.Second, " neuron: fatal: \x1b[2J x  "}, MarkForbidden},
	}
	for _, l := range lines {
		log.add(l.Line, l.Mark == MarkMarker, l.Mark == MarkForbidden)
	}
	// Each line is there at once, before the log is closed.
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	for _, want := range lines {
		if !in.Scan() {
			t.Fatalf("no line for %+v", want)
		}
		if got, ok := ParseLogged(in.Text()); !ok || got != want {
			t.Errorf("got %+v, %v, want %+v", got, ok, want)
		}
	}
	if err := log.close(); err != nil {
		t.Error(err)
	}
}

// A console that floods fills its log once, and that is said.
func TestConsoleLogFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "console.log")
	log, err := newConsoleLog(path)
	if err != nil {
		t.Fatal(err)
	}
	line := Line{Text: strings.Repeat("x", 1<<20)}
	for range maxLog>>20 + 2 {
		log.add(line, false, false)
	}
	if err := log.close(); err == nil || !strings.Contains(err.Error(), "is full at 16 MiB") {
		t.Errorf("got %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() > maxLog || info.Size() < maxLog*9/10 {
		t.Errorf("%d bytes, %v", info.Size(), err)
	}
}

func TestParseLoggedRefuses(t *testing.T) {
	for _, s := range []string{"", "1", "1.000000", "1.000000 ", "1.000000 *", "1.000000 ?  x", "1.000000 *x", "-1.000000 * x", "1.0 * x", "x.000000 * x",
		"9999999999.000000 * x", ".000000", "1.00000x * x"} {
		if l, ok := ParseLogged(s); ok {
			t.Errorf("%q became %+v", s, l)
		}
	}
}

// What a log says is never more than one line of a time, a mark and a text.
func FuzzParseLogged(f *testing.F) {
	f.Add("1.500000 * virtionetd: ready")
	f.Add("0.000000   ")
	f.Add("61.000001 ! \x1b[2J")
	f.Fuzz(func(t *testing.T, s string) {
		l, ok := ParseLogged(s)
		if !ok {
			return
		}
		if l.At < 0 || !strings.HasSuffix(s, l.Text) {
			t.Fatalf("%q became %+v", s, l)
		}
		if again, ok := ParseLogged(l.String()); !ok || again != l {
			t.Errorf("%+v became %+v, %v", l, again, ok)
		}
	})
}
