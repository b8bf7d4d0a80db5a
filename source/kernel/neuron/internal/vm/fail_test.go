package vm

import (
	"bytes"
	"fmt"
	"testing"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/arch"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/mem"
)

// drain takes all free pages but n; refill gives them back.
func drain(n int) (refill func()) {
	var taken []mem.Phys
	for mem.Available() > n {
		p, _ := mem.AllocDirty()
		taken = append(taken, p)
	}
	return func() {
		for _, p := range taken {
			mem.Free(p)
		}
	}
}

// TestMemoryUsedUpAnywhere: where memory lasts for all but one of the pages that an access takes, or for fewer, the access fails for that
// reason and leaves no table behind; with memory it goes through; and at the end of the program every page is back.
func TestMemoryUsedUpAnywhere(t *testing.T) {
	const va = 0x4000_0000
	anonymous := Map{Start: va, Size: 1 << 30, Fixed: true, Prot: Read | Write, MayWrite: true}
	object := func(t *testing.T) *file.File { _, f := newObject(t, 2); return f }
	holes := func(t *testing.T) *file.File { return newMemfd(t, 600) }
	tests := []struct {
		name   string
		file   func(t *testing.T) *file.File
		m      Map
		first  uint64 // touched while there is memory, if not 0
		at     uint64
		need   Prot
		pages  int // that the access takes
		tables int // of those, for tables
		before byte
	}{
		{"the first page of a program", nil, anonymous, 0, va, Read, 3, 2, 0},
		{"a page of a new table", nil, anonymous, va, va + 2<<20, Write, 2, 1, 0},
		{"a page beside another", nil, anonymous, va, va + page, Write, 1, 0, 0},
		{"a page of a file", object, Map{Prot: Read, Bytes: 2 * page}, 0, va, Read, 2, 2, 1},
		{"a copy of a page of a file", object, Map{Prot: Read | Write, Bytes: 2 * page}, 0, va, Write, 3, 2, 1},
		{"a copy of a page that is mapped", object, Map{Prot: Read | Write, Bytes: 2 * page}, va, va, Write, 1, 0, 1},
		{"the last page of a file", object, Map{Prot: Read, Bytes: 2*page - 1}, 0, va + page, Read, 3, 2, 2},
		{"zeros behind a file", object, Map{Prot: Read, Zeros: true}, 0, va, Read, 3, 2, 0},
		{"a hole of a memfd", holes, Map{Prot: Read | Write, Shared: true}, 0, va, Read, 5, 2, 0},
		{"a hole of a new node of a memfd", holes, Map{Prot: Read | Write, Shared: true}, va, va + 512*page, Write, 3, 1, 0},
		{"a copy of a hole of a memfd", holes, Map{Prot: Read | Write, Bytes: 600 * page}, 0, va, Write, 6, 2, 0},
	}
	for _, tt := range tests {
		for n := 0; n <= tt.pages; n++ {
			t.Run(fmt.Sprintf("%s, %d of %d", tt.name, n, tt.pages), func(t *testing.T) {
				s, h := setup(t, 64)
				start := mem.Available() + 1 // the root table
				m := tt.m
				if tt.file != nil {
					m.Start, m.Size, m.Fixed, m.MayWrite, m.File = va, 600*page, true, true, tt.file(t)
				}
				mustMap(t, s, m)
				if tt.first != 0 {
					s.Touch(tt.first, Read)
				}
				a, b, tables := s.Usage()
				refill := drain(n)
				flushes := arch.Host.Flushes
				fault := s.Touch(tt.at, tt.need)
				if n == tt.pages {
					if fault != FaultNone || mem.Available() != 0 {
						t.Fatalf("fault %d with just enough memory, %d pages of it free", fault, mem.Available())
					}
					tables += tt.tables
				} else {
					if fault != FaultMemory {
						t.Fatalf("fault %d, want FaultMemory", fault)
					}
					if c, d, _ := s.Usage(); a != c || b != d {
						t.Errorf("%d and %d pages, want %d and %d as before", c, d, a, b)
					}
					if e := s.entry(tt.at); tt.first != tt.at && e != nil && *e != 0 {
						t.Errorf("entry %#x of a page that could not be had", *e)
					}
				}
				if _, _, got := s.Usage(); got != tables || eachEntry(t, s, func(uint64, pte) {}) != tables {
					t.Errorf("%d tables, want %d", got, tables)
				}
				if went := mem.Available() != 0 && n < tt.pages; went && tt.file == nil && arch.Host.Flushes == flushes {
					t.Error("the processor may still know a table that went")
				}
				refill()
				got := []byte{0xee}
				if fault := s.Touch(tt.at, tt.need); fault != FaultNone || s.Load(got, tt.at) != 1 || got[0] != tt.before {
					t.Errorf("with memory: fault %d, reads %d, want %d", fault, got[0], tt.before)
				}
				releaseAll(s, h)
				if m.File != nil {
					m.File.Release()
					reap()
				}
				if got := mem.Available(); got != start {
					t.Errorf("%d pages at the end, want %d", got, start)
				}
			})
		}
	}
}

