package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"regexp"
	"strconv"
)

// fatalLine matches the kernel's last words: "neuron: fatal: KIND 0x… 0x… 0x… sp 0x…", in which the KIND says what the
// three numbers are.
var fatalLine = regexp.MustCompile(`neuron: fatal: (\w+) `)

// number matches a hexadecimal number with the label before it, if it has one.
var number = regexp.MustCompile(`(?:\b([a-z][a-z0-9]*)[= ])?0x([0-9a-f]+)`)

// labels names the numbers of each kind: of a trap in the kernel, and of a runtime entry that mkkernel patched. Only one
// of ra and x5 is a return address, depending on the entry.
var labels = map[string][]string{
	"trap":    {"scause", "stval", "sepc"},
	"runtime": {"code", "ra", "x5"},
}

// causes names the exceptions a kernel can cause itself (privileged ISA, scause).
var causes = map[uint64]string{
	0: "instruction address misaligned", 1: "instruction access fault", 2: "illegal instruction", 3: "breakpoint",
	4: "load address misaligned", 5: "load access fault", 6: "store address misaligned", 7: "store access fault",
	12: "instruction page fault", 13: "load page fault", 15: "store page fault",
}

// runSymbolize copies a console's text and adds function and line to the addresses in the kernel's fatal lines.
func runSymbolize(args []string, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("mkkernel symbolize", flag.ContinueOnError)
	name := flags.String("elf", defaultELF, "the ELF file the image was made from")
	if err := flags.Parse(args); err != nil {
		return err
	}
	p, err := load(*name)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if kind := fatalLine.FindStringSubmatch(line); kind != nil {
			line = p.symbolizeLine(line, labels[kind[1]])
		}
		if _, err := fmt.Fprintln(out, line); err != nil {
			return err
		}
	}
	return lines.Err()
}

// symbolizeLine adds to each number of a fatal line what it means. The first ones that bear no label of their own have
// those of the line's kind.
func (p *program) symbolizeLine(line string, names []string) string {
	return number.ReplaceAllStringFunc(line, func(text string) string {
		parts := number.FindStringSubmatch(text)
		v, err := strconv.ParseUint(parts[2], 16, 64)
		if err != nil {
			return text
		}
		label := parts[1]
		if label == "" || fatalKind(label) {
			label = ""
			if len(names) > 0 {
				label, names = names[0], names[1:]
			}
		}
		if meaning := p.meaning(label, v); meaning != "" {
			return text + " (" + meaning + ")"
		}
		return text
	})
}

// fatalKind tells the word that a fatal line's first number follows from a label.
func fatalKind(word string) bool { return labels[word] != nil }

// meaning says what a number is: the cause of a trap, the reason of a patched entry, or function and line of a code
// address. The program counter is exact; any other address is taken for a return address, one instruction behind the
// call that it is about.
func (p *program) meaning(label string, v uint64) string {
	switch label {
	case "scause":
		return causes[v]
	case "code":
		if v < uint64(len(patchText)) {
			return patchText[v]
		}
		return ""
	case "sepc", "pc":
	default:
		v--
	}
	if v < physicalMax {
		v += imageBase - physicalBase // paging was off
	}
	f, ok := p.at(v)
	if !ok {
		return ""
	}
	return f.name + " " + p.position(v)
}
