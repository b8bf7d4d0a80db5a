package boot

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// maxLog bounds the log of a guest's console, in bytes.
const maxLog = 16 << 20

// Marks of a line: what it is to the contract.
const (
	MarkNone      = ' '
	MarkMarker    = '*'
	MarkForbidden = '!'
)

// LoggedLine is a line of the log of a guest's console.
type LoggedLine struct {
	Line
	Mark byte
}

// consoleLog writes a guest's console to a file, each line at once.
type consoleLog struct {
	file *os.File
	room int
	err  error // the first write that failed; no more are tried
}

func newConsoleLog(path string) (*consoleLog, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return &consoleLog{file: f, room: maxLog}, nil
}

func (c *consoleLog) add(l Line, marker, forbidden bool) {
	if c.err != nil {
		return
	}
	logged := LoggedLine{Line: l, Mark: MarkOf(marker, forbidden)}
	text := logged.String() + "\n"
	if c.room -= len(text); c.room < 0 {
		c.err = fmt.Errorf("the log of the console is full at %d MiB", maxLog>>20)
		return
	}
	if _, err := c.file.WriteString(text); err != nil {
		c.err = fmt.Errorf("the log of the console: %w", err)
	}
}

// close ends the log, and says once what went wrong with it.
func (c *consoleLog) close() error {
	if c.file == nil {
		return nil
	}
	err := c.file.Close()
	c.file = nil
	if c.err != nil {
		return c.err
	}
	return err
}

// MarkOf is the mark of a line.
func MarkOf(marker, forbidden bool) byte {
	switch {
	case forbidden:
		return MarkForbidden
	case marker:
		return MarkMarker
	}
	return MarkNone
}

// logDigits are the decimals of a time in the log: microseconds.
const logDigits = 6

// String is the line as the log has it: seconds since the exec of QEMU, mark,
// and text as the guest printed it.
func (l LoggedLine) String() string {
	return fmt.Sprintf("%.*f %c %s", logDigits, l.At.Seconds(), l.Mark, l.Text)
}

// ParseLogged reads a line of the log, without its end.
func ParseLogged(s string) (l LoggedLine, ok bool) {
	seconds, rest, ok := strings.Cut(s, " ")
	if !ok || len(rest) < 2 || rest[1] != ' ' || !strings.ContainsRune(" *!", rune(rest[0])) {
		return LoggedLine{}, false
	}
	whole, fraction, ok := strings.Cut(seconds, ".")
	if !ok || len(fraction) != logDigits || len(whole) > 9 {
		return LoggedLine{}, false
	}
	us, err := strconv.ParseUint(whole+fraction, 10, 63)
	if err != nil {
		return LoggedLine{}, false
	}
	l.At, l.Mark, l.Text = time.Duration(us)*time.Microsecond, rest[0], rest[2:]
	return l, true
}
