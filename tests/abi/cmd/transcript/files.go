package main

import (
	"cmp"
	"encoding/binary"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// files reads regular files. The fixture may be writable on Linux, so nothing here tries to write to it.
func files(r *report) {
	appending(r)
	identity(r)
	hello := filepath.Join(fixture, "hello.txt")
	fd := must(unix.Open(hello, unix.O_RDONLY|unix.O_CLOEXEC, 0))
	buffer := make([]byte, 64)
	n, err := unix.Read(fd, buffer)
	r.data("read", buffer, n, err)
	n, err = unix.Read(fd, buffer)
	r.number("read at the end", n, err)
	n, err = unix.Read(fd, nil)
	r.number("read nothing", n, err)

	seek := func(what string, offset int64, whence int) {
		at, err := unix.Seek(fd, offset, whence)
		r.number(what, int(at), err)
	}
	seek("seek to 1", 1, unix.SEEK_SET)
	n, err = unix.Read(fd, buffer[:3])
	r.data("read 3", buffer, n, err)
	seek("seek by -2", -2, unix.SEEK_CUR)
	seek("seek to the end", 0, unix.SEEK_END)
	seek("seek beyond the end", 100, unix.SEEK_END)
	n, err = unix.Read(fd, buffer)
	r.number("read beyond the end", n, err)
	seek("seek to -1", -1, unix.SEEK_SET)
	seek("seek before the start", -1000, unix.SEEK_CUR)
	seek("seek from nowhere", 0, 99)
	seek("the offset stayed", 0, unix.SEEK_CUR)

	n, err = unix.Pread(fd, buffer, 2)
	r.data("pread at 2", buffer, n, err)
	n, err = unix.Pread(fd, buffer, 1000)
	r.number("pread beyond the end", n, err)
	n, err = unix.Pread(fd, buffer, -1)
	r.number("pread at -1", n, err)
	n, err = unix.Pread(99999, buffer, -1)
	r.number("pread of a bad descriptor at -1", n, err)
	n, err = unix.Pwrite(99999, buffer, -1)
	r.number("pwrite to a bad descriptor at -1", n, err)
	r.err("ftruncate of a bad descriptor to -1", unix.Ftruncate(99999, -1))
	n, err = unix.Write(fd, buffer)
	r.number("write to a read-only descriptor", n, err)
	n, err = unix.Writev(fd, [][]byte{nil})
	r.number("writev of no bytes to a read-only descriptor", n, err)
	n, err = unix.Pwrite(fd, buffer, 0)
	r.number("pwrite to a read-only descriptor", n, err)
	r.err("ftruncate of a read-only descriptor", unix.Ftruncate(fd, 0))
	n, err = raw(unix.SYS_PREAD64, uintptr(fd), 8, 4, 0)
	r.number("pread to a bad address", n, err)
	_, err = unix.IoctlGetInt(fd, unix.TCGETS)
	r.err("ioctl TCGETS", err)
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	r.number("access mode", flags&unix.O_ACCMODE, err)

	other := must(unix.Open(hello, unix.O_RDONLY|unix.O_CLOEXEC, 0))
	n, err = unix.Read(other, buffer[:2])
	r.data("a second open has its own offset", buffer, n, err)
	closeAll(other)
	r.err("close", unix.Close(fd))
	r.err("close again", unix.Close(fd))
	n, err = unix.Read(fd, buffer)
	r.number("read a closed descriptor", n, err)

	fileOpens(r)
	fileStats(r)
	deviceFiles(r)
}

// fileOpens tries paths.
func fileOpens(r *report) {
	directory := must(unix.Open(fixture, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0))
	file := must(unix.Open(filepath.Join(fixture, "hello.txt"), unix.O_RDONLY|unix.O_CLOEXEC, 0))
	defer closeAll(directory, file)
	for _, tc := range []struct {
		what  string
		at    int
		path  string
		flags int
	}{
		{"open relative to a directory", directory, "hello.txt", 0},
		{"open below", directory, "dir/sub/deep.txt", 0},
		{"open with dots", directory, "./dir/../dir/./a", 0},
		{"open with two slashes", directory, "dir//a", 0},
		{"open an absolute path from a bad descriptor", 99999, filepath.Join(fixture, "hello.txt"), 0},
		{"open relative to a bad descriptor", 99999, "hello.txt", 0},
		{"open relative to a file", file, "hello.txt", 0},
		{"open nothing", directory, "", 0},
		{"open what is not there", directory, "none", 0},
		{"open below what is not there", directory, "none/x", 0},
		{"open below a file", directory, "hello.txt/x", 0},
		{"open a file as a directory", directory, "hello.txt", unix.O_DIRECTORY},
		{"open a file with a slash", directory, "hello.txt/", 0},
		{"open a directory with a slash", directory, "dir/", 0},
		{"open a directory", directory, "dir", 0},
		{"open a directory for writing", directory, "dir", unix.O_RDWR},
		{"create what is there, exclusively", directory, "hello.txt", unix.O_CREAT | unix.O_EXCL},
		{"open a name too long", directory, strings.Repeat("n", 256), 0},
		{"open a path too long", directory, strings.Repeat("./", 2500) + "hello.txt", 0},
	} {
		fd, err := unix.Openat(tc.at, tc.path, tc.flags|unix.O_CLOEXEC, 0)
		r.err(tc.what, err)
		if err == nil {
			unix.Close(fd)
		}
	}
	n, err := raw(unix.SYS_OPENAT, uintptr(directory), 8, 0, 0)
	r.number("open a bad address", n, err)
}

// fileStats prints the parts of stat that both systems agree on.
func fileStats(r *report) {
	show := func(what string, stat *unix.Stat_t, err error) {
		if err != nil {
			r.err(what, err)
			return
		}
		kind := map[uint32]string{unix.S_IFREG: "file", unix.S_IFDIR: "directory", unix.S_IFCHR: "device"}[stat.Mode&unix.S_IFMT]
		if kind == "file" {
			r.say(what, "%s %o, %d bytes", kind, stat.Mode&0o777, stat.Size)
			return
		}
		r.say(what, "%s", kind)
	}
	var stat unix.Stat_t
	show("stat a file", &stat, unix.Stat(filepath.Join(fixture, "big.bin"), &stat))
	show("stat a program", &stat, unix.Stat(filepath.Join(fixture, "script"), &stat))
	show("stat a directory", &stat, unix.Stat(filepath.Join(fixture, "dir"), &stat))
	show("stat nothing", &stat, unix.Stat(filepath.Join(fixture, "none"), &stat))
	show("stat below a file", &stat, unix.Stat(filepath.Join(fixture, "hello.txt/x"), &stat))
	fd := must(unix.Open(filepath.Join(fixture, "empty"), unix.O_RDONLY|unix.O_CLOEXEC, 0))
	show("fstat", &stat, unix.Fstat(fd, &stat))
	show("fstatat of an empty path", &stat, unix.Fstatat(fd, "", &stat, unix.AT_EMPTY_PATH))
	show("fstatat of an empty path without the flag", &stat, unix.Fstatat(fd, "", &stat, 0))
	unix.Close(fd)
	show("fstat a closed descriptor", &stat, unix.Fstat(fd, &stat))
	show("stat /dev/null", &stat, unix.Stat("/dev/null", &stat))

	var first, second unix.Stat_t
	must(0, unix.Stat(filepath.Join(fixture, "dir/a"), &first))
	must(0, unix.Stat(filepath.Join(fixture, "dir/b"), &second))
	r.say("two files have different inodes", "%v", first.Ino != second.Ino && first.Dev == second.Dev)

	buffer := make([]byte, 4096)
	n, err := unix.Readlinkat(unix.AT_FDCWD, "/proc/self/exe", buffer)
	r.say("readlink /proc/self/exe", "absolute %v, %s", n > 0 && buffer[0] == '/', name(err))
	n, err = unix.Readlinkat(unix.AT_FDCWD, "/proc/self/exe", buffer[:3])
	r.number("readlink into 3 bytes", n, err)
	n, err = unix.Readlinkat(unix.AT_FDCWD, filepath.Join(fixture, "hello.txt"), buffer)
	r.number("readlink of a file", n, err)
	n, err = unix.Readlinkat(unix.AT_FDCWD, filepath.Join(fixture, "none"), buffer)
	r.number("readlink of nothing", n, err)
}

// deviceFiles uses /dev/null and /dev/urandom.
func deviceFiles(r *report) {
	buffer := make([]byte, 32)
	null := must(unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0))
	n, err := unix.Read(null, buffer)
	r.number("read /dev/null", n, err)
	n, err = unix.Write(null, buffer)
	r.number("write /dev/null", n, err)
	unix.Close(null)
	random := must(unix.Open("/dev/urandom", unix.O_RDONLY|unix.O_CLOEXEC, 0))
	n, err = unix.Read(random, buffer)
	r.number("read /dev/urandom", n, err)
	unix.Close(random)
}

