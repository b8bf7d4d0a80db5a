package vm

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/arch"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/mem"
)

// The model lies across the border of two leaf tables, and of several groups that one fault fills.
const (
	modelBase  = 64<<20 - 20*page
	modelPages = 48
	filePages  = 20
	spaceCount = 2
)

// probes are the offsets in a page at which contents are compared and written.
var probes = [...]int{0, 1000, page - 1}

type contents [len(probes)]byte

func read(p mem.Phys) (c contents) {
	for i, at := range probes {
		c[i] = mem.Bytes(p)[at]
	}
	return c
}

// A mapped is what the model knows of one mapped page.
type mapped struct {
	Map
	index int      // of the file's page
	bytes uint64   // of a private page that are the file's
	own   bool     // it has, or would have, a page of its own
	mine  contents // of its own page
}

// A source is a file of the model.
type source struct {
	f       *file.File
	private bool // it may be mapped privately
	shared  bool // it may be mapped shared
	bytes   uint64
	pages   []mem.Phys
	want    []contents
}

type world struct {
	t      testing.TB
	free   int
	hart   *arch.Hart
	spaces [spaceCount]*Space
	pages  [spaceCount]map[int]*mapped
	files  []source
	pieces bool // calls go on in pieces, which do not join everything
}

// newWorld has, beside two spaces, an archive's file that ends in the middle of a page, a memfd, and a window.
func newWorld(t testing.TB) *world {
	w := &world{t: t, hart: &arch.Hart{}, pieces: pieceWork < 1<<14}
	mem.InitHost(1024, 2*filePages)
	root, _ := mem.Alloc()
	tableAt(root)[userHalf] = pteValid | pteGlobal
	Init(root)
	areasUsed, areasFree = 0, nil
	const cut = (filePages-3)*page + 1500
	w.addFile(source{private: true, bytes: cut, pages: newPages(t, 1)})
	fd := newMemfd(t, filePages)
	var pages []mem.Phys
	for i := range filePages {
		p, _ := fd.Object.Map(uint64(i), true)
		mem.Free(p)
		pages = append(pages, p)
	}
	w.addFile(source{f: fd, private: true, shared: true, bytes: filePages * page, pages: pages})
	w.addFile(source{shared: true, bytes: filePages * page, pages: newPages(t, 101)})
	w.free = mem.Available()
	for i := range w.spaces {
		w.renew(i)
	}
	return w
}

func newPages(t testing.TB, first int) (pages []mem.Phys) {
	for i := range filePages {
		p, ok := mem.AllocContiguous(1)
		if !ok {
			t.Fatal("no memory")
		}
		for j := range mem.Bytes(p) {
			mem.Bytes(p)[j] = byte(first + i)
		}
		pages = append(pages, p)
	}
	return pages
}

func (w *world) addFile(s source) {
	if s.f == nil {
		mapping := file.MapsPages
		if s.private {
			mapping = file.MapsConstant
		}
		s.f = file.New(&object{mapping: mapping, pages: s.pages}, abi.O_RDWR)
	}
	for _, p := range s.pages {
		s.want = append(s.want, read(p))
	}
	w.files = append(w.files, s)
}

// renew is the end of a program and the begin of another.
func (w *world) renew(i int) {
	if s := w.spaces[i]; s != nil {
		releaseAll(s, w.hart)
	}
	s, err := NewSpace()
	if err != abi.OK {
		w.t.Fatal(err)
	}
	w.spaces[i], w.pages[i] = s, map[int]*mapped{}
}

// run makes the operations that ops describes, four bytes each, and looks at everything after each.
func (w *world) run(ops []byte) {
	for step := 0; len(ops) >= 4; step++ {
		which := int(ops[0]>>7) % spaceCount
		op, first, n, how := ops[0]&0x7f%9, int(ops[1])%modelPages, int(ops[2]%20)+1, ops[3]
		n = min(n, modelPages-first)
		ops = ops[4:]
		what := w.do(which, op, first, n, how)
		w.check(fmt.Sprintf("step %d, space %d, %s of pages %d to %d", step, which, what, first, first+n))
	}
	for i := range w.spaces {
		w.load(i, 0, modelPages)
	}
	w.check("the end")
	for i := range w.spaces {
		w.renew(i)
	}
	if got, want := mem.Available(), w.free-spaceCount; got != want {
		w.t.Fatalf("%d pages free at the end, want %d", got, want)
	}
}

