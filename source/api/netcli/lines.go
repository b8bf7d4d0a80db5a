package netcli

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"nexus/source/libs/svc"
)

// maxLine bounds what is kept of a line that does not end, in bytes.
const maxLine = 4096

// Lines is an io.Writer that hands on whole lines, each without its end, so that each can be printed in one write. A line
// longer than 4 KiB is handed on in parts. Flush hands on what did not end.
type Lines struct {
	Emit func(line string)
	held []byte
}

// Write implements io.Writer; it does not fail.
func (l *Lines) Write(data []byte) (int, error) {
	for rest := data; len(rest) > 0; {
		line, after, ended := bytes.Cut(rest, []byte("\n"))
		if n := maxLine - len(l.held); len(line) > n {
			line, after, ended = line[:n], rest[n:], true
		}
		l.held = append(l.held, line...)
		if ended {
			l.emit()
		}
		rest = after
	}
	return len(data), nil
}

// Flush hands on a line that has not ended.
func (l *Lines) Flush() {
	if len(l.held) > 0 {
		l.emit()
	}
}

func (l *Lines) emit() {
	l.Emit(string(l.held))
	l.held = l.held[:0]
}

// table prints rows with their columns aligned, the first row being the head.
func (e *Env) table(rows [][]string) {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(svc.Printable(cell)))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			cell = svc.Printable(cell)
			line.WriteString(cell)
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
			}
		}
		e.line("%s", line.String())
	}
}
