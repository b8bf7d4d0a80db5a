package elf

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// executable returns a small valid file: text at 0x10000 with the headers in it, data with zeros behind at 0x20000.
func executable() []byte { return assemble(defaultHeader(), defaultPrograms()) }

func defaultHeader() elf.Header64 {
	h := elf.Header64{
		Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_RISCV), Version: 1, Entry: 0x10800, Phoff: headerSize,
		Ehsize: headerSize, Phentsize: phdrSize,
	}
	copy(h.Ident[:], ident)
	return h
}

func defaultPrograms() []elf.Prog64 {
	return []elf.Prog64{
		{Type: uint32(elf.PT_PHDR), Flags: 4, Off: headerSize, Vaddr: 0x10040},
		{Type: uint32(elf.PT_LOAD), Flags: 5, Off: 0, Vaddr: 0x10000, Filesz: 0x1000, Memsz: 0x1000},
		{Type: uint32(elf.PT_LOAD), Flags: 6, Off: 0x1000, Vaddr: 0x20000, Filesz: 0x800, Memsz: 0x5000},
		{Type: uint32(elf.PT_LOAD), Flags: 4, Off: 0, Vaddr: 0x99},
		{Type: uint32(elf.PT_TLS), Flags: 4, Off: 1 << 60, Filesz: 1 << 60},
		{Type: uint32(elf.PT_GNU_STACK), Flags: 7},
	}
}

func assemble(h elf.Header64, programs []elf.Prog64) []byte {
	if h.Phnum == 0 {
		h.Phnum = uint16(len(programs))
	}
	var out bytes.Buffer
	binary.Write(&out, binary.LittleEndian, h)
	binary.Write(&out, binary.LittleEndian, programs)
	return append(out.Bytes(), make([]byte, 0x1800-out.Len())...)
}

func TestParse(t *testing.T) {
	var m Image
	if code := Parse(executable(), &m); code != OK {
		t.Fatalf("Parse: %v", code)
	}
	want := Image{Entry: 0x10800, Count: 2, Phdrs: 0x10040, PhdrCount: 6}
	want.Segments[0] = Segment{Address: 0x10000, MemorySize: 0x1000, FileSize: 0x1000, Flags: Read | Execute}
	want.Segments[1] = Segment{Address: 0x20000, MemorySize: 0x5000, Offset: 0x1000, FileSize: 0x800, Flags: Read | Write}
	if m != want {
		t.Errorf("got %+v\nwant %+v", m, want)
	}
	if m.End() != 0x25000 {
		t.Errorf("End = %#x", m.End())
	}
	if (&Image{}).End() != 0 {
		t.Error("the end of nothing is not 0")
	}
}

