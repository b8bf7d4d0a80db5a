package report

import (
	"cmp"
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"

	"nexus/tools/nx/internal/boot"
	"nexus/tools/nx/internal/contract"
	"nexus/tools/nx/internal/series"
)

// page is what the template shows.
type page struct {
	Policy string
	Style  template.CSS
	Script template.JS

	Proven   bool
	Title    string
	Kind     string // of boot, in words
	Figures  []figure
	Failures []failure
	Remarks  []remark

	Timeline timeline
	Markers  []mark
	Notes    []note
	Asked    []asked
	Packets  diagram
	Costs    []cost
	Counters []group
	Facts    []field
	Command  string
	Console  console
}

// figure is a key figure.
type figure struct{ Value, Name, More string }

// failure is a reason why a boot is not proven, and where to look.
type failure struct {
	What   text
	Advice string
	Link   string
}

// remark is something said of the boot besides its failures.
type remark struct {
	Name string
	What text
}

// What a marker is worth.
const (
	evident  = "evident"  // all its evidence was found
	said     = "said"     // only the guest can know
	unproven = "unproven" // its evidence was not found
	missing  = "missing"  // it did not appear
)

// mark is a row of the markers table.
type mark struct {
	ID, Owner string
	Anchor    string
	Line      text
	At        string
	LineLink  string // to the console; "" is nowhere
	State     string
	Verdict   string
	Findings  []finding
	Reason    string
	Note      string // the note that has the reason

	at time.Duration
}

// finding is a piece of evidence, with the frames that are it.
type finding struct {
	What   string
	Found  bool
	Frames []link
}

// note is a reason that many markers share.
type note struct{ Name, Text string }

// group is a Group as it shows.
type group struct {
	Name   string
	Fields []field
	Zero   []field
}

// asked is one of the host's questions to the guest.
type asked struct {
	Ask, Error string
	OK         bool
	Tries      int
	Took       string
}

func newPage(in Input) *page {
	b := in.Boot
	v := &b.Verdict
	end := lastMoment(in)
	anchors := anchorsOf(v)
	found := evidenceOf(v, anchors)
	parts, left := services(b.Console, end)
	p := &page{
		Policy: policy, Style: template.CSS(style), Script: template.JS(script),
		Proven: v.Proven, Kind: kindOf(b),
		Packets: newDiagram(in.Frames, found),
		Costs:   costs(parts), Counters: counters(b.Counters), Command: commandLine(b.Command),
		Facts: facts(b),
	}
	p.Title = "boot proven"
	if !v.Proven {
		p.Title = "boot NOT proven"
	}
	p.Console = newConsole(b.Console, v, anchors)
	p.Markers = marks(v, anchors, &p.Packets, &p.Console)
	p.Notes = notes(p.Markers)
	p.Timeline = newTimeline(parts, left, p.Markers, in.Frames, end)
	p.Figures = figures(in, parts, &p.Packets)
	for _, f := range v.Failures {
		p.Failures = append(p.Failures, advise(f))
	}
	p.remarks(b)
	for _, o := range b.Host {
		p.Asked = append(p.Asked, asked{line(o.Ask), line(o.Error), o.OK, o.Tries, span(o.Took)})
	}
	return p
}

// lastMoment is the end of all that is shown.
func lastMoment(in Input) time.Duration {
	end := max(in.Boot.Took, 0)
	for _, l := range in.Boot.Console {
		end = max(end, l.At)
	}
	for _, f := range in.Frames {
		end = max(end, f.At)
	}
	return end
}

// anchorsOf gives each marker of the verdict a name within the page: its id
// where that can be one.
func anchorsOf(v *contract.Verdict) []string {
	taken := map[string]bool{}
	anchors := make([]string, len(v.Markers))
	for i, m := range v.Markers {
		name := "marker-" + m.ID
		if taken[name] || !wordLike(m.ID) {
			name = "marker--" + strconv.Itoa(i)
		}
		taken[name] = true
		anchors[i] = name
	}
	return anchors
}

