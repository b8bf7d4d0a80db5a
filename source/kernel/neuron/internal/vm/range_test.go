package vm

import (
	"slices"
	"testing"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/arch"
	"nexus/source/kernel/neuron/internal/mem"
)

// TestRangesLikeLinux: what mprotect, madvise and munmap say of ranges that are empty, wrap around, or lie where no program is. The values are
// those of mm/mprotect.c, mm/madvise.c and mm/mmap.c; a range beyond user space is memory that is not mapped, but for munmap.
func TestRangesLikeLinux(t *testing.T) {
	s, _ := setup(t, 64)
	va := mustMap(t, s, anonymous)
	end := va + 8*page
	const kernel, all = 0xffffffc0_00000000, ^uint64(0)
	protect := func(start, size uint64) abi.Errno { return protectAll(s, start, size, Read|Write) }
	discard := func(start, size uint64) abi.Errno { return discardAll(s, start, size) }
	unmap := func(start, size uint64) abi.Errno { return unmapAll(s, start, size) }
	for _, tt := range []struct {
		name                       string
		start, size                uint64
		mprotect, madvise, munmap_ abi.Errno
	}{
		{"unaligned", va + 1, page, abi.EINVAL, abi.EINVAL, abi.EINVAL},
		{"unaligned, empty", va + 1, 0, abi.EINVAL, abi.EINVAL, abi.EINVAL},
		{"empty", va, 0, abi.OK, abi.OK, abi.EINVAL},
		{"empty, not mapped", end, 0, abi.OK, abi.OK, abi.EINVAL},
		{"not mapped", end, page, abi.ENOMEM, abi.ENOMEM, abi.OK},
		{"a part of a page over the end", va, 8*page + 1, abi.ENOMEM, abi.ENOMEM, abi.OK},
		{"2^64 bytes less one", va, all, abi.ENOMEM, abi.EINVAL, abi.EINVAL},
		{"around the end", va, all - 2*page, abi.ENOMEM, abi.EINVAL, abi.EINVAL},
		{"to the last address", va, -va - page, abi.ENOMEM, abi.ENOMEM, abi.EINVAL},
		{"the last page of user space", UserEnd - page, page, abi.ENOMEM, abi.ENOMEM, abi.OK},
		{"over the end of user space", UserEnd - page, 2 * page, abi.ENOMEM, abi.ENOMEM, abi.EINVAL},
		{"behind user space", UserEnd, page, abi.ENOMEM, abi.ENOMEM, abi.EINVAL},
		{"the kernel", kernel, page, abi.ENOMEM, abi.ENOMEM, abi.EINVAL},
		{"the kernel, empty", kernel, 0, abi.OK, abi.OK, abi.EINVAL},
	} {
		for name, call := range map[string]struct {
			do   func(start, size uint64) abi.Errno
			want abi.Errno
		}{"mprotect": {protect, tt.mprotect}, "madvise": {discard, tt.madvise}, "munmap": {unmap, tt.munmap_}} {
			mapAll(s, Map{Start: va, Size: 8 * page, Fixed: true, Prot: Read | Write, MayWrite: true})
			s.Store(va, []byte{1})
			if err := call.do(tt.start, tt.size); err != call.want {
				t.Errorf("%s, %s: %d, want %d", name, tt.name, err, call.want)
			}
		}
	}
	if !slices.Equal(tableAt(s.root)[userHalf:], tableAt(kernelRoot)[userHalf:]) {
		t.Error("the kernel's half has changed")
	}
}

