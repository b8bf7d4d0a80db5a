package svc

import (
	"errors"
	"os"
	"strings"
)

// Mark prints one line on the console, in one write, so that the lines of two
// services never mix. Whatever a peer may have put into the line, it stays one
// line: see Printable.
func Mark(line string) {
	// A console that cannot be written leaves nowhere to say so.
	_, _ = os.Stdout.WriteString(Printable(line) + "\n")
}

// Printable returns text with every control character, and every byte that is
// not UTF-8, replaced by '?'. No text from a wire can thereby end a line and
// forge a marker, nor drive the operator's terminal.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || 0x7f <= r && r < 0xa0 || r == 0x2028 || r == 0x2029 || r == '\uFFFD' {
			return '?'
		}
		return r
	}, text)
}

// permanent marks an error that starting the service again cannot mend.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// Permanent returns err marked so that Fail ends with ExitNoRestart: a wrong
// manifest or a device that is not there is the same at the next start.
// Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanent{err}
}

// ExitStatus returns the exit status that says err to nexus-init. The errors of
// Open and Descriptor are permanent by themselves.
func ExitStatus(err error) int {
	var p permanent
	switch {
	case err == nil:
		return ExitDone
	case errors.As(err, &p), errors.Is(err, ErrEnvironment),
		errors.Is(err, ErrNoDescriptor), errors.Is(err, ErrNotOpen):
		return ExitNoRestart
	default:
		return ExitRestart
	}
}

// Fail ends the program with ExitStatus(err); an error is first printed as one
// line "NAME: failed: error", in one write to standard error. It does not return.
func Fail(err error) {
	if err != nil {
		_, _ = os.Stderr.WriteString(programName() + ": failed: " + Printable(err.Error()) + "\n")
	}
	os.Exit(ExitStatus(err))
}

// programName is the last element of the program's path.
func programName() string {
	if len(os.Args) == 0 {
		return "service"
	}
	name := os.Args[0]
	return name[strings.LastIndexByte(name, '/')+1:]
}
