// Package elf checks riscv64 executables and says how to load them: static, not position independent (ET_EXEC), as
// `go build` makes them with CGO_ENABLED=0. System V gABI chapters 4 and 5; RISC-V ELF psABI.
//
// Parse checks everything a loader relies on, so that loading cannot go wrong afterwards: segments lie in the file and
// in user space, do not share pages, are never writable and executable at once, and the entry point is in an
// executable one.
package elf

// Bounds.
const (
	MaxHeaders  = 16             // program headers of any kind
	MaxSegments = MaxHeaders     // loadable ones
	MinAddress  = 0x1_0000       // what lies below stays unmapped, so that nil pointers and their offsets fault
	MaxAddress  = 0x3f_ff5f_f000 // what lies above is for the stack and the vDSO
	PageSize    = 4096
)

// ELF header, gABI 4 "ELF Header" (64-bit). All fields are little-endian.
const (
	offIdent     = 0
	offType      = 16 // u16
	offMachine   = 18 // u16
	offVersion   = 20 // u32
	offEntry     = 24 // u64
	offPhdrs     = 32 // u64
	offSize      = 52 // u16
	offPhdrSize  = 54 // u16
	offPhdrCount = 56 // u16
	headerSize   = 64

	ident         = "\x7fELF\x02\x01\x01" // 64-bit, little-endian, version 1
	identClassAt  = 4
	typeExec      = 2
	typeDyn       = 3
	machineRISCV  = 243
	versionOne    = 1
	phdrSize      = 56
	phdrTypeAt    = 0  // u32
	phdrFlagsAt   = 4  // u32
	phdrOffsetAt  = 8  // u64
	phdrAddressAt = 16 // u64
	phdrFileAt    = 32 // u64
	phdrMemoryAt  = 40 // u64

	phdrLoad        = 1
	phdrDynamic     = 2
	phdrInterpreter = 3
)

// Segment permissions, the p_flags bits.
const (
	Execute = 1
	Write   = 2
	Read    = 4
)

// Code says why a file cannot be executed. It is a small integer, because the kernel has no heap for error values.
type Code int

// What Parse can find.
const (
	OK                  Code = iota
	Truncated                // shorter than its headers say
	NotELF                   // no ELF magic
	WrongClass               // not 64-bit little-endian version 1
	WrongMachine             // not RISC-V
	PositionIndependent      // ET_DYN: link with -buildmode=exe
	NotExecutable            // another e_type: object or core file
	BadHeader                // header or program header sizes are not those of ELF64
	TooManyHeaders           // more than MaxHeaders program headers
	Dynamic                  // needs an interpreter or a dynamic linker: build with CGO_ENABLED=0
	NoSegments               // nothing to load
	BadSegment               // file size above memory size, or outside the file
	OutOfRange               // outside MinAddress..MaxAddress
	Misaligned               // address and file offset differ within the page
	Overlap                  // segments share a page or are not in ascending order
	WriteExecute             // a segment both writable and executable
	BadEntry                 // the entry point is in no executable segment, or misaligned
)

// String returns a short description for a log line.
func (c Code) String() string {
	switch c {
	case OK:
		return "ok"
	case Truncated:
		return "truncated"
	case NotELF:
		return "not an ELF file"
	case WrongClass:
		return "not 64-bit little-endian"
	case WrongMachine:
		return "not for RISC-V"
	case PositionIndependent:
		return "position independent"
	case NotExecutable:
		return "not an executable"
	case BadHeader:
		return "bad header"
	case TooManyHeaders:
		return "too many program headers"
	case Dynamic:
		return "dynamically linked"
	case NoSegments:
		return "no segments"
	case BadSegment:
		return "bad segment"
	case OutOfRange:
		return "segment outside user space"
	case Misaligned:
		return "misaligned segment"
	case Overlap:
		return "overlapping segments"
	case WriteExecute:
		return "writable and executable segment"
	case BadEntry:
		return "bad entry point"
	}
	return "unknown"
}

// Segment is a loadable segment: FileSize bytes of the file from Offset appear at Address, followed by zeros up to
// MemorySize. Address and Offset are equal modulo PageSize; MemorySize is not zero.
type Segment struct {
	Address, MemorySize uint64
	Offset, FileSize    uint64
	Flags               uint32 // Read, Write, Execute
}

// Image is what a loader needs to know of an executable.
type Image struct {
	Entry    uint64
	Count    int // segments in use, ascending by address, no two in one page
	Segments [MaxSegments]Segment
	// Phdrs is the address at which the loaded program finds its program headers (AT_PHDR), 0 if no segment holds
	// them; PhdrCount is AT_PHNUM. AT_PHENT is PhdrSize.
	Phdrs     uint64
	PhdrCount int
}

// PhdrSize is the size of a program header in bytes, AT_PHENT.
const PhdrSize = phdrSize

// End returns the first page boundary behind the last segment, where a heap could begin.
func (m *Image) End() uint64 {
	if m.Count == 0 {
		return 0
	}
	s := &m.Segments[m.Count-1]
	return pageUp(s.Address + s.MemorySize)
}

