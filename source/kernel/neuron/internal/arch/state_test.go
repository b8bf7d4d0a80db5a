package arch

import "testing"

// TestVectorOwner: the unit is off for whoever does not hold its registers, and what a context left in them is there when it
// uses them next, whatever the others did.
func TestVectorOwner(t *testing.T) {
	defer func(old uint64) { Host.VectorUnit = old }(Host.VectorUnit)
	var h Hart
	var contexts [3]Context
	var want [3]byte
	for i := range contexts {
		contexts[i].Vector = new([4096]byte)
	}
	Host.VectorUnit = UnitOff
	// Each step is a context that runs; it uses the unit, and writes to it or only reads.
	steps := []struct {
		who        int
		use, write bool
	}{
		{0, false, false}, {0, true, true}, {1, false, false}, {0, true, false}, {1, true, true}, {0, true, false}, {1, true, false},
		{2, true, true}, {2, false, false}, {0, true, true}, {1, false, false}, {2, false, false}, {0, true, false}, {1, true, false},
		{2, true, false}, {0, true, false},
	}
	for n, step := range steps {
		c := &contexts[step.who]
		h.Load(c)
		if on := Host.VectorUnit != UnitOff; on != h.HasVector(c) {
			t.Fatalf("step %d: the unit is on: %v, the registers are there: %v", n, on, !on)
		}
		if !step.use {
			continue
		}
		if Host.VectorUnit == UnitOff {
			h.UseVector(c)
		}
		if Host.VectorUnit == UnitOff || Host.Vector != want[step.who] {
			t.Fatalf("step %d: context %d has %d in state %d, want %d", n, step.who, Host.Vector, Host.VectorUnit, want[step.who])
		}
		if step.write {
			want[step.who] = byte(n + 1)
			Host.Vector, Host.VectorUnit = byte(n+1), UnitDirty
		}
	}
	// A context that is forgotten gets what its copy says.
	c := &contexts[0]
	h.Load(c)
	Host.Vector, Host.VectorUnit = 99, UnitDirty
	h.SyncVector(c)
	if c.Vector[0] != 99 {
		t.Error("the copy is not up to date")
	}
	c.Vector[0] = 7
	h.Forget(c)
	if h.Load(c); Host.VectorUnit != UnitOff {
		t.Fatal("the unit is on without an owner")
	}
	if h.UseVector(c); Host.Vector != 7 {
		t.Errorf("register is %d, want 7", Host.Vector)
	}
}