// TestDiscardUpToTheEnd: what is mapped of a range is dropped, though the rest is not mapped or no program's.
func TestDiscardUpToTheEnd(t *testing.T) {
	s, _ := setup(t, 64)
	for _, va := range []uint64{0x100_0000, UserEnd - page} {
		mustMap(t, s, Map{Start: va, Size: page, Fixed: true, Prot: Read | Write, MayWrite: true})
		s.Store(va, []byte{1})
		if err := discardAll(s, va, -va-page); err != abi.ENOMEM {
			t.Errorf("madvise from %#x on: %d, want ENOMEM", va, err)
		}
		b := []byte{0xee}
		if s.Load(b, va); b[0] != 0 {
			t.Errorf("%#x reads %d afterwards, want 0", va, b[0])
		}
	}
}

// TestMapLikeLinux: the errors of mmap, and where it maps.
func TestMapLikeLinux(t *testing.T) {
	s, _ := setup(t, 64)
	const taken = MapEnd - 16*page
	mustMap(t, s, Map{Start: taken, Size: 8 * page, Fixed: true, Prot: Read})
	for _, tt := range []struct {
		name string
		m    Map
		want uint64
		err  abi.Errno
	}{
		{"empty", Map{}, 0, abi.EINVAL},
		{"2^64 bytes less one", Map{Size: ^uint64(0)}, 0, abi.ENOMEM},
		{"all of user space", Map{Size: UserEnd}, 0, abi.ENOMEM},
		{"more than is free in one piece", Map{Size: taken - UserStart + page}, 0, abi.ENOMEM},
		{"all below what is taken", Map{Size: taken - UserStart}, UserStart, abi.OK},
		{"a page", Map{Size: 1}, MapEnd - page, abi.OK},
		{"all above what is taken", Map{Size: 8 * page}, MapEnd - 8*page, abi.OK},
		{"more than is above it", Map{Size: 9 * page}, taken - 9*page, abi.OK},
		{"a wish", Map{Start: 0x100_0000, Size: page}, 0x100_0000, abi.OK},
		{"a wish in the middle of a page", Map{Start: 0x100_0fff, Size: page}, 0x100_0000, abi.OK},
		{"a wish beside what is taken", Map{Start: taken - page, Size: page}, taken - page, abi.OK},
		{"a wish behind what is taken", Map{Start: taken + 8*page, Size: page}, taken + 8*page, abi.OK},
		{"a wish that meets it", Map{Start: taken - page, Size: page + 1}, MapEnd - 2*page, abi.OK},
		{"a wish behind MapEnd", Map{Start: UserEnd - page, Size: page}, UserEnd - page, abi.OK},
		{"a wish over the end", Map{Start: UserEnd - page, Size: 2 * page}, MapEnd - 2*page, abi.OK},
		{"a wish of the first page that can be", Map{Start: UserStart, Size: page}, UserStart, abi.OK},
		{"a wish below it", Map{Start: UserStart - page, Size: page}, MapEnd - page, abi.OK},
		{"a wish in the kernel", Map{Start: 1 << 63, Size: page}, MapEnd - page, abi.OK},
		{"a wish of nothing", Map{Start: 0, Size: page}, MapEnd - page, abi.OK},
		{"fixed in the middle of a page", Map{Start: 0x100_0001, Size: page, Fixed: true}, 0, abi.EINVAL},
		{"fixed at the first page that can be", Map{Start: UserStart, Size: page, Fixed: true}, UserStart, abi.OK},
		{"fixed below it", Map{Start: UserStart - page, Size: page, Fixed: true}, 0, abi.ENOMEM},
		{"fixed at the end", Map{Start: UserEnd - page, Size: page, Fixed: true}, UserEnd - page, abi.OK},
		{"fixed over the end", Map{Start: UserEnd - page, Size: 2 * page, Fixed: true}, 0, abi.ENOMEM},
		{"fixed behind the end", Map{Start: UserEnd + page, Size: page, Fixed: true}, 0, abi.ENOMEM},
		{"fixed over what is taken", Map{Start: taken, Size: 8 * page, Fixed: true}, taken, abi.OK},
	} {
		at, err := mapAll(s, tt.m)
		if err != tt.err || at != tt.want {
			t.Errorf("%s: %#x, %d; want %#x, %d", tt.name, at, err, tt.want, tt.err)
		}
		if err == abi.OK && tt.m.Start != taken {
			unmapAll(s, at, tt.m.Size)
		}
	}
	if s.Areas() != 1 || s.Vacant(taken, 1) || s.Vacant(taken-page, page+1) || !s.Vacant(taken-page, page) || !s.Vacant(taken+8*page, page) {
		t.Error("vacant is not what nothing is mapped in")
	}
}

