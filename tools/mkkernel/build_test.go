package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// kernel copies the test kernel into a module of its own, with extra.go replaced, and returns how to build it.
func kernel(t *testing.T, extra string) options {
	t.Helper()
	directory := t.TempDir()
	if err := os.CopyFS(directory, os.DirFS("testdata/kernel")); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"go.mod": "module kernel\n\ngo 1.26\n"}
	if extra != "" {
		files["extra.go"] = "//go:build neuron\n\npackage main\n\n" + extra
	}
	for name, contents := range files {
		if err := os.WriteFile(filepath.Join(directory, name), []byte(contents), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return options{
		image: filepath.Join(directory, "k.bin"), elf: filepath.Join(directory, "k.elf"),
		directory: directory, packagePath: ".", tags: "neuron", fatal: []string{"other.name", "main.kfatal"},
	}
}

// TestBoot builds the test kernel, runs it, and looks for its greeting, the patched range check, and the check's place.
func TestBoot(t *testing.T) {
	o := kernel(t, "")
	summary, err := build(o)
	if err != nil {
		t.Fatal(err)
	}
	if ok, _ := regexp.MatchString(`k\.bin: \d+ KiB and \d+ KiB of zeroed memory, \d+ functions checked, \d+ runtime entries patched$`, summary); !ok {
		t.Errorf("summary %q", summary)
	}
	image, err := os.ReadFile(o.image)
	if err != nil {
		t.Fatal(err)
	}
	if string(image[48:60]) != "RISCV\x00\x00\x00RSC\x05" {
		t.Errorf("header % x", image[:64])
	}
	if size := binary.LittleEndian.Uint64(image[headerImageSize:]); size < uint64(len(image))+16384 {
		t.Errorf("the header says %d bytes; the file has %d, and the stack is not in it", size, len(image))
	}

	qemu, err := exec.LookPath("qemu-system-riscv64")
	if err != nil {
		t.Skip("no qemu-system-riscv64 here")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	console, err := exec.CommandContext(ctx, qemu, "-M", "virt", "-nographic", "-no-reboot", "-kernel", o.image).Output()
	if err != nil {
		t.Fatalf("qemu: %v\n%s", err, console)
	}
	var out bytes.Buffer
	if err := runSymbolize([]string{"-elf", o.elf}, bytes.NewReader(console), &out); err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`hello from a small kernel\r?\n` +
		`neuron: fatal: runtime 0x0+2 \(index or slice out of range\) 0x\w+ \(main\.read kernel/main\.go:32\) 0x0+ sp 0x0+1\r?\n$`)
	if !want.Match(out.Bytes()) {
		t.Errorf("console:\n%s", out.String())
	}
}

// TestSymbolizeTrap gives symbolize a trap's line, with addresses of the test kernel, and lines that are none of its
// business.
func TestSymbolizeTrap(t *testing.T) {
	o := kernel(t, "")
	if _, err := build(o); err != nil {
		t.Fatal(err)
	}
	p, err := load(o.elf)
	if err != nil {
		t.Fatal(err)
	}
	start := p.named("main.read")[0].start
	in := fmt.Sprintf("neuron: fatal: trap 0xd 0x8 %#x sp 0x10\nneuron: process 1 ended: fault 0x8, pc %#[1]x\nneuron: fatal: other %#x\n",
		start, start+4)
	want := fmt.Sprintf("neuron: fatal: trap 0xd (load page fault) 0x8 %#x (main.read kernel/main.go:32) sp 0x10\n"+
		"neuron: process 1 ended: fault 0x8, pc %#[1]x\nneuron: fatal: other %#x (main.read kernel/main.go:32)\n", start, start+4)
	var out strings.Builder
	if err := runSymbolize([]string{"-elf", o.elf}, strings.NewReader(in), &out); err != nil {
		t.Fatal(err)
	}
	if out.String() != want {
		t.Errorf("got  %s\nwant %s", out.String(), want)
	}
}

func TestReproducible(t *testing.T) {
	var images [2][]byte
	for i := range images {
		o := kernel(t, "")
		if _, err := build(o); err != nil {
			t.Fatal(err)
		}
		image, err := os.ReadFile(o.image)
		if err != nil {
			t.Fatal(err)
		}
		images[i] = image
	}
	if !bytes.Equal(images[0], images[1]) {
		t.Error("two builds in two places differ")
	}
}

// TestRefused has one kernel for each thing that a kernel must not do; the error has to name the culprit.
func TestRefused(t *testing.T) {
	for _, tc := range []struct {
		name, extra string
		want        []string
	}{
		{"allocates", "type node struct{ next *node }\nvar list *node\n\n//go:noinline\nfunc grow() { list = &node{list} }\n\nfunc extra() { grow() }",
			[]string{"main.grow calls runtime.newobject (kernel/extra.go:9)"}},
		{"makes", "var b []byte\n\nfunc extra() { b = make([]byte, len(points[0].name)) }", []string{"calls runtime.makeslice"}},
		{"appends", "var b []byte\n\nfunc extra() { b = append(b, 1) }", []string{"calls runtime.growslice"}},
		{"concatenates", "func extra() { put(points[0].name + points[1].name) }", []string{"calls runtime.concatstring"}},
		{"boxes", "var v any\n\nfunc extra() { v = points[0].x }", []string{"calls runtime.convT64"}},
		{"prints", "func extra() { println(1) }", []string{"calls runtime.print"}},
		{"starts a goroutine", "func extra() { go off() }", []string{"calls runtime.newproc"}},
		{"compares interfaces", "type two struct{ a, b any }\nvar p, q two\n\nfunc extra() {\n\tif p == q {\n\t\toff()\n\t}\n}",
			[]string{"calls runtime.efaceeq"}},
		{"a variable on the heap", "var p *int\n\nfunc extra() { x := 1; p = &x }", []string{"go build", "x escapes to heap"}},
		{"an initialiser", "var total = sum()\n\n//go:noinline\nfunc sum() int { return points[0].x }\n\nfunc extra() { points[0].y = total }",
			[]string{"package main has an initialiser", "main.init"}},
		{"an init function", "func init() { points[0].x = 3 }\n\nfunc extra() {}", []string{"package main has an initialiser", "main..inittask"}},
		{"a map", "var m = map[int]int{1: 2, 3: 4}\n\nfunc extra() { points[0].x = m[1] }", []string{"an initialiser", "calls runtime.mapaccess"}},
		{"floating point", "var f, g = 1.5, 2.5\n\n//go:noinline\nfunc half() float64 { return f / g }\n\nfunc extra() { points[0].x = int(half()) }",
			[]string{"main.half uses a floating-point register (kernel/extra.go:8)"}},
		{"imports", "import \"errors\"\n\nvar e error\n\nfunc extra() { e = errors.ErrUnsupported }", []string{"package kernel imports errors"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := kernel(t, tc.extra)
			_, err := build(o)
			if err == nil {
				t.Fatal("built")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error lacks %q:\n%v", want, err)
				}
			}
			if _, err := os.Stat(o.image); err == nil {
				t.Error("there is an image")
			}
		})
	}
}

