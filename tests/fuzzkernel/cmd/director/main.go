// Director is process 1 of a fuzzed kernel: it runs programs of calls in child processes, one after the other, and looks after
// each whether everything is as it was before. What it wants is on the kernel command line:
//
//	fuzz.seed=N fuzz.seeds=N fuzz.calls=N  programs of that many seeds, about that many calls each
//	fuzz.only=A,B,C                        of each seed only these programs
//	fuzz.alone=1                           programs of one thread; tell their results
//	fuzz.verbose=1                         say how each program ended; 2: and what each operation gave
//	fuzz.cases=N                           each file of /cases, N times
//
// With the argument beside, which these follow, it is a service of the whole system instead, without a right, and serves on when it is
// done.
//
// It prints "fuzz: run NAME" before each program and "fuzz: finding NAME: WHAT" for what should not be.
package main

import (
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"nexus/source/libs/svc"
	"nexus/tests/fuzzkernel/generate"
	"nexus/tests/fuzzkernel/program"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "canary" {
		canary()
	}
	debug.SetGCPercent(400)
	plain, line := len(os.Args) > 1 && os.Args[1] == "beside", os.Getenv("NEXUS_CMDLINE")
	if plain {
		line = strings.Join(os.Args[2:], " ")
	}
	s := settings(line)
	d := newDirector(plain)
	d.verbose = s.number("fuzz.verbose", 0)
	d.alone = s.number("fuzz.alone", 0) > 0
	d.run("nothing", new(program.Program))
	if plain {
		ready()
	}
	if n := s.number("fuzz.cases", 0); n > 0 {
		d.cases(n)
	} else {
		d.seeds(s)
	}
	d.finish()
}

// options are the settings of the command line.
type options map[string]string

func settings(line string) options {
	o := make(options)
	for _, word := range strings.Fields(line) {
		if name, value, ok := strings.Cut(word, "="); ok {
			o[name] = value
		}
	}
	return o
}

func (o options) number(name string, otherwise int) int {
	if n, err := strconv.Atoi(o[name]); err == nil {
		return n
	}
	return otherwise
}

// ready tells nexus-init.
func ready() {
	s, err := svc.Open()
	if err == nil {
		err = s.Ready()
	}
	if err != nil {
		fail("service", err)
	}
}

// mostRounds keeps a program beside the system from taking more of what all need than there is.
const mostRounds = 2

func (d *director) modest(p *program.Program) *program.Program {
	if d.plain {
		for i := range p.Rounds {
			p.Rounds[i] = min(p.Rounds[i], mostRounds)
		}
	}
	return p
}

func (d *director) seeds(s options) {
	var only []string
	if list := s["fuzz.only"]; list != "" {
		only = strings.Split(list, ",")
	}
	first, limit := s.number("fuzz.seed", 1), uint64(s.number("fuzz.calls", 10000))
	for seed := first; seed < first+s.number("fuzz.seeds", 1); seed++ {
		calls, began := uint64(0), d.ran
		for episode := 0; calls < limit; episode++ {
			if only != nil {
				i := slices.Index(only, strconv.Itoa(episode))
				if i < 0 {
					if episode > 100000 || strconv.Itoa(episode) == only[len(only)-1] {
						break
					}
					continue
				}
			}
			make := generate.Threads
			if d.alone {
				make = generate.Alone
			}
			calls += d.run(fmt.Sprintf("%d/%d", seed, episode), d.modest(make(uint64(seed), uint64(episode))))
			if only != nil && strconv.Itoa(episode) == only[len(only)-1] {
				break
			}
		}
		d.checkAll(fmt.Sprintf("%d", seed))
		fmt.Printf("fuzz: seed %d: programs %d, calls %d, longest trap %d ns by %s\n", seed, d.ran-began, calls, d.longest, d.longestBy)
		d.longest, d.longestBy = 0, ""
	}
}

func (d *director) cases(times int) {
	entries, err := os.ReadDir("/cases")
	if err != nil {
		fail("cases", err)
	}
	for _, e := range entries {
		text, err := os.ReadFile("/cases/" + e.Name())
		if err != nil {
			fail("case", err)
		}
		p, err := program.Parse(string(text))
		if err != nil {
			fail(e.Name(), err)
		}
		for range times {
			d.run(e.Name(), p)
		}
		d.checkAll(e.Name())
	}
}

func fail(what string, err error) {
	fmt.Printf("fuzz: cannot go on: %s: %v\n", what, err)
	os.Exit(1)
}
