package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"nexus/tools/nx/internal/rundir"
)

// killBound is how long a process may take to end that was killed.
const killBound = 10 * time.Second

func newStop(s streams) *cobra.Command {
	var all, asJSON bool
	bound := 10 * time.Second
	cmd := &cobra.Command{
		Use:   "stop [flags] [NAME...]",
		Short: "End guests",
		Long: `End the guests NAME, or the one that runs, or with --all every one. Each is asked
to end, which writes its report and capture; one that takes longer than --timeout is
killed, and QEMU with it.

Exit status:
  0  they have ended
  2  there is no such guest, or it could not be ended`,
		Example: "  nx stop web\n  nx stop --all --timeout 1s",
		RunE: func(cmd *cobra.Command, names []string) error {
			if all && len(names) > 0 {
				return errors.New("--all is every guest: leave out the names")
			}
			if bound < 0 {
				return errors.New("--timeout must not be negative")
			}
			guests, err := toStop(all, names)
			if err != nil {
				return err
			}
			return stopAll(s, guests, bound, asJSON)
		},
		ValidArgsFunction: completeGuests((*rundir.Root).Running),
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "every guest that runs")
	cmd.Flags().DurationVar(&bound, "timeout", bound, "how long a guest may take to end until it is killed")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return cmd
}

// toStop finds the guests meant; all of them must run.
func toStop(all bool, names []string) ([]rundir.Info, error) {
	root, err := rundir.Open(rundir.Default())
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		running, err := root.Running()
		if err == nil && len(running) == 0 && !all {
			err = fmt.Errorf("%w: there is nothing to stop", rundir.ErrNoGuest)
		}
		if len(running) > 1 && !all {
			err = fmt.Errorf("%w: say which, `nx stop NAME...`, or --all: %s", rundir.ErrSeveral, rundir.Names(running))
		}
		return running, err
	}
	var guests []rundir.Info
	seen := map[string]bool{}
	for _, name := range names {
		if err := rundir.CheckName(name); err != nil {
			return nil, err // "" would be the one that runs
		}
		g, err := root.Select(name)
		if err != nil {
			return nil, err
		}
		if !seen[name] {
			guests = append(guests, g)
		}
		seen[name] = true
	}
	return guests, nil
}

// stopped is a guest that has ended, in JSON.
type stopped struct {
	Name   string `json:"name"`
	Killed bool   `json:"killed"` // it did not end when it was asked to
}

// stopAll asks all guests to end, then waits for each.
func stopAll(s streams, guests []rundir.Info, bound time.Duration, asJSON bool) error {
	var problems []error
	ended := []stopped{}
	var stopping []*stopping
	for _, g := range guests {
		p, err := ask(g)
		if errors.Is(err, rundir.ErrEnded) {
			continue // it was quicker
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("stop %s: %w", g.Name, err))
			continue
		}
		defer p.close()
		stopping = append(stopping, p)
	}
	deadline := time.Now().Add(bound)
	for _, p := range stopping {
		killed, err := p.wait(time.Until(deadline))
		if err != nil {
			problems = append(problems, fmt.Errorf("stop %s: %w", p.name, err))
			continue
		}
		ended = append(ended, stopped{p.name, killed})
		if asJSON {
			continue
		}
		word := "stopped"
		if killed {
			word = fmt.Sprintf("killed: it did not end within %v", bound)
		}
		if _, err := fmt.Fprintf(s.out, "nexus: %s: %s\n", p.name, word); err != nil {
			return err
		}
	}
	if err := errors.Join(problems...); err != nil || !asJSON {
		return err
	}
	return printJSON(s.out, map[string][]stopped{"stopped": ended})
}

// stopping is a guest that was asked to end.
type stopping struct {
	name    string
	runner  *rundir.Process
	machine *rundir.Process // nil: it has none yet
}

// ask holds the guest's processes and asks its runner to end.
func ask(g rundir.Info) (*stopping, error) {
	runner, err := g.Runner()
	if err != nil {
		return nil, err
	}
	// Without it there is nothing but the runner to wait for.
	machine, _ := g.Machine()
	p := &stopping{g.Name, runner, machine}
	if err := runner.Signal(unix.SIGTERM); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// wait waits for the guest's end and, when it does not come in time, forces it.
func (p *stopping) wait(left time.Duration) (killed bool, err error) {
	ended, err := p.runner.Wait(left)
	if err == nil && !ended {
		killed = true
		if err = p.runner.Signal(unix.SIGKILL); err == nil {
			ended, err = p.runner.Wait(killBound)
		}
	}
	if err == nil && ended && p.machine != nil {
		ended, err = p.machine.Wait(killBound) // QEMU dies with its runner
	}
	if err == nil && !ended {
		err = errors.New("it was killed and is still there")
	}
	return killed, err
}

func (p *stopping) close() {
	p.runner.Close()
	if p.machine != nil {
		p.machine.Close()
	}
}

// completeGuests completes the names of guests.
func completeGuests(list func(*rundir.Root) ([]rundir.Info, error)) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		var names []string
		if root, err := rundir.Open(rundir.Default()); err == nil {
			guests, _ := list(root)
			for _, g := range guests {
				names = append(names, g.Name)
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}
