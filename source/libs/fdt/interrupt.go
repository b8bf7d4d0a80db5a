package fdt

// Interrupt is one interrupt of a device: the first cell of its specifier, and the controller it goes to.
type Interrupt struct {
	Number     uint32
	Controller uint32 // phandle
}

// maxInterruptCells bounds #interrupt-cells; known controllers use 1 to 3.
const maxInterruptCells = 4

// Interrupt returns entry i of the node's interrupts (§2.4.1.1). The controller is the interrupt-parent of the node
// or of its nearest ancestor that names one; its #interrupt-cells gives the width of an entry.
func (n Node) Interrupt(i int) (Interrupt, bool) {
	v, ok := n.Property("interrupts")
	if !ok || i < 0 {
		return Interrupt{}, false
	}
	handle, ok := n.interruptParent()
	if !ok {
		return Interrupt{}, false
	}
	width, ok := n.tree.interruptCells(handle)
	if !ok || i >= len(v)/(4*width) {
		return Interrupt{}, false
	}
	return Interrupt{Number: be32(v, i*4*width), Controller: handle}, true
}

// InterruptExtended returns entry i of interrupts-extended (§2.4.1.3), in which each entry names its controller. On
// RISC-V the PLIC's entry i is its context i, and Number is 9 for supervisor, 11 for machine external interrupts.
func (n Node) InterruptExtended(i int) (Interrupt, bool) {
	v, _ := n.Property("interrupts-extended")
	for at := 0; i >= 0 && at+8 <= len(v); i-- {
		handle := be32(v, at)
		width, ok := n.tree.interruptCells(handle)
		if !ok || at+4+4*width > len(v) {
			return Interrupt{}, false
		}
		if i == 0 {
			return Interrupt{Number: be32(v, at+4), Controller: handle}, true
		}
		at += 4 + 4*width
	}
	return Interrupt{}, false
}

func (n Node) interruptParent() (uint32, bool) {
	for ok := true; ok; n, ok = n.Parent() {
		if v, ok := n.Property("interrupt-parent"); ok {
			if len(v) != 4 {
				return 0, false
			}
			return be32(v, 0), true
		}
	}
	return 0, false
}

// interruptCells returns #interrupt-cells of the controller with that phandle, if it is sane and not zero.
func (t *Tree) interruptCells(handle uint32) (int, bool) {
	controller, ok := t.Phandle(handle)
	if !ok {
		return 0, false
	}
	width, ok := controller.Uint("#interrupt-cells")
	if !ok || width < 1 || width > maxInterruptCells {
		return 0, false
	}
	return int(width), true
}
