package main

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// watched is memory that nobody may change: this program's text, a file of the archive, and a pattern.
type watched struct {
	text, file []byte
	pattern    []uint64
	textSum    uint64
	fileSum    uint64
}

const (
	canaryFile   = "/canary"
	patternWords = 2 * 512
)

// textStart is where the linker puts the text of programs for linux/riscv64; the canary reads from there on.
const (
	textStart = 0x11000
	textSize  = 512 << 10
)

func watch() (w watched) {
	// The text lies there for as long as the program runs.
	w.text = unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&[]uintptr{textStart}[0]))), textSize)
	fd, err := unix.Open(canaryFile, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		fail(canaryFile, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		fail(canaryFile, err)
	}
	if w.file, err = unix.Mmap(fd, 0, int(st.Size), unix.PROT_READ, unix.MAP_PRIVATE); err != nil {
		fail(canaryFile, err)
	}
	unix.Close(fd)
	w.pattern = make([]uint64, patternWords)
	for i := range w.pattern {
		w.pattern[i] = mark(i)
	}
	w.textSum, w.fileSum = checksum(w.text), checksum(w.file)
	return w
}

func mark(i int) uint64 { return 0x9e3779b97f4a7c15 * uint64(i+1) }

// checksum takes whole words: a page of them is few instructions.
func checksum(b []byte) (s uint64) {
	for _, w := range unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/8) {
		s = s<<1 ^ s>>63 ^ w
	}
	return s
}

// changed says what is not as it was; "" is nothing.
func (w *watched) changed(all bool) string {
	for i, v := range w.pattern {
		if v != mark(i) {
			return fmt.Sprintf("memory of a bystander has changed: word %d is %#x", i, v)
		}
	}
	switch {
	case checksum(w.file) != w.fileSum:
		return "a file of the archive has changed"
	case all && checksum(w.text) != w.textSum:
		return "the text of process 1 has changed"
	}
	return ""
}

func (d *director) checkAll(name string) {
	if what := d.watched.changed(true); what != "" {
		d.finding(name, what)
		d.finish()
	}
}

// canaryProcess is a second bystander that works all the time: see canary.
type canaryProcess struct {
	pid    int
	result int // a memfd: word 0 counts rounds, word 1 is a finding
	words  []uint64
}

// start starts it, again if it has ended.
func (c *canaryProcess) start() {
	if c.words != nil {
		unix.Munmap(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(c.words))), 4096))
		unix.Close(c.result)
	}
	c.result = memfd("canary")
	if err := unix.Ftruncate(c.result, 4096); err != nil {
		fail("canary", err)
	}
	b, err := unix.Mmap(c.result, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		fail("canary", err)
	}
	c.words = unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(b))), 512)
	c.pid, err = syscall.ForkExec("/proc/self/exe", []string{"/init", "canary"}, &syscall.ProcAttr{Files: []uintptr{^uintptr(0), 1, 2, uintptr(c.result)}})
	if err != nil {
		fail("canary", err)
	}
	for c.words[0] == 0 {
		t := unix.NsecToTimespec(1_000_000)
		unix.Nanosleep(&t, nil)
	}
}

// ended is told of every child that has ended. Who runs the machine knows whether the kernel said that memory was used up: that ends
// whoever asks next.
func (c *canaryProcess) ended(pid int) {
	if pid == c.pid {
		fmt.Println("fuzz: the canary has ended")
		c.pid = 0
	}
}

func (c *canaryProcess) check(d *director, name string) {
	what := d.watched.changed(false)
	if f := c.words[1]; f != 0 && what == "" {
		what = "canary: " + canaryFindings[f]
	}
	if what != "" {
		d.finding(name, what)
		d.finish() // what runs from here on proves nothing
	}
}

var canaryFindings = map[uint64]string{
	1: "its memory has changed", 2: "somebody woke its futex", 3: "memory fresh from the kernel was not zero",
	4: "a pipe gave other bytes than were written", 5: "its wake reached somebody else",
}

// canary looks at its own memory, waits at a word that nobody else can wake, on a page that was somebody's before, wakes whoever waits at
// such pages, which is nobody, and sends bytes through a pipe, for ever.
func canary() {
	result, err := unix.Mmap(3, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		os.Exit(2)
	}
	words := unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(result))), 512)
	w := watch()
	var pipe [2]int
	if unix.Pipe2(pipe[:], unix.O_NONBLOCK) != nil {
		os.Exit(2)
	}
	var before []byte
	for round := uint64(1); ; round++ {
		if round%16 == 0 && w.changed(round%256 == 0) != "" {
			words[1] = 1
		}
		// What others gave back last is handed out first: so it is not this process's own pages of the round before.
		fresh, err := unix.Mmap(-1, 0, 4*4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
		if err == nil {
			if what := look(fresh); what != 0 {
				words[1] = what
			}
			unmap(before)
			if wait(fresh) {
				words[1] = 2
			}
			before = fresh
		}
		out, in := [16]byte{1: byte(round), 15: byte(round >> 8)}, [16]byte{}
		if n, _ := unix.Write(pipe[1], out[:]); n == len(out) {
			if n, _ := unix.Read(pipe[0], in[:]); n != len(in) || in != out {
				words[1] = 4
			}
		}
		words[0] = round
	}
}

func unmap(b []byte) {
	if b != nil {
		unix.Munmap(b)
	}
}

// look finds out whether memory is new, and nobody waits there. It says what it has found, or 0.
func look(fresh []byte) (what uint64) {
	for i := range fresh {
		if fresh[i] != 0 {
			what = 3
		}
		fresh[i] = byte(i) | 1
	}
	for at := 0; at < len(fresh); at += 4096 {
		for word := at; word < at+16; word += 4 {
			for _, private := range []uintptr{0, 0x80} {
				if woken, _, _ := unix.Syscall(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&fresh[word])), 1|private, 1); woken != 0 {
					what = 5
				}
			}
		}
	}
	return what
}

// wait waits at a word for a millisecond, and says whether it was woken.
func wait(fresh []byte) bool {
	clear(fresh[:8])
	timeout := unix.NsecToTimespec(1_000_000)
	_, _, e := unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&fresh[0])), 0x80, 0, uintptr(unsafe.Pointer(&timeout)), 0, 0)
	return e == 0
}
