package fdt

// Tokens of the structure block, §5.4.1. Each is a big-endian u32 on a 4-byte boundary.
const (
	tokenBeginNode = 1
	tokenEndNode   = 2
	tokenProperty  = 3
	tokenNop       = 4
	tokenEnd       = 9
)

// A property token is followed by u32 value length, u32 name offset, then the value.
const propertyHeader = 4 + 8

// check walks the structure block from its first token to FDT_END and verifies everything an accessor relies on:
// tokens are known and in order (properties before child nodes), names end and hold no '/', values and names of
// properties lie inside their blocks, depth stays within MaxDepth.
func check(structure, strings []byte) Code {
	depth := 0
	seenRoot := false
	propertiesAllowed := false
	for at := 0; at+4 <= len(structure); {
		switch be32(structure, at) {
		case tokenNop:
			at += 4
		case tokenBeginNode:
			if depth == 0 && seenRoot {
				return BadToken
			}
			if depth == MaxDepth {
				return TooDeep
			}
			end, ok := nameEnd(structure, at+4)
			if !ok {
				return BadName
			}
			depth++
			seenRoot = true
			propertiesAllowed = true
			at = align4(end + 1)
		case tokenProperty:
			if depth == 0 || !propertiesAllowed {
				return BadToken
			}
			next, ok := checkProperty(structure, strings, at)
			if !ok {
				return BadProperty
			}
			at = next
		case tokenEndNode:
			if depth == 0 {
				return BadToken
			}
			depth--
			propertiesAllowed = false
			at += 4
		case tokenEnd:
			if depth != 0 || !seenRoot {
				return BadToken
			}
			return OK
		default:
			return BadToken
		}
	}
	return Unfinished
}

// checkProperty verifies the property token at offset at and returns the offset behind it.
func checkProperty(structure, strings []byte, at int) (next int, ok bool) {
	if at+propertyHeader > len(structure) {
		return 0, false
	}
	length := uint64(be32(structure, at+4))
	name := uint64(be32(structure, at+8))
	end := uint64(at) + propertyHeader + length
	if end > uint64(len(structure)) || name >= uint64(len(strings)) {
		return 0, false
	}
	for i := int(name); i < len(strings); i++ {
		if strings[i] == 0 {
			return align4(int(end)), i > int(name)
		}
	}
	return 0, false
}

// nameEnd returns the offset of the NUL that ends the node name at offset at.
func nameEnd(structure []byte, at int) (end int, ok bool) {
	for i := at; i < len(structure); i++ {
		c := structure[i]
		if c == 0 {
			return i, true
		}
		if c == '/' || c < 0x21 || c > 0x7e {
			return 0, false
		}
	}
	return 0, false
}

func align4(n int) int { return (n + 3) &^ 3 }

// cells is how many u32 cells an address and a size take in the reg of a node's children, §2.3.5.
type cells struct {
	address, size uint32
}

// defaultCells holds where a node says nothing.
var defaultCells = cells{address: 2, size: 1}

// Node is a node of a tree. It is a small value; the zero Node belongs to no tree and has nothing.
type Node struct {
	tree   *Tree
	name   int   // offset of the name in the structure block
	body   int   // offset of the first token behind the name
	depth  int   // 1 for the root
	parent cells // the parent's cells, which this node's reg is written in
}

// Valid tells a node of a tree from the zero Node.
func (n Node) Valid() bool { return n.tree != nil }

// Name returns the node's full name, with its unit address: "virtio_mmio@10002000". The root's is empty.
func (n Node) Name() []byte {
	if n.tree == nil {
		return nil
	}
	end, _ := nameEnd(n.tree.structure, n.name)
	return n.tree.structure[n.name:end:end]
}

// BaseName returns the name up to its '@'.
func (n Node) BaseName() []byte {
	name := n.Name()
	for i := range name {
		if name[i] == '@' {
			return name[:i]
		}
	}
	return name
}

// Walker visits every node of a tree in the order they are written, parents before children.
type Walker struct {
	tree  *Tree
	at    int // next token
	depth int // of the node whose body at lies in
	// cells[d] is what the node at depth d gives its children; cells[0] is the default.
	cells [MaxDepth + 1]cells
}

// Walk starts a walk; the first Next returns the root.
func (t *Tree) Walk() Walker {
	w := Walker{tree: t}
	w.cells[0] = defaultCells
	return w
}

