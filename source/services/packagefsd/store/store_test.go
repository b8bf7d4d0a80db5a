package store

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"nexus/source/api/pkgapi"
	"nexus/source/libs/channel"
)

const bound = 10 * time.Second

// tree makes a directory of packages, with things beside and in it that must
// not be served.
func tree(t *testing.T) string {
	t.Helper()
	outside := t.TempDir()
	root := filepath.Join(outside, "pkg")
	for name, text := range map[string]string{
		"secret":                "secret",
		"pkg/fixtures/hello":    "hello, world\n",
		"pkg/fixtures/empty":    "",
		"pkg/fixtures/large":    strings.Repeat("0123456789abcdef", 5000),
		"pkg/fixtures/dir/file": "x",
	} {
		path := filepath.Join(outside, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../secret", filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(root, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	return root
}

// served returns a client of a Store, over a channel.
func served(t *testing.T) *pkgapi.Client {
	t.Helper()
	s, err := Open(tree(t))
	if err != nil {
		t.Fatal(err)
	}
	server, client, err := channel.Pair()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- channel.Serve(server, pkgapi.Handler{Files: s}) }()
	c := pkgapi.NewClient(client)
	t.Cleanup(func() {
		if err := errors.Join(c.Close(), <-done, s.Close()); err != nil {
			t.Error(err)
		}
	})
	return c
}

func TestRead(t *testing.T) {
	c := served(t)
	if size, err := c.Stat("fixtures/hello", bound); size != 13 || err != nil {
		t.Errorf("stat: %d, %v, want 13", size, err)
	}
	tests := []struct {
		offset uint64
		count  int
		want   string
	}{
		{0, 100, "hello, world\n"}, {0, 5, "hello"}, {7, 5, "world"}, {12, 9, "\n"},
		{13, 9, ""}, {14, 9, ""}, {1 << 63, 9, ""}, {^uint64(0), 9, ""}, {3, 0, ""}, {3, -1, ""},
	}
	for _, tt := range tests {
		data, size, err := c.Read("fixtures/hello", tt.offset, tt.count, bound)
		if string(data) != tt.want || size != 13 || err != nil {
			t.Errorf("read %d from %d: %q of %d, %v; want %q", tt.count, tt.offset, data, size, err, tt.want)
		}
	}
	if data, size, err := c.Read("fixtures/empty", 0, 10, bound); len(data) != 0 || size != 0 || err != nil {
		t.Errorf("empty file: %q of %d, %v", data, size, err)
	}
}

// A file larger than a message comes in bounded pieces that join to the file.
func TestReadInPieces(t *testing.T) {
	c := served(t)
	var got []byte
	for {
		data, size, err := c.Read("fixtures/large", uint64(len(got)), 1<<30, bound)
		if err != nil {
			t.Fatal(err)
		}
		if len(data) > pkgapi.MaxRead {
			t.Fatalf("a piece of %d bytes", len(data))
		}
		got = append(got, data...)
		if uint64(len(got)) == size {
			break
		}
	}
	if want := bytes.Repeat([]byte("0123456789abcdef"), 5000); !bytes.Equal(got, want) {
		t.Errorf("%d bytes that are not the file's", len(got))
	}
}

func TestRefused(t *testing.T) {
	c := served(t)
	tests := []struct {
		path string
		want syscall.Errno
	}{
		{"fixtures/none", syscall.ENOENT},
		{"fixtures/hello/below", syscall.ENOENT},
		{"fixtures", syscall.EISDIR},
		{"fixtures/dir", syscall.EISDIR},
		{"fifo", syscall.EISDIR},
		{"", syscall.EINVAL},
		{"/etc/passwd", syscall.EINVAL},
		{"../secret", syscall.EINVAL},
		{"fixtures/../../secret", syscall.EINVAL},
		{"fixtures//hello", syscall.EINVAL},
		{"fixtures/hello/", syscall.EINVAL},
		{"./fixtures/hello", syscall.EINVAL},
		{"fixtures/hello\x00", syscall.EINVAL},
		{"fixtures\\hello", syscall.EINVAL},
		{strings.Repeat("a", 256), syscall.EINVAL},
	}
	for _, tt := range tests {
		_, statErr := c.Stat(tt.path, bound)
		_, _, readErr := c.Read(tt.path, 0, 10, bound)
		if !errors.Is(statErr, tt.want) || !errors.Is(readErr, tt.want) {
			t.Errorf("%q: stat %v, read %v; want %v", tt.path, statErr, readErr, tt.want)
		}
	}
	// A link that leads out is refused, whatever the errno.
	if data, _, err := c.Read("link", 0, 10, bound); err == nil {
		t.Errorf("read %q through a link that leads out", data)
	}
}

// The store itself holds the line, whoever calls it.
func TestStoreRefusesPathsItself(t *testing.T) {
	s, err := Open(tree(t))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Stat("../secret"); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("got %v", err)
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none")); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("no directory: %v", err)
	}
}

func FuzzValidPath(f *testing.F) {
	for _, path := range []string{"fixtures/hello.txt", "../x", "a//b", "/a", "a/./b", "..."} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if !pkgapi.ValidPath(path) {
			return
		}
		if !filepath.IsLocal(path) || filepath.Clean(path) != path || len(path) > pkgapi.MaxPath {
			t.Errorf("accepted %q", path)
		}
	})
}
