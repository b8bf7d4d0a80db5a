package archive

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/cavaliergopher/cpio"
)

// item is one entry of a test archive.
type item struct {
	name string // field as written, before its final NUL
	mode uint32
	data string
}

const (
	directory = modeDirectory | 0o755
	regular   = modeRegular | 0o644
)

// build writes items and a trailer.
func build(items ...item) []byte {
	var out []byte
	for _, it := range append(items, item{name: trailerName}) {
		out = fmt.Appendf(out, "070701%08x%08X%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", 1, it.mode, 0, 0, 1, 0,
			len(it.data), 0, 0, 0, 0, len(it.name)+1, 0)
		out = append(append(out, it.name...), 0)
		out = pad(out)
		out = pad(append(out, it.data...))
	}
	return out
}

func pad(b []byte) []byte {
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func open(t testing.TB, b []byte) *Archive {
	t.Helper()
	a := new(Archive)
	if code, at := a.Open(b); code != OK {
		t.Fatalf("Open: %v at %d", code, at)
	}
	return a
}

func sample() []byte {
	return build(
		item{".", directory, ""},
		item{"bin", directory, ""},
		item{"bin-old", directory, ""},
		item{"bin.txt", regular, "between"},
		item{"bin/echod", modeRegular | 0o755, "ELF"},
		item{"bin/sub", directory, ""},
		item{"bin/sub/deep", regular, ""},
		item{"bin/zz" + strings.Repeat("\x00", 300), regular, "padded name"},
		item{"empty", directory, ""},
		item{"init", modeRegular | 0o755, "first"},
	)
}

func TestLookup(t *testing.T) {
	a := open(t, sample())
	for path, want := range map[string]string{
		"/init": "first", "init": "first", "/bin/echod": "ELF", "/bin/zz": "padded name", "/bin.txt": "between", "bin/sub/deep": "",
	} {
		e, ok := a.Lookup([]byte(path))
		if !ok || e.IsDirectory() || string(a.Data(e)) != want {
			t.Errorf("%s: %q %o %v", path, a.Data(e), e.Mode, ok)
		}
	}
	for _, path := range []string{"/", "", "/bin", "bin/sub", "/empty"} {
		if e, ok := a.Lookup([]byte(path)); !ok || !e.IsDirectory() {
			t.Errorf("%q is no directory: %o %v", path, e.Mode, ok)
		}
	}
	for _, path := range []string{"/ini", "/init/", "/inits", "/bin/", "//init", ".", "/bin/../init", "TRAILER!!!"} {
		if e, ok := a.Lookup([]byte(path)); ok {
			t.Errorf("%q found %q", path, e.Name)
		}
	}
	e, _ := a.Lookup([]byte("/bin/sub/deep"))
	if string(e.Base()) != "deep" || e.Mode != regular {
		t.Errorf("base %q, mode %o", e.Base(), e.Mode)
	}
	for i := range a.Count() {
		e, ok := a.Entry(i)
		back, found := a.Lookup(e.Name)
		if !ok || !found || back.Index != i || e.Index != i {
			t.Errorf("entry %d (%q) came back as %d", i, e.Name, back.Index)
		}
	}
	for _, i := range []int{-1, a.Count()} {
		if _, ok := a.Entry(i); ok {
			t.Errorf("entry %d is there", i)
		}
	}
	if got := a.Data(Entry{Offset: 1 << 31, Size: 1 << 31}); got != nil {
		t.Error("data outside the archive")
	}
}

func TestChildren(t *testing.T) {
	a := open(t, sample())
	for path, want := range map[string]string{
		"/": "bin bin-old bin.txt empty init", "/bin": "echod sub zz", "/bin/sub": "deep", "/empty": "", "/bin-old": "", "/init": "",
	} {
		e, _ := a.Lookup([]byte(path))
		var names []string
		for child, next, ok := a.Child(e, 0); ok; child, next, ok = a.Child(e, next) {
			names = append(names, string(child.Base()))
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s holds %q, want %q", path, got, want)
		}
	}
	root, _ := a.Entry(0)
	if _, _, ok := a.Child(root, -1); ok {
		t.Error("a negative cursor gave a child")
	}
	if _, _, ok := a.Child(root, 1<<40); ok {
		t.Error("a cursor beyond the end gave a child")
	}
}

func TestZeroValue(t *testing.T) {
	var a Archive
	root, ok := a.Lookup([]byte("/"))
	if !ok || !root.IsDirectory() || a.Count() != 1 {
		t.Error("an empty archive has no root")
	}
	if _, _, ok := a.Child(root, 0); ok {
		t.Error("an empty root has a child")
	}
}

// TestAnotherWriter reads what a writer by somebody else produced.
func TestAnotherWriter(t *testing.T) {
	var out bytes.Buffer
	w := cpio.NewWriter(&out)
	for _, h := range []*cpio.Header{
		{Name: "etc", Mode: cpio.TypeDir | 0o755},
		{Name: "etc/a.json", Mode: cpio.TypeReg | 0o644, Size: 2},
	} {
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := w.Write([]byte("{}")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	a := open(t, out.Bytes())
	e, ok := a.Lookup([]byte("/etc/a.json"))
	if !ok || string(a.Data(e)) != "{}" || e.Mode != regular {
		t.Errorf("%q %o %v", a.Data(e), e.Mode, ok)
	}
}

func TestOpenRefuses(t *testing.T) {
	good := build(item{"a", regular, "data"})
	put := func(at int, s string) []byte {
		b := bytes.Clone(good)
		copy(b[at:], s)
		return b
	}
	many := func(n int) []byte {
		items := make([]item, n)
		for i := range items {
			items[i] = item{fmt.Sprintf("%04d", i), regular, ""}
		}
		return build(items...)
	}
	if code, _ := new(Archive).Open(many(MaxEntries)); code != OK {
		t.Errorf("%d entries: %v", MaxEntries, code)
	}
	long := strings.Repeat("n", MaxPath)
	if code, _ := new(Archive).Open(build(item{long, regular, ""})); code != OK {
		t.Errorf("name of %d bytes: %v", MaxPath, code)
	}
	one := func(name string) []byte { return build(item{name, regular, ""}) }
	trailerAt := len(good) - len(build())
	for _, tc := range []struct {
		name  string
		bytes []byte
		want  Code
		at    int
	}{
		{"empty", nil, NoTrailer, 0},
		{"no trailer", good[:trailerAt], NoTrailer, trailerAt},
		{"header cut", good[:headerSize-1], Truncated, 0},
		{"name cut", good[:headerSize+1], Truncated, 0},
		{"data cut", good[:headerSize+5], Truncated, 0},
		{"trailer cut", good[:trailerAt+50], Truncated, trailerAt},
		{"magic", put(0, "070702"), BadMagic, 0},
		{"old magic", put(0, "070707"), BadMagic, 0},
		{"not hexadecimal", put(20, "0000000g"), BadField, 0},
		{"signed field", put(offFileSize, "-0000001"), BadField, 0},
		{"size beyond", put(offFileSize, "FFFFFFFF"), Truncated, 0},
		{"no name", put(offNameSize, "00000000"), BadName, 0},
		{"empty name", put(offNameSize, "00000001"), BadName, 0},
		{"name field huge", put(offNameSize, "ffffffff"), BadName, 0},
		{"name without NUL", put(headerSize+1, "b"), BadName, 0},
		{"name goes on behind NUL", one("a\x00b"), BadName, 0},
		{"name too long", one(long + "n"), BadName, 0},
		{"absolute", one("/a"), BadName, 0},
		{"double slash", one("a//b"), BadName, 0},
		{"slash at the end", one("a/"), BadName, 0},
		{"dot", one("./a"), BadName, 0},
		{"dot dot", one("../a"), BadName, 0},
		{"dot dot inside", build(item{"a", directory, ""}, item{"a/..", directory, ""}), BadName, headerSize + 2},
		{"symbolic link", build(item{"a", 0o120777, "b"}), BadMode, 0},
		{"device", build(item{"a", 0o020666, ""}), BadMode, 0},
		{"directory with data", build(item{"a", directory, "x"}), BadMode, 0},
		{"root is a file", one("."), BadMode, 0},
		{"late root", build(item{"a", regular, ""}, item{".", directory, ""}), Unsorted, headerSize + 2},
		{"out of order", build(item{"b", regular, ""}, item{"a", regular, ""}), Unsorted, headerSize + 2},
		{"twice", build(item{"b", regular, ""}, item{"b", regular, ""}), Unsorted, headerSize + 2},
		{"no parent", one("a/b"), NoParent, 0},
		{"parent is a file", build(item{"a", regular, ""}, item{"a/b", regular, ""}), NoParent, headerSize + 2},
		{"too many", many(MaxEntries + 1), TooMany, MaxEntries * 116},
	} {
		a := new(Archive)
		code, at := a.Open(tc.bytes)
		if code != tc.want || code != NoTrailer && at != tc.at {
			t.Errorf("%s: %v at %d, want %v at %d", tc.name, code, at, tc.want, tc.at)
		}
		if a.Count() != 1 {
			t.Errorf("%s: refused, but has %d entries", tc.name, a.Count())
		}
	}
}

func TestClean(t *testing.T) {
	for _, tc := range []struct {
		cwd, path, want string
		directory       bool
	}{
		{"/", "init", "/init", false},
		{"/", "/init", "/init", false},
		{"/bin", "echod", "/bin/echod", false},
		{"/bin", "/echod", "/echod", false},
		{"/bin", "../etc//nexus/./a.json", "/etc/nexus/a.json", false},
		{"/bin", "", "/bin", true},
		{"/bin", ".", "/bin", true},
		{"/bin", "..", "/", true},
		{"/bin", "../../..", "/", true},
		{"/a/b", "../c/", "/a/c", true},
		{"/", "/", "/", true},
		{"/", "///", "/", true},
		{"/", "a/..", "/", true},
		{"/", "...", "/...", false},
	} {
		var out [32]byte
		got, dir, ok := Clean(out[:], []byte(tc.cwd), []byte(tc.path))
		if !ok || string(got) != tc.want || dir != tc.directory {
			t.Errorf("Clean(%q, %q) = %q, %v, %v; want %q, %v", tc.cwd, tc.path, got, dir, ok, tc.want, tc.directory)
		}
	}
	var out [8]byte
	if got, _, ok := Clean(out[:], []byte("/"), []byte("1234567")); !ok || string(got) != "/1234567" {
		t.Errorf("a path that just fits: %q, %v", got, ok)
	}
	for _, tc := range [][2]string{{"/", "12345678"}, {"/1234", "567"}, {"/123456789", "x"}} {
		if got, _, ok := Clean(out[:], []byte(tc[0]), []byte(tc[1])); ok {
			t.Errorf("Clean(%q, %q) = %q, want no room", tc[0], tc[1], got)
		}
	}
	if _, _, ok := Clean(nil, nil, []byte("/")); ok {
		t.Error("the root fitted into nothing")
	}
}

func TestNoAllocation(t *testing.T) {
	b := sample()
	a := new(Archive)
	var total int
	if got := testing.AllocsPerRun(10, func() { total += exercise(a, b) }); got != 0 {
		t.Errorf("%v allocations", got)
	}
	if total == 0 {
		t.Error("nothing was read")
	}
}

// exercise opens b and reads everything in it.
func exercise(a *Archive, b []byte) (total int) {
	if code, _ := a.Open(b); code != OK {
		return 0
	}
	for i := range a.Count() {
		e, _ := a.Entry(i)
		total += len(a.Data(e)) + len(e.Base())
		for child, next, ok := a.Child(e, 0); ok; child, next, ok = a.Child(e, next) {
			total += len(child.Name)
		}
		if back, ok := a.Lookup(e.Name); !ok || back.Index != i {
			return -1
		}
	}
	return total
}

func FuzzOpen(f *testing.F) {
	f.Add(sample())
	f.Add(build(item{"a", regular, "data"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if exercise(new(Archive), b) < 0 {
			t.Error("an entry cannot be found by its own name")
		}
	})
}

func FuzzClean(f *testing.F) {
	f.Add("/bin", "../a//b/.")
	f.Fuzz(func(t *testing.T, cwd, path string) {
		var out [64]byte
		clean, _, ok := Clean(out[:], []byte("/"), []byte(cwd))
		if !ok {
			return
		}
		base := bytes.Clone(clean)
		clean, _, ok = Clean(out[:], base, []byte(path))
		if !ok {
			return
		}
		if clean[0] != '/' || len(clean) > 1 && clean[len(clean)-1] == '/' {
			t.Fatalf("Clean(%q, %q) = %q", base, path, clean)
		}
		if len(clean) > 1 {
			if _, ok := checkName(clean[1:]); !ok {
				t.Fatalf("Clean(%q, %q) = %q", base, path, clean)
			}
		}
	})
}

func BenchmarkOpen100(b *testing.B) {
	var items []item
	for i := range 100 {
		items = append(items, item{fmt.Sprintf("service-%04d", i), regular, strings.Repeat("x", 1000)})
	}
	raw := build(items...)
	a := new(Archive)
	b.ReportAllocs()
	for b.Loop() {
		if code, _ := a.Open(raw); code != OK {
			b.Fatal(code)
		}
	}
}
