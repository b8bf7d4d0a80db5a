package syscall

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/mem"
	"nexus/source/kernel/neuron/internal/proc"
	"nexus/source/kernel/neuron/internal/user"
	"nexus/source/kernel/neuron/internal/vm"
)

// Flags of mmap (asm-generic/mman.h).
const (
	mapShared         = 0x01
	mapPrivate        = 0x02
	mapTypeMask       = 0x0f
	mapFixed          = 0x10
	mapAnonymous      = 0x20
	mapFixedNoreplace = 0x100000
)

func sysMmap(t *proc.Thread, a *Args) (int64, abi.Errno) {
	start, size, flags := a[0], a[1], a[3]
	m := vm.Map{
		Start: start, Size: size, Prot: vm.Prot(a[2] & 7), MayWrite: true, MayExec: true,
		Fixed: flags&(mapFixed|mapFixedNoreplace) != 0,
	}
	if k := flags & mapTypeMask; k != mapShared && k != mapPrivate || size == 0 {
		return 0, abi.EINVAL
	}
	m.Shared = flags&mapTypeMask == mapShared
	if flags&mapAnonymous == 0 {
		if err := mapFile(t, &m, a); err != abi.OK {
			return 0, err
		}
	}
	if flags&mapFixedNoreplace != 0 && !t.Process.Space.Vacant(start, size) {
		return 0, abi.EEXIST
	}
	m.Done = uint64(t.Done)
	va, err := t.Process.Space.Mmap(m)
	if err == abi.Again {
		return unfinished(t, va, err)
	}
	return int64(va), err
}

// unfinished keeps how far a call in pieces has come.
func unfinished(t *proc.Thread, done uint64, err abi.Errno) (int64, abi.Errno) {
	t.Done = int(done)
	return 0, err
}

// mapFile adds to m what is to be known of the file behind descriptor a[4].
func mapFile(t *proc.Thread, m *vm.Map, a *Args) abi.Errno {
	f, err := t.File(a.Int(4))
	switch {
	case err != abi.OK:
		return err
	case a[5]%mem.PageSize != 0:
		return abi.EINVAL
	case !f.Readable():
		return abi.EACCES
	}
	m.File, m.Index = f, a[5]/mem.PageSize
	m.MayExec = f.Object.Mapping() != file.MapsPages
	if m.Shared && !f.Writable() {
		m.MayWrite = false
		if m.Prot&vm.Write != 0 {
			return abi.EACCES
		}
	}
	switch f.Object.Mapping() {
	case file.MapsPages:
		if !m.Shared {
			return abi.ENODEV
		}
	case file.MapsMemory:
		m.Bytes = m.Size
	case file.MapsConstant:
		// What never changes is the same to share and to have a copy of.
		m.Shared = false
		var st abi.Stat
		file.Stat(f.Object, &st)
		m.Bytes = uint64(st.Size) - min(uint64(st.Size), a[5])
	default:
		return abi.ENODEV
	}
	return abi.OK
}

func sysMunmap(t *proc.Thread, a *Args) (int64, abi.Errno) {
	done, err := t.Process.Space.Munmap(a[0], a[1], uint64(t.Done))
	return unfinished(t, done, err)
}

func sysMprotect(t *proc.Thread, a *Args) (int64, abi.Errno) {
	const semaphores = 8 // PROT_SEM: memory that is good for atomic operations, as all is
	if a[1] != 0 && a[2]&^(7|semaphores) != 0 {
		return 0, abi.EINVAL
	}
	done, err := t.Process.Space.Protect(a[0], a[1], vm.Prot(a[2]&7), uint64(t.Done))
	return unfinished(t, done, err)
}

func sysMadvise(t *proc.Thread, a *Args) (int64, abi.Errno) {
	const (
		normal, random, sequential, willNeed, dontNeed, free = 0, 1, 2, 3, 4, 8
		hugePage, noHugePage, collapse                       = 14, 15, 25
	)
	switch a.Int(2) {
	case dontNeed:
		done, err := t.Process.Space.Discard(a[0], a[1], uint64(t.Done))
		return unfinished(t, done, err)
	case normal, random, sequential, willNeed, free, noHugePage:
		return 0, abi.OK
	case hugePage, collapse:
		return 0, abi.EINVAL
	}
	return 0, abi.EINVAL
}

// sysMincore: a piece is as many pages as a buffer here holds.
func sysMincore(t *proc.Thread, a *Args) (int64, abi.Errno) {
	size := a[1] + -a[1]%mem.PageSize
	switch {
	case a[0]%mem.PageSize != 0:
		return 0, abi.EINVAL
	case a[0] > vm.UserEnd, a[1] > vm.UserEnd-a[0]:
		return 0, abi.ENOMEM
	}
	var there [256]byte
	n := min(int(size/mem.PageSize)-t.Done, len(there))
	if err := t.Process.Space.Present(a[0]+uint64(t.Done)*mem.PageSize, there[:n]); err != abi.OK {
		return 0, err
	}
	if user.Store(t.Memory(), a[2]+uint64(t.Done), there[:n]) != n {
		return 0, abi.EFAULT
	}
	if t.Done += n; uint64(t.Done)*mem.PageSize < size {
		return 0, abi.Again
	}
	return 0, abi.OK
}
