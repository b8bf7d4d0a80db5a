package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"nexus/tools/nx/internal/boot"
	"nexus/tools/nx/internal/contract"
)

// console shows a boot as it goes on: each line with its time, markers marked
// with "*", forbidden lines with "!".
type console struct {
	out      io.Writer // nil shows nothing
	verbose  bool
	colour   palette
	progress progress
	held     []boot.Line // the firmware's lines, in case nothing else comes
	kernel   bool        // the kernel has spoken
	lost     error       // the first failure to write
}

// newConsole shows on out without colour and without progress.
func newConsole(out io.Writer, verbose bool) *console {
	return &console{out: out, verbose: verbose}
}

// newBootConsole shows a boot on out as it can be shown there.
func newBootConsole(out io.Writer, verbose bool, color string) *console {
	c := newConsole(out, verbose)
	t := terminalOf(out)
	c.colour = paletteFor(color, t)
	c.progress.terminal = t
	return c
}

func (c *console) printf(format string, args ...any) {
	if c.out != nil {
		c.wrote(fmt.Fprintf(c.out, c.progress.clear()+format, args...))
	}
}

// wrote keeps the first failure to write: a terminal that went away is no reason to end what is shown.
func (c *console) wrote(_ int, err error) {
	if c.lost == nil {
		c.lost = err
	}
}

// complain says on errs that not all could be shown.
func (c *console) complain(errs io.Writer) {
	if c.lost != nil {
		_, _ = fmt.Fprintf(errs, "nx: warning: %v\n", explainOutput(c.lost)) // nobody else can be told
	}
}

// Starting implements boot.Watcher.
func (c *console) Starting(r *boot.Report) {
	c.printf("nexus: %s: QEMU %s, network card on %s (%s)\n", r.Name, r.QEMU, r.NIC, r.Why)
	if r.SMP > 1 {
		c.printf("nexus: the machine has %d harts; Nexus runs on one, and the firmware parks the others\n", r.SMP)
	}
}

// Waiting implements boot.Watcher.
func (c *console) Waiting(w boot.Wait) {
	if text := c.progress.waiting(w); text != "" && c.out != nil {
		c.wrote(io.WriteString(c.out, text))
	}
}

// Line implements boot.Watcher.
func (c *console) Line(l boot.Line, hit *contract.Hit, forbidden bool) {
	if !c.kernel && !c.verbose {
		c.kernel = hit != nil || forbidden || strings.HasPrefix(l.Text, "neuron:")
		if !c.kernel {
			c.held = append(c.held, l)
			return
		}
	}
	c.line(l, boot.MarkOf(hit != nil, forbidden))
}

func (c *console) line(l boot.Line, mark byte) {
	c.printf("%s\n", c.colour.line(l, mark))
}

// printable keeps a guest from driving the operator's terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f {
			return '.'
		}
		return r
	}, s)
}

// Standing implements boot.Watcher.
func (c *console) Standing(r *boot.Report) {
	c.verdict(r.Verdict)
	c.printf("nexus: %s: staying up; ^C or `nx stop %s` ends\n", r.Name, r.Name)
}

// finish shows the verdict and, of a boot that is not proven, all that may
// help to see why.
func (c *console) finish(r *boot.Report) {
	if !c.kernel && !c.verbose {
		for _, l := range c.held[max(0, len(c.held)-10):] {
			c.line(l, ' ')
		}
	}
	for _, w := range r.Warnings {
		c.printf("nexus: warning: %s\n", w)
	}
	if !r.Verdict.Proven || r.Exit != 0 {
		c.printf("nexus: %s after %.2f s\n", r.Ended, r.Took.Seconds())
		if r.Stderr != "" {
			c.printf("nexus: QEMU said: %s\n", r.Stderr)
		}
		if r.Advice != "" {
			c.printf("nexus: %s\n", r.Advice)
		}
		for _, o := range r.Host {
			if !o.OK {
				c.printf("nexus: the host asked the guest (%s): %s after %d tries\n", o.Ask, o.Error, o.Tries)
			}
		}
	}
	c.verdict(r.Verdict)
}

func (c *console) verdict(v contract.Verdict) {
	for _, f := range v.Failures {
		c.printf("nexus: %s\n", f)
	}
	word := c.colour.good("boot proven")
	if !v.Proven {
		word = c.colour.bad("boot NOT proven")
	}
	c.printf("nexus: %s: %d markers, %d with evidence, %.2f s\n",
		word, len(v.Markers), v.Evident, v.Took.Round(10*time.Millisecond).Seconds())
}
