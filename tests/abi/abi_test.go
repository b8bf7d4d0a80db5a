// Package abi compares neuron's system calls with Linux's: the same program prints the same transcript on both.
//
// testdata/transcript.golden is what Linux says; `go test ./tests/abi -update` writes it anew.
package abi

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nexus/tests/abi/guest"
	"nexus/tools/mkarchive/newc"
)

var update = flag.Bool("update", false, "write testdata/transcript.golden from this Linux")

const (
	golden  = "testdata/transcript.golden"
	program = "./tests/abi/cmd/transcript"
	mark    = "ABI: "

	withoutNetwork = "files,directories,descriptors,pipe,eventfd,epoll,poll,vectors,memory,memfd,stream,messages,rights,signals,interruptions,futex,process,time,misc,edges"
	network        = "tcp,udp"
)

// fixture is the directory that the program finds at /tests/abi.
func fixture() []newc.File {
	big := make([]byte, 10000)
	for i := range big {
		big[i] = byte(i * 7 % 251)
	}
	text := func(path, contents string) newc.File {
		return newc.File{Path: "tests/abi/" + path, Mode: 0o644, Data: []byte(contents)}
	}
	executable := func(path, contents string) newc.File {
		return newc.File{Path: "tests/abi/" + path, Mode: 0o755, Data: []byte(contents)}
	}
	return []newc.File{
		text("hello.txt", "hello\n"), text("big.bin", string(big)), text("empty", ""),
		text("dir/a", "a"), text("dir/b", "b"), text("dir/c", "c"), text("dir/sub/deep.txt", "deep"),
		executable("script", "not a program\n"), executable("empty-program", ""), executable("cut-program", "\x7fELF\x02\x01\x01"),
	}
}

// differences holds the lines in which neuron answers otherwise on purpose: Linux's line, neuron's, and why.
var differences = []struct{ linux, neuron, why string }{}

// expected returns the golden lines of some sections as neuron should print them.
func expected(t *testing.T, sections string) []string {
	t.Helper()
	raw, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimSuffix(line, "\n")
		section, _, _ := strings.Cut(line, ":")
		if !strings.Contains(","+sections+",", ","+section+",") {
			continue
		}
		for _, d := range differences {
			if line == d.linux {
				line = d.neuron
			}
		}
		lines = append(lines, line)
	}
	return append(lines, "done")
}

// compare reports the lines that differ: those that should be there with -, those that are there instead with +.
func compare(t *testing.T, got, want []string) {
	t.Helper()
	if d := diff(got, want); len(d) > 0 {
		t.Errorf("differs in %d lines (- Linux, + here):\n%s", len(d), strings.Join(d, "\n"))
	}
}

// diff keeps a longest common subsequence and returns the rest in order.
func diff(got, want []string) (lines []string) {
	common := make([][]int, len(got)+1) // common[i][j] of got[i:] and want[j:]
	for i := range common {
		common[i] = make([]int, len(want)+1)
	}
	for i := len(got) - 1; i >= 0; i-- {
		for j := len(want) - 1; j >= 0; j-- {
			if got[i] == want[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(got) || j < len(want) {
		switch {
		case i < len(got) && j < len(want) && got[i] == want[j]:
			i++
			j++
		case i == len(got) || j < len(want) && common[i][j+1] >= common[i+1][j]:
			lines = append(lines, "- "+want[j])
			j++
		default:
			lines = append(lines, "+ "+got[i])
			i++
		}
	}
	return lines
}

func TestDiff(t *testing.T) {
	got := diff([]string{"a", "x", "c", "d"}, []string{"a", "b", "c", "e", "d"})
	if want := "- b,+ x,- e"; strings.Join(got, ",") != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestLinux runs the program here.
func TestLinux(t *testing.T) {
	directory := t.TempDir()
	binary := filepath.Join(directory, "transcript")
	build := exec.Command("go", "build", "-o", binary, program)
	build.Dir = guest.Root(t)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, f := range fixture() {
		name := filepath.Join(directory, f.Path)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, f.Data, os.FileMode(f.Mode)); err != nil {
			t.Fatal(err)
		}
	}
	run := exec.Command(binary, "-fixture", filepath.Join(directory, "tests/abi"), "-sections", withoutNetwork+","+network)
	run.Env = []string{}
	out, err := run.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out = bytes.ReplaceAll(out, []byte(mark), nil)
	out = bytes.TrimSuffix(out, []byte("done\n"))
	if *update {
		if err := os.WriteFile(golden, out, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	raw, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSpace(string(raw)), "\n")
	compare(t, lines, want)
}

// TestNeuron runs the program as process 1.
func TestNeuron(t *testing.T) {
	guest.Need(t)
	m := guest.Machine{
		Files:   append(fixture(), guest.Program(t, program, "init")),
		Append:  "abi.sections=" + withoutNetwork,
		Timeout: 5 * time.Minute,
	}
	check(t, m.Boot(t, guest.Kernel(t)), expected(t, withoutNetwork))
}

// TestNeuronSockets runs the program in a socket namespace that netstackd serves.
func TestNeuronSockets(t *testing.T) {
	guest.Need(t)
	manifest := guest.Manifest("/bin/transcript", []string{"-sections", network}, 2*time.Minute)
	m := guest.Machine{
		Files:   append(guest.Services(t, manifest), guest.Program(t, program, "bin/transcript")),
		NIC:     true,
		Timeout: 5 * time.Minute,
	}
	check(t, m.Boot(t, guest.Kernel(t)), expected(t, network))
}

func check(t *testing.T, r guest.Result, want []string) {
	t.Helper()
	compare(t, r.After(mark), want)
	if r.Late || r.Status != 0 {
		t.Errorf("the machine ended with status %d, too late %v; its last lines:\n%s", r.Status, r.Late, guest.Tail(r.Lines, 15))
	}
}
