package report

import (
	"slices"
	"strconv"
	"strings"

	"nexus/tools/nx/internal/boot"
	"nexus/tools/nx/internal/contract"
)

// maxLines bounds the lines shown of a console: the first half and the last.
const maxLines = 10_000

// console is the console as the page shows it.
type console struct {
	Total    int
	Firmware []consoleLine // before the kernel's first line
	Lines    []consoleLine
	Left     int           // lines left out between Lines and Tail
	Tail     []consoleLine // the last ones
	Open     bool
}

type consoleLine struct {
	Anchor string // "" of most
	At     string
	Mark   string // "*" a marker, "!" forbidden, " " neither
	Link   string // to the marker
	Text   text
}

// newConsole marks the lines as the terminal does.
func newConsole(lines []boot.Line, v *contract.Verdict, anchors []string) console {
	markers := map[int]string{}
	for i, m := range v.Markers {
		// A report of an earlier nx does not say which line it was.
		if m.Number >= 0 && m.Number < len(lines) && lines[m.Number].Text == m.Line {
			markers[m.Number] = anchors[i]
		}
	}
	c := console{Total: len(lines), Open: len(lines) <= 500 || !v.Proven}
	first := slices.IndexFunc(lines, func(l boot.Line) bool { return strings.HasPrefix(l.Text, "neuron:") })
	for i, l := range lines {
		if i >= maxLines/2 && i < len(lines)-maxLines/2 {
			c.Left++
			continue
		}
		told := consoleLine{At: seconds(l.At), Mark: " ", Text: shown(l.Text)}
		if link := markers[i]; link != "" {
			told.Mark, told.Link, told.Anchor = "*", link, lineAnchor(i)
		}
		if slices.Contains(v.Forbidden, i) {
			told.Mark, told.Anchor = "!", lineAnchor(i)
		}
		switch {
		case i < first && told.Mark == " ":
			c.Firmware = append(c.Firmware, told)
		case c.Left > 0:
			c.Tail = append(c.Tail, told)
		default:
			c.Lines = append(c.Lines, told)
		}
	}
	return c
}

func lineAnchor(number int) string { return "line-" + strconv.Itoa(number+1) }

// link is the anchor of a line that is on the page as a marker, else "".
func (c *console) link(number int) string {
	name := lineAnchor(number)
	for _, lines := range [][]consoleLine{c.Lines, c.Tail} {
		if slices.ContainsFunc(lines, func(l consoleLine) bool { return l.Anchor == name }) {
			return name
		}
	}
	return ""
}
