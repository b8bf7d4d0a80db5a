package main

import (
	"bytes"
	"path/filepath"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

const pageSize = 4096

// mmap calls the kernel directly, without the library's bookkeeping.
func mmap(at uintptr, length, protection, flags, fd int, offset int64) (uintptr, error) {
	return rawAddress(unix.SYS_MMAP, at, uintptr(length), uintptr(protection), uintptr(flags), uintptr(fd), uintptr(offset))
}

func munmap(at uintptr, length int) error {
	_, err := raw(unix.SYS_MUNMAP, at, uintptr(length))
	return err
}

func mprotect(at uintptr, length, protection int) error {
	_, err := raw(unix.SYS_MPROTECT, at, uintptr(length), uintptr(protection))
	return err
}

const (
	anonymous = unix.MAP_PRIVATE | unix.MAP_ANON
	readWrite = unix.PROT_READ | unix.PROT_WRITE
)

// fault runs access and returns the address at which it faulted, or 0.
func fault(access func()) (at uintptr) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if e, ok := recover().(interface{ Addr() uintptr }); ok {
			at = e.Addr()
		}
	}()
	access()
	return 0
}

// use takes a value that was read only to see whether that faults.
//
//go:noinline
func use(byte) {}

func memory(r *report) {
	try := func(what string, at uintptr, length, protection, flags, fd int, offset int64) {
		got, err := mmap(at, length, protection, flags, fd, offset)
		r.err(what, err)
		if err == nil {
			munmap(got, length)
		}
	}
	try("map anonymous memory", 0, 3*pageSize, readWrite, anonymous, -1, 0)
	try("map nothing", 0, 0, readWrite, anonymous, -1, 0)
	try("neither private nor shared", 0, pageSize, readWrite, unix.MAP_ANON, -1, 0)
	try("more than there is", 0, 1<<47, readWrite, anonymous|unix.MAP_NORESERVE, -1, 0)
	try("fixed at an odd address", 0x7001, pageSize, readWrite, anonymous|unix.MAP_FIXED, -1, 0)
	try("a bad descriptor", 0, pageSize, unix.PROT_READ, unix.MAP_PRIVATE, 99999, 0)
	read, write := pipe2(0)
	try("a pipe", 0, pageSize, unix.PROT_READ, unix.MAP_PRIVATE, read, 0)
	try("a pipe, shared", 0, pageSize, unix.PROT_READ, unix.MAP_SHARED, read, 0)
	try("a pipe's other end, shared", 0, pageSize, unix.PROT_READ, unix.MAP_SHARED, write, 0)
	closeAll(read, write)
	counter := must(unix.Eventfd(0, unix.EFD_CLOEXEC))
	try("an eventfd, shared", 0, pageSize, readWrite, unix.MAP_SHARED, counter, 0)
	null := must(unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0))
	try("/dev/null, shared", 0, pageSize, readWrite, unix.MAP_SHARED, null, 0)
	directory := must(unix.Open(fixture, unix.O_RDONLY|unix.O_CLOEXEC, 0))
	try("a directory", 0, pageSize, unix.PROT_READ, unix.MAP_PRIVATE, directory, 0)
	try("a directory, shared", 0, pageSize, unix.PROT_READ, unix.MAP_SHARED, directory, 0)
	closeAll(counter, null, directory)

	base := must(mmap(0, 8*pageSize, readWrite, anonymous, -1, 0))
	m := bytesAt(base, 8*pageSize)
	r.say("it is zero", "%v", bytes.Count(m, []byte{0}) == len(m))
	for i := range m {
		m[i] = byte(i / pageSize)
	}
	r.err("unmap in the middle", munmap(base+2*pageSize, pageSize))
	r.say("fault in the hole", "page %d", int(fault(func() { use(m[2*pageSize+5]) })-base)/pageSize)
	r.say("both sides are left", "%d %d", m[2*pageSize-1], m[3*pageSize])
	r.err("unmap the hole again", munmap(base+2*pageSize, pageSize))
	r.err("unmap an odd address", munmap(base+1, pageSize))
	r.err("unmap nothing", munmap(base, 0))
	r.err("protect a range with a hole", mprotect(base, 4*pageSize, readWrite))
	r.err("protect an odd address", mprotect(base+1, pageSize, readWrite))
	r.err("protect with bad bits", mprotect(base, pageSize, 0x100))
	r.err("protect nothing with bad bits", mprotect(base, 0, 0x100))
	r.err("protect with PROT_SEM", mprotect(base, pageSize, readWrite|8))
	r.err("protect what is far away", mprotect(1<<46, pageSize, readWrite))
	r.err("protect all addresses", mprotect(base, -1, readWrite))

	r.err("protect to read", mprotect(base+4*pageSize, pageSize, unix.PROT_READ))
	r.say("write to what is read-only", "offset %#x", int(fault(func() { m[4*pageSize+0x123] = 1 })-base))
	r.say("read what is read-only", "%d", m[4*pageSize])
	r.err("protect to nothing", mprotect(base+4*pageSize, pageSize, unix.PROT_NONE))
	r.say("read what is closed", "offset %#x", int(fault(func() { use(m[4*pageSize]) })-base))
	r.err("open it again", mprotect(base+4*pageSize, pageSize, readWrite))
	r.say("its contents are left", "%d", m[4*pageSize])

	got, err := mmap(base+5*pageSize, pageSize, readWrite, anonymous|unix.MAP_FIXED, -1, 0)
	r.say("map over it", "there %v, %s, contents %d", got == base+5*pageSize, name(err), m[5*pageSize])
	got, err = mmap(base+6*pageSize, pageSize, readWrite, anonymous, -1, 0)
	r.say("an address that is taken is a hint", "elsewhere %v, %s", got != base+6*pageSize, name(err))
	munmap(got, pageSize)

	advise := func(what string, at uintptr, length, advice int) {
		_, err := raw(unix.SYS_MADVISE, at, uintptr(length), uintptr(advice))
		r.err(what, err)
	}
	advise("MADV_DONTNEED", base+7*pageSize, pageSize, unix.MADV_DONTNEED)
	r.say("it is zero again", "%d", m[7*pageSize])
	advise("MADV_DONTNEED over a hole", base+pageSize, 2*pageSize, unix.MADV_DONTNEED)
	advise("advice at an odd address", base+1, pageSize, unix.MADV_DONTNEED)
	advise("bad advice", base, pageSize, 9999)
	munmap(base, 8*pageSize)
	present(r)
	mapFile(r)
	mapShared(r)
}

