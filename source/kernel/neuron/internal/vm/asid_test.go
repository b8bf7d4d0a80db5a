package vm

import (
	"testing"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/arch"
	"nexus/source/kernel/neuron/internal/mem"
)

// TestAddressSpaceIDs: spaces have ids of their own as far as the hart has any; those that share id 0 never see each other's
// translations, and nobody else pays for that.
func TestAddressSpaceIDs(t *testing.T) {
	defer func(old uint64) { arch.CPU.MaxASID = old }(arch.CPU.MaxASID)
	for _, highest := range []uint64{0, 1, 3, MaxSpaces - 1, MaxSpaces, 0xffff} {
		mem.InitHost(256, 4)
		arch.CPU.MaxASID = highest
		root, _ := mem.Alloc()
		Init(root)
		var h arch.Hart
		seen := map[uint64]bool{}
		for i := range MaxSpaces {
			s, err := NewSpace()
			if err != abi.OK {
				t.Fatal(err)
			}
			before := arch.Host.Flushes
			s.Activate(&h)
			flushed := arch.Host.Flushes != before
			id := arch.Host.Satp >> arch.SatpASIDShift & 0xffff
			if id > highest {
				t.Errorf("highest id %d: space %d has %d", highest, i, id)
			}
			if shared := id == 0; shared != flushed || !shared && seen[id] {
				t.Errorf("highest id %d: space %d has id %d, seen before %v, flushed %v", highest, i, id, seen[id], flushed)
			}
			seen[id] = true
			if s.Activate(&h); arch.Host.Flushes != before && !flushed {
				t.Error("flushed for the space in force")
			}
		}
		if own := min(int(highest), MaxSpaces); seen[0] != (own < MaxSpaces) || len(seen) != min(own+1, MaxSpaces) {
			t.Errorf("highest id %d: %d different ids", highest, len(seen))
		}
	}
}
