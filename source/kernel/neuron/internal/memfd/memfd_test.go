package memfd

import (
	"bytes"
	"errors"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/mem"
	"nexus/source/kernel/neuron/internal/user/usertest"
)

// TestLikeHost makes the same calls on a memfd of the host and one of ours and wants the same answers. Mappings of ours are
// compared with what the host reads at their place.
func TestLikeHost(t *testing.T) {
	mem.InitHost(4096, 0)
	free := mem.Available()
	rapid.Check(t, func(t *rapid.T) {
		fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		f, errno := New()
		if errno != abi.OK {
			t.Fatal(errno)
		}
		defer f.Close()
		var mapped []mem.Phys
		defer func() {
			for _, p := range mapped {
				mem.Free(p)
			}
		}()
		same := func(t *rapid.T, what string, n int, errno abi.Errno, wantN int, err error) {
			var want unix.Errno
			errors.As(err, &want)
			if n != max(wantN, 0) || errno != abi.Errno(want) {
				t.Fatalf("%s = %d, %d, want %d, %d", what, n, errno, wantN, want)
			}
		}
		// Near 0 and near 2 MiB, where a second node of pages begins.
		place := rapid.OneOf(rapid.Int64Range(0, 20000), rapid.Int64Range(2<<20-9000, 2<<20+9000))
		seed := byte(0)
		t.Repeat(map[string]func(*rapid.T){
			"write": func(t *rapid.T) {
				seed++
				data := bytes.Repeat([]byte{seed}, rapid.IntRange(0, 9000).Draw(t, "n"))
				pos := place.Draw(t, "pos")
				wantN, err := unix.Pwrite(fd, data, pos)
				n, errno := f.Write(usertest.In(data), pos)
				same(t, "write", n, errno, wantN, err)
			},
			"read": func(t *rapid.T) {
				size, pos := rapid.IntRange(0, 9000).Draw(t, "n"), place.Draw(t, "pos")
				got, want := make([]byte, size), make([]byte, size)
				wantN, err := unix.Pread(fd, want, pos)
				n, errno := f.Read(usertest.Out(got), pos)
				same(t, "read", n, errno, wantN, err)
				if !bytes.Equal(got, want) {
					t.Fatal("read other bytes than the host")
				}
			},
			"truncate": func(t *rapid.T) {
				size := place.Draw(t, "size")
				same(t, "truncate", 0, f.Truncate(size), 0, unix.Ftruncate(fd, size))
			},
			"map": func(t *rapid.T) {
				index := place.Draw(t, "pos") / mem.PageSize
				want := make([]byte, mem.PageSize)
				n, _ := unix.Pread(fd, want, index*mem.PageSize)
				p, errno := f.Map(uint64(index), true)
				if n == 0 {
					if errno != abi.EFAULT {
						t.Fatalf("map beyond the end: %d, want EFAULT", errno)
					}
					return
				}
				if errno != abi.OK || !bytes.Equal(mem.Bytes(p)[:], want) {
					t.Fatalf("map of page %d: %d, or other bytes than the host's", index, errno)
				}
				mapped = append(mapped, p)
				mem.Bytes(p)[0]++
				unix.Pwrite(fd, []byte{want[0] + 1}, index*mem.PageSize)
			},
			"": func(t *rapid.T) {
				var want unix.Stat_t
				if err := unix.Fstat(fd, &want); err != nil {
					t.Fatal(err)
				}
				var got abi.Stat
				f.Stat(&got)
				if got.Size != want.Size || got.Mode != want.Mode || got.Blocks != want.Blocks {
					t.Fatalf("stat: size %d mode %o blocks %d, want %d %o %d", got.Size, got.Mode, got.Blocks, want.Size, want.Mode, want.Blocks)
				}
			},
		})
	})
	if mem.Available() != free || Open() != 0 {
		t.Fatalf("%d pages and %d files left behind", free-mem.Available(), Open())
	}
}

func TestMappingOutlivesFile(t *testing.T) {
	mem.InitHost(64, 0)
	free := mem.Available()
	f, _ := New()
	f.Write(usertest.In([]byte("shared")), 0)
	p, err := f.Map(0, false)
	if err != abi.OK {
		t.Fatal(err)
	}
	f.Close()
	if got := string(mem.Bytes(p)[:6]); got != "shared" {
		t.Errorf("the mapping holds %q after the close", got)
	}
	mem.Free(p)
	if mem.Available() != free {
		t.Errorf("%d pages left behind", free-mem.Available())
	}
}

func TestBounds(t *testing.T) {
	mem.InitHost(8, 0)
	free := mem.Available()
	f, _ := New()
	if err := f.Truncate(MaxSize + 1); err != abi.EFBIG {
		t.Errorf("truncate beyond the bound: %d, want EFBIG", err)
	}
	for _, size := range []int64{MaxSize, 0} {
		if err := f.Truncate(size); err != abi.OK || f.size != size {
			t.Errorf("truncate to %#x: %d, %#x", size, err, f.size)
		}
	}
	if err := f.Truncate(-1); err != abi.EINVAL {
		t.Errorf("negative truncate: %d, want EINVAL", err)
	}
	if n, err := f.Write(usertest.In([]byte("ab")), MaxSize-1); n != 1 || err != abi.OK {
		t.Errorf("write across the bound = %d, %d, want 1", n, err)
	}
	if n, err := f.Write(usertest.In([]byte("a")), MaxSize); n != 0 || err != abi.EFBIG {
		t.Errorf("write at the bound = %d, %d, want EFBIG", n, err)
	}
	room := (free - 4) * mem.PageSize // but for the root, two leaves and the page at the bound
	if n, err := f.Write(usertest.In(make([]byte, 1<<16)), 0); n != room || err != abi.OK {
		t.Errorf("write = %d, %d, want %d", n, err, room)
	}
	if n, err := f.Write(usertest.In([]byte("a")), 1<<20); n != 0 || err != abi.ENOMEM {
		t.Errorf("write without memory = %d, %d, want ENOMEM", n, err)
	}
	if _, err := f.Map(1<<20/mem.PageSize, true); err != abi.ENOMEM {
		t.Errorf("map without memory: %d, want ENOMEM", err)
	}
	f.Close()
	if mem.Available() != free {
		t.Errorf("%d pages left behind", free-mem.Available())
	}
	var all []*Memfd
	for range MaxFiles {
		f, err := New()
		if err != abi.OK {
			t.Fatal(err)
		}
		all = append(all, f)
	}
	if _, err := New(); err != abi.ENFILE {
		t.Errorf("one too many: %d, want ENFILE", err)
	}
	for _, f := range all {
		f.Close()
	}
}