func (w *world) do(which int, op byte, first, n int, how byte) string {
	s, pages, va := w.spaces[which], w.pages[which], uint64(modelBase+first*page)
	size := uint64(n * page)
	switch op {
	case 0, 1:
		w.mmap(which, first, n, how)
		return "mmap"
	case 2:
		if err := unmapAll(s, va, size); err != abi.OK {
			w.t.Fatalf("Munmap: %d", err)
		}
		for p := first; p < first+n; p++ {
			delete(pages, p)
		}
		return "munmap"
	case 3:
		w.protect(which, first, n, Prot(how%8))
		return fmt.Sprintf("mprotect %d", how%8)
	case 4:
		discardAll(s, va, size)
		for p := first; p < first+n; p++ {
			if m := pages[p]; m != nil {
				m.own, m.mine = m.File == nil, contents{}
			}
		}
		return "madvise"
	case 5:
		for p := first; p < first+n; p++ {
			w.store(which, p, how)
		}
		return "store"
	case 6:
		w.load(which, first, n)
		return "load"
	case 7:
		w.store(which, first, how)
		return "store of the first"
	default:
		if how%8 == 0 {
			w.renew(which)
			return "exit"
		}
		w.load(which, first, 1)
		return "load of the first"
	}
}

func (w *world) mmap(which, first, n int, how byte) {
	m := Map{
		Start: uint64(modelBase + first*page), Size: uint64(n * page), Fixed: true,
		Prot: Prot(how>>4) & 3, MayWrite: true, MayExec: how&8 != 0,
	}
	var src *source
	if k := int(how % 4); k < len(w.files) {
		src = &w.files[k]
		m.File, m.Shared = src.f, src.shared && (!src.private || how&0x40 != 0)
		m.Index = uint64(how>>2) % (filePages + 2)
		m.MayWrite = !m.Shared || how&0x80 != 0
		if !m.Shared {
			m.Bytes = src.bytes - min(src.bytes, m.Index*page)
			m.Zeros = how&0x80 != 0
		}
		if !m.MayWrite {
			m.Prot &^= Write
		}
	}
	if _, err := mapAll(w.spaces[which], m); err != abi.OK {
		w.t.Fatalf("Mmap(%+v): %d", m, err)
	}
	m.Prot = m.Prot.normal()
	for i := range n {
		page := &mapped{Map: m, own: m.File == nil, index: int(m.Index) + i}
		if off := uint64(i * mem.PageSize); m.Bytes > off {
			page.bytes = min(m.Bytes-off, mem.PageSize)
		}
		w.pages[which][first+i] = page
	}
}

func (w *world) protect(which, first, n int, prot Prot) {
	want := abi.OK
	for p := first; p < first+n && want == abi.OK; p++ {
		switch m := w.pages[which][p]; {
		case m == nil:
			want = abi.ENOMEM
		case prot&Write != 0 && !m.MayWrite, prot&Exec != 0 && !m.MayExec:
			want = abi.EACCES
		default:
			m.Prot = prot.normal()
		}
	}
	if err := protectAll(w.spaces[which], uint64(modelBase+first*page), uint64(n*page), prot); err != want {
		w.t.Fatalf("Protect(%d): %d, want %d", prot, err, want)
	}
}

// touch is what an access for need to page m finds, and what it does to the model.
func (w *world) touch(m *mapped, need Prot) (c *contents, want Fault) {
	switch {
	case m == nil:
		return nil, FaultMap
	case m.Prot&need == 0:
		return nil, FaultAccess
	case m.own:
		return &m.mine, FaultNone
	}
	src := w.source(m)
	if m.Shared {
		if m.index >= filePages {
			return nil, FaultBus
		}
		return &src.want[m.index], FaultNone
	}
	switch {
	case m.bytes == 0 && !m.Zeros:
		return nil, FaultBus
	case m.bytes == mem.PageSize && need == Read:
		return &src.want[m.index], FaultNone
	}
	m.own = true
	for i, at := range probes {
		if uint64(at) < m.bytes {
			m.mine[i] = src.want[m.index][i]
		}
	}
	return &m.mine, FaultNone
}

