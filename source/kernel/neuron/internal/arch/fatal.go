//go:build neuron

package arch

// OnFatal is told of a fault of the kernel itself and does not return. kind is "trap" (a = scause, b = stval, c = sepc) or
// "runtime" (a = code of the patched entry, b = ra, c = x5); sp is the stack pointer at the fault, why a panic's text.
var OnFatal func(kind string, a, b, c, sp uint64, why string)

// The fatal path has a stack and a fake goroutine of its own: the fault may be a stack overflow. Two pages of its stack are for the
// guard page, wherever the linker puts it.
const fatalSize = 4 * 4096

var (
	fatalStack [fatalSize]byte
	fatalG     [512]byte
)

//go:nosplit
func kernelFault(cause, value, pc, sp uint64) { OnFatal("trap", cause, value, pc, sp, "") }

// codePanic is the code of gopanic in tools/mkkernel's list of patched entries.
const codePanic = 7

// runtimeFault: v is what panic was called with if code is codePanic, else whatever was in its two registers.
//
//go:nosplit
func runtimeFault(code, ra, x5, sp uint64, v any) {
	why := ""
	if code == codePanic {
		why, _ = v.(string)
	}
	OnFatal("runtime", code, ra, x5, sp, why)
}
