package supervise

import (
	"bytes"
	"strconv"

	"nexus/source/libs/svc"
)

// maxLine bounds one line of what a service notifies, in bytes.
const maxLine = 512

// kind is what a line of sd_notify(3) says.
type kind int

const (
	saysReady   kind = iota // READY=1
	saysStatus              // STATUS=text
	saysRefused             // X_REFUSED=count: so many rights it was not granted were refused to it
	saysStop                // X_STOP=1: it asks for the system's end
	saysOther               // a variable of sd_notify that nexus-init has no use for
	saysGarbage             // not a variable, or too long
)

// said is one line.
type said struct {
	kind  kind
	text  string
	count int
}

// lines cuts what a service writes into lines. The service is not trusted: a
// line without end is held up to maxLine and then dropped up to its end.
type lines struct {
	held     []byte
	dropping bool
}

// feed returns the lines that data completes.
func (l *lines) feed(data []byte) []said {
	var all []said
	for len(data) > 0 {
		line, rest, found := bytes.Cut(data, []byte{'\n'})
		data = rest
		switch {
		case l.dropping:
			l.dropping = !found
		case len(l.held)+len(line) > maxLine:
			all = append(all, said{kind: saysGarbage, text: "a line of more than " + strconv.Itoa(maxLine) + " bytes"})
			l.held, l.dropping = l.held[:0], !found
		case !found:
			l.held = append(l.held, line...)
		default:
			all = append(all, parseLine(string(append(l.held, line...))))
			l.held = l.held[:0]
		}
	}
	return all
}

// parseLine reads one line without its end.
func parseLine(line string) said {
	name, value, found := bytes.Cut([]byte(line), []byte{'='})
	if !found || !isVariable(string(name)) {
		return said{kind: saysGarbage, text: svc.Printable(line)}
	}
	switch string(name) {
	case "READY":
		if string(value) == "1" {
			return said{kind: saysReady}
		}
	case "STATUS":
		return said{kind: saysStatus, text: svc.Printable(string(value))}
	case "X_REFUSED":
		if n, err := strconv.Atoi(string(value)); err == nil && 0 <= n && n <= maxRefusals {
			return said{kind: saysRefused, count: n}
		}
	case "X_STOP":
		if string(value) == "1" {
			return said{kind: saysStop}
		}
	default:
		return said{kind: saysOther}
	}
	return said{kind: saysGarbage, text: svc.Printable(line)}
}

// maxRefusals bounds what one service may count, so that no sum overflows.
const maxRefusals = 1000

// isVariable reports whether name is [A-Z_]+ as sd_notify(3) has them.
func isVariable(name string) bool {
	for _, c := range []byte(name) {
		if ('A' > c || c > 'Z') && c != '_' {
			return false
		}
	}
	return name != ""
}
