package boot

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"nexus/tools/mkarchive/newc"
)

// read gives a file's bytes.
func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestBadArchive(t *testing.T) {
	good := read(t, "build/boot.cpio")
	cut := func(n int) []byte { return good[:n] }
	noise := bytes.Repeat([]byte("nexus!"), 100000)
	twisted := func(offset int, text string) []byte {
		b := bytes.Clone(good)
		copy(b[offset:], text)
		return b
	}
	for _, tc := range []struct {
		name string
		data []byte
		says string
	}{
		{"cut in half", cut(len(good) / 2), "neuron: boot archive: "},
		{"cut in a header", cut(50), "neuron: boot archive: "},
		{"without its trailer", cut(len(good) - 512), "neuron: boot archive: "},
		{"noise", noise, "neuron: boot archive: "},
		{"zeros", make([]byte, 8192), "neuron: boot archive: "},
		{"another magic", twisted(0, "070707"), "neuron: boot archive: "},
		{"an endless name", twisted(94, "ffffffff"), "neuron: boot archive: "},
		{"an endless file", twisted(54, "ffffffff"), "neuron: boot archive: "},
		{"no hexadecimal", twisted(54, "zzzzzzzz"), "neuron: boot archive: "},
		{"no init", archive(t, nil), "neuron: init: the boot archive has no executable /init"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			boot(t, nil, "--nic", "wire", "--archive", file(t, "archive", tc.data)).refused(t, tc.says)
		})
	}
}

// archive is a boot archive of files, by path.
func archive(t *testing.T, files map[string][]byte) []byte {
	t.Helper()
	list := []newc.File{{Path: "pkg/fixtures/hello.txt", Mode: 0o644, Data: []byte("hello\n")}}
	for path, data := range files {
		list = append(list, newc.File{Path: path, Mode: 0o755, Data: data})
	}
	var b bytes.Buffer
	if err := newc.Write(&b, list); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Offsets in the header of a 64-bit ELF file and of a program header.
const (
	elfMachine = 18
	elfEntry   = 24
	elfPhoff   = 32
	elfPhnum   = 56
	phOffset   = 8
	phVaddr    = 16
	phFilesz   = 32
	phMemsz    = 40
	phSize     = 56
)

// An /init that is no proper program is refused with a word, whatever is wrong
// with it; the kernel never trusts a number in it.
func TestBadInit(t *testing.T) {
	good := read(t, "build/nexus")
	// Go's linker puts the program header of the text first or second; each is
	// tried, which spoils a loaded one at least once.
	load := func(field int, value uint64) []byte {
		b := bytes.Clone(good)
		phoff := int(binary.LittleEndian.Uint64(b[elfPhoff:]))
		for i := range int(binary.LittleEndian.Uint16(b[elfPhnum:])) {
			at := phoff + i*phSize
			if binary.LittleEndian.Uint32(b[at:]) == 1 { // PT_LOAD
				binary.LittleEndian.PutUint64(b[at+field:], value)
			}
		}
		return b
	}
	head := func(field int, value uint64) []byte {
		b := bytes.Clone(good)
		binary.LittleEndian.PutUint64(b[field:], value)
		return b
	}
	short := func(field int, value uint16) []byte {
		b := bytes.Clone(good)
		binary.LittleEndian.PutUint16(b[field:], value)
		return b
	}
	const kernel = 0xffffffc080200000
	for name, init := range map[string][]byte{
		"empty":                         {},
		"a script":                      []byte("#!/bin/sh\n"),
		"cut in its header":             good[:40],
		"cut in its program headers":    good[:70],
		"cut in its text":               good[:8192],
		"another machine":               short(elfMachine, 62),
		"no program headers":            short(elfPhnum, 0),
		"65535 program headers":         short(elfPhnum, 65535),
		"program headers far away":      head(elfPhoff, 1<<40),
		"program headers that wrap":     head(elfPhoff, ^uint64(0)-8),
		"segments in the kernel":        load(phVaddr, kernel),
		"segments that wrap":            load(phVaddr, ^uint64(0)-4095),
		"segments beyond the file":      load(phOffset, 1<<40),
		"more file than memory":         load(phFilesz, 1<<40),
		"more memory than there can be": load(phMemsz, 1<<62),
	} {
		t.Run(name, func(t *testing.T) {
			boot(t, nil, "--nic", "wire", "--archive", file(t, "archive", archive(t, map[string][]byte{"init": init}))).
				refused(t, "neuron: init: cannot execute /init")
		})
	}
	// What loads and then jumps wildly dies of it.
	for name, entry := range map[string]uint64{"entry in the kernel": kernel, "entry nowhere": 0x123456788, "entry at 0": 0} {
		t.Run(name, func(t *testing.T) {
			boot(t, nil, "--nic", "wire", "--archive", file(t, "archive", archive(t, map[string][]byte{"init": head(elfEntry, entry)}))).
				refused(t, "neuron: ")
		})
	}
}

// trouble builds a boot archive whose one service behaves badly.
func trouble(t *testing.T, what string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "trouble")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, "./tests/boot/trouble")
	build.Env = append(os.Environ(), "GOOS=linux", "GOARCH=riscv64", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	manifest := fmt.Sprintf(`{"net": "stub", "services": [{"name": "trouble", "program": "/bin/trouble",
		"arguments": [%q], "ready": "notify", "timeoutMs": 3000}]}`, what)
	return file(t, "archive", archive(t, map[string][]byte{
		"init":                    read(t, "build/nexus"),
		"bin/trouble":             read(t, program),
		"etc/nexus/manifest.json": []byte(manifest),
	}))
}

// A service that misbehaves is named, and the boot ends.
func TestBadService(t *testing.T) {
	for what, says := range map[string][]string{
		"die":   {"nexus-init: trouble: exited with status 3 before it was ready"},
		"hang":  {"nexus-init: trouble: ", "3s"},
		"spin":  {"nexus-init: trouble: ", "3s"},
		"talk":  {"nexus-init: trouble: ", "3s"},
		"panic": {"panic: trouble", "nexus-init: trouble: exited with status 2 before it was ready"},
		"crash": {"nil pointer dereference", "nexus-init: trouble: exited with status 2 before it was ready"},
		"trap":  {"nexus-init: trouble: ", "signal"},
		"eat":   {"nexus-init: trouble: "},
		"fork":  {"trouble: refused after ", "nexus-init: trouble: exited with status 3 before it was ready"},
		"open":  {"trouble: refused after ", "nexus-init: trouble: exited with status 3 before it was ready"},
		"none":  {"trouble: no such trouble", "nexus-init: trouble: exited with status 125 before it was ready"},
	} {
		t.Run(what, func(t *testing.T) {
			boot(t, nil, "--nic", "wire", "--archive", trouble(t, what)).
				refused(t, append(says, "nexus-init: boot failed", "neuron: power off, init exited with status 1")...)
		})
	}
}
