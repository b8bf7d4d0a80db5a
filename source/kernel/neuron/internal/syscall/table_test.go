package syscall

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/proc"
)

var update = flag.Bool("update", false, "write docs/architecture/system-calls.md anew")

const page = "../../../../../docs/architecture/system-calls.md"

// document is the page that lists the table.
func document() string {
	var b strings.Builder
	b.WriteString(`# System calls

The subset of Linux/riscv64's system calls that neuron has, made from its table by
` + "`go test ./source/kernel/neuron/internal/syscall -update`" + `. What a call does is what section 2 of the Linux manual pages
says; the last column says what of it is missing. Every other number gets ENOSYS. ` + "`tests/abi`" + ` compares answers with Linux's.

| number | name | missing |
| ---: | --- | --- |
`)
	n := 0
	for i := range Limit {
		c := Number(i)
		if c.handler == nil {
			continue
		}
		n++
		missing := c.Partial
		if missing == "" {
			missing = "–"
		}
		fmt.Fprintf(&b, "| %d | [%s](https://man7.org/linux/man-pages/man2/%s.2.html) | %s |\n", i, c.Name, manual(c.Name), missing)
	}
	fmt.Fprintf(&b, "\n%d calls.\n", n)
	b.WriteString(`
## Signals

A call that sleeps when a handler has to run returns what it has done. If that is nothing, it goes on after the handler, or ends with EINTR:

`)
	for _, kind := range []struct {
		r    proc.Restart
		what string
	}{
		{proc.Asked, "goes on if the handler has SA_RESTART"},
		{proc.Untimed, "goes on if the handler has SA_RESTART and the call no time-out"},
		{proc.Never, "ends with EINTR"},
		{proc.Always, "goes on"},
	} {
		var names []string
		for i := range Limit {
			if Number(i).handler != nil && Number(i).restart == kind.r {
				names = append(names, Number(i).Name)
			}
		}
		if kind.r == proc.Always {
			names = []string{"every other call"}
		}
		fmt.Fprintf(&b, "- %s: %s.\n", kind.what, strings.Join(names, ", "))
	}
	return b.String()
}

// manual is the name of a call's manual page where it differs.
func manual(name string) string {
	switch name {
	case "newfstatat":
		return "fstatat"
	case "exit":
		return "_exit"
	case "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "clock_getres":
		return strings.TrimPrefix(name, "rt_")
	case "accept4":
		return "accept"
	case "epoll_pwait":
		return "epoll_wait"
	case "pread64", "pwrite64":
		return strings.TrimSuffix(name, "64")
	}
	return name
}

func TestTableIsDocumented(t *testing.T) {
	want := document()
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil || string(got) != want {
		t.Errorf("docs/architecture/system-calls.md is not what the table says (%v): run go test ./source/kernel/neuron/internal/syscall -update", err)
	}
}

// Numbers of riscv64 differ from the host's, so some stand here a second time, from asm-generic/unistd.h.
func TestNumbers(t *testing.T) {
	for n, name := range map[int]string{
		19: "eventfd2", 20: "epoll_create1", 22: "epoll_pwait", 24: "dup3", 56: "openat", 59: "pipe2", 63: "read", 79: "newfstatat",
		94: "exit_group", 98: "futex", 131: "tgkill", 139: "rt_sigreturn", 199: "socketpair", 211: "sendmsg", 220: "clone",
		221: "execve", 222: "mmap", 258: "riscv_hwprobe", 260: "wait4", 278: "getrandom",
	} {
		if got := Number(n).Name; got != name {
			t.Errorf("call %d is %q, want %q", n, got, name)
		}
	}
}

func TestErrnosAreLinux(t *testing.T) {
	for got, want := range map[abi.Errno]unix.Errno{
		abi.EAGAIN: unix.EAGAIN, abi.ENOSYS: unix.ENOSYS, abi.ENOTSOCK: unix.ENOTSOCK, abi.EAFNOSUPPORT: unix.EAFNOSUPPORT,
		abi.EINPROGRESS: unix.EINPROGRESS, abi.ETIMEDOUT: unix.ETIMEDOUT, abi.ECONNREFUSED: unix.ECONNREFUSED, abi.ENETDOWN: unix.ENETDOWN,
		abi.EOVERFLOW: unix.EOVERFLOW, abi.ELOOP: unix.ELOOP, abi.ENAMETOOLONG: unix.ENAMETOOLONG, abi.ENOPROTOOPT: unix.ENOPROTOOPT,
	} {
		if uint16(got) != uint16(want) {
			t.Errorf("%v is %d, want %d", want, got, uint16(want))
		}
	}
}

func TestStatLayout(t *testing.T) {
	var st abi.Stat
	offsets := map[string][2]uintptr{
		"size":  {unsafe.Sizeof(st), 128},
		"mode":  {unsafe.Offsetof(st.Mode), 16},
		"rdev":  {unsafe.Offsetof(st.Rdev), 32},
		"bytes": {unsafe.Offsetof(st.Size), 48},
		"mtime": {unsafe.Offsetof(st.Mtim), 88},
	}
	for name, o := range offsets {
		if o[0] != o[1] {
			t.Errorf("%s at %d, want %d", name, o[0], o[1])
		}
	}
}
