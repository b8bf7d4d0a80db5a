package main

import (
	"bytes"
	"cmp"
	"debug/elf"
	"debug/gosym"
	"fmt"
	"os"
	"slices"
	"strings"
)

// function is a symbol of the text section.
type function struct {
	name  string // without the linker's .abi0
	start uint64
	end   uint64
}

func newFunction(s elf.Symbol) function {
	return function{name: strings.TrimSuffix(s.Name, ".abi0"), start: s.Value, end: s.Value + s.Size}
}

// program is a linked kernel.
type program struct {
	file      *elf.File
	symbols   []elf.Symbol
	text      []byte
	textStart uint64
	functions []function // ascending by start
	lines     *gosym.Table
}

// load reads the ELF file that link wrote.
func load(name string) (*program, error) {
	raw, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	file, err := elf.NewFile(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	p := &program{file: file}
	if p.symbols, err = file.Symbols(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	text := file.Section(".text")
	table := file.Section(".gopclntab")
	if text == nil || table == nil {
		return nil, fmt.Errorf("%s: no .text or no .gopclntab", name)
	}
	if p.text, err = text.Data(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	p.textStart = text.Addr
	lines, err := table.Data()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if p.lines, err = gosym.NewTable(nil, gosym.NewLineTable(lines, text.Addr)); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	for _, s := range p.symbols {
		if elf.ST_TYPE(s.Info) == elf.STT_FUNC && s.Value >= text.Addr && s.Value < text.Addr+text.Size {
			p.functions = append(p.functions, newFunction(s))
		}
	}
	slices.SortFunc(p.functions, func(a, b function) int { return cmp.Compare(a.start, b.start) })
	if len(p.functions) == 0 {
		return nil, fmt.Errorf("%s: no function symbols", name)
	}
	return p, nil
}

// at returns the function that address lies in.
func (p *program) at(address uint64) (function, bool) {
	i, exact := slices.BinarySearchFunc(p.functions, address, func(f function, a uint64) int { return cmp.Compare(f.start, a) })
	if !exact {
		i--
	}
	if i < 0 || address >= p.functions[i].end {
		return function{}, false
	}
	return p.functions[i], true
}

// named returns the assembly or Go functions of that name: one for each calling convention in use.
func (p *program) named(name string) []function {
	var found []function
	for _, f := range p.functions {
		if f.name == name {
			found = append(found, f)
		}
	}
	return found
}

// assembly returns the function of that name that is written in assembly, not a wrapper that lets Go call it.
func (p *program) assembly(name string) (function, bool) {
	for _, f := range p.named(name) {
		if file, _, _ := p.lines.PCToLine(f.start); strings.HasSuffix(file, ".s") {
			return f, true
		}
	}
	return function{}, false
}

// code returns a function's instructions.
func (p *program) code(f function) []byte { return p.text[f.start-p.textStart : f.end-p.textStart] }

// position returns file:line of an address.
func (p *program) position(address uint64) string {
	file, line, f := p.lines.PCToLine(address)
	if f == nil {
		return fmt.Sprintf("%#x", address)
	}
	return fmt.Sprintf("%s:%d", file, line)
}
