// Package nxnet is `nx net` on the host: the commands of source/api/netcli over a guest's control channel, as cobra commands with
// completion and help, and what needs files: frames from captures, and captures of what was received.
package nxnet

import (
	"context"
	"errors"
	"flag"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"nexus/source/api/netcli"
	"nexus/tools/nx-net/doctor"
)

// Config is what the command works with.
type Config struct {
	// Dial finds a guest by its name, or the only one when the name is "", and gives its services. Its error says what to do.
	// What it returns may also be an io.Closer, and a netcli.Ender to tell how a channel ended.
	Dial func(ctx context.Context, guest string) (netcli.Services, error)

	// Facts gathers what doctor judges by, from outside the guest. The error says that there is no such guest.
	Facts func(ctx context.Context, guest string) (doctor.Facts, error)

	// Guests, if set, lists the names that --guest may have, for completion.
	Guests func() []string

	In       io.Reader
	Out, Err io.Writer

	// Clock and Patience are those of netcli.Env; zero for the system's.
	Clock    netcli.Clock
	Patience time.Duration
}

// GuestVariable is the environment variable that names the guest where --guest does not.
const GuestVariable = "NEXUS_GUEST"

// New returns the `net` command. Its errors are those that netcli.Report understands.
func New(c Config) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "net COMMAND",
		Short: "Look at and use a guest's network",
		Long: `Look at and use the network of a running guest (nx boot --stay) over its control channel: interfaces, addresses,
DHCP, ARP, ping, raw frames, URLs and counters. The same commands run inside the guest.

With one guest running it is found; with several --guest or $NEXUS_GUEST names it. --json prints one JSON document,
also for an error.

` + netcli.Exits,
		Example: "  nx net if\n  nx net ping 127.0.0.1 -c 2\n  nx net fetch http://127.0.0.1:8080/hello\n  nx net stats --guest g2 drop --nonzero",
		RunE:    noCommand,
		Args:    cobra.ArbitraryArgs,

		SuggestionsMinimumDistance: 2,
	}
	flags := cmd.PersistentFlags()
	flags.String("guest", "", "the guest's `NAME`, if there are several ($"+GuestVariable+")")
	flags.Bool("json", false, "print one JSON document")
	cmd.SetFlagErrorFunc(FlagError)
	_ = cmd.RegisterFlagCompletionFunc("guest", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		if c.Guests == nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return c.Guests(), cobra.ShellCompDirectiveNoFileComp
	}) // the flag exists
	for _, command := range netcli.Commands() {
		sub, run := c.wrap(command)
		switch command.Name {
		case "sendraw":
			c.sendFiles(sub)
		case "recv":
			c.writeFile(sub, run)
		}
		cmd.AddCommand(sub)
	}
	cmd.AddCommand(c.capture(), c.doctor())
	return cmd
}

// noCommand explains that the command's name is missing or unknown.
func noCommand(cmd *cobra.Command, args []string) error {
	var names []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "help" {
			names = append(names, sub.Name())
		}
	}
	if len(args) == 0 {
		return netcli.Usagef("net: a command is missing: want one of: %s", strings.Join(names, ", "))
	}
	if like := cmd.SuggestionsFor(args[0]); len(like) > 0 {
		return netcli.Usagef("net: there is no command %q: is %s meant?", args[0], strings.Join(like, " or "))
	}
	return netcli.Usagef("net: there is no command %q: want one of: %s", args[0], strings.Join(names, ", "))
}

// FlagError says of a flag that cannot be where the flags are listed, or what its value may be.
func FlagError(cmd *cobra.Command, err error) error {
	prefix := ""
	if cmd.HasParent() {
		prefix = cmd.Name() + ": "
	}
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		return netcli.Usagef("%s%v: see %s --help", prefix, err, cmd.CommandPath())
	}
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		if want := wanted(invalid.GetFlag().Value.Type()); want != "" {
			text := strings.TrimSuffix(err.Error(), errors.Unwrap(invalid).Error())
			return netcli.Usagef("%s%s%s", prefix, text, want)
		}
	}
	return netcli.Usagef("%s%v", prefix, err)
}

// wanted says what a flag of a type takes, where the type's own complaint speaks of its parser.
func wanted(kind string) string {
	switch kind {
	case "bool":
		return "want true or false"
	case "int":
		return "want a whole number"
	case "uint16":
		return "want a whole number from 0 to 65535"
	case "duration":
		return "want a time with its unit, as 500ms, 30s or 2m"
	}
	return ""
}

// wrap makes a cobra command of one of netcli's, and gives what runs it with the values of its flags.
func (c Config) wrap(command netcli.Command) (*cobra.Command, netcli.Runner) {
	flags := flag.NewFlagSet(command.Name, flag.ContinueOnError)
	run := command.Prepare(flags)
	cmd := &cobra.Command{
		Use:     strings.TrimPrefix(command.Synopsis(), "nx net "),
		Short:   command.Short,
		Long:    command.Long + "\n\n" + netcli.Exits,
		Example: "  " + strings.ReplaceAll(command.Example, "\n", "\n  "),
		Args:    cobra.ArbitraryArgs, // the runner checks them, and says what it wants
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.run(cmd, args, run, nil)
		},
		ValidArgsFunction: completion(command),
	}
	adopt(cmd.Flags(), flags)
	return cmd, run
}

// run runs a netcli runner against the guest that the flags name.
func (c Config) run(cmd *cobra.Command, args []string, run netcli.Runner, received func([]byte) error) error {
	asJSON, err := cmd.Flags().GetBool("json")
	if err != nil {
		return err
	}
	services := &dialed{cmd: cmd, dial: c.Dial}
	defer services.close()
	env := &netcli.Env{
		Services: services, In: c.In, Out: c.Out, Err: c.Err, JSON: asJSON,
		Clock: c.Clock, Patience: c.Patience, Received: received,
	}
	return netcli.Run(cmd.Context(), env, run, args)
}

// adopt adds standard flags to a command's. One that was defined with a letter and with a word, and one Value, becomes the
// word with the letter as its shorthand.
func adopt(to *pflag.FlagSet, from *flag.FlagSet) {
	letters := make(map[flag.Value]string)
	from.VisitAll(func(f *flag.Flag) {
		if len(f.Name) == 1 {
			letters[f.Value] = f.Name
		}
	})
	from.VisitAll(func(f *flag.Flag) {
		if len(f.Name) == 1 {
			return
		}
		adopted := pflag.PFlagFromGoFlag(f)
		adopted.Shorthand = letters[f.Value]
		to.AddFlag(adopted)
	})
}

// completion completes the first argument of commands that take an interface's name, and the words of addr.
func completion(command netcli.Command) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		switch {
		case command.Interface && len(args) == 0:
			return []string{"lo", "virt0"}, cobra.ShellCompDirectiveNoFileComp
		case command.Name == "addr" && len(args) == 1:
			return []string{"set"}, cobra.ShellCompDirectiveNoFileComp
		case command.Name == "addr" && len(args) == 3:
			return []string{"gw"}, cobra.ShellCompDirectiveNoFileComp
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
}

// cannot is the error of a file.
func cannot(err error, advice string) error {
	return netcli.Usagef("%v: %s", err, advice)
}
