// Package guest builds a boot archive around a test program and runs it on neuron in QEMU.
//
// It knows no markers and no network peer: what a program prints is all there is. The boot proof of the whole system is
// the harness's business (tools/nx).
package guest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"nexus/tools/mkarchive/newc"
)

// Qemu is the emulator's name in PATH.
const Qemu = "qemu-system-riscv64"

// Machine is one boot.
type Machine struct {
	Files     []newc.File // the archive
	Append    string      // kernel command line
	NIC       bool        // a network card whose wire leads nowhere
	MemoryMiB int         // 0 is 128
	// Counted: time is counted instructions, one a nanosecond, and passes at once while all sleep; the clock and QEMU's chance
	// are the same at every boot, and so is the kernel's.
	Counted bool
	Timeout time.Duration // of the whole run
	Quiet   time.Duration // it is late too when it prints nothing for so long; 0 is no bound
	// Input is what is typed at the console; nil is nothing.
	Input io.Reader
	// Line is called with each line of the console as it comes, without its line end; nil is allowed.
	Line func(string)
}

// Result is how a boot ended.
type Result struct {
	Lines  []string // the console from neuron's first line on
	Status int      // QEMU's exit status, -1 if it was stopped
	Late   bool     // it did not end in time
}

// After returns what follows prefix on each line that begins with it.
func (r Result) After(prefix string) []string {
	var found []string
	for _, line := range r.Lines {
		if text, ok := strings.CutPrefix(line, prefix); ok {
			found = append(found, text)
		}
	}
	return found
}

// Need skips the test in short mode, and fails it where there is no QEMU: a machine that cannot boot proves nothing.
func Need(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("boots a machine")
	}
	if _, err := exec.LookPath(Qemu); err != nil {
		t.Fatalf("%v: install qemu-system-misc and opensbi, or use -short", err)
	}
}

// Root returns the top of the repository: the directory of go.mod.
func Root(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(string(bytes.TrimSpace(out)))
}

// Kernel builds neuron and returns the image's name.
func Kernel(t testing.TB) string {
	t.Helper()
	directory := t.TempDir()
	image := filepath.Join(directory, "neuron.bin")
	build := exec.Command("go", "run", "./tools/mkkernel", "-o", image, "-elf", filepath.Join(directory, "neuron.elf"))
	build.Dir = Root(t)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("mkkernel: %v\n%s", err, out)
	}
	return image
}

// Program builds a command of this repository for the guest and returns it as the archive's file path.
func Program(t testing.TB, pkg, path string) newc.File {
	t.Helper()
	name := filepath.Join(t.TempDir(), "program")
	Build(t, "build", "-ldflags=-s -w", "-o", name, pkg)
	return File(t, path, name)
}

