package machine

import (
	"bytes"
	"sync"
	"time"
)

// Bounds of what a guest may print: a longer line is cut into pieces, and what
// exceeds the total is dropped and counted.
const (
	MaxLine    = 4096
	MaxConsole = 8 << 20
)

// Line is one line of the console, without its end.
type Line struct {
	At   time.Duration // since the exec of QEMU, when its first byte was read
	Text string
}

// Console cuts what the UART prints into lines. It is an io.Writer.
type Console struct {
	sink  func(Line)
	since func() time.Duration

	mu      sync.Mutex
	partial []byte
	at      time.Duration
	total   int
	dropped int
}

func newConsole(sink func(Line), since func() time.Duration) *Console {
	return &Console{sink: sink, since: since}
}

// Write never fails: a guest that prints too much loses its output, not its life.
func (c *Console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()

	n := len(p)
	now := c.since()
	if room := MaxConsole - c.total; len(p) > room {
		c.dropped += len(p) - room
		p = p[:room]
	}
	c.total += len(p)

	for len(p) > 0 {
		if len(c.partial) == 0 {
			c.at = now
		}
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			c.extend(p)
			break
		}
		c.extend(p[:end])
		c.emit()
		p = p[end+1:]
	}
	return n, nil
}

// extend adds to the open line and emits it in pieces of MaxLine.
func (c *Console) extend(p []byte) {
	for len(c.partial)+len(p) > MaxLine {
		take := MaxLine - len(c.partial)
		c.partial = append(c.partial, p[:take]...)
		p = p[take:]
		c.emit()
	}
	c.partial = append(c.partial, p...)
}

func (c *Console) emit() {
	text := string(bytes.TrimRight(c.partial, "\r"))
	c.partial = c.partial[:0]
	c.sink(Line{At: c.at, Text: text})
}

// close emits what was printed without an end of line.
func (c *Console) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.partial) > 0 {
		c.emit()
	}
	if c.dropped > 0 {
		c.sink(Line{At: c.since(), Text: "nx: the console printed too much, the rest was dropped"})
	}
}