// directories lists directories and changes the current one.
func directories(r *report) {
	directory := filepath.Join(fixture, "dir")
	fd := must(unix.Open(directory, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0))
	defer unix.Close(fd)
	buffer := make([]byte, 4096)
	n, err := unix.Read(fd, buffer)
	r.number("read a directory", n, err)
	r.say("list", "%s", list(fd, 4096))
	n, err = unix.Getdents(fd, buffer)
	r.number("list at the end", n, err)
	at, err := unix.Seek(fd, 0, unix.SEEK_SET)
	r.number("rewind", int(at), err)
	r.say("list in small pieces", "%s", list(fd, 40))
	unix.Seek(fd, 0, unix.SEEK_SET)
	n, err = unix.Getdents(fd, buffer[:8])
	r.number("list into 8 bytes", n, err)
	file := must(unix.Open(filepath.Join(fixture, "hello.txt"), unix.O_RDONLY|unix.O_CLOEXEC, 0))
	n, err = unix.Getdents(file, buffer)
	r.number("list a file", n, err)
	unix.Close(file)

	r.err("chdir to a file", unix.Chdir(filepath.Join(fixture, "hello.txt")))
	r.err("chdir to nothing", unix.Chdir(filepath.Join(fixture, "none")))
	before := make([]byte, 4096)
	n = must(unix.Getcwd(before))
	before = before[:n-1]
	r.err("chdir", unix.Chdir(directory))
	n, err = unix.Getcwd(buffer)
	r.say("getcwd", "%v, %s", err == nil && string(buffer[:n-1]) == directory, name(err))
	_, err = unix.Getcwd(buffer[:2])
	r.err("getcwd into 2 bytes", err)
	fd2, err := unix.Open("sub/../a", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	r.err("open from there", err)
	closeAll(fd2)
	r.err("chdir ..", unix.Chdir(".."))
	n, err = unix.Getcwd(buffer)
	r.say("getcwd after ..", "%v, %s", err == nil && string(buffer[:n-1]) == fixture, name(err))
	r.err("chdir back", unix.Chdir(string(before)))
}

// list reads a whole directory with a buffer of that size and returns "name:type" of each entry, sorted.
func list(fd, size int) string {
	var entries []string
	buffer := make([]byte, size)
	for {
		n, err := unix.Getdents(fd, buffer)
		if err != nil {
			return name(err)
		}
		if n == 0 {
			break
		}
		for b := buffer[:n]; len(b) > 0; {
			// struct linux_dirent64: u64 inode, i64 offset, u16 length, u8 type, name.
			length := binary.NativeEndian.Uint16(b[16:])
			text, _, _ := strings.Cut(string(b[19:length]), "\x00")
			kind := map[uint8]string{unix.DT_DIR: "directory", unix.DT_REG: "file"}[b[18]]
			entries = append(entries, text+":"+kind)
			b = b[length:]
		}
	}
	slices.SortFunc(entries, cmp.Compare[string])
	return strings.Join(entries, " ")
}

// appending writes at the end of a file, wherever the position is.
func appending(r *report) {
	fd := must(unix.MemfdCreate("append", unix.MFD_CLOEXEC))
	unix.Write(fd, []byte("begin"))
	_, err := unix.FcntlInt(uintptr(fd), unix.F_SETFL, unix.O_APPEND)
	r.err("set O_APPEND", err)
	unix.Seek(fd, 0, unix.SEEK_SET)
	n, err := unix.Write(fd, []byte("+end"))
	r.number("write with O_APPEND", n, err)
	at, err := unix.Seek(fd, 0, unix.SEEK_CUR)
	r.number("the offset behind it", int(at), err)
	n, err = unix.Pwrite(fd, []byte("!"), 1)
	r.number("pwrite with O_APPEND", n, err)
	at, err = unix.Seek(fd, 0, unix.SEEK_CUR)
	r.number("the offset stayed behind pwrite", int(at), err)
	buffer := make([]byte, 20)
	n, err = unix.Pread(fd, buffer, 0)
	r.data("what was appended", buffer, n, err)
	r.err("fsync of a memfd", unix.Fsync(fd))
	r.err("fdatasync of a memfd", unix.Fdatasync(fd))
	r.err("fchdir to a file", unix.Fchdir(fd))
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	r.say("times of a memfd", "%s, %v", name(err), st.Mtim.Sec > 1_600_000_000)
	unix.Close(fd)
	r.err("fchdir to what is closed", unix.Fchdir(fd))
	var p [2]int
	unix.Pipe2(p[:], unix.O_CLOEXEC)
	r.err("fsync of a pipe", unix.Fsync(p[0]))
	err = unix.Fstat(p[0], &st)
	r.say("times of a pipe", "%s, %v", name(err), st.Mtim.Sec > 1_600_000_000)
	unix.Close(p[0])
	unix.Close(p[1])
}

// identity asks what start-up code asks: where and who it is.
func identity(r *report) {
	d := must(unix.Open(filepath.Join(fixture, "dir"), unix.O_RDONLY|unix.O_CLOEXEC, 0))
	before := must(unix.Getwd())
	r.err("fchdir", unix.Fchdir(d))
	var st unix.Stat_t
	r.err("stat from there", unix.Stat("sub/deep.txt", &st))
	r.err("back", unix.Chdir(before))
	unix.Close(d)
	minus := -1
	_, err := raw(unix.SYS_GETGROUPS, uintptr(minus), 0)
	r.err("getgroups of a negative number", err)
	_, err = unix.Getgroups()
	r.err("getgroups", err)
	_, err = raw(unix.SYS_GETRESUID, 8, 8, 8)
	r.err("getresuid to a bad address", err)
	real, effective, saved := unix.Getresuid()
	r.say("real, effective and saved user", "equal %v", real == effective && effective == saved)
	real, effective, saved = unix.Getresgid()
	r.say("real, effective and saved group", "equal %v", real == effective && effective == saved)
}
