// Package memfd is memfd_create(2): a file of pages that come as they are touched, to be read, written and shared by mapping.
//
// Each page that exists has one reference from the file and one from each mapping of it. Differences from Linux: a
// file is at most 1 GiB (EFBIG), it cannot be sealed, and a page that a shrink cuts off stays readable where it is mapped
// already instead of raising SIGBUS.
package memfd

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/mem"
	"nexus/source/kernel/neuron/internal/user"
)

const (
	// MaxFiles bounds the memfds of the whole system.
	MaxFiles = 512
	// MaxSize bounds one file.
	MaxSize = perNode * perNode * mem.PageSize

	perNode = mem.PageSize / 8
)

// node is a page of page addresses, zero where there is none. The root's point to nodes, theirs to the file's pages.
type node [perNode]mem.Phys

// Memfd is one file, a file.Object. Invariant: bytes at and after size are zero in every page that exists, unless a mapping
// wrote them.
type Memfd struct {
	file.Defaults
	size  int64
	inode uint64   // of no other memfd before or after
	root  mem.Phys // 0 until the first page
	pages int64    // of data
	next  *Memfd   // free list
}

var (
	memfds [MaxFiles]Memfd
	fresh  int // memfds[fresh:] were never used
	freed  *Memfd
	inUse  int
	made   uint64
)

// Open is the number of memfds that exist.
func Open() int { return inUse }

// New returns an empty file. ENFILE if there are too many.
func New() (*Memfd, abi.Errno) {
	f := freed
	switch {
	case f != nil:
		freed = f.next
	case fresh < MaxFiles:
		f = &memfds[fresh]
		fresh++
	default:
		return nil, abi.ENFILE
	}
	made++
	*f = Memfd{inode: made}
	inUse++
	return f, abi.OK
}

// find is page number i (in range) or 0 if it does not exist.
func (f *Memfd) find(i uint64) mem.Phys {
	if f.root == 0 {
		return 0
	}
	leaf := nodeAt(f.root)[i/perNode]
	if leaf == 0 {
		return 0
	}
	return nodeAt(leaf)[i%perNode]
}

// page is page number i (in range), made if it does not exist; ok is false when memory is used up.
func (f *Memfd) page(i uint64) (p mem.Phys, ok bool) {
	if !fill(&f.root) {
		return 0, false
	}
	leaf := &nodeAt(f.root)[i/perNode]
	if !fill(leaf) {
		return 0, false
	}
	place := &nodeAt(*leaf)[i%perNode]
	if *place == 0 {
		if !fill(place) {
			return 0, false
		}
		f.pages++
	}
	return *place, true
}

// fill makes sure that *p is a page.
func fill(p *mem.Phys) bool {
	if *p != 0 {
		return true
	}
	page, ok := mem.Alloc()
	if ok {
		*p = page
	}
	return ok
}

// zeros is what a hole reads as.
var zeros mem.Page

// Read is file.Object's; 0 bytes at the end, holes read as zeros.
func (f *Memfd) Read(b *user.Buffer, pos int64) (int, abi.Errno) {
	if pos < 0 {
		return 0, abi.EINVAL
	}
	done := 0
	for b.Len() > 0 && pos < f.size {
		data := &zeros
		if p := f.find(uint64(pos) / mem.PageSize); p != 0 {
			data = mem.Bytes(p)
		}
		from := int(pos % mem.PageSize)
		n, ok := b.Put(data[from:min(mem.PageSize, int64(from)+f.size-pos)])
		done += n
		pos += int64(n)
		if !ok {
			return short(done, abi.EFAULT)
		}
	}
	return done, abi.OK
}