// Build runs the go tool for the guest.
func Build(t testing.TB, args ...string) {
	t.Helper()
	build := exec.Command("go", args...)
	build.Dir = Root(t)
	build.Env = append(os.Environ(), "GOOS=linux", "GOARCH=riscv64", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// File reads a program on the host into an archive's executable file.
func File(t testing.TB, path, name string) newc.File {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return newc.File{Path: path, Mode: 0o755, Data: data}
}

// Boot runs the machine until it powers off or its time is over.
func (m Machine) Boot(t testing.TB, kernel string) Result {
	t.Helper()
	var archive bytes.Buffer
	if err := newc.Write(&archive, m.Files); err != nil {
		t.Fatal(err)
	}
	initrd := filepath.Join(t.TempDir(), "boot.cpio")
	if err := os.WriteFile(initrd, archive.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), m.Timeout)
	defer cancel()
	if m.Quiet > 0 {
		alarm := time.AfterFunc(m.Quiet, cancel)
		defer alarm.Stop()
		line := m.Line
		m.Line = func(s string) {
			alarm.Reset(m.Quiet)
			if line != nil {
				line(s)
			}
		}
	}
	command := exec.CommandContext(ctx, Qemu, m.args(kernel, initrd)...)
	command.WaitDelay = 5 * time.Second
	console, writer := io.Pipe()
	command.Stdin, command.Stdout = m.Input, writer
	var stderr bytes.Buffer
	command.Stderr = &stderr
	read := make(chan []string)
	go func() { read <- m.lines(console) }()
	err := command.Run()
	writer.Close()
	result := Result{Lines: <-read, Status: command.ProcessState.ExitCode(), Late: ctx.Err() != nil}
	if err != nil && command.ProcessState == nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	return result
}

func (m Machine) args(kernel, initrd string) []string {
	memory := m.MemoryMiB
	if memory == 0 {
		memory = 128
	}
	if m.Counted {
		m.Append += " nexus.profile=deterministic"
	}
	args := []string{"-M", "virt", "-smp", "1", "-m", strconv.Itoa(memory) + "M", "-global", "virtio-mmio.force-legacy=false",
		"-kernel", kernel, "-initrd", initrd, "-append", m.Append}
	if m.NIC {
		args = append(args, "-netdev", "hubport,id=n0,hubid=0",
			"-device", "virtio-net-device,netdev=n0,bus=virtio-mmio-bus.1,mac=02:00:00:00:00:01")
	}
	if m.Counted {
		args = append(args, "-icount", "shift=0,sleep=off", "-seed", "1", "-rtc", "base=2026-01-01T00:00:00,clock=vm")
	}
	return append(args, "-display", "none", "-serial", "stdio", "-monitor", "none", "-no-reboot")
}

// lines collects the console, leaving out what the firmware says before neuron's first line.
func (m Machine) lines(console io.Reader) (lines []string) {
	in := bufio.NewScanner(console)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		line := strings.TrimRight(in.Text(), "\r")
		if len(lines) == 0 && !strings.HasPrefix(line, "neuron:") {
			continue
		}
		lines = append(lines, line)
		if m.Line != nil {
			m.Line(line)
		}
	}
	io.Copy(io.Discard, console) // after a line too long for the scanner
	return lines
}

// Tail returns the last lines of a console, for an error message.
func Tail(lines []string, n int) string {
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// Services returns the archive's files that boot the network's services, nexus-init among them, with that manifest.
func Services(t testing.TB, manifest string) []newc.File {
	t.Helper()
	return []newc.File{
		Program(t, "./source/nexus", "init"),
		{Path: "etc/nexus/manifest.json", Mode: 0o644, Data: []byte(manifest)},
	}
}

// Manifest returns a system of the network's two services and one program inside the socket namespace, which runs once.
func Manifest(program string, arguments []string, timeout time.Duration) string {
	quoted := make([]string, len(arguments))
	for i, a := range arguments {
		quoted[i] = strconv.Quote(a)
	}
	return fmt.Sprintf(`{
  "net": "stub",
  "services": [
    {
      "name": "virtionetd", "program": "/init", "arguments": ["virtionetd"], "ready": "notify", "timeoutMs": 20000,
      "descriptors": [
        {"name": "window", "window": "virtio_mmio@10002000"},
        {"name": "irq", "irq": "virtio_mmio@10002000"},
        {"name": "rings", "dma": 65536},
        {"name": "frames", "dma": 1048576},
        {"name": "net.netstackd", "serve": "nic"}
      ]
    },
    {
      "name": "netstackd", "program": "/init", "arguments": ["netstackd"], "settings": ["net"], "ready": "notify", "timeoutMs": 60000,
      "descriptors": [
        {"name": "virtionetd", "connect": "nic"},
        {"name": "sockets", "sockets": "inet"}
      ]
    },
    {
      "name": "program", "program": %q, "arguments": [%s], "namespace": "inet", "ready": "exit", "timeoutMs": %d
    }
  ]
}
`, program, strings.Join(quoted, ", "), timeout.Milliseconds())
}
