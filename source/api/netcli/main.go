package netcli

import (
	"context"
	"errors"
	"flag"
	"io"
	"slices"
	"strings"
)

// Main runs the command line of a nx that has nothing but the standard flag package: args are `net COMMAND …`. It returns the
// exit status. Flags may stand before, between and after arguments; after `--` there are none.
func Main(ctx context.Context, env *Env, args []string) int {
	err := dispatch(ctx, env, args)
	if errors.Is(err, flag.ErrHelp) {
		return StatusDone
	}
	return Report(err, env.JSON, env.Out, env.Err)
}

func dispatch(ctx context.Context, env *Env, args []string) error {
	env.JSON = WantsJSON(args)
	rest := slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == "--json" || a == "-json" })
	if len(rest) == 0 || rest[0] != "net" {
		return Usagef("want `nx net COMMAND`, with one of: %s", names())
	}
	rest = rest[1:]
	if len(rest) == 0 {
		return Usagef("net: a command is missing: want one of: %s", names())
	}
	if rest[0] == "help" || rest[0] == "-h" || rest[0] == "--help" {
		env.help()
		return flag.ErrHelp
	}
	for _, c := range Commands() {
		if c.Name == rest[0] {
			return env.runCommand(ctx, c, rest[1:])
		}
	}
	return Usagef("net: there is no command %q: want one of: %s", cut(rest[0]), names())
}

// WantsJSON reports whether --json is among the flags of a command line.
func WantsJSON(args []string) bool {
	if end := slices.Index(args, "--"); end >= 0 {
		args = args[:end]
	}
	return slices.Contains(args, "--json") || slices.Contains(args, "-json")
}

func (e *Env) runCommand(ctx context.Context, c Command, args []string) error {
	flags := flag.NewFlagSet(c.Name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	run := c.Prepare(flags)
	args, err := parse(flags, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		e.commandHelp(c, flags)
		return err
	case err != nil:
		return Usagef("%s: %v", c.Name, err)
	}
	return Run(ctx, e, run, args)
}

// parse parses flags wherever they stand, and returns the rest.
func parse(flags *flag.FlagSet, args []string) ([]string, error) {
	var rest []string
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		after := flags.Args()
		if len(after) == 0 {
			return rest, nil
		}
		if n := len(args) - len(after); n > 0 && args[n-1] == "--" {
			return append(rest, after...), nil
		}
		rest = append(rest, after[0])
		args = after[1:]
	}
}

func names() string {
	var all []string
	for _, c := range Commands() {
		all = append(all, c.Name)
	}
	return strings.Join(all, ", ")
}

// help prints what there is.
func (e *Env) help() {
	e.line("nx net COMMAND: the network from inside the system")
	rows := [][]string{}
	for _, c := range Commands() {
		rows = append(rows, []string{"  " + c.Name, c.Short})
	}
	e.table(rows)
	e.line("nx net COMMAND -h says more; --json prints one JSON document")
}

// commandHelp prints what one command takes.
func (e *Env) commandHelp(c Command, flags *flag.FlagSet) {
	e.lines(c.Synopsis() + "\n\n" + c.Long + "\n")
	flags.VisitAll(func(f *flag.Flag) {
		e.line("  -%s: %s (%s)", f.Name, f.Usage, orDash(f.DefValue))
	})
	e.lines(Exits)
}

// lines prints a text of several lines.
func (e *Env) lines(text string) {
	for line := range strings.Lines(text) {
		e.line("%s", strings.TrimSuffix(line, "\n"))
	}
}
