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

// TestVectorFrameIsWhole: the frame has all of the vector unit's state and lies below the program's stack, and a handler's return takes
// all of it, wherever the frame says that the registers are.
func TestVectorFrameIsWhole(t *testing.T) {
	const bytes = 16
	vectorCPU(t, bytes)
	p, a, h := boot(t)
	Schedule(h)
	fill(p)
	a.UseVector()
	arch.Host.VL, arch.Host.VectorUnit = 5, arch.UnitDirty
	a.VStart, a.VType, a.VCSR = 1, 3, 4
	for i := range a.Vector {
		a.Vector[i] = byte(i)
	}
	arch.Host.Vector = a.Vector[0]
	old := a.X[arch.SP]
	*p.Action(10) = Action{Handler: handlerPC}
	a.pending = One(10)
	a.deliver()
	m, uc := a.Memory(), a.X[arch.A2]
	for i, want := range []uint64{1, 5, 3, 4, bytes, uc + 1008} {
		if got, _ := user.LoadUint64(m, uc+960+8*uint64(i)); got != want {
			t.Errorf("word %d of the vector state is %#x, want %#x", i, got, want)
		}
	}
	end := uc + 1008 + 32*bytes
	if last, _ := user.LoadUint64(m, end); last != 0 || end+8 > old || old-end-8 >= 16 {
		t.Errorf("the frame ends with %#x, %d bytes below the program's stack", last, int64(old-end-8))
	}
	var b [1]byte
	if user.Load(m, b[:], end-1); b[0] != 0xff {
		t.Errorf("the last byte of v31 is %#x, want 0xff", b[0])
	}
	if above, _ := user.LoadUint64(m, old); above != 0xa5a5a5a5a5a5a5a5 {
		t.Errorf("the program's stack above the frame: %#x", above)
	}
	for i, v := range []uint64{11, 15, 13, 14, 99, heapBase} {
		user.StoreUint64(m, uc+960+8*uint64(i), v)
	}
	if a.SignalReturn(); !p.Alive() || a.VStart != 11 || a.VL != 15 || a.VType != 13 || a.VCSR != 14 || a.Vector[511] != 0xa5 {
		t.Errorf("alive %v, vstart %d, vl %d, vtype %d, vcsr %d, last byte %#x", p.Alive(), a.VStart, a.VL, a.VType, a.VCSR, a.Vector[511])
	}
}

// TestBadVectorFrame: vector state of another shape ends the process.
func TestBadVectorFrame(t *testing.T) {
	const bytes, size = 16, 56 + 32*16
	for name, spoil := range map[string]func(m user.Memory, uc uint64){
		"another extension":       func(m user.Memory, uc uint64) { user.StoreUint64(m, uc+952, size<<32|1) },
		"another size":            func(m user.Memory, uc uint64) { user.StoreUint64(m, uc+952, (size+8)<<32|0x53465457) },
		"a header behind it":      func(m user.Memory, uc uint64) { user.StoreUint64(m, uc+952+size, 1) },
		"registers that are gone": func(m user.Memory, uc uint64) { user.StoreUint64(m, uc+1000, 8) },
		"no vector unit":          func(user.Memory, uint64) { arch.CPU.VectorBytes = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			vectorCPU(t, bytes)
			first, _, h := boot(t)
			p, a := newProcess(t, first, h)
			h.Load(&a.Context)
			a.UseVector()
			*p.Action(10) = Action{Handler: handlerPC}
			a.pending = One(10)
			a.deliver()
			spoil(a.Memory(), a.X[arch.A2])
			if a.SignalReturn(); p.Alive() || p.Status() != SIGSEGV {
				t.Errorf("alive %v, status %#x, want killed by SIGSEGV", p.Alive(), p.Status())
			}
		})
	}
}

// TestFrameWithoutVectors: a thread keeps its vector registers if the frame has none, as one has that was made before it used any.
func TestFrameWithoutVectors(t *testing.T) {
	vectorCPU(t, 16)
	p, a, h := boot(t)
	Schedule(h)
	*p.Action(10) = Action{Handler: handlerPC}
	a.pending = One(10)
	a.deliver()
	a.UseVector()
	arch.Host.Vector, arch.Host.VectorUnit = 42, arch.UnitDirty
	if a.SignalReturn(); !p.Alive() || arch.Host.Vector != 42 || !h.HasVector(&a.Context) {
		t.Errorf("alive %v, v0 %d, want 42", p.Alive(), arch.Host.Vector)
	}
}

// TestNoMemoryForVectors: the process ends by SIGKILL, as on Linux without memory.
func TestNoMemoryForVectors(t *testing.T) {
	vectorCPU(t, 16)
	first, _, h := boot(t)
	p, a := newProcess(t, first, h)
	h.Load(&a.Context)
	for {
		if _, ok := mem.Alloc(); !ok {
			break
		}
	}
	if !a.UseVector() || p.Alive() || p.Status() != SIGKILL {
		t.Errorf("alive %v, status %#x, want killed by SIGKILL", p.Alive(), p.Status())
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
