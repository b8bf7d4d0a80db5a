package newc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/cavaliergopher/cpio"
)

func sample() []File {
	return []File{
		{Path: "init", Mode: 0o755, Data: []byte("first")},
		{Path: "pkg/fixtures/hello.txt", Mode: 0o644, Data: []byte("hello\n")},
		{Path: "bin/echod", Mode: 0o755, Data: bytes.Repeat([]byte("x"), 4096)},
		{Path: "bin/b", Mode: 0o755, Data: bytes.Repeat([]byte("y"), 4097)},
		{Path: "bin-old", Mode: 0o644, Data: nil},
	}
}

func write(t *testing.T, files []File) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := Write(&out, files); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestReadBack reads the archive with a reader by somebody else.
func TestReadBack(t *testing.T) {
	archive := write(t, sample())
	r := cpio.NewReader(bytes.NewReader(archive))
	var listing []string
	for {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimRight(h.Name, "\x00")
		listing = append(listing, fmt.Sprintf("%o %s %d", uint32(h.Mode), name, len(data)))
		for _, f := range sample() {
			if f.Path == name && !bytes.Equal(data, f.Data) {
				t.Errorf("%s: contents differ", name)
			}
		}
	}
	want := []string{"40755 bin 0", "100644 bin-old 0", "100755 bin/b 4097", "100755 bin/echod 4096", "100755 init 5",
		"40755 pkg 0", "40755 pkg/fixtures 0", "100644 pkg/fixtures/hello.txt 6"}
	if !slices.Equal(listing, want) {
		t.Errorf("got  %q\nwant %q", listing, want)
	}
}

func TestReproducible(t *testing.T) {
	files := sample()
	first := write(t, files)
	slices.Reverse(files)
	if !bytes.Equal(first, write(t, files)) {
		t.Error("the order of the files changed the archive")
	}
}

// TestAlignment moves a file through every position of a page and wants its data on a boundary each time.
func TestAlignment(t *testing.T) {
	marker := []byte("\xfe\xdcMARKER")
	for size := 0; size < PageSize; size += 4 {
		archive := write(t, []File{{Path: "a", Mode: 0o644, Data: make([]byte, size)}, {Path: "b-with-a-name", Mode: 0o644, Data: marker}})
		at := bytes.Index(archive, marker)
		if at%PageSize != 0 {
			t.Fatalf("after %d bytes the data lies at %#x", size, at)
		}
	}
}

// TestCpio lists the archive with GNU cpio.
func TestCpio(t *testing.T) {
	if _, err := exec.LookPath("cpio"); err != nil {
		t.Fatal("no cpio: scripts/setup.sh installs it")
	}
	list := exec.Command("cpio", "-t", "--quiet")
	list.Stdin = bytes.NewReader(write(t, sample()))
	out, err := list.CombinedOutput()
	want := "bin\nbin-old\nbin/b\nbin/echod\ninit\npkg\npkg/fixtures\npkg/fixtures/hello.txt\n"
	if err != nil || string(out) != want {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestWriteRefuses(t *testing.T) {
	many := make([]File, MaxEntries+1)
	for i := range many {
		many[i].Path = fmt.Sprint(i)
	}
	if err := Write(io.Discard, many[:MaxEntries]); err != nil {
		t.Errorf("%d entries: %v", MaxEntries, err)
	}
	long := strings.Repeat("n", MaxPath)
	if err := Write(io.Discard, []File{{Path: long}}); err != nil {
		t.Errorf("path of %d bytes: %v", MaxPath, err)
	}
	for _, tc := range []struct {
		files []File
		want  error
	}{
		{[]File{{Path: ""}}, ErrName},
		{[]File{{Path: "."}}, ErrName},
		{[]File{{Path: "/init"}}, ErrName},
		{[]File{{Path: "../init"}}, ErrName},
		{[]File{{Path: "a//b"}}, ErrName},
		{[]File{{Path: "a\x00b"}}, ErrName},
		{[]File{{Path: trailerName}}, ErrName},
		{[]File{{Path: long + "n"}}, ErrName},
		{[]File{{Path: "a"}, {Path: "a"}}, ErrDuplicate},
		{[]File{{Path: "a"}, {Path: "a/b"}}, ErrParent},
		{[]File{{Path: "a/b/c"}, {Path: "a/b"}}, ErrParent},
		{many, ErrTooMany},
	} {
		if err := Write(io.Discard, tc.files); !errors.Is(err, tc.want) {
			t.Errorf("%q: %v, want %v", tc.files[0].Path, err, tc.want)
		}
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestWriteError(t *testing.T) {
	if err := Write(failing{}, sample()); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
}
