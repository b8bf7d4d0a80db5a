package memfd

import (
	"bytes"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/mem"
	"nexus/source/kernel/neuron/internal/user/usertest"
)

// sparse is a file with a page of data at each of n places, stride pages apart.
func sparse(t *testing.T, n, stride int) *Memfd {
	t.Helper()
	f, err := New()
	if err != abi.OK {
		t.Fatal(err)
	}
	for i := range n {
		if k, err := f.Write(usertest.In(bytes.Repeat([]byte{1}, mem.PageSize)), int64(i*stride)*mem.PageSize); k != mem.PageSize {
			t.Fatal(k, err)
		}
	}
	return f
}

func stat(f *Memfd) (st abi.Stat) {
	f.Stat(&st)
	return st
}

// TestShrinksInPieces: a file of many pages shrinks from its end on, and is as large as what is left of it after each piece.
func TestShrinksInPieces(t *testing.T) {
	const n, keep = 4000, 700
	mem.InitHost(n+64, 0)
	free := mem.Available()
	f := sparse(t, n, 1)
	pieces := 0
	for last := int64(n * mem.PageSize); f.Truncate(keep*mem.PageSize-5) == abi.Again; pieces++ {
		st := stat(f)
		if st.Size >= last || st.Size%mem.PageSize != 0 || st.Blocks*512 != st.Size {
			t.Fatalf("piece %d: %d bytes in %d blocks, %d bytes before", pieces, st.Size, st.Blocks, last)
		}
		if pages := (last - st.Size) / mem.PageSize; pages > pieceWork/pageWork {
			t.Fatalf("piece %d: %d pages at once", pieces, pages)
		}
		last = st.Size
	}
	if st := stat(f); pieces == 0 || st.Size != keep*mem.PageSize-5 || st.Blocks*512 != keep*mem.PageSize {
		t.Errorf("%d pieces, then %d bytes in %d blocks", pieces, st.Size, st.Blocks)
	}
	f.Truncate(keep * mem.PageSize)
	got := make([]byte, mem.PageSize)
	if f.Read(usertest.Out(got), (keep-1)*mem.PageSize); !bytes.Equal(got, append(bytes.Repeat([]byte{1}, mem.PageSize-5), 0, 0, 0, 0, 0)) {
		t.Error("the last page is not what was left of it, and zeros")
	}
	if !f.Close() || mem.Available() != free || Open() != 0 {
		t.Errorf("%d pages and %d files left behind", free-mem.Available(), Open())
	}
}

// TestClosesInPieces: so does the end of a file, which counts as open till then; and places where nothing is are work too.
func TestClosesInPieces(t *testing.T) {
	for _, tt := range []struct{ n, stride, atLeast int }{
		{4000, 1, 4000 * pageWork / pieceWork},
		{100, perNode, 100 * perNode / pieceWork},
		{10, 1, 0},
	} {
		mem.InitHost(5000, 0)
		free := mem.Available()
		f := sparse(t, tt.n, tt.stride)
		pieces := 0
		for ; !f.Close(); pieces++ {
			if Open() != 1 || pieces > 100 {
				t.Fatalf("%d files open after %d pieces", Open(), pieces)
			}
		}
		if pieces < tt.atLeast || tt.atLeast == 0 && pieces != 0 {
			t.Errorf("%d pages, %d apart: %d pieces before the last, want %d", tt.n, tt.stride, pieces, tt.atLeast)
		}
		if mem.Available() != free || Open() != 0 {
			t.Errorf("%d pages and %d files left behind", free-mem.Available(), Open())
		}
	}
}

// TestMemoryUsedUpAnywhere: a write or a mapping for whose pages memory does not last is ENOMEM, and with memory it goes through.
func TestMemoryUsedUpAnywhere(t *testing.T) {
	const at = 3 * perNode * mem.PageSize // the root, a node and the page
	calls := map[string]func(f *Memfd) abi.Errno{
		"write": func(f *Memfd) abi.Errno { _, err := f.Write(usertest.In([]byte{7}), at); return err },
		"map": func(f *Memfd) abi.Errno {
			f.Truncate(at + 1)
			p, err := f.Map(at/mem.PageSize, true)
			if err == abi.OK {
				mem.Free(p)
			}
			return err
		},
	}
	for name, call := range calls {
		for n := range 4 {
			t.Run(fmt.Sprint(name, " ", n), func(t *testing.T) {
				mem.InitHost(16, 0)
				free := mem.Available()
				f, _ := New()
				var taken []mem.Phys
				for mem.Available() > n {
					p, _ := mem.Alloc()
					taken = append(taken, p)
				}
				want := abi.ENOMEM
				if n == 3 {
					want = abi.OK
				}
				if err := call(f); err != want {
					t.Errorf("%d, want %d", err, want)
				}
				if st := stat(f); (st.Blocks != 0) != (want == abi.OK) {
					t.Errorf("%d blocks", st.Blocks)
				}
				for _, p := range taken {
					mem.Free(p)
				}
				if err := call(f); err != abi.OK || stat(f).Blocks != mem.PageSize/512 {
					t.Errorf("with memory: %d, %d blocks", err, stat(f).Blocks)
				}
				if f.Close(); mem.Available() != free {
					t.Errorf("%d pages left behind", free-mem.Available())
				}
			})
		}
	}
}

// TestTruncateToTheSame: what a mapping wrote behind the end is gone after ftruncate to the same size, as on the host.
func TestTruncateToTheSame(t *testing.T) {
	fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	unix.Ftruncate(fd, 100)
	want, err := unix.Mmap(fd, 0, mem.PageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(want)
	mem.InitHost(16, 0)
	f, _ := New()
	f.Truncate(100)
	p, _ := f.Map(0, true)
	got := mem.Bytes(p)[:]
	for _, b := range [][]byte{got, want} {
		b[99], b[100] = 1, 1
	}
	f.Truncate(100)
	unix.Ftruncate(fd, 100)
	if !bytes.Equal(got, want) {
		t.Errorf("% d, the host has % d", got[98:102], want[98:102])
	}
	mem.Free(p)
	f.Close()
}

// TestFilesAreDifferent: no two files have the same inode, not even one after the other.
func TestFilesAreDifferent(t *testing.T) {
	mem.InitHost(16, 0)
	seen := map[uint64]bool{}
	for range 10 {
		a, _ := New()
		b, _ := New()
		for _, f := range []*Memfd{a, b} {
			st := stat(f)
			if seen[st.Ino] || st.Dev == 0 || st.Blksize != mem.PageSize {
				t.Errorf("inode %d again, or device %d, block size %d", st.Ino, st.Dev, st.Blksize)
			}
			seen[st.Ino] = true
			f.Close()
		}
	}
}