// wordLike tells whether s has nothing but letters, digits and single hyphens
// between them.
func wordLike(s string) bool {
	for i, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && (r != '-' || i == 0) {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

func kindOf(b *boot.Report) string {
	words := []string{"network card on " + line(b.NIC), "address by " + line(b.Net), line(b.Profile) + " profile"}
	if b.Icount {
		words = append(words, "counting instructions")
	}
	if b.Stay {
		words = append(words, "staying up")
	}
	if !b.Started.IsZero() {
		words = append(words, b.Started.UTC().Format("2006-01-02 15:04:05 UTC"))
	}
	return strings.Join(words, " · ")
}

func figures(in Input, parts []*service, d *diagram) []figure {
	b := in.Boot
	v := &b.Verdict
	var list []figure
	if at := series.SelftestDone(b); at > 0 {
		list = append(list, figure{span(at), "to the last self-test", "since the exec of QEMU"})
	}
	list = append(list,
		figure{fmt.Sprintf("%d of %d", len(v.Markers), len(v.Markers)+len(v.Missing)), "markers", "the last after " + span(v.Took)},
		figure{strconv.Itoa(v.Evident), "with evidence", "all of it found outside the guest"},
		figure{strconv.Itoa(d.Total), "frames", fmt.Sprintf("%d from the guest, %d to it", d.ToHost, d.ToGuest)})
	rss, programs := 0, 0
	for _, s := range parts {
		if s.measured {
			programs++
			rss += s.RSS
		}
	}
	if programs > 0 {
		more := "of " + count(programs, "program", "programs")
		if all := memoryMiB(b.Console); all > 0 {
			more += fmt.Sprintf(", of %d MiB", all)
		}
		list = append(list, figure{fmt.Sprintf("%.1f MiB", float64(rss)/1024), "own memory", more})
	}
	return append(list, figure{span(b.Took), "in all", line(b.Ended)})
}

// remarks adds what the terminal shows besides the failures.
func (p *page) remarks(b *boot.Report) {
	add := func(name, what string) {
		if what != "" {
			p.Remarks = append(p.Remarks, remark{name, lines(what)})
		}
	}
	for _, w := range b.Warnings {
		add("Warning", w)
	}
	if b.Verdict.Proven {
		return
	}
	add("Ended", b.Ended)
	add("QEMU said", b.Stderr)
	add("Advice", b.Advice)
	for _, o := range b.Host {
		if !o.OK {
			add("The host asked the guest ("+line(o.Ask)+")", fmt.Sprintf("%s after %d tries", o.Error, o.Tries))
		}
	}
}

// facts is what is known of the machine and its surroundings.
func facts(b *boot.Report) []field {
	all := []struct{ name, value string }{
		{"Guest", b.Name}, {"QEMU", cmp.Or(b.QEMUVersion, b.QEMU)}, {"OpenSBI", b.OpenSBI},
		{"Kernel", image(b.Kernel)}, {"Boot archive", image(b.Archive)}, {"Memory", positive(b.Memory, " MiB")}, {"Harts", positive(b.SMP, "")},
		{"Network card", strings.TrimSpace(b.NIC + why(b.Why))}, {"Address", b.Net}, {"Profile", b.Profile},
		{"Counts instructions", yesNo(b.Icount)}, {"Stays up", yesNo(b.Stay)},
		{"Host", b.System}, {"nx", b.NX},
		{"Started", b.Started.UTC().Format(time.RFC3339Nano)}, {"Ran for", span(b.Took)}, {"Ended", b.Ended},
	}
	var list []field
	for _, f := range all {
		if f.value != "" {
			list = append(list, field{f.name, shown(f.value)})
		}
	}
	return list
}

// image is a file that the machine was booted with; "" where nothing is known.
func image(i boot.Image) string {
	if i.Path == "" {
		return ""
	}
	return fmt.Sprintf("%s, %d KiB, SHA-256 %s…", i.Path, i.Size>>10, i.SHA256)
}

// positive is a number with its unit; "" for one that is not known.
func positive(n int, unit string) string {
	if n <= 0 {
		return ""
	}
	return strconv.Itoa(n) + unit
}

// counters are those of each service, the ones that are 0 apart.
func counters(given []boot.Counters) []group {
	var list []group
	for _, service := range given {
		g := group{Name: line(service.Service)}
		for _, c := range service.List {
			f := field{line(c.Name), shown(strconv.FormatUint(c.Value, 10))}
			if c.Value == 0 {
				g.Zero = append(g.Zero, f)
			} else {
				g.Fields = append(g.Fields, f)
			}
		}
		list = append(list, g)
	}
	return list
}

func why(reason string) string {
	if reason == "" {
		return ""
	}
	return " (" + reason + ")"
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// marks are the rows of the markers table: those that appeared, then those
// that did not.
func marks(v *contract.Verdict, anchors []string, d *diagram, c *console) []mark {
	var rows []mark
	for i := range v.Markers {
		m := &v.Markers[i]
		r := mark{
			ID: line(m.ID), Owner: line(m.Owner), Anchor: anchors[i], Line: shown(m.Line), At: seconds(m.At), at: m.At, Reason: line(m.Unproven),
			LineLink: c.link(m.Number),
		}
		r.State, r.Verdict = stateOf(m)
		for _, f := range m.Evidence {
			told := finding{What: line(f.What), Found: f.Found}
			for _, n := range f.Frames {
				told.Frames = append(told.Frames, d.link(n))
			}
			r.Findings = append(r.Findings, told)
		}
		rows = append(rows, r)
	}
	for _, m := range v.Absent {
		rows = append(rows, mark{ID: line(m.ID), Owner: line(m.Owner), Line: shown(m.Line), State: missing, Verdict: missing})
	}
	if len(v.Absent) == 0 { // a report of an earlier nx
		for _, id := range v.Missing {
			rows = append(rows, mark{ID: line(id), State: missing, Verdict: missing})
		}
	}
	return rows
}

// minShared is how many markers a reason must have to become a note.
const minShared = 3

// notes moves the reasons that many rows share under the table, as 1, 2, ….
func notes(rows []mark) []note {
	uses := map[string]int{}
	for _, r := range rows {
		uses[r.Reason]++
	}
	var list []note
	names := map[string]string{}
	for i := range rows {
		reason := rows[i].Reason
		if reason == "" || uses[reason] < minShared {
			continue
		}
		if names[reason] == "" {
			names[reason] = strconv.Itoa(len(list) + 1)
			list = append(list, note{names[reason], reason})
		}
		rows[i].Reason, rows[i].Note = "", names[reason]
	}
	return list
}

// commandLine is a command as a shell takes it, an option a line.
func commandLine(words []string) string {
	var b strings.Builder
	for i, word := range words {
		switch {
		case i == 0:
		case strings.HasPrefix(word, "-"):
			b.WriteString(" \\\n  ")
		default:
			b.WriteByte(' ')
		}
		if word == "" || strings.ContainsFunc(word, needsQuotes) {
			word = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
		b.WriteString(line(word))
	}
	return b.String()
}

func needsQuotes(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_=,.:/+@%", r))
}
