package fdt

import (
	"bytes"
	"encoding/binary"
	"os"
	"strconv"
	"strings"
	"testing"
)

// small is a tree with everything the accessors read.
func small() []byte {
	b := new(builder)
	b.reserve(0x8000_0000, 0x4_0000).reserve(0x8700_0000, 0x1000)
	b.begin("").words("#address-cells", 2).words("#size-cells", 2).words("interrupt-parent", 5)
	b.begin("chosen").text("bootargs", "nexus.net=stub nexus.stay=1").
		words("linux,initrd-start", 0x8420_0000).words("linux,initrd-end", 0, 0x8421_0000).
		property("rng-seed", []byte{1, 2, 3, 4, 5, 6, 7, 8}).end()
	b.begin("memory@80000000").text("device_type", "memory").words("reg", 0, 0x8000_0000, 0, 0x100_0000, 1, 0, 0, 0x2000).end()
	b.begin("memory@200000000").text("device_type", "memory").words("reg", 2, 0, 0, 0x3000).end()
	b.begin("reserved-memory").words("#address-cells", 2).words("#size-cells", 2).property("ranges", nil)
	b.begin("mmode@80000000").words("reg", 0, 0x8000_0000, 0, 0x4_0000).end()
	b.begin("dynamic").words("size", 0, 0x1000).end().end()
	b.begin("cpus").words("#address-cells", 1).words("#size-cells", 0).words("timebase-frequency", 10_000_000)
	b.begin("cpu@0").words("reg", 0).text("status", "disabled").end()
	b.begin("cpu@3").words("reg", 3).text("riscv,isa", "rv64imafdc_sstc").
		begin("interrupt-controller").property("interrupt-controller", nil).words("#interrupt-cells", 1).words("phandle", 9).end().end()
	b.begin("cpu-map").end().end()
	b.begin("soc").words("#address-cells", 2).words("#size-cells", 2).property("ranges", nil)
	b.u32(tokenNop)
	b.begin("plic@c000000").words("phandle", 5).words("#interrupt-cells", 1).words("reg", 0, 0x0c00_0000, 0, 0x60_0000).
		words("interrupts-extended", 9, 11, 9, 9).end()
	b.begin("virtio_mmio@10002000").property("compatible", []byte("vendor,x\x00virtio,mmio\x00")).
		words("reg", 0, 0x1000_2000, 0, 0x1000).words("interrupts", 2, 7).text("status", "okay").end()
	b.begin("off@1").text("status", "disabled").words("interrupts", 1).words("interrupt-parent", 77).end()
	b.begin("bus@4000000").words("#address-cells", 1).words("#size-cells", 1).words("ranges", 0x100, 0, 0x400_0000, 0x200)
	b.begin("in@100").words("reg", 0x100, 0x100, 0x180, 0x180, 0x80, 0x10).end().end()
	b.begin("island").words("#address-cells", 1).words("#size-cells", 1)
	b.begin("lost@1").words("reg", 1, 1).end().end()
	b.end().end()
	return b.finish()
}

func open(t testing.TB, blob []byte) *Tree {
	t.Helper()
	tree := new(Tree)
	if code := tree.Open(blob); code != OK {
		t.Fatalf("Open: %v", code)
	}
	return tree
}

func lookup(t *testing.T, tree *Tree, path string) Node {
	t.Helper()
	n, ok := tree.Lookup(path)
	if !ok {
		t.Fatalf("no node %s", path)
	}
	return n
}

