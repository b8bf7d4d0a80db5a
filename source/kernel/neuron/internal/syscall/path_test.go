package syscall

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/archive"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/mem"
	"nexus/source/kernel/neuron/internal/rootfs"
	"nexus/tools/mkarchive/newc"
)

const (
	nrGetcwd, nrFaccessat, nrChdir, nrFchdir          = 17, 48, 49, 50
	nrGetdents64, nrReadlinkat, nrNewfstatat, nrFstat = 61, 78, 79, 80

	atCwd   = 1<<64 + abi.AT_FDCWD
	dataLen = 5000
)

// tree gives p a boot archive, in RAM, with an executable, which it executes, and a file.
func (p *caller) tree() {
	p.t.Helper()
	var b strings.Builder
	files := []newc.File{
		{Path: "bin/tool", Mode: 0o755, Data: []byte("#!")},
		{Path: "etc/words", Mode: 0o644, Data: slices.Repeat([]byte("data."), dataLen/5), Time: 1_700_000_000},
	}
	if err := newc.Write(&b, files); err != nil {
		p.t.Fatal(err)
	}
	at, ok := mem.AllocContiguous((b.Len() + mem.PageSize - 1) / mem.PageSize)
	if !ok {
		p.t.Fatal("no memory for the archive")
	}
	ram := mem.RAM(at, b.Len())
	copy(ram, b.String())
	if code, at := rootfs.Open(ram, at); code != archive.OK {
		p.t.Fatal(code.String(), at)
	}
	p.thread.Process.Program = file.New(rootfs.Lookup([]byte("/bin/tool")), abi.O_RDONLY)
}

// name stores a path.
func (p *caller) name(s string) uint64 { return p.put(append([]byte(s), 0)...) }

// open opens a path of the tree.
func (p *caller) open(name string, flags uint64) uint64 {
	p.t.Helper()
	return uint64(p.must(nrOpenat, atCwd, p.name(name), flags))
}

