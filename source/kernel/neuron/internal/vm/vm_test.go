package vm

import (
	"bytes"
	"testing"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/arch"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/mem"
)

const page = mem.PageSize

// object is a file of whole pages outside the managed memory's counts, as the boot archive's are.
type object struct {
	file.Defaults
	mapping file.Mapping
	pages   []mem.Phys
	open    bool
}

func (o *object) Mapping() file.Mapping { return o.mapping }

func (o *object) Stat(st *abi.Stat) { st.Size = int64(len(o.pages)) * page }
func (o *object) Close() bool       { o.open = false; return true }
func (o *object) Map(i uint64, write bool) (mem.Phys, abi.Errno) {
	if i >= uint64(len(o.pages)) {
		return 0, abi.EFAULT
	}
	mem.Ref(o.pages[i])
	return o.pages[i], abi.OK
}

// setup gives a fresh kernel with n pages, and an address space.
func setup(t *testing.T, n int) (*Space, *arch.Hart) {
	t.Helper()
	mem.InitHost(n, 4)
	root, _ := mem.Alloc()
	tableAt(root)[userHalf] = pteValid | pteGlobal
	Init(root)
	areasUsed, areasFree = 0, nil
	s, err := NewSpace()
	if err != abi.OK {
		t.Fatal("NewSpace:", err)
	}
	return s, &arch.Hart{}
}

func newObject(t *testing.T, n int) (*object, *file.File) {
	t.Helper()
	o := &object{open: true, mapping: file.MapsConstant}
	for i := range n {
		p, ok := mem.AllocContiguous(1) // like the archive's pages, these have no count
		if !ok {
			t.Fatal("no memory")
		}
		for j := range mem.Bytes(p) {
			mem.Bytes(p)[j] = byte(i + 1)
		}
		o.pages = append(o.pages, p)
	}
	return o, file.New(o, abi.O_RDWR)
}

func mustMap(t *testing.T, s *Space, m Map) uint64 {
	t.Helper()
	va, err := mapAll(s, m)
	if err != abi.OK {
		t.Fatalf("Mmap(%+v): %d", m, err)
	}
	return va
}

// mapAll, unmapAll, protectAll and discardAll make their call until it is done.
func mapAll(s *Space, m Map) (uint64, abi.Errno) {
	for {
		va, err := s.Mmap(m)
		if err != abi.Again {
			return va, err
		}
		m.Done = va
	}
}

func whole(call func(done uint64) (uint64, abi.Errno)) abi.Errno {
	done, err := call(0)
	for err == abi.Again {
		done, err = call(done)
	}
	return err
}

func unmapAll(s *Space, start, size uint64) abi.Errno {
	return whole(func(done uint64) (uint64, abi.Errno) { return s.Munmap(start, size, done) })
}

func protectAll(s *Space, start, size uint64, prot Prot) abi.Errno {
	return whole(func(done uint64) (uint64, abi.Errno) { return s.Protect(start, size, prot, done) })
}

func discardAll(s *Space, start, size uint64) abi.Errno {
	return whole(func(done uint64) (uint64, abi.Errno) { return s.Discard(start, size, done) })
}

// releaseAll drops a reference and gives back what nobody has then.
func releaseAll(s *Space, h *arch.Hart) {
	s.Release(h)
	reap()
}

func reap() {
	for Reap() || file.Reap() {
	}
}

var anonymous = Map{Size: 8 * page, Prot: Read | Write, MayWrite: true, MayExec: true}

func TestAnonymousMemoryIsZeroAndLazy(t *testing.T) {
	s, _ := setup(t, 64)
	va := mustMap(t, s, anonymous)
	if r, _, _ := s.Usage(); r != 0 {
		t.Errorf("%d pages before the first touch, want 0", r)
	}
	b := []byte{1, 2, 3}
	if n := s.Load(b, va+page-1); n != 3 || !bytes.Equal(b, []byte{0, 0, 0}) {
		t.Errorf("Load across pages: %d, % x; want 3, zeros", n, b)
	}
	if n := s.Store(va+2*page-1, []byte{7, 8}); n != 2 {
		t.Errorf("Store across pages: %d, want 2", n)
	}
	if s.Load(b[:2], va+2*page-1); b[0] != 7 || b[1] != 8 {
		t.Errorf("read back % x, want 07 08", b[:2])
	}
	if r, _, _ := s.Usage(); r != 3 {
		t.Errorf("%d pages, want 3", r)
	}
}

