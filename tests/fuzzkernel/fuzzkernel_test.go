package fuzzkernel

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"nexus/tests/fuzzkernel/program"
)

var (
	hunt    = flag.Bool("hunt", false, "run TestHunt: make fuzz-kernel")
	seed    = flag.Int("seed", 1, "TestHunt: the first seed")
	seeds   = flag.Int("seeds", 1, "TestHunt: how many")
	calls   = flag.Int("calls", 50000, "TestHunt: calls of each seed")
	kernel  = flag.String("kernel", "", "another kernel's image")
	shrinks = flag.Duration("shrink", 2*time.Minute, "how long a finding is made shorter")
)

// TestShort is a few thousand calls of fixed seeds.
func TestShort(t *testing.T) {
	m := newMachine(t, *kernel)
	o := m.boot(t, "fuzz.seed=1 fuzz.seeds=4 fuzz.calls=10000", nil)
	m.report(t, o, nil, time.Minute)
	if len(o.findings) == 0 && (len(o.seeds) != 4 || o.calls < 4*10000) {
		t.Errorf("%d seeds and %d calls, want 4 and %d", len(o.seeds), o.calls, 4*10000)
	}
}

// TestCases are the programs that once found something.
func TestCases(t *testing.T) {
	m := newMachine(t, *kernel)
	cases := readCases(t)
	if len(cases) == 0 {
		t.Fatal("no cases")
	}
	m.report(t, m.boot(t, "fuzz.cases=3", cases), cases, 0)
}

// TestHunt looks for more: after a finding that ended the machine it goes on with the next seed.
func TestHunt(t *testing.T) {
	if !*hunt {
		t.Skip("-hunt is not given: make fuzz-kernel")
	}
	m := newMachine(t, *kernel)
	began, total, longest := time.Now(), 0, ""
	most := 0
	m.say = func(line string) {
		if f := seedLine.FindStringSubmatch(line); f != nil {
			var n, trap int
			fmt.Sscan(f[1], &n)
			fmt.Sscan(f[2], &trap)
			total += n
			if trap > most {
				most, longest = trap, line[strings.Index(line, "longest"):]
			}
			fmt.Printf("%s; %d calls, %.0f a second\n", line, total, float64(total)/time.Since(began).Seconds())
		} else if strings.Contains(line, "finding") || strings.Contains(line, "fatal") || strings.Contains(line, "cannot go on") {
			fmt.Println(line)
		}
	}
	found := 0
	for next := *seed; next < *seed+*seeds; {
		o := m.boot(t, fmt.Sprintf("fuzz.seed=%d fuzz.seeds=%d fuzz.calls=%d", next, *seed+*seeds-next, *calls), nil)
		m.report(t, o, nil, *shrinks)
		found += len(o.findings)
		next += len(o.seeds)
		if len(o.findings) > 0 && o.last != "" {
			var s int
			fmt.Sscanf(o.last, "%d/", &s)
			next = max(next, s+1)
		}
		if o.last == "" {
			break
		}
	}
	fmt.Printf("fuzz-kernel: %d seeds, %d calls, %d findings, %s\n", *seeds, total, found, longest)
}

// report tells each kind of finding once, with a short program.
func (m *machine) report(t *testing.T, o outcome, cases map[string]string, limit time.Duration) {
	t.Helper()
	var told []string
	for _, f := range o.findings {
		if slices.Contains(told, f.kind) || strings.HasPrefix(f.kind, "free-pages: N") && len(told) > 0 {
			continue // a page more or less is part of most others
		}
		told = append(told, f.kind)
		p, err := programOf(f.run, cases)
		if err != nil || limit == 0 || strings.Contains(f.what, program.Wrongs[program.Unexpected]) { // which a shorter one might give by right
			t.Errorf("%s: %s", f.run, f.what)
			continue
		}
		short, ok := m.shrink(t, p, f.kind, limit)
		if !ok {
			t.Errorf("%s: %s\n(not with this program alone)", f.run, f.what)
			continue
		}
		t.Errorf("%s: %s\n# %s, of %s\n%s", f.run, f.what, f.what, f.run, short.Text())
	}
}
