package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"nexus/tools/nx/internal/boot"
	"nexus/tools/nx/internal/contract"
	"nexus/tools/nx/internal/machine"
)

// console shows a boot as it goes on: each line with its time, markers marked
// with "*", forbidden lines with "!".
type console struct {
	out     io.Writer // nil shows nothing
	verbose bool
	held    []boot.Line // the firmware's lines, in case nothing else comes
	kernel  bool        // the kernel has spoken
}

func newConsole(out io.Writer, verbose bool) *console {
	return &console{out: out, verbose: verbose}
}

func (c *console) printf(format string, args ...any) {
	if c.out != nil {
		// Nothing can be done about a terminal that went away.
		_, _ = fmt.Fprintf(c.out, format, args...)
	}
}

// Starting implements boot.Watcher.
func (c *console) Starting(nic, why string, qemu machine.Version) {
	c.printf("nexus: QEMU %v, network card on %s (%s)\n", qemu, nic, why)
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
	mark := ' '
	switch {
	case forbidden:
		mark = '!'
	case hit != nil:
		mark = '*'
	}
	c.line(l, mark)
}

func (c *console) line(l boot.Line, mark rune) {
	c.printf("%8.3f %c %s\n", l.At.Seconds(), mark, printable(l.Text))
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
func (c *console) Standing(v contract.Verdict) {
	c.verdict(v)
	c.printf("nexus: staying up; ^C ends\n")
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
	if !r.Verdict.Proven {
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
	word := "boot proven"
	if !v.Proven {
		word = "boot NOT proven"
	}
	c.printf("nexus: %s: %d markers, %d with evidence, %.2f s\n",
		word, len(v.Markers), v.Evident, v.Took.Round(10*time.Millisecond).Seconds())
}