// TestLongRequestsAreOneArea: memory that is asked for piece by piece, downwards or upwards, is one area.
func TestLongRequestsAreOneArea(t *testing.T) {
	s, _ := setup(t, 64)
	for range 100 {
		mustMap(t, s, Map{Size: page, Prot: Read})
	}
	for i := range uint64(100) {
		mustMap(t, s, Map{Start: 0x100_0000 + i*page, Size: page, Fixed: true, Prot: Read})
	}
	if s.Areas() != 2 {
		t.Errorf("%d areas, want 2", s.Areas())
	}
}

// TestProcessorForgets: after a call that took away or lessened what a page may be used for, the processor has forgotten what it knew
// (privileged specification 1.12, section 4.2.1), and after a page was replaced.
func TestProcessorForgets(t *testing.T) {
	s, h := setup(t, 128)
	_, f := newObject(t, 4)
	const va, file = 0x100_0000, 0x200_0000
	s.Activate(h)
	do := map[string]func(){
		"munmap":                       func() { unmapAll(s, va, page) },
		"madvise":                      func() { discardAll(s, va, page) },
		"mprotect":                     func() { protectAll(s, va, page, Read) },
		"mmap over it":                 func() { mapAll(s, Map{Start: va, Size: page, Fixed: true, Prot: Read}) },
		"the copy of a page of a file": func() { s.Touch(file, Write) },
		"the end of the program":       func() { s.Release(h) },
	}
	for _, name := range []string{"munmap", "madvise", "mprotect", "mmap over it", "the copy of a page of a file", "the end of the program"} {
		mustMap(t, s, Map{Start: va, Size: page, Fixed: true, Prot: Read | Write, MayWrite: true})
		mustMap(t, s, Map{Start: file, Size: page, Fixed: true, Prot: Read | Write, MayWrite: true, File: f, Bytes: page})
		s.Touch(va, Write)
		s.Touch(file, Read)
		before := arch.Host.Flushes
		if do[name](); arch.Host.Flushes == before {
			t.Errorf("%s: the processor still knows the page", name)
		}
	}
	reap()
	if h.Satp != satp(kernelRoot, 0) || arch.Host.Satp != h.Satp {
		t.Error("the hart is on tables that went")
	}
}

// TestProcessorFetchesAnew: a page that may be executed is fetched anew when it comes; others cost nothing.
func TestProcessorFetchesAnew(t *testing.T) {
	s, _ := setup(t, 64)
	for prot, want := range map[Prot]int{Read | Exec: 1, Read | Write: 0} {
		va := mustMap(t, s, Map{Size: page, Prot: prot, MayWrite: true, MayExec: true})
		before := arch.Host.Fetches
		if s.Touch(va, Read); arch.Host.Fetches-before != want {
			t.Errorf("rights %d: fetched anew %d times, want %d", prot, arch.Host.Fetches-before, want)
		}
	}
}

