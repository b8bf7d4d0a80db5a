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

// streams are the process's standard streams.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// jsonError is what --json prints for an error.
type jsonError struct {
	Error errorText `json:"error"`
}

type errorText struct {
	Text   string `json:"text"`
	Status int    `json:"status"`
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
	cmd, err := root.ExecuteContextC(ctx)
	var status statusError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &status):
		return int(status)
	default:
		fmt.Fprintln(errs, "nx:", err)
		if f := cmd.Flags().Lookup("json"); f != nil && f.Value.String() == "true" {
			_ = printJSON(out, jsonError{errorText{err.Error(), exitFailed}}) // it was said already
		}
		return exitFailed
	}
}

func newRoot(s streams) *cobra.Command {
	root := &cobra.Command{
		Use:           "nx",
		Short:         "Boot Nexus in QEMU and prove what it did",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.AddCommand(newBoot(s), newProve(s), newSoak(s), newSame(s), newTap(s), newEcho(s), newDTB(),
		newPs(s), newStop(s), newLogs(s))
	return root
}