// present asks which pages are there.
func present(r *report) {
	base := must(mmap(0, 4*pageSize, readWrite, anonymous, -1, 0))
	use(bytesAt(base+pageSize, 1)[0])
	bytesAt(base+3*pageSize, 1)[0] = 1
	there := new([4]byte)
	ask := func(what string, at uintptr, length int, vector uintptr) {
		*there = [4]byte{}
		_, err := raw(unix.SYS_MINCORE, at, uintptr(length), vector)
		r.say(what, "%s %v", name(err), *there)
	}
	to := address(there)
	ask("what is there", base, 4*pageSize, to)
	ask("of a part of a page", base+3*pageSize, 1, to)
	ask("of nothing", base, 0, to)
	ask("at an odd address", base+1, pageSize, to)
	ask("to a bad address", base, pageSize, 8)
	ask("of more than there is", base, 1<<50, to)
	munmap(base+2*pageSize, pageSize)
	ask("of a hole", base+2*pageSize, pageSize, to)
	munmap(base, 4*pageSize)
}

// mapFile maps a file of 10,000 bytes.
func mapFile(r *report) {
	fd := must(unix.Open(filepath.Join(fixture, "big.bin"), unix.O_RDONLY|unix.O_CLOEXEC, 0))
	defer unix.Close(fd)
	const size = 10000
	contents := make([]byte, size)
	must(unix.Pread(fd, contents, 0))
	base := must(mmap(0, 3*pageSize, unix.PROT_READ, unix.MAP_PRIVATE, fd, 0))
	m := bytesAt(base, 3*pageSize)
	r.say("a mapped file", "equal %v, zero behind %v", bytes.Equal(m[:size], contents), bytes.Count(m[size:], []byte{0}) == len(m)-size)
	munmap(base, 3*pageSize)
	base = must(mmap(0, pageSize, readWrite, unix.MAP_PRIVATE, fd, pageSize))
	m = bytesAt(base, pageSize)
	r.say("its second page", "equal %v", bytes.Equal(m, contents[pageSize:2*pageSize]))
	m[0] ^= 0xff
	again := make([]byte, 1)
	must(unix.Pread(fd, again, pageSize))
	r.say("a private write", "file unchanged %v", again[0] == contents[pageSize] && m[0] != again[0])
	munmap(base, pageSize)
	_, err := mmap(0, pageSize, readWrite, unix.MAP_SHARED, fd, 0)
	r.err("shared and writable from a read-only descriptor", err)
	_, err = mmap(0, pageSize, unix.PROT_READ, unix.MAP_PRIVATE, fd, 1)
	r.err("an odd offset", err)
	base, err = mmap(0, pageSize, unix.PROT_READ, unix.MAP_PRIVATE, fd, 4*pageSize)
	r.err("behind the end", err)
	r.say("reading there", "fault %v", fault(func() { use(bytesAt(base, 1)[0]) }) == base)
	munmap(base, pageSize)
}