func TestNodes(t *testing.T) {
	tree := open(t, small())
	var names []string
	w := tree.Walk()
	for n, ok := w.Next(); ok; n, ok = w.Next() {
		names = append(names, strings.Repeat(" ", n.depth-1)+string(n.Name()))
	}
	want := []string{"", " chosen", " memory@80000000", " memory@200000000", " reserved-memory", "  mmode@80000000", "  dynamic", " cpus",
		"  cpu@0", "  cpu@3", "   interrupt-controller", "  cpu-map", " soc", "  plic@c000000", "  virtio_mmio@10002000", "  off@1",
		"  bus@4000000", "   in@100", "  island", "   lost@1"}
	if strings.Join(names, "\n") != strings.Join(want, "\n") {
		t.Errorf("walk:\n%s\nwant:\n%s", strings.Join(names, "\n"), strings.Join(want, "\n"))
	}
	for path, want := range map[string]string{
		"/": "", "/soc": "soc", "/soc/": "soc", "/soc/virtio_mmio@10002000": "virtio_mmio@10002000", "/memory": "memory@80000000",
		"/cpus/cpu": "cpu@0", "/soc/bus/in@100": "in@100",
	} {
		if got := string(lookup(t, tree, path).Name()); got != want {
			t.Errorf("Lookup(%q) = %q, want %q", path, got, want)
		}
	}
	for _, path := range []string{"", "soc", "//soc", "/so", "/soc/virtio_mmio@1000200", "/soc/virtio_mmio@10002000/x"} {
		if n, ok := tree.Lookup(path); ok {
			t.Errorf("Lookup(%q) = %q, want none", path, n.Name())
		}
	}
	n, ok := tree.Find([]byte("in@100"))
	if !ok {
		t.Fatal("Find(in@100): none")
	}
	parent, ok := n.Parent()
	if !ok || string(parent.Name()) != "bus@4000000" {
		t.Errorf("parent of in@100 = %q, %v", parent.Name(), ok)
	}
	if _, ok := tree.Root().Parent(); ok {
		t.Error("the root has a parent")
	}
	if _, ok := tree.Find([]byte("in")); ok {
		t.Error("Find matched part of a name")
	}
}

func TestProperties(t *testing.T) {
	tree := open(t, small())
	n := lookup(t, tree, "/soc/virtio_mmio@10002000")
	var names []string
	for p, ok := n.FirstProperty(); ok; p, ok = p.Next() {
		names = append(names, string(p.Name())+"/"+strconv.Itoa(len(p.Value())))
	}
	if got, want := strings.Join(names, " "), "compatible/21 reg/16 interrupts/8 status/5"; got != want {
		t.Errorf("properties %s, want %s", got, want)
	}
	if !n.Compatible("virtio,mmio") || !n.Compatible("vendor,x") || n.Compatible("virtio,mm") || n.Compatible("") {
		t.Error("Compatible is wrong")
	}
	if !n.Okay() || lookup(t, tree, "/soc/off@1").Okay() || !lookup(t, tree, "/soc").Okay() {
		t.Error("Okay is wrong")
	}
	if _, ok := n.Text("compatible"); ok {
		t.Error("a list of two strings passed as text")
	}
	if v, ok := n.Property("none"); ok || v != nil {
		t.Error("found a property that is not there")
	}
	if v, ok := lookup(t, tree, "/soc").Property("ranges"); !ok || len(v) != 0 {
		t.Error("an empty property is there")
	}
	if got, ok := tree.Phandle(5); !ok || string(got.Name()) != "plic@c000000" {
		t.Errorf("Phandle(5) = %q, %v", got.Name(), ok)
	}
}

