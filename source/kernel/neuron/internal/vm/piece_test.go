package vm

import (
	"testing"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/mem"
)

// sparse maps size bytes and writes to a page every stride bytes. It returns how many.
func sparse(t *testing.T, s *Space, size, stride uint64) (va uint64, pages int) {
	t.Helper()
	va = mustMap(t, s, Map{Size: size, Prot: Read | Write, MayWrite: true})
	for at := va; at < va+size; at += stride {
		if s.Store(at, []byte{1}) != 1 {
			t.Fatal("no memory")
		}
		pages++
	}
	return va, pages
}

// pieces counts the calls that a long one takes, and wants progress in each.
func pieces(t *testing.T, call func(done uint64) (uint64, abi.Errno)) (n int) {
	t.Helper()
	for last := uint64(0); ; n++ {
		done, err := call(last)
		switch {
		case err == abi.OK:
			return n + 1
		case err != abi.Again || done <= last:
			t.Fatalf("piece %d: error %d after %d bytes, %d before", n, err, done, last)
		}
		last = done
	}
}

// TestLongCalls: a call's work is bounded by what is there, not by the range, and what is much is done in pieces. Afterwards there is no
// page and no table that is not needed.
func TestLongCalls(t *testing.T) {
	const stride, size = 2 << 20, 8 << 30 // a table for each page
	tests := []struct {
		name string
		call func(s *Space, va, done uint64) (uint64, abi.Errno)
		left bool // the pages stay
	}{
		{"munmap", func(s *Space, va, done uint64) (uint64, abi.Errno) { return s.Munmap(va, size, done) }, false},
		{"madvise", func(s *Space, va, done uint64) (uint64, abi.Errno) { return s.Discard(va, size, done) }, false},
		{"mprotect", func(s *Space, va, done uint64) (uint64, abi.Errno) { return s.Protect(va, size, Read, done) }, true},
		{"mmap over it", func(s *Space, va, done uint64) (uint64, abi.Errno) {
			at, err := s.Mmap(Map{Start: va, Size: size, Fixed: true, Prot: Read, Done: done})
			if err == abi.OK && at != va {
				t.Errorf("mapped at %#x, want %#x", at, va)
			}
			if err == abi.OK {
				at = 0
			}
			return at, err
		}, false},
	}
	for _, tt := range tests {
		s, _ := setup(t, 10000)
		free := mem.Available()
		va, n := sparse(t, s, size, stride)
		resident, _, tables := s.Usage()
		if resident != n || tables < n {
			t.Fatalf("%d pages and %d tables for %d pages", resident, tables, n)
		}
		call := func(done uint64) (uint64, abi.Errno) { return tt.call(s, va, done) }
		// Each of the tables is looked at, up to its one entry or all of them.
		most := n*(entries+pageWork+tableWork+2)/pieceWork + 1
		if got := pieces(t, call); got < 2 || got > most {
			t.Errorf("%s of %d pages, each in a table of its own: %d pieces, want 2 to %d", tt.name, n, got, most)
		}
		if tt.left {
			if resident, _, _ := s.Usage(); resident != n {
				t.Errorf("%s: %d pages, want %d", tt.name, resident, n)
			}
			if s.Load(make([]byte, 1), va+size-stride) != 1 || s.Store(va+size-stride, []byte{1}) != 0 {
				t.Errorf("%s: the last page is not read-only", tt.name)
			}
			continue
		}
		if resident, _, tables := s.Usage(); resident != 0 || tables != 1 || mem.Available() != free {
			t.Errorf("%s: %d pages, %d tables and %d pages missing; want 0, 1, 0", tt.name, resident, tables, free-mem.Available())
		}
		if got := pieces(t, call); got != 1 {
			t.Errorf("%s of nothing: %d pieces, want 1", tt.name, got)
		}
	}
}