// TestAccepted has kernels that use what is allowed.
func TestAccepted(t *testing.T) {
	for name, extra := range map[string]string{
		"math/bits":      "import \"math/bits\"\n\nvar a, b uint64\n\nfunc extra() { a, b = bits.Div64(a, b, uint64(points[0].x)) }",
		"panics":         "func extra() { panic(\"no\") }",
		"function value": "var f = read\n\nfunc extra() { f(1) }",
		"string order":   "func extra() {\n\tif points[0].name < points[1].name {\n\t\toff()\n\t}\n}",
		"unsafe slice":   "import \"unsafe\"\n\nfunc extra() { points[0].y = int(unsafe.Slice((*byte)(unsafe.Pointer(&points[0])), points[1].x)[1]) }",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := build(kernel(t, extra)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFloatException(t *testing.T) {
	o := kernel(t, "var f, g = 1.5, 2.5\n\n//go:noinline\nfunc half() { f = f / g }\n\nfunc extra() { half() }")
	o.float = []string{"main.half"}
	if _, err := build(o); err != nil {
		t.Error(err)
	}
}

func TestFatalMissing(t *testing.T) {
	o := kernel(t, "")
	o.fatal = []string{"main.start"} // Go, not assembly
	if _, err := build(o); err == nil || !strings.Contains(err.Error(), `no assembly function ["main.start"]`) {
		t.Errorf("got %v", err)
	}
}

func TestNotAKernel(t *testing.T) {
	for path, want := range map[string]string{"math/bits": "not a main package", "./nowhere": "nowhere", "nexus/tools/mkkernel": "imports"} {
		o := options{packagePath: path, tags: "neuron", elf: filepath.Join(t.TempDir(), "x.elf")}
		if _, err := build(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}

func TestArguments(t *testing.T) {
	if err := runBuild([]string{"a", "b"}, io.Discard); err == nil || !strings.Contains(err.Error(), "one package") {
		t.Errorf("two packages: %v", err)
	}
	if err := runSymbolize([]string{"-elf", "testdata/none"}, nil, io.Discard); err == nil {
		t.Error("symbolize without an ELF file succeeded")
	}
}
