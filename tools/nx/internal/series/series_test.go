package series

import (
	"strings"
	"testing"
	"time"

	"nexus/tools/nx/internal/boot"
	"nexus/tools/nx/internal/contract"
)

func TestOf(t *testing.T) {
	var times []time.Duration
	for i := 100; i >= 1; i-- {
		times = append(times, time.Duration(i))
	}
	for _, tc := range []struct {
		times []time.Duration
		want  Spread
	}{
		{nil, Spread{}},
		{times[:1], Spread{100, 100, 100, 100}},
		{[]time.Duration{3, 1, 2}, Spread{1, 2, 3, 3}},
		{times, Spread{1, 50, 90, 100}},
	} {
		if got := Of(tc.times); got != tc.want {
			t.Errorf("%d times: got %+v, want %+v", len(tc.times), got, tc.want)
		}
	}
}

func report(lines ...string) *boot.Report {
	r := new(boot.Report)
	for i, l := range lines {
		r.Console = append(r.Console, boot.Line{At: time.Duration(i), Text: l})
	}
	return r
}

func never(string) bool { return false }

func varying(line string) bool { return strings.HasPrefix(line, "v") }

func TestCompare(t *testing.T) {
	first := report("a", "b", "c")
	late := report("a", "b", "c")
	late.Console[2].At = time.Hour
	got := Compare([]*boot.Report{first, report("a", "b", "c"), late, report("a", "x", "c"), report("a", "b"), report("a", "b", "c", "d"), report("v1", "b", "c")}, never)
	if d := Compare([]*boot.Report{report("v1", "b"), report("v2", "b"), report("v", "b")}, varying); d != nil {
		t.Errorf("varying lines: %v", d)
	}
	if d := Compare([]*boot.Report{report("v1", "b"), report("b")}, varying); len(d) != 1 {
		t.Errorf("a varying line that is missing: %v", d)
	}

	want := []Difference{{4, 2, "b", "x"}, {5, 3, "c", ""}, {6, 4, "", "d"}, {7, 1, "a", "v1"}}
	if len(got) != len(want) {
		t.Fatalf("got %v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("got %+v, want %+v", got[i], want[i])
		}
	}
	if d := Compare(nil, never); d != nil {
		t.Errorf("none: %v", d)
	}
}

func TestSelftestDone(t *testing.T) {
	r := report()
	if at := SelftestDone(r); at != 0 {
		t.Errorf("got %v", at)
	}
	r.Verdict.Markers = []contract.MarkerProof{
		{Line: "SELFTEST: net lo ping ok", At: 3}, {Line: "SELFTEST: net udp echo ok", At: 5}, {Line: "nexus-init: done", At: 9},
	}
	if at := SelftestDone(r); at != 5 {
		t.Errorf("got %v", at)
	}
}
