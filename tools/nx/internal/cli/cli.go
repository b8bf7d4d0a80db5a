// Package cli is nx's command line.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"nexus/source/api/netcli"
)

// Exit statuses of nx.
const (
	exitDone     = 0 // what was asked for was done, and proven where that was asked
	exitUnproven = 1 // the boot ran, and is not proven
	exitFailed   = 2 // nothing could be run: wrong usage, something is missing
)

const exitHelp = `
Exit status:
  0  proven
  1  the machine ran, but the boot is not proven
  2  nothing could be run: wrong usage, or something is missing`

// rootHelp is of nx as a whole.
const rootHelp = `Boot Nexus in QEMU, prove what it did, and work with guests that run.

Exit status of every command:
  0  done, or proven
  1  it ran and found a fault: a boot is not proven, a check failed, no echo came back
  2  nothing could be run: wrong usage, something is missing, no guest
  3  a guest refused, did not answer in time, or ended during the call

With --json a command prints one JSON document, and an error is one too.`

// streams are the process's standard streams.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// statusError ends nx with a status; the reason has been printed already.
type statusError int

func (s statusError) Error() string { return fmt.Sprintf("status %d", int(s)) }

// Main runs nx with args and gives its exit status.
func Main(args []string, in io.Reader, out, errs io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()

	root := newRoot(streams{in, out, errs})
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var status statusError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &status):
		return int(status)
	default:
		return netcli.Report(explainOutput(err), netcli.WantsJSON(args), out, errs)
	}
}

func newRoot(s streams) *cobra.Command {
	root := &cobra.Command{
		Use:           "nx",
		Short:         "Boot Nexus in QEMU and prove what it did",
		Long:          rootHelp,
		Example:       "  nx boot\n  nx net if\n  nx completion bash > /etc/bash_completion.d/nx",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.AddCommand(newBoot(s), newProve(s), newReport(), newSoak(s), newSame(s), newPostflight(s), newDnsmasq(s),
		newTap(s), newEcho(s), newDTB(), newPs(s), newStop(s), newLogs(s), newNet(s), newMan(), newVersion(s))
	explainCommands(root)
	return root
}
