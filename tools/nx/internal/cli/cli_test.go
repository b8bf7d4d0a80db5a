package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cavaliergopher/cpio"

	"nexus/tools/nx/internal/boot"
	"nexus/tools/nx/internal/tap"
)

// The test program plays three parts: the tests, nx, and QEMU.
func TestMain(m *testing.M) {
	switch os.Getenv("NX_TEST_ROLE") {
	case "qemu":
		os.Exit(fakeQEMU(os.Args[1:]))
	case "nx":
		tap.Probe()
		os.Exit(Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// bench is a folder with all that nx boot needs, and a fake QEMU.
type bench struct {
	dir string
	run string // the run directory
	env []string
}

func newBench(t *testing.T, scenario string) *bench {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{dir: t.TempDir(), env: environment("NX_TEST_ROLE=nx")}
	b.run = runDirectory(t)
	b.env = append(b.env, "NEXUS_RUN="+b.run)
	b.script(t, "qemu", "NX_TEST_ROLE=qemu exec "+self+` "$@"`)
	for name, text := range map[string]string{"kernel": scenario, "dtb": emptyTree} {
		if err := os.WriteFile(b.path(name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	writeArchive(t, b.path("archive"))
	return b
}

// runDirectory is a run directory whose path is short enough for sockets in it.
func runDirectory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "nx")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// environment is this one's and more. A program built with the race detector would sleep
// for a second at its end.
func environment(more string) []string {
	return append(os.Environ(), "GORACE=atexit_sleep_ms=0", more)
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

func (b *bench) script(t *testing.T, name, body string) {
	t.Helper()
	if err := os.WriteFile(b.path(name), []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

func writeArchive(t *testing.T, path string) {
	t.Helper()
	var buf bytes.Buffer
	w := cpio.NewWriter(&buf)
	const text = "hello"
	err := errors.Join(
		w.WriteHeader(&cpio.Header{Name: "pkg/fixtures/hello.txt", Mode: cpio.TypeReg | 0o644, Size: int64(len(text))}),
		func() error { _, err := w.Write([]byte(text)); return err }(),
		w.Close(),
		os.WriteFile(path, buf.Bytes(), 0o644))
	if err != nil {
		t.Fatal(err)
	}
}

// nx is the nx command on this bench.
func (b *bench) nx(args ...string) *exec.Cmd {
	self, _ := os.Executable()
	cmd := exec.Command(self, args...)
	cmd.Env = b.env
	return cmd
}

// boot is the nx command that boots on this bench.
func (b *bench) boot(args ...string) *exec.Cmd {
	return b.nx(append(append([]string{"boot"}, b.flags()...), args...)...)
}

// run runs a command to its end and gives its status and all its output.
func run(t *testing.T, cmd *exec.Cmd) (status int, out string) {
	t.Helper()
	data, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(data)
}

// nics are the back ends that this machine has; a TAP that cannot be had is
// said once.
func nics(t *testing.T) []string {
	t.Helper()
	if err := usable(t); err != nil {
		t.Logf("not on a TAP: %v", err)
		return []string{boot.NICWire}
	}
	return []string{boot.NICWire, boot.NICTap}
}

// usable asks nx itself whether it can have a TAP.
func usable(t *testing.T) error {
	t.Helper()
	self, _ := os.Executable()
	cmd := exec.Command(self, "tap", "--", "/bin/true")
	cmd.Env = environment("NX_TEST_ROLE=nx")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func TestProvenOnEveryBackend(t *testing.T) {
	for _, nic := range nics(t) {
		t.Run(nic, func(t *testing.T) {
			b := newBench(t, "good")
			status, out := run(t, b.boot("--nic", nic, "--pcap", b.path("pcap"), "--record", b.path("report")))
			if status != exitDone || !strings.Contains(out, fmt.Sprintf("nexus: boot proven: %d markers, ", goodLines)) {
				t.Fatalf("status %d:\n%s", status, out)
			}
			if strings.Contains(out, "OpenSBI") {
				t.Error("the firmware's lines are shown")
			}

			// The record is judged the same again, and not without its capture.
			again := []string{"prove", b.path("report"), "--archive", b.path("archive"), "--contract", "../../../../tests/contract/markers.json"}
			for _, tc := range []struct {
				args   []string
				status int
			}{
				{append(again, "--pcap", b.path("pcap")), exitDone},
				{again, exitUnproven},
				{append(again, "--pcap", b.path("nowhere")), exitFailed},
			} {
				if status, out := run(t, b.nx(tc.args...)); status != tc.status {
					t.Errorf("%q: status %d, want %d:\n%s", tc.args, status, tc.status, out)
				}
			}
		})
	}
}

func TestReport(t *testing.T) {
	b := newBench(t, "good")
	out, err := b.boot("--nic", "wire", "--json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var r boot.Report
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatal(err)
	}
	if r.Name != "g1" || r.QEMUVersion != "QEMU emulator version 8.1.2 (fake)" || r.OpenSBI != "v0 (fake)" || r.Memory != 128 || r.SMP != 1 ||
		r.Kernel.Path != b.path("kernel") || r.Kernel.Size != 4 || r.Kernel.SHA256 != "770e607624d68926" || r.Archive.Size == 0 || r.Archive.SHA256 == "" ||
		!strings.HasPrefix(r.System, "Linux ") || r.NX == "" || len(r.Command) < 10 || r.Command[0] != b.path("qemu") ||
		r.Started.Location() != time.UTC || r.EndedAt.Sub(r.Started) != r.Took {
		t.Errorf("got %+v", r)
	}
	if !r.Verdict.Proven || r.NIC != "wire" || r.QEMU != "8.1" || r.Exit != 0 || len(r.Host) != 3 || r.Frames < 10 || len(r.Console) < len(untilHeard) {
		t.Errorf("got %+v", r)
	}
}

func TestStay(t *testing.T) {
	b := newBench(t, "good")
	cmd := b.boot("--nic", "wire", "--stay")
	out := startUntil(t, cmd, "staying up")
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v:\n%s", err, out.String())
	}
}

func TestNotProven(t *testing.T) {
	for _, tc := range []struct {
		scenario string
		args     []string
		status   int
		says     []string
	}{
		{"liar", nil, exitUnproven, []string{"has no evidence", "boot NOT proven"}},
		{"mute", nil, exitUnproven, []string{"the host asked the guest (udp): no answer", "marker echod-udp has no evidence"}},
		{"panic", []string{"--timeout", "4s"}, exitUnproven, []string{"! neuron: fatal: test", "forbidden line", "stopped after 4s, its time bound"}},
		{"failed", nil, exitUnproven, []string{"QEMU ended with status 1", fmt.Sprintf("marker entropy-fixed of neuron is missing: neuron: entropy fixed, deterministic profile (and %d more)", goodLines-1)}},
		{"silent", []string{"--timeout", "4s"}, exitUnproven, []string{"stopped after 4s, its time bound", "OpenSBI v0 (fake)"}},
		{"flood", []string{"--timeout", "3s"}, exitUnproven, []string{"stopped after 3s, its time bound"}},
		{"no-bios", nil, exitUnproven, []string{"QEMU said:", "apt-get install opensbi"}},
		{"garbage", nil, exitUnproven, []string{"warning: wire: invalid frame length"}},
		{"good", []string{"--nic", "none"}, exitUnproven, []string{"network card on none", "FAILED"}},
		{"good", []string{"--net", "dhcp"}, exitUnproven, []string{"dhcp.discover from the guest, then dhcp.offer from the host"}},
		{"liar", []string{"--profile", "default"}, exitUnproven, []string{"marker profile-deterministic does not belong"}},
	} {
		t.Run(tc.scenario+strings.Join(tc.args, ""), func(t *testing.T) {
			t.Parallel()
			b := newBench(t, tc.scenario)
			status, out := run(t, b.boot(append([]string{"--nic", "wire"}, tc.args...)...))
			if status != tc.status {
				t.Errorf("status %d, want %d", status, tc.status)
			}
			for _, s := range tc.says {
				if !strings.Contains(out, s) {
					t.Errorf("does not say %q", s)
				}
			}
			if t.Failed() {
				t.Log(last(out, 3000))
			}
		})
	}
}

func last(s string, n int) string { return s[max(0, len(s)-n):] }

func TestCannotRun(t *testing.T) {
	old := newBench(t, "good")
	old.script(t, "old-qemu", "echo QEMU emulator version 7.0.0")
	old.script(t, "odd-qemu", "echo hello")
	old.script(t, "dead-qemu", "exit 3")
	old.script(t, "loud-qemu", "exec cat /dev/zero")
	for name, tc := range map[string]struct {
		args []string
		says string
	}{
		"QEMU missing":       {[]string{"--qemu", "no-such-qemu"}, "apt-get install qemu-system-misc opensbi"},
		"QEMU too old":       {[]string{"--qemu", old.path("old-qemu")}, "is QEMU 7.0: too old, 7.2 or newer is needed"},
		"not QEMU":           {[]string{"--qemu", old.path("odd-qemu")}, `no version in "hello"`},
		"QEMU broken":        {[]string{"--qemu", old.path("dead-qemu")}, "--version failed: exit status 3"},
		"QEMU floods":        {[]string{"--qemu", old.path("loud-qemu")}, "--version failed: it says more than 64 KiB"},
		"a device":           {[]string{"--contract", "/dev/zero"}, "contract: open /dev/zero: not a regular file"},
		"no kernel":          {[]string{"--kernel", "nowhere"}, "kernel image cannot be read: open nowhere: no such file or directory; run `make build`"},
		"no archive":         {[]string{"--archive", old.dir}, old.dir + ": is a directory; run `make build`"},
		"no device tree":     {[]string{"--dtb", "nowhere"}, "device tree cannot be read"},
		"no contract":        {[]string{"--contract", "nowhere"}, "contract: open nowhere"},
		"a wrong contract":   {[]string{"--contract", old.path("kernel")}, "contract: invalid"},
		"no such nic":        {[]string{"--nic", "vsock"}, "auto, tap, wire, user, none"},
		"no such net":        {[]string{"--net", "slirp"}, "stub, static, dhcp"},
		"no such profile":    {[]string{"--profile", "fast"}, "deterministic, default"},
		"no time":            {[]string{"--timeout", "0s"}, "--timeout must be positive"},
		"icount, other seed": {[]string{"--icount", "--profile", "default"}, "--icount needs --profile deterministic"},
		"noise, QEMU's host": {[]string{"--nic", "user", "--noise"}, "with --nic user QEMU is the host"},
		"QEMU leases":        {[]string{"--nic", "user", "--no-lease"}, "leave out --no-lease and --noise"},
		"no such colour":     {[]string{"--color", "red"}, "auto, always, never"},
		"no such name":       {[]string{"--name", "a/b"}, "is not 1 to 32 of a-z, 0-9 and -"},
		"an empty name":      {[]string{"--name", ""}, "is not 1 to 32 of a-z, 0-9 and -"},
		"little memory":      {[]string{"--memory", "63"}, "64 to 4096 MiB"},
		"much memory":        {[]string{"--memory", "1000000"}, "64 to 4096 MiB"},
		"no memory":          {[]string{"--memory", "0"}, "64 to 4096 MiB"},
		"not a tree":         {[]string{"--memory", "256", "--dtb", "cli_test.go"}, "device tree: bad magic"},
		"no tree to seed":    {[]string{"--profile", "default", "--dtb", "cli_test.go"}, "a seed cannot be put into cli_test.go: device tree: bad magic"},
		"no hart":            {[]string{"--smp", "0"}, "1 to 8 harts"},
		"many harts":         {[]string{"--smp", "9"}, "1 to 8 harts"},
		"keep what":          {[]string{"--keep"}, "--keep is for --detach"},
		"no such flag":       {[]string{"--fast"}, "unknown flag"},
		"an argument":        {[]string{"now"}, `boot: "now" is one word too many: see nx boot --help`},
	} {
		t.Run(name, func(t *testing.T) {
			status, out := run(t, old.boot(append([]string{"--nic", "wire"}, tc.args...)...))
			if status != exitFailed || !strings.Contains(out, tc.says) || strings.Count(out, "\n") != 1 {
				t.Errorf("status %d, want one line with %q:\n%s", status, tc.says, out)
			}
		})
	}
}

// Without the TAP's device nothing is asked of the user: auto goes on with the
// wire and says why.
func TestTAPNotPermitted(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("dropping privileges needs root; as a user TestProvenOnEveryBackend meets the same refusal")
	}
	b := newBench(t, "good")
	if err := os.Chmod(b.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	self, _ := os.Executable()
	for dir := filepath.Dir(self); dir != "/tmp" && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for dir := b.dir; dir != "/tmp" && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	contract, err := os.ReadFile("../../../../tests/contract/markers.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(b.path("markers.json"), contract, 0o644); err != nil {
		t.Fatal(err)
	}
	b.env = append(b.env, "NEXUS_RUN="+b.path("run"))
	if err := errors.Join(os.Mkdir(b.path("run"), 0o700), os.Chown(b.path("run"), 65534, 65534)); err != nil {
		t.Fatal(err)
	}
	nobody := func(args ...string) *exec.Cmd {
		cmd := b.boot(append(args, "--contract", b.path("markers.json"))...)
		cmd.Dir = b.dir
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		return cmd
	}
	status, out := run(t, nobody())
	if status != exitDone || !strings.Contains(out, "network card on wire (no TAP: open /dev/net/tun: permission denied)") {
		t.Errorf("auto: status %d:\n%s", status, out)
	}
	status, out = run(t, nobody("--nic", "tap"))
	if status != exitFailed || !strings.Contains(out, "nx: no TAP: open /dev/net/tun: permission denied; run as root or with access to /dev/net/tun, or use --nic wire") {
		t.Errorf("tap: status %d:\n%s", status, out)
	}
}

// However nx ends, QEMU ends too, and no interface of the machine was touched.
func TestNothingLeftBehind(t *testing.T) {
	for _, nic := range nics(t) {
		for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL} {
			t.Run(fmt.Sprintf("%s/%v", nic, sig), func(t *testing.T) {
				before := interfaces(t)
				b := newBench(t, "good")
				b.env = append(b.env, "NX_TEST_PIDFILE="+b.path("pid"))
				cmd := b.boot("--nic", nic, "--stay")
				startUntil(t, cmd, "staying up")
				text, err := os.ReadFile(b.path("pid"))
				if err != nil {
					t.Fatal(err)
				}
				pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
				if err != nil {
					t.Fatal(err)
				}
				// Holding the process open, its end cannot be missed and its
				// number cannot be taken by another.
				guest, err := os.FindProcess(pid)
				if err != nil {
					t.Fatal(err)
				}
				namespace, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
				if err != nil {
					t.Fatal(err)
				}

				if err := cmd.Process.Signal(sig); err != nil {
					t.Fatal(err)
				}
				_ = cmd.Wait() // killed, or interrupted: either is as it should be
				if !gone(guest, 10*time.Second) {
					t.Error("QEMU lives on")
					_ = guest.Kill()
				}
				if nic == boot.NICTap {
					if user := namespaceUser(t, namespace); user != "" {
						t.Errorf("the network namespace lives on in %s", user)
					}
				}
				if after := interfaces(t); after != before {
					t.Errorf("interfaces: %s before, %s after", before, after)
				}
			})
		}
	}
}

// gone waits until the process has ended. It is no child of this one, so its
// end is polled for.
func gone(p *os.Process, bound time.Duration) bool {
	deadline := time.Now().Add(bound)
	for time.Now().Before(deadline) {
		if err := p.Signal(syscall.Signal(0)); err != nil {
			return true
		}
		if state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Pid)); err != nil || bytes.Contains(state, []byte(") Z ")) {
			return true
		}
		time.Sleep(time.Millisecond)
	}
	return false
}

// namespaceUser names a process that is in the network namespace.
func namespaceUser(t *testing.T, namespace string) string {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if ns, err := os.Readlink(link); err == nil && ns == namespace {
			return link
		}
	}
	return ""
}

func interfaces(t *testing.T) string {
	t.Helper()
	names, err := filepath.Glob("/sys/class/net/*")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(names, " ")
}

// watched is an output that tells when a text has been written to it.
type watched struct {
	all  bytes.Buffer
	text string
	seen chan struct{}
}

func (w *watched) String() string { return w.all.String() }

func (w *watched) Write(p []byte) (int, error) {
	n, err := w.all.Write(p)
	if w.seen != nil && strings.Contains(w.String(), w.text) {
		close(w.seen)
		w.seen = nil
	}
	return n, err
}

// startUntil starts cmd and waits until it printed text.
func startUntil(t *testing.T, cmd *exec.Cmd, text string) *watched {
	t.Helper()
	seen := make(chan struct{})
	out := &watched{text: text, seen: seen}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	select {
	case <-seen:
	case <-time.After(30 * time.Second):
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		t.Fatalf("never said %q:\n%s", text, out.String())
	}
	return out
}

// emptyTree is a compiled device tree with nothing but /chosen: header, end of reservations, tokens.
const emptyTree = "\xd0\x0d\xfe\xed\x00\x00\x00\x58\x00\x00\x00\x38\x00\x00\x00\x58\x00\x00\x00\x28" +
	"\x00\x00\x00\x11\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x20" +
	"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" +
	"\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01chosen\x00\x00\x00\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00\x09"

// flags are the flags of nx boot that describe this bench.
func (b *bench) flags() []string {
	return []string{
		"--qemu", b.path("qemu"), "--kernel", b.path("kernel"), "--archive", b.path("archive"),
		"--dtb", b.path("dtb"), "--contract", "../../../../tests/contract/markers.json", "--timeout", "20s",
	}
}

func TestSoak(t *testing.T) {
	for scenario, want := range map[string]struct {
		status int
		says   string
	}{
		"good":   {exitDone, "3 boots, 3 proven"},
		"failed": {exitUnproven, "3 boots, 0 proven"},
	} {
		b := newBench(t, scenario)
		args := append([]string{"soak", "--boots", "3", "--nic", "wire", "--keep", b.dir, "--"}, b.flags()...)
		status, out := run(t, b.nx(args...))
		if status != want.status || !strings.Contains(out, want.says) {
			t.Errorf("%s: status %d:\n%s", scenario, status, out)
		}
		if left, err := os.ReadDir(b.run); err != nil || len(left) != 0 {
			t.Errorf("%s: in the run directory: %v, %v", scenario, left, err)
		}
		kept, err := filepath.Glob(b.path("unproven-wire-*.json"))
		if err != nil || scenario == "failed" != (len(kept) == 3) {
			t.Errorf("%s: kept %q, %v", scenario, kept, err)
		}
	}
}

func TestSeriesJSON(t *testing.T) {
	b := newBench(t, "good")
	var soaked struct {
		Series []struct {
			NIC           string
			Boots, Proven int
		}
	}
	out, err := b.nx(append([]string{"soak", "--boots", "1", "--nic", "wire", "--json", "--"}, b.flags()...)...).Output()
	if err := errors.Join(err, json.Unmarshal(out, &soaked)); err != nil || len(soaked.Series) != 1 || soaked.Series[0].NIC != "wire" || soaked.Series[0].Proven != 1 {
		t.Errorf("soak: %v: %+v\n%s", err, soaked, out)
	}
	var same struct {
		Consoles int
		Same     bool
	}
	out, err = b.nx(append([]string{"same", "--boots", "2", "--json", "--contract", "../../../../tests/contract/markers.json", "--"}, b.flags()...)...).Output()
	if err := errors.Join(err, json.Unmarshal(out, &same)); err != nil || !same.Same || same.Consoles != 2 {
		t.Errorf("same: %v: %+v\n%s", err, same, out)
	}
	for _, args := range [][]string{{"soak", "--boots", "0"}, {"same", "--boots", "1"}} {
		if status, out := run(t, b.nx(args...)); status != exitFailed || !strings.Contains(out, "--boots must be at least") {
			t.Errorf("%q: status %d:\n%s", args, status, out)
		}
	}
}

// A series that cannot boot ends at once, and says why.
func TestSeriesCannotRun(t *testing.T) {
	b := newBench(t, "good")
	args := append([]string{"soak", "--boots", "3", "--nic", "wire", "--"}, b.flags()...)
	if status, out := run(t, b.nx(append(args, "--qemu", "none")...)); status != exitFailed || !strings.Contains(out, "none is not installed") {
		t.Errorf("status %d:\n%s", status, out)
	}
	failed := errors.New("exit status 2")
	for out, want := range map[string]string{`{"error":{"text":"why","status":2}}`: "why", "": "exit status 2", `{"error":{}}`: "exit status 2", "[]": "exit status 2"} {
		if got := childError([]byte(out), failed); got.Error() != want {
			t.Errorf("%q: got %v", out, got)
		}
	}
}

func TestSame(t *testing.T) {
	b := newBench(t, "good")
	status, out := run(t, b.nx(append([]string{"same", "--boots", "2", "--contract", "../../../../tests/contract/markers.json", "--"}, b.flags()...)...))
	if status != exitDone || !strings.Contains(out, fmt.Sprintf("2 consoles of %d lines, the same to the byte but for 1 that may vary", goodLines+firmwareLines)) {
		t.Errorf("status %d:\n%s", status, out)
	}
	b = newBench(t, "moody")
	status, out = run(t, b.nx(append([]string{"same", "--boots", "2", "--contract", "../../../../tests/contract/markers.json", "--"}, b.flags()...)...))
	if status != exitUnproven || !strings.Contains(out, "boot 2, line 3:") {
		t.Errorf("status %d:\n%s", status, out)
	}
}
