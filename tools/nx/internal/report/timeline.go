package report

import (
	"fmt"
	"strconv"
	"time"

	"nexus/tools/nx/internal/contract"
)

// Measures of the timeline in pixels; across, all is in percent of the width.
const (
	axisHeight = 26
	laneHeight = 40
	maxTicks   = 400 // of frames, each way
	maxGrid    = 6
)

// timeline is the drawing of a boot.
type timeline struct {
	Height int
	Foot   int // where the lanes end
	Lanes  []lane
	Grid   []gridLine
	Wire   *wireLane
	Left   int // services without a lane
	About  string
}

// lane is a service's row. Y are from the drawing's top.
type lane struct {
	Name, Took string
	LabelY     int
	BarY       int
	MidY       int
	X, Width   string // of the bar
	Rest       string // where its life after being ready ends; "" is nowhere
	EndX       string // of the bar
	LabelX     string
	Anchor     string // start or end
	State      string // class: up, done, stuck
	Ticks      []tick
}

// tick is a marker in a lane.
type tick struct {
	X, Anchor string
	State     string // evident, said, unproven
	Label     string
	Link      string
}

type gridLine struct{ X, Text, Anchor string }

// wireLane shows when frames crossed.
type wireLane struct {
	LabelY, FromY, MidY, ToY int
	Out, In                  []string
}

// newTimeline draws parts and the markers, from 0 to end.
func newTimeline(parts []*service, left int, markers []mark, frames []Frame, end time.Duration) timeline {
	t := timeline{Left: left}
	at := func(d time.Duration) string { return percent(int64(d), int64(end)) }
	place := map[string]int{}
	for i, s := range parts {
		top := axisHeight + i*laneHeight
		l := lane{
			Name: s.Name, Took: span(s.took()), LabelY: top + 14, BarY: top + 20, MidY: top + 26,
			X: at(s.Start), Width: at(s.took()), EndX: at(s.Ready), State: "up",
		}
		switch {
		case s.Unfinished:
			l.State, l.Took = "stuck", "never ready"
		case s.Done, s.Name == initName, s.Name == firmware:
			l.State = "done"
		default:
			l.Rest = at(end)
		}
		l.LabelX, l.Anchor = l.X, "start"
		if s.Start > end/2 {
			l.LabelX, l.Anchor = l.EndX, "end"
		}
		place[s.Name] = i
		t.Lanes = append(t.Lanes, l)
	}
	for _, m := range markers {
		if i, ok := place[m.Owner]; ok && m.State != missing {
			t.Lanes[i].Ticks = append(t.Lanes[i].Ticks, newTick(m, end))
		}
	}
	t.Foot = axisHeight + len(parts)*laneHeight
	t.Height = t.Foot + 4
	if len(frames) > 0 {
		y := t.Foot
		t.Wire = &wireLane{LabelY: y + 14, FromY: y + 20, MidY: y + 30, ToY: y + 40}
		for _, d := range bins(frames, true, end, maxTicks) {
			t.Wire.Out = append(t.Wire.Out, at(d))
		}
		for _, d := range bins(frames, false, end, maxTicks) {
			t.Wire.In = append(t.Wire.In, at(d))
		}
		t.Foot = y + laneHeight
		t.Height = t.Foot + 4
	}
	t.grid(end)
	t.About = fmt.Sprintf("%s from the exec of QEMU to its end, %s in order of start, %d markers. The tables below have the same figures.",
		span(end), count(len(parts), "lane", "lanes"), len(markers))
	return t
}

func newTick(m mark, end time.Duration) tick {
	k := tick{
		X: percent(int64(m.at), int64(end)), Anchor: "start", State: m.State, Link: m.Anchor,
		Label: m.At + " " + cut(m.ID, 40) + ", " + m.Verdict,
	}
	if m.at > end/2 {
		k.Anchor = "end"
	}
	return k
}

// grid draws at most six lines at round times.
func (t *timeline) grid(end time.Duration) {
	step := time.Millisecond
	for i := 0; end/step > 5; i++ {
		step = step * []time.Duration{2, 5, 4}[i%3] / []time.Duration{1, 2, 2}[i%3]
	}
	digits := 3
	for ms := step / time.Millisecond; digits > 0 && ms%10 == 0; ms /= 10 {
		digits--
	}
	for i := range maxGrid {
		at := step * time.Duration(i)
		if at > end || at < 0 {
			break // the latter: beyond what can be told
		}
		g := gridLine{X: percent(int64(at), int64(end)), Text: strconv.FormatFloat(at.Seconds(), 'f', digits, 64) + " s", Anchor: "middle"}
		switch {
		case at == 0:
			g.Text, g.Anchor = "0", "start"
		case at > end/100*95:
			g.Anchor = "end"
		}
		t.Grid = append(t.Grid, g)
	}
}

// stateOf is how much a marker is worth.
func stateOf(m *contract.MarkerProof) (state, verdict string) {
	if len(m.Evidence) == 0 {
		return said, "said"
	}
	for _, f := range m.Evidence {
		if !f.Found {
			return unproven, "no evidence"
		}
	}
	return evident, "proven"
}
