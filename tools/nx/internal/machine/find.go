package machine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"nexus/source/libs/named"
)

// Oldest is the oldest QEMU that has what Nexus needs: -netdev stream over a
// unix socket came with 7.2.
var Oldest = Version{7, 2}

// Version is a program's version as major and minor number.
type Version struct{ Major, Minor int }

func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// Before tells whether v is older than other.
func (v Version) Before(other Version) bool {
	return v.Major < other.Major || v.Major == other.Major && v.Minor < other.Minor
}

// What Find and CompileTree refuse; each message says what to install.
var (
	ErrMissing = errors.New("not installed")
	ErrTooOld  = errors.New("too old")
	ErrFile    = errors.New("cannot be read")
)

// MaxFile bounds the files that the machine is started with, in bytes.
const MaxFile = 512 << 20

// askTime bounds asking a program for its version, and compiling a device tree.
const askTime = 10 * time.Second

var versionText = regexp.MustCompile(`\b(\d+)\.(\d+)(?:\.\d+)?\b`)

// QEMU is a QEMU that was found.
type QEMU struct {
	Path    string
	Version Version
	Full    string // its version with all that it says of itself, e.g. of the package
}

// another is what to do about a QEMU that cannot be used.
const another = "name another with --qemu or $NEXUS_QEMU, or install one: scripts/setup.sh"

// Find looks program up in PATH (or takes a path) and checks that it is a QEMU
// not older than Oldest.
func Find(ctx context.Context, program string) (QEMU, error) {
	path, err := exec.LookPath(program)
	if err != nil && strings.Contains(program, "/") {
		return QEMU{}, fmt.Errorf("QEMU cannot be executed: %w: %s", err, another)
	}
	if err != nil {
		return QEMU{}, fmt.Errorf("%s is %w: install QEMU %v or newer with `apt-get install qemu-system-misc opensbi` (scripts/setup.sh does)",
			cmp.Or(program, `""`), ErrMissing, Oldest)
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	out, err := ask(ctx, exec.CommandContext(ctx, path, "--version"))
	if err != nil {
		return QEMU{}, fmt.Errorf("%s --version failed: %w: %s", path, err, another)
	}
	v, err := parseVersion(out)
	if err != nil {
		return QEMU{}, fmt.Errorf("%s --version: %w: %s", path, err, another)
	}
	if v.Before(Oldest) {
		return QEMU{}, fmt.Errorf("%s is QEMU %v: %w, %v or newer is needed: %s", path, v, ErrTooOld, Oldest, another)
	}
	first, _, _ := strings.Cut(out, "\n")
	return QEMU{path, v, strings.TrimSpace(first)}, nil
}

// maxAnswer bounds what a program that was asked may say, in bytes.
const maxAnswer = 64 << 10

// ask runs cmd, which ctx bounds, and gives what it says on standard output, with its standard error in the error.
func ask(ctx context.Context, cmd *exec.Cmd) (string, error) {
	var out, errs answer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = killGrace
	err := cmd.Run()
	switch {
	case out.over || errs.over:
		return "", errors.New("it says more than 64 KiB")
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return "", fmt.Errorf("it did not end within %v", askTime)
	case ctx.Err() != nil:
		return "", fmt.Errorf("it was ended: %w", context.Cause(ctx))
	case err != nil && len(errs.text) > 0:
		return "", fmt.Errorf("%w: %s", err, strings.TrimSpace(string(errs.text)))
	}
	return string(out.text), err
}

// answer is an output that takes no more than maxAnswer.
type answer struct {
	text []byte
	over bool
}

// Write implements io.Writer.
func (a *answer) Write(p []byte) (int, error) {
	if a.over = a.over || len(a.text)+len(p) > maxAnswer; a.over {
		return 0, io.ErrShortWrite
	}
	a.text = append(a.text, p...)
	return len(p), nil
}

func parseVersion(out string) (Version, error) {
	first, _, _ := strings.Cut(out, "\n")
	m := versionText.FindStringSubmatch(first)
	if m == nil {
		return Version{}, fmt.Errorf("no version in %q", first)
	}
	major, err := strconv.Atoi(m[1])
	if err != nil {
		return Version{}, fmt.Errorf("version in %q: %w", first, err)
	}
	minor, err := strconv.Atoi(m[2])
	if err != nil {
		return Version{}, fmt.Errorf("version in %q: %w", first, err)
	}
	return Version{major, minor}, nil
}

// CheckFile says whether path, the machine's what ("kernel image"), is a file
// that can be read, and how to make it if not.
func CheckFile(what, path, advice string) error {
	f, err := named.Open(path, MaxFile)
	if err != nil {
		return fmt.Errorf("%s %w: %w; %s", what, ErrFile, err, advice)
	}
	return f.Close()
}

// CompileTree compiles the device tree source src to dst with dtc.
func CompileTree(ctx context.Context, dtc, src, dst string) error {
	path, err := exec.LookPath(dtc)
	if err != nil {
		return fmt.Errorf("%s is %w: install it with `apt-get install device-tree-compiler` (scripts/setup.sh does)", cmp.Or(dtc, `""`), ErrMissing)
	}
	if err := CheckFile("device tree source", src, "Nexus's is pkg/dts/virt-nexus.dts"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	if _, err := ask(ctx, exec.CommandContext(ctx, path, "-I", "dts", "-O", "dtb", "-o", dst, src)); err != nil {
		return fmt.Errorf("%s %s: %w", path, src, err)
	}
	return nil
}

// advice maps what QEMU says on stderr when it cannot start to what to do.
var advice = []struct {
	says *regexp.Regexp
	do   string
}{
	{regexp.MustCompile(`(?i)unable to (find|load) the RISC-V (BIOS|firmware)`), "the firmware is missing: `apt-get install opensbi`"},
	{regexp.MustCompile(`(?i)could not (configure|open) /dev/net/tun`), "the TAP cannot be opened: run with --nic wire, or see docs/bringup/virt_net_v1_2.md"},
	{regexp.MustCompile(`(?i)Bus '.*' not found|invalid (option|parameter)|Property .* not found|is not a valid device`), "this QEMU does not know an option it was given: it may be too old, or --device wrong"},
	{regexp.MustCompile(`Bus '.*' is full`), "this slot holds a device already: name another with bus= of --device"},
	{regexp.MustCompile(`(?i)could not load kernel|could not load ramdisk|Couldn't open dtb`), "a file could not be loaded: run `make build`"},
}

// Explain turns what QEMU said when it failed into advice; "" where there is none.
func Explain(stderr string) string {
	for _, a := range advice {
		if a.says.MatchString(stderr) {
			return a.do
		}
	}
	return ""
}

// firmware is the file that QEMU loads for -M virt unless it is told another.
const firmware = "opensbi-riscv64-generic-fw_dynamic.bin"

// FindFirmware looks for the firmware where the QEMU at path would. Error:
// ErrMissing, or that QEMU does not say where it looks.
func FindFirmware(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	out, err := ask(ctx, exec.CommandContext(ctx, path, "-L", "help"))
	if err != nil {
		return fmt.Errorf("%s -L help failed: %w", path, err)
	}
	for folder := range strings.Lines(out) {
		if _, err := os.Stat(filepath.Join(strings.TrimSpace(folder), firmware)); err == nil {
			return nil
		}
	}
	return fmt.Errorf("the firmware %s is %w where QEMU looks for it: `apt-get install opensbi` (scripts/setup.sh does)", firmware, ErrMissing)
}
