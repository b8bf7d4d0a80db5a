package cli

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"nexus/tools/nx/internal/boot"
)

// Values of --color.
const (
	colorAuto   = "auto"
	colorAlways = "always"
	colorNever  = "never"
)

func checkColor(value string) error {
	switch value {
	case colorAuto, colorAlways, colorNever:
		return nil
	}
	return fmt.Errorf("--color %q is not one of auto, always, never", value)
}

// terminalOf gives out if it is a terminal on which a line can be rewritten.
func terminalOf(out io.Writer) *os.File {
	if os.Getenv("TERM") == "dumb" || !isTerminal(out) {
		return nil
	}
	return out.(*os.File)
}

func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// palette colours text, or not.
type palette bool

// paletteFor decides what --color says for an output whose terminal is t. $NO_COLOR,
// if it is not empty, asks for none (no-color.org).
func paletteFor(color string, t *os.File) palette {
	switch color {
	case colorAlways:
		return true
	case colorNever:
		return false
	}
	return t != nil && os.Getenv("NO_COLOR") == ""
}

// Attributes of ECMA-48's select graphic rendition.
const (
	faint   = "2"
	green   = "32"
	boldRed = "1;31"
	boldOK  = "1;32"
)

func (p palette) paint(attribute, s string) string {
	if !p {
		return s
	}
	return "\x1b[" + attribute + "m" + s + "\x1b[0m"
}

func (p palette) good(s string) string { return p.paint(boldOK, s) }

func (p palette) bad(s string) string { return p.paint(boldRed, s) }

// line is a line of the console with its time and mark.
func (p palette) line(l boot.Line, mark byte) string {
	at := p.paint(faint, fmt.Sprintf("%8.3f", l.At.Seconds()))
	sign, text := string(mark), printable(l.Text)
	switch mark {
	case boot.MarkMarker:
		sign = p.paint(green, sign)
	case boot.MarkForbidden:
		sign, text = p.bad(sign), p.bad(text)
	}
	return at + " " + sign + " " + text
}
