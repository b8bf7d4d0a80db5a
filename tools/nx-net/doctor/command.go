package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"

	"github.com/spf13/cobra"

	"nexus/source/api/netcli"
	"nexus/source/libs/svc"
)

// Config is what the command needs of its surroundings. The functions are called when it runs.
type Config struct {
	// Collect gathers the facts from outside a guest, and its services if it runs, else nil.
	Collect func(ctx context.Context) (Facts, Services, error)
	JSON    func() bool // the answer is to be one JSON document
	Out     io.Writer
}

// ErrFaulty says that a fault was found; it has been printed.
var ErrFaulty = errors.New("doctor: there are faults")

// New returns the command.
func New(c Config) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor [ADDRESS]",
		Short: "Name what is wrong with this machine, the guest and its network, and what to do",
		Long: `Look at this machine (QEMU, firmware, what was built, whether a TAP can be had),
at the guest's boot (its console, its frames, how it ended; the last one where
none is running), and, when it runs, ask its services: interfaces, addresses,
neighbours, counters, and whether the gateway and ADDRESS answer ping. Each
fault is named with its cause, what shows it and what to do.

Exit status:
  0  no fault was found
  1  at least one fault was found
  2  wrong usage, or no such guest`,
		Example: `  nx net doctor
  nx net doctor 192.0.2.1
  nx net doctor --guest g2 --json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return netcli.Usagef("doctor: want `nx net doctor [ADDRESS]`, got %d arguments", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var target netip.Addr
			if len(args) == 1 {
				var err error
				if target, err = netip.ParseAddr(args[0]); err != nil || !target.Is4() {
					return netcli.Usagef("doctor: %q is not an IPv4 address: give one such as 10.0.2.2", args[0])
				}
			}
			return c.run(cmd.Context(), target)
		},
	}
}

func (c Config) run(ctx context.Context, target netip.Addr) error {
	facts, services, err := c.Collect(ctx)
	if err != nil {
		return err
	}
	if services != nil {
		facts.Live = Ask(services, target)
	}
	findings := Diagnose(facts)
	if err := c.print(facts, findings); err != nil {
		return err
	}
	if Faulty(findings) {
		return ErrFaulty
	}
	return nil
}

// answer is the JSON document.
type answer struct {
	Guest    string    `json:"guest,omitempty"`
	Running  bool      `json:"running"`
	Faulty   bool      `json:"faulty"`
	Findings []Finding `json:"findings"`
}

func (c Config) print(facts Facts, findings []Finding) error {
	if !c.JSON() {
		return Print(c.Out, findings)
	}
	a := answer{Faulty: Faulty(findings), Findings: findings}
	if facts.Boot != nil {
		a.Guest, a.Running = facts.Boot.Name, facts.Boot.Running
	}
	out := json.NewEncoder(c.Out)
	out.SetIndent("", " ")
	return out.Encode(a)
}

// Print writes findings for a person.
func Print(w io.Writer, findings []Finding) error {
	faults := 0
	for _, f := range findings {
		if f.Level == Fault {
			faults++
		}
		if err := printOne(w, f); err != nil {
			return err
		}
	}
	verdict := "no fault found"
	if faults > 0 {
		verdict = fmt.Sprintf("%d %s found", faults, plural(faults, "fault"))
	}
	_, err := fmt.Fprintf(w, "nx: net doctor: %s\n", verdict)
	return err
}

func printOne(w io.Writer, f Finding) error {
	if f.Level == OK {
		_, err := fmt.Fprintf(w, "%-8s %s\n", f.Level, svc.Printable(f.Cause))
		return err
	}
	if _, err := fmt.Fprintf(w, "%-8s %s: %s\n", f.Level, f.ID, svc.Printable(f.Cause)); err != nil {
		return err
	}
	for _, e := range f.Evidence {
		if _, err := fmt.Fprintf(w, "         seen: %s\n", svc.Printable(e)); err != nil {
			return err
		}
	}
	if f.Do == "" {
		return nil
	}
	_, err := fmt.Fprintf(w, "         do:   %s\n", f.Do)
	return err
}

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}