func (w *world) source(m *mapped) *source {
	for i := range w.files {
		if w.files[i].f == m.File {
			return &w.files[i]
		}
	}
	return nil
}

func (w *world) store(which, p int, v byte) {
	c, fault := w.touch(w.pages[which][p], Write)
	va := uint64(modelBase + p*page)
	if got := w.spaces[which].Touch(va, Write); got != fault {
		w.t.Fatalf("write to page %d: fault %d, want %d", p, got, fault)
	}
	for i, at := range probes {
		if got := w.spaces[which].Store(va+uint64(at), []byte{v + byte(i)}) == 1; got != (fault == FaultNone) {
			w.t.Fatalf("store to page %d: %v, want fault %d", p, got, fault)
		}
		if c != nil {
			c[i] = v + byte(i)
		}
	}
}

func (w *world) load(which, first, n int) {
	for p := first; p < first+n; p++ {
		c, fault := w.touch(w.pages[which][p], Read)
		for i, at := range probes {
			b := []byte{0xee}
			if got := w.spaces[which].Load(b, uint64(modelBase+p*page+at)) == 1; got != (fault == FaultNone) {
				w.t.Fatalf("load of page %d: %v, want fault %d", p, got, fault)
			}
			if c != nil && b[0] != c[i] {
				w.t.Fatalf("page %d reads %d at %d, want %d", p, b[0], at, c[i])
			}
		}
	}
}

// check looks at every entry without touching a page, at every count, and at the files.
func (w *world) check(after string) {
	w.t.Helper()
	used, areas := 0, 0
	seen := map[mem.Phys]bool{}
	for i, s := range w.spaces {
		used += w.checkSpace(after, s, w.pages[i], seen)
		areas += s.Areas()
	}
	if got := Areas(); got != areas {
		w.t.Fatalf("after %s: %d areas in use, the spaces have %d", after, got, areas)
	}
	if got := w.free - mem.Available(); got != used {
		w.t.Fatalf("after %s: %d pages are taken, %d are mapped", after, got, used)
	}
	for i := range w.files {
		f := &w.files[i]
		for j, p := range f.pages {
			if got := read(p); got != f.want[j] {
				w.t.Fatalf("after %s: page %d of file %d is %d, want %d", after, j, i, got, f.want[j])
			}
		}
	}
}

func (w *world) checkSpace(after string, s *Space, pages map[int]*mapped, seen map[mem.Phys]bool) (used int) {
	w.t.Helper()
	fail := func(p int, text string) { w.t.Fatalf("after %s: page %d: %s", after, p, text) }
	own, objects := 0, 0
	tables := eachEntry(w.t, s, func(va uint64, e pte) {
		p := int(va-modelBase) / page
		m := pages[p]
		if m == nil {
			fail(p, "mapped where no area is")
		}
		w.checkEntry(fail, p, m, e)
		if e&pteOwn == 0 {
			objects++
			return
		}
		own++
		if seen[e.phys()] || mem.Refs(e.phys()) != 1 {
			fail(p, "its own page is counted twice")
		}
		seen[e.phys()] = true
	})
	if a, b, c := s.Usage(); a != own || b != objects || c != tables {
		w.t.Fatalf("after %s: usage %d, %d, %d, want %d, %d, %d", after, a, b, c, own, objects, tables)
	}
	w.checkAreas(after, s, pages)
	return own + tables
}

// eachEntry calls visit for each page that s maps, as the processor finds them, and returns how many tables there are. None is empty, and each
// counts what it holds.
func eachEntry(t testing.TB, s *Space, visit func(va uint64, e pte)) (tables int) {
	t.Helper()
	var walk func(table mem.Phys, level int, va uint64) (n uint32)
	walk = func(table mem.Phys, level int, va uint64) (n uint32) {
		tables++
		for i, e := range tableAt(table) {
			if e&pteValid == 0 || level == 2 && i >= userHalf {
				continue
			}
			n++
			at := va + uint64(i)<<(mem.PageShift+9*level)
			if level == 0 {
				visit(at, e)
			} else if held := walk(e.phys(), level-1, at); held == 0 || held != *mem.Note(e.phys()) {
				t.Fatalf("a table at %#x of %d entries says %d", at, held, *mem.Note(e.phys()))
			}
		}
		return n
	}
	walk(s.root, 2, 0)
	return tables
}

