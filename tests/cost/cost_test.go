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
