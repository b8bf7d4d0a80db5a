// Package cpu boots the kernel on processors and in ways that the system's own boots do not have: a kernel that is made to
// fault, and programs that keep watch over their registers.
package cpu

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nexus/tools/mkarchive/newc"
)

// bound is more than any boot here takes.
const bound = 60 * time.Second

// top is the repository's.
const top = "../.."

// kernel builds a kernel image with the build tags.
func kernel(t *testing.T, tags string) string {
	t.Helper()
	image := filepath.Join(t.TempDir(), "neuron.img")
	build := exec.Command("go", "run", "./tools/mkkernel", "-tags", tags, "-o", image, "-elf", image+".elf")
	build.Dir = top
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("mkkernel: %v\n%s", err, out)
	}
	return image
}

// program builds a guest program, for the GORISCV64 level if one is given.
func program(t *testing.T, path, level string) []byte {
	t.Helper()
	name := filepath.Join(t.TempDir(), "program")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", name, path)
	build.Env = append(os.Environ(), "GOOS=linux", "GOARCH=riscv64", "CGO_ENABLED=0")
	if level != "" {
		build.Env = append(build.Env, "GORISCV64="+level)
	}
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// archive writes a boot archive whose /init is the program.
func archive(t *testing.T, init []byte) string {
	t.Helper()
	var b bytes.Buffer
	if err := newc.Write(&b, []newc.File{{Path: "init", Mode: 0o755, Data: init}}); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "boot.cpio")
	if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// boot runs QEMU's virt with further arguments and gives the kernel's part of the console and QEMU's exit status.
func boot(t *testing.T, image string, args ...string) (console string, status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	cmd := exec.CommandContext(ctx, "qemu-system-riscv64", append([]string{"-M", "virt", "-nographic", "-no-reboot", "-kernel", image}, args...)...)
	cmd.WaitDelay = time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); err != nil && (!errors.As(err, &exit) || ctx.Err() != nil) {
		t.Fatalf("%q: %v\n%s%s", cmd.Args, err, out, &stderr)
	}
	console = strings.ReplaceAll(string(out), "\r", "")
	if i := strings.Index(console, "neuron: "); i >= 0 {
		console = console[i:]
	}
	return console + stderr.String(), cmd.ProcessState.ExitCode()
}