func TestCopyStopsWhereMemoryEnds(t *testing.T) {
	s, _ := setup(t, 64)
	va := mustMap(t, s, Map{Size: page, Prot: Read | Write, MayWrite: true})
	if n := s.Store(va+page-4, make([]byte, 10)); n != 4 {
		t.Errorf("Store over the end: %d, want 4", n)
	}
	for _, bad := range []uint64{0, 1 << 38, 1 << 63, ^uint64(0), UserEnd} {
		if n := s.Load(make([]byte, 8), bad); n != 0 {
			t.Errorf("Load at %#x: %d, want 0", bad, n)
		}
	}
}

func TestProtection(t *testing.T) {
	s, _ := setup(t, 64)
	va := mustMap(t, s, anonymous)
	s.Store(va, []byte{42})
	if err := protectAll(s, va, page, Read); err != abi.OK {
		t.Fatal(err)
	}
	if f := s.Touch(va, Write); f != FaultAccess {
		t.Errorf("write to read-only memory: %d, want FaultAccess", f)
	}
	if s.Store(va, []byte{1}) != 0 {
		t.Error("the kernel wrote where the program may not")
	}
	if err := protectAll(s, va, page, 0); err != abi.OK {
		t.Fatal(err)
	}
	if s.Load(make([]byte, 1), va) != 0 {
		t.Error("the kernel read where the program may not")
	}
	protectAll(s, va, page, Read|Write)
	b := []byte{0}
	if s.Load(b, va); b[0] != 42 {
		t.Errorf("contents %d after PROT_NONE and back, want 42", b[0])
	}
	if err := protectAll(s, va, 9*page, Read); err != abi.ENOMEM {
		t.Errorf("Protect over a hole: %d, want ENOMEM", err)
	}
	if f := s.Touch(va, Write); f != FaultAccess {
		t.Errorf("before the hole: %d, want FaultAccess", f)
	}
	for _, size := range []uint64{UserEnd, 1 << 50} { // the hole may be where no program has memory
		if err := protectAll(s, va, size, Read|Write); err != abi.ENOMEM {
			t.Errorf("Protect of %#x bytes: %d, want ENOMEM", size, err)
		}
		if f := s.Touch(va, Write); f != FaultNone {
			t.Errorf("in %#x bytes: %d, want FaultNone", size, f)
		}
		protectAll(s, va, page, Read)
	}
	for _, r := range [][2]uint64{{va, ^uint64(0)}, {UserEnd, page}, {1 << 63, page}} {
		if err := protectAll(s, r[0], r[1], Read|Write); err != abi.ENOMEM {
			t.Errorf("Protect(%#x, %#x): %d, want ENOMEM", r[0], r[1], err)
		}
	}
}

func TestDeviceWindowNeverExecutes(t *testing.T) {
	s, _ := setup(t, 64)
	o, f := newObject(t, 2)
	va := mustMap(t, s, Map{Size: 2 * page, Prot: Read | Write, Shared: true, MayWrite: true, File: f})
	if err := protectAll(s, va, page, Read|Exec); err != abi.EACCES {
		t.Errorf("Protect(exec): %d, want EACCES", err)
	}
	if f := s.Touch(va+2*page, Read); f != FaultMap {
		t.Errorf("beyond the window: %d, want FaultMap", f)
	}
	f.Release()
	reapFiles()
	if !o.open {
		t.Error("closed while mapped")
	}
	unmapAll(s, va, 2*page)
	reapFiles()
	if o.open {
		t.Error("open after the last mapping went")
	}
}

func TestBeyondTheObjectIsABusError(t *testing.T) {
	s, _ := setup(t, 64)
	_, f := newObject(t, 1)
	va := mustMap(t, s, Map{Size: 2 * page, Prot: Read, Shared: true, File: f})
	if f := s.Touch(va+page, Read); f != FaultBus {
		t.Errorf("%d, want FaultBus", f)
	}
}

