package main

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The image begins like Linux's boot image for RISC-V (Documentation/arch/riscv/boot-image-header.rst), so that boot
// loaders know it; the linker left room for that where the ELF header was. Offsets in bytes, fields little-endian.
const (
	headerCode       = 0  // two instructions: jump to the entry
	headerTextOffset = 8  // u64: load address counted from the start of RAM
	headerImageSize  = 16 // u64: memory the kernel takes, with what has to be zeroed
	headerVersion    = 32 // u32
	headerMagic      = 48 // "RISCV\0\0\0"
	headerMagic2     = 56 // "RSC\x05"
	headerEnd        = 64

	// What follows is neuron's own.
	headerTextEnd   = 64 // u64: end of the text, from the image's start, on a page border
	headerRodataEnd = 72 // u64: end of the read-only data, likewise
	ownHeaderEnd    = 80

	textOffset      = 0x200000 // RAM begins at 0x80000000
	headerVersion02 = 2
)

// maxImage bounds the memory a kernel takes: more is a mistake, and out of reach for its own code.
const maxImage = 512 << 20

const pageSize = 4096

var errLayout = errors.New("unexpected segment layout")

// image is the raw image.
type image struct {
	base   uint64 // virtual address of bytes[0]
	bytes  []byte
	memory uint64 // bytes from base that the kernel uses; those beyond len(bytes) are zero when it starts

	textEnd, rodataEnd uint64 // from base
}

// flatten lays the segments out as they are in memory and puts the boot header where the ELF header was.
func (p *program) flatten() (*image, error) {
	m := &image{base: imageBase}
	var starts []uint64
	rights := []elf.ProgFlag{elf.PF_R | elf.PF_X, elf.PF_R, elf.PF_R | elf.PF_W}
	for _, s := range p.file.Progs {
		if s.Type != elf.PT_LOAD {
			continue
		}
		if s.Vaddr < m.base+m.memory || s.Memsz < s.Filesz || s.Vaddr+s.Memsz-m.base > maxImage {
			return nil, fmt.Errorf("%w: segment at %#x, %#x bytes", errLayout, s.Vaddr, s.Memsz)
		}
		if n := len(starts); n == len(rights) || s.Flags != rights[n] || s.Vaddr%pageSize != 0 {
			return nil, fmt.Errorf("%w: segment at %#x is %v, want text, read-only data and data, on page borders", errLayout, s.Vaddr, s.Flags)
		}
		starts = append(starts, s.Vaddr-m.base)
		data := make([]byte, s.Filesz)
		if _, err := io.ReadFull(s.Open(), data); err != nil {
			return nil, fmt.Errorf("segment at %#x: %w", s.Vaddr, err)
		}
		m.bytes = append(m.bytes, make([]byte, s.Vaddr-m.base-uint64(len(m.bytes)))...)
		m.bytes = append(m.bytes, data...)
		m.memory = s.Vaddr + s.Memsz - m.base
	}
	if len(starts) != len(rights) {
		return nil, fmt.Errorf("%w: %d segments, want %d", errLayout, len(starts), len(rights))
	}
	m.textEnd, m.rodataEnd = starts[1], starts[2]
	header := p.textStart - m.base
	if p.textStart < m.base+ownHeaderEnd || header > uint64(len(m.bytes)) {
		return nil, fmt.Errorf("%w: text at %#x", errLayout, p.textStart)
	}
	if f, ok := p.at(p.file.Entry); !ok || f.name != entryName {
		return nil, fmt.Errorf("the entry point is not %s", entryName)
	}
	return m, m.putHeader(m.bytes[:header], p.file.Entry)
}

// putHeader fills the space before the text.
func (m *image) putHeader(header []byte, entry uint64) error {
	jump, err := farJump(m.base, entry)
	if err != nil {
		return err
	}
	clear(header)
	le := binary.LittleEndian
	le.PutUint32(header[headerCode:], jump[0])
	le.PutUint32(header[headerCode+4:], jump[1])
	le.PutUint64(header[headerTextOffset:], textOffset)
	le.PutUint64(header[headerImageSize:], m.memory)
	le.PutUint32(header[headerVersion:], headerVersion02)
	le.PutUint64(header[headerTextEnd:], m.textEnd)
	le.PutUint64(header[headerRodataEnd:], m.rodataEnd)
	copy(header[headerMagic:], "RISCV")
	copy(header[headerMagic2:], "RSC\x05")
	return nil
}

// patch overwrites the first two instructions of each runtime entry in patches that was linked in with a load of its
// code into x31 and a jump to the kernel's fatal function. It returns how many there were.
func (p *program) patch(m *image, fatal []string) (count int, err error) {
	target, err := p.fatalFunction(fatal)
	if err != nil {
		return 0, err
	}
	for code, names := range patches {
		for _, name := range names {
			for _, f := range p.named("runtime." + name) {
				if room := p.room(f); room < 8 {
					return 0, fmt.Errorf("runtime.%s has only %d bytes, a patch needs 8", name, room)
				}
				jump, err := nearJump(f.start+4, target.start)
				if err != nil {
					return 0, fmt.Errorf("patch of runtime.%s: %w", name, err)
				}
				at := f.start - m.base
				binary.LittleEndian.PutUint32(m.bytes[at:], loadCode(code))
				binary.LittleEndian.PutUint32(m.bytes[at+4:], jump)
				count++
			}
		}
	}
	return count, nil
}

// fatalFunction finds the first of the names. It must be assembly: a Go function would begin by using a stack.
func (p *program) fatalFunction(names []string) (function, error) {
	for _, name := range names {
		if f, ok := p.assembly(name); ok {
			return f, nil
		}
	}
	return function{}, fmt.Errorf("no assembly function %q: define one, and mention it where the linker sees it", names)
}

// room returns the bytes from f's start to the next function's.
func (p *program) room(f function) uint64 {
	for _, g := range p.functions {
		if g.start > f.start {
			return g.start - f.start
		}
	}
	return f.end - f.start
}
