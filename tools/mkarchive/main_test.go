package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cavaliergopher/cpio"
)

// tree writes files below a new directory and returns it.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, contents := range files {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(contents), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestRun(t *testing.T) {
	root := tree(t, map[string]string{"nexus-init": "program", "pkg/b/c.txt": "c", "pkg/a.txt": "a"})
	output := filepath.Join(root, "out.cpio")
	args := []string{"-o", output, "/init=" + root + "/nexus-init", "/bin/x=" + root + "/nexus-init", "/pkg=" + root + "/pkg"}
	if err := run(args, io.Discard); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(output)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"init": "-rwxr-xr-x program", "bin/x": "-rwxr-xr-x program", "pkg/a.txt": "-rw-r--r-- a", "pkg/b/c.txt": "-rw-r--r-- c"}
	r := cpio.NewReader(bytes.NewReader(raw))
	for h, err := r.Next(); err != io.EOF; h, err = r.Next() {
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimRight(h.Name, "\x00")
		if h.FileInfo().IsDir() {
			continue
		}
		if got := h.FileInfo().Mode().String() + " " + string(data); got != want[name] {
			t.Errorf("%s: %s, want %s", name, got, want[name])
		}
		delete(want, name)
	}
	if len(want) != 0 {
		t.Errorf("missing: %v", want)
	}
}

// Files have the time that the environment says, or their own.
func TestTimes(t *testing.T) {
	root := tree(t, map[string]string{"a": "a"})
	if err := os.Chtimes(root+"/a", time.Unix(7, 0), time.Unix(7, 0)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		epoch string
		want  uint32
		fails bool
	}{{"", 7, false}, {"1767225600", 1767225600, false}, {"-1", 0, true}, {"4294967296", 0, true}, {"yesterday", 0, true}} {
		files, err := collect([]string{"/a=" + root + "/a"}, tt.epoch)
		if (err != nil) != tt.fails || err == nil && files[0].Time != tt.want {
			t.Errorf("%q: %+v, %v; want %d", tt.epoch, files, err, tt.want)
		}
	}
}

func TestRunRefuses(t *testing.T) {
	root := tree(t, map[string]string{"file": "x", "odd/file": "y"})
	if err := os.Symlink("file", root+"/odd/link"); err != nil {
		t.Fatal(err)
	}
	output := filepath.Join(root, "out.cpio")
	for _, tc := range []struct {
		args []string
		want string
	}{
		{nil, "needed"},
		{[]string{"-o", output}, "needed"},
		{[]string{"/a=" + root + "/file"}, "needed"},
		{[]string{"-x"}, "not defined"},
		{[]string{"-o", output, "init"}, "not DEST=SRC"},
		{[]string{"-o", output, "init=" + root + "/file"}, "not DEST=SRC"},
		{[]string{"-o", output, "/init="}, "not DEST=SRC"},
		{[]string{"-o", output, "/init=" + root + "/none"}, "no such file"},
		{[]string{"-o", output, "/a=" + root + "/odd"}, "neither"},
		{[]string{"-o", output, "/a=" + root + "/file", "/a=" + root + "/file"}, "two entries"},
	} {
		err := run(tc.args, io.Discard)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: %v, want %q", tc.args, err, tc.want)
		}
	}
	names, err := filepath.Glob(root + "/*.cpio*")
	hidden, _ := filepath.Glob(root + "/.*")
	if err != nil || len(names)+len(hidden) != 0 {
		t.Errorf("a refused run left %q %q, %v", names, hidden, err)
	}
}
