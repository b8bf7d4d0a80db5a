package proc

import (
	"nexus/source/kernel/neuron/internal/arch"
	"nexus/source/kernel/neuron/internal/mem"
	"nexus/source/kernel/neuron/internal/user"
)

// UseVector is what an illegal instruction of t may have been: its first use of the vector unit, or the first since another thread
// used it. True if t is to do the instruction again.
func (t *Thread) UseVector() bool {
	if arch.CPU.VectorBytes == 0 || t.Hart.HasVector(&t.Context) {
		return false
	}
	if !t.vectorPage() {
		t.Die(SIGKILL, "out of memory at", t.X[arch.PC])
		return true
	}
	t.Hart.UseVector(&t.Context)
	return true
}

// vectorPage gives t a place for its vector registers, all zero, if it has none.
func (t *Thread) vectorPage() bool {
	if t.Vector != nil {
		return true
	}
	p, ok := mem.Alloc()
	if ok {
		t.Vector, t.vectorAt = (*[4096]byte)(mem.Bytes(p)), p
	}
	return ok
}

// ForgetRegisters gives up the registers that the hart holds for t, and the place of its vector registers.
func (t *Thread) ForgetRegisters() {
	t.Hart.Forget(&t.Context)
	if t.Vector != nil {
		mem.Free(t.vectorAt)
		t.Vector, t.vectorAt = nil, 0
		t.VStart, t.VL, t.VType, t.VCSR = 0, 0, 0, 0
	}
}

// Vector registers in a signal frame (asm/sigcontext.h, asm/ptrace.h of riscv): a chain of headers, each a magic number and a size,
// begins in the last words of the ucontext; the first is that of __riscv_v_ext_state, if it is there, the last one is zero.
const (
	ucHeaders      = 952
	ucReserved     = 948
	vectorMagic    = 0x53465457
	headerSize     = 8
	vectorControls = 48 // vstart, vl, vtype, vcsr, vlenb, and the address of the registers
)

func vectorBytes() uint64 { return 32 * arch.CPU.VectorBytes }

// vectorSize is what t's vector registers need behind the ucontext.
func (t *Thread) vectorSize() uint64 {
	if t.Vector == nil {
		return 0
	}
	return vectorControls + vectorBytes() + headerSize
}

// saveVector writes t's vector registers behind the ucontext at uc.
func (t *Thread) saveVector(m user.Memory, uc uint64) bool {
	if t.Vector == nil {
		return user.StoreUint64(m, uc+ucHeaders, 0)
	}
	t.Hart.SyncVector(&t.Context)
	data := uc + ucontextSize + vectorControls
	size := headerSize + vectorControls + vectorBytes()
	words := [...]uint64{vectorMagic | size<<32, t.VStart, t.VL, t.VType, t.VCSR, arch.CPU.VectorBytes, data}
	return storeWords(m, uc+ucHeaders, words[:]) &&
		user.Store(m, data, t.Vector[:vectorBytes()]) == int(vectorBytes()) &&
		user.StoreUint64(m, uc+ucHeaders+size, 0)
}

// loadVector takes t's vector registers from behind the ucontext at uc; without any there t keeps those it has.
func (t *Thread) loadVector(m user.Memory, uc uint64) bool {
	var words [7]uint64
	reserved, ok := user.LoadUint32(m, uc+ucReserved)
	head, ok2 := user.LoadUint64(m, uc+ucHeaders)
	if !ok || !ok2 || reserved != 0 {
		return false
	}
	if head == 0 {
		return true
	}
	size := headerSize + vectorControls + vectorBytes()
	if arch.CPU.VectorBytes == 0 || head != vectorMagic|size<<32 || !loadWords(m, uc+ucHeaders, words[:]) || !t.vectorPage() {
		return false
	}
	if end, ok := user.LoadUint64(m, uc+ucHeaders+size); !ok || end != 0 {
		return false
	}
	t.Hart.Forget(&t.Context)
	t.VStart, t.VL, t.VType, t.VCSR = words[1], words[2], words[3], words[4]
	return user.Load(m, t.Vector[:vectorBytes()], words[6]) == int(vectorBytes())
}
