package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// fatalMark begins the kernel's last lines on the console.
const fatalMark = "neuron: fatal"

// number matches what the kernel prints in such lines: a hexadecimal number, maybe with a label that says what it is.
var number = regexp.MustCompile(`(?:([a-z0-9]+)[= ])?0x([0-9a-f]+)`)

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
		if strings.Contains(line, fatalMark) {
			line = number.ReplaceAllStringFunc(line, p.symbolize)
		}
		if _, err := fmt.Fprintln(out, line); err != nil {
			return err
		}
	}
	return lines.Err()
}

// symbolize appends to "label=0x…" what is there: function and line of a code address, or the meaning of a patch code.
// Program counters (pc=, sepc=) are exact; any other address is taken for a return address, one instruction behind
// the call it is about.
func (p *program) symbolize(text string) string {
	parts := number.FindStringSubmatch(text)
	v, err := strconv.ParseUint(parts[2], 16, 64)
	if err != nil {
		return text
	}
	if parts[1] == "code" {
		if v < uint64(len(patchText)) && patchText[v] != "" {
			return text + " (" + patchText[v] + ")"
		}
		return text
	}
	if parts[1] != "pc" && parts[1] != "sepc" {
		v--
	}
	if v < physicalMax {
		v += imageBase - physicalBase // paging was off
	}
	f, ok := p.at(v)
	if !ok {
		return text
	}
	return fmt.Sprintf("%s (%s %s)", text, f.name, p.position(v))
}
