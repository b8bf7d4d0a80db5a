package syscall

import (
	"slices"
	"strings"
	"testing"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/mem"
	"nexus/source/kernel/neuron/internal/vm"
)

const (
	nrMincore, nrMadvise = 232, 233

	protRead, protWrite, protExec = uint64(vm.Read), uint64(vm.Read | vm.Write), uint64(vm.Read | vm.Exec)
	private, shared               = mapPrivate | mapAnonymous, mapShared | mapAnonymous
	onePage                       = mem.PageSize
	elsewhere                     = base + 0x100_0000 // free
)

// may reports what the program may do with the byte at va, by trying it.
func (p *caller) may(va uint64) (mayRead, mayWrite bool) {
	b := []byte{0}
	s := p.thread.Process.Space
	mayRead = s.Load(b, va) == 1
	return mayRead, s.Store(va, b) == 1
}

// TestMmap: mmap(2)'s addresses and errors.
func TestMmap(t *testing.T) {
	p := start(t)
	p.tree()
	data := p.open("/etc/words", abi.O_RDONLY)
	device := p.open("/dev/null", abi.O_RDWR)
	r, w := p.pipe()
	fd := p.memfd(2 * onePage)
	a := uint64(p.must(nrMmap, 0, 2*onePage, protWrite, private, 0, 0))
	if r, w := p.may(a + onePage); !r || !w || a%onePage != 0 {
		t.Errorf("at %#x: read %v, write %v", a, r, w)
	}
	if got := uint64(p.must(nrMmap, elsewhere, 1, protRead, private|mapFixed, 0, 0)); got != elsewhere {
		t.Errorf("at %#x, want %#x", got, uint64(elsewhere))
	}
	if r, w := p.may(elsewhere + onePage - 1); !r || w {
		t.Errorf("of a byte a page: read %v, write %v", r, w)
	}
	if got := uint64(p.must(nrMmap, elsewhere+onePage, onePage, protRead, private|mapFixedNoreplace, 0, 0)); got != elsewhere+onePage {
		t.Errorf("at %#x, want what is free", got)
	}
	for _, tt := range []struct {
		what                          string
		at, size, prot, flags, fd, of uint64
		want                          abi.Errno
	}{
		{"no size", 0, 0, protRead, private, 0, 0, abi.EINVAL},
		{"neither private nor shared", 0, onePage, protRead, mapAnonymous, 0, 0, abi.EINVAL},
		{"both", 0, onePage, protRead, mapAnonymous | mapShared | mapPrivate, 0, 0, abi.EINVAL},
		{"fixed at no page", elsewhere + 1, onePage, protRead, private | mapFixed, 0, 0, abi.EINVAL},
		{"over what is there", elsewhere, onePage, protRead, private | mapFixedNoreplace, 0, 0, abi.EEXIST},
		{"over a part of what is there", elsewhere + onePage, 2 * onePage, protRead, private | mapFixedNoreplace, 0, 0, abi.EEXIST},
		{"more than there is", 0, 1 << 40, protRead, private, 0, 0, abi.ENOMEM},
		{"a closed descriptor", 0, onePage, protRead, mapPrivate, 99, 0, abi.EBADF},
		{"an offset in a page", 0, onePage, protRead, mapPrivate, data, 1, abi.EINVAL},
		{"a pipe", 0, onePage, protRead, mapPrivate, r, 0, abi.ENODEV},
		{"the other end", 0, onePage, protRead, mapPrivate, w, 0, abi.EACCES},
		{"a device", 0, onePage, protWrite, mapShared, device, 0, abi.ENODEV},
		{"to write into a file that is read-only", 0, onePage, protWrite, mapShared, data, 0, abi.EACCES},
	} {
		p.want(tt.want, tt.what, nrMmap, tt.at, tt.size, tt.prot, tt.flags, tt.fd, tt.of)
	}
	a = uint64(p.must(nrMmap, 0, 2*onePage, protWrite, mapPrivate, data, 0))
	if got := string(p.bytes(a+4998, 4)); got != "a.\x00\x00" {
		t.Errorf("the file ends with %q, want zeros behind it", got)
	}
	if _, w := p.may(a); !w {
		t.Error("no private copy of a file can be written to")
	}
	if a = uint64(p.must(nrMmap, 0, onePage, protExec, mapPrivate, data, onePage)); string(p.bytes(a, 4)) != "ata." || strings.Trim(string(p.bytes(a+dataLen-onePage, 100)), "\x00") != "" {
		t.Errorf("the second page: %q, want the file from 4096 on, and behind its end zeros: %q", p.bytes(a, 4), p.bytes(a+dataLen-onePage, 100))
	}
	a = uint64(p.must(nrMmap, 0, onePage, protRead, mapShared, data, 0))
	p.want(abi.EACCES, "to make a shared mapping of a read-only file writable", nrMprotect, a, onePage, protWrite)
	if a = uint64(p.must(nrMmap, 0, onePage, protRead, mapPrivate, data, 64*onePage)); p.thread.Process.Space.Load(make([]byte, 1), a) != 0 {
		t.Error("there is something behind the file's end")
	}
	p.must(nrMmap, 0, onePage, protExec, mapPrivate, fd, 0)
	a = uint64(p.must(nrMmap, 0, onePage, protWrite, mapShared, fd, onePage))
	p.thread.Memory().Store(a, []byte("shared"))
	b := uint64(p.must(nrMmap, 0, onePage, protWrite, mapPrivate, fd, onePage))
	if got := string(p.bytes(b, 6)); got != "shared" {
		t.Errorf("a private mapping shows %q", got)
	}
	p.thread.Memory().Store(b, []byte("own"))
	at := p.room(6)
	p.must(nrPread64, fd, at, 6, onePage)
	if got := string(p.bytes(at, 6)); got != "shared" {
		t.Errorf("the file has %q, want what was written to the shared mapping", got)
	}
}