func TestRegAndWindow(t *testing.T) {
	tree := open(t, small())
	for _, tc := range []struct {
		path          string
		i             int
		reg, window   Range
		regOK, mapped bool
	}{
		{"/soc/virtio_mmio@10002000", 0, Range{0x1000_2000, 0x1000}, Range{0x1000_2000, 0x1000}, true, true},
		{"/soc/virtio_mmio@10002000", 1, Range{}, Range{}, false, false},
		{"/soc/virtio_mmio@10002000", -1, Range{}, Range{}, false, false},
		{"/cpus/cpu@3", 0, Range{3, 0}, Range{}, true, false},
		{"/soc/bus/in@100", 0, Range{0x100, 0x100}, Range{0x400_0000, 0x100}, true, true},
		{"/soc/bus/in@100", 1, Range{0x180, 0x180}, Range{0x400_0080, 0x180}, true, true},
		{"/soc/bus/in@100", 2, Range{0x80, 0x10}, Range{}, true, false},
		{"/soc/island/lost@1", 0, Range{1, 1}, Range{}, true, false},
		{"/memory@80000000", 1, Range{0x1_0000_0000, 0x2000}, Range{0x1_0000_0000, 0x2000}, true, true},
	} {
		n := lookup(t, tree, tc.path)
		if got, ok := n.Reg(tc.i); got != tc.reg || ok != tc.regOK {
			t.Errorf("%s Reg(%d) = %x, %v; want %x, %v", tc.path, tc.i, got, ok, tc.reg, tc.regOK)
		}
		if got, ok := n.Window(tc.i); got != tc.window || ok != tc.mapped {
			t.Errorf("%s Window(%d) = %x, %v; want %x, %v", tc.path, tc.i, got, ok, tc.window, tc.mapped)
		}
	}
}

// TestWindowPastItsRange has a window that begins in a range of its bus and ends behind it.
func TestWindowPastItsRange(t *testing.T) {
	b := new(builder)
	b.begin("").words("#address-cells", 2).words("#size-cells", 2)
	b.begin("bus").words("#address-cells", 1).words("#size-cells", 1).words("ranges", 0, 0, 0x1000, 0x100)
	b.begin("d").words("reg", 0x80, 0x81).end().end().end()
	tree := open(t, b.finish())
	if r, ok := lookup(t, tree, "/bus/d").Window(0); ok {
		t.Errorf("Window = %x, want none", r)
	}
}

func TestInterrupts(t *testing.T) {
	tree := open(t, small())
	n := lookup(t, tree, "/soc/virtio_mmio@10002000")
	for i, want := range []uint32{2, 7} {
		if got, ok := n.Interrupt(i); !ok || got != (Interrupt{want, 5}) {
			t.Errorf("Interrupt(%d) = %v, %v", i, got, ok)
		}
	}
	if _, ok := n.Interrupt(2); ok {
		t.Error("a third interrupt")
	}
	if _, ok := lookup(t, tree, "/soc/off@1").Interrupt(0); ok {
		t.Error("an interrupt of a controller that is not there")
	}
	plic := lookup(t, tree, "/soc/plic")
	for i, want := range []uint32{11, 9} {
		if got, ok := plic.InterruptExtended(i); !ok || got != (Interrupt{want, 9}) {
			t.Errorf("InterruptExtended(%d) = %v, %v", i, got, ok)
		}
	}
	for _, i := range []int{-1, 2} {
		if _, ok := plic.InterruptExtended(i); ok {
			t.Errorf("InterruptExtended(%d) is there", i)
		}
	}
}

