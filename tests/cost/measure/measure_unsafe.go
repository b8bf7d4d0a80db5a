// Measure is an /init that tells what system calls cost, where a nanosecond is an instruction: of short ones the mean of many,
// of the longest that a program can ask for the longest time that the kernel keeps the hart.
package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const deviceDirectory = 3 // as the kernel gives it to process 1

func main() {
	if len(os.Args) > 1 { // a child of longArguments
		return
	}
	runtime.LockOSThread()
	runtime.GOMAXPROCS(2) // a thread in a raw call keeps its own
	debug.SetGCPercent(-1)
	calls()
	longest()
}

// must ends the program, and with it the boot, when a call that is measured fails.
func must[T any](v T, err error) T {
	if err != nil {
		fmt.Println("measure: wrong:", err)
		os.Exit(1)
	}
	return v
}

func raw(number, a, b, c uintptr) uintptr {
	n, _, err := unix.RawSyscall(number, a, b, c)
	if err != 0 {
		must(0, err)
	}
	return n
}

func call(name string, f func()) {
	const rounds = 1000
	f() // its pages are there, and the runtime is done with it
	began := time.Now()
	for range rounds {
		f()
	}
	fmt.Printf("cost: %s: %d\n", name, time.Since(began)/rounds)
}

func pipe() (r, w uintptr) {
	var p [2]int
	must(0, unix.Pipe2(p[:], 0))
	return uintptr(p[0]), uintptr(p[1])
}

func calls() {
	b := make([]byte, 64)
	at := uintptr(unsafe.Pointer(&b[0]))
	call("getppid", func() { raw(unix.SYS_GETPPID, 0, 0, 0) })

	r, w := pipe()
	call("write and read of a pipe, 64 bytes", func() {
		raw(unix.SYS_WRITE, w, at, 64)
		raw(unix.SYS_READ, r, at, 64)
	})

	back, forth := pipe()
	go func() {
		runtime.LockOSThread()
		var b [1]byte
		for raw(unix.SYS_READ, r, uintptr(unsafe.Pointer(&b)), 1) == 1 {
			raw(unix.SYS_WRITE, forth, uintptr(unsafe.Pointer(&b)), 1)
		}
	}()
	call("a byte to another thread and back", func() {
		raw(unix.SYS_WRITE, w, at, 1)
		raw(unix.SYS_READ, back, at, 1)
	})

	epoll := uintptr(must(unix.EpollCreate1(0)))
	must(0, unix.EpollCtl(int(epoll), unix.EPOLL_CTL_ADD, int(back), &unix.EpollEvent{Events: unix.EPOLLIN}))
	events := make([]unix.EpollEvent, 8)
	call("epoll_pwait, nothing ready", func() {
		if _, _, err := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, epoll, uintptr(unsafe.Pointer(&events[0])), 8, 0, 0, 0); err != 0 {
			must(0, err)
		}
	})

	memory := uintptr(must(unix.MemfdCreate("measure", 0)))
	call("pwrite of a memfd, 64 bytes", func() {
		if _, _, err := unix.RawSyscall6(unix.SYS_PWRITE64, memory, at, 64, 0, 0, 0); err != 0 {
			must(0, err)
		}
	})
	call("mmap, touch and munmap of a page", func() {
		p, _, err := unix.RawSyscall6(unix.SYS_MMAP, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON, ^uintptr(0), 0)
		if err != 0 {
			must(0, err)
		}
		*(*byte)(unsafe.Add(unsafe.Pointer(nil), p)) = 1 // it is memory outside the heap
		raw(unix.SYS_MUNMAP, p, 4096, 0)
	})
	word := uint32(0)
	call("futex wake, nobody waits", func() {
		raw(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&word)), 1, 1)
	})
	past := unix.Timespec{}
	call("nanosleep of nothing", func() { raw(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&past)), 0, 0) })
}

// accounts is the kernel's word for the longest trap since it was asked last.
var accounts int

// trap prints the longest time in the kernel while f ran.
func trap(name string, f func()) {
	longestTrap()
	f()
	fmt.Printf("trap: %s: %d\n", name, longestTrap())
}

func longestTrap() int {
	b := make([]byte, 4096)
	n := must(unix.Pread(accounts, b, 0))
	for line := range strings.Lines(string(b[:n])) {
		if ns, ok := strings.CutPrefix(line, "trap-ns "); ok {
			return must(strconv.Atoi(strings.TrimSpace(ns)))
		}
	}
	return must(0, syscall.ENOENT)
}

func longest() {
	accounts = must(unix.Openat(deviceDirectory, "accounts", unix.O_RDONLY|unix.O_CLOEXEC, 0))
	vectors()
	arguments()
}

// most is IOV_MAX.
const most = 1024

// spread is a vector of n bytes each, every one over the end of a page that nobody has touched.
func spread(n int) [][]byte {
	const page = 4096
	memory := must(unix.Mmap(-1, 0, (2*most+1)*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON))
	v := make([][]byte, most)
	for i := range v {
		v[i] = memory[(2*i+1)*page-n/2:][:n]
	}
	return v
}

func vectors() {
	const n = 4 // PIPE_BUF / most
	in := func(name string, f func(v [][]byte) (int, error)) {
		v := spread(n)
		for _, what := range []string{"untouched pages", "pages that are there"} {
			trap(name+" of 1024 parts, "+what, func() {
				if got := must(f(v)); got != n*most {
					must(0, unix.EIO)
				}
			})
		}
	}
	memory := must(unix.MemfdCreate("vectors", 0))
	in("writev to a memfd", func(v [][]byte) (int, error) { return unix.Writev(memory, v) })
	must(unix.Seek(memory, 0, 0))
	in("readv from a memfd", func(v [][]byte) (int, error) { return unix.Readv(memory, v) })
	var p [2]int
	must(0, unix.Pipe2(p[:], 0))
	in("writev to a pipe", func(v [][]byte) (int, error) { return unix.Writev(p[1], v) })
	in("readv from a pipe", func(v [][]byte) (int, error) { return unix.Readv(p[0], v) })
	for _, kind := range []struct {
		name  string
		value int
	}{{"stream", unix.SOCK_STREAM}, {"datagram", unix.SOCK_DGRAM}, {"seqpacket", unix.SOCK_SEQPACKET}} {
		s := must(unix.Socketpair(unix.AF_UNIX, kind.value, 0))
		in("sendmsg to a "+kind.name+" socket", func(v [][]byte) (int, error) { return unix.SendmsgBuffers(s[0], v, nil, nil, 0) })
		in("recvmsg from a "+kind.name+" socket", func(v [][]byte) (int, error) {
			n, _, _, _, err := unix.RecvmsgBuffers(s[1], v, nil, 0)
			return n, err
		})
	}
}

// arguments are the most strings that execve takes, and the most bytes.
func arguments() {
	run := func(args []string) {
		attr := &syscall.ProcAttr{Files: []uintptr{0, 1, 2}}
		pid := must(syscall.ForkExec("/init", append([]string{"init"}, args...), attr))
		var status syscall.WaitStatus
		must(syscall.Wait4(pid, &status, 0, nil))
	}
	many := make([]string, 1000)
	for i := range many {
		many[i] = "argument"
	}
	trap("execve with 1000 short arguments", func() { run(many) })
	for i := range many {
		many[i] = strings.Repeat("a", 120)
	}
	trap("execve with 1000 arguments of 120 bytes", func() { run(many) })
	trap("execve with one argument of 120000 bytes", func() { run([]string{strings.Repeat("a", 120_000)}) })
}