// Next returns the next node, or false at the end.
func (w *Walker) Next() (Node, bool) {
	if w.tree == nil {
		return Node{}, false
	}
	s := w.tree.structure
	for w.at+4 <= len(s) {
		switch be32(s, w.at) {
		case tokenBeginNode:
			if w.depth >= MaxDepth {
				return Node{}, false
			}
			end, _ := nameEnd(s, w.at+4)
			n := Node{tree: w.tree, name: w.at + 4, body: align4(end + 1), depth: w.depth + 1, parent: w.cells[w.depth]}
			w.depth++
			w.cells[w.depth] = n.childCells()
			w.at = n.body
			return n, true
		case tokenEndNode:
			w.depth--
			if w.depth < 0 {
				return Node{}, false
			}
			w.at += 4
		case tokenProperty:
			w.at = align4(w.at + propertyHeader + int(be32(s, w.at+4)))
		case tokenNop:
			w.at += 4
		default:
			return Node{}, false
		}
	}
	return Node{}, false
}

// Root returns the root node, or the zero Node of an empty tree.
func (t *Tree) Root() Node {
	w := t.Walk()
	n, _ := w.Next()
	return n
}

// FirstChild returns the first child of n.
func (n Node) FirstChild() (Node, bool) {
	if n.tree == nil {
		return Node{}, false
	}
	return n.tree.nodeFrom(n.body, n.depth+1, n.childCells())
}

// NextSibling returns the node after n under the same parent.
func (n Node) NextSibling() (Node, bool) {
	if n.tree == nil {
		return Node{}, false
	}
	s := n.tree.structure
	depth := 1
	for at := n.body; at+4 <= len(s); {
		switch be32(s, at) {
		case tokenBeginNode:
			end, _ := nameEnd(s, at+4)
			at = align4(end + 1)
			depth++
		case tokenEndNode:
			at += 4
			depth--
			if depth == 0 {
				return n.tree.nodeFrom(at, n.depth, n.parent)
			}
		case tokenProperty:
			at = align4(at + propertyHeader + int(be32(s, at+4)))
		case tokenNop:
			at += 4
		default:
			return Node{}, false
		}
	}
	return Node{}, false
}

// nodeFrom skips properties and padding from offset at and returns the node that begins there, if one does before
// the enclosing node ends.
func (t *Tree) nodeFrom(at, depth int, parent cells) (Node, bool) {
	s := t.structure
	for at+4 <= len(s) {
		switch be32(s, at) {
		case tokenBeginNode:
			end, _ := nameEnd(s, at+4)
			return Node{tree: t, name: at + 4, body: align4(end + 1), depth: depth, parent: parent}, true
		case tokenProperty:
			at = align4(at + propertyHeader + int(be32(s, at+4)))
		case tokenNop:
			at += 4
		default:
			return Node{}, false
		}
	}
	return Node{}, false
}

// Parent returns the node that holds n. It costs a walk from the root.
func (n Node) Parent() (Node, bool) {
	if n.tree == nil || n.depth < 2 {
		return Node{}, false
	}
	var last Node // latest node seen one level above n: n's parent once n is reached
	w := n.tree.Walk()
	for m, ok := w.Next(); ok; m, ok = w.Next() {
		if m.name == n.name {
			return last, true
		}
		if m.depth == n.depth-1 {
			last = m
		}
	}
	return Node{}, false
}

// Lookup returns the node at an absolute path, "/soc/virtio_mmio@10002000". A part without '@' also matches the
// first node of that base name, so "/memory" finds memory@80000000 (§2.2.3 allows leaving out the unit address).
func (t *Tree) Lookup(path string) (Node, bool) {
	if path == "" || path[0] != '/' {
		return Node{}, false
	}
	n := t.Root()
	if n.tree == nil {
		return Node{}, false
	}
	for at := 1; at < len(path); {
		end := at
		for end < len(path) && path[end] != '/' {
			end++
		}
		child, ok := n.child(path[at:end])
		if !ok {
			return Node{}, false
		}
		n = child
		at = end + 1
	}
	return n, true
}

// child returns the child of that full name, else the first of that base name.
func (n Node) child(name string) (Node, bool) {
	var byBase Node
	for c, ok := n.FirstChild(); ok; c, ok = c.NextSibling() {
		if string(c.Name()) == name {
			return c, true
		}
		if byBase.tree == nil && string(c.BaseName()) == name {
			byBase = c
		}
	}
	return byBase, byBase.tree != nil
}

// Find returns the first node, anywhere, whose full name is name.
func (t *Tree) Find(name []byte) (Node, bool) {
	w := t.Walk()
	for n, ok := w.Next(); ok; n, ok = w.Next() {
		if string(n.Name()) == string(name) {
			return n, true
		}
	}
	return Node{}, false
}

// Phandle returns the node whose phandle property is handle (§2.3.3).
func (t *Tree) Phandle(handle uint32) (Node, bool) {
	w := t.Walk()
	for n, ok := w.Next(); ok; n, ok = w.Next() {
		if v, ok := n.Uint("phandle"); ok && v == uint64(handle) {
			return n, true
		}
	}
	return Node{}, false
}
