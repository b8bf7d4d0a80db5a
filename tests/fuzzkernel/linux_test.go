package fuzzkernel

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nexus/tests/abi/guest"
	"nexus/tests/fuzzkernel/generate"
	"nexus/tests/fuzzkernel/program"
)

// linuxCalls is how many calls are made at least.
const linuxCalls = 4000

// differences are the answers in which neuron is not Linux on purpose, or qemu-user is not. What a program does after one
// is not compared.
var differences = []struct {
	call          string
	linux, neuron string // "" is any
	why           string
}{
	{"ftruncate", "0x0", "EFBIG", "CAVEATS: a memfd has 1 GiB"},
	{"pwrite64", "", "EFBIG", "the same"},
	{"write", "", "EFBIG", "the same"},
	{"writev", "", "EFBIG", "the same"},
	{"epoll_ctl", "0x0", "EINVAL", "CAVEATS: epoll not inside epoll"},
	{"epoll_ctl", "ELOOP", "EINVAL", "the same"},
	{"sendto", "EINVAL", "ENOTSOCK", "qemu-user looks for a number where something is sent to an eventfd"},
	{"sendmsg", "", "ETOOMANYREFS", "CAVEATS: no rings of sockets that wait at each other"},
	{"sendmsg", "EINVAL", "ENOTSOCK", "qemu-user reads the message before Linux sees the descriptor"},
	{"mprotect", "ENOMEM", "0x0", "qemu-user, of a shared mapping behind its file's end; Linux itself says 0"},
	{"futex", "", "ENOSYS", "system-calls.md: WAIT, WAKE, WAIT_BITSET and WAKE_BITSET with all bits"},
}

// parts reports whether from an answer on that both give a program goes on in another way: memory is not the same any more.
func parts(o program.Op, answer string) bool {
	switch program.Calls[o.Number] {
	case "mmap":
		return o.Code == program.Call && answer == "ENODEV" // Linux has unmapped the place by then if the file is a socket
	case "mprotect":
		return o.Code == program.Call && answer == "ENOMEM" // qemu-user does not know that Linux has changed what is before the hole
	}
	return false
}

// linux runs a program here, by qemu-user, and returns its results and whether it ended.
func linux(t *testing.T, emulator, executor string, p *program.Program) (results []uint64, ended bool) {
	t.Helper()
	directory := t.TempDir()
	binaryFile, resultFile := filepath.Join(directory, "program"), filepath.Join(directory, "results")
	if err := os.WriteFile(binaryFile, p.Encode(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(resultFile, make([]byte, program.ResultSize), 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := os.OpenFile(binaryFile, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(resultFile, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	// Descriptor 2 is /dev/null, as it is on neuron.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, emulator, executor)
	command.Stdin, command.Stdout = in, out
	command.Run() // how it ends is in the results
	raw, err := os.ReadFile(resultFile)
	if err != nil {
		t.Fatal(err)
	}
	results = make([]uint64, p.Len())
	for i := range results {
		results[i] = binary.LittleEndian.Uint64(raw[program.ResultFirst+8*i:])
	}
	return results, ctx.Err() == nil
}

// closeOnExec keeps whatever descriptors this process was started with from the programs, which count theirs.
func closeOnExec(t *testing.T) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
}

// answer is a result as it is compared: addresses that the kernel chose and ids are all one.
func answer(o program.Op, r uint64) string {
	if n := int64(r); n < 0 && n > -4096 {
		return unix.ErrnoName(unix.Errno(-n))
	}
	name := program.Calls[o.Number]
	switch {
	case o.Code != program.Call:
	case name == "mmap" && o.Args[3].Number&0x10 == 0:
		return "an address"
	case name == "fcntl" && o.Args[1].Number == 3:
		r &^= 0x8000 // O_LARGEFILE, which qemu-user takes away
	case name == "getpid" || name == "gettid":
		return "an id"
	}
	return fmt.Sprintf("%#x", r)
}

// allowed says why two answers may differ; "" if they may not.
func allowed(o program.Op, linux, neuron string) string {
	for _, d := range differences {
		if d.call == program.Calls[o.Number] && (d.linux == "" || d.linux == linux) && (d.neuron == "" || d.neuron == neuron) {
			return d.why
		}
	}
	return ""
}

// TestLinux compares what programs of one thread are answered with what Linux answers them.
func TestLinux(t *testing.T) {
	var emulator string
	for _, name := range []string{"qemu-riscv64-static", "qemu-riscv64"} {
		if path, err := exec.LookPath(name); err == nil {
			emulator = path
		}
	}
	if emulator == "" {
		t.Skip("there is no qemu-riscv64")
	}
	m := newMachine(t, *kernel)
	executor := filepath.Join(t.TempDir(), "executor")
	guest.Build(t, "build", "-ldflags=-s -w -E main.entry", "-o", executor, "./tests/fuzzkernel/cmd/executor")
	closeOnExec(t)
	answers := make(map[string][]uint64)
	m.say = func(line string) {
		if rest, ok := strings.CutPrefix(line, "fuzz: answers "); ok {
			fields := strings.Fields(rest)
			for _, f := range fields[1:] {
				n, err := strconv.ParseUint(f, 16, 64)
				if err != nil {
					t.Errorf("a result is %q", f)
				}
				answers[fields[0]] = append(answers[fields[0]], n)
			}
		}
	}
	o := m.boot(t, fmt.Sprintf("fuzz.alone=1 fuzz.seed=%d fuzz.calls=%d", *seed, linuxCalls), nil)
	for _, f := range o.findings {
		t.Errorf("%s: %s", f.run, f.what)
	}
	compared := 0
	for episode := 0; answers[fmt.Sprintf("%d/%d", *seed, episode)] != nil; episode++ {
		run := fmt.Sprintf("%d/%d", *seed, episode)
		p := generate.Alone(uint64(*seed), uint64(episode))
		want, ended := linux(t, emulator, executor, p)
		same := true
		for i, o := range p.Lists[0] {
			w, g := answer(o, want[i]), answer(o, answers[run][i])
			if compared++; w == g && !parts(o, w) {
				continue
			}
			same = false
			if w == g {
				break
			}
			if allowed(o, w, g) == "" {
				t.Errorf("%s: operation %d, %s: %s, on Linux %s", run, i, o, g, w)
			}
			break
		}
		if same && !ended {
			t.Errorf("%s does not end on Linux", run)
		}
	}
	if compared < linuxCalls/2 {
		t.Errorf("%d answers were compared, want %d", compared, linuxCalls/2)
	}
}
