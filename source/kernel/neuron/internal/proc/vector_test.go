package proc

import (
	"testing"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/arch"
	"nexus/source/kernel/neuron/internal/mem"
	"nexus/source/kernel/neuron/internal/user"
)

// vectorCPU gives the host's processor vector registers of that length.
func vectorCPU(t *testing.T, bytes uint64) {
	t.Helper()
	old, unit := arch.CPU.VectorBytes, arch.Host.VectorUnit
	t.Cleanup(func() { arch.CPU.VectorBytes, arch.Host.VectorUnit = old, unit })
	arch.CPU.VectorBytes, arch.Host.VectorUnit = bytes, arch.UnitOff
}

// TestVectorFrame: a handler finds the vector registers where Linux puts them, may use the unit, and what it left in the frame is what
// the thread goes on with.
func TestVectorFrame(t *testing.T) {
	for _, bytes := range []uint64{16, arch.MaxVectorBytes} {
		vectorCPU(t, bytes)
		p, a, h := boot(t)
		Schedule(h)
		if !a.UseVector() || a.UseVector() {
			t.Fatal("the first use of the unit is its use, the second an illegal instruction")
		}
		arch.Host.Vector, arch.Host.VL, arch.Host.VectorUnit = 42, 5, arch.UnitDirty
		*p.Action(10) = Action{Handler: 0x4000}
		a.pending = One(10)
		a.deliver()
		m, uc := a.Memory(), a.X[arch.A2]
		magic, _ := user.LoadUint32(m, uc+952)
		size, _ := user.LoadUint32(m, uc+956)
		vl, _ := user.LoadUint64(m, uc+968)
		length, _ := user.LoadUint64(m, uc+992)
		data, _ := user.LoadUint64(m, uc+1000)
		end, _ := user.LoadUint64(m, uc+952+uint64(size))
		if magic != 0x53465457 || size != uint32(56+32*bytes) || vl != 5 || length != bytes || data != uc+1008 || end != 0 {
			t.Errorf("frame: magic %#x, size %d, vl %d, vlenb %d, data at +%d, end %#x", magic, size, vl, length, data-uc, end)
		}
		arch.Host.Vector, arch.Host.VectorUnit = 1, arch.UnitDirty // the handler's
		var first [1]byte
		user.Load(m, first[:], data)
		if first[0] != 42 {
			t.Errorf("v0 in the frame is %d, want 42", first[0])
		}
		user.Store(m, data, []byte{43})
		a.X[arch.SP] = uc - siginfoSize
		a.SignalReturn()
		h.Load(&a.Context)
		if a.state == dead || !a.UseVector() || arch.Host.Vector != 43 || arch.Host.VL != 5 {
			t.Errorf("after the handler v0 is %d, vl %d; want 43, 5", arch.Host.Vector, arch.Host.VL)
		}
	}
}

// TestVectorPages: registers live as long as the thread, are no other's, and cost nothing where they are not used.
func TestVectorPages(t *testing.T) {
	vectorCPU(t, 16)
	p, a, h := boot(t)
	Schedule(h)
	free := mem.Available()
	a.UseVector()
	arch.Host.Vector, arch.Host.VectorUnit = 42, arch.UnitDirty
	b, err := a.Clone(p)
	if err != abi.OK {
		t.Fatal(err)
	}
	h.Load(&b.Context)
	if b.UseVector(); arch.Host.Vector != 0 {
		t.Errorf("another thread begins with %d, want 0", arch.Host.Vector)
	}
	if got := mem.Available(); got != free-2 {
		t.Errorf("%d pages for two threads, want 2", free-got)
	}
	b.end()
	a.ForgetRegisters()
	if got := mem.Available(); got != free {
		t.Errorf("%d pages lost", free-got)
	}
	h.Load(&a.Context)
	if a.UseVector(); arch.Host.Vector != 0 {
		t.Errorf("a new program begins with %d, want 0", arch.Host.Vector)
	}
}

func TestNoVectorUnit(t *testing.T) {
	vectorCPU(t, 0)
	_, a, h := boot(t)
	Schedule(h)
	if a.UseVector() || a.Vector != nil {
		t.Error("a processor without vector registers has a use for them")
	}
}