// TestAbsentTablesCostNothing: the end of one page in 200 GiB is one piece.
func TestAbsentTablesCostNothing(t *testing.T) {
	s, _ := setup(t, 64)
	va, _ := sparse(t, s, 200<<30, 199<<30)
	for name, call := range map[string]func(done uint64) (uint64, abi.Errno){
		"mprotect": func(done uint64) (uint64, abi.Errno) { return s.Protect(va, 200<<30, Read, done) },
		"madvise":  func(done uint64) (uint64, abi.Errno) { return s.Discard(va, 200<<30, done) },
	} {
		if got := pieces(t, call); got != 1 {
			t.Errorf("%s: %d pieces, want 1", name, got)
		}
	}
}

// TestEverythingIsWork: what a piece looks at counts, also where nothing is, so that no piece is long.
func TestEverythingIsWork(t *testing.T) {
	defer func(work int) { pieceWork = work }(pieceWork)
	const va, work = 1 << 30, 64
	munmap := func(s *Space, size, done uint64) (uint64, abi.Errno) { return s.Munmap(va, size, done) }
	madvise := func(s *Space, size, done uint64) (uint64, abi.Errno) { return s.Discard(va, size, done) }
	mprotect := func(s *Space, size, done uint64) (uint64, abi.Errno) { return s.Protect(va, size, Read, done) }
	for _, tt := range []struct {
		name    string
		size    uint64
		stride  uint64 // of pages; the last of the range has one too
		atLeast int
		call    func(s *Space, size, done uint64) (uint64, abi.Errno)
	}{
		{"munmap over absent tables", 1 << 30, 1 << 30, entries / work, munmap},
		{"madvise over absent tables", 1 << 30, 1 << 30, entries / work, madvise},
		{"mprotect over absent tables", 1 << 30, 1 << 30, entries / work, mprotect},
		{"munmap over absent pages", 2 << 20, 2 << 20, entries / work, munmap},
		{"madvise over absent pages", 2 << 20, 2 << 20, entries / work, madvise},
		{"mprotect over absent pages", 2 << 20, 2 << 20, entries / work, mprotect},
		{"munmap of pages", 100 * page, page, 100 * pageWork / work, munmap},
		{"madvise of pages", 100 * page, page, 100 * pageWork / work, madvise},
		{"mprotect of pages", 100 * page, page, 100 * 2 / work, mprotect},
		{"munmap of tables", 100 << 21, 1 << 21, 100 * tableWork / work, munmap},
		{"mprotect of tables", 100 << 21, 1 << 21, 100 * tableWork / work, mprotect},
	} {
		s, _ := setup(t, 1000)
		mustMap(t, s, Map{Start: va, Size: tt.size, Fixed: true, Prot: Read | Write, MayWrite: true})
		for at := uint64(va); at < va+tt.size; at += tt.stride {
			s.Store(at, []byte{1})
		}
		s.Store(va+tt.size-page, []byte{1})
		pieceWork = work
		if got := pieces(t, func(done uint64) (uint64, abi.Errno) { return tt.call(s, tt.size, done) }); got < tt.atLeast {
			t.Errorf("%s: %d pieces, want %d", tt.name, got, tt.atLeast)
		}
	}
	s, _ := setup(t, 64)
	for i := range uint64(100) {
		mustMap(t, s, Map{Start: va + 2*i*page, Size: page, Fixed: true})
	}
	if got := pieces(t, func(done uint64) (uint64, abi.Errno) { return s.Munmap(va, 200*page, done) }); got < 100*areaWork/work {
		t.Errorf("munmap of areas: %d pieces, want %d", got, 100*areaWork/work)
	}
}

