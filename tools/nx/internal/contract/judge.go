package contract

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"time"

	"nexus/tools/nx/internal/capture"
)

// Outside is what is known of a boot from outside the guest.
type Outside struct {
	Frames []capture.Frame
	// HostAsked are the host's questions to the guest: true if answered.
	HostAsked map[string]bool
	// Files are the sizes of the boot archive's files, by path.
	Files map[string]int64
	// Exit is QEMU's exit status; nil while it runs.
	Exit *int
}

// Verdict is the judgement on one boot.
type Verdict struct {
	Proven   bool          `json:"proven"`
	Markers  []MarkerProof `json:"markers"`
	Failures []string      `json:"failures,omitempty"`
	Missing  []string      `json:"missing,omitempty"` // ids of the markers that did not appear
	Absent   []Expected    `json:"absent,omitempty"`  // the same markers, in full
	// Forbidden are the numbers of the console's lines that must not appear,
	// from 0; not more than maxFailures.
	Forbidden []int `json:"forbidden_lines,omitempty"`
	// Evident counts the markers that had evidence, all of it found.
	Evident int           `json:"with_evidence"`
	Took    time.Duration `json:"took_ns"` // from exec of QEMU to the last marker
}

// Expected is a marker that should have appeared.
type Expected struct {
	ID    string `json:"id"`
	Owner string `json:"owner"`
	Line  string `json:"line"` // the contract's regular expression
}

// MarkerProof is what was found for one marker.
type MarkerProof struct {
	ID       string        `json:"id"`
	Owner    string        `json:"owner"`
	Line     string        `json:"line"`
	Number   int           `json:"console_line"` // of the line on the console, from 0
	At       time.Duration `json:"at_ns"`
	Evidence []Finding     `json:"evidence,omitempty"`
	Unproven string        `json:"unproven,omitempty"` // why there is no evidence to look for
}

// Finding is one piece of evidence, looked for.
type Finding struct {
	What  string `json:"what"`
	Found bool   `json:"found"`
	// Frames are the numbers, from 0, of the capture's frames that are the
	// evidence, or that speak against the marker: the first MaxNamed of them.
	Frames []int `json:"frames,omitempty"`
}

// MaxNamed bounds how many frames one Finding names.
const MaxNamed = 64

// Judge ends the tracking: it looks for every marker's evidence and says
// whether the boot is proven.
func (t *Tracker) Judge(out Outside) Verdict {
	v := Verdict{Failures: slices.Clone(t.failures), Forbidden: slices.Clone(t.forbidden)}
	for _, m := range t.Missing() {
		v.Missing = append(v.Missing, m.ID)
		v.Absent = append(v.Absent, Expected{ID: m.ID, Owner: m.Owner, Line: m.Line})
	}
	if len(v.Missing) > 0 {
		m := t.Missing()[0]
		v.Failures = append(v.Failures, fmt.Sprintf("marker %s of %s is missing: %s%s", m.ID, m.Owner, m.Line, others(len(v.Missing)-1)))
	}
	for _, m := range t.expected {
		hit := t.hits[m.ID]
		if hit == nil {
			continue
		}
		proof := MarkerProof{ID: m.ID, Owner: m.Owner, Line: hit.Line.Text, Number: hit.Number, At: hit.Line.At, Unproven: m.Unproven}
		all := true
		for i := range m.Evidence {
			if !t.mode.is(m.Evidence[i].When) {
				continue
			}
			f := m.Evidence[i].find(hit, &out)
			proof.Evidence = append(proof.Evidence, f)
			if !f.Found {
				all = false
				v.Failures = append(v.Failures, fmt.Sprintf("marker %s has no evidence: %s", m.ID, f.What))
			}
		}
		if all && len(proof.Evidence) > 0 {
			v.Evident++
		}
		v.Markers = append(v.Markers, proof)
		v.Took = max(v.Took, hit.Line.At)
	}
	slices.SortStableFunc(v.Markers, func(a, b MarkerProof) int { return int(a.At - b.At) })
	if out.Exit != nil && *out.Exit != t.contract.Exit {
		v.Failures = append(v.Failures, fmt.Sprintf("QEMU ended with status %d, not %d", *out.Exit, t.contract.Exit))
	}
	v.Proven = len(v.Failures) == 0
	return v
}

// others says how many more there are.
func others(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" (and %d more)", n)
}

// find looks for one piece of evidence.
func (e *Evidence) find(hit *Hit, out *Outside) Finding {
	f := e.look(hit, out)
	f.What = groupName.ReplaceAllStringFunc(f.What, func(name string) string {
		if value, ok := hit.Groups[name[1:]]; ok {
			return value
		}
		return name
	})
	return f
}

// groupName is a use of a group of the marker's line.
var groupName = regexp.MustCompile(`\$[A-Za-z0-9_]+`)

func (e *Evidence) look(hit *Hit, out *Outside) Finding {
	before := time.Duration(math.MaxInt64)
	if e.Earlier {
		before = hit.Line.At
	}
	frames := until(before, out.Frames)
	switch {
	case len(e.Frames) > 0:
		found := find(e.Frames, frames, hit.Groups)
		return Finding{describe(e.Frames), found != nil, numbers(out.Frames, found)}
	case e.NoFrame != nil:
		found := find([]Pattern{*e.NoFrame}, frames, hit.Groups)
		return Finding{"no " + e.NoFrame.String(), found == nil, numbers(out.Frames, found)}
	case e.Host != "":
		return Finding{What: "the host's own " + e.Host + " answered", Found: out.HostAsked[e.Host]}
	case e.HTTP != nil:
		times := max(e.HTTP.Times, 1)
		what := fmt.Sprintf("GET %s on the host's port %d answered with %s bytes", e.HTTP.Path, e.HTTP.Port, e.HTTP.Size)
		if times > 1 {
			what += fmt.Sprintf(", %d times", times)
		}
		size, ok := number(e.HTTP.Size, hit.Groups)
		if !ok {
			return Finding{What: what}
		}
		n, carriers := exchanges(e.HTTP, size, frames)
		return Finding{what, n >= times, numbers(out.Frames, carriers)}
	default:
		what := fmt.Sprintf("%s in the boot archive has %s bytes", e.File.Path, e.File.Size)
		size, ok := number(e.File.Size, hit.Groups)
		actual, exists := out.Files[e.File.Path]
		return Finding{What: what, Found: ok && exists && actual == int64(size)}
	}
}

// until leaves out what the host sent after the line was printed.
func until(at time.Duration, frames []capture.Frame) []*capture.Frame {
	kept := make([]*capture.Frame, 0, len(frames))
	for i := range frames {
		if f := &frames[i]; f.FromGuest() || f.At <= at {
			kept = append(kept, f)
		}
	}
	return kept
}

// numbers gives the places in frames of the first MaxNamed of some, in order.
func numbers(frames []capture.Frame, some []*capture.Frame) []int {
	if len(some) == 0 {
		return nil
	}
	wanted := make(map[*capture.Frame]bool, len(some))
	for _, f := range some {
		wanted[f] = true
	}
	var places []int
	for i := range frames {
		if wanted[&frames[i]] && len(places) < MaxNamed {
			places = append(places, i)
		}
	}
	return places
}

func describe(patterns []Pattern) string {
	s := ""
	for i := range patterns {
		if i > 0 {
			s += ", then "
		}
		s += patterns[i].String()
	}
	return s
}
