package fdt

// Memory returns the i-th range of RAM, counted over the reg entries of all /memory nodes (§3.4) in order.
func (t *Tree) Memory(i int) (Range, bool) {
	if i < 0 {
		return Range{}, false
	}
	for n, ok := t.Root().FirstChild(); ok; n, ok = n.NextSibling() {
		if kind, _ := n.Text("device_type"); string(kind) != "memory" || !n.Okay() {
			continue
		}
		for entry := 0; ; entry++ {
			r, ok := n.Reg(entry)
			if !ok {
				break
			}
			if i == 0 {
				return r, true
			}
			i--
		}
	}
	return Range{}, false
}

// ReservedMemory returns the i-th fixed range under /reserved-memory (§3.5), where firmware says what it keeps.
func (t *Tree) ReservedMemory(i int) (Range, bool) {
	parent, ok := t.Lookup("/reserved-memory")
	if !ok || i < 0 {
		return Range{}, false
	}
	for n, ok := parent.FirstChild(); ok; n, ok = n.NextSibling() {
		for entry := 0; ; entry++ {
			r, ok := n.Reg(entry)
			if !ok {
				break
			}
			if i == 0 {
				return r, true
			}
			i--
		}
	}
	return Range{}, false
}

// BootArgs returns /chosen's bootargs (§3.6), empty if there are none.
func (t *Tree) BootArgs() []byte {
	n, _ := t.Lookup("/chosen")
	v, _ := n.Text("bootargs")
	return v
}

// Initrd returns where the loader put the initial archive: /chosen's linux,initrd-start and linux,initrd-end, each a
// u32 or a u64. False when there is none, or when its end is not behind its start.
func (t *Tree) Initrd() (Range, bool) {
	n, _ := t.Lookup("/chosen")
	start, ok := n.Uint("linux,initrd-start")
	if !ok {
		return Range{}, false
	}
	end, ok := n.Uint("linux,initrd-end")
	if !ok || end <= start {
		return Range{}, false
	}
	return Range{start, end - start}, true
}

const rngSeed = "rng-seed"

// RNGSeed returns /chosen's rng-seed (dt-schema, chosen.yaml), nil if there is none. It is a view of the blob.
func (t *Tree) RNGSeed() []byte {
	n, _ := t.Lookup("/chosen")
	v, _ := n.Property(rngSeed)
	return v
}

// EraseRNGSeed takes the seed out of the blob, so that who reads the tree later does not learn it.
func (t *Tree) EraseRNGSeed() {
	n, _ := t.Lookup("/chosen")
	for n.Erase(rngSeed) {
	}
}

// TimebaseFrequency returns how many times a second the time CSR counts: /cpus' timebase-frequency, else that of the
// first cpu node (§3.8). Zero counts as missing.
func (t *Tree) TimebaseFrequency() (uint64, bool) {
	cpus, _ := t.Lookup("/cpus")
	v, ok := cpus.Uint("timebase-frequency")
	if !ok {
		hart, found := t.Hart(0)
		if !found {
			return 0, false
		}
		v, ok = hart.Node.Uint("timebase-frequency")
	}
	return v, ok && v != 0
}

// Hart is a cpu node.
type Hart struct {
	Node Node
	ID   uint64 // its reg: what SBI calls hartid
	ISA  []byte // riscv,isa, empty if missing
}

// Hart returns the i-th usable cpu node under /cpus (§3.8.1).
func (t *Tree) Hart(i int) (Hart, bool) {
	cpus, ok := t.Lookup("/cpus")
	if !ok || i < 0 {
		return Hart{}, false
	}
	for n, ok := cpus.FirstChild(); ok; n, ok = n.NextSibling() {
		if string(n.BaseName()) != "cpu" || !n.Okay() {
			continue
		}
		r, ok := n.Reg(0)
		if !ok {
			continue
		}
		if i == 0 {
			isa, _ := n.Text("riscv,isa")
			return Hart{Node: n, ID: r.Address, ISA: isa}, true
		}
		i--
	}
	return Hart{}, false
}

// InterruptController returns the phandle of the hart's own interrupt controller, the child that a PLIC's
// interrupts-extended names.
func (h Hart) InterruptController() (uint32, bool) {
	for n, ok := h.Node.FirstChild(); ok; n, ok = n.NextSibling() {
		if _, ok := n.Property("interrupt-controller"); !ok {
			continue
		}
		handle, ok := n.Uint("phandle")
		return uint32(handle), ok
	}
	return 0, false
}