// TestTouchOfWhatIsThere: an access that its area allows and an old entry does not goes through without a new page; so it is for another
// thread while mprotect of much goes on.
func TestTouchOfWhatIsThere(t *testing.T) {
	s, _ := setup(t, 128)
	const size, stride = 64 << 21, 2 << 20
	defer func(work int) { pieceWork = work }(pieceWork)
	pieceWork = 100
	va := mustMap(t, s, Map{Size: size, Prot: Read | Write, MayWrite: true})
	last := va + 31*stride
	s.Store(va, []byte{1})
	s.Store(last, []byte{2})
	protectAll(s, va, size, Read)
	if _, err := s.Protect(va, size, Read|Write, 0); err != abi.Again || s.entry(last).allows(Write) {
		t.Fatalf("mprotect in one piece: %d", err)
	}
	p, before := s.entry(last).phys(), arch.Host.Flushes
	if f := s.Touch(last, Write); f != FaultNone || s.entry(last).phys() != p || !s.entry(last).allows(Write) {
		t.Errorf("a write while mprotect goes on: fault %d, entry %#x", f, *s.entry(last))
	}
	if arch.Host.Flushes == before {
		t.Error("the processor still knows that the page is read-only")
	}
	if r, _, _ := s.Usage(); r != 2 {
		t.Errorf("%d pages, want 2", r)
	}
}

// TestFaultFillsTheGroup: a read of a page of a file that never changes maps the aligned group of 16 around it, as far as it is
// whole pages of the file in the same area; nothing else maps more than was touched.
func TestFaultFillsTheGroup(t *testing.T) {
	const base = 0x100_0000 // begins a group
	for _, tt := range []struct {
		name        string
		start, size uint64 // in pages after base
		bytes       uint64
		touch       uint64
		from, to    uint64
	}{
		{"the first group", 0, 40, 40 * page, 3, 0, 16},
		{"its last page", 0, 40, 40 * page, 15, 0, 16},
		{"the second group", 0, 40, 40 * page, 16, 16, 32},
		{"a group cut off by the area", 0, 40, 40 * page, 39, 32, 40},
		{"an area from the middle of a group on", 5, 30, 30 * page, 7, 5, 16},
		{"a file that ends in a group", 0, 40, 20 * page, 17, 16, 20},
		{"a file that ends in a page", 0, 40, 20*page - 1, 17, 16, 19},
		{"a file of one page", 0, 40, page, 0, 0, 1},
	} {
		mem.InitHost(128, 64)
		root, _ := mem.Alloc()
		Init(root)
		areasUsed, areasFree = 0, nil
		s, _ := NewSpace()
		_, f := newObject(t, 40)
		mustMap(t, s, Map{Start: base + tt.start*page, Size: tt.size * page, Fixed: true, Prot: Read | Write, MayWrite: true, File: f, Bytes: tt.bytes, Zeros: true})
		if fault := s.Touch(base+tt.touch*page, Read); fault != FaultNone {
			t.Fatalf("%s: fault %d", tt.name, fault)
		}
		var got [48]bool
		n := uint64(0)
		eachEntry(t, s, func(va uint64, e pte) {
			got[(va-base)/page] = true
			n++
			if !e.allows(Read) || e.allows(Write) || mem.Bytes(e.phys())[0] != byte((va-base)/page-tt.start+1) {
				t.Errorf("%s: page %d has entry %#x", tt.name, (va-base)/page, e)
			}
		})
		if n != tt.to-tt.from || !got[tt.from] || !got[tt.to-1] {
			t.Errorf("%s: %d pages are mapped, want %d to %d: %v", tt.name, n, tt.from, tt.to, got)
		}
		if free := mem.Available(); s.Touch(base+tt.from*page, Read) != FaultNone || mem.Available() != free {
			t.Errorf("%s: a page beside costs memory", tt.name)
		}
	}

	s, _ := setup(t, 64)
	memfd := newMemfd(t, 16)
	va := mustMap(t, s, Map{Start: base, Size: 16 * page, Fixed: true, Prot: Read, File: memfd, Bytes: 16 * page})
	s.Touch(va, Read)
	var st abi.Stat
	memfd.Object.Stat(&st)
	if _, shared, _ := s.Usage(); shared != 1 || st.Blocks != page/512 {
		t.Errorf("a read of a hole of a memfd: %d pages mapped, %d blocks; want 1, %d", shared, st.Blocks, page/512)
	}
}
