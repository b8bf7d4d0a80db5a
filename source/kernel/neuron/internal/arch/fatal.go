//go:build neuron

package arch

// OnFatal is told of a fault of the kernel itself and does not return. kind is "trap" (a = scause, b = stval, c = sepc) or
// "runtime" (a = code of the patched entry, b = ra, c = x5); sp is the stack pointer at the fault.
var OnFatal func(kind string, a, b, c, sp uint64)

// The fatal path has a stack and a fake goroutine of its own: the fault may be a stack overflow.
var (
	fatalStack [4096]byte
	fatalG     [512]byte
)

//go:nosplit
func kernelFault(cause, value, pc, sp uint64) { OnFatal("trap", cause, value, pc, sp) }

//go:nosplit
func runtimeFault(code, ra, x5, sp uint64) { OnFatal("runtime", code, ra, x5, sp) }
