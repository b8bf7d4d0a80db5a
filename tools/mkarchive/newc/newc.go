// Package newc writes boot archives: newc cpio archives that neuron reads in place.
//
// The data of each file begins on a page boundary of the archive; the name field in front of it is padded with NULs to
// make it so. Entries are sorted by name, owned by root, directories dated 0, and numbered in order, so that the same inputs give
// the same bytes. Every newc reader understands the result; only Linux's own initramfs unpacker skips an entry whose
// name field is longer than 4096 bytes, which happens when a header falls into the last bytes of a page.
package newc

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// PageSize is the alignment of file data in the archive, in bytes.
const PageSize = 4096

// What neuron accepts: entries with their directories, bytes of a path, bytes of the archive.
const (
	MaxEntries = 512
	MaxPath    = 255
	MaxSize    = 1 << 30
)

// Errors that Write can return, wrapped with the name or number they are about.
var (
	ErrName      = errors.New("newc: path is not clean and relative, or too long")
	ErrDuplicate = errors.New("newc: two entries with one path")
	ErrParent    = errors.New("newc: an entry below a file")
	ErrTooMany   = errors.New("newc: too many entries")
	ErrTooLarge  = errors.New("newc: archive too large")
)

// File is a regular file to be archived. Directories are not named: those on the way to a file are made.
type File struct {
	Path string // relative and clean: "bin/echod"
	Mode uint32 // permission bits
	Data []byte
	Time uint32 // of its last change, in seconds since 1970
}

// entry is a File, or a directory when directory is set.
type entry struct {
	File
	directory bool
}

const (
	headerSize    = 110
	trailerName   = "TRAILER!!!"
	modeRegular   = 0o100000
	modeDirectory = 0o040755
)

// Write writes the archive of files to w.
func Write(w io.Writer, files []File) error {
	entries, err := arrange(files)
	if err != nil {
		return err
	}
	out := &writer{buffered: bufio.NewWriterSize(w, 1<<16)}
	for i, e := range entries {
		out.entry(uint32(i+1), e)
	}
	out.header(0, 0, 0, 0, 0, trailerName, len(trailerName)+1)
	out.pad(4)
	if out.at > MaxSize {
		return fmt.Errorf("%w: %d bytes", ErrTooLarge, out.at)
	}
	return out.buffered.Flush() // the buffer keeps the first error
}

// arrange checks the files, adds their directories and sorts by name.
func arrange(files []File) ([]entry, error) {
	byPath := make(map[string]entry, 2*len(files))
	var total int64
	for _, f := range files {
		if f.Path != path.Clean(f.Path) || path.IsAbs(f.Path) || f.Path == "." || f.Path == trailerName ||
			strings.HasPrefix(f.Path, "..") || len(f.Path) > MaxPath || strings.ContainsRune(f.Path, 0) {
			return nil, fmt.Errorf("%w: %q", ErrName, f.Path)
		}
		if _, taken := byPath[f.Path]; taken {
			return nil, fmt.Errorf("%w: %s", ErrDuplicate, f.Path)
		}
		if total += int64(len(f.Data)); total > MaxSize {
			return nil, fmt.Errorf("%w: %s", ErrTooLarge, f.Path)
		}
		byPath[f.Path] = entry{File: f}
	}
	for _, f := range files {
		for d := path.Dir(f.Path); d != "."; d = path.Dir(d) {
			e, taken := byPath[d]
			if taken && !e.directory {
				return nil, fmt.Errorf("%w: %s", ErrParent, f.Path)
			}
			byPath[d] = entry{File: File{Path: d}, directory: true}
		}
	}
	if len(byPath) > MaxEntries {
		return nil, fmt.Errorf("%w: %d", ErrTooMany, len(byPath))
	}
	entries := make([]entry, 0, len(byPath))
	for _, e := range byPath {
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.Path, b.Path) })
	return entries, nil
}

// writer counts what it writes.
type writer struct {
	buffered *bufio.Writer
	at       int
}

// entry writes header, name and data. The name field of a file that has data is stretched until the data begins on a
// page boundary.
func (w *writer) entry(number uint32, e entry) {
	nameSize := len(e.Path) + 1
	mode, links := modeRegular|e.Mode&0o7777, 1
	if e.directory {
		mode, links = modeDirectory, 2
	}
	if len(e.Data) > 0 {
		data := roundUp(w.at+headerSize+nameSize, PageSize)
		nameSize = data - w.at - headerSize
	}
	w.header(number, mode, links, len(e.Data), e.Time, e.Path, nameSize)
	w.pad(4)
	w.write(e.Data)
	w.pad(4)
}

// header writes a newc header and a name field of nameSize bytes.
func (w *writer) header(number, mode uint32, links, size int, time uint32, name string, nameSize int) {
	fields := [13]uint32{0: number, 1: mode, 4: uint32(links), 5: time, 6: uint32(size), 11: uint32(nameSize)}
	text := []byte("070701")
	for _, f := range fields {
		text = fmt.Appendf(text, "%08X", f)
	}
	w.write(text)
	w.write([]byte(name))
	w.write(make([]byte, nameSize-len(name)))
}

func (w *writer) pad(align int) { w.write(make([]byte, roundUp(w.at, align)-w.at)) }

func (w *writer) write(b []byte) {
	n, _ := w.buffered.Write(b) // Flush reports the error
	w.at += n
}

func roundUp(n, align int) int { return (n + align - 1) / align * align }
