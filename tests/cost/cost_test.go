// Package cost measures system calls in instructions: the machine counts them (-icount), so a figure is the same at every run and on
// every host. `go test ./tests/cost -v` prints them.
package cost

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"nexus/tests/abi/guest"
	"nexus/tools/mkarchive/newc"
)

// longestTrap is the most instructions that the kernel may keep the hart.
const longestTrap = 1_000_000

// costs is what a call has cost, its way through the Go program included (Go 1.26); another compiler makes a few per cent of difference.
var costs = map[string]int{
	"getppid":                            408,
	"write and read of a pipe, 64 bytes": 2255,
	"a byte to another thread and back":  5960,
	"epoll_pwait, nothing ready":         533,
	"pwrite of a memfd, 64 bytes":        1122,
	"mmap, touch and munmap of a page":   3380,
	"futex wake, nobody waits":           629,
	"nanosleep of nothing":               966,
}

func TestCost(t *testing.T) {
	guest.Need(t)
	r := guest.Machine{
		Files:   []newc.File{guest.Program(t, "./tests/cost/measure", "init")},
		Counted: true, Timeout: time.Minute,
	}.Boot(t, guest.Kernel(t))
	if r.Status != 0 {
		t.Fatalf("status %d, %v", r.Status, guest.Tail(r.Lines, 5))
	}
	for _, line := range r.After("cost: ") {
		t.Log(line)
		name, n, _ := strings.Cut(line, ": ")
		if got, err := strconv.Atoi(n); err != nil || costs[name] == 0 || got > costs[name]*11/10 {
			t.Errorf("%s costs %s instructions, has cost %d", name, n, costs[name])
		}
		delete(costs, name)
	}
	for name := range costs {
		t.Errorf("%s was not measured", name)
	}
	traps := r.After("trap: ")
	if len(traps) == 0 {
		t.Error("no trap was measured")
	}
	for _, line := range traps {
		t.Log(line)
		name, n, _ := strings.Cut(line, ": ")
		if instructions, err := strconv.Atoi(n); err != nil || instructions <= 0 || instructions > longestTrap {
			t.Errorf("%s kept the hart for %s instructions, at most %d are allowed", name, n, longestTrap)
		}
	}
}
