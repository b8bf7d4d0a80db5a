package contract

import (
	"fmt"
	"time"
)

// Line is one line of the console.
type Line struct {
	At   time.Duration // since the exec of QEMU
	Text string
}

// Hit is a marker that appeared.
type Hit struct {
	Marker *Marker
	Line   Line
	Number int               // of the line on the console, from 0
	Groups map[string]string // the named groups of its line
}

// Tracker follows a console line by line against a contract: order,
// repetition, time, forbidden lines. It never judges evidence.
type Tracker struct {
	contract  *Contract
	mode      Mode
	expected  []*Marker // those of this mode, in order
	hits      map[string]*Hit
	failures  []string
	lines     int   // fed so far
	forbidden []int // numbers of lines
}

// maxFailures bounds what a hostile console can make a tracker say.
const maxFailures = 100

// Track starts to follow a boot of the given mode.
func (c *Contract) Track(mode Mode) *Tracker {
	t := &Tracker{contract: c, mode: mode, hits: map[string]*Hit{}}
	for i := range c.Markers {
		if mode.is(c.Markers[i].When) {
			t.expected = append(t.expected, &c.Markers[i])
		}
	}
	return t
}

// Feed takes the next line. It returns the marker the line was, or nil, and
// whether the line is forbidden.
func (t *Tracker) Feed(l Line) (hit *Hit, forbidden bool) {
	number := t.lines
	t.lines++
	for i := range t.contract.Forbidden {
		if f := &t.contract.Forbidden[i]; f.line.MatchString(l.Text) {
			t.fail("forbidden line (%s): %q", f.Why, l.Text)
			forbidden = true
		}
	}
	if forbidden && len(t.forbidden) < maxFailures {
		t.forbidden = append(t.forbidden, number)
	}
	for _, m := range t.expected {
		if groups := m.line.FindStringSubmatch(l.Text); groups != nil {
			return t.marker(m, l, number, groups), forbidden
		}
	}
	for i := range t.contract.Markers {
		if m := &t.contract.Markers[i]; m.line.MatchString(l.Text) {
			if !m.Elsewhere {
				t.fail("marker %s does not belong to this kind of boot: %q", m.ID, l.Text)
			}
			break
		}
	}
	return nil, forbidden
}

// marker takes note of a line, the console's number'th, that is marker m.
func (t *Tracker) marker(m *Marker, l Line, number int, groups []string) *Hit {
	if first, again := t.hits[m.ID]; again {
		if !m.Repeats {
			t.fail("marker %s appeared twice: %q and %q", m.ID, first.Line.Text, l.Text)
		}
		return nil
	}
	for _, id := range t.before(m) {
		if t.hits[id] == nil {
			t.fail("marker %s came before %s", m.ID, id)
		}
	}
	if m.Before != "" && t.hits[m.Before] != nil {
		t.fail("marker %s came after %s", m.ID, m.Before)
	}
	if bound := t.contract.within(m); l.At > bound {
		t.fail("marker %s came after %v, its bound is %v", m.ID, l.At.Round(time.Millisecond), bound)
	}
	hit := &Hit{Marker: m, Line: l, Number: number, Groups: map[string]string{}}
	for i, name := range m.line.SubexpNames() {
		if name != "" {
			hit.Groups[name] = groups[i]
		}
	}
	t.hits[m.ID] = hit
	return hit
}

// before lists the markers that must have come before m in this mode.
func (t *Tracker) before(m *Marker) []string {
	expected := map[string]bool{}
	previous := ""
	for _, e := range t.expected {
		if e == m {
			break
		}
		expected[e.ID] = true
		// Those that say what they come after stand outside the sequence.
		if e.After == nil {
			previous = e.ID
		}
	}
	if m.After == nil {
		if previous == "" {
			return nil
		}
		return []string{previous}
	}
	var ids []string
	for _, id := range *m.After {
		if expected[id] {
			ids = append(ids, id)
		}
	}
	return ids
}

// Complete tells whether every marker of this boot has appeared.
func (t *Tracker) Complete() bool { return len(t.hits) == len(t.expected) }

// Missing lists the markers that have not appeared.
func (t *Tracker) Missing() []*Marker {
	var missing []*Marker
	for _, m := range t.expected {
		if t.hits[m.ID] == nil {
			missing = append(missing, m)
		}
	}
	return missing
}

// Next is the marker that is waited for: the first in the list that is missing,
// with those that may come at another time as well last. nil is none.
func (t *Tracker) Next() *Marker {
	missing := t.Missing()
	for _, m := range missing {
		if m.After == nil {
			return m
		}
	}
	if len(missing) > 0 {
		return missing[0]
	}
	return nil
}

func (t *Tracker) fail(format string, args ...any) {
	if len(t.failures) < maxFailures {
		t.failures = append(t.failures, fmt.Sprintf(format, args...))
	}
}
