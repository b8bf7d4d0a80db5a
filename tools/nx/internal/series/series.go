// Package series looks at many boots of one kind: whether all were proven, how
// their times spread, and whether their consoles are the same to the byte.
package series

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"nexus/tools/nx/internal/boot"
)

// Spread is how a time varied over a series.
type Spread struct {
	Min    time.Duration `json:"min_ns"`
	Median time.Duration `json:"median_ns"`
	P90    time.Duration `json:"p90_ns"`
	Max    time.Duration `json:"max_ns"`
}

// Of is the spread of times; the zero Spread for none. Percentiles are the
// nearest measured value, never one between two.
func Of(times []time.Duration) Spread {
	if len(times) == 0 {
		return Spread{}
	}
	s := slices.Sorted(slices.Values(times))
	rank := func(percent int) time.Duration { return s[(len(s)*percent+99)/100-1] }
	return Spread{Min: s[0], Median: rank(50), P90: rank(90), Max: s[len(s)-1]}
}

func (s Spread) String() string {
	return fmt.Sprintf("median %.3f s, p90 %.3f s, max %.3f s (min %.3f s)",
		s.Median.Seconds(), s.P90.Seconds(), s.Max.Seconds(), s.Min.Seconds())
}

// Difference is where two consoles part.
type Difference struct {
	Boot int    `json:"boot"` // number of the boot that differs from the first, from 1
	Line int    `json:"line"` // number of the line, from 1
	A    string `json:"first"`
	B    string `json:"other"`
}

func (d Difference) String() string {
	return fmt.Sprintf("boot %d, line %d:\n  %q\nin the first boot:\n  %q", d.Boot, d.Line, d.B, d.A)
}

// Compare compares every console with the first one, as text; the times are
// the host's and take no part, nor does what a line that may vary says. It
// gives the first difference of each boot that has one.
func Compare(reports []*boot.Report, mayVary func(line string) bool) []Difference {
	var differences []Difference
	for i := 1; i < len(reports); i++ {
		if d, differs := compare(reports[0].Console, reports[i].Console, mayVary); differs {
			d.Boot = i + 1
			differences = append(differences, d)
		}
	}
	return differences
}

func compare(a, b []boot.Line, mayVary func(string) bool) (Difference, bool) {
	for i := range max(len(a), len(b)) {
		x, y := text(a, i), text(b, i)
		if x != y && !(mayVary(x) && mayVary(y)) {
			return Difference{Line: i + 1, A: x, B: y}, true
		}
	}
	return Difference{}, false
}

func text(lines []boot.Line, i int) string {
	if i >= len(lines) {
		return ""
	}
	return lines[i].Text
}

// SelftestDone is when a boot's last selftest line was printed, or 0.
func SelftestDone(r *boot.Report) time.Duration {
	var at time.Duration
	for _, m := range r.Verdict.Markers {
		if strings.HasPrefix(m.Line, "SELFTEST: ") {
			at = max(at, m.At)
		}
	}
	return at
}
