package cli

import (
	"bytes"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nexus/tools/nx/internal/boot"
	"nexus/tools/nx/internal/contract"
)

var awaitedMarker = &contract.Marker{ID: "selftest-done", Owner: "nexus-init"}

// wait is the state of a boot that has waited for so long.
func wait(d time.Duration) boot.Wait {
	return boot.Wait{Next: awaitedMarker, For: d, At: 2*time.Second + d}
}

// In a pipe a long wait is noted after five seconds, then every ten.
func TestProgressInPipe(t *testing.T) {
	var out bytes.Buffer
	c := newBootConsole(&out, false, colorAuto)
	for _, d := range []time.Duration{0, 999, 1000, 4900, 5000, 5100, 14900, 15000, 25100, 35000, 100, 4900, 5000} {
		c.Waiting(wait(d * time.Millisecond))
	}
	c.Waiting(boot.Wait{For: 40 * time.Second})
	want := "nexus: waiting for selftest-done of nexus-init: 5 s\n" +
		"nexus: waiting for selftest-done of nexus-init: 15 s\n" +
		"nexus: waiting for selftest-done of nexus-init: 25 s\n" +
		"nexus: waiting for selftest-done of nexus-init: 5 s\n" +
		"nexus: waiting for the power-off: 40 s\n"
	if out.String() != want {
		t.Errorf("got:\n%swant:\n%s", out.String(), want)
	}
}

// shown plays what a terminal was sent and gives the lines that stay.
func shown(t *testing.T, sent string) []string {
	t.Helper()
	var lines []string
	for line := range strings.SplitSeq(strings.ReplaceAll(sent, "\r\n", "\n"), "\n") {
		// What was before the last rewriting is gone.
		lines = append(lines, line[strings.LastIndex(line, rewrite)+1:])
	}
	for i, l := range lines {
		lines[i] = strings.TrimPrefix(l, rewrite[1:])
	}
	return lines
}

// On a terminal a wait of more than a second is shown in place, and nothing of
// it is left.
func TestProgressOnTerminal(t *testing.T) {
	var out bytes.Buffer
	c := newConsole(&out, true)
	c.progress.terminal = os.Stdin
	for _, d := range []time.Duration{900, 1000, 1100, 5000, 60_000} {
		c.Waiting(wait(d * time.Millisecond))
	}
	if !strings.Contains(out.String(), rewrite+"   3.100   waiting for selftest-done of nexus-init: 1.1 s") || strings.Contains(out.String(), "0.9 s") {
		t.Errorf("sent %q", out.String())
	}
	c.Line(boot.Line{At: time.Second, Text: "one"}, nil, false)
	c.Line(boot.Line{At: time.Second, Text: "two"}, nil, false)
	c.Waiting(wait(2 * time.Second))
	c.Waiting(wait(0))
	if got := strings.Join(shown(t, out.String()), "|"); got != "   1.000   one|   1.000   two|" {
		t.Errorf("left: %q of %q", got, out.String())
	}
	if got := cut("wider than that", 5); got != "wider" {
		t.Errorf("cut: %q", got)
	}
}

func TestPalette(t *testing.T) {
	terminal := os.Stdin
	for _, tc := range []struct {
		color, noColor string
		terminal       *os.File
		want           palette
	}{
		{colorAuto, "", terminal, true},
		{colorAuto, "", nil, false},
		{colorAuto, "1", terminal, false},
		{colorNever, "", terminal, false},
		{colorAlways, "1", nil, true},
	} {
		t.Setenv("NO_COLOR", tc.noColor)
		if got := paletteFor(tc.color, tc.terminal); got != tc.want {
			t.Errorf("%+v: got %v", tc, got)
		}
	}
	l := boot.Line{At: time.Second, Text: "neuron: fatal\x1b[2J"}
	if got := palette(false).line(l, boot.MarkForbidden); got != "   1.000 ! neuron: fatal.[2J" {
		t.Errorf("plain: %q", got)
	}
	if got := palette(true).line(l, boot.MarkForbidden); got != "\x1b[2m   1.000\x1b[0m \x1b[1;31m!\x1b[0m \x1b[1;31mneuron: fatal.[2J\x1b[0m" {
		t.Errorf("colour: %q", got)
	}
}

// terminal is a new pseudo-terminal: what is typed and shown, and the end that a
// program gets.
func terminal(t *testing.T) (screen, program *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { screen.Close() })
	if err := unix.IoctlSetPointerInt(int(screen.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(screen.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return screen, program
}

// onTerminal runs cmd on a terminal, interrupts it when it has sent text, and
// gives all that it sent.
func onTerminal(t *testing.T, cmd *exec.Cmd, text string) string {
	t.Helper()
	screen, program := terminal(t)
	cmd.Stdout, cmd.Stderr = program, program
	err := cmd.Start()
	program.Close()
	if err != nil {
		t.Fatal(err)
	}
	var sent []byte
	interrupted := false
	buf := make([]byte, 4096)
	for {
		n, err := screen.Read(buf)
		sent = append(sent, buf[:n]...)
		if !interrupted && bytes.Contains(sent, []byte(text)) {
			interrupted = true
			_ = cmd.Process.Signal(os.Interrupt) // it may have ended
		}
		if err != nil { // EIO: nobody has the other end
			break
		}
	}
	_ = cmd.Wait() // interrupted
	if !interrupted {
		t.Errorf("never sent %q", text)
	}
	return string(sent)
}

func TestOnTerminal(t *testing.T) {
	const inPlace = rewrite + "   " // and a time
	for name, tc := range map[string]struct {
		environment string
		args        []string
		waits       string
		colour      bool
	}{
		"colour":          {"NO_COLOR=", nil, inPlace, true},
		"NO_COLOR":        {"NO_COLOR=1", nil, inPlace, false},
		"a dumb terminal": {"TERM=dumb", nil, "nexus: waiting for entropy-fixed of neuron: 5 s\r\n", false},
		"no colour":       {"NO_COLOR=", []string{"--color", "never"}, inPlace, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, "silent")
			b.env = append(b.env, "TERM=xterm", tc.environment)
			sent := onTerminal(t, b.boot(append([]string{"--nic", "wire", "--verbose"}, tc.args...)...), tc.waits)
			if strings.Contains(sent, "\x1b[1;31mboot NOT proven\x1b[0m") != tc.colour || strings.Contains(sent, rewrite) != (tc.waits == inPlace) {
				t.Errorf("sent:\n%q", sent)
			}
			if !strings.Contains(sent, "interrupt signal received") {
				t.Errorf("does not say how it ended:\n%q", sent)
			}
			for _, line := range shown(t, sent) {
				if strings.Contains(line, "waiting for") && tc.waits == inPlace {
					t.Errorf("left: %q", line)
				}
			}
		})
	}
}
