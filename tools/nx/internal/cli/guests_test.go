package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"nexus/tools/nx/internal/boot"
	"nexus/tools/nx/internal/rundir"
)

// says runs nx on this bench and fails the test unless it ends with status and
// says each of the texts.
func (b *bench) says(t *testing.T, status int, args []string, texts ...string) string {
	t.Helper()
	got, out := run(t, b.nx(args...))
	if got != status {
		t.Errorf("nx %q: status %d, want %d:\n%s", args, got, status, out)
	}
	for _, text := range texts {
		if !strings.Contains(out, text) {
			t.Errorf("nx %q does not say %q:\n%s", args, text, out)
		}
	}
	return out
}

// detach boots a guest in the background and stops whatever runs at the test's end.
func (b *bench) detach(t *testing.T, args ...string) (status int, out string) {
	t.Helper()
	t.Cleanup(func() { _ = b.nx("stop", "--all", "--timeout", "5s").Run() })
	return run(t, b.boot(append([]string{"--nic", "wire", "--detach"}, args...)...))
}

// guests is what nx ps says, one guest a word: name, phase and verdict.
func (b *bench) guests(t *testing.T, args ...string) string {
	t.Helper()
	out, err := b.nx(append([]string{"ps", "--json"}, args...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		Guests []listedGuest `json:"guests"`
	}
	if err := json.Unmarshal(out, &list); err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	var words []string
	for _, g := range list.Guests {
		word := g.Name + "=" + string(g.Phase)
		if g.Verdict != nil && g.Verdict.Proven {
			word += "+"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

// state is what the run directory says of a guest.
func (b *bench) state(t *testing.T, name string) rundir.Info {
	t.Helper()
	root, err := rundir.Open(b.run)
	if err != nil {
		t.Fatal(err)
	}
	g, err := root.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestNoGuests(t *testing.T) {
	b := newBench(t, "good")
	b.says(t, exitDone, []string{"ps"}, "NAME   STATE")
	b.says(t, exitFailed, []string{"stop"}, "no guest is running: there is nothing to stop")
	b.says(t, exitDone, []string{"stop", "--all"})
	b.says(t, exitFailed, []string{"stop", "g1"}, "no such guest: g1; there is none in "+b.run)
	b.says(t, exitFailed, []string{"stop", "../x"}, `invalid name of a guest: "../x"`)
	b.says(t, exitFailed, []string{"stop", "--all", "g1"}, "leave out the names")
	b.says(t, exitFailed, []string{"stop", "--timeout", "-1s"}, "must not be negative")
	b.says(t, exitFailed, []string{"logs"}, "no guest is running and none is kept: start one with nx boot")
	b.says(t, exitFailed, []string{"logs", "-f", "web"}, "no such guest: web")
	b.says(t, exitFailed, []string{"logs", "a", "b"}, "want `nx logs [flags] [NAME]`, got 2 arguments")
	b.says(t, exitFailed, []string{"logs", "--color", "blue"}, `--color "blue" is not one of auto, always, never`)
	if got := b.guests(t, "--all"); got != "" {
		t.Errorf("got %q", got)
	}
	if err := os.Chmod(b.run, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"ps"}, {"stop"}, {"logs"}} {
		b.says(t, exitFailed, args, "is open to others (mode 0755): run `chmod 700 ")
	}
}

// The completions are scripts that their shell reads, and what they ask nx is answered.
func TestCompletion(t *testing.T) {
	b := newBench(t, "good")
	script, err := b.nx("completion", "bash").Output()
	if err != nil {
		t.Fatal(err)
	}
	check := exec.Command("bash", "-n")
	check.Stdin = bytes.NewReader(script)
	if out, err := check.CombinedOutput(); err != nil || len(out) != 0 {
		t.Errorf("bash -n: %v\n%s", err, out)
	}
	b.says(t, exitDone, []string{"__complete", "net", "addr", ""}, "lo\nvirt0\n")
	b.says(t, exitDone, []string{"__complete", "bo"}, "boot\t")
}

func TestGuestsSideBySide(t *testing.T) {
	b := newBench(t, "good")
	for _, name := range []string{"a", "b"} {
		status, out := b.detach(t, "--name", name)
		if status != exitDone || !strings.Contains(out, "nexus: "+name+": QEMU 8.1, network card on wire (as asked)\n") ||
			!strings.Contains(out, "nexus: boot proven: ") || !strings.HasSuffix(out, "nexus: "+name+" runs on: `nx logs -f "+name+"` follows it, `nx stop "+name+"` ends it\n") {
			t.Fatalf("%s: status %d:\n%s", name, status, out)
		}
	}
	if got := b.guests(t); got != "a=standing+ b=standing+" {
		t.Errorf("got %q", got)
	}
	b.says(t, exitDone, []string{"ps"}, "standing", "wire   stub", "proven")
	status, out := b.detach(t, "--name", "a")
	if status != exitFailed || !strings.Contains(out, "the name is in use: a is a running guest, of process ") {
		t.Errorf("a again: status %d:\n%s", status, out)
	}
	b.says(t, exitFailed, []string{"stop"}, "several guests are running: say which, `nx stop NAME...`, or --all: a, b")
	b.says(t, exitDone, []string{"__complete", "stop", ""}, "a\nb\n")
	b.says(t, exitDone, []string{"__complete", "net", "if", "--guest", ""}, "a\nb\n")
	b.says(t, exitFailed, []string{"logs"}, "several guests are running: say which, `nx logs NAME`: a, b")
	b.says(t, exitFailed, []string{"stop", "a", "c"}, "no such guest: c; there is a, b")

	follow := b.nx("logs", "-f", "b")
	followed := startUntil(t, follow, "nexus-init: done")
	b.says(t, exitDone, []string{"stop", "b", "b"}, "nexus: b: stopped\n")
	if err := follow.Wait(); err != nil || !strings.Contains(followed.String(), "nexus: b ended: the guest powered off when it was asked to: ") {
		t.Errorf("logs -f: %v:\n%s", err, followed.String())
	}
	if got := b.guests(t); got != "a=standing+" {
		t.Errorf("one stopped: got %q", got)
	}
	b.says(t, exitFailed, []string{"stop", "b"}, "the guest has ended: b ended; `nx logs b` shows what it said")
	b.says(t, exitDone, []string{"logs"}, " * nexus-init: done\n")
	b.says(t, exitDone, []string{"logs", "--json"}, `,"text":"nexus-init: done","mark":"*"}`)
	b.says(t, exitFailed, []string{"logs", "--json", "--raw"}, "two forms")
	b.says(t, exitDone, []string{"stop", "--json"}, `"name": "a"`, `"killed": false`)
	if got := b.guests(t, "--all"); got != "a=ended+ b=ended+" {
		t.Errorf("all stopped: got %q", got)
	}
	b.says(t, exitDone, []string{"logs", "b"}, "OpenSBI v0 (fake)\n", " * virtionetd: ready\n")
	b.says(t, exitDone, []string{"logs", "-f", "b"}, " * virtionetd: ready\n", "nexus: b ended: ")
	if out := b.says(t, exitDone, []string{"logs", "--raw", "b"}); !strings.HasPrefix(out, "\nOpenSBI v0 (fake)\nneuron: entropy seeded\n") {
		t.Errorf("raw:\n%s", out)
	}
	var report boot.Report
	data, err := os.ReadFile(filepath.Join(b.run, "a", rundir.ReportFile))
	if err == nil {
		err = json.Unmarshal(data, &report)
	}
	if err != nil || report.Name != "a" || !report.Verdict.Proven || !report.Stay {
		t.Errorf("its report: %+v, %v", report, err)
	}
}

// A guest that detaches and is not proven is ended, unless it is to be kept.
func TestDetachNotProven(t *testing.T) {
	b := newBench(t, "mute")
	status, out := b.detach(t)
	if status != exitUnproven || !strings.Contains(out, "the machine was stopped: its boot is not proven") || !strings.Contains(out, "boot NOT proven") {
		t.Errorf("status %d:\n%s", status, out)
	}
	if got := b.guests(t, "--all"); got != "g1=ended" {
		t.Errorf("got %q", got)
	}
	status, out = b.detach(t, "--keep")
	if status != exitUnproven || !strings.Contains(out, "boot NOT proven") || !strings.Contains(out, "nexus: g2 runs on") {
		t.Errorf("kept: status %d:\n%s", status, out)
	}
	if got := b.guests(t); got != "g2=standing" {
		t.Errorf("kept: got %q", got)
	}
	b.says(t, exitDone, []string{"ps"}, "NOT proven: marker echod")

	failed := newBench(t, "failed")
	if status, out := failed.detach(t, "--keep"); status != exitUnproven || !strings.Contains(out, "QEMU ended with status 1") {
		t.Errorf("it ended by itself: status %d:\n%s", status, out)
	}
	if status, out := failed.detach(t, "--qemu", "none"); status != exitFailed || !strings.Contains(out, "none is not installed") {
		t.Errorf("never booted: status %d:\n%s", status, out)
	}
	if got := failed.guests(t, "--all"); got != "g1=ended" {
		t.Errorf("never booted: got %q", got)
	}
}

// A guest that is to stay and hangs has its verdict when the contract's budget is
// over.
func TestDetachHangs(t *testing.T) {
	b := newBench(t, "silent")
	rules, err := os.ReadFile("../../../../tests/contract/markers.json")
	if err != nil {
		t.Fatal(err)
	}
	short := strings.Replace(string(rules), `"budget_ms": 20000`, `"budget_ms": 100`, 1)
	if short == string(rules) {
		t.Fatal("the contract has another budget")
	}
	if err := os.WriteFile(b.path("contract"), []byte(short), 0o644); err != nil {
		t.Fatal(err)
	}
	status, out := b.detach(t, "--contract", b.path("contract"))
	if status != exitUnproven || !strings.Contains(out, "the machine was stopped: its boot is not proven") || !strings.Contains(out, "entropy-seeded of neuron is missing") {
		t.Errorf("status %d:\n%s", status, out)
	}
	status, out = b.detach(t, "--contract", b.path("contract"), "--keep")
	if status != exitUnproven || !strings.Contains(out, "nexus: g2 runs on") {
		t.Errorf("kept: status %d:\n%s", status, out)
	}
	if got := b.guests(t, "--all"); got != "g1=ended g2=standing" {
		t.Errorf("got %q", got)
	}
}

// An interrupt before the verdict ends the boot, cleanly, and says so.
func TestInterrupt(t *testing.T) {
	for name, more := range map[string][]string{"here": nil, "staying": {"--stay"}, "detached": {"--detach"}} {
		for _, nic := range nics(t) {
			t.Run(name+" "+nic, func(t *testing.T) {
				b := newBench(t, "silent")
				cmd := b.boot(append([]string{"--nic", nic, "--verbose"}, more...)...)
				out := startUntil(t, cmd, "OpenSBI v0 (fake)")
				if err := cmd.Process.Signal(os.Interrupt); err != nil {
					t.Fatal(err)
				}
				err := cmd.Wait()
				if cmd.ProcessState.ExitCode() != exitUnproven || !strings.Contains(out.String(), "nexus: the machine was stopped: ") ||
					!strings.Contains(out.String(), "signal received after ") || !strings.Contains(out.String(), "boot NOT proven") {
					t.Errorf("%v:\n%s", err, out.String())
				}
				if got := b.guests(t, "--all"); got != "g1=ended" {
					t.Errorf("got %q", got)
				}
			})
		}
	}
}

// A runner that does not end when it is asked to is killed, and its QEMU ends
// with it.
func TestStopKills(t *testing.T) {
	b := newBench(t, "good")
	if status, out := b.detach(t); status != exitDone {
		t.Fatalf("status %d:\n%s", status, out)
	}
	g := b.state(t, "g1")
	machine, err := g.Machine()
	if err != nil {
		t.Fatal(err)
	}
	defer machine.Close()
	if err := syscall.Kill(g.PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	b.says(t, exitDone, []string{"stop", "--timeout", "10ms"}, "nexus: g1: killed: it did not end within 10ms\n")
	if ended, err := machine.Wait(0); !ended || err != nil {
		t.Errorf("QEMU lives on: %v", err)
	}
	if got := b.guests(t, "--all"); got != "g1=died+" {
		t.Errorf("got %q", got)
	}
	b.says(t, exitDone, []string{"logs", "-f"}, "nexus-init: done", "nexus: g1 ended: its nx was killed")
	b.says(t, exitFailed, []string{"stop", "g1"}, "the guest has ended: g1 died")
}

// Following a log ends with an interrupt, and leaves the guest alone.
func TestFollowInterrupted(t *testing.T) {
	b := newBench(t, "good")
	if status, out := b.detach(t); status != exitDone {
		t.Fatalf("status %d:\n%s", status, out)
	}
	follow := b.nx("logs", "--follow")
	startUntil(t, follow, "nexus-init: done")
	if err := follow.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := follow.Wait(); err != nil {
		t.Error(err)
	}
	if got := b.guests(t); got != "g1=standing+" {
		t.Errorf("got %q", got)
	}
}

// In a namespace where the user may be another the run directory stays the same.
func TestRunDirectoryInNamespace(t *testing.T) {
	if err := usable(t); err != nil {
		t.Skipf("needs a TAP: %v", err)
	}
	b := newBench(t, "good")
	b.env = append(b.env, "NEXUS_RUN=", "XDG_RUNTIME_DIR="+b.run)
	if out := b.says(t, exitDone, []string{"tap", "--", "sh", "-c", "echo $NEXUS_RUN"}); out != b.run+"/nexus\n" {
		t.Errorf("got %q", out)
	}
}

// What was not asked to be kept, and what never ran, leaves nothing.
func TestForget(t *testing.T) {
	b := newBench(t, "good")
	for _, args := range [][]string{{"--forget"}, {"--qemu", "none"}, {"--memory", "64"}, {"--contract", "nowhere"}} {
		_, _ = run(t, b.boot(append([]string{"--nic", "wire"}, args...)...))
		if left, err := os.ReadDir(b.run); err != nil || len(left) != 0 {
			t.Errorf("%q: left %v, %v", args, left, err)
		}
	}
}

// A log whose last line was cut off, or that somebody spoiled, is shown as it is.
func TestLogPrinter(t *testing.T) {
	var out strings.Builder
	p := newLogPrinter(&out, logShown, colorAuto)
	for _, piece := range []string{"0.100000 * one\n0.2000", "00 ! two\x1b[2J\nspoiled\n", strings.Repeat("x", 2*maxLogged), "\n0.300000   cut"} {
		if err := p.copy(strings.NewReader(piece)); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.flush(); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	want := []string{"   0.100 * one", "   0.200 ! two.[2J", "   0.000   spoiled", "   0.000   " + strings.Repeat("x", 2*maxLogged), "   0.000   ", "   0.300   cut", ""}
	if strings.Join(lines, "|") != strings.Join(want, "|") {
		t.Errorf("got %q", lines)
	}
}
