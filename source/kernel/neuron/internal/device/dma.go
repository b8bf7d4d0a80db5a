package device

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/mem"
	"nexus/source/kernel/neuron/internal/user"
)

// MaxMemories bounds the pieces of DMA memory.
const MaxMemories = 32

// Memory is a piece of DMA memory: contiguous, at a physical address that its holder is told. It has no size until Truncate.
type Memory struct {
	file.Defaults
	base  mem.Phys
	pages int
	open  bool
	inode uint64 // of no other piece before or after
}

var (
	memories [MaxMemories]Memory
	made     uint64
)

func newMemory() (file.Object, abi.Errno) {
	for i := range memories {
		if m := &memories[i]; !m.open {
			made++
			*m = Memory{open: true, inode: made}
			return m, abi.OK
		}
	}
	return nil, abi.ENFILE
}

// Truncate takes the memory, once. ENOMEM if the pool has no such piece.
func (m *Memory) Truncate(size int64) abi.Errno {
	if m.pages != 0 || size <= 0 || size > 1<<30 {
		return abi.EINVAL
	}
	n := int((size + mem.PageSize - 1) / mem.PageSize)
	p, ok := mem.AllocContiguous(n)
	if !ok {
		return abi.ENOMEM
	}
	m.base, m.pages = p, n
	return abi.OK
}

func (m *Memory) Seekable() bool { return true }

// Read gives the physical address, a u64 at 0.
func (m *Memory) Read(b *user.Buffer, pos int64) (int, abi.Errno) {
	if m.pages == 0 {
		return 0, abi.ENXIO
	}
	if pos >= 8 {
		return 0, abi.OK
	}
	var w [8]byte
	user.PutUint64(w[:], uint64(m.base))
	n, ok := b.Put(w[pos:])
	if !ok {
		return 0, abi.EFAULT
	}
	return n, abi.OK
}

// Mapping is file.Object's.
func (m *Memory) Mapping() file.Mapping { return file.MapsPages }

// Map gives a page. It stays until the last mapping is gone, because a mapping holds the file.
func (m *Memory) Map(index uint64, write bool) (mem.Phys, abi.Errno) {
	if index >= uint64(m.pages) {
		return 0, abi.EFAULT
	}
	return m.base + mem.Phys(index*mem.PageSize), abi.OK
}

// Stat tells the size.
func (m *Memory) Stat(st *abi.Stat) {
	st.Dev, st.Ino, st.Mode, st.Nlink = 5, m.inode, abi.S_IFCHR|0o600, 1
	st.Size = int64(m.pages) * mem.PageSize
}

// Close gives the memory back.
func (m *Memory) Close() bool {
	if !m.open {
		panic("device: DMA memory is closed twice")
	}
	if m.pages > 0 {
		mem.FreeContiguous(m.base, m.pages)
	}
	*m = Memory{}
	return true
}
