package vm

import (
	"testing"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/mem"
	"nexus/source/kernel/neuron/internal/memfd"
)

func mustKey(t *testing.T, s *Space, va uint64, private bool) Key {
	t.Helper()
	k, err := s.Key(va, private)
	if err != abi.OK {
		t.Fatalf("Key(%#x, %v): %d", va, private, err)
	}
	return k
}

func newMemfd(t testing.TB, pages int64) *file.File {
	t.Helper()
	o, err := memfd.New()
	if err != abi.OK {
		t.Fatal(err)
	}
	o.Truncate(pages * page)
	return file.New(o, abi.O_RDWR)
}

// TestKeyNamesTheWord: words are the same or not as Linux's get_futex_key has it.
func TestKeyNamesTheWord(t *testing.T) {
	s, _ := setup(t, 128)
	other, _ := NewSpace()
	f, g := newMemfd(t, 4), newMemfd(t, 4)
	shared := Map{Size: 2 * page, Prot: Read | Write, Shared: true, MayWrite: true}
	at := func(s *Space, f *file.File, index uint64) uint64 {
		m := shared
		m.File, m.Index = f, index
		return mustMap(t, s, m)
	}
	own, there := mustMap(t, s, anonymous), mustMap(t, other, anonymous)
	first, second, far := at(s, f, 0), at(s, f, 1), at(other, f, 1)
	elsewhere := at(other, g, 1)
	readOnly := mustMap(t, s, Map{Size: page, Prot: Read, Shared: true, File: f})
	copied := mustMap(t, s, Map{Size: page, Prot: Read | Write, MayWrite: true, File: f, Bytes: page})
	unwritten := mustMap(t, s, Map{Size: page, Prot: Read, MayWrite: true, File: f, Bytes: page})
	tests := []struct {
		name string
		a, b Key
		same bool
	}{
		{"own, private", mustKey(t, s, own, true), mustKey(t, s, own, true), true},
		{"own, not private", mustKey(t, s, own, false), mustKey(t, s, own, false), true},
		{"own, private with one that is not", mustKey(t, s, own, true), mustKey(t, s, own, false), false},
		{"own, the next word", mustKey(t, s, own, true), mustKey(t, s, own+4, true), false},
		{"two spaces, private", mustKey(t, s, own, true), mustKey(t, other, own, true), false},
		{"two spaces, not private", mustKey(t, s, own, false), mustKey(t, other, there, false), false},
		{"a file's word in two mappings", mustKey(t, s, first+page+8, false), mustKey(t, s, second+8, false), true},
		{"a file's word in two spaces", mustKey(t, s, first+page+8, false), mustKey(t, other, far+8, false), true},
		{"a file's word, written and read only", mustKey(t, s, first+12, false), mustKey(t, s, readOnly+12, false), true},
		{"a file's word, in a private mapping that cannot be written to", mustKey(t, s, first+12, false), mustKey(t, s, unwritten+12, false), true},
		{"a file's word, in a private mapping that can", mustKey(t, s, first+12, false), mustKey(t, s, copied+12, false), false},
		{"a file's word, private in two mappings", mustKey(t, s, first+page+8, true), mustKey(t, s, second+8, true), false},
		{"two words of a file", mustKey(t, s, second+8, false), mustKey(t, s, second+12, false), false},
		{"two files", mustKey(t, other, far+8, false), mustKey(t, other, elsewhere+8, false), false},
	}
	for _, tt := range tests {
		if got := tt.a == tt.b; got != tt.same {
			t.Errorf("%s: same %v, want %v", tt.name, got, tt.same)
		}
		if tt.same && tt.a.Hash(256) != tt.b.Hash(256) {
			t.Errorf("%s: equal keys in two buckets", tt.name)
		}
	}
}

// TestKeyOutlivesThePage: a frame or a file's place that serves another program next does not take the waits along.
func TestKeyOutlivesThePage(t *testing.T) {
	s, _ := setup(t, 64)
	f := newMemfd(t, 1)
	window := Map{Size: page, Prot: Read | Write, Shared: true, MayWrite: true, File: f}
	own, va := mustMap(t, s, anonymous), mustMap(t, s, window)
	private, shared, file := mustKey(t, s, own, true), mustKey(t, s, own, false), mustKey(t, s, va, false)
	unmapAll(s, own, 8*page)
	unmapAll(s, va, page)
	f.Release()
	reap()
	reapFiles()

	other, _ := NewSpace()
	window.File = newMemfd(t, 1)
	for _, m := range []Map{anonymous, window} {
		va := mustMap(t, other, m)
		other.Store(va, make([]byte, page))
		for _, flag := range []bool{true, false} {
			if k := mustKey(t, other, va, flag); k == private || k == shared || k == file {
				t.Errorf("private %v: the key of a wait in memory that went", flag)
			}
		}
	}
	if k, err := s.Key(own, true); err != abi.OK || k != private {
		t.Errorf("a private wake after munmap: %d; Linux does not look at the memory", err)
	}
}

func TestKeyRefused(t *testing.T) {
	s, _ := setup(t, 64)
	readOnly := mustMap(t, s, Map{Size: page, Prot: Read})
	none := mustMap(t, s, Map{Size: page})
	beyond := mustMap(t, s, Map{Size: 2 * page, Prot: Read | Write, Shared: true, MayWrite: true, File: newMemfd(t, 1)}) + page
	tests := []struct {
		name    string
		va      uint64
		private bool
	}{
		{"the kernel's half, private", 1 << 63, true},
		{"the end of user space, private", UserEnd, true},
		{"the kernel's half", 1 << 63, false},
		{"nothing mapped", 0x10000, false},
		{"read-only memory of its own", readOnly, false},
		{"PROT_NONE", none, false},
		{"behind a file's end", beyond, false},
	}
	for _, tt := range tests {
		if _, err := s.Key(tt.va, tt.private); err != abi.EFAULT {
			t.Errorf("%s: %d, want EFAULT", tt.name, err)
		}
	}
}

// TestKeysSpread: the words of an array, of neighbouring pages and of many files do not share a few buckets.
func TestKeysSpread(t *testing.T) {
	const buckets, n = 256, 4096
	kinds := map[string]func(i uint64) Key{
		"words": func(i uint64) Key { return Key{at: 0x10000 + 4*i} },
		"pages": func(i uint64) Key { return Key{at: 0x10000 + mem.PageSize*i} },
		"files": func(i uint64) Key { return Key{inode: i} },
	}
	for name, key := range kinds {
		var count [buckets]int
		for i := range uint64(n) {
			count[key(i).Hash(buckets)]++
		}
		most := 0
		for _, c := range count {
			most = max(most, c)
		}
		if most > 4*n/buckets {
			t.Errorf("%s: %d of %d keys in one of %d buckets", name, most, n, buckets)
		}
	}
}
