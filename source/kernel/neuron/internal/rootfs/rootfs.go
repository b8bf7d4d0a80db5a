// Package rootfs is the file tree that programs see: the boot archive, read only and in place, and the character devices
// that anybody may open.
package rootfs

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/archive"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/mem"
	"nexus/source/kernel/neuron/internal/random"
	"nexus/source/kernel/neuron/internal/user"
	"nexus/source/kernel/neuron/internal/wait"
)

var (
	boot  archive.Archive
	base  mem.Phys // of the archive
	nodes [archive.MaxEntries + 1]Node
)

// Open checks the archive, which lies at p, and makes it the root. On a code other than OK the root is empty; at is
// the offset of the refused header.
func Open(bytes []byte, p mem.Phys) (code archive.Code, at int) {
	base = p
	return boot.Open(bytes)
}

// A Node is a file or directory of the archive.
type Node struct {
	file.Defaults
	entry archive.Entry
}

// Lookup finds what is at a clean path: a Node, or one of the character devices. Nil if there is nothing.
func Lookup(path []byte) file.Object {
	switch string(path) {
	case "/dev/null":
		return &null
	case "/dev/random":
		return &seeded
	case "/dev/urandom":
		return &urandom
	}
	e, ok := boot.Lookup(path)
	if !ok {
		return nil
	}
	n := &nodes[e.Index]
	n.entry = e
	return n
}

// IsDirectory tells directories from files.
func (n *Node) IsDirectory() bool { return n.entry.IsDirectory() }

// Executable reports whether the mode allows execution.
func (n *Node) Executable() bool { return n.entry.Mode&0o111 != 0 && !n.IsDirectory() }

// Bytes is the contents.
func (n *Node) Bytes() []byte { return boot.Data(n.entry) }

// Path is the path without the leading slash.
func (n *Node) Path() []byte { return n.entry.Name }

func (n *Node) Seekable() bool { return true }

// Read reads at pos.
func (n *Node) Read(b *user.Buffer, pos int64) (int, abi.Errno) {
	if n.IsDirectory() {
		return 0, abi.EISDIR
	}
	return readAt(n.Bytes(), b, pos)
}

func readAt(data []byte, b *user.Buffer, pos int64) (int, abi.Errno) {
	if pos >= int64(len(data)) {
		return 0, abi.OK
	}
	k, ok := b.Put(data[pos:])
	if k == 0 && !ok {
		return 0, abi.EFAULT
	}
	return k, abi.OK
}

// Mapping is file.Object's. Directories have nothing to map, and neither have files that their archive did not align.
func (n *Node) Mapping() file.Mapping {
	if n.IsDirectory() || n.entry.Size > 0 && !n.entry.Aligned() {
		return file.MapsNothing
	}
	return file.MapsConstant
}

// Map gives a page of the file in place, for reading.
func (n *Node) Map(index uint64, write bool) (mem.Phys, abi.Errno) {
	if write {
		return 0, abi.EACCES
	}
	if index >= (uint64(n.entry.Size)+mem.PageSize-1)/mem.PageSize {
		return 0, abi.EFAULT
	}
	return base + mem.Phys(n.entry.Offset) + mem.Phys(index*mem.PageSize), abi.OK
}

// Stat tells what the archive knows.
func (n *Node) Stat(st *abi.Stat) {
	st.Dev, st.Ino = 1, inode(n.entry)
	st.Mode, st.Nlink = n.entry.Mode, 1
	st.Size, st.Blksize = int64(n.entry.Size), mem.PageSize
	st.Blocks = (st.Size + 511) / 512
	changed := abi.Timespec{Sec: int64(n.entry.Time)}
	st.Atim, st.Mtim, st.Ctim = changed, changed, changed
}

// A Dirent is a line of a directory as getdents64 tells it.
type Dirent struct {
	Name  []byte
	Inode uint64
	Type  byte
}

// Entry types of getdents64.
const (
	typeDirectory = 4
	typeRegular   = 8
)

var dots = [2]byte{'.', '.'}

// Dirent lists the directory: what is at position pos, and the position behind it. "." and ".." come first.
func (n *Node) Dirent(pos int) (d Dirent, next int, ok bool) {
	switch pos {
	case 0:
		return Dirent{dots[:1], inode(n.entry), typeDirectory}, 1, true
	case 1:
		return Dirent{dots[:], inode(n.parent()), typeDirectory}, 2, true
	}
	e, cursor, ok := boot.Child(n.entry, pos-2)
	if !ok {
		return Dirent{}, pos, false
	}
	d = Dirent{e.Base(), inode(e), typeRegular}
	if e.IsDirectory() {
		d.Type = typeDirectory
	}
	return d, cursor + 2, true
}

func inode(e archive.Entry) uint64 { return uint64(e.Index) + 1 }

// parent is the directory that n is in; the root's is the root.
func (n *Node) parent() archive.Entry {
	name := n.entry.Name
	end := len(name) - len(n.entry.Base())
	e, _ := boot.Lookup(name[:max(end-1, 0)])
	return e
}

// character is a device that anybody may open.
type character struct {
	file.Defaults
	inode uint64
	read  func(b *user.Buffer) (int, abi.Errno)
}

var (
	null    = character{inode: 3, read: readNull}
	urandom = character{inode: 9, read: random.Read}
	seeded  = entropy{character{inode: 8, read: random.Read}}
)

func readNull(*user.Buffer) (int, abi.Errno) { return 0, abi.OK }

func (c *character) Read(b *user.Buffer, pos int64) (int, abi.Errno) { return c.read(b) }

// Write takes everything and looks at nothing.
func (c *character) Write(b *user.Buffer, pos int64) (int, abi.Errno) {
	n := b.Len()
	b.Limit(0)
	return n, abi.OK
}

func (c *character) Stat(st *abi.Stat) {
	st.Dev, st.Ino, st.Rdev = 2, c.inode, 1<<8|c.inode
	st.Mode, st.Nlink, st.Blksize = abi.S_IFCHR|0o666, 1, mem.PageSize
}

// entropy is /dev/random: until there is a seed a read waits, as getrandom does.
type entropy struct{ character }

func (e *entropy) Read(b *user.Buffer, pos int64) (int, abi.Errno) {
	if !random.Seeded() {
		return 0, abi.EAGAIN
	}
	return e.character.Read(b, pos)
}

func (*entropy) Queue() *wait.Queue { return &random.Seeding }

func (*entropy) Ready() abi.Events {
	if random.Seeded() {
		return abi.EPOLLIN
	}
	return abi.EPOLLOUT
}
