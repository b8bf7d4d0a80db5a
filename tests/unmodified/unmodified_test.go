// Package unmodified runs programs on neuron that know nothing of it: the standard library's test binaries, x/net's
// conformance test of connections, and an HTTP server and client.
package unmodified

import (
	"encoding/json"
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nexus/tests/abi/guest"
	"nexus/tests/unmodified/plan"
	"nexus/tools/mkarchive/newc"
)

// program is a package whose tests run, and what they are told. The bound is an emulated machine's.
type program struct {
	pkg     string
	timeout time.Duration
	args    []string
}

var programs = []program{
	{"./tests/unmodified/conn", 2 * time.Minute, nil},
	{"./tests/unmodified/web", 4 * time.Minute, nil},
	{"strings", 4 * time.Minute, []string{"-test.short"}},
	{"sort", 2 * time.Minute, []string{"-test.short"}},
	{"strconv", 4 * time.Minute, []string{"-test.short"}},
	{"math", 2 * time.Minute, []string{"-test.short"}},
	{"sync", 4 * time.Minute, []string{"-test.short"}},
	{"context", 2 * time.Minute, []string{"-test.short"}},
	{"encoding/json", 4 * time.Minute, []string{"-test.short"}},
}

// packages replaces the list for one run: `go test ./tests/unmodified -packages=net,runtime`.
var packages = flag.String("packages", "", "comma-separated packages to run instead")

// chosen is what this run runs.
func chosen() []program {
	if *packages == "" {
		return programs
	}
	var list []program
	for pkg := range strings.SplitSeq(*packages, ",") {
		list = append(list, program{pkg, time.Minute, []string{"-test.short"}})
	}
	return list
}

// sources are files beside the tests that examples read.
var sources = map[string][]string{"sync": {"example_test.go"}}

// hosts is the archive's /etc/hosts: an example listens on localhost.
var hosts = newc.File{Path: "etc/hosts", Mode: 0o644, Data: []byte("127.0.0.1 localhost\n")}

// memoryMiB is the guest's memory: test binaries use more than services.
const memoryMiB = 512

// TestPrograms boots once with all programs and has a subtest for each.
func TestPrograms(t *testing.T) {
	guest.Need(t)
	files, steps := build(t)
	total := time.Minute
	for _, p := range steps {
		total += p.Timeout
	}
	files = append(files, guest.Services(t, guest.Manifest("/bin/runner", nil, min(total, 10*time.Minute)))...)
	files = append(files, guest.Program(t, "./tests/unmodified/cmd/runner", "bin/runner"))
	m := guest.Machine{Files: files, NIC: true, MemoryMiB: memoryMiB, Timeout: min(total, 10*time.Minute) + time.Minute, Line: func(line string) {
		if strings.HasPrefix(line, plan.Mark) {
			t.Log(line)
		}
	}}
	r := m.Boot(t, guest.Kernel(t))
	outcomes := make(map[string]string)
	for _, line := range r.After(plan.Mark) {
		if fields := strings.Fields(line); len(fields) == 3 {
			outcomes[fields[0]] = fields[1]
		}
	}
	for _, p := range steps {
		t.Run(p.Name, func(t *testing.T) {
			switch outcome := outcomes[p.Name]; outcome {
			case plan.OK:
			case "":
				t.Error("no report")
			default:
				t.Errorf("%s", outcome)
			}
		})
	}
	if t.Failed() || r.Status != 0 {
		t.Errorf("the machine ended with status %d, too late %v; its last lines:\n%s", r.Status, r.Late, guest.Tail(r.Lines, 200))
	}
}

// build compiles the test binaries and returns the archive's files and the plan.
func build(t *testing.T) (files []newc.File, steps []plan.Program) {
	t.Helper()
	directory := t.TempDir()
	for _, p := range chosen() {
		name := strings.ReplaceAll(strings.TrimPrefix(p.pkg, "./tests/unmodified/"), "/", "-")
		binary := filepath.Join(directory, name)
		guest.Build(t, "test", "-c", "-ldflags=-s -w", "-o", binary, p.pkg)
		home := "tests/" + name
		files = append(files, guest.File(t, home+"/"+name+".test", binary))
		files = append(files, beside(t, p.pkg, home)...)
		steps = append(steps, plan.Program{
			Name: name, Path: "/" + home + "/" + name + ".test", Directory: "/" + home, Arguments: p.args, Timeout: p.timeout,
		})
	}
	raw, err := json.MarshalIndent(steps, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(files, hosts, newc.File{Path: plan.Path, Mode: 0o644, Data: raw}), steps
}

// beside returns the package's testdata and sources as they lie beside a test that runs in home.
func beside(t *testing.T, pkg, home string) (files []newc.File) {
	t.Helper()
	list := exec.Command("go", "list", "-f", "{{.Dir}}", pkg)
	list.Dir = guest.Root(t)
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	source := strings.TrimSpace(string(out))
	add := func(name string) error {
		data, err := os.ReadFile(name)
		relative, _ := filepath.Rel(source, name)
		files = append(files, newc.File{Path: home + "/" + filepath.ToSlash(relative), Mode: 0o644, Data: data})
		return err
	}
	for _, name := range sources[pkg] {
		if err := add(filepath.Join(source, name)); err != nil {
			t.Fatal(err)
		}
	}
	err = filepath.WalkDir(filepath.Join(source, "testdata"), func(name string, d fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		return add(name)
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
