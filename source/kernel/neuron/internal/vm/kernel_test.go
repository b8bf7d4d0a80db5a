package vm

import (
	"testing"

	"nexus/source/kernel/neuron/internal/arch"
	"nexus/source/kernel/neuron/internal/mem"
)

// kernelEntry walks the kernel's table as the processor does: the physical page that p's place in the map leads to, and its rights.
func kernelEntry(t *testing.T, p mem.Phys) (to mem.Phys, e pte) {
	t.Helper()
	at := tableAt(kernelRoot)
	va := uint64(p) | 1<<38
	for level := 2; level >= 0; level-- {
		e = at[index(va, level)]
		if e&pteValid == 0 {
			return 0, 0
		}
		if e&(pteRead|pteWrite|pteExec) != 0 {
			size := mem.Phys(1) << (mem.PageShift + 9*level)
			if e.phys()%size != 0 {
				t.Fatalf("entry of %#x at level %d leads to %#x", p, level, e.phys())
			}
			return e.phys() + p%size, e
		}
		at = tableAt(e.phys())
	}
	t.Fatalf("%#x: a table in the last level", p)
	return
}

// TestKernelMap: everything is mapped at its own place, readable and writable; nothing is executable but text, nothing both; and
// what is restricted is so to the page.
func TestKernelMap(t *testing.T) {
	mem.InitHost(64, 4)
	guards = [len(guards)]mem.Phys{}
	root, _ := mem.Alloc()
	Init(root)
	const (
		text, rodata, data = 0x80200000, 0x80272000, 0x8032e000
		archive, end       = 0x84201000, 0x84a56000 // megabytes in the middle, pages at the ends
		guard              = 0x80963000
		huge               = 0x1_4000_0000 // a whole gigabyte
	)
	const rw, rx, r = pteRead | pteWrite, pteRead | pteExec, pteRead
	if !Restrict(text, rodata, Read|Exec) || !Restrict(rodata, data, Read) || !Restrict(archive, end, Read) ||
		!Restrict(huge, huge+1<<30, Read) || !Guard(guard) {
		t.Fatal("memory used up")
	}
	for _, tt := range []struct {
		from, to mem.Phys
		want     pte
	}{
		{0x10000000, 0x10010000, rw}, {0x7ffff000, text, rw}, {text, rodata, rx}, {rodata, data, r}, {data, guard, rw},
		{guard, guard + 0x1000, 0}, {guard + 0x1000, archive, rw}, {archive, end, r}, {end, end + 0x400000, rw},
		{0xbffff000, 0xc0001000, rw}, {huge - 0x1000, huge, rw}, {huge, huge + 0x1000, r},
		{huge + 1<<30 - 0x1000, huge + 1<<30, r}, {huge + 1<<30, huge + 1<<30 + 0x1000, rw}, {1<<38 - 0x1000, 1 << 38, rw},
	} {
		for p := tt.from; p < tt.to; p += mem.PageSize {
			to, e := kernelEntry(t, p)
			if e&(pteRead|pteWrite|pteExec) != tt.want || e&pteUser != 0 || e != 0 && (to != p || e&pteGlobal == 0) {
				t.Fatalf("%#x: leads to %#x with %#x, want rights %#x", p, to, e, tt.want)
			}
		}
	}
	if e := tableAt(kernelRoot)[userHalf+huge>>30]; e.table() {
		t.Error("a whole gigabyte was split")
	}
	for _, tt := range []struct {
		cause uint64
		at    mem.Phys
		want  string
	}{
		{arch.CauseStoreFault, text, "store to read-only memory of the kernel"},
		{arch.CauseStoreFault, end - 1, "store to read-only memory of the kernel"},
		{arch.CauseFetchFault, rodata, "execution of data"},
		{arch.CauseFetchFault, 0x90000000, "execution of data"},
		{arch.CauseStoreFault, guard + 8, "kernel stack overflow"},
		{arch.CauseLoadFault, guard + 0xfff, "kernel stack overflow"},
		{arch.CauseLoadFault, 0x90000000, ""},
		{arch.CauseLoadFault, 1 << 38, ""},
	} {
		if got := KernelFault(tt.cause, tt.at); got != tt.want {
			t.Errorf("cause %d at %#x: %q, want %q", tt.cause, tt.at, got, tt.want)
		}
	}
	for range 2 {
		Guard(guard)
	}
	if Guard(guard); Guard(guard) {
		t.Error("more guards than there is room for")
	}
}

func TestKernelMapWithoutMemory(t *testing.T) {
	mem.InitHost(8, 4)
	root, _ := mem.Alloc()
	Init(root)
	for mem.Available() > 1 {
		mem.Alloc()
	}
	if Restrict(0x80200000, 0x80201000, Read) {
		t.Error("split twice with one page")
	}
}
