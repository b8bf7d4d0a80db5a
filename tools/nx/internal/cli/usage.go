package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"nexus/source/api/netcli"
	nxnet "nexus/tools/nx-net"
)

// exactly wants n arguments, as the command's usage line names them.
func exactly(n int) cobra.PositionalArgs { return between(n, n) }

// between wants low to high arguments.
func between(low, high int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if low <= len(args) && len(args) <= high {
			return nil
		}
		if high == 0 {
			return fmt.Errorf("%s: %q is one word too many: see %s --help", cmd.Name(), args[0], cmd.CommandPath())
		}
		path, _ := strings.CutSuffix(cmd.CommandPath(), cmd.Name())
		things := "arguments"
		if len(args) == 1 {
			things = "argument"
		}
		return fmt.Errorf("%s: want `%s%s`, got %d %s", cmd.Name(), path, cmd.Use, len(args), things)
	}
}

// explainCommands has the commands of root say what is wrong with the words they were given, and what is right.
func explainCommands(root *cobra.Command) {
	root.SetFlagErrorFunc(nxnet.FlagError)
	root.Args, root.RunE = cobra.ArbitraryArgs, noCommand
	root.SuggestionsMinimumDistance = 2
	root.InitDefaultCompletionCmd()
	root.InitDefaultHelpCmd()
	for _, sub := range root.Commands() {
		switch sub.Name() {
		case "completion":
			explainCompletion(sub)
		case "help":
			sub.Args = isCommand
		}
	}
}

// noCommand is what a command does that has others below it: it explains itself, or that there is none called args[0].
func noCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 && !cmd.HasParent() {
		return cmd.Help()
	}
	var names []string
	for _, sub := range cmd.Commands() {
		if hasManual(sub) {
			names = append(names, sub.Name())
		}
	}
	all := "want one of: " + strings.Join(names, ", ")
	if len(args) == 0 {
		return netcli.Usagef("%s: a command is missing: %s", cmd.Name(), all)
	}
	if like := cmd.SuggestionsFor(args[0]); len(like) > 0 {
		all = "is " + strings.Join(like, " or ") + " meant?"
	}
	return netcli.Usagef("there is no command %q: %s", strings.TrimPrefix(cmd.CommandPath()+" ", "nx ")+args[0], all)
}

// isCommand wants the words of a command.
func isCommand(cmd *cobra.Command, args []string) error {
	found, rest, err := cmd.Root().Find(args)
	if err == nil && len(rest) == 0 {
		return nil
	}
	if found == nil {
		found = cmd.Root()
	}
	return netcli.Usagef("help: there is no command %q: see %s --help", strings.Join(args, " "), found.CommandPath())
}

// checkBootFlags refuses words that are not for nx boot, and those with which its boot does not end by itself.
func checkBootFlags(cmd *cobra.Command, args []string) error {
	before := cmd.ArgsLenAtDash()
	if before < 0 {
		before = len(args)
	}
	if before > 0 {
		return fmt.Errorf("%s: %q is one word too many: flags for nx boot follow --", cmd.Name(), args[0])
	}
	f, probe := new(bootFlags), &cobra.Command{Use: "boot"}
	f.register(probe)
	if err := probe.ParseFlags(args); err != nil {
		real, _, _ := cmd.Root().Find([]string{probe.Name()}) // it is there
		return fmt.Errorf("%s: after --: %w", cmd.Name(), nxnet.FlagError(real, err))
	}
	if rest := probe.Flags().Args(); len(rest) > 0 {
		return fmt.Errorf("%s: after --: %q is one word too many: nx boot takes flags alone", cmd.Name(), rest[0])
	}
	if f.detach || f.Stay {
		return fmt.Errorf("%s: after --: --detach and --stay are not for boots whose end is waited for", cmd.Name())
	}
	return nil
}

// explainOutput tells that err is of this process's own output, and what to do about a full disk.
func explainOutput(err error) error {
	if strings.Contains(err.Error(), "write /dev/stdout: ") {
		err = fmt.Errorf("the output could not be written: %w", err)
	}
	var wrote *fs.PathError // fork and others say ENOSPC too, of other things
	full := errors.Is(err, syscall.ENOSPC) && errors.As(err, &wrote) && wrote.Op == "write"
	if full && !strings.HasSuffix(err.Error(), "is the disk full?") {
		err = fmt.Errorf("%w: is the disk full?", err)
	}
	return err
}