// mapShared maps a file of 10,000 bytes shared, and in the middle of other memory.
func mapShared(r *report) {
	fd := must(unix.Open(filepath.Join(fixture, "big.bin"), unix.O_RDONLY|unix.O_CLOEXEC, 0))
	defer unix.Close(fd)
	const size = 10000
	contents := make([]byte, 3*pageSize)
	must(unix.Pread(fd, contents, 0))
	base := must(mmap(0, 4*pageSize, unix.PROT_READ, unix.MAP_SHARED, fd, 0))
	r.say("a file mapped shared", "equal %v, zero behind %v", bytes.Equal(bytesAt(base, size), contents[:size]),
		bytes.Equal(bytesAt(base+size, 3*pageSize-size), contents[size:]))
	r.say("the page behind its last", "offset %#x", int(fault(func() { use(bytesAt(base+3*pageSize, 1)[0]) })-base))
	r.err("to be written to", mprotect(base, pageSize, readWrite))
	munmap(base, 4*pageSize)

	// Where one fault could fill the neighbours' pages too.
	const group = 16
	place := must(mmap(0, 2*group*pageSize, readWrite, anonymous, -1, 0))
	base = (place + group*pageSize - 1) &^ (group*pageSize - 1)
	must(mmap(base, pageSize, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_FIXED, fd, 0))
	use(bytesAt(base, 1)[0])
	next := bytesAt(base+pageSize, pageSize)
	r.say("memory beside a file", "zero %v", bytes.Count(next, []byte{0}) == len(next))
	r.err("it is protected anew", mprotect(base, 2*pageSize, readWrite))
	next[0] = ^contents[pageSize]
	again := make([]byte, 1)
	must(unix.Pread(fd, again, pageSize))
	r.say("a write to it", "file unchanged %v", again[0] == contents[pageSize])
	munmap(place, 2*group*pageSize)
}

// memfds uses memory through descriptors.
func memfds(r *report) {
	_, err := unix.MemfdCreate("x", 1<<20)
	r.err("a bad flag", err)
	fd := must(unix.MemfdCreate("test", unix.MFD_CLOEXEC))
	var stat unix.Stat_t
	must(0, unix.Fstat(fd, &stat))
	r.say("new", "%d bytes", stat.Size)
	r.err("to -1 bytes", unix.Ftruncate(fd, -1))
	r.err("to 2 pages", unix.Ftruncate(fd, 2*pageSize))
	must(0, unix.Fstat(fd, &stat))
	r.say("grown", "%d bytes", stat.Size)
	first := must(mmap(0, 2*pageSize, readWrite, unix.MAP_SHARED, fd, 0))
	second := must(mmap(0, pageSize, unix.PROT_READ, unix.MAP_SHARED, fd, pageSize))
	bytesAt(first, 2*pageSize)[pageSize] = 'm'
	r.say("one mapping sees the other", "%q", bytesAt(second, 1))
	n, err := unix.Pwrite(fd, []byte("written"), 10)
	r.number("pwrite", n, err)
	r.say("a mapping sees a write", "%q", bytesAt(first+10, 7))
	buffer := make([]byte, 8)
	n, err = unix.Pread(fd, buffer, pageSize)
	r.data("pread sees a mapping", buffer[:1], min(n, 1), err)
	private := must(mmap(0, pageSize, readWrite, unix.MAP_PRIVATE, fd, 0))
	bytesAt(private, 16)[10] = 'X'
	r.say("a private mapping", "%q and %q", bytesAt(private+10, 7), bytesAt(first+10, 7))
	code, err := mmap(0, pageSize, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_SHARED, fd, 0)
	r.err("map it to execute", err)
	munmap(code, pageSize)
	unix.Close(fd)
	r.say("the memory outlives the descriptor", "%q", bytesAt(first+10, 7))
	munmap(first, 2*pageSize)
	munmap(second, pageSize)
	munmap(private, pageSize)

	fd = must(unix.MemfdCreate("grow", unix.MFD_CLOEXEC))
	n, err = unix.Write(fd, []byte("hello"))
	r.number("write", n, err)
	at, err := unix.Seek(fd, 0, unix.SEEK_END)
	r.number("the end", int(at), err)
	n, err = unix.Pread(fd, buffer, 1)
	r.data("pread up to the end", buffer, n, err)
	n, err = unix.Pwrite(fd, []byte("x"), pageSize+1)
	r.number("pwrite beyond the end", n, err)
	must(0, unix.Fstat(fd, &stat))
	n, err = unix.Pread(fd, buffer, 5)
	r.say("it grew, with zeros between", "%d bytes, %q, %s", stat.Size, buffer[:n], name(err))
	unix.Close(fd)
}
