package fdt

// Property is a property of a node.
type Property struct {
	tree *Tree
	at   int // offset of its token
}

// FirstProperty returns the first property of n; Property.Next gives the others in the order they are written.
func (n Node) FirstProperty() (Property, bool) {
	if n.tree == nil {
		return Property{}, false
	}
	return n.tree.propertyFrom(n.body)
}

// Next returns the property after p in the same node.
func (p Property) Next() (Property, bool) {
	if p.tree == nil {
		return Property{}, false
	}
	return p.tree.propertyFrom(align4(p.at + propertyHeader + p.length()))
}

// propertyFrom skips padding; properties end at the first token that is neither.
func (t *Tree) propertyFrom(at int) (Property, bool) {
	for at+4 <= len(t.structure) {
		switch be32(t.structure, at) {
		case tokenProperty:
			return Property{tree: t, at: at}, true
		case tokenNop:
			at += 4
		default:
			return Property{}, false
		}
	}
	return Property{}, false
}

func (p Property) length() int { return int(be32(p.tree.structure, p.at+4)) }

// Name returns the property's name.
func (p Property) Name() []byte {
	if p.tree == nil {
		return nil
	}
	s := p.tree.strings
	start := int(be32(p.tree.structure, p.at+8))
	end := start
	for end < len(s) && s[end] != 0 {
		end++
	}
	return s[start:end:end]
}

// Value returns the property's bytes as a view of the blob.
func (p Property) Value() []byte {
	if p.tree == nil {
		return nil
	}
	start := p.at + propertyHeader
	end := start + p.length()
	return p.tree.structure[start:end:end]
}

// Property returns the value of the named property. An empty value is non-nil, true.
func (n Node) Property(name string) ([]byte, bool) {
	for p, ok := n.FirstProperty(); ok; p, ok = p.Next() {
		if string(p.Name()) == name {
			return p.Value(), true
		}
	}
	return nil, false
}

// Uint returns a property that is one u32 or one u64 (§2.2.4).
func (n Node) Uint(name string) (uint64, bool) {
	v, _ := n.Property(name)
	switch len(v) {
	case 4:
		return uint64(be32(v, 0)), true
	case 8:
		return be64(v, 0), true
	}
	return 0, false
}

// Text returns a string property without its final NUL. A value that does not end in its only NUL is not text.
func (n Node) Text(name string) ([]byte, bool) {
	v, ok := n.Property(name)
	if !ok || len(v) == 0 {
		return nil, false
	}
	for i := range v {
		if v[i] == 0 {
			return v[:i], i == len(v)-1
		}
	}
	return nil, false
}

// Lists reports whether the string list property name has the element want (§2.2.4). An unterminated last element
// does not count.
func (n Node) Lists(name, want string) bool {
	v, _ := n.Property(name)
	start := 0
	for i := range v {
		if v[i] != 0 {
			continue
		}
		if string(v[start:i]) == want {
			return true
		}
		start = i + 1
	}
	return false
}

// Compatible reports whether the node's compatible list names want (§2.3.1).
func (n Node) Compatible(want string) bool { return n.Lists("compatible", want) }

// Okay reports whether the device is usable: no status, "okay", or the old spelling "ok" (§2.3.4).
func (n Node) Okay() bool {
	v, ok := n.Property("status")
	return !ok || string(v) == "okay\x00" || string(v) == "ok\x00"
}

// childCells returns #address-cells and #size-cells of n (§2.3.5), the widths of its children's reg.
func (n Node) childCells() cells {
	c := defaultCells
	if v, ok := n.Property("#address-cells"); ok && len(v) == 4 {
		c.address = be32(v, 0)
	}
	if v, ok := n.Property("#size-cells"); ok && len(v) == 4 {
		c.size = be32(v, 0)
	}
	return c
}

// readCells reads count (1 or 2) cells of v at byte offset at.
func readCells(v []byte, at int, count uint32) uint64 {
	if count == 2 {
		return be64(v, at)
	}
	return uint64(be32(v, at))
}

// Reg returns entry i of the node's reg (§2.3.6), in its parent's address space. Addresses of 1 or 2 cells and sizes
// of up to 2 are understood; a ragged tail is no entry.
func (n Node) Reg(i int) (Range, bool) {
	c := n.parent
	if i < 0 || c.address < 1 || c.address > 2 || c.size > 2 {
		return Range{}, false
	}
	v, _ := n.Property("reg")
	stride := int(c.address+c.size) * 4
	if i >= len(v)/stride {
		return Range{}, false
	}
	at := i * stride
	r := Range{Address: readCells(v, at, c.address)}
	if c.size > 0 {
		r.Size = readCells(v, at+int(c.address)*4, c.size)
	}
	return r, true
}

// Window returns entry i of the node's reg as the processor sees it: translated through the ranges of every bus above
// (§2.3.8). A bus without ranges cannot be reached, a window that wraps or crosses the end of a range does not count.
func (n Node) Window(i int) (Range, bool) {
	r, ok := n.Reg(i)
	if !ok || r.Size == 0 || r.Address+r.Size-1 < r.Address {
		return Range{}, false
	}
	bus, ok := n.Parent()
	for ok && bus.depth > 1 {
		if r, ok = bus.translate(r); !ok {
			return Range{}, false
		}
		bus, ok = bus.Parent()
	}
	return r, ok
}

// translate maps r from the address space of n's children to that of n's parent.
func (n Node) translate(r Range) (Range, bool) {
	v, ok := n.Property("ranges")
	if !ok {
		return Range{}, false
	}
	if len(v) == 0 {
		return r, true
	}
	child, up := n.childCells(), n.parent.address
	if child.address < 1 || child.address > 2 || child.size < 1 || child.size > 2 || up < 1 || up > 2 {
		return Range{}, false
	}
	stride := int(child.address+up+child.size) * 4
	for at := 0; at+stride <= len(v); at += stride {
		from := readCells(v, at, child.address)
		to := readCells(v, at+int(child.address)*4, up)
		size := readCells(v, at+int(child.address+up)*4, child.size)
		if r.Address < from || r.Address-from >= size || size-(r.Address-from) < r.Size {
			continue
		}
		moved := to + (r.Address - from)
		if moved < to || moved+r.Size-1 < moved {
			return Range{}, false
		}
		return Range{moved, r.Size}, true
	}
	return Range{}, false
}

// Erase overwrites the named property of n with FDT_NOP (§5.4.1), its value included, and reports whether there was one. It is the
// one change that this package makes: what other views of the blob see stays a valid tree.
func (n Node) Erase(name string) bool {
	for p, ok := n.FirstProperty(); ok; p, ok = p.Next() {
		if string(p.Name()) != name {
			continue
		}
		gone := p.tree.structure[p.at:align4(p.at+propertyHeader+p.length())]
		for i := range gone {
			gone[i] = 0
			if i%4 == 3 {
				gone[i] = tokenNop
			}
		}
		return true
	}
	return false
}

// Start is where in the structure block n's first property is, or would be.
func (n Node) Start() int { return n.body }
