package machine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"nexus/source/libs/fdt"
)

// ErrTree says that a device tree cannot be given another memory size or a seed.
var ErrTree = errors.New("device tree")

// SeedSize is how many bytes of seed a boot is given: as many as QEMU's own trees have.
const SeedSize = 32

// SetMemory is the compiled device tree blob with mib MiB of memory. QEMU does not
// change a tree that it is given: -m alone would leave the guest with what the
// tree says. The tree must have one memory node with one range, address and
// size of two cells each.
func SetMemory(blob []byte, mib int) ([]byte, error) {
	patched := append([]byte(nil), blob...)
	var tree fdt.Tree
	if code := tree.Open(patched); code != fdt.OK {
		return nil, fmt.Errorf("%w: %v", ErrTree, code)
	}
	if mib <= 0 {
		return nil, fmt.Errorf("%w: %d MiB of memory", ErrTree, mib)
	}
	old, ok := tree.Memory(0)
	if _, more := tree.Memory(1); !ok || more {
		return nil, fmt.Errorf("%w: its memory is not one range", ErrTree)
	}
	for n, ok := tree.Root().FirstChild(); ok; n, ok = n.NextSibling() {
		if kind, _ := n.Text("device_type"); string(kind) != "memory" {
			continue
		}
		// The value is a view of patched.
		reg, _ := n.Property("reg")
		if len(reg) != 16 || binary.BigEndian.Uint64(reg) != old.Address || binary.BigEndian.Uint64(reg[8:]) != old.Size {
			return nil, fmt.Errorf("%w: its memory's reg is not an address and a size of two cells each", ErrTree)
		}
		binary.BigEndian.PutUint64(reg[8:], uint64(mib)<<20)
	}
	return patched, nil
}

// SetSeed is the compiled device tree blob with seed as /chosen's rng-seed, in place of one that it may have. QEMU up to 9.1 puts
// a seed of its own there, newer ones leave a tree that they are given without one.
func SetSeed(blob, seed []byte) ([]byte, error) {
	patched := bytes.Clone(blob)
	var tree fdt.Tree
	if code := tree.Open(patched); code != fdt.OK {
		return nil, fmt.Errorf("%w: %v", ErrTree, code)
	}
	chosen, ok := tree.Lookup("/chosen")
	if !ok {
		return nil, fmt.Errorf("%w: it has no /chosen, where the seed is put", ErrTree)
	}
	tree.EraseRNGSeed()
	// The header of Devicetree Specification v0.4, §5.2. Open has checked what it points to.
	var h struct {
		Magic, Total, Structure, Strings, Reserved, Version, Compatible, BootHart, StringsSize, StructureSize uint32
	}
	header, err := binary.Decode(patched, binary.BigEndian, &h)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTree, err)
	}
	reserved := patched[h.Reserved:]
	entries := 0
	for _, more := tree.Reservation(0); more; _, more = tree.Reservation(entries) {
		entries++
	}
	reserved = reserved[:16*(entries+1)]
	names := append(bytes.Clone(patched[h.Strings:][:h.StringsSize]), "rng-seed\x00"...)
	var property []byte // §5.4.1: FDT_PROP, length, offset of the name, value, padding
	for _, word := range []uint32{3, uint32(len(seed)), h.StringsSize} {
		property = binary.BigEndian.AppendUint32(property, word)
	}
	property = append(append(property, seed...), make([]byte, -len(seed)&3)...)
	structure := slices.Insert(bytes.Clone(patched[h.Structure:][:h.StructureSize]), chosen.Start(), property...)

	h.Reserved = uint32(header)
	h.Structure = h.Reserved + uint32(len(reserved))
	h.StructureSize = uint32(len(structure))
	h.Strings = h.Structure + h.StructureSize
	h.StringsSize = uint32(len(names))
	h.Total = h.Strings + h.StringsSize
	if patched, err = binary.Append(nil, binary.BigEndian, &h); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTree, err)
	}
	return slices.Concat(patched, reserved, structure, names), nil
}
