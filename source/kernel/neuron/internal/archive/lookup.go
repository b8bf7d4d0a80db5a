package archive

// Entry is a file or directory of the archive. Name and the data are views of the archive.
type Entry struct {
	// Index identifies the entry in its archive: 0 is the root directory, the others count from 1 in name order.
	Index int
	// Name is the path without a leading slash; the root's is empty.
	Name []byte
	// Mode is the file type and permission bits, as stat gives them.
	Mode uint32
	// Offset is where the data begins in the archive, Size its length in bytes.
	Offset, Size uint32
	// Time is when it was changed last, in seconds since 1970.
	Time uint32
}

// rootMode is what the root directory shows.
const rootMode = modeDirectory | 0o755

// IsDirectory tells directories from regular files.
func (e Entry) IsDirectory() bool { return e.Mode&modeTypeMask == modeDirectory }

// Aligned reports whether the data begins on a page boundary of the archive. If the archive's memory does too, whole
// pages of the file can be mapped in place.
func (e Entry) Aligned() bool { return e.Offset%PageSize == 0 }

// Base returns the last part of the name.
func (e Entry) Base() []byte {
	for i := len(e.Name); i > 0; i-- {
		if e.Name[i-1] == '/' {
			return e.Name[i:]
		}
	}
	return e.Name
}

// Count returns the number of entries, the root included; Entry indices lie below it.
func (a *Archive) Count() int { return a.count + 1 }

// Entry returns the entry with that Index.
func (a *Archive) Entry(index int) (Entry, bool) {
	if index == 0 {
		return Entry{Mode: rootMode}, true
	}
	if index < 0 || index > a.count {
		return Entry{}, false
	}
	r := &a.index[index-1]
	return Entry{Index: index, Name: a.name(index - 1), Mode: r.mode, Offset: r.data, Size: r.size, Time: r.time}, true
}

// Lookup returns the entry at a clean path: parts separated by single slashes, no "." or "..", with or without one
// leading slash ("/bin/echod", "bin/echod"; "/" and "" are the root). Clean makes such paths.
func (a *Archive) Lookup(path []byte) (Entry, bool) {
	if len(path) > 0 && path[0] == '/' {
		path = path[1:]
	}
	if len(path) == 0 {
		return a.Entry(0)
	}
	i, ok := a.search(path)
	if !ok {
		return Entry{}, false
	}
	return a.Entry(i + 1)
}

// Data returns the contents of a file.
func (a *Archive) Data(e Entry) []byte {
	end := uint64(e.Offset) + uint64(e.Size)
	if end > uint64(len(a.bytes)) {
		return nil
	}
	return a.bytes[e.Offset:end:end]
}

// Child returns the first child of directory at or behind cursor, and the cursor that continues behind it. A listing
// begins with cursor 0; cursors stay valid as long as the archive, so one can be a directory's file offset.
func (a *Archive) Child(directory Entry, cursor int) (child Entry, next int, ok bool) {
	if !directory.IsDirectory() || cursor < 0 {
		return Entry{}, cursor, false
	}
	prefix := directory.Name
	// Entries below "d" lie behind it, but names such as "d-x" and "d.y" may come between: skip those.
	for i := max(cursor, directory.Index); i < a.count; i++ {
		name := a.name(i)
		if len(prefix) > 0 {
			if len(name) < len(prefix) || string(name[:len(prefix)]) != string(prefix) {
				return Entry{}, i, false
			}
			if name = name[len(prefix):]; len(name) == 0 || name[0] != '/' {
				continue
			}
			name = name[1:]
		}
		if hasSlash(name) {
			continue
		}
		child, ok = a.Entry(i + 1)
		return child, i + 1, ok
	}
	return Entry{}, a.count, false
}

func hasSlash(name []byte) bool {
	for _, c := range name {
		if c == '/' {
			return true
		}
	}
	return false
}

// Clean writes into out the clean path (see Lookup; with a leading slash) of path as seen from directory cwd, itself
// clean. It resolves ".", ".." and repeated slashes by the text alone, which is exact for ".." as long as the
// directories named do exist: the archive has no symbolic links. mustBeDirectory is set when path ends in a slash or a
// dot part. It returns ok false if the result does not fit into out.
func Clean(out []byte, cwd, path []byte) (clean []byte, mustBeDirectory, ok bool) {
	n := 0
	if len(path) == 0 || path[0] != '/' {
		if n, _, ok = cleanInto(out, 0, cwd); !ok {
			return nil, false, false
		}
	}
	n, mustBeDirectory, ok = cleanInto(out, n, path)
	if !ok {
		return nil, false, false
	}
	if n == 0 {
		if len(out) == 0 {
			return nil, false, false
		}
		out[0] = '/'
		n = 1
	}
	return out[:n], mustBeDirectory, true
}

// cleanInto appends the parts of path to the clean path out[:n], each with a slash before it.
func cleanInto(out []byte, n int, path []byte) (length int, mustBeDirectory, ok bool) {
	start := 0
	for i := 0; i <= len(path); i++ {
		if i < len(path) && path[i] != '/' {
			continue
		}
		part := path[start:i]
		start = i + 1
		switch string(part) {
		case "", ".":
			mustBeDirectory = true
			continue
		case "..":
			mustBeDirectory = true
			for n > 0 {
				n--
				if out[n] == '/' {
					break
				}
			}
			continue
		}
		mustBeDirectory = false
		if n+1+len(part) > len(out) {
			return 0, false, false
		}
		out[n] = '/'
		n += 1 + copy(out[n+1:], part)
	}
	return n, mustBeDirectory, true
}
