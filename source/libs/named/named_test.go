package named

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	for name, text := range map[string]string{"whole": "12345", "long": "123456", "empty": ""} {
		if err := os.WriteFile(in(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(syscall.Mkfifo(in("pipe"), 0o600), os.Symlink("whole", in("link"))); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		path, want string
		err        error
	}{
		{in("whole"), "12345", nil},
		{in("link"), "12345", nil},
		{in("long"), "", ErrSize},
		{in("empty"), "", ErrEmpty},
		{in("pipe"), "", ErrKind}, // at once, though it has no writer
		{"/dev/zero", "", ErrKind},
		{"/dev/null", "", ErrKind},
		{dir, "", syscall.EISDIR},
		{in("nowhere"), "", fs.ErrNotExist},
		{in("whole") + "/x", "", syscall.ENOTDIR},
		{in("whole\x00"), "", syscall.EINVAL},
		{"", "", fs.ErrNotExist},
	} {
		data, err := Read(tt.path, 5)
		if string(data) != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%q: got %q, %v; want %q, %v", tt.path, data, err, tt.want, tt.err)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "open "+tt.path) {
			t.Errorf("%q: %v does not name it", tt.path, err)
		}
	}
}

func TestWritable(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		path string
		err  error
	}{
		{file, nil},
		{filepath.Join(dir, "new"), nil},
		{"/dev/null", nil},
		{dir, syscall.EISDIR},
		{filepath.Join(dir, "no", "new"), fs.ErrNotExist},
		{filepath.Join(file, "new"), syscall.ENOTDIR},
		{"/proc/self/status/new", syscall.ENOTDIR},
		{"", fs.ErrNotExist},
		{"new\x00", syscall.EINVAL},
	} {
		if err := Writable(tt.path); !errors.Is(err, tt.err) {
			t.Errorf("%q: got %v, want %v", tt.path, err, tt.err)
		}
	}
	if data, err := os.ReadFile(file); string(data) != "kept" || err != nil {
		t.Errorf("the file has %q, %v", data, err)
	}
	if left, err := os.ReadDir(dir); len(left) != 1 || err != nil {
		t.Errorf("left %v, %v", left, err)
	}
}
