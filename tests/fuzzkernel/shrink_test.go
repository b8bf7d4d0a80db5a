package fuzzkernel

import (
	"fmt"
	"testing"
	"time"

	"nexus/tests/fuzzkernel/program"
)

// shrink makes a program shorter while a boot of it finds the same, until nothing more can be left out or the time is over. A
// program that does not find it at once is run several times. ok is false if it never does: then it takes what ran before it.
//
// A boot tries many candidates, one after the other; the first that finds it is the next program.
func (m *machine) shrink(t testing.TB, p *program.Program, kind string, limit time.Duration) (short *program.Program, ok bool) {
	t.Helper()
	quick := *m
	quick.say = nil
	end := time.Now().Add(limit)
	began := time.Now()
	times := 1
	for ; quick.first(t, []*program.Program{p, p}, kind, times) < 0; times *= 8 {
		if times > 64 || time.Now().After(end) {
			return p, false
		}
	}
	quick.quiet = min(m.quiet, 10*time.Second+4*time.Since(began))
	for changed := true; changed; {
		changed = false
		for _, pass := range passes {
			for at := 0; time.Now().Before(end); {
				candidates := pass(p)
				if at >= len(candidates) {
					break
				}
				candidates = candidates[at:min(len(candidates), at+max(1, perBoot/times))]
				i := quick.first(t, candidates, kind, times)
				if i < 0 {
					at += len(candidates)
					continue
				}
				p, changed = candidates[i], true
				at += i // those before it are needed
			}
		}
	}
	p.Data = p.Used()
	return p, true
}

// perBoot is how many candidates one boot tries.
const perBoot = 60

// first boots candidates, each several times, and returns the first that finds kind, or -1.
func (m *machine) first(t testing.TB, candidates []*program.Program, kind string, times int) int {
	t.Helper()
	cases := make(map[string]string)
	for i, p := range candidates {
		q := p.Clone()
		q.Data = q.Used()
		cases[fmt.Sprintf("%04d", i)] = q.Text()
	}
	best := -1
	for _, f := range m.boot(t, fmt.Sprintf("fuzz.cases=%d", times), cases).findings {
		var i int
		if _, err := fmt.Sscanf(f.run, "%d", &i); err == nil && f.kind == kind && (best < 0 || i < best) {
			best = i
		}
	}
	return best
}

// passes make candidates out of a program, each with less in it.
var passes = []func(*program.Program) []*program.Program{
	withoutLists, once, func(p *program.Program) []*program.Program { return without(p, 16) },
	func(p *program.Program) []*program.Program { return without(p, 4) },
	func(p *program.Program) []*program.Program { return without(p, 1) },
}

func withoutLists(p *program.Program) (all []*program.Program) {
	for i := range p.Lists {
		if len(p.Lists[i]) > 0 {
			q := p.Clone()
			q.Lists[i] = nil
			all = append(all, q)
		}
	}
	return all
}

// once runs lists only once.
func once(p *program.Program) (all []*program.Program) {
	for i, n := range p.Rounds {
		if n > 1 {
			q := p.Clone()
			q.Rounds[i] = 1
			all = append(all, q)
		}
	}
	return all
}

// without leaves out n operations beside each other.
func without(p *program.Program, n int) (all []*program.Program) {
	for i, list := range p.Lists {
		for at := 0; at < len(list); at += n {
			q := p.Clone()
			q.Lists[i] = append(q.Lists[i][:at], q.Lists[i][min(len(list), at+n):]...)
			all = append(all, q)
		}
	}
	return all
}