// Write is file.Object's. EFBIG beyond MaxSize, ENOMEM when memory is used up; what was written before that counts.
func (f *Memfd) Write(b *user.Buffer, pos int64) (int, abi.Errno) {
	if pos < 0 {
		return 0, abi.EINVAL
	}
	done := 0
	for b.Len() > 0 {
		if pos >= MaxSize {
			return short(done, abi.EFBIG)
		}
		p, ok := f.page(uint64(pos) / mem.PageSize)
		if !ok {
			return short(done, abi.ENOMEM)
		}
		n, ok := b.Get(mem.Bytes(p)[pos%mem.PageSize:])
		done += n
		pos += int64(n)
		f.size = max(f.size, pos)
		if !ok {
			return short(done, abi.EFAULT)
		}
	}
	return done, abi.OK
}

func short(done int, err abi.Errno) (int, abi.Errno) {
	if done > 0 {
		return done, abi.OK
	}
	return 0, err
}

// Truncate sets the size. What lies beyond is gone, also what a mapping wrote there, and reads as zeros if the file grows again. A file of many pages shrinks in pieces:
// Again, until it is as small as that.
func (f *Memfd) Truncate(size int64) abi.Errno {
	if size < 0 {
		return abi.EINVAL
	}
	if size > MaxSize {
		return abi.EFBIG
	}
	if size <= f.size && !f.cut(size) {
		return abi.Again
	}
	f.size = size
	return abi.OK
}

// pieceWork bounds a piece of cut, in places of pages looked at. A page given back counts for several, and to look at so many as
// fileWork is to close a file.
const (
	pieceWork = 1 << 14
	pageWork  = 8
	fileWork  = 64
)

// cut frees a piece of what is beyond size, from the end of the file on, and the file shrinks with it. It reports whether nothing is
// left; then the rest of the page in which size lies is zero.
func (f *Memfd) cut(size int64) (done bool) {
	work := pieceWork
	first := int(size+mem.PageSize-1) / mem.PageSize
	for i := perNode - 1; f.root != 0 && i >= first/perNode; i-- {
		leaf := &nodeAt(f.root)[i]
		if work--; *leaf == 0 {
			continue
		}
		from := max(first-i*perNode, 0)
		for j := perNode - 1; j >= from; j-- {
			p := &nodeAt(*leaf)[j]
			if work--; *p == 0 {
				continue
			}
			if work -= pageWork; work <= 0 {
				f.size = min(f.size, int64(i*perNode+j+1)*mem.PageSize)
				return false
			}
			mem.Free(*p)
			*p = 0
			f.pages--
		}
		if from == 0 {
			mem.Free(*leaf)
			*leaf = 0
		}
	}
	file.Work((pieceWork - work) / fileWork)
	if rest := size % mem.PageSize; rest != 0 {
		if p := f.find(uint64(size) / mem.PageSize); p != 0 {
			clear(mem.Bytes(p)[rest:])
		}
	}
	return true
}

// Map gives page index with a reference for the mapping. EFAULT beyond the last page, which the program sees as SIGBUS;
// ENOMEM when memory is used up. A hole becomes a page, since a later write must show in the mapping.
func (f *Memfd) Map(index uint64, _ bool) (mem.Phys, abi.Errno) {
	if index >= uint64(f.size+mem.PageSize-1)/mem.PageSize {
		return 0, abi.EFAULT
	}
	p, ok := f.page(index)
	if !ok {
		return 0, abi.ENOMEM
	}
	mem.Ref(p)
	return p, abi.OK
}

// Mapping is file.Object's.
func (f *Memfd) Mapping() file.Mapping { return file.MapsMemory }

// Seekable is file.Object's.
func (f *Memfd) Seekable() bool { return true }

// Stat is file.Object's.
func (f *Memfd) Stat(st *abi.Stat) {
	st.Dev, st.Ino, st.Mode = 4, f.inode, abi.S_IFREG|0o777
	st.Size = f.size
	st.Blksize = mem.PageSize
	st.Blocks = f.pages * (mem.PageSize / 512)
}

// Close is file.Object's. Pages that are still mapped live on until they are unmapped.
func (f *Memfd) Close() bool {
	if !f.cut(0) {
		return false
	}
	if f.root != 0 {
		mem.Free(f.root)
	}
	f.next, freed = freed, f
	inUse--
	return true
}
