package syscall

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/device"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/inet"
	"nexus/source/kernel/neuron/internal/proc"
	"nexus/source/kernel/neuron/internal/user"
)

// special opens names below descriptors that are directories of capabilities. ok is false if dirfd is none.
func special(t *proc.Thread, dirfd int, name []byte) (o file.Object, err abi.Errno, ok bool) {
	if len(name) > 0 && name[0] == '/' || dirfd == abi.AT_FDCWD {
		return nil, abi.OK, false
	}
	f, err := t.Files().Get(dirfd)
	if err != abi.OK {
		return nil, err, true
	}
	switch d := f.Object.(type) {
	case *device.Directory:
		if string(name) == "socketns" {
			n, err := inet.NewNamespace()
			return n, err, true
		}
		o, err = device.Open(name)
		return o, err, true
	case *inet.Namespace:
		if string(name) != "serve" {
			return nil, abi.ENOENT, true
		}
		s, err := d.Serve()
		return s, err, true
	}
	return nil, abi.OK, false
}

// sysGetresid stores the real, the effective and the saved id, which are 0.
func sysGetresid(t *proc.Thread, a *Args) (int64, abi.Errno) {
	for _, va := range a[:3] {
		if !user.StoreUint32(t.Memory(), va, 0) {
			return 0, abi.EFAULT
		}
	}
	return 0, abi.OK
}

func sysGetgroups(t *proc.Thread, a *Args) (int64, abi.Errno) {
	if a.Int(0) < 0 {
		return 0, abi.EINVAL
	}
	return 0, abi.OK
}

// sysFsync has nothing to do; EINVAL for what cannot be synchronised, as on Linux.
func sysFsync(t *proc.Thread, a *Args) (int64, abi.Errno) {
	f, err := t.Files().Get(a.Int(0))
	if err == abi.OK && !f.Seekable() {
		err = abi.EINVAL
	}
	return 0, err
}