// TestOpenat: open(2) on a read-only file system.
func TestOpenat(t *testing.T) {
	p := start(t)
	p.tree()
	etc, data := p.open("/etc", abi.O_RDONLY), p.open("/etc/words", abi.O_RDONLY)
	for _, tt := range []struct {
		dirfd uint64
		name  string
		flags uint64
		want  abi.Errno
	}{
		{atCwd, "/etc/words", abi.O_RDONLY, abi.OK},
		{atCwd, "etc/words", abi.O_RDONLY, abi.OK},
		{atCwd, "//etc/./../etc/words", abi.O_RDONLY, abi.OK},
		{etc, "words", abi.O_RDONLY, abi.OK},
		{etc, "../bin/tool", abi.O_RDONLY, abi.OK},
		{etc, "/bin/tool", abi.O_RDONLY, abi.OK},
		{99, "/bin/tool", abi.O_RDONLY, abi.OK},
		{99, "words", abi.O_RDONLY, abi.EBADF},
		{data, "words", abi.O_RDONLY, abi.ENOTDIR},
		{atCwd, "", abi.O_RDONLY, abi.ENOENT},
		{atCwd, "/none", abi.O_RDONLY, abi.ENOENT},
		{atCwd, "/none/x", abi.O_RDONLY, abi.ENOENT},
		{atCwd, "/etc/none/x/y", abi.O_RDONLY, abi.ENOENT},
		{atCwd, "/etc/words/x", abi.O_RDONLY, abi.ENOTDIR},
		{atCwd, "/etc/words/x/y", abi.O_RDONLY, abi.ENOTDIR},
		{atCwd, "/dev/null/x", abi.O_RDONLY, abi.ENOTDIR},
		{atCwd, "/etc/words/", abi.O_RDONLY, abi.ENOTDIR},
		{atCwd, "/dev/null/", abi.O_RDONLY, abi.ENOTDIR},
		{atCwd, "/etc/", abi.O_RDONLY, abi.OK},
		{atCwd, "/", abi.O_RDONLY, abi.OK},
		{atCwd, "/etc", abi.O_RDONLY | abi.O_DIRECTORY, abi.OK},
		{atCwd, "/etc/words", abi.O_RDONLY | abi.O_DIRECTORY, abi.ENOTDIR},
		{atCwd, "/dev/null", abi.O_RDONLY | abi.O_DIRECTORY, abi.ENOTDIR},
		{atCwd, "/etc", abi.O_WRONLY, abi.EISDIR},
		{atCwd, "/etc", abi.O_RDONLY | abi.O_TRUNC, abi.EISDIR},
		{atCwd, "/etc", abi.O_RDONLY | abi.O_CREAT, abi.EISDIR},
		{atCwd, "/etc/words", abi.O_WRONLY, abi.EROFS},
		{atCwd, "/etc/words", abi.O_RDWR, abi.EROFS},
		{atCwd, "/etc/words", abi.O_RDONLY | abi.O_TRUNC, abi.EROFS},
		{atCwd, "/etc/words", abi.O_RDONLY | abi.O_CREAT, abi.OK},
		{atCwd, "/etc/words", abi.O_RDONLY | abi.O_EXCL, abi.OK},
		{atCwd, "/etc/words", abi.O_RDONLY | abi.O_CREAT | abi.O_EXCL, abi.EEXIST},
		{atCwd, "/etc/new", abi.O_RDWR | abi.O_CREAT, abi.EROFS},
		{atCwd, "/new", abi.O_RDWR | abi.O_CREAT, abi.EROFS},
		{atCwd, "/none/new", abi.O_RDWR | abi.O_CREAT, abi.ENOENT},
		{atCwd, "/etc/words/new", abi.O_RDWR | abi.O_CREAT, abi.ENOTDIR},
		{atCwd, "/dev/null", abi.O_RDWR, abi.OK},
		{atCwd, "/dev/null", abi.O_WRONLY | abi.O_TRUNC | abi.O_CREAT, abi.OK},
		{atCwd, "/proc/self/exe", abi.O_RDONLY, abi.OK},
		{atCwd, "/" + strings.Repeat("x", 254), abi.O_RDONLY, abi.ENOENT},
		{atCwd, "/" + strings.Repeat("x", 255), abi.O_RDONLY, abi.ENAMETOOLONG},
		{etc, strings.Repeat("x", 254), abi.O_RDONLY, abi.ENAMETOOLONG},
	} {
		fd, err, _ := p.call(nrOpenat, tt.dirfd, p.name(tt.name), tt.flags)
		if err != tt.want {
			t.Errorf("%q from %d, flags %#o: error %d, want %d", tt.name, int64(tt.dirfd), tt.flags, err, tt.want)
		}
		if err == abi.OK {
			p.must(nrClose, uint64(fd))
		}
	}
	p.want(abi.EFAULT, "a name nowhere", nrOpenat, atCwd, nowhere, 0)
	fd := p.open("/dev/null", abi.O_RDWR|abi.O_CLOEXEC|abi.O_NONBLOCK|abi.O_APPEND|abi.O_NOFOLLOW)
	f, _ := p.thread.Files().Get(int(fd))
	if want := uint32(abi.O_RDWR | abi.O_NONBLOCK | abi.O_APPEND); f.Flags != want || !p.thread.Files().CloseOnExec(int(fd)) {
		t.Errorf("flags %#o, want %#o; close on exec %v", f.Flags, want, p.thread.Files().CloseOnExec(int(fd)))
	}
	exe := p.open("/proc/self/exe", abi.O_RDONLY)
	if n := p.must(nrRead, exe, p.room(16), 16); n != 2 {
		t.Errorf("%d bytes of the program, want 2", n)
	}
}

// TestStats: stat(2) by name and by descriptor, with AT_EMPTY_PATH as well.
func TestStats(t *testing.T) {
	const mode, size, mtime = 16, 48, 88 // of struct stat
	p := start(t)
	p.tree()
	data := p.open("/etc/words", abi.O_RDONLY)
	for name, stat := range map[string]func(at uint64){
		"fstat":         func(at uint64) { p.must(nrFstat, data, at) },
		"a name":        func(at uint64) { p.must(nrNewfstatat, atCwd, p.name("/etc/words"), at, 0) },
		"AT_EMPTY_PATH": func(at uint64) { p.must(nrNewfstatat, data, p.name(""), at, abi.AT_EMPTY_PATH) },
		"a name, with AT_EMPTY_PATH": func(at uint64) {
			p.must(nrNewfstatat, atCwd, p.name("etc/words"), at, abi.AT_EMPTY_PATH)
		},
	} {
		at := p.put(slices.Repeat([]byte{9}, 136)...)
		stat(at)
		if p.word(at+mode) != 0o100644 || p.long(at+size) != dataLen || p.long(at+mtime) != 1_700_000_000 || p.long(at+128) != 0x0909090909090909 {
			t.Errorf("%s: mode %#o, size %d, mtime %d", name, p.word(at+mode), p.long(at+size), p.long(at+mtime))
		}
	}
	at := p.room(128)
	p.want(abi.ENOENT, "no name", nrNewfstatat, data, p.name(""), at, 0)
	p.want(abi.ENOENT, "a name that is missing", nrNewfstatat, atCwd, p.name("/none"), at, 0)
	p.want(abi.EBADF, "a closed descriptor", nrNewfstatat, 99, p.name(""), at, abi.AT_EMPTY_PATH)
	p.want(abi.EBADF, "a closed descriptor", nrNewfstatat, 99, p.name("x"), at, 0)
	p.want(abi.EBADF, "a closed descriptor", nrFstat, 99, at)
	p.want(abi.EFAULT, "a name nowhere", nrNewfstatat, atCwd, nowhere, at, 0)
	p.want(abi.EFAULT, "stat nowhere", nrFstat, data, nowhere)
	p.want(abi.EFAULT, "stat nowhere", nrNewfstatat, atCwd, p.name("/"), nowhere, 0)
}

