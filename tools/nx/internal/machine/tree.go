package machine

import (
	"encoding/binary"
	"errors"
	"fmt"

	"nexus/source/libs/fdt"
)

// ErrTree says that a device tree cannot be given another memory size.
var ErrTree = errors.New("device tree")

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