func TestWellKnown(t *testing.T) {
	tree := open(t, small())
	for i, want := range []Range{{0x8000_0000, 0x100_0000}, {0x1_0000_0000, 0x2000}, {0x2_0000_0000, 0x3000}} {
		if got, ok := tree.Memory(i); !ok || got != want {
			t.Errorf("Memory(%d) = %x, %v", i, got, ok)
		}
	}
	if _, ok := tree.Memory(3); ok {
		t.Error("a fourth range of memory")
	}
	if got, ok := tree.Reservation(1); !ok || got != (Range{0x8700_0000, 0x1000}) {
		t.Errorf("Reservation(1) = %x, %v", got, ok)
	}
	if _, ok := tree.Reservation(2); ok {
		t.Error("a third reservation")
	}
	if got, ok := tree.ReservedMemory(0); !ok || got != (Range{0x8000_0000, 0x4_0000}) {
		t.Errorf("ReservedMemory(0) = %x, %v", got, ok)
	}
	if _, ok := tree.ReservedMemory(1); ok {
		t.Error("a second reserved range")
	}
	if got, want := string(tree.BootArgs()), "nexus.net=stub nexus.stay=1"; got != want {
		t.Errorf("BootArgs = %q, want %q", got, want)
	}
	if got, ok := tree.Initrd(); !ok || got != (Range{0x8420_0000, 0x1_0000}) {
		t.Errorf("Initrd = %x, %v", got, ok)
	}
	if got := tree.RNGSeed(); !bytes.Equal(got, []byte{1, 2, 3, 4, 5, 6, 7, 8}) {
		t.Errorf("RNGSeed = %v", got)
	}
	if got, ok := tree.TimebaseFrequency(); !ok || got != 10_000_000 {
		t.Errorf("TimebaseFrequency = %d, %v", got, ok)
	}
	hart, ok := tree.Hart(0)
	if !ok || hart.ID != 3 || string(hart.ISA) != "rv64imafdc_sstc" {
		t.Errorf("Hart(0) = %d %q, %v", hart.ID, hart.ISA, ok)
	}
	if handle, ok := hart.InterruptController(); !ok || handle != 9 {
		t.Errorf("InterruptController = %d, %v", handle, ok)
	}
	if _, ok := tree.Hart(1); ok {
		t.Error("a disabled cpu or cpu-map counts as a hart")
	}
	if tree.BootHart() != 7 {
		t.Errorf("BootHart = %d", tree.BootHart())
	}
}

func TestZeroValues(t *testing.T) {
	var tree Tree
	if tree.Root().Valid() || len(tree.BootArgs()) != 0 || tree.RNGSeed() != nil {
		t.Error("an empty tree has contents")
	}
	var n Node
	if _, ok := n.Window(0); ok || n.Name() != nil || !n.Okay() {
		t.Error("the zero node has contents")
	}
	if _, ok := n.Interrupt(0); ok {
		t.Error("the zero node has an interrupt")
	}
	if _, ok := tree.TimebaseFrequency(); ok {
		t.Error("an empty tree has a clock")
	}
	if p, ok := (Property{}).Next(); ok || p.Name() != nil || p.Value() != nil {
		t.Error("the zero property has contents")
	}
}

// TestQEMU reads the tree that QEMU 7.2 generates for -M virt -smp 2 -m 128 -kernel -initrd.
func TestQEMU(t *testing.T) {
	blob, err := os.ReadFile("testdata/qemu-7.2-virt.dtb")
	if err != nil {
		t.Fatal(err)
	}
	tree := open(t, blob)
	n, ok := tree.Find([]byte("virtio_mmio@10002000"))
	if !ok || !n.Compatible("virtio,mmio") {
		t.Fatal("no virtio_mmio@10002000")
	}
	window, ok := n.Window(0)
	irq, irqOK := n.Interrupt(0)
	if !ok || window != (Range{0x1000_2000, 0x1000}) || !irqOK || irq.Number != 2 {
		t.Errorf("window %x %v, interrupt %v %v", window, ok, irq, irqOK)
	}
	if got, ok := tree.Memory(0); !ok || got != (Range{0x8000_0000, 128 << 20}) {
		t.Errorf("Memory(0) = %x, %v", got, ok)
	}
	if got, ok := tree.Initrd(); !ok || got != (Range{0x8420_0000, 4}) {
		t.Errorf("Initrd = %x, %v", got, ok)
	}
	if hart, ok := tree.Hart(1); !ok || hart.ID != 1 || !bytes.Contains(hart.ISA, []byte("sstc")) {
		t.Errorf("Hart(1) = %d %q, %v", hart.ID, hart.ISA, ok)
	}
	plic, ok := tree.Lookup("/soc/plic@c000000")
	hart, _ := tree.Hart(0)
	own, _ := hart.InterruptController()
	if got, gotOK := plic.InterruptExtended(1); !ok || !gotOK || got != (Interrupt{9, own}) {
		t.Errorf("context 1 = %v, want supervisor of %d", got, own)
	}
	if len(tree.RNGSeed()) != 32 {
		t.Errorf("rng-seed of %d bytes", len(tree.RNGSeed()))
	}
}