// TestFaccessat: access(2) for root on a read-only file system, of files that have modes.
func TestFaccessat(t *testing.T) {
	const exists, execute, write, read = 0, 1, 2, 4
	p := start(t)
	p.tree()
	for _, tt := range []struct {
		name string
		mode uint64
		want abi.Errno
	}{
		{"/etc/words", exists, abi.OK}, {"/etc/words", read, abi.OK}, {"/etc/words", write, abi.EROFS}, {"/etc/words", execute, abi.EACCES},
		{"/bin/tool", execute | read, abi.OK}, {"/bin/tool", write, abi.EROFS}, {"/etc", execute, abi.OK}, {"/etc", write, abi.EROFS},
		{"/dev/null", read | write, abi.OK}, {"/dev/null", execute, abi.EACCES}, {"/none", exists, abi.ENOENT}, {"/etc/words/x", exists, abi.ENOTDIR},
		{"", exists, abi.ENOENT}, {"/etc", 8, abi.EINVAL},
	} {
		if _, err, _ := p.call(nrFaccessat, atCwd, p.name(tt.name), tt.mode); err != tt.want {
			t.Errorf("%q, mode %d: error %d, want %d", tt.name, tt.mode, err, tt.want)
		}
	}
	p.want(abi.EFAULT, "a name nowhere", nrFaccessat, atCwd, nowhere, 0)
}

// TestReadlinkat: readlink(2) of the one link there is: as much as fits, without a NUL.
func TestReadlinkat(t *testing.T) {
	p := start(t)
	p.tree()
	exe := p.name("/proc/self/exe")
	for size, want := range map[uint64]string{100: "/bin/tool", 9: "/bin/tool", 4: "/bin", 1: "/"} {
		at := p.put(slices.Repeat([]byte{9}, 16)...)
		n := p.must(nrReadlinkat, atCwd, exe, at, size)
		if got := string(p.bytes(at, int(n))); got != want || p.bytes(at+uint64(n), 1)[0] != 9 {
			t.Errorf("%d bytes: %q and more, want %q", size, got, want)
		}
	}
	at := p.room(16)
	p.want(abi.EINVAL, "no room", nrReadlinkat, atCwd, exe, at, 0)
	p.want(abi.EINVAL, "a negative size", nrReadlinkat, atCwd, exe, at, 1<<64-1)
	p.want(abi.EINVAL, "a file", nrReadlinkat, atCwd, p.name("/etc/words"), at, 16)
	p.want(abi.ENOENT, "nothing", nrReadlinkat, atCwd, p.name("/none"), at, 16)
	p.want(abi.EFAULT, "a link to nowhere", nrReadlinkat, atCwd, exe, nowhere, 16)
	p.want(abi.EFAULT, "a link to the end of memory", nrReadlinkat, atCwd, exe, base+pages*mem.PageSize-1, 16)
	p.want(abi.EFAULT, "a name nowhere", nrReadlinkat, atCwd, nowhere, at, 16)
}