// TestCopiesUntilMemoryIsUsedUp: a copy to a program ends short where memory ends, and what it did counts.
func TestCopiesUntilMemoryIsUsedUp(t *testing.T) {
	s, _ := setup(t, 64)
	va := mustMap(t, s, Map{Size: 8 * page, Prot: Read | Write, MayWrite: true})
	data := bytes.Repeat([]byte{7}, 4*page)
	refill := drain(4) // two tables and two pages
	if n := s.Store(va+100, data); n != 2*page-100 {
		t.Errorf("stored %d bytes, want those of two pages, %d", n, 2*page-100)
	}
	got := make([]byte, 3*page)
	if n := s.Load(got, va); n != 2*page || !bytes.Equal(got[100:n], data[:n-100]) {
		t.Errorf("loaded %d bytes, want %d of what was stored", n, 2*page)
	}
	if _, err := s.Key(va+4*page, false); err != abi.EFAULT {
		t.Errorf("a futex in a page that cannot be had: %d, want EFAULT", err)
	}
	if _, err := NewSpace(); err != abi.ENOMEM {
		t.Errorf("a new space: %d, want ENOMEM", err)
	}
	refill()
	if n := s.Store(va, data); n != len(data) {
		t.Errorf("with memory: %d bytes", n)
	}
}

// fillAreas maps pages apart from each other from va on until there is no area for one more, and returns how many.
func fillAreas(t *testing.T, s *Space, va uint64) (n int) {
	t.Helper()
	for ; ; va += 2 * page {
		switch _, err := s.Mmap(Map{Start: va, Size: page, Fixed: true, Prot: Read}); err {
		case abi.OK:
			n++
		case abi.ENOMEM:
			return n
		default:
			t.Fatal(err)
		}
	}
}

// TestAreasUsedUp: a program has MaxAreasPerSpace of them, all programs together MaxAreas, and those of one that ends are free.
func TestAreasUsedUp(t *testing.T) {
	s, h := setup(t, 256)
	all := []*Space{s}
	total := fillAreas(t, s, 0x100_0000)
	if total != MaxAreasPerSpace || s.Areas() != total {
		t.Fatalf("%d areas of a program, counted %d; want %d", total, s.Areas(), MaxAreasPerSpace)
	}
	for range MaxAreas / MaxAreasPerSpace {
		other, err := NewSpace()
		if err != abi.OK {
			t.Fatal(err)
		}
		all = append(all, other)
		total += fillAreas(t, other, 0x100_0000)
	}
	if total != MaxAreas || Areas() != MaxAreas {
		t.Errorf("%d areas of all programs, counted %d; want %d", total, Areas(), MaxAreas)
	}
	for _, s := range all {
		releaseAll(s, h)
	}
	if Areas() != 0 {
		t.Errorf("%d areas at the end", Areas())
	}
}

// TestNoAreaLeft: what would need one area more is ENOMEM and changes nothing, as on Linux at vm.max_map_count; the rest goes on.
func TestNoAreaLeft(t *testing.T) {
	s, _ := setup(t, 256)
	const wide, rest = 0x100_0000, 0x200_0000
	mustMap(t, s, Map{Start: wide, Size: 3 * page, Fixed: true, Prot: Read | Write, MayWrite: true})
	fillAreas(t, s, rest)
	munmap := func(at, size uint64) abi.Errno { return unmapAll(s, at, size) }
	mprotect := func(at, size uint64) abi.Errno { return protectAll(s, at, size, Read) }
	execute := func(at, size uint64) abi.Errno { return protectAll(s, at, size, Exec) }
	mmap := func(at, size uint64) abi.Errno {
		_, err := mapAll(s, Map{Start: at, Size: size, Fixed: true, Prot: Read})
		return err
	}
	for i, tt := range []struct {
		name     string
		call     func(at, size uint64) abi.Errno
		at, size uint64
		want     abi.Errno
	}{
		{"a right in the middle", mprotect, wide + page, page, abi.ENOMEM},
		{"a right at the begin", mprotect, wide, page, abi.ENOMEM},
		{"a right at the end", mprotect, wide + 2*page, page, abi.ENOMEM},
		{"a right that it cannot have in the middle", execute, wide + page, page, abi.EACCES},
		{"another mapping in the middle", mmap, wide + page, page, abi.ENOMEM},
		{"a hole in the middle", munmap, wide + page, page, abi.ENOMEM},
		{"the end of a whole area", munmap, rest, page, abi.OK},
		{"a right in the middle, with one area left", mprotect, wide + page, page, abi.ENOMEM},
		{"another mapping in the middle, with one area left", mmap, wide + page, page, abi.ENOMEM},
		{"a hole in the middle, with one area left", munmap, wide + page, page, abi.OK},
		{"a right of a whole area", mprotect, wide, page, abi.OK},
	} {
		before := s.Areas()
		if err := tt.call(tt.at, tt.size); err != tt.want {
			t.Fatalf("%s: %d, want %d", tt.name, err, tt.want)
		}
		if tt.want == abi.OK {
			continue
		}
		if got := s.Areas(); got != before {
			t.Errorf("%s: %d areas after it, want %d", tt.name, got, before)
		}
		for at := uint64(wide); at < wide+3*page; at += page {
			if s.Store(at, []byte{byte(i)}) != 1 {
				t.Errorf("%s: the page at %#x is not what it was", tt.name, at)
			}
		}
	}
}

// TestKernelMapUsedUp: the kernel's map is restricted whole or it is said that it could not be.
func TestKernelMapUsedUp(t *testing.T) {
	for n := range 3 {
		mem.InitHost(8, 4)
		root, _ := mem.Alloc()
		Init(root)
		drain(n)
		// A page takes a table of megabytes and one of pages, a megabyte the first only.
		if ok := Restrict(0x80200000, 0x80400000, Read); ok != (n >= 1) {
			t.Errorf("%d pages, a large piece: %v", n, ok)
		}
		if ok := Restrict(0x80600000, 0x80601000, Read); ok != (n >= 2) {
			t.Errorf("%d pages, a page: %v", n, ok)
		}
	}
}
