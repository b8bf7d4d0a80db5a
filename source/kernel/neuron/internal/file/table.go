package file

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/mem"
)

// MaxDescriptors bounds the descriptors of one process (RLIMIT_NOFILE).
const MaxDescriptors = leaves * perLeaf

const (
	leaves  = 32
	perLeaf = mem.PageSize / 16
)

// entry is one descriptor.
type entry struct {
	file  *File
	flags uint64 // bit 0: close on exec
}

type leaf [perLeaf]entry

// A Table is the descriptors of a process. Its pages come as they are needed.
type Table struct {
	leaf [leaves]*leaf
	page [leaves]mem.Phys
	low  int // no descriptor below is free
}

func (t *Table) at(fd int) *entry {
	if fd < 0 || fd >= MaxDescriptors || t.leaf[fd/perLeaf] == nil {
		return nil
	}
	return &t.leaf[fd/perLeaf][fd%perLeaf]
}

// grow makes sure that fd, which is in range, has a place.
func (t *Table) grow(fd int) abi.Errno {
	i := fd / perLeaf
	if t.leaf[i] != nil {
		return abi.OK
	}
	p, ok := mem.Alloc()
	if !ok {
		return abi.ENOMEM
	}
	t.page[i], t.leaf[i] = p, leafAt(p)
	return abi.OK
}

// Get is the file behind fd, without a new reference.
func (t *Table) Get(fd int) (*File, abi.Errno) {
	if e := t.at(fd); e != nil && e.file != nil {
		return e.file, abi.OK
	}
	return nil, abi.EBADF
}

// Install gives f the lowest free descriptor from least on and takes over the caller's reference; on an error
// the caller keeps it. EMFILE if none is free, EINVAL for a least out of range.
func (t *Table) Install(f *File, least int, closeOnExec bool) (int, abi.Errno) {
	if least < 0 || least >= MaxDescriptors {
		return 0, abi.EINVAL
	}
	for fd := max(least, t.low); fd < MaxDescriptors; fd++ {
		if e := t.at(fd); e != nil && e.file != nil {
			continue
		}
		if err := t.grow(fd); err != abi.OK {
			return 0, err
		}
		t.set(fd, f, closeOnExec)
		if least <= t.low {
			t.low = fd + 1
		}
		return fd, abi.OK
	}
	return 0, abi.EMFILE
}

func (t *Table) set(fd int, f *File, closeOnExec bool) {
	e := t.at(fd)
	e.file, e.flags = f, 0
	if closeOnExec {
		e.flags = 1
	}
}

// Replace makes fd mean f, whose reference it takes over, and closes what it meant before. EBADF if fd is out of range.
func (t *Table) Replace(fd int, f *File, closeOnExec bool) abi.Errno {
	if fd < 0 || fd >= MaxDescriptors {
		return abi.EBADF
	}
	if err := t.grow(fd); err != abi.OK {
		return err
	}
	old := t.at(fd).file
	t.set(fd, f, closeOnExec)
	if old != nil {
		old.Release()
	}
	return abi.OK
}

// Close frees fd.
func (t *Table) Close(fd int) abi.Errno {
	e := t.at(fd)
	if e == nil || e.file == nil {
		return abi.EBADF
	}
	f := e.file
	e.file = nil
	t.low = min(t.low, fd)
	f.Release()
	return abi.OK
}

// CloseOnExec and SetCloseOnExec are FD_CLOEXEC of an open fd.
func (t *Table) CloseOnExec(fd int) bool { e := t.at(fd); return e != nil && e.flags != 0 }

func (t *Table) SetCloseOnExec(fd int, on bool) {
	if e := t.at(fd); e != nil {
		e.flags = 0
		if on {
			e.flags = 1
		}
	}
}

// CopyTo gives the empty table u the same descriptors. On ENOMEM u holds some of them and must be cleared.
func (t *Table) CopyTo(u *Table) abi.Errno {
	for i, l := range t.leaf {
		if l == nil {
			continue
		}
		if err := u.grow(i * perLeaf); err != abi.OK {
			return err
		}
		for j := range l {
			if e := &l[j]; e.file != nil {
				u.leaf[i][j] = entry{e.file.Ref(), e.flags}
			}
		}
	}
	u.low = t.low
	return abi.OK
}

// Exec closes what is marked close-on-exec.
func (t *Table) Exec() {
	t.sweep(func(e *entry) bool { return e.flags != 0 })
}

// Clear closes everything and gives the pages back.
func (t *Table) Clear() {
	t.sweep(func(*entry) bool { return true })
	for i, l := range t.leaf {
		if l != nil {
			t.leaf[i] = nil
			mem.Free(t.page[i])
		}
	}
	t.low = 0
}

func (t *Table) sweep(drop func(*entry) bool) {
	for i, l := range t.leaf {
		if l == nil {
			continue
		}
		for j := range l {
			if e := &l[j]; e.file != nil && drop(e) {
				f := e.file
				e.file = nil
				t.low = min(t.low, i*perLeaf+j)
				f.Release()
			}
		}
	}
}