// TestWorkingDirectory: chdir(2), fchdir(2), getcwd(2).
func TestWorkingDirectory(t *testing.T) {
	p := start(t)
	p.tree()
	at := p.room(64)
	is := func(want string) {
		t.Helper()
		if n := p.must(nrGetcwd, at, 64); string(p.bytes(at, int(n))) != want+"\x00" {
			t.Errorf("%q, want %q", p.bytes(at, int(n)), want)
		}
	}
	is("/")
	p.must(nrChdir, p.name("etc"))
	is("/etc")
	p.must(nrClose, p.open("words", abi.O_RDONLY))
	p.must(nrChdir, p.name("../bin/."))
	is("/bin")
	fd := p.open("/etc", abi.O_RDONLY)
	p.must(nrFchdir, fd)
	is("/etc")
	root := p.open("/", abi.O_RDONLY)
	p.must(nrFchdir, root)
	is("/")
	p.must(nrChdir, p.name("/etc"))
	p.want(abi.ENOTDIR, "to a file", nrChdir, p.name("/etc/words"))
	p.want(abi.ENOTDIR, "to a device", nrChdir, p.name("/dev/null"))
	p.want(abi.ENOENT, "to nothing", nrChdir, p.name("/none"))
	p.want(abi.EFAULT, "to a name nowhere", nrChdir, nowhere)
	p.want(abi.EBADF, "to a closed descriptor", nrFchdir, 99)
	p.want(abi.ENOTDIR, "to the descriptor of a file", nrFchdir, p.open("/etc/words", abi.O_RDONLY))
	p.want(abi.ENOTDIR, "to the descriptor of a device", nrFchdir, p.open("/dev/null", abi.O_RDONLY))
	is("/etc")
	if n := p.must(nrGetcwd, at, 5); n != 5 {
		t.Errorf("%d bytes, want 5", n)
	}
	p.want(abi.ERANGE, "a byte too few", nrGetcwd, at, 4)
	p.want(abi.ERANGE, "no bytes", nrGetcwd, at, 0)
	p.want(abi.EFAULT, "nowhere", nrGetcwd, nowhere, 64)
	p.want(abi.EFAULT, "the NUL nowhere", nrGetcwd, base+pages*mem.PageSize-4, 64)
}

// TestGetdents: getdents(2): whole entries, as many as fit, each once.
func TestGetdents(t *testing.T) {
	const directory, regular = 4, 8
	p := start(t)
	p.tree()
	want := map[string]map[string]byte{
		"/":    {".": directory, "..": directory, "bin": directory, "etc": directory},
		"/etc": {".": directory, "..": directory, "words": regular},
	}
	for name, entries := range want {
		for _, size := range []uint64{32, 40, 63, 4096} {
			fd := p.open(name, abi.O_RDONLY)
			at := p.room(int(size) + 8)
			got := map[string]byte{}
			for {
				n := p.must(nrGetdents64, fd, at, size)
				if n == 0 {
					break
				}
				for b := p.bytes(at, int(n)); len(b) > 0; {
					length := binary.LittleEndian.Uint16(b[16:])
					text, _, ends := strings.Cut(string(b[19:length]), "\x00")
					if got[text] != 0 || !ends || length%8 != 0 || binary.LittleEndian.Uint64(b) == 0 {
						t.Fatalf("%s: %q twice, or without its NUL %v, or inode %d, or %d bytes", name, text, !ends, binary.LittleEndian.Uint64(b), length)
					}
					got[text] = b[18]
					b = b[length:]
				}
			}
			if len(got) != len(entries) {
				t.Errorf("%s by %d bytes: %v, want %v", name, size, got, entries)
			}
			for text, kind := range entries {
				if got[text] != kind {
					t.Errorf("%s: %q is of type %d, want %d", name, text, got[text], kind)
				}
			}
			p.must(nrClose, fd)
		}
	}
	fd, at := p.open("/", abi.O_RDONLY), p.room(64)
	p.want(abi.EINVAL, "no room for an entry", nrGetdents64, fd, at, 23)
	p.want(abi.EFAULT, "nowhere", nrGetdents64, fd, nowhere, 64)
	if n := p.must(nrGetdents64, fd, at, 24); n != 24 || string(p.bytes(at+19, 2)) != ".\x00" {
		t.Errorf("after what was refused: %d bytes, %q, want the first entry", n, p.bytes(at+19, 2))
	}
	p.want(abi.ENOTDIR, "a file", nrGetdents64, p.open("/etc/words", abi.O_RDONLY), at, 64)
	p.want(abi.ENOTDIR, "a device", nrGetdents64, p.open("/dev/null", abi.O_RDONLY), at, 64)
	p.want(abi.EBADF, "a closed descriptor", nrGetdents64, 99, at, 64)
}

// TestExecveRefusals: execve(2).
func TestExecveRefusals(t *testing.T) {
	p := start(t)
	p.tree()
	for name, want := range map[string]abi.Errno{
		"/bin/tool": abi.ENOEXEC, "/etc/words": abi.EACCES, "/etc": abi.EACCES, "/dev/null": abi.EACCES, "/none": abi.ENOENT,
		"/etc/words/x": abi.ENOTDIR, "": abi.ENOENT,
	} {
		if _, err, _ := p.call(nrExecve, p.name(name), 0, 0); err != want {
			t.Errorf("%q: error %d, want %d", name, err, want)
		}
	}
	p.want(abi.EFAULT, "a name nowhere", nrExecve, nowhere, 0, 0)
	p.want(abi.EFAULT, "arguments nowhere", nrExecve, p.name("/bin/tool"), nowhere, 0)
	if p.thread.Process.Space.Areas() != 1 || !p.thread.Process.Alive() {
		t.Error("the old program is gone")
	}
}