// TestReplaceHasNoHole: between two pieces of an mmap over a range each address is mapped, the old way or the new.
func TestReplaceHasNoHole(t *testing.T) {
	s, _ := setup(t, 10000)
	const stride, size = 2 << 20, 8 << 30
	va, _ := sparse(t, s, size, stride)
	m := Map{Start: va, Size: size, Fixed: true, Prot: Read, File: newMemfd(t, 8)}
	for {
		done, err := s.Mmap(m)
		if err == abi.OK {
			break
		}
		m.Done = done
		if !s.covered(va, va+size) || s.count != 2 {
			t.Fatalf("after %#x bytes: %d areas that cover it: %v, want 2", done, s.count, s.covered(va, va+size))
		}
		if f := s.Touch(va+done, Write); f != FaultNone {
			t.Fatalf("behind what is replaced: fault %d", f)
		}
		if f := s.Touch(va+done-page, Write); f != FaultAccess {
			t.Fatalf("before it: fault %d, want FaultAccess", f)
		}
	}
	if s.count != 1 {
		t.Errorf("%d areas, want 1", s.count)
	}
}

// TestSpaceGoesInPieces: a large space is given back piece by piece, and its place is taken until it is gone.
func TestSpaceGoesInPieces(t *testing.T) {
	s, h := setup(t, 10000)
	before := mem.Available() + 1
	sparse(t, s, 8<<30, 2<<20)
	others := 1
	for ; ; others++ {
		if _, err := NewSpace(); err != abi.OK {
			break
		}
	}
	if others != MaxSpaces || Spaces() != MaxSpaces {
		t.Errorf("%d spaces, want %d", others, MaxSpaces)
	}
	if Reap() || Dropped() {
		t.Error("something to reap while nothing was dropped")
	}
	s.Ref().Release(h)
	if Reap() || Dropped() {
		t.Error("a space went that has a reference")
	}
	s.Release(h)
	if !Dropped() || Dropped() {
		t.Error("Dropped is not true once")
	}
	n := 1
	for ; Reap(); n++ {
		if _, err := NewSpace(); err != abi.Again {
			t.Fatalf("a new space beside one that goes: %d, want Again", err)
		}
	}
	if n < 2 || mem.Available() != before-(others-1) || Spaces() != MaxSpaces-1 {
		t.Errorf("%d pieces, %d pages missing, %d spaces", n, before-(others-1)-mem.Available(), Spaces())
	}
	if _, err := NewSpace(); err != abi.OK {
		t.Errorf("a new space in its place: %d", err)
	}
	if _, err := NewSpace(); err != abi.ENOMEM {
		t.Errorf("one space too many: %d, want ENOMEM", err)
	}
}

func TestPresent(t *testing.T) {
	s, _ := setup(t, 64)
	_, f := newObject(t, 2)
	va := mustMap(t, s, Map{Start: 0x100_0000, Size: 3 * page, Fixed: true, Prot: Read | Write, MayWrite: true})
	mustMap(t, s, Map{Start: va + 3*page, Size: 2 * page, Fixed: true, Prot: Read, Shared: true, File: f})
	s.Store(va+page, []byte{1})
	s.Load(make([]byte, 1), va+4*page)
	there := []byte{9, 9, 9, 9, 9}
	if err := s.Present(va, there); err != abi.OK || string(there) != "\x00\x01\x00\x00\x01" {
		t.Errorf("%d, % d; want 0 1 0 0 1", err, there)
	}
	if err := s.Present(va+4*page, there[:2]); err != abi.ENOMEM {
		t.Errorf("over the end: %d, want ENOMEM", err)
	}
	// What a file that never changes holds is in memory all the time; what is behind it, or may change, is not.
	for _, tt := range []struct {
		name string
		f    *file.File
		want string
	}{{"constant", f, "\x01\x01\x00"}, {"memfd", newMemfd(t, 3), "\x00\x00\x00"}} {
		va := mustMap(t, s, Map{Size: 3 * page, Prot: Read, File: tt.f, Bytes: page + 10, Zeros: true})
		if err := s.Present(va, there[:3]); err != abi.OK || string(there[:3]) != tt.want {
			t.Errorf("%s: %d, % d; want % d", tt.name, err, there[:3], []byte(tt.want))
		}
	}
}
