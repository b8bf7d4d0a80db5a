package syscall

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/arch"
	"nexus/source/kernel/neuron/internal/proc"
	"nexus/source/kernel/neuron/internal/user"
	"nexus/source/kernel/neuron/internal/vm"
)

// Keys and values of riscv_hwprobe (Linux, Documentation/arch/riscv/hwprobe.rst).
const (
	probeBaseBehavior   = 3
	probeExtensions     = 4
	probeHighestAddress = 7
	probeTimeFrequency  = 8

	probeBaseIMA    = 1 << 0
	probeFloat      = 1 << 0
	probeCompressed = 1 << 1
	probeVector     = 1 << 2

	probePair  = 16  // key, value
	probePiece = 256 // pairs that one piece of a call answers
)

// sysHwprobe: pairs, how many, size of the set of processors, the set, flags. Only what the kernel tried out is told: the device tree
// may describe another processor.
func sysHwprobe(t *proc.Thread, a *Args) (int64, abi.Errno) {
	if a[4] != 0 {
		return 0, abi.EINVAL
	}
	m := t.Memory()
	for begin := t.Done; uint64(t.Done) < a[1]; t.Done++ {
		if t.Done-begin == probePiece {
			return 0, abi.Again
		}
		at := a[0] + uint64(t.Done)*probePair
		key, ok := user.LoadUint64(m, at)
		if !ok {
			return 0, abi.EFAULT
		}
		value, known := probe(key)
		if !known {
			key, value = ^uint64(0), 0
		}
		if !user.StoreUint64(m, at, key) || !user.StoreUint64(m, at+8, value) {
			return 0, abi.EFAULT
		}
	}
	return 0, abi.OK
}

func probe(key uint64) (value uint64, known bool) {
	switch key {
	case probeBaseBehavior:
		return probeBaseIMA, true
	case probeExtensions:
		value = probeFloat | probeCompressed
		if arch.CPU.VectorBytes != 0 {
			value |= probeVector
		}
		return value, true
	case probeHighestAddress:
		return vm.UserEnd - 1, true
	case probeTimeFrequency:
		return 1_000_000_000 / proc.Nanoseconds(1), true
	}
	return 0, false
}
