// Package archive reads the boot archive: a newc cpio, as mkarchive writes it, parsed in place where the loader put it.
//
// Open checks the whole archive once and fills a fixed index; after that no accessor can fail for any reason but "not
// there". The archive is a tree of regular files and directories and nothing else. Names are relative ("bin/echod"),
// strictly ascending in byte order, and every name's parent directory comes before it; that makes duplicates
// impossible and look-up a binary search.
//
// File data normally begins on a page boundary of the archive, so that its pages can be mapped where they lie. The
// bytes behind a file's end, up to the page's end, are the next header and not zero: a last partial page that must
// read as zeros beyond the file's end has to be copied.
package archive

// Bounds. An archive beyond them is refused.
const (
	MaxEntries = 512     // files and directories together
	MaxPath    = 255     // bytes of a name, without NULs
	MaxSize    = 1 << 30 // bytes of the archive
	PageSize   = 4096

	// A name field is padded with NULs to put the data on a page boundary, so it holds up to a page more than a name.
	maxNameField = PageSize + MaxPath + 1
)

// Layout of a newc header: the magic, then thirteen fields of eight hexadecimal digits. The name follows, then, each
// padded to a multiple of four bytes from the archive's start, the data and the next header.
const (
	headerSize    = 110
	fieldSize     = 8
	offMode       = 6 + 1*fieldSize
	offTime       = 6 + 5*fieldSize
	offFileSize   = 6 + 6*fieldSize
	offNameSize   = 6 + 11*fieldSize
	magicText     = "070701"
	trailerName   = "TRAILER!!!"
	fieldCount    = 13
	rootName      = "." // optional entry for the root, as find . | cpio gives
	modeTypeMask  = 0o170000
	modeDirectory = 0o040000
	modeRegular   = 0o100000
	modeMask      = modeTypeMask | 0o7777
)

// Code says what is wrong with an archive. It is a small integer, because the kernel has no heap for error values.
type Code int

// What Open can find.
const (
	OK        Code = iota
	Truncated      // a header, name or file goes past the archive's end
	BadMagic       // a header does not begin with 070701
	BadField       // a header field is not eight hexadecimal digits
	BadName        // empty, absolute, too long, unterminated, or with an empty, "." or ".." part
	BadMode        // neither a regular file nor a directory, or a directory with data
	Unsorted       // a name is not greater than the one before it
	NoParent       // a name's directory does not come before it
	TooMany        // more than MaxEntries
	TooLarge       // more than MaxSize
	NoTrailer      // the archive ends without TRAILER!!!
)

// String returns a short description for a log line.
func (c Code) String() string {
	switch c {
	case OK:
		return "ok"
	case Truncated:
		return "truncated"
	case BadMagic:
		return "not a newc header"
	case BadField:
		return "bad hexadecimal field"
	case BadName:
		return "bad name"
	case BadMode:
		return "neither file nor directory"
	case Unsorted:
		return "names out of order"
	case NoParent:
		return "directory missing"
	case TooMany:
		return "too many entries"
	case TooLarge:
		return "too large"
	case NoTrailer:
		return "no trailer"
	}
	return "unknown"
}

// record is an index entry; offsets count from the archive's start.
type record struct {
	name, nameLength uint32
	data, size       uint32
	mode, time       uint32
}

// Archive is an opened archive and its index, about 10 KiB. The zero value is an empty root directory.
type Archive struct {
	bytes []byte
	count int
	index [MaxEntries]record
}

// Open checks bytes and indexes them. On any code but OK, a is left empty and at is the offset of the header that was
// refused. Whatever follows the trailer is ignored.
func (a *Archive) Open(bytes []byte) (code Code, at int) {
	a.bytes, a.count = bytes, 0
	if len(bytes) > MaxSize {
		code = TooLarge
	}
	for code == OK {
		if at == len(bytes) {
			code = NoTrailer
			break
		}
		h, c := readHeader(bytes, at)
		if c != OK {
			code = c
			break
		}
		name := bytes[h.name : h.name+h.nameLength]
		if string(name) == trailerName {
			return OK, at
		}
		if code = a.add(h, name); code == OK {
			at = h.next
		}
	}
	a.bytes, a.count = nil, 0
	return code, at
}

// header is one decoded header.
type header struct {
	record
	next int // offset of the header behind the data
}