func put(blob []byte, at int, v uint32) []byte {
	blob = bytes.Clone(blob)
	binary.BigEndian.PutUint32(blob[at:], v)
	return blob
}

func TestOpenRefuses(t *testing.T) {
	good := small()
	nest := func(depth int) []byte {
		b := new(builder)
		for range depth {
			b.begin("n")
		}
		for range depth {
			b.end()
		}
		return b.finish()
	}
	if code := new(Tree).Open(nest(MaxDepth)); code != OK {
		t.Errorf("depth %d: %v", MaxDepth, code)
	}
	tail := new(builder).begin("").end()
	structAt := int(binary.BigEndian.Uint32(good[offStructOffset:]))
	for _, tc := range []struct {
		name string
		blob []byte
		want Code
	}{
		{"empty", nil, Short},
		{"header cut", good[:headerSize-1], Short},
		{"blob cut", good[:len(good)-1], Short},
		{"total below header", put(good, offTotalSize, headerSize-1), Short},
		{"magic", put(good, offMagic, 0xedfe0dd0), BadMagic},
		{"version 16", put(good, offVersion, 16), BadVersion},
		{"needs version 17", put(good, offLastCompat, 17), BadVersion},
		{"structure beyond", put(good, offStructSize, uint32(len(good))), BadLayout},
		{"structure wraps", put(good, offStructSize, 0xffff_fffc), BadLayout},
		{"structure in header", put(good, offStructOffset, 36), BadLayout},
		{"structure misaligned", put(good, offStructOffset, uint32(structAt+1)), BadLayout},
		{"strings beyond", put(good, offStringsOffset, uint32(len(good)+1)), BadLayout},
		{"reservations misaligned", put(good, offReserveOffset, headerSize+4), BadLayout},
		{"reservations beyond", put(good, offReserveOffset, uint32(len(good)+64)&^7), BadLayout},
		{"reservations without end", put(good, offReserveOffset, uint32(len(good)-8)&^7), BadReservations},
		{"too deep", nest(MaxDepth + 1), TooDeep},
		{"no root", new(builder).finish(), BadToken},
		{"two roots", new(builder).begin("").end().begin("").end().finish(), BadToken},
		{"one end too many", new(builder).begin("").end().end().finish(), BadToken},
		{"end inside", new(builder).begin("").finish(), BadToken},
		{"unknown token", put(good, structAt, 7), BadToken},
		{"property outside", new(builder).words("x", 1).finish(), BadToken},
		{"property after child", new(builder).begin("").begin("a").end().words("x", 1).end().finish(), BadToken},
		{"no FDT_END", tail.assemble(), Unfinished},
		{"slash in name", new(builder).begin("").begin("a/b").end().end().finish(), BadName},
		{"name without end", (&builder{structure: []byte{0, 0, 0, 1, 'a', 'b', 'c', 'd'}}).assemble(), BadName},
		{"strings gone", put(good, offStringsSize, 4), BadProperty},
		{"property too long", put(good, structAt+8+4, 0xffff_ffff), BadProperty},
		{"property name beyond", put(good, structAt+8+8, 0xffff_fff0), BadProperty},
	} {
		var tree Tree
		if got := tree.Open(tc.blob); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		} else if tree.Root().Valid() {
			t.Errorf("%s: refused, but the tree is not empty", tc.name)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	blob := small()
	var tree Tree
	var sink uint64
	if got := testing.AllocsPerRun(10, func() { sink += exercise(&tree, blob) }); got != 0 {
		t.Errorf("%v allocations", got)
	}
	_ = sink
}

// exercise opens blob and calls every accessor on every node, and sums something so that none can be left out.
func exercise(tree *Tree, blob []byte) uint64 {
	if tree.Open(blob) != OK {
		return 0
	}
	sum := uint64(len(tree.BootArgs()) + len(tree.RNGSeed()))
	for i := range 3 {
		m, _ := tree.Memory(i)
		r, _ := tree.Reservation(i)
		k, _ := tree.ReservedMemory(i)
		h, _ := tree.Hart(i)
		c, _ := h.InterruptController()
		sum += m.Size + r.Size + k.Size + h.ID + uint64(c) + uint64(len(h.ISA))
	}
	initrd, _ := tree.Initrd()
	hz, _ := tree.TimebaseFrequency()
	sum += initrd.Size + hz
	nodes := 0
	w := tree.Walk()
	for n, ok := w.Next(); ok; n, ok = w.Next() {
		if nodes++; nodes > 64 {
			break // the accessors below walk the tree: keep hostile inputs quadratic in a constant
		}
		for p, ok := n.FirstProperty(); ok; p, ok = p.Next() {
			sum += uint64(len(p.Name()) + len(p.Value()))
		}
		r, _ := n.Window(0)
		i, _ := n.Interrupt(0)
		e, _ := n.InterruptExtended(1)
		f, _ := tree.Find(n.Name())
		u, _ := n.Uint("reg")
		v, _ := n.Text("status")
		sum += r.Size + uint64(i.Number+e.Number) + uint64(len(f.Name())) + u + uint64(len(v))
		if n.Okay() || n.Compatible("x") {
			sum++
		}
	}
	return sum
}

func FuzzOpen(f *testing.F) {
	f.Add(small())
	blob, err := os.ReadFile("testdata/qemu-7.2-virt.dtb")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(blob)
	f.Fuzz(func(t *testing.T, blob []byte) {
		var tree Tree
		exercise(&tree, blob)
	})
}

func BenchmarkOpenQEMU(b *testing.B) {
	blob, err := os.ReadFile("testdata/qemu-7.2-virt.dtb")
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(blob)))
	b.ReportAllocs()
	var tree Tree
	for b.Loop() {
		if code := tree.Open(blob); code != OK {
			b.Fatal(code)
		}
	}
}

