package control

import (
	"strconv"
	"strings"
	"syscall"

	"nexus/source/libs/control"
	"nexus/source/libs/svc"
)

const (
	helloVerb = "OPEN "
	okLine    = "OK\n"
	errVerb   = "ERR "

	maxHello  = len(helloVerb) + control.MaxName + 1
	maxAnswer = len(errVerb) + 6 + 2*control.MaxText
)

// fault is why a session does not begin, or ends.
type fault struct {
	errno syscall.Errno
	text  string
}

// line is the fault as one datagram of the handshake.
func (f *fault) line() []byte {
	text := control.Text(svc.Printable(f.text))
	return []byte(errVerb + strconv.Itoa(int(f.errno)) + " " + string(text) + "\n")
}

// hello is the first datagram of a client.
func hello(service string) []byte { return []byte(helloVerb + service + "\n") }

// parseHello returns the service that a client's first datagram names.
func parseHello(datagram []byte) (service string, ok bool) {
	rest, ok := strings.CutPrefix(string(datagram), helloVerb)
	if !ok {
		return "", false
	}
	service, ok = strings.CutSuffix(rest, "\n")
	return service, ok && len(service) <= control.MaxName && svc.ValidName(service)
}

// parseAnswer reads the mux's answer: nil for OK.
func parseAnswer(datagram []byte) (refused *fault, ok bool) {
	line := string(datagram)
	if line == okLine {
		return nil, true
	}
	rest, ok := strings.CutPrefix(line, errVerb)
	if !ok {
		return nil, false
	}
	rest, ok = strings.CutSuffix(rest, "\n")
	if !ok {
		return nil, false
	}
	number, text, _ := strings.Cut(rest, " ")
	errno, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return nil, false
	}
	return &fault{syscall.Errno(errno), svc.Printable(text)}, true
}
