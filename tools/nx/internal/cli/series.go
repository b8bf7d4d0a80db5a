package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"nexus/tools/nx/internal/boot"
	"nexus/tools/nx/internal/contract"
	"nexus/tools/nx/internal/machine"
	"nexus/tools/nx/internal/series"
	"nexus/tools/nx/internal/tap"
)

// both means every back end that can be had.
const both = "both"

func newSoak(s streams) *cobra.Command {
	var boots int
	var nic, keep string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "soak [flags] [-- BOOT-FLAG...]",
		Short: "Boot many times and say how many were proven and how long they took",
		Long: `Boot many times in a row on each back end of the network card. Times are from
the exec of QEMU to the last selftest line, and to the end of QEMU. What follows -- is given to
every nx boot. The report of each boot that is not proven is kept. After every tenth
boot a line on standard error says how far it is.

Exit status:
  0  every boot was proven
  1  at least one was not
  2  a boot could not be run: wrong usage, something is missing, an interrupt`,
		Example: `  nx soak --boots 20 --nic wire
  nx soak --nic user -- --net dhcp --memory 64`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkSoak(cmd, boots, nic, keep, args); err != nil {
				return err
			}
			backends, err := backendsFor(s, nic)
			if err != nil {
				return err
			}
			all := []*soaked{}
			failed := false
			for _, b := range backends {
				one, err := soak(cmd.Context(), s, boots, b, args, keep)
				if err != nil {
					return err
				}
				all, failed = append(all, one), failed || one.Proven < one.Boots
				if !asJSON {
					one.print(s)
				}
			}
			if asJSON {
				if err := printJSON(s.out, map[string][]*soaked{"series": all}); err != nil {
					return err
				}
			}
			if failed {
				return statusError(exitUnproven)
			}
			return nil
		},
	}
	cmd.Flags().IntVar(&boots, "boots", 100, "how many boots on each back end")
	cmd.Flags().StringVar(&nic, "nic", both, "tap, wire, user, or both of tap and wire")
	completeFlag(cmd, "nic", both, boot.NICTap, boot.NICWire, boot.NICUser)
	cmd.Flags().StringVar(&keep, "keep", "build", "folder for the reports of boots that are not proven, made if need be")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return cmd
}

// checkSoak refuses what cannot be, before the first boot.
func checkSoak(cmd *cobra.Command, boots int, nic, keep string, args []string) error {
	if boots < 1 {
		return errors.New("--boots must be at least 1")
	}
	if known := []string{both, boot.NICTap, boot.NICWire, boot.NICUser}; !slices.Contains(known, nic) {
		return fmt.Errorf("soak: --nic %q is not one of %s", nic, strings.Join(known, ", "))
	}
	if err := os.MkdirAll(keep, 0o755); err != nil {
		return fmt.Errorf("soak: --keep: %w: name a folder that can be written to", err)
	}
	return checkBootFlags(cmd, args)
}

// backendsFor lists the back ends to use; with both, a TAP that cannot be had
// is said and left out.
func backendsFor(s streams, nic string) ([]string, error) {
	if nic != both {
		return []string{nic}, nil
	}
	if err := tap.Usable(); err != nil {
		if _, err := fmt.Fprintf(s.err, "nx: not on a TAP: %v\n", err); err != nil {
			return nil, err
		}
		return []string{boot.NICWire}, nil
	}
	return []string{boot.NICWire, boot.NICTap}, nil
}

// soaked is what came of a series of boots on one back end.
type soaked struct {
	NIC      string        `json:"nic"`
	Args     []string      `json:"boot_flags"`
	Boots    int           `json:"boots"`
	Proven   int           `json:"proven"`
	Selftest series.Spread `json:"last_selftest"` // of those proven
	Whole    series.Spread `json:"end_of_qemu"`
}

func (r *soaked) print(s streams) {
	newConsole(s.out, false).printf("nexus: %q: %d boots, %d proven\n  last selftest: %v\n  end of QEMU:   %v\n",
		append([]string{"--nic", r.NIC}, r.Args...), r.Boots, r.Proven, r.Selftest, r.Whole)
}

// progressEvery is after how many boots of a series a line says how far it is.
const progressEvery = 10

// soak boots n times on a back end.
func soak(ctx context.Context, s streams, n int, nic string, args []string, keep string) (*soaked, error) {
	r := &soaked{NIC: nic, Args: args, Boots: n}
	var selftest, whole []time.Duration
	for i := 1; i <= n; i++ {
		report, err := bootChild(ctx, s, append([]string{"--nic", nic}, args...))
		if err != nil {
			return nil, fmt.Errorf("boot %d of %d: %w", i, n, err)
		}
		if report.Verdict.Proven {
			r.Proven++
			selftest = append(selftest, series.SelftestDone(report))
			whole = append(whole, report.Took)
		} else {
			path := filepath.Join(keep, fmt.Sprintf("unproven-%s-%03d.json", report.NIC, i))
			if err := writeReport(path, report); err != nil {
				return nil, err
			}
			newConsole(s.err, false).printf("nexus: boot %d of %d is not proven: %s; see %s\n", i, n, report.Verdict.Failures[0], path)
		}
		sayHowFar(s, nic, i, n, r.Proven)
	}
	r.Selftest, r.Whole = series.Of(selftest), series.Of(whole)
	return r, nil
}

