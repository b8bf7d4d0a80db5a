// Package fuzzkernel boots the kernel with programs of random system calls: see docs/fuzzing-the-kernel.md.
package fuzzkernel

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"nexus/tests/abi/guest"
	"nexus/tests/fuzzkernel/generate"
	"nexus/tests/fuzzkernel/program"
	"nexus/tools/mkarchive/newc"
)

// machine is what all boots of a test have alike.
type machine struct {
	kernel string
	files  []newc.File
	quiet  time.Duration
	say    func(string) // each line of the console but those of runs
}

// newMachine builds the kernel, unless one is given, and the guest's two programs.
func newMachine(t testing.TB, kernel string) *machine {
	t.Helper()
	guest.Need(t)
	if kernel == "" {
		kernel = guest.Kernel(t)
	}
	executor := filepath.Join(t.TempDir(), "executor")
	guest.Build(t, "build", "-ldflags=-s -w -E main.entry", "-o", executor, "./tests/fuzzkernel/cmd/executor")
	canary := make([]byte, 64<<10)
	for i := range canary {
		canary[i] = byte(i * 31 >> 3)
	}
	return &machine{
		kernel: kernel, quiet: 2 * time.Minute,
		files: []newc.File{
			guest.Program(t, "./tests/fuzzkernel/cmd/director", "init"),
			guest.File(t, "bin/executor", executor),
			{Path: "canary", Mode: 0o755, Data: canary},
		},
	}
}

// finding is what a boot found: at which program, what, and what it says of it without the numbers.
type finding struct{ run, what, kind string }

// outcome is a boot's.
type outcome struct {
	guest.Result
	findings []finding
	last     string // the program that ran last
	seeds    []string
	calls    int
	longest  int // trap, in instructions

	told        bool // why the machine ended
	outOfMemory int  // ends of the director's program that the kernel gave this reason for
}

var (
	numbers    = regexp.MustCompile(`-?\b(0x[0-9a-f]+|[0-9]+)\b`)
	foundLine  = regexp.MustCompile(`^fuzz: finding ([^ :]*): (.*)$`)
	seedLine   = regexp.MustCompile(`^fuzz: seed \d+: programs \d+, calls (\d+), longest trap (\d+) ns`)
	memoryLine = regexp.MustCompile(`^neuron: process \d+ \(init\) ended: out of memory`)
	signalLine = regexp.MustCompile(`^neuron: power off, init killed by signal \d+$`)
)

func kindOf(what string) string { return numbers.ReplaceAllString(what, "N") }

// boot runs the machine.
func (m *machine) boot(t testing.TB, appended string, cases map[string]string) (o outcome) {
	t.Helper()
	files := append([]newc.File(nil), m.files...)
	for name, text := range cases {
		files = append(files, newc.File{Path: "cases/" + name, Mode: 0o644, Data: []byte(text)})
	}
	line := func(s string) {
		if run, ok := strings.CutPrefix(s, "fuzz: run "); ok {
			o.last = run
			return
		}
		if m.say != nil {
			m.say(s)
		}
		o.hear(s)
	}
	o.Result = guest.Machine{
		Files: files, Append: appended, Counted: true, Timeout: 6 * time.Hour, Quiet: m.quiet, Line: line,
	}.Boot(t, m.kernel)
	if o.Late {
		o.findings = append(o.findings, finding{o.last, "stall: the machine prints nothing any more", "stall"})
	}
	if !o.told && !o.Late {
		o.found(o.last, "process 1 has ended before it was done: "+guest.Tail(o.Lines, 1))
	}
	return o
}

func (o *outcome) found(run, what string) {
	o.findings = append(o.findings, finding{run, what, kindOf(what)})
}

// hear is a line of the console.
func (o *outcome) hear(s string) {
	if f := foundLine.FindStringSubmatch(s); f != nil {
		o.found(f[1], f[2])
	}
	what, fatal := strings.CutPrefix(s, "neuron: fatal: ")
	killed := signalLine.MatchString(s)
	switch {
	case fatal:
		o.found(o.last, "fatal: "+what)
	case killed:
		o.found(o.last, strings.TrimPrefix(s, "neuron: "))
	case memoryLine.MatchString(s):
		o.outOfMemory++
	case s == "fuzz: the canary has ended" && o.outOfMemory > 0:
		o.outOfMemory--
	case s == "fuzz: the canary has ended":
		o.found(o.last, "the canary has ended")
	}
	o.told = o.told || fatal || killed || strings.HasPrefix(s, "fuzz: done: ")
	if f := seedLine.FindStringSubmatch(s); f != nil {
		calls, _ := strconv.Atoi(f[1])
		longest, _ := strconv.Atoi(f[2])
		o.calls += calls
		o.longest = max(o.longest, longest)
		o.seeds = append(o.seeds, s)
	}
}

// programOf is the program that a run's name stands for, of a seed or a case.
func programOf(run string, cases map[string]string) (*program.Program, error) {
	if text, ok := cases[run]; ok {
		return program.Parse(text)
	}
	seed, episode, ok := strings.Cut(run, "/")
	s, err := strconv.ParseUint(seed, 10, 64)
	e, err2 := strconv.ParseUint(episode, 10, 64)
	if !ok || err != nil || err2 != nil {
		return nil, fmt.Errorf("no program %q", run)
	}
	return generate.Threads(s, e), nil
}

// readCases are the programs of testdata/cases.
func readCases(t testing.TB) map[string]string {
	t.Helper()
	cases := make(map[string]string)
	names, err := filepath.Glob("testdata/cases/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		cases[strings.TrimSuffix(filepath.Base(name), ".txt")] = string(text)
	}
	return cases
}
