package vdso

import (
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestCall runs the code itself: the Go calling convention passes the first integers where C's does, and the code
// leaves alone what Go keeps in registers.
func TestCall(t *testing.T) {
	memory, err := unix.Mmap(-1, 0, PageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(memory)
	Build((*[PageSize]byte)(memory), 1_000_000_000, testOffset)
	if err := unix.Mprotect(memory, unix.PROT_READ|unix.PROT_EXEC); err != nil {
		t.Fatal(err)
	}
	entry := uintptr(unsafe.Pointer(&memory[codeAt]))
	closure := &entry
	clockGettime := *(*func(clock int, ts *[2]int64) int)(unsafe.Pointer(&closure))

	var first, second, wall, fallback [2]int64
	for _, call := range []struct {
		clock int
		ts    *[2]int64
	}{{1, &first}, {0, &wall}, {2, &fallback}, {7, &second}} {
		if errno := clockGettime(call.clock, call.ts); errno != 0 {
			t.Fatalf("clock %d: %d", call.clock, errno)
		}
	}
	nanoseconds := func(ts [2]int64) time.Duration { return time.Duration(ts[0]*1e9 + ts[1]) }
	if nanoseconds(second) <= nanoseconds(first) {
		t.Errorf("the clock went from %v to %v", first, second)
	}
	if d := nanoseconds(wall) - time.Duration(testOffset) - nanoseconds(first); d < 0 || d > nanoseconds(second)-nanoseconds(first) {
		t.Errorf("CLOCK_REALTIME %v, CLOCK_MONOTONIC %v", wall, first)
	}
	if fallback[0] < 0 || fallback[0] > 3600 {
		t.Errorf("CLOCK_PROCESS_CPUTIME_ID by system call: %v", fallback)
	}
}
