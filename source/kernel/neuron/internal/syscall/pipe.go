package syscall

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/eventfd"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/memfd"
	"nexus/source/kernel/neuron/internal/pipe"
	"nexus/source/kernel/neuron/internal/proc"
	"nexus/source/kernel/neuron/internal/program"
	"nexus/source/kernel/neuron/internal/user"
)

func sysPipe2(t *proc.Thread, a *Args) (int64, abi.Errno) {
	flags := uint32(a[1])
	if flags&^(abi.O_CLOEXEC|abi.O_NONBLOCK) != 0 {
		return 0, abi.EINVAL
	}
	r, w, err := pipe.New()
	if err != abi.OK {
		return 0, err
	}
	return 0, installPair(t, r, w, abi.O_RDONLY|flags, abi.O_WRONLY|flags, a[0])
}

// installPair opens two objects and stores their descriptors as two ints at va; all or nothing.
func installPair(t *proc.Thread, x, y file.Object, xFlags, yFlags uint32, va uint64) abi.Errno {
	fd, err := install(t, x, xFlags)
	if err != abi.OK {
		y.Close()
		return err
	}
	fe, err := install(t, y, yFlags)
	if err != abi.OK {
		t.Files().Close(int(fd))
		return err
	}
	if !user.StoreUint64(t.Memory(), va, uint64(fd)|uint64(fe)<<32) {
		t.Files().Close(int(fd))
		t.Files().Close(int(fe))
		return abi.EFAULT
	}
	return abi.OK
}

func sysEventfd2(t *proc.Thread, a *Args) (int64, abi.Errno) {
	const semaphore = 1
	flags := uint32(a[1])
	if flags&^(semaphore|abi.O_CLOEXEC|abi.O_NONBLOCK) != 0 {
		return 0, abi.EINVAL
	}
	c, err := eventfd.New(uint32(a[0]), flags&semaphore != 0)
	if err != abi.OK {
		return 0, err
	}
	return install(t, c, abi.O_RDWR|flags&^semaphore)
}

func sysMemfdCreate(t *proc.Thread, a *Args) (int64, abi.Errno) {
	const (
		closeOnExec, allowSealing = 1, 2
		maxName                   = 249
	)
	var name [maxName + 1]byte
	_, err := program.String(t.Memory(), a[0], name[:])
	switch {
	case err == abi.ENAMETOOLONG || a[1]&^(closeOnExec|allowSealing) != 0:
		return 0, abi.EINVAL
	case err != abi.OK:
		return 0, err
	}
	m, err := memfd.New()
	if err != abi.OK {
		return 0, err
	}
	flags := uint32(abi.O_RDWR)
	if a[1]&closeOnExec != 0 {
		flags |= abi.O_CLOEXEC
	}
	return install(t, m, flags)
}

// sysSplice refuses every pair of descriptors. EINVAL makes programs copy themselves; at ENOSYS Go's net gives up, since no
// Linux that it runs on is without the call.
func sysSplice(t *proc.Thread, a *Args) (int64, abi.Errno) {
	for _, i := range [2]int{0, 2} {
		if _, err := t.Files().Get(a.Int(i)); err != abi.OK {
			return 0, err
		}
	}
	return 0, abi.EINVAL
}