// readHeader decodes and bounds-checks the header at offset at.
func readHeader(bytes []byte, at int) (header, Code) {
	if at+headerSize > len(bytes) {
		return header{}, Truncated
	}
	raw := bytes[at : at+headerSize]
	if string(raw[:len(magicText)]) != magicText {
		return header{}, BadMagic
	}
	for i := range fieldCount {
		if _, ok := hex(raw, len(magicText)+i*fieldSize); !ok {
			return header{}, BadField
		}
	}
	mode, _ := hex(raw, offMode)
	time, _ := hex(raw, offTime)
	size, _ := hex(raw, offFileSize)
	nameSize, _ := hex(raw, offNameSize)
	if nameSize < 2 || nameSize > maxNameField {
		return header{}, BadName
	}

	name := at + headerSize
	nameEnd := name + int(nameSize)
	if nameEnd > len(bytes) {
		return header{}, Truncated
	}
	length, ok := nameLength(bytes[name:nameEnd])
	if !ok {
		return header{}, BadName
	}
	data := align4(nameEnd)
	end := data + int(size)
	if end > len(bytes) {
		return header{}, Truncated
	}
	h := header{next: min(align4(end), len(bytes))}
	h.record = record{name: uint32(name), nameLength: uint32(length), data: uint32(data), size: size, mode: mode & modeMask, time: time}
	return h, OK
}

// nameLength returns the length of the name in a field: what precedes the first NUL, behind which all must be NUL.
func nameLength(field []byte) (int, bool) {
	length := 0
	for length < len(field) && field[length] != 0 {
		length++
	}
	if length == len(field) || length > MaxPath {
		return 0, false
	}
	for _, c := range field[length:] {
		if c != 0 {
			return 0, false
		}
	}
	return length, true
}

// add checks one entry against those before it and puts it into the index.
func (a *Archive) add(h header, name []byte) Code {
	kind := h.mode & modeTypeMask
	if kind != modeRegular && kind != modeDirectory || kind == modeDirectory && h.size != 0 {
		return BadMode
	}
	if string(name) == rootName {
		if kind != modeDirectory {
			return BadMode
		}
		if a.count != 0 {
			return Unsorted
		}
		return OK // the root is always there
	}
	parent, ok := checkName(name)
	if !ok {
		return BadName
	}
	if a.count > 0 && compare(a.name(a.count-1), name) >= 0 {
		return Unsorted
	}
	if parent >= 0 {
		i, ok := a.search(name[:parent])
		if !ok || a.index[i].mode&modeTypeMask != modeDirectory {
			return NoParent
		}
	}
	if a.count == MaxEntries {
		return TooMany
	}
	a.index[a.count] = h.record
	a.count++
	return OK
}

// checkName refuses absolute names and empty, "." and ".." parts, and returns the offset of the last slash, or -1.
func checkName(name []byte) (lastSlash int, ok bool) {
	lastSlash = -1
	start := 0
	for i := 0; i <= len(name); i++ {
		if i < len(name) && name[i] != '/' {
			continue
		}
		switch string(name[start:i]) {
		case "", ".", "..":
			return 0, false
		}
		start = i + 1
		if i < len(name) {
			lastSlash = i
		}
	}
	return lastSlash, true
}

func (a *Archive) name(i int) []byte {
	r := &a.index[i]
	return a.bytes[r.name : r.name+r.nameLength]
}

// search returns the index of the entry called name.
func (a *Archive) search(name []byte) (int, bool) {
	low, high := 0, a.count
	for low < high {
		middle := int(uint(low+high) >> 1)
		switch c := compare(a.name(middle), name); {
		case c == 0:
			return middle, true
		case c < 0:
			low = middle + 1
		default:
			high = middle
		}
	}
	return 0, false
}

// compare orders names by their bytes.
func compare(a, b []byte) int {
	for i := 0; i < len(a) && i < len(b); i++ {
		if a[i] != b[i] {
			return int(a[i]) - int(b[i])
		}
	}
	return len(a) - len(b)
}

// hex reads eight hexadecimal digits.
func hex(b []byte, at int) (v uint32, ok bool) {
	for _, c := range b[at : at+fieldSize] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		v = v<<4 | uint32(c)
	}
	return v, true
}

func align4(n int) int { return (n + 3) &^ 3 }
