package generate

import (
	"flag"
	"fmt"
	"go/format"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"nexus/tests/fuzzkernel/program"
)

// kernelCalls are those of the page that is made from the kernel's table.
func kernelCalls(t *testing.T) map[uint16]string {
	t.Helper()
	page, err := os.ReadFile("../../../docs/architecture/system-calls.md")
	if err != nil {
		t.Fatal(err)
	}
	calls := make(map[uint16]string)
	for _, row := range regexp.MustCompile(`(?m)^\| (\d+) \| \[(\w+)\]`).FindAllStringSubmatch(string(page), -1) {
		n, err := strconv.ParseUint(row[1], 10, 16)
		if err != nil {
			t.Fatal(err)
		}
		calls[uint16(n)] = row[2]
	}
	return calls
}

var update = flag.Bool("update", false, "write ../program/calls.go anew from the kernel's table")

// source is calls.go.
func source(calls map[uint16]string) []byte {
	b := []byte("package program\n\n// Calls are the numbers of the kernel's system calls, and what they are called in the text form. A test compares them with the\n" +
		"// kernel's table; `go test ./tests/fuzzkernel/generate -update` writes them anew.\nvar Calls = map[uint16]string{\n")
	for _, n := range slices.Sorted(maps.Keys(calls)) {
		b = fmt.Appendf(b, "%d: %q,\n", n, calls[n])
	}
	b, err := format.Source(append(b, "}\n"...))
	if err != nil {
		panic(err)
	}
	return b
}

func TestEveryCall(t *testing.T) {
	want := kernelCalls(t)
	if *update {
		if err := os.WriteFile("../program/calls.go", source(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	for n, name := range want {
		if program.Calls[n] != name {
			t.Errorf("call %d, %s, is not in program.Calls: run go test ./tests/fuzzkernel/generate -update", n, name)
		}
	}
	made := make(map[string]bool)
	for episode := range uint64(1000) {
		for _, list := range Threads(1, episode).Lists {
			for _, o := range list {
				if o.Code == program.Call {
					made[program.Calls[o.Number]] = true
				}
			}
		}
	}
	for _, name := range want {
		if !made[name] {
			t.Errorf("no program of 1000 makes %s: give it a row in templates", name)
		}
	}
}

func TestSeeds(t *testing.T) {
	a, b := Threads(1, 2).Text(), Threads(1, 2).Text()
	if a != b {
		t.Error("the same seed and number give another program")
	}
	for _, other := range []string{Threads(1, 3).Text(), Threads(2, 2).Text()} {
		if a == other {
			t.Error("another seed or number gives the same program")
		}
	}
}

// TestForms: each program stays itself in its text form, and has room in memory.
func TestForms(t *testing.T) {
	for episode := range uint64(200) {
		p := Threads(3, episode)
		q, err := program.Parse(p.Text())
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(q.Encode(), p.Encode()) {
			t.Fatalf("program %d is another after its text form", episode)
		}
		if n := len(p.Encode()); n > 1<<20 {
			t.Errorf("program %d has %d bytes", episode, n)
		}
		for i, list := range p.Lists {
			if len(list) > program.MaxOps {
				t.Errorf("program %d: list %d has %d operations", episode, i, len(list))
			}
		}
	}
}
