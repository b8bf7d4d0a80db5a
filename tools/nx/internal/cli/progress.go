package cli

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/term"

	"nexus/tools/nx/internal/boot"
)

// When a wait is worth a word: on a terminal, where it is rewritten in place,
// and elsewhere, where each word stays.
const (
	worthShowing = time.Second
	worthNoting  = 5 * time.Second
	noteAgain    = 10 * time.Second
)

// rewrite goes to the start of the terminal's line and clears it.
const rewrite = "\r\x1b[K"

// progress says what a boot waits for when that takes long.
type progress struct {
	terminal *os.File      // nil: there is none
	shown    bool          // the terminal's last line is to be cleared
	next     time.Duration // length of a wait that is noted; 0 is worthNoting
}

// clear is what to write before anything else.
func (p *progress) clear() string {
	if !p.shown {
		return ""
	}
	p.shown = false
	return rewrite
}

// waiting is what to write about a wait now.
func (p *progress) waiting(w boot.Wait) string {
	if w.For < worthShowing {
		p.next = 0
		return p.clear()
	}
	if p.terminal != nil {
		p.shown = true
		text := fmt.Sprintf("%8.3f   waiting for %s: %.1f s", w.At.Seconds(), awaited(w), w.For.Seconds())
		return rewrite + cut(text, p.width())
	}
	if w.For < max(p.next, worthNoting) {
		return ""
	}
	p.next = w.For + noteAgain
	return fmt.Sprintf("nexus: waiting for %s: %d s\n", awaited(w), w.For/time.Second)
}

// awaited names what a boot waits for.
func awaited(w boot.Wait) string {
	if w.Next == nil {
		return "the power-off"
	}
	return fmt.Sprintf("%s of %s", w.Next.ID, w.Next.Owner)
}

// width is how much fits into the terminal's line without a break.
func (p *progress) width() int {
	columns, _, err := term.GetSize(int(p.terminal.Fd()))
	if err != nil || columns < 2 {
		columns = 80
	}
	return columns - 1
}

func cut(s string, width int) string {
	if r := []rune(s); len(r) > width {
		return string(r[:width])
	}
	return s
}
