package report

import (
	"fmt"
	"strconv"
	"time"

	"nexus/tools/nx/internal/contract"
	"nexus/tools/nx/internal/frame"
)

// Bounds of what a page shows of a capture.
const (
	maxFrames   = 2000    // the first ones, besides evidence
	maxEvidence = 1000    // frames beyond those that are evidence
	maxDumped   = 1 << 19 // bytes of frames shown in full, evidence first
	dumpedHead  = 64      // bytes shown of every other
	minRun      = 6       // so many alike in a row are folded
)

// row is a frame in the sequence diagram.
type row struct {
	packet
	Number    int // from 1
	At        string
	FromGuest bool
	Bytes     int
	Dump      string
	Left      int // bytes that Dump leaves out
	Proves    []link
	Against   []link // the markers that it speaks against
}

// link leads to a marker or to a frame; without Anchor it leads nowhere, as what
// it names is not on the page.
type link struct{ Anchor, Text string }

// item is one entry of the diagram: a frame, a folded run of frames alike, or
// frames that are left out.
type item struct {
	Row  *row
	Run  []*row
	Left int

	Summary string // of a run
	Proves  []link // by any of a run
}

// diagram is the packets section.
type diagram struct {
	Items        []item
	Total        int
	Shown        int
	Host, Guest  string // the ends' names
	ToHost       int
	ToGuest      int
	placesInPage []bool // frames that have an anchor
}

// evidence is what frame proves or disproves which marker.
type evidence struct{ proves, against map[int][]link }

// evidenceOf turns the verdict around: from markers to frames.
func evidenceOf(v *contract.Verdict, anchors []string) evidence {
	e := evidence{map[int][]link{}, map[int][]link{}}
	add := func(to map[int][]link, frame int, l link) {
		for _, have := range to[frame] {
			if have == l {
				return
			}
		}
		to[frame] = append(to[frame], l)
	}
	for i, m := range v.Markers {
		for _, f := range m.Evidence {
			for _, frame := range f.Frames {
				if f.Found {
					add(e.proves, frame, link{anchors[i], line(m.ID)})
				} else {
					add(e.against, frame, link{anchors[i], line(m.ID)})
				}
			}
		}
	}
	return e
}

func (e *evidence) names(frame int) bool {
	return len(e.proves[frame])+len(e.against[frame]) > 0
}

// newDiagram decodes the frames and folds what is alike.
func newDiagram(frames []Frame, e evidence) diagram {
	d := diagram{
		Total: len(frames), Host: frame.Host.IP.String(), Guest: "virt0 " + frame.Guest.IP.String(),
		placesInPage: placesInPage(len(frames), &e),
	}
	dec := decoder{first: map[half]uint32{}}
	full := d.inFull(frames, &e)
	var rows []*row
	left := 0
	flush := func() {
		d.Items = append(d.Items, fold(rows)...)
		rows = nil
		if left > 0 {
			d.Items = append(d.Items, item{Left: left})
		}
		left = 0
	}
	for i, f := range frames {
		described := frame.Describe(f.Raw)
		if described.FromGuest() {
			d.ToHost++
		} else {
			d.ToGuest++
		}
		if !d.placesInPage[i] {
			if left == 0 {
				flush()
			}
			left++
			continue
		}
		if left > 0 {
			flush()
		}
		d.Shown++
		r := &row{
			packet: dec.decode(f.Raw), Number: i + 1, At: seconds(f.At), FromGuest: described.FromGuest(),
			Bytes: len(f.Raw), Proves: e.proves[i], Against: e.against[i],
		}
		head := f.Raw
		if !full[i] {
			head = head[:min(dumpedHead, len(head))]
		}
		r.Dump, r.Left = hexdump(head), len(f.Raw)-len(head)
		rows = append(rows, r)
	}
	flush()
	return d
}

// placesInPage chooses the frames that are shown.
func placesInPage(n int, e *evidence) []bool {
	chosen := make([]bool, n)
	more := 0
	for i := range chosen {
		if i < maxFrames {
			chosen[i] = true
		} else if e.names(i) && more < maxEvidence {
			more++
			chosen[i] = true
		}
	}
	return chosen
}

// inFull chooses the frames whose bytes are all shown.
func (d *diagram) inFull(frames []Frame, e *evidence) []bool {
	full := make([]bool, len(frames))
	room := maxDumped
	for _, evident := range []bool{true, false} {
		for i, f := range frames {
			if d.placesInPage[i] && e.names(i) == evident && len(f.Raw) <= room {
				full[i] = true
				room -= len(f.Raw)
			}
		}
	}
	return full
}

// link leads to a frame, by its number from 0.
func (d *diagram) link(frame int) link {
	l := link{Text: "#" + strconv.Itoa(frame+1)}
	if frame >= 0 && frame < len(d.placesInPage) && d.placesInPage[frame] {
		l.Anchor = "frame-" + strconv.Itoa(frame+1)
	}
	return l
}

// fold makes one item of each run of frames alike.
func fold(rows []*row) []item {
	var items []item
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && rows[n].bulk && rows[0].bulk && rows[n].flow == rows[0].flow {
			n++
		}
		if n >= minRun {
			items = append(items, newRun(rows[:n]))
		} else {
			for _, r := range rows[:n] {
				items = append(items, item{Row: r})
			}
		}
		rows = rows[n:]
	}
	return items
}

func newRun(rows []*row) item {
	it := item{Run: rows}
	out, back := 0, 0
	have := map[link]bool{}
	for _, r := range rows {
		if r.FromGuest {
			out += r.data
		} else {
			back += r.data
		}
		for _, l := range r.Proves {
			if !have[l] {
				have[l] = true
				it.Proves = append(it.Proves, l)
			}
		}
	}
	it.Summary = fmt.Sprintf("%d %s frames alike", len(rows), rows[0].Kind)
	if out+back > 0 {
		it.Summary += fmt.Sprintf(": %s from the guest, %s to it", octets(out), octets(back))
	}
	return it
}

// First and Last are the ends of a run.
func (it item) First() *row { return it.Run[0] }
func (it item) Last() *row  { return it.Run[len(it.Run)-1] }

// bins are the moments, in at most n parts of the whole, at which frames
// crossed in one direction.
func bins(frames []Frame, fromGuest bool, whole time.Duration, n int) []time.Duration {
	var at []time.Duration
	last := -1
	for _, f := range frames {
		s := frame.Describe(f.Raw)
		if s.FromGuest() != fromGuest || whole <= 0 || f.At < 0 || f.At > whole {
			continue
		}
		if bin := int(int64(f.At) / (int64(whole)/int64(n) + 1)); bin != last {
			last = bin
			at = append(at, f.At)
		}
	}
	return at
}