func TestParseRefuses(t *testing.T) {
	header := func(change func(*elf.Header64)) []byte {
		h := defaultHeader()
		change(&h)
		return assemble(h, defaultPrograms())
	}
	program := func(i int, change func(*elf.Prog64)) []byte {
		p := defaultPrograms()
		change(&p[i])
		return assemble(defaultHeader(), p)
	}
	good := executable()
	for _, tc := range []struct {
		name string
		file []byte
		want Code
	}{
		{"empty", nil, NotELF},
		{"script", []byte("#!/bin/sh\n"), NotELF},
		{"magic only", good[:4], Truncated},
		{"header cut", good[:headerSize-1], Truncated},
		{"program headers cut", good[:headerSize+phdrSize], Truncated},
		{"data cut", good[:0x17ff], BadSegment},
		{"32 bit", header(func(h *elf.Header64) { h.Ident[4] = 1 }), WrongClass},
		{"big-endian", header(func(h *elf.Header64) { h.Ident[5] = 2 }), WrongClass},
		{"amd64", header(func(h *elf.Header64) { h.Machine = uint16(elf.EM_X86_64) }), WrongMachine},
		{"static-pie", header(func(h *elf.Header64) { h.Type = uint16(elf.ET_DYN) }), PositionIndependent},
		{"object", header(func(h *elf.Header64) { h.Type = uint16(elf.ET_REL) }), NotExecutable},
		{"version", header(func(h *elf.Header64) { h.Version = 2 }), BadHeader},
		{"header size", header(func(h *elf.Header64) { h.Ehsize = 52 }), BadHeader},
		{"program header size", header(func(h *elf.Header64) { h.Phentsize = 32 }), BadHeader},
		{"program headers beyond", header(func(h *elf.Header64) { h.Phoff = ^uint64(0) }), Truncated},
		{"too many", header(func(h *elf.Header64) { h.Phnum = MaxHeaders + 1 }), TooManyHeaders},
		{"no program headers", assemble(defaultHeader(), nil), NoSegments},
		{"nothing to load", assemble(defaultHeader(), defaultPrograms()[4:]), NoSegments},
		{"interpreter", program(0, func(p *elf.Prog64) { p.Type = uint32(elf.PT_INTERP) }), Dynamic},
		{"dynamic", program(0, func(p *elf.Prog64) { p.Type = uint32(elf.PT_DYNAMIC) }), Dynamic},
		{"file size above memory size", program(2, func(p *elf.Prog64) { p.Filesz = 0x5001 }), BadSegment},
		{"file part beyond", program(2, func(p *elf.Prog64) { p.Off = 0x2000 }), BadSegment},
		{"file part wraps", program(2, func(p *elf.Prog64) { p.Off = ^uint64(0xfff) }), BadSegment},
		{"page 0", program(1, func(p *elf.Prog64) { p.Vaddr = 0 }), OutOfRange},
		{"in the kernel", program(2, func(p *elf.Prog64) { p.Vaddr = 0xffff_ffc0_8020_0000 }), OutOfRange},
		{"across the end", program(2, func(p *elf.Prog64) { p.Vaddr = MaxAddress - 0x1000 }), OutOfRange},
		{"memory wraps", program(2, func(p *elf.Prog64) { p.Memsz = ^uint64(0) }), OutOfRange},
		{"misaligned", program(2, func(p *elf.Prog64) { p.Vaddr++ }), Misaligned},
		{"writable text", program(1, func(p *elf.Prog64) { p.Flags = 7 }), WriteExecute},
		{"executable data", program(2, func(p *elf.Prog64) { p.Flags = 3 }), WriteExecute},
		{"same page", program(2, func(p *elf.Prog64) { p.Vaddr = 0x10000 }), Overlap},
		{"descending", program(1, func(p *elf.Prog64) { p.Vaddr = 0x30000 }), Overlap},
		{"below all programs", program(1, func(p *elf.Prog64) { p.Vaddr = MinAddress - PageSize }), OutOfRange},
		{"entry in data", header(func(h *elf.Header64) { h.Entry = 0x20000 }), BadEntry},
		{"entry nowhere", header(func(h *elf.Header64) { h.Entry = 0 }), BadEntry},
		{"entry behind text", header(func(h *elf.Header64) { h.Entry = 0x11000 }), BadEntry},
		{"odd entry", header(func(h *elf.Header64) { h.Entry = 0x10801 }), BadEntry},
	} {
		var m Image
		if got := Parse(tc.file, &m); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

// TestJustAllowed has files at the bounds, from their right side.
func TestJustAllowed(t *testing.T) {
	for name, change := range map[string]func(h *elf.Header64, p []elf.Prog64) []elf.Prog64{
		"as many program headers as there may be": func(h *elf.Header64, p []elf.Prog64) []elf.Prog64 {
			return append(p, make([]elf.Prog64, MaxHeaders-len(p))...)
		},
		"what follows the program headers is none": func(h *elf.Header64, p []elf.Prog64) []elf.Prog64 {
			h.Phnum = uint16(len(p))
			return append(p, elf.Prog64{Type: uint32(elf.PT_INTERP)})
		},
		"segments in neighbouring pages": func(h *elf.Header64, p []elf.Prog64) []elf.Prog64 {
			p[2].Vaddr = 0x11000
			return p
		},
		"up to the last address": func(h *elf.Header64, p []elf.Prog64) []elf.Prog64 {
			p[2].Vaddr = MaxAddress - p[2].Memsz
			return p
		},
		"zeros alone, where the file ends": func(h *elf.Header64, p []elf.Prog64) []elf.Prog64 {
			p[2].Off, p[2].Vaddr, p[2].Filesz = 0x1800, 0x20800, 0
			return p
		},
		"entry at the first byte of the text": func(h *elf.Header64, p []elf.Prog64) []elf.Prog64 {
			h.Entry = 0x10000
			return p
		},
		"entry at its last instruction": func(h *elf.Header64, p []elf.Prog64) []elf.Prog64 {
			h.Entry = 0x10ffe
			return p
		},
	} {
		h := defaultHeader()
		p := change(&h, defaultPrograms())
		var m Image
		if code := Parse(assemble(h, p), &m); code != OK || m.Count != 2 {
			t.Errorf("%s: %v, %d segments, want ok, 2", name, code, m.Count)
		}
	}
}

// TestHeaderAlone: a file is not cut for want of program headers that it does not claim.
func TestHeaderAlone(t *testing.T) {
	h := defaultHeader()
	var out bytes.Buffer
	binary.Write(&out, binary.LittleEndian, h)
	var m Image
	if code := Parse(out.Bytes(), &m); code != NoSegments {
		t.Errorf("%v, want %v", code, NoSegments)
	}
}

// TestWhereHeadersLie: AT_PHDR is the address of the program headers in the segment that holds all of them, 0 if none does.
func TestWhereHeadersLie(t *testing.T) {
	const table = 6 * phdrSize
	for _, tt := range []struct {
		name               string
		offset             uint64
		address, off, size uint64 // of the first segment
		want               uint64
	}{
		{"inside", headerSize, 0x10000, 0, 0x1000, 0x10040},
		{"inside, behind other parts of the file", 0x1200, 0x10100, 0x1100, 0x700, 0x10200},
		{"at the begin", headerSize, 0x10040, headerSize, 0x900, 0x10040},
		{"at the end", headerSize, 0x10000, 0, headerSize + table, 0x10040},
		{"alone", headerSize, 0x10040, headerSize, table, 0x10040},
		{"cut at the end", headerSize, 0x10000, 0, headerSize + table - 1, 0},
		{"cut at the begin", headerSize, 0x10041, headerSize + 1, 0x900, 0},
		{"before all segments", headerSize, 0x10000, 0x1000, 0x800, 0},
		{"behind all segments", 0x1200, 0x10000, 0, 0x1000, 0},
		{"where a segment ends", 0x1000, 0x10000, 0, 0x1000, 0},
	} {
		h, p := defaultHeader(), defaultPrograms()
		h.Phoff, h.Entry = tt.offset, (tt.address+1)&^1
		p[1].Vaddr, p[1].Off, p[1].Filesz, p[1].Memsz = tt.address, tt.off, tt.size, tt.size
		p[2].Off, p[2].Filesz = 0, 0
		file := assemble(h, nil)
		binary.Encode(file[h.Phoff:], binary.LittleEndian, p)
		binary.LittleEndian.PutUint16(file[offPhdrCount:], uint16(len(p)))
		var m Image
		if code := Parse(file, &m); code != OK || m.Phdrs != tt.want {
			t.Errorf("%s: %v, program headers at %#x, want %#x", tt.name, code, m.Phdrs, tt.want)
		}
	}
}

// TestGoProgram parses what the toolchain makes, and compares with debug/elf.
func TestGoProgram(t *testing.T) {
	directory := t.TempDir()
	source := filepath.Join(directory, "main.go")
	if err := os.WriteFile(source, []byte("package main\nfunc main() { println(1) }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(directory, "program")
	build := exec.Command("go", "build", "-o", program, source)
	build.Env = append(os.Environ(), "GOOS=linux", "GOARCH=riscv64", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	raw, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	var m Image
	if code := Parse(raw, &m); code != OK {
		t.Fatalf("Parse: %v", code)
	}
	f, err := elf.NewFile(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	if m.Entry != f.Entry {
		t.Errorf("entry %#x, want %#x", m.Entry, f.Entry)
	}
	i := 0
	for _, p := range f.Progs {
		if p.Type == elf.PT_PHDR && m.Phdrs != p.Vaddr {
			t.Errorf("program headers at %#x, want %#x", m.Phdrs, p.Vaddr)
		}
		if p.Type != elf.PT_LOAD {
			continue
		}
		want := Segment{p.Vaddr, p.Memsz, p.Off, p.Filesz, uint32(p.Flags)}
		if i >= m.Count || m.Segments[i] != want {
			t.Fatalf("segment %d: %+v, want %+v", i, m.Segments[i], want)
		}
		i++
	}
	if i != m.Count {
		t.Errorf("%d segments, want %d", m.Count, i)
	}
}

func TestNoAllocation(t *testing.T) {
	file := executable()
	var m Image
	if got := testing.AllocsPerRun(10, func() { Parse(file, &m) }); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(executable())
	f.Fuzz(func(t *testing.T, file []byte) {
		var m Image
		if Parse(file, &m) != OK {
			return
		}
		end := uint64(MinAddress)
		for _, s := range m.Segments[:m.Count] {
			if s.Address&^(PageSize-1) < end || s.MemorySize == 0 || s.FileSize > s.MemorySize || s.Address%PageSize != s.Offset%PageSize {
				t.Fatalf("%+v", m)
			}
			if end = s.Address + s.MemorySize; end > MaxAddress || s.Offset+s.FileSize > uint64(len(file)) || s.Flags&3 == 3 {
				t.Fatalf("%+v", m)
			}
			end = pageUp(end)
		}
	})
}
