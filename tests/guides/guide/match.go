package guide

import (
	"slices"
	"strings"
)

// gap stands for what a guide does not state.
const gap = "…"

// slow begins a line that nx prints only where a boot takes long.
const slow = "nexus: waiting for "

// Match compares what a command printed with what a guide says. ok reports that they agree; else want is the first stated
// line, and got the printed one in its place, at which they part; either is empty at an end. Lines that tell of a slow machine
// do not count.
func Match(got, want []string) (gotLine, wantLine string, ok bool) {
	got = slices.DeleteFunc(slices.Clone(got), func(line string) bool { return strings.HasPrefix(line, slow) })
	// reach[i] is whether got[:i] can be what the lines of want so far stand for.
	reach := make([]bool, len(got)+1)
	reach[0] = true
	for _, line := range want {
		furthest := last(reach)
		next := make([]bool, len(got)+1)
		for i, here := range reach {
			switch {
			case line == gap:
				next[i] = here || i > 0 && next[i-1]
			case here && i < len(got) && matchLine(got[i], line):
				next[i+1] = true
			}
		}
		if reach = next; !slices.Contains(reach, true) {
			return at(got, furthest), line, false
		}
	}
	if reach[len(got)] {
		return "", "", true
	}
	return at(got, last(reach)), "", false
}

// last is the greatest index that is true.
func last(reach []bool) int {
	for i := len(reach) - 1; i > 0; i-- {
		if reach[i] {
			return i
		}
	}
	return 0
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return ""
}

// matchLine reports whether got is what want stands for.
func matchLine(got, want string) bool {
	parts := strings.Split(want, gap)
	if len(parts) == 1 {
		return got == want
	}
	got, begins := strings.CutPrefix(got, parts[0])
	if !begins {
		return false
	}
	for _, part := range parts[1 : len(parts)-1] {
		_, rest, found := strings.Cut(got, part)
		if !found {
			return false
		}
		got = rest
	}
	return strings.HasSuffix(got, parts[len(parts)-1])
}