func BenchmarkExercise(b *testing.B) {
	blob, err := os.ReadFile("testdata/qemu-7.2-virt.dtb")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	var tree Tree
	for b.Loop() {
		exercise(&tree, blob)
	}
}

// Who has erased a property leaves a valid tree in which neither its name nor its value is found.
func TestErase(t *testing.T) {
	seed := []byte{1, 2, 3, 4, 5, 6, 7, 8, 9}
	blob := new(builder).begin("").begin("chosen").
		text("bootargs", "a b").property("rng-seed", seed).property("rng-seed", seed[1:]).text("stdout-path", "/serial").end().
		begin("after").end().end().finish()
	var tree Tree
	if code := tree.Open(blob); code != OK {
		t.Fatal(code)
	}
	tree.EraseRNGSeed()
	if got := tree.RNGSeed(); got != nil {
		t.Errorf("got seed %v", got)
	}
	if bytes.Contains(blob, seed[1:5]) {
		t.Error("the seed is still in the blob")
	}
	if code := tree.Open(blob); code != OK {
		t.Fatalf("afterwards: %v", code)
	}
	chosen, _ := tree.Lookup("/chosen")
	if got, _ := chosen.Text("stdout-path"); string(got) != "/serial" {
		t.Errorf("the property behind it became %q", got)
	}
	if got := tree.BootArgs(); string(got) != "a b" {
		t.Errorf("the property before it became %q", got)
	}
	if _, ok := tree.Lookup("/after"); !ok {
		t.Error("the node behind it is gone")
	}
	if chosen.Erase("rng-seed") || (Node{}).Erase("rng-seed") {
		t.Error("what is not there was erased")
	}
}