func TestPrivateFile(t *testing.T) {
	s, _ := setup(t, 64)
	o, f := newObject(t, 3)
	const bytesOfFile = 2*page + 10
	va := mustMap(t, s, Map{Size: 4 * page, Prot: Read | Write, MayWrite: true, File: f, Bytes: bytesOfFile, Zeros: true})
	b := make([]byte, 1)
	if s.Load(b, va); b[0] != 1 {
		t.Errorf("first page reads %d, want 1", b[0])
	}
	if r, shared, _ := s.Usage(); r != 0 || shared != 2 {
		t.Errorf("own %d, shared %d after a read; want 0, 2: the whole pages", r, shared)
	}
	s.Store(va, []byte{99})
	if mem.Bytes(o.pages[0])[0] != 1 {
		t.Error("a private write reached the file")
	}
	if r, shared, _ := s.Usage(); r != 1 || shared != 1 {
		t.Errorf("own %d, shared %d after a write; want 1, 1", r, shared)
	}
	tail := make([]byte, 12)
	s.Load(tail, va+2*page)
	want := append(bytes.Repeat([]byte{3}, 10), 0, 0)
	if !bytes.Equal(tail, want) {
		t.Errorf("the last page reads % x, want % x: nothing behind the file's end may show", tail, want)
	}
	if s.Load(b, va+3*page); b[0] != 0 {
		t.Errorf("behind an ELF segment's file: %d, want 0", b[0])
	}
	plain := mustMap(t, s, Map{Size: 4 * page, Prot: Read, File: f, Bytes: bytesOfFile})
	if f := s.Touch(plain+3*page, Read); f != FaultBus {
		t.Errorf("behind a mapped file: %d, want FaultBus", f)
	}
}

func TestMunmapSplits(t *testing.T) {
	s, _ := setup(t, 64)
	va := mustMap(t, s, anonymous)
	s.Store(va, make([]byte, 8*page))
	before := mem.Available()
	if err := unmapAll(s, va+2*page, 3*page); err != abi.OK {
		t.Fatal(err)
	}
	if got := mem.Available() - before; got != 3 {
		t.Errorf("%d pages came back, want 3", got)
	}
	for i := range uint64(8) {
		want := FaultNone
		if i >= 2 && i < 5 {
			want = FaultMap
		}
		if f := s.Touch(va+i*page, Read); f != want {
			t.Errorf("page %d: %d, want %d", i, f, want)
		}
	}
	// The hole is the only room of its size below the rest.
	if again := mustMap(t, s, Map{Start: va + 2*page, Size: 3 * page, Prot: Read}); again != va+2*page {
		t.Errorf("a wish that fits was not granted: %#x, want %#x", again, va+2*page)
	}
	if other := mustMap(t, s, Map{Start: va, Size: page, Prot: Read}); other == va {
		t.Error("a wish replaced what was mapped")
	}
}

func TestDiscardZeroes(t *testing.T) {
	s, _ := setup(t, 64)
	va := mustMap(t, s, anonymous)
	s.Store(va, []byte{5})
	discardAll(s, va, page)
	b := []byte{1}
	if s.Load(b, va); b[0] != 0 {
		t.Errorf("%d after Discard, want 0", b[0])
	}
	if r, _, _ := s.Usage(); r != 1 || s.Peak() != 1 {
		t.Errorf("%d pages, at most %d; want 1, 1: the page was discarded once", r, s.Peak())
	}
	discardAll(s, va, page)
	if r, _, _ := s.Usage(); r != 0 || s.Peak() != 1 {
		t.Errorf("%d pages, at most %d after the last Discard; want 0, 1", r, s.Peak())
	}
	if err := discardAll(s, va, 9*page); err != abi.ENOMEM {
		t.Errorf("Discard over a hole: %d, want ENOMEM", err)
	}
}

func TestOutOfMemory(t *testing.T) {
	s, _ := setup(t, 24)
	va := mustMap(t, s, Map{Size: 64 * page, Prot: Read | Write, MayWrite: true})
	n := uint64(0)
	for s.Touch(va+n*page, Write) == FaultNone {
		n++
	}
	if f := s.Touch(va+n*page, Write); f != FaultMemory || n == 0 {
		t.Errorf("fault %d after %d pages, want FaultMemory after some", f, n)
	}
}

func TestReleaseGivesEverythingBack(t *testing.T) {
	s, h := setup(t, 128)
	before := mem.Available() + 1 // the root table
	_, f := newObject(t, 2)
	mustMap(t, s, Map{Size: 2 * page, Prot: Read, Shared: true, File: f})
	f.Release()
	for i := range uint64(5) {
		va := mustMap(t, s, Map{Start: 0x1000_0000 + i<<31, Size: 3 * page, Prot: Read | Write, MayWrite: true})
		s.Store(va, make([]byte, 3*page))
	}
	s.Activate(h)
	releaseAll(s, h)
	if got := mem.Available(); got != before {
		t.Errorf("%d pages free, want %d", got, before)
	}
	if h.Satp != satp(kernelRoot, 0) {
		t.Error("the hart is still on the freed tables")
	}
}

