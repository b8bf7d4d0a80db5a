package mmio

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func windowFile(t *testing.T, size int64) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "window"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestWindowReadsAndWritesInPlace(t *testing.T) {
	f := windowFile(t, 4096)
	w, err := Map(f, 0x200)
	if err != nil {
		t.Fatal(err)
	}
	if w.Size() != 4096 || w.Base() == 0 {
		t.Errorf("size %d, base %#x", w.Size(), w.Base())
	}
	w.Write32(0x100, 0x44332211)
	if got := w.Read32(0x100); got != 0x44332211 {
		t.Errorf("Read32 = %#x", got)
	}
	if got := w.Read16(0x102); got != 0x4433 {
		t.Errorf("Read16 = %#x, want 0x4433", got)
	}
	if got := w.Read8(0x101); got != 0x22 {
		t.Errorf("Read8 = %#x, want 0x22", got)
	}
	var b [4]byte
	if _, err := f.ReadAt(b[:], 0x100); err != nil || b != [4]byte{0x11, 0x22, 0x33, 0x44} {
		t.Errorf("file has % x, %v", b, err)
	}
}

func TestMapRefusesWhatIsNoWindow(t *testing.T) {
	pipe, other, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	defer other.Close()
	for name, f := range map[string]*os.File{
		"too small": windowFile(t, 0x100),
		"too large": windowFile(t, maxSize+1),
		"a pipe":    pipe,
	} {
		if _, err := Map(f, 0x200); !errors.Is(err, ErrWindow) {
			t.Errorf("%s: %v, want %v", name, err, ErrWindow)
		}
	}
}