// TestMprotectAndMunmap: mprotect(2), munmap(2), of long ranges as well, which are done in pieces.
func TestMprotectAndMunmap(t *testing.T) {
	p := start(t)
	const size = 64 << 20
	for at := uint64(0); at < size; at += 1 << 20 {
		p.must(nrMmap, elsewhere+at, 1<<20, protWrite, private|mapFixed, 0, 0)
		p.thread.Memory().Store(elsewhere+at, []byte{1})
	}
	for _, prot := range []uint64{0, protRead, protWrite} {
		if _, _, again := p.call(nrMprotect, elsewhere, size, prot); again {
			p.finish()
		}
		for _, at := range []uint64{elsewhere, elsewhere + size - onePage} {
			if r, w := p.may(at); r != (prot != 0) || w != (prot == protWrite) {
				t.Errorf("protection %d: read %v, write %v at %#x", prot, r, w, at)
			}
		}
	}
	p.must(nrMprotect, elsewhere, onePage, protWrite|8) // PROT_SEM
	p.want(abi.EINVAL, "a protection that is none", nrMprotect, elsewhere, onePage, 16)
	p.want(abi.EINVAL, "an address that is no page's", nrMprotect, elsewhere+1, onePage, protRead)
	p.want(abi.ENOMEM, "what is not there", nrMprotect, elsewhere+size, onePage, protRead)
	p.want(abi.EINVAL, "to unmap an address that is no page's", nrMunmap, elsewhere+1, onePage)
	p.want(abi.EINVAL, "to unmap nothing", nrMunmap, elsewhere, 0)
	if _, _, again := p.call(nrMunmap, elsewhere, size-onePage); again {
		p.finish()
	}
	first, _ := p.may(elsewhere)
	before, _ := p.may(elsewhere + size - onePage - 1)
	last, _ := p.may(elsewhere + size - onePage)
	if first || before || !last {
		t.Errorf("unmapped all but the last page: the first is there: %v, the one before the last: %v, the last: %v", first, before, last)
	}
}

// TestMadvise: madvise(2): DONTNEED gives the memory up, which reads as zeros then; other advice changes nothing that is seen.
func TestMadvise(t *testing.T) {
	const dontNeed = 4
	p := start(t)
	a := uint64(p.must(nrMmap, 0, 3*onePage, protWrite, private, 0, 0))
	all := slices.Repeat([]byte{7}, 3*onePage)
	p.thread.Memory().Store(a, all)
	for _, advice := range []uint64{0, 1, 2, 3, 8, 15} {
		if p.must(nrMadvise, a, 3*onePage, advice); !slices.Equal(p.bytes(a, 3*onePage), all) {
			t.Errorf("advice %d changes what is there", advice)
		}
	}
	for _, advice := range []uint64{14, 25, 99} {
		p.want(abi.EINVAL, "huge pages, and what is no advice", nrMadvise, a, onePage, advice)
	}
	p.want(abi.EINVAL, "an address that is no page's", nrMadvise, a+1, onePage, dontNeed)
	p.must(nrMadvise, a+onePage, onePage, dontNeed)
	clear(all[onePage : 2*onePage])
	if !slices.Equal(p.bytes(a, 3*onePage), all) {
		t.Error("not the second page alone is zero")
	}
}

// TestMincore: mincore(2): a byte a page, whose lowest bit says whether it is in memory.
func TestMincore(t *testing.T) {
	const many = 600
	p := start(t)
	a := uint64(p.must(nrMmap, 0, many*onePage, protWrite, private, 0, 0))
	want := make([]byte, many)
	for i := range uint64(many) {
		if i%3 == 0 {
			p.thread.Memory().Store(a+i*onePage, []byte{1})
			want[i] = 1
		}
	}
	at := p.put(slices.Repeat([]byte{9}, many+8)...)
	p.call(nrMincore, a, many*onePage, at)
	if _, err, pieces := p.finish(); err != abi.OK || pieces != 3 || !slices.Equal(p.bytes(at, many), want) || p.bytes(at+many, 1)[0] != 9 {
		t.Errorf("error %d in %d pieces; the bytes are right: %v", err, pieces, slices.Equal(p.bytes(at, many), want))
	}
	for size, n := range map[uint64]int{1: 1, onePage: 1, onePage + 1: 2, 0: 0} {
		at := p.put(9, 9, 9, 9)
		p.must(nrMincore, a+onePage, size, at)
		if got := p.bytes(at, 4); !slices.Equal(got[:n], want[1:1+n]) || got[n] != 9 {
			t.Errorf("%d bytes: % x, want %d pages", size, got, n)
		}
	}
	p.must(nrMmap, vm.UserEnd-onePage, onePage, protWrite, private|mapFixed, 0, 0)
	if p.must(nrMincore, vm.UserEnd-onePage, onePage, at); p.bytes(at, 1)[0] != 0 {
		t.Error("the last page that a program can have is there before it is touched")
	}
	p.want(abi.EINVAL, "an address that is no page's", nrMincore, a+1, onePage, at)
	p.want(abi.ENOMEM, "what is not there", nrMincore, elsewhere, onePage, at)
	p.want(abi.ENOMEM, "the kernel's", nrMincore, 1<<63, onePage, at)
	p.want(abi.ENOMEM, "up to the kernel's", nrMincore, a, 1<<40, at)
	p.want(abi.ENOMEM, "more than there are addresses", nrMincore, a, 1<<64-1, at)
	p.want(abi.EFAULT, "nowhere", nrMincore, a, onePage, nowhere)
}
