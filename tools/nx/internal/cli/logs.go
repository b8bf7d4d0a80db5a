package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"nexus/tools/nx/internal/boot"
	"nexus/tools/nx/internal/machine"
	"nexus/tools/nx/internal/rundir"
)

func newLogs(s streams) *cobra.Command {
	var follow, raw, asJSON bool
	var color string
	cmd := &cobra.Command{
		Use:   "logs [flags] [NAME]",
		Short: "Show what a guest printed, also after its end",
		Long: `Show the console of the guest NAME: each line with its time since the exec of
QEMU, markers with "*", forbidden lines with "!". Without NAME it is the guest that
runs, or where none does the one that ran last.

Exit status:
  0  it is shown, and with --follow the guest has ended or an interrupt came
  2  there is no such guest, or its log cannot be read`,
		Example: "  nx logs -f web\n  nx logs --raw web | go run ./tools/mkkernel symbolize",
		Args:    between(0, 1),
		RunE: func(cmd *cobra.Command, names []string) error {
			if err := checkColor(color); err != nil {
				return err
			}
			form := logShown
			switch {
			case raw && asJSON:
				return errors.New("--raw and --json are two forms: leave one out")
			case raw:
				form = logRaw
			case asJSON:
				form = logJSON
			}
			g, err := toShow(names)
			if err != nil {
				return err
			}
			return showLog(cmd.Context(), s, g, follow, newLogPrinter(s.out, form, color))
		},
		ValidArgsFunction: completeGuests((*rundir.Root).List),
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what it prints, until it ends")
	cmd.Flags().BoolVar(&raw, "raw", false, "only what the guest printed, without times and marks")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON document a line: at_ns, text and mark")
	cmd.Flags().StringVar(&color, "color", colorAuto, "colour the lines: auto, always or never")
	completeFlag(cmd, "color", colorAuto, colorAlways, colorNever)
	return cmd
}

// toShow finds the guest meant, running or not.
func toShow(names []string) (rundir.Info, error) {
	root, err := rundir.Open(rundir.Default())
	if err != nil {
		return rundir.Info{}, err
	}
	if len(names) > 0 {
		return root.Find(names[0])
	}
	running, err := root.Running()
	switch {
	case err != nil:
		return rundir.Info{}, err
	case len(running) == 1:
		return running[0], nil
	case len(running) > 1:
		return rundir.Info{}, fmt.Errorf("%w: say which, `nx logs NAME`: %s", rundir.ErrSeveral, rundir.Names(running))
	}
	all, err := root.List()
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("%w and none is kept: start one with nx boot", rundir.ErrNoGuest)
	}
	if err != nil {
		return rundir.Info{}, err
	}
	return all[len(all)-1], nil
}

// showLog prints the guest's log to its end, and with follow until the guest's.
func showLog(ctx context.Context, s streams, g rundir.Info, follow bool, p *logPrinter) error {
	var watch *logWatch
	if follow {
		var err error
		// Before the log is read, so that nothing is missed.
		if watch, err = watchLog(ctx, g); err != nil && !errors.Is(err, rundir.ErrEnded) {
			return fmt.Errorf("follow %s: %w", g.Name, err)
		}
	}
	if watch != nil {
		defer watch.close()
	}
	f, err := os.Open(g.Path(rundir.ConsoleFile))
	if err != nil {
		return fmt.Errorf("log of %s: %w", g.Name, err)
	}
	defer f.Close()
	for {
		// Seen before the log is read to its end: what is there then is all.
		ended := watch == nil || watch.ended
		if err := p.copy(f); err != nil {
			return err
		}
		if ended {
			break
		}
		if err := watch.next(); err != nil {
			return fmt.Errorf("follow %s: %w", g.Name, err)
		}
		if ctx.Err() != nil {
			return nil // an interrupt is how following ends
		}
	}
	if err := p.flush(); err != nil || !follow {
		return err
	}
	return sayEnd(s, g)
}

// sayEnd says on standard error how the guest ended.
func sayEnd(s streams, g rundir.Info) error {
	root, err := rundir.Open(rundir.Default())
	if err != nil {
		return err
	}
	now, err := root.Find(g.Name)
	why := now.Why
	if err != nil || now.PID != g.PID {
		why = "it is gone from the run directory"
	} else if now.Phase == rundir.Died {
		why = "its nx was killed"
	}
	_, err = fmt.Fprintf(s.err, "nexus: %s ended: %s\n", g.Name, printable(why))
	return err
}

// maxLogged bounds a line of the log: a piece of the console with time and mark.
const maxLogged = machine.MaxLine + 100

// logForm is how lines of a log are printed.
type logForm int

const (
	logShown logForm = iota // with times and marks
	logRaw                  // as the guest printed them
	logJSON                 // a document each
)

// loggedJSON is a line of the log in JSON.
type loggedJSON struct {
	boot.Line
	Mark string `json:"mark"` // "*" a marker, "!" a forbidden line, "" neither
}

// logPrinter prints lines of a log, as it gets them in pieces.
type logPrinter struct {
	out     *bufio.Writer
	form    logForm
	exact   bool // raw, and not to a terminal: the bytes as they are
	colour  palette
	partial []byte
}

func newLogPrinter(out io.Writer, form logForm, color string) *logPrinter {
	t := terminalOf(out)
	return &logPrinter{out: bufio.NewWriter(out), form: form, exact: form == logRaw && !isTerminal(out), colour: paletteFor(color, t)}
}

// copy prints the whole lines of what can be read from in now.
func (p *logPrinter) copy(in io.Reader) error {
	buf := make([]byte, 64<<10)
	for {
		n, err := in.Read(buf)
		p.partial = append(p.partial, buf[:n]...)
		for {
			line, rest, ok := bytes.Cut(p.partial, []byte("\n"))
			if !ok && len(p.partial) <= maxLogged {
				break
			}
			p.line(string(line))
			p.partial = rest
		}
		if errors.Is(err, io.EOF) {
			return p.out.Flush()
		}
		if err != nil {
			return err
		}
	}
}

// flush prints a last line that was cut off by the end of its writer.
func (p *logPrinter) flush() error {
	if len(p.partial) > 0 {
		p.line(string(p.partial))
		p.partial = nil
	}
	return p.out.Flush()
}

// line prints one line; Flush tells of errors.
func (p *logPrinter) line(s string) {
	l, ok := boot.ParseLogged(s)
	if !ok {
		l = boot.LoggedLine{Line: boot.Line{Text: s}, Mark: boot.MarkNone}
	}
	switch {
	case p.form == logJSON:
		// Text and a number always can be encoded.
		data, _ := json.Marshal(loggedJSON{l.Line, strings.TrimSpace(string(l.Mark))})
		s = string(data)
	case p.exact:
		s = l.Text
	case p.form == logRaw:
		s = printable(l.Text)
	default:
		s = p.colour.line(l.Line, l.Mark)
	}
	_, _ = p.out.WriteString(s + "\n")
}