func (w *world) checkEntry(fail func(int, string), p int, m *mapped, e pte) {
	w.t.Helper()
	for _, right := range []Prot{Read, Write, Exec} {
		if e.allows(right) && m.Prot&right == 0 {
			fail(p, "may be used for what the area may not")
		}
	}
	if e&pteOwn != 0 {
		if !m.own || read(e.phys()) != m.mine {
			fail(p, "its own page holds something else")
		}
		return
	}
	src := w.source(m)
	if m.own || src == nil || m.index >= len(src.pages) || e.phys() != src.pages[m.index] {
		fail(p, "has another page than the object's")
	}
	if e&pteWrite != 0 && !(m.Shared && m.MayWrite) {
		fail(p, "an object's page may be written to")
	}
}

// checkAreas wants areas in order, apart, each page's to say what was mapped there, and no border between neighbours that are alike.
func (w *world) checkAreas(after string, s *Space, pages map[int]*mapped) {
	w.t.Helper()
	n, held := 0, 0
	for a := s.first; a != nil; a = a.next {
		n++
		held += int(a.End-a.Start) / page
		if a.Start >= a.End || a.next != nil && a.End > a.next.Start {
			w.t.Fatalf("after %s: area %#x to %#x", after, a.Start, a.End)
		}
		for va := a.Start; va < a.End; va += page {
			m := pages[int(va-modelBase)/page]
			part := *a
			part.trim(va, va+page)
			if m == nil || !m.is(part) {
				w.t.Fatalf("after %s: the area of page %d is not what was mapped", after, int(va-modelBase)/page)
			}
		}
	}
	if n != s.count || held != len(pages) {
		w.t.Fatalf("after %s: %d areas of %d pages, counted %d, want %d pages", after, n, held, s.count, len(pages))
	}
	if want := runs(pages); n != want && !w.pieces {
		w.t.Fatalf("after %s: %d areas, want %d", after, n, want)
	}
}

// is reports whether a one-page area says what m does.
func (m *mapped) is(a Area) bool {
	same := m.File == a.File && m.Prot == a.Prot && m.Shared == a.Shared && m.MayWrite == a.MayWrite && m.MayExec == a.MayExec
	return same && (m.File == nil || uint64(m.index) == a.Index && m.bytes == a.Bytes && m.Zeros == a.Zeros)
}

// runs is how many areas are needed: a page goes on with the one before if it is mapped alike, and of a file the next page. A file's
// bytes have no gap in an area.
func runs(pages map[int]*mapped) (n int) {
	for p, m := range pages {
		b := pages[p-1]
		alike := b != nil && b.File == m.File && b.Prot == m.Prot && b.Shared == m.Shared && b.MayWrite == m.MayWrite && b.MayExec == m.MayExec
		if alike && m.File != nil {
			alike = b.index+1 == m.index && b.Zeros == m.Zeros && (b.bytes == page || m.bytes == 0)
		}
		if !alike {
			n++
		}
	}
	return n
}

// FuzzSpaces compares spaces that share files with a model under any sequence of operations.
func FuzzSpaces(f *testing.F) {
	// A file's page over the begin of an anonymous group, a read of it, write permission for its neighbours.
	f.Add([]byte{0, 4, 15, 0x3b, 0, 4, 0, 0x30, 6, 4, 0, 0, 3, 5, 7, 3, 5, 5, 7, 9})
	f.Fuzz(func(t *testing.T, ops []byte) { newWorld(t).run(ops) })
}

func TestSpacesLikeModel(t *testing.T) {
	defer func(work int) { pieceWork = work }(pieceWork)
	for seed := range uint64(60) {
		if seed%2 == 1 {
			pieceWork = int(10 + seed) // less than a call has to do
		}
		r := rand.New(rand.NewPCG(seed, 7))
		ops := make([]byte, 4*150)
		for i := range ops {
			ops[i] = byte(r.Uint32())
		}
		if ok := t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { newWorld(t).run(ops) }); !ok {
			return
		}
	}
}
