// Package fdt reads a flattened device tree (Devicetree Specification v0.4, chapter 5) in place.
//
// Open checks the whole blob once: header, block bounds, every token, name, property length and string offset, and
// the nesting depth. What the accessors return after that are views into the blob; they allocate nothing and cannot
// fail for any reason but "not there". The blob comes from firmware or an operator and is not trusted.
//
// The package is restricted Go (no heap, no initialisers, no imports), so that the kernel and ordinary programs read
// the tree with the same code. The blob must not change while a Tree is in use, but by Node.Erase.
package fdt

// MaxDepth bounds how deeply nodes may nest; the root is at depth 1. QEMU's virt machine needs 5.
const MaxDepth = 16

// MaxSize bounds totalsize: a larger blob is refused. Firmware keeps its trees within 64 KiB.
const MaxSize = 2 << 20

// Header layout, §5.2. Every field is a big-endian u32.
const (
	offMagic         = 0
	offTotalSize     = 4
	offStructOffset  = 8
	offStringsOffset = 12
	offReserveOffset = 16
	offVersion       = 20
	offLastCompat    = 24
	offBootHart      = 28
	offStringsSize   = 32
	offStructSize    = 36
	headerSize       = 40

	magic          = 0xd00dfeed
	needVersion    = 17 // first version with size_dt_struct
	maxLastCompat  = 16 // §5.2: a version 17 tree is readable as version 16
	reservedStride = 16 // §5.3.2: u64 address, u64 size
)

// Code says what is wrong with a blob. It is a small integer, because the kernel has no heap for error values.
type Code int

// What Open can find.
const (
	OK              Code = iota
	Short                // fewer bytes than a header or than totalsize
	BadMagic             // the first word is not 0xd00dfeed
	BadVersion           // version below 17, or not readable as version 16
	BadLayout            // a block lies outside the blob, overlaps the header or is misaligned
	BadReservations      // the memory reservation block has no terminator
	BadToken             // an unknown token, or one in the wrong place
	BadName              // a node name without end, or with a '/' or a control character in it
	BadProperty          // a property's value or name lies outside its block
	TooDeep              // nodes nest deeper than MaxDepth
	Unfinished           // the structure block ends before FDT_END
)

// String returns a short description for a log line.
func (c Code) String() string {
	switch c {
	case OK:
		return "ok"
	case Short:
		return "truncated"
	case BadMagic:
		return "bad magic"
	case BadVersion:
		return "unsupported version"
	case BadLayout:
		return "block outside the blob"
	case BadReservations:
		return "unterminated reservation block"
	case BadToken:
		return "unexpected token"
	case BadName:
		return "bad node name"
	case BadProperty:
		return "property outside its block"
	case TooDeep:
		return "nested too deeply"
	case Unfinished:
		return "structure block without end"
	}
	return "unknown"
}

// Tree is a checked blob. The zero value is an empty tree in which nothing is found.
type Tree struct {
	blob         []byte // exactly totalsize bytes
	structure    []byte // structure block
	strings      []byte // strings block
	reservations []byte // reservation block, without its terminator
	bootHart     uint32
}

// Open checks blob and makes t a view of it. On any code but OK t is left empty. Bytes beyond totalsize are ignored.
func (t *Tree) Open(blob []byte) Code {
	*t = Tree{}
	if len(blob) < headerSize {
		return Short
	}
	if be32(blob, offMagic) != magic {
		return BadMagic
	}
	total := uint64(be32(blob, offTotalSize))
	if total > uint64(len(blob)) || total < headerSize {
		return Short
	}
	if total > MaxSize {
		return BadLayout
	}
	blob = blob[:total:total]
	if be32(blob, offVersion) < needVersion || be32(blob, offLastCompat) > maxLastCompat {
		return BadVersion
	}

	structure, ok := block(blob, be32(blob, offStructOffset), be32(blob, offStructSize), 4)
	if !ok {
		return BadLayout
	}
	strings, ok := block(blob, be32(blob, offStringsOffset), be32(blob, offStringsSize), 1)
	if !ok {
		return BadLayout
	}
	reserveOffset := be32(blob, offReserveOffset)
	if reserveOffset < headerSize || reserveOffset%8 != 0 || uint64(reserveOffset) > total {
		return BadLayout
	}
	reservations, ok := reservationBlock(blob[reserveOffset:])
	if !ok {
		return BadReservations
	}
	if code := check(structure, strings); code != OK {
		return code
	}

	t.blob = blob
	t.structure = structure
	t.strings = strings
	t.reservations = reservations
	t.bootHart = be32(blob, offBootHart)
	return OK
}

// block returns blob[offset:offset+size] if it lies behind the header and inside the blob.
func block(blob []byte, offset, size, align uint32) ([]byte, bool) {
	end := uint64(offset) + uint64(size)
	if offset < headerSize || offset%align != 0 || end > uint64(len(blob)) {
		return nil, false
	}
	return blob[offset:end:end], true
}

// reservationBlock returns the entries before the terminating pair of zeros.
func reservationBlock(b []byte) ([]byte, bool) {
	for at := 0; at+reservedStride <= len(b); at += reservedStride {
		if be64(b, at) == 0 && be64(b, at+8) == 0 {
			return b[:at:at], true
		}
	}
	return nil, false
}

// Bytes returns the whole blob, totalsize bytes.
func (t *Tree) Bytes() []byte { return t.blob }

// BootHart returns boot_cpuid_phys, the id of the hart that firmware boots on.
func (t *Tree) BootHart() uint32 { return t.bootHart }

// Range is a piece of an address space, in bytes.
type Range struct {
	Address, Size uint64
}

// Reservation returns entry i of the memory reservation block (§5.3): memory that must be left alone.
func (t *Tree) Reservation(i int) (Range, bool) {
	if i < 0 || i >= len(t.reservations)/reservedStride {
		return Range{}, false
	}
	at := i * reservedStride
	return Range{be64(t.reservations, at), be64(t.reservations, at+8)}, true
}

func be32(b []byte, at int) uint32 {
	b = b[at : at+4]
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

func be64(b []byte, at int) uint64 {
	return uint64(be32(b, at))<<32 | uint64(be32(b, at+4))
}