// sayHowFar says now and then how far a series is.
func sayHowFar(s streams, nic string, i, n, proven int) {
	if i%progressEvery == 0 && i < n {
		newConsole(s.err, false).printf("nexus: %s: %d of %d boots, %d proven\n", nic, i, n, proven)
	}
}

func newSame(s streams) *cobra.Command {
	var boots int
	var file string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "same [flags] [-- BOOT-FLAG...]",
		Short: "Boot several times counting instructions, and compare the consoles byte by byte",
		Long: `Boot several times with the deterministic profile under -icount, and compare the
consoles byte by byte, but for the lines that the contract says may vary. What
follows -- is given to every nx boot.

Exit status:
  0  the consoles are the same
  1  they differ, or a boot is not proven
  2  a boot could not be run: wrong usage, something is missing, an interrupt`,
		Example: `  nx same --boots 3
  nx same -- --net static`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if boots < 2 {
				return errors.New("--boots must be at least 2: one console is the same as itself")
			}
			if err := checkBootFlags(cmd, args); err != nil {
				return err
			}
			rules, err := contract.Load(file)
			if err != nil {
				return err
			}
			args = append([]string{"--profile", machine.Deterministic, "--icount", "--nic", boot.NICWire, "--contract", file}, args...)
			var reports []*boot.Report
			for i := range boots {
				report, err := bootChild(cmd.Context(), s, args)
				if err != nil {
					return err
				}
				if !report.Verdict.Proven {
					newConsole(s.out, false).printf("nexus: boot %d is not proven: %s\n", i+1, report.Verdict.Failures[0])
					return statusError(exitUnproven)
				}
				reports = append(reports, report)
				sayHowFar(s, boot.NICWire, i+1, boots, i+1)
			}
			return compareConsoles(s, reports, rules, asJSON)
		},
	}
	cmd.Flags().IntVar(&boots, "boots", 10, "how many boots")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	cmd.Flags().StringVar(&file, "contract", defaultContract, "marker contract")
	return cmd
}

// compared is how the consoles of a series compare, in JSON.
type compared struct {
	Consoles    int                 `json:"consoles"`
	Lines       int                 `json:"lines"`
	Varying     int                 `json:"may_vary"` // lines of these that may differ
	Same        bool                `json:"same"`
	Differences []series.Difference `json:"differences"` // the first of each boot that has one
}

// compareConsoles prints how the boots' consoles differ, or that they do not.
func compareConsoles(s streams, reports []*boot.Report, rules *contract.Contract, asJSON bool) error {
	c := compared{Consoles: len(reports), Lines: len(reports[0].Console), Differences: series.Compare(reports, rules.MayVary)}
	c.Same = len(c.Differences) == 0
	for _, l := range reports[0].Console {
		if rules.MayVary(l.Text) {
			c.Varying++
		}
	}
	if asJSON {
		if err := printJSON(s.out, c); err != nil {
			return err
		}
	} else {
		c.print(newConsole(s.out, false))
	}
	if !c.Same {
		return statusError(exitUnproven)
	}
	return nil
}

func (c *compared) print(show *console) {
	for _, d := range c.Differences {
		show.printf("nexus: %v\n", d)
	}
	if c.Same {
		show.printf("nexus: %d consoles of %d lines, the same to the byte but for %d that may vary\n", c.Consoles, c.Lines, c.Varying)
	}
}

// bootChild runs nx boot in a process of its own and gives its report.
func bootChild(ctx context.Context, s streams, args []string) (*boot.Report, error) {
	return childReport(ctx, s, tap.RunHere, append([]string{"boot", "--json", "--forget"}, args...))
}

// runner executes a command and waits for it, as tap.Run and tap.RunHere do.
type runner func(*exec.Cmd) error

// childReport runs nx with argv in a process of its own and gives the report that it
// prints.
func childReport(ctx context.Context, s streams, run runner, argv []string) (*boot.Report, error) {
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, "/proc/self/exe", argv...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopBound
	cmd.Stdout, cmd.Stderr = &out, s.err
	err := run(cmd)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != exitUnproven) {
		return nil, childError(out.Bytes(), err)
	}
	report := new(boot.Report)
	if err := json.Unmarshal(out.Bytes(), report); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	return report, nil
}

// childError is what a child said in its error document, if it wrote one, else err.
func childError(out []byte, err error) error {
	var said struct {
		Error struct {
			Text string `json:"text"`
		} `json:"error"`
	}
	if json.Unmarshal(out, &said) == nil && said.Error.Text != "" {
		return errors.New(said.Error.Text)
	}
	return err
}
