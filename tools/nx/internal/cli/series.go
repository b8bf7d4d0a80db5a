package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
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
	cmd := &cobra.Command{
		Use:   "soak [flags] [-- BOOT-FLAG...]",
		Short: "Boot many times and say how many were proven and how long they took",
		Long: `Boot many times in a row on each back end of the network card. Times are from
the exec of QEMU to the last selftest line, and to the end of QEMU. What follows -- is given to
every nx boot. The report of each boot that is not proven is kept.
` + exitHelp,
		RunE: func(cmd *cobra.Command, args []string) error {
			backends, err := backendsFor(s, nic)
			if err != nil {
				return err
			}
			failed := 0
			for _, b := range backends {
				n, err := soak(cmd.Context(), s, boots, append([]string{"--nic", b}, args...), keep)
				if err != nil {
					return err
				}
				failed += n
			}
			if failed > 0 {
				return statusError(exitUnproven)
			}
			return nil
		},
	}
	cmd.Flags().IntVar(&boots, "boots", 100, "how many boots on each back end")
	cmd.Flags().StringVar(&nic, "nic", both, "tap, wire or both")
	cmd.Flags().StringVar(&keep, "keep", "build", "folder for the reports of boots that are not proven")
	return cmd
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

// soak boots n times with args and prints a summary; it gives the number of
// boots that were not proven.
func soak(ctx context.Context, s streams, n int, args []string, keep string) (failed int, err error) {
	var selftest, whole []time.Duration
	for i := 1; i <= n; i++ {
		report, err := bootChild(ctx, s, args)
		if err != nil {
			return failed, fmt.Errorf("boot %d of %d: %w", i, n, err)
		}
		if report.Verdict.Proven {
			selftest = append(selftest, series.SelftestDone(report))
			whole = append(whole, report.Took)
			continue
		}
		failed++
		path := filepath.Join(keep, fmt.Sprintf("unproven-%s-%03d.json", report.NIC, i))
		if err := writeReport(path, report); err != nil {
			return failed, err
		}
		newConsole(s.out, false).printf("nexus: boot %d of %d is not proven: %s; see %s\n", i, n, report.Verdict.Failures[0], path)
	}
	newConsole(s.out, false).printf("nexus: %q: %d boots, %d proven\n  last selftest: %v\n  end of QEMU:   %v\n",
		args, n, n-failed, series.Of(selftest), series.Of(whole))
	return failed, nil
}

func newSame(s streams) *cobra.Command {
	var boots int
	var file string
	cmd := &cobra.Command{
		Use:   "same [flags] [-- BOOT-FLAG...]",
		Short: "Boot several times counting instructions, and compare the consoles byte by byte",
		Long: `Boot several times with the deterministic profile under -icount, and compare the
consoles byte by byte, but for the lines that the contract says may vary. What
follows -- is given to every nx boot.
` + exitHelp,
		RunE: func(cmd *cobra.Command, args []string) error {
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
			}
			return compareConsoles(s, reports, rules)
		},
	}
	cmd.Flags().IntVar(&boots, "boots", 10, "how many boots")
	cmd.Flags().StringVar(&file, "contract", defaultContract, "marker contract")
	return cmd
}

// compareConsoles prints how the boots' consoles differ, or that they do not.
func compareConsoles(s streams, reports []*boot.Report, rules *contract.Contract) error {
	show := newConsole(s.out, false)
	differences := series.Compare(reports, rules.MayVary)
	for _, d := range differences {
		show.printf("nexus: %v\n", d)
	}
	if len(differences) > 0 {
		return statusError(exitUnproven)
	}
	varying := 0
	for _, l := range reports[0].Console {
		if rules.MayVary(l.Text) {
			varying++
		}
	}
	show.printf("nexus: %d consoles of %d lines, the same to the byte but for %d that may vary\n",
		len(reports), len(reports[0].Console), varying)
	return nil
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
