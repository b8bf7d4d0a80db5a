package pcapng

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"nexus/source/api/netapi"
	"nexus/source/libs/channel"
)

// ErrUsage says that a flag cannot be, or that the file would go to a terminal.
var ErrUsage = errors.New("capture")

// all is what the operator calls every interface, as tcpdump does.
const all = "any"

const (
	stdout = "-"
	server = "netstackd"
)

const long = `Writes the packets that pass the guest's network stack as a pcapng file, as they pass:

  nx net capture | wireshark -k -i -
  nx net capture | tcpdump -nr -
  nx net capture -i lo -n 10 -w lo.pcapng

On virt0 each Ethernet frame is seen as the driver gave it, those that are dropped too, and each that goes to the driver. On lo
each IP packet is seen once, as it is sent; TCP and UDP checksums are not computed there. wireshark reads "-i any" too; tcpdump
stops at the first packet of an interface with another link type.

It ends with Ctrl-C, after -n packets or --duration, or when nobody reads its output any more, and says on stderr how many packets
there were. When the file is not read as fast as packets pass, the guest drops those that find no room, and they are counted; a
small -s keeps up with more.`

// command is what the flags say.
type command struct {
	dial    func(service string) (*channel.Conn, error)
	options Options
	path    string
}

// NewCapture returns the command. dial opens a channel to a service of the guest. Errors are ErrUsage, ErrGuest (it refused, or did
// not answer), dial's, or of writing the file.
func NewCapture(dial func(service string) (*channel.Conn, error)) *cobra.Command {
	c := &command{dial: dial}
	cmd := &cobra.Command{
		Use:   "capture",
		Short: "Write the packets that pass the guest's network stack, as pcapng",
		Long:  long,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&c.options.Interface, "interface", "i", ethernet, "interface to capture on: virt0, lo, or any for all")
	flags.StringVarP(&c.path, "write", "w", stdout, "file to write; - for stdout, which must not be a terminal")
	flags.Uint64VarP(&c.options.Count, "count", "n", 0, "end after this many packets; 0 for never")
	flags.DurationVar(&c.options.Duration, "duration", 0, "end after this time, e.g. 30s; 0 for never")
	flags.IntVarP(&c.options.Snap, "snaplen", "s", 0, fmt.Sprintf("bytes to keep of each packet; 0 for all, at most %d", netapi.MaxPacketData))
	return cmd
}

// check refuses flags that cannot be, before anything is opened.
func (c *command) check(out io.Writer) error {
	if c.options.Snap < 0 || c.options.Snap > netapi.MaxPacketData {
		return fmt.Errorf("%w: --snaplen must be 0 to %d", ErrUsage, netapi.MaxPacketData)
	}
	if c.options.Duration < 0 {
		return fmt.Errorf("%w: --duration must not be negative", ErrUsage)
	}
	if c.options.Interface == "" || c.path == "" {
		return fmt.Errorf("%w: --interface and --write must not be empty: give %q for all interfaces, %q for stdout", ErrUsage, all, stdout)
	}
	if f, ok := out.(*os.File); c.path == stdout && ok && term.IsTerminal(int(f.Fd())) {
		return fmt.Errorf("%w: the file is not for a terminal: give -w FILE, or pipe it into `wireshark -k -i -` or `tcpdump -nr -`", ErrUsage)
	}
	return nil
}

func (c *command) run(ctx context.Context, out, errs io.Writer) error {
	if err := c.check(out); err != nil {
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
	return err
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
			return 0, fmt.Errorf("%s has no reader: start it first", f.path)
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
