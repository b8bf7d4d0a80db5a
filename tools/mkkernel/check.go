package main

import (
	"debug/elf"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// maxProblems bounds how many violations one run reports.
const maxProblems = 20

// check proves what the kernel must keep to, as far as machine code shows it, and returns the number of functions it
// looked at:
//   - no package of the kernel has an initialiser;
//   - every function of the kernel's packages, and whatever those reach by direct calls, calls only the kernel, type
//     comparisons that the compiler made, math/bits, and the runtime functions in callable;
//   - none of the kernel's own functions uses a floating-point register, except those in float.
//
// Calls through pointers are not followed: only functions of the kernel have their address taken there, since it
// imports nothing else, and all of those are checked.
func (p *program) check(packages, float []string) (checked int, err error) {
	c := checker{program: p, float: float, kernel: map[string]bool{"main": true}, seen: make(map[uint64]bool)}
	for _, name := range packages[:len(packages)-1] {
		c.kernel[symbolPath(name)] = true
	}
	c.initialisers()
	for _, f := range p.functions {
		if c.kernel[packageOf(f.name)] {
			c.visit(f)
		}
	}
	for len(c.queue) > 0 {
		next := c.queue[len(c.queue)-1]
		c.queue = c.queue[:len(c.queue)-1]
		c.scan(next)
	}
	if len(c.problems) > maxProblems {
		c.problems = append(c.problems[:maxProblems], fmt.Errorf("and %d more", len(c.problems)-maxProblems))
	}
	return len(c.seen), errors.Join(c.problems...)
}

type checker struct {
	*program
	kernel   map[string]bool // packages, as symbols write them
	float    []string
	seen     map[uint64]bool // by start address
	queue    []function
	problems []error
}

func (c *checker) problem(format string, args ...any) {
	c.problems = append(c.problems, fmt.Errorf(format, args...))
}

// initialiser matches what the compiler calls package initialisers, behind the package's name: X.init, X.init.0,
// X..inittask, X.map.init.0.
var initialiser = regexp.MustCompile(`^\.(init(\.\d+)?|\.inittask|map\.init\.\d+)$`)

func (c *checker) initialisers() {
	for _, s := range c.symbols {
		name := strings.TrimSuffix(s.Name, ".abi0")
		pkg := packageOf(name)
		if !c.kernel[pkg] || !initialiser.MatchString(name[len(pkg):]) {
			continue
		}
		where := ""
		if elf.ST_TYPE(s.Info) == elf.STT_FUNC {
			where = " (" + c.position(s.Value) + ")"
		}
		c.problem("package %s has an initialiser, and nobody would run it: %s%s", pkg, name, where)
	}
}

// visit queues a function for scanning once.
func (c *checker) visit(f function) {
	if !c.seen[f.start] {
		c.seen[f.start] = true
		c.queue = append(c.queue, f)
	}
}

// scan looks at each instruction of f.
func (c *checker) scan(f function) {
	own := c.kernel[packageOf(f.name)]
	code := c.code(f)
	var before instruction
	for at := uint64(0); at < uint64(len(code)); {
		i, err := decode(code[at:])
		pc := f.start + at
		if err != nil {
			c.problem("%s (%s): %v", f.name, c.position(pc), err)
			return
		}
		if i.float && own && !slices.Contains(c.float, f.name) {
			c.problem("%s uses a floating-point register (%s)", f.name, c.position(pc))
		}
		switch {
		case i.jumps:
			c.edge(f, pc, pc+uint64(i.offset))
		case i.op == opJALR && before.op == opAUIPC && before.rd == i.rs1:
			c.edge(f, pc, pc-before.size+uint64(before.offset)+uint64(i.offset))
		}
		before = i
		at += i.size
	}
}

// edge judges a jump or call from f at pc to target.
func (c *checker) edge(f function, pc, target uint64) {
	if target >= f.start && target < f.end {
		return
	}
	to, ok := c.at(target)
	if !ok {
		c.problem("%s jumps to %#x, which is no function (%s)", f.name, target, c.position(pc))
		return
	}
	switch {
	case c.kernel[packageOf(to.name)]:
		c.visit(to)
	case !reachable(to.name):
		c.problem("%s calls %s (%s)", f.name, to.name, c.position(pc))
	case !patched[to.name]:
		c.visit(to)
	}
}

// trampoline matches the linker's extension of a call's reach.
var trampoline = regexp.MustCompile(`-tramp\d+$`)

// reachable tells what code of others a kernel may run.
func reachable(name string) bool {
	return callable[name] || strings.HasPrefix(name, "type:.eq.") || strings.HasPrefix(name, "math/bits.") || trampoline.MatchString(name)
}

// packageOf returns the package a symbol belongs to, as symbols write it: what precedes the first dot behind the last
// slash, type arguments aside.
func packageOf(symbol string) string {
	if i := strings.IndexAny(symbol, "[({"); i >= 0 {
		symbol = symbol[:i]
	}
	slash := strings.LastIndexByte(symbol, '/') + 1
	if dot := strings.IndexByte(symbol[slash:], '.'); dot >= 0 {
		return symbol[:slash+dot]
	}
	return ""
}

// symbolPath returns an import path as symbols write it: dots in its last element are escaped.
func symbolPath(path string) string {
	slash := strings.LastIndexByte(path, '/') + 1
	return path[:slash] + strings.ReplaceAll(path[slash:], ".", "%2e")
}
