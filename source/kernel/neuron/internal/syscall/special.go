package syscall

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/device"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/inet"
	"nexus/source/kernel/neuron/internal/proc"
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
