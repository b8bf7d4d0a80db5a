package netcli

import (
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"syscall"
	"time"

	"nexus/source/api/netapi"
	"nexus/source/libs/decode"
)

func sendrawCommand() Command {
	c := Command{
		Name:  "sendraw",
		Short: "Send a raw Ethernet frame from the guest's network card",
		Long: `Put one raw Ethernet frame on the wire, from the driver, past the network stack. It is written in hexadecimal, from
the destination address to the end of the payload, without the FCS: 14 to 1514 bytes. Blanks, colons and line ends may
stand between bytes. The driver pads nothing: give the zeros that a short frame needs.`,
		Example: `nx net sendraw --hex "ffffffffffff 020000000001 0806 0001 0800 06 04 0001 020000000001 0a00020f 000000000000 0a000202"
nx net sendraw --hex - < frame.txt`,
	}
	c.Prepare = func(flags *flag.FlagSet) Runner {
		written := &text{name: "HEX"}
		flags.Var(written, "hex", "the frame in hexadecimal, or - to read that from the standard input")
		return func(ctx context.Context, env *Env, args []string) error {
			if err := arguments(args, 0, 0, c); err != nil {
				return err
			}
			frame, err := frameOf(ctx, env, written)
			if err != nil {
				return err
			}
			return SendFrames(ctx, env, [][]byte{frame}, nil)
		}
	}
	return c
}

// frameOf reads and checks the frame that --hex gave.
func frameOf(ctx context.Context, env *Env, written *text) ([]byte, error) {
	if !written.set {
		return nil, Usagef("sendraw: %v", errNoFrame)
	}
	typed := written.value
	if typed == "-" {
		var err error
		if typed, err = readText(ctx, env.In); err != nil {
			return nil, err
		}
	}
	frame, err := ParseHex(typed)
	if err != nil {
		return nil, err
	}
	return frame, CheckFrame(frame)
}

// SendFrames sends frames that CheckFrame has passed, in order, and says how many. progress, if not nil, is called after each
// with how many have been sent.
func SendFrames(ctx context.Context, env *Env, frames [][]byte, progress func(sent int)) error {
	sent, size := 0, 0
	err := env.ask(ctx, Virtionetd, func(client *netapi.Client) error {
		for _, frame := range frames {
			if err := client.Send(frame); err != nil {
				return err
			}
			sent++
			size += len(frame)
			if progress != nil {
				progress(sent)
			}
		}
		return nil
	})
	if err != nil {
		if sent > 0 {
			env.note("nx: %d of %d frames were sent", sent, len(frames))
		}
		return err
	}
	switch {
	case env.JSON:
		return env.document(sentDocument{sent, size})
	case sent == 1:
		env.line("sent %s: %s", plural(size, "byte"), decode.Line(frames[0]))
	default:
		env.line("sent %d frames, %s", sent, plural(size, "byte"))
	}
	return nil
}

// sentDocument is what was sent in JSON.
type sentDocument struct {
	Frames int `json:"frames"`
	Bytes  int `json:"bytes"`
}

// receivedDocument is what was received in JSON.
type receivedDocument struct {
	Wanted int             `json:"wanted"`
	Frames []frameDocument `json:"frames"`
}

// frameDocument is a frame in JSON.
type frameDocument struct {
	Bytes   int    `json:"bytes"`
	Summary string `json:"summary"`
	Hex     string `json:"hex"`
}

// mostRecv is how long virtionetd waits in one call; a longer wait is several.
const mostRecv = 10 * time.Second

func recvCommand() Command {
	c := Command{
		Name:  "recv",
		Short: "Print frames that the guest's network card receives",
		Long: `Print the next frames that the driver receives, whoever else gets them: a line in tcpdump's words, then the bytes. A
frame that comes between two calls is missed; nx net capture misses none. The exit status is 1 when fewer came in time than
were asked for. ^C ends it.`,
		Example: "nx net recv\nnx net recv -c 3 --timeout 5s\nnx net recv --json",
	}
	c.Prepare = func(flags *flag.FlagSet) Runner {
		number := &count{value: 1, low: 1, high: 10000}
		timeout := &seconds{value: 10 * time.Second, low: time.Millisecond, high: time.Hour}
		both(flags, number, "c", "count", "how many frames")
		flags.Var(timeout, "timeout", "time to wait for all of them")
		return func(ctx context.Context, env *Env, args []string) error {
			if err := arguments(args, 0, 0, c); err != nil {
				return err
			}
			return receive(ctx, env, number.value, timeout.value)
		}
	}
	return c
}

func receive(ctx context.Context, env *Env, wanted int, timeout time.Duration) error {
	frames := []frameDocument{}
	got := 0
	err := env.ask(ctx, Virtionetd, func(client *netapi.Client) error {
		end := env.Clock.Now().Add(timeout)
		for got < wanted && env.unwritten == nil {
			left := end.Sub(env.Clock.Now())
			if left <= 0 {
				return nil
			}
			frame, err := client.Recv(min(left, mostRecv))
			if refusedWith(err, syscall.ETIMEDOUT) && left > mostRecv {
				continue
			}
			if refusedWith(err, syscall.ETIMEDOUT) {
				return nil
			}
			if err != nil {
				return err
			}
			got++
			if env.Received != nil {
				if err := env.Received(frame); err != nil {
					return &Error{Status: StatusNotRun, Text: err.Error(), cause: err}
				}
			}
			if env.JSON {
				frames = append(frames, frameDocument{len(frame), decode.Line(frame), hex.EncodeToString(frame)})
				continue
			}
			env.frame(frame)
		}
		return nil
	})
	if err != nil && !errors.Is(err, errInterrupted) {
		return err
	}
	if env.JSON {
		if err := env.document(receivedDocument{wanted, frames}); err != nil {
			return err
		}
	}
	if got < wanted {
		env.note("nx: %d of %d frames came: nx net stats nic shows whether the card receives", got, wanted)
		return found()
	}
	return nil
}

// frame prints one frame: its line and its bytes.
func (e *Env) frame(frame []byte) {
	e.line("%s", decode.Line(frame))
	for _, line := range decode.Dump(frame) {
		e.line("%s", line)
	}
}

// refusedWith reports whether err is a service's refusal with that number.
func refusedWith(err error, errno syscall.Errno) bool {
	var refused *netapi.Error
	return errors.As(err, &refused) && refused.Errno == errno
}
