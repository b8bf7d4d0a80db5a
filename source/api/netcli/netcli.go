// Package netcli is the operator's network commands: `nx net …` over channels to the services, on the host and in the guest.
//
// It is built on the standard flag package alone, so that the guest's nx (source/apps/nx) and the host's (tools/nx-net, which
// wraps the same table for its own command line) are one program text. A command checks all that it was given before it opens
// anything; every call it makes has a bound; whatever a service says is data and cannot drive the terminal.
package netcli

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"nexus/source/api/netapi"
	"nexus/source/libs/channel"
	"nexus/source/libs/svc"
)

// Services opens channels to the guest's services. An error that is ErrNoService means that this service cannot be had here
// while others can.
type Services interface {
	Open(service string) (*channel.Conn, error)
}

// Names of services, as Services knows them.
const (
	Netstackd  = "netstackd"
	Virtionetd = "virtionetd"
	Fetchd     = "fetchd"
	Controld   = "controld"
)

// Ender is what Services may be besides: it says what it means that a service's channel ended during a call.
type Ender interface {
	Ended(service string) error
}

// Clock is time as the commands see it.
type Clock interface {
	Now() time.Time
	// Wait returns after d, or when ctx is done.
	Wait(ctx context.Context, d time.Duration)
}

// Env is what a command works with. The zero Clock and Patience are the system's clock and netapi.DefaultTimeout.
type Env struct {
	Services Services
	In       io.Reader
	Out, Err io.Writer
	JSON     bool // one JSON document on Out instead of text

	Clock    Clock
	Patience time.Duration // bound of a call that does not wait by itself

	// Received, if set, gets each frame that recv received, before it is printed.
	Received func(frame []byte) error

	unwritten error // the first failure to write to Out
}

// Runner runs a command with its arguments, after its flags were parsed. Errors are those that Report understands.
type Runner func(ctx context.Context, env *Env, args []string) error

// Command is one command below `nx net`.
type Command struct {
	Name      string
	Arguments string // synopsis of what follows the name, without flags
	Short     string // one line
	Long      string // paragraphs
	Example   string // lines, each a command
	Interface bool   // the first argument is an interface's name

	// Prepare defines the command's flags and returns what runs it with their values. A flag that has a short and a long
	// name is defined twice, with one Value.
	Prepare func(flags *flag.FlagSet) Runner
}

// Synopsis is the command's usage line.
func (c Command) Synopsis() string {
	text := "nx net " + c.Name
	if c.Arguments != "" {
		text += " " + c.Arguments
	}
	return text
}

// Commands returns the table, in the order of the documents.
func Commands() []Command {
	return []Command{
		ifCommand(), addrCommand(), dhcpCommand(), upCommand(), downCommand(), pingCommand(), fetchCommand(), arpCommand(),
		statsCommand(), sendrawCommand(), recvCommand(),
	}
}

// Run runs a command's runner. It is where output that could not be written becomes an error.
func Run(ctx context.Context, env *Env, run Runner, args []string) error {
	if env.Clock == nil {
		env.Clock = systemClock{}
	}
	err := run(ctx, env, args)
	if err == nil && env.unwritten != nil {
		return &Error{Status: StatusNotRun, Text: "the output could not be written: " + env.unwritten.Error() + ": is the disk full?"}
	}
	return err
}

// line prints one line, in one write, without control characters.
func (e *Env) line(format string, args ...any) {
	e.write(e.Out, svc.Printable(fmt.Sprintf(format, args...))+"\n")
}

// note prints one line beside the output, on Err.
func (e *Env) note(format string, args ...any) {
	// Where the complaint cannot be written there is nowhere to say so.
	_, _ = io.WriteString(e.Err, svc.Printable(fmt.Sprintf(format, args...))+"\n")
}

// write writes to the output and keeps the first error.
func (e *Env) write(to io.Writer, text string) {
	if _, err := io.WriteString(to, text); err != nil && e.unwritten == nil {
		e.unwritten = err
	}
}

// document prints the one JSON document of a run.
func (e *Env) document(v any) error {
	data, err := encode(v)
	if err != nil {
		return err
	}
	e.write(e.Out, data)
	return nil
}

// encode makes a JSON document that no terminal obeys: DEL and the C1 controls, which JSON allows, are escaped too.
func encode(v any) (string, error) {
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(v); err != nil {
		return "", err
	}
	plain := text.String()
	text.Reset()
	for _, r := range plain {
		if 0x7f <= r && r < 0xa0 { // only ever inside strings
			fmt.Fprintf(&text, "\\u%04x", r)
			continue
		}
		text.WriteRune(r)
	}
	return text.String(), nil
}

// ask opens a service that speaks net.capnp, hands do a client, and explains the error. ^C ends the call.
func (e *Env) ask(ctx context.Context, service string, do func(*netapi.Client) error) error {
	conn, err := e.open(ctx, service)
	if err != nil {
		return err
	}
	client := netapi.NewClient(conn)
	defer client.Close()
	defer context.AfterFunc(ctx, func() { client.Close() })()
	if e.Patience > 0 {
		client.Timeout = e.Patience
	}
	return e.explain(ctx, service, do(client))
}

// open opens a service.
func (e *Env) open(ctx context.Context, service string) (*channel.Conn, error) {
	if ctx.Err() != nil {
		return nil, errInterrupted
	}
	conn, err := e.Services.Open(service)
	if err != nil {
		return nil, Unavailable(service, err)
	}
	return conn, nil
}

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

func (systemClock) Wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
