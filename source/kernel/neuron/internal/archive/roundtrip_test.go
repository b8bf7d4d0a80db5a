package archive

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"nexus/tools/mkarchive/newc"
)

func written(t *testing.T, files []newc.File) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := newc.Write(&out, files); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestRoundTrip reads what mkarchive's writer makes, with files of sizes around page and padding boundaries.
func TestRoundTrip(t *testing.T) {
	var files []newc.File
	for i := range 200 {
		files = append(files, newc.File{
			Path: fmt.Sprintf("d%d/sub/%s%d", i%7, strings.Repeat("n", i), i),
			Mode: 0o600 | uint32(i%8),
			Data: bytes.Repeat([]byte{byte(i + 1)}, i*61),
			Time: uint32(i * 1e7),
		})
	}
	raw := written(t, files)
	a := open(t, raw)
	for _, f := range files {
		e, ok := a.Lookup([]byte(f.Path))
		if !ok || !bytes.Equal(a.Data(e), f.Data) || e.Mode != modeRegular|f.Mode || e.Time != f.Time {
			t.Errorf("%s came back with %d bytes, mode %o, %v", f.Path, e.Size, e.Mode, ok)
		}
		if e.Size > 0 && !e.Aligned() {
			t.Errorf("%s lies at %#x", f.Path, e.Offset)
		}
		if end := e.Offset + e.Size; end > 0 && int(end) < len(raw) && raw[end-1] == 0 && e.Size > 0 {
			t.Errorf("%s ends in a zero that is not its own", f.Path)
		}
	}
}

// TestBounds holds the writer's bounds against the reader's.
func TestBounds(t *testing.T) {
	if newc.MaxEntries != MaxEntries || newc.MaxPath != MaxPath || newc.MaxSize != MaxSize || newc.PageSize != PageSize {
		t.Error("writer and reader disagree about bounds")
	}
	var files []newc.File
	for i := range MaxEntries {
		files = append(files, newc.File{Path: fmt.Sprintf("%0*d", MaxPath, i), Mode: 0o644, Data: make([]byte, i*8)})
	}
	a := open(t, written(t, files))
	if a.Count() != MaxEntries+1 {
		t.Errorf("%d entries", a.Count())
	}
}