// Parse checks file and fills m. On any code but OK the contents of m mean nothing. Segments of other types than
// PT_LOAD, PT_INTERP and PT_DYNAMIC are ignored: thread-local storage is the program's own business.
func Parse(file []byte, m *Image) Code {
	*m = Image{}
	table, code := parseHeader(file, m)
	if code != OK {
		return code
	}
	for at := 0; at < len(table); at += phdrSize {
		h := table[at : at+phdrSize]
		switch le32(h, phdrTypeAt) {
		case phdrInterpreter, phdrDynamic:
			return Dynamic
		case phdrLoad:
			if code := m.addSegment(file, h); code != OK {
				return code
			}
		}
	}
	if m.Count == 0 {
		return NoSegments
	}
	m.locatePhdrs(le64(file, offPhdrs))
	return m.checkEntry()
}

// parseHeader checks the ELF header, fills Entry and PhdrCount, and returns the program header table.
func parseHeader(file []byte, m *Image) (table []byte, code Code) {
	if len(file) < identClassAt || string(file[:identClassAt]) != ident[:identClassAt] {
		return nil, NotELF
	}
	if len(file) < headerSize {
		return nil, Truncated
	}
	if string(file[offIdent:offIdent+len(ident)]) != ident {
		return nil, WrongClass
	}
	if le16(file, offMachine) != machineRISCV {
		return nil, WrongMachine
	}
	switch le16(file, offType) {
	case typeExec:
	case typeDyn:
		return nil, PositionIndependent
	default:
		return nil, NotExecutable
	}
	if le32(file, offVersion) != versionOne || le16(file, offSize) != headerSize {
		return nil, BadHeader
	}
	count := int(le16(file, offPhdrCount))
	if count == 0 {
		return nil, NoSegments
	}
	if le16(file, offPhdrSize) != phdrSize {
		return nil, BadHeader
	}
	if count > MaxHeaders {
		return nil, TooManyHeaders
	}
	table, ok := slice(file, le64(file, offPhdrs), uint64(count)*phdrSize)
	if !ok {
		return nil, Truncated
	}
	m.Entry = le64(file, offEntry)
	m.PhdrCount = count
	return table, OK
}

// addSegment checks the PT_LOAD header h and appends it. A segment that takes no memory is left out.
func (m *Image) addSegment(file, h []byte) Code {
	s := Segment{
		Address:    le64(h, phdrAddressAt),
		MemorySize: le64(h, phdrMemoryAt),
		Offset:     le64(h, phdrOffsetAt),
		FileSize:   le64(h, phdrFileAt),
		Flags:      le32(h, phdrFlagsAt) & (Read | Write | Execute),
	}
	if s.FileSize > s.MemorySize {
		return BadSegment
	}
	if s.MemorySize == 0 {
		return OK
	}
	if _, ok := slice(file, s.Offset, s.FileSize); !ok {
		return BadSegment
	}
	if s.Address < MinAddress || s.Address >= MaxAddress || s.MemorySize > MaxAddress-s.Address {
		return OutOfRange
	}
	if s.Address%PageSize != s.Offset%PageSize {
		return Misaligned
	}
	if s.Flags&Write != 0 && s.Flags&Execute != 0 {
		return WriteExecute
	}
	if s.Address&^(PageSize-1) < m.End() {
		return Overlap
	}
	m.Segments[m.Count] = s
	m.Count++
	return OK
}

// locatePhdrs finds the segment in which the program header table at file offset offset is loaded.
func (m *Image) locatePhdrs(offset uint64) {
	size := uint64(m.PhdrCount) * phdrSize
	for i := range m.Segments[:m.Count] {
		s := &m.Segments[i]
		if offset >= s.Offset && s.FileSize >= size && offset-s.Offset <= s.FileSize-size {
			m.Phdrs = s.Address + (offset - s.Offset)
			return
		}
	}
}

// checkEntry wants the entry point in the file's part of an executable segment; instructions lie on even addresses.
func (m *Image) checkEntry() Code {
	for i := range m.Segments[:m.Count] {
		s := &m.Segments[i]
		if s.Flags&Execute != 0 && m.Entry >= s.Address && m.Entry-s.Address < s.FileSize && m.Entry%2 == 0 {
			return OK
		}
	}
	return BadEntry
}

// slice returns file[offset:offset+size] if it is there.
func slice(file []byte, offset, size uint64) ([]byte, bool) {
	if offset > uint64(len(file)) || size > uint64(len(file))-offset {
		return nil, false
	}
	return file[offset : offset+size], true
}

func pageUp(a uint64) uint64 { return (a + PageSize - 1) &^ (PageSize - 1) }

func le16(b []byte, at int) uint16 {
	b = b[at : at+2]
	return uint16(b[0]) | uint16(b[1])<<8
}

func le32(b []byte, at int) uint32 {
	b = b[at : at+4]
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}

func le64(b []byte, at int) uint64 { return uint64(le32(b, at)) | uint64(le32(b, at+4))<<32 }