func TestBadRanges(t *testing.T) {
	s, _ := setup(t, 64)
	tests := []struct {
		name string
		m    Map
		want abi.Errno
	}{
		{"empty", Map{Prot: Read}, abi.EINVAL},
		{"size wraps", Map{Size: ^uint64(0), Prot: Read}, abi.ENOMEM},
		{"huge", Map{Size: 1 << 40, Prot: Read}, abi.ENOMEM},
		{"fixed unaligned", Map{Start: 0x10001, Size: page, Fixed: true}, abi.EINVAL},
		{"fixed at 0", Map{Start: 0, Size: page, Fixed: true}, abi.ENOMEM},
		{"fixed in the kernel", Map{Start: 0xffffffc0_00000000, Size: page, Fixed: true}, abi.ENOMEM},
		{"fixed over the end", Map{Start: UserEnd - page, Size: 2 * page, Fixed: true}, abi.ENOMEM},
	}
	for _, tt := range tests {
		if _, err := s.Mmap(tt.m); err != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, err, tt.want)
		}
	}
	for _, r := range [][2]uint64{{1, page}, {page, 0}, {UserEnd, page}, {0, ^uint64(0)}} {
		if err := unmapAll(s, r[0], r[1]); err != abi.EINVAL {
			t.Errorf("Munmap(%#x, %#x): %d, want EINVAL", r[0], r[1], err)
		}
	}
}

// TestFaultFillsItsAreaOnly: a read-only page of a file at the begin of a group whose other pages are anonymous, or
// mapped by nobody. The neighbours stay what they are, and no right to them is a right to the file.
func TestFaultFillsItsAreaOnly(t *testing.T) {
	const base = 0x100_0000
	for _, around := range []bool{true, false} {
		s, _ := setup(t, 128)
		o, f := newObject(t, 4)
		if around {
			mustMap(t, s, Map{Start: base, Size: 16 * page, Fixed: true, Prot: Read | Write, MayWrite: true})
		}
		mustMap(t, s, Map{Start: base, Size: page, Fixed: true, Prot: Read, MayWrite: true, File: f, Bytes: 4 * page})
		b := []byte{0xee}
		if s.Load(b, base); b[0] != 1 {
			t.Fatalf("the file's page reads %d, want 1", b[0])
		}
		n, want := s.Load(b, base+page), 0
		if around {
			want = 1
		}
		if n != want || around && b[0] != 0 {
			t.Errorf("anonymous around it %v: the next page: %d bytes, %#x; want %d, 0", around, n, b[0], want)
		}
		protectAll(s, base, 16*page, Read|Write)
		s.Store(base+page, []byte{0x99})
		if got := mem.Bytes(o.pages[1])[0]; got != 2 {
			t.Errorf("anonymous around it %v: the file's second page holds %#x, want 2", around, got)
		}
	}
}

// TestOwnershipIsNotCounted: the last reference to a memfd's page does not make it a private mapping's own.
func TestOwnershipIsNotCounted(t *testing.T) {
	s, _ := setup(t, 64)
	f := newMemfd(t, 1)
	va := mustMap(t, s, Map{Size: page, Prot: Read, MayWrite: true, File: f, Bytes: page})
	other := mustMap(t, s, Map{Size: page, Prot: Read, Shared: true, File: f})
	for _, at := range []uint64{va, other} {
		s.Load(make([]byte, 1), at)
	}
	unmapAll(s, other, page)
	f.Object.Truncate(0)
	p := s.entry(va).phys()
	if mem.Refs(p) != 1 {
		t.Fatal("the page has other references")
	}
	protectAll(s, va, page, Read|Write)
	if s.entry(va).allows(Write) {
		t.Error("an object's page became writable by a count")
	}
}

func TestRightsAreBounded(t *testing.T) {
	s, _ := setup(t, 64)
	_, f := newObject(t, 1)
	for _, m := range []Map{
		{Size: page, Prot: Write, File: f, Shared: true},
		{Size: page, Prot: Write},
		{Size: page, Prot: Exec, MayWrite: true},
	} {
		if _, err := s.Mmap(m); err != abi.EACCES {
			t.Errorf("%+v: %d, want EACCES", m, err)
		}
	}
}

// reapFiles closes what was dropped, as the end of a trap does.
func reapFiles() {
	for file.Reap() {
	}
}
