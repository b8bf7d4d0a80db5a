package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"nexus/tools/nx/internal/rundir"
)

// listedGuest is a guest in the JSON of nx ps.
type listedGuest struct {
	rundir.Info
	Up time.Duration `json:"up_ns"` // how long it has been up, or was
}

func newPs(s streams) *cobra.Command {
	var all, asJSON bool
	cmd := &cobra.Command{
		Use:   "ps",
		Short: "List the guests that run",
		Long: `List the guests that run, and with --all those that ended as far as they are kept.
It changes nothing.

STATE is booting, standing (it serves on after its verdict), ended, or died: its
nx was killed, and QEMU with it. PID is that of the guest's nx.

Exit status:
  0  they are listed, if there are any
  2  wrong usage, or the run directory cannot be read`,
		Example: "  nx ps\n  nx ps --all --json",
		Args:    exactly(0),
		RunE: func(*cobra.Command, []string) error {
			root, err := rundir.Open(rundir.Default())
			if err != nil {
				return err
			}
			list := root.Running
			if all {
				list = root.List
			}
			guests, err := list()
			if err != nil {
				return err
			}
			listed := make([]listedGuest, 0, len(guests))
			for _, g := range guests {
				listed = append(listed, listedGuest{g, up(g, time.Now())})
			}
			if asJSON {
				return printJSON(s.out, map[string]any{"guests": listed})
			}
			return printGuests(s.out, listed)
		},
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "the guests that ended too")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the guests as JSON")
	return cmd
}

// up is how long the guest has been up, or was; 0 where nobody knows.
func up(g rundir.Info, now time.Time) time.Duration {
	switch {
	case g.Phase.Running():
		return max(now.Sub(g.Started), 0)
	case g.Phase == rundir.Ended:
		return max(g.Ended.Sub(g.Started), 0)
	}
	return 0
}

func printGuests(out io.Writer, guests []listedGuest) error {
	w := tabwriter.NewWriter(out, 0, 8, 3, ' ', 0)
	if _, err := fmt.Fprintln(w, "NAME\tSTATE\tPID\tNIC\tNET\tUP\tVERDICT"); err != nil {
		return err
	}
	for _, g := range guests {
		long := "-"
		if g.Up > 0 {
			long = g.Up.Round(time.Second / 10).String()
		}
		if _, err := fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\t%s\n",
			g.Name, g.Phase, g.PID, printable(g.NIC), printable(g.Net), long, verdictWord(g.Verdict)); err != nil {
			return err
		}
	}
	return w.Flush()
}

func verdictWord(v *rundir.Verdict) string {
	switch {
	case v == nil:
		return "-"
	case v.Proven:
		return "proven"
	}
	return "NOT proven: " + printable(v.Failure)
}

func printJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", " ")
	return e.Encode(v)
}
