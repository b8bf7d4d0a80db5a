package pcapng

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"nexus/source/api/netapi"
	"nexus/source/api/netcli"
	"nexus/source/libs/channel"
	"nexus/source/libs/named"
)

// ErrUsage says that a flag or the file cannot be, or that the file would go to a terminal.
var ErrUsage = errors.New("capture")

// all is what the operator calls every interface, as tcpdump does.
const all = "any"

const (
	stdout = "-"
	server = "netstackd"
)

// Bounds of what the flags take.
const (
	maxCount    = 1_000_000_000
	maxDuration = 24 * time.Hour
)

const long = `Writes the packets that pass the guest's network stack as a pcapng file, as they pass, for a file or for the pipe of wireshark or
tcpdump.

On virt0 each Ethernet frame is seen as the driver gave it, those that are dropped too, and each that goes to the driver. On lo
each IP packet is seen once, as it is sent; TCP and UDP checksums are not computed there. wireshark reads "-i any" too; tcpdump
stops at the first packet of an interface with another link type.

It ends with Ctrl-C, after -n packets or --duration, or when nobody reads its output any more, and says on stderr how many packets
there were. When the file is not read as fast as packets pass, the guest drops those that find no room, and they are counted; a
small -s keeps up with more.

With --json, which is for -w FILE, the document {"file", "packets", "dropped"} is on stdout at the end.

Exit status:
  0  it ended by itself or with Ctrl-C, and the file is whole
  2  nothing was captured: wrong usage, no guest; or the file cannot be written
  3  the guest refused, did not answer in time, or ended; the packets before that are in the file`

const examples = `  nx net capture | wireshark -k -i -
  nx net capture | tcpdump -nr -
  nx net capture -i lo -n 10 -w lo.pcapng`

// command is what the flags say.
type command struct {
	dial    func(service string) (*channel.Conn, error)
	options Options
	count   int
	path    string
}

// outcome is the JSON document.
type outcome struct {
	File    string `json:"file"`
	Packets uint64 `json:"packets"`
	Dropped uint64 `json:"dropped"`
}

// NewCapture returns the command. dial opens a channel to a service of the guest. Errors are ErrUsage, ErrGuest (it refused, or did
// not answer), dial's, or of writing the file.
func NewCapture(dial func(service string) (*channel.Conn, error)) *cobra.Command {
	c := &command{dial: dial}
	cmd := &cobra.Command{
		Use:     "capture",
		Short:   "Write the packets that pass the guest's network stack, as pcapng",
		Long:    long,
		Example: examples,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("%w: %q is one word too many: -i names the interface, -w the file", ErrUsage, args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			flag := cmd.Flag("json") // of nx net
			return c.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), flag != nil && flag.Value.String() == "true")
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&c.options.Interface, "interface", "i", ethernet, "`INTERFACE` to capture on: virt0, lo, or any for all")
	flags.StringVarP(&c.path, "write", "w", stdout, "`FILE` to write; - for stdout, which must not be a terminal")
	flags.VarP(netcli.CountValue(&c.count, 0, maxCount), "count", "n", "end after this many packets; 0 for never")
	flags.Var(netcli.TimeValue(&c.options.Duration, 0, maxDuration), "duration", "end after this time, e.g. 30s; 0 for never")
	flags.VarP(netcli.CountValue(&c.options.Snap, 0, netapi.MaxPacketData), "snaplen", "s",
		fmt.Sprintf("bytes to keep of each packet; 0 for all, at most %d", netapi.MaxPacketData))
	_ = cmd.MarkFlagFilename("write", "pcapng") // the flags exist
	_ = cmd.RegisterFlagCompletionFunc("interface", cobra.FixedCompletions([]string{ethernet, loopback, all}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// check refuses what cannot be, before anything is opened.
func (c *command) check(out io.Writer, asJSON bool) error {
	if c.path == "" {
		return fmt.Errorf("%w: --write must not be empty: give a file, or %s for stdout", ErrUsage, stdout)
	}
	if err := netcli.CheckName(c.options.Interface); err != nil {
		return fmt.Errorf("%w: %w, or %s for all", ErrUsage, err, all)
	}
	if c.path != stdout {
		if err := named.Writable(c.path); err != nil {
			return fmt.Errorf("%w: %w", ErrUsage, err)
		}
		return nil
	}
	if asJSON {
		return fmt.Errorf("%w: --json prints a document on stdout, where the packets go: give -w FILE", ErrUsage)
	}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return fmt.Errorf("%w: the file is not for a terminal: give -w FILE, or pipe it into `wireshark -k -i -` or `tcpdump -nr -`", ErrUsage)
	}
	return nil
}

func (c *command) run(ctx context.Context, out, errs io.Writer, asJSON bool) error {
	if err := c.check(out, asJSON); err != nil {
		return err
	}
	conn, err := c.dial(server)
	if err != nil {
		return err
	}
	client := netapi.NewClient(conn)
	defer client.Close()
	// A broken pipe is an error to see, not the process's end.
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)
	defer signal.Stop(broken)

	options := c.options
	options.Count = uint64(c.count)
	if options.Interface == all {
		options.Interface = ""
	}
	started := false
	options.Started = func() {
		started = true
		fmt.Fprintf(errs, "capturing on %s\n", c.options.Interface)
	}
	file := &fileOnDemand{path: c.path}
	to := io.Writer(file)
	if c.path == stdout {
		to = out
	}
	stats, err := Run(ctx, client, options, to)
	err = errors.Join(err, file.close())
	if started {
		fmt.Fprintf(errs, "%d packets written, %d dropped by the guest\n", stats.Packets, stats.Dropped)
	}
	if err != nil || !asJSON {
		return err
	}
	document := json.NewEncoder(out)
	document.SetIndent("", " ")
	return document.Encode(outcome{c.path, stats.Packets, stats.Dropped})
}

// fileOnDemand is a file that is made by the first write: a capture that the guest refuses leaves an older file alone.
type fileOnDemand struct {
	path string
	file *os.File
}

// Write implements io.Writer.
func (f *fileOnDemand) Write(b []byte) (int, error) {
	if f.file == nil {
		// Without O_NONBLOCK opening a named pipe would wait for its reader.
		file, err := os.OpenFile(f.path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|syscall.O_NONBLOCK, 0o644)
		if errors.Is(err, syscall.ENXIO) {
			return 0, fmt.Errorf("%s is a pipe that nobody reads: start its reader first", f.path)
		}
		if err != nil {
			return 0, err
		}
		f.file = file
	}
	return f.file.Write(b)
}

func (f *fileOnDemand) close() error {
	if f.file == nil {
		return nil
	}
	return f.file.Close()
}
