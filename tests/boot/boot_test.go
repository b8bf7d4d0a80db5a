// Package boot boots the whole system in QEMU, well and badly equipped, through
// the nx command: what a user sees is what is tested.
package boot

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The repository's top, and what `make build` leaves there.
const (
	top = "../.."
	nx  = "build/nx"
)

// bound is more than any boot takes that ends by itself.
const bound = 40 * time.Second

// tapError says why there is no TAP here; nil where there is one.
var tapError error

// userError says why there is no private network namespace here; nil where
// there is one.
var userError error

func TestMain(m *testing.M) {
	if err := os.Chdir(top); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// `make test-boot` has built everything by now; `go test` may not have.
	if out, err := exec.Command("make", "-s", "build").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "make build: %v\n%s", err, out)
		os.Exit(1)
	}
	if out, err := exec.Command(nx, "tap", "--", "true").CombinedOutput(); err != nil {
		tapError = fmt.Errorf("%s", bytes.TrimSpace(out))
	}
	private := exec.Command("/bin/true")
	private.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if os.Geteuid() != 0 {
		private.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
	}
	userError = private.Run()
	os.Exit(run(m))
}

// run runs the tests with a run directory of their own, in a place whose path is
// short enough for sockets.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("/tmp", "nx")
	if err == nil {
		err = os.Setenv("NEXUS_RUN", dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	return m.Run()
}

// report is what these tests read of nx's report.
type report struct {
	Name    string        `json:"name"`
	NIC     string        `json:"nic"`
	Exit    int           `json:"qemu_status"`
	Ended   string        `json:"ended"`
	Took    time.Duration `json:"took_ns"`
	Advice  string        `json:"advice"`
	Verdict struct {
		Proven   bool     `json:"proven"`
		Failures []string `json:"failures"`
		Missing  []string `json:"missing"`
		Evident  int      `json:"with_evidence"`
	} `json:"verdict"`
	Console []struct {
		At   time.Duration `json:"at_ns"`
		Text string        `json:"text"`
	} `json:"console"`

	status int // nx's own
}

// text is the console from the kernel's first line on.
func (r *report) text() string {
	var b strings.Builder
	kernel := false
	for _, l := range r.Console {
		kernel = kernel || strings.HasPrefix(l.Text, "neuron:")
		if kernel {
			b.WriteString(l.Text + "\n")
		}
	}
	return b.String()
}

// boot runs nx boot with the arguments and gives its report. prefix is the
// command to run nx by, if any.
func boot(t *testing.T, prefix []string, args ...string) *report {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*bound)
	defer cancel()
	argv := slices.Concat(prefix, []string{nx, "boot", "--json", "--timeout", bound.String()}, args)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		t.Fatalf("%q: %v\n%s", argv, err, stderr.Bytes())
	}
	r := &report{status: cmd.ProcessState.ExitCode()}
	if err := json.Unmarshal(out, r); err != nil {
		t.Fatalf("%q: %v\n%s", argv, err, out)
	}
	return r
}

// proven fails the test unless the boot is proven.
func (r *report) proven(t *testing.T) {
	t.Helper()
	if !r.Verdict.Proven || r.status != 0 {
		t.Errorf("not proven, nx's status %d: %q\n%s", r.status, r.Verdict.Failures, r.text())
	}
}

// refused fails the test unless the guest ended by itself, badly, and said so
// with each of the texts.
func (r *report) refused(t *testing.T, says ...string) {
	t.Helper()
	if r.Verdict.Proven || r.status != 1 {
		t.Errorf("proven %v, nx's status %d", r.Verdict.Proven, r.status)
	}
	if r.Exit != 1 {
		t.Errorf("QEMU's status is %d, not 1: %s after %v", r.Exit, r.Ended, r.Took)
	}
	console := r.text()
	for _, s := range says {
		if !strings.Contains(console, s) {
			t.Errorf("the console does not say %q", s)
		}
	}
	if strings.Contains(console, "neuron: fatal") {
		t.Error("the kernel failed")
	}
	if t.Failed() {
		t.Logf("%s:\n%s", r.Ended, console)
	}
}

// nics are the back ends to test; a TAP that cannot be had is logged.
func nics(t *testing.T) []string {
	t.Helper()
	if tapError != nil {
		t.Logf("not on a TAP: %v", tapError)
		return []string{"wire"}
	}
	return []string{"wire", "tap"}
}

// file writes data to a new file and gives its path.
func file(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
