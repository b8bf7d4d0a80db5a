package file

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/mem"
)

// thing is an object that notes its close and may hold other files, as a socket does.
type thing struct {
	Defaults
	closed int
	pieces int // of its closing that are not the last
	holds  []*File
	depth  *int // how deep closes are nested
}

func (*thing) Stat(*abi.Stat) {}

func (o *thing) Close() bool {
	if o.pieces > 0 {
		o.pieces--
		return false
	}
	o.closed++
	if o.depth != nil {
		if *o.depth++; *o.depth > 1 {
			panic("close inside a close")
		}
		defer func() { *o.depth-- }()
	}
	for _, f := range o.holds {
		f.Release()
	}
	return true
}

// reap closes all that was dropped.
func reap() {
	for Reap() {
	}
}

func TestReferences(t *testing.T) {
	o := new(thing)
	f := New(o, abi.O_WRONLY|abi.O_NONBLOCK)
	if f.Readable() || !f.Writable() || !f.Nonblocking() {
		t.Error("flags")
	}
	f.Ref().Release()
	if o.closed != 0 || Open() != 1 {
		t.Error("closed with a reference left")
	}
	f.Release()
	if o.closed != 0 || Open() != 1 {
		t.Error("closed while an operation may be under way")
	}
	if Reap() || o.closed != 1 || Open() != 0 {
		t.Errorf("closed %d times, %d open", o.closed, Open())
	}
	if Reap() || o.closed != 1 {
		t.Error("closed twice")
	}
}

// TestReapInPieces: one Reap deals with a bounded number of files, of hooks, or with a piece of a large object.
func TestReapInPieces(t *testing.T) {
	var all []*thing
	for range 2*Piece + 1 {
		o := new(thing)
		all = append(all, o)
		New(o, 0).Release()
	}
	large := &thing{pieces: 2}
	f := New(large, 0)
	var o owner
	hooks := make([]Hook, Piece+1)
	for i := range hooks {
		hooks[i].Owner = &o
		f.Hook(&hooks[i])
	}
	f.Release()
	if !Dropped() || Dropped() {
		t.Error("Dropped is not true once")
	}
	closed := func() (n int) {
		for _, o := range all {
			n += o.closed
		}
		return n
	}
	for i, want := range []struct {
		more                 bool
		closed, told, pieces int
	}{
		{true, Piece, 0, 2}, {true, 2 * Piece, 0, 2}, {true, 2*Piece + 1, Piece - 1, 2}, {true, 2*Piece + 1, Piece + 1, 1},
		{true, 2*Piece + 1, Piece + 1, 0}, {false, 2*Piece + 1, Piece + 1, 0},
	} {
		more := Reap()
		if more != want.more || closed() != want.closed || len(o.told) != want.told || large.pieces != want.pieces {
			t.Errorf("piece %d: %v, %d closed, %d hooks told, %d pieces left, want %+v", i, more, closed(), len(o.told), large.pieces, want)
		}
	}
	if large.closed != 1 || Open() != 0 || Dropped() {
		t.Errorf("closed %d times, %d open", large.closed, Open())
	}
}

// A heap is an object that holds pages.
type heap struct {
	Defaults
	pages []mem.Phys
}

func (*heap) Stat(*abi.Stat) {}
func (h *heap) Close() bool {
	for _, p := range h.pages {
		mem.Free(p)
	}
	return true
}

// TestReapBoundsPages: one Reap gives back a bounded number of pages, however few files have them.
func TestReapBoundsPages(t *testing.T) {
	const files, each = 20, 300
	mem.InitHost(files*each+16, 0)
	all := mem.Available()
	for range files {
		h := new(heap)
		for range each {
			p, ok := mem.Alloc()
			if !ok {
				t.Fatal("no memory")
			}
			h.pages = append(h.pages, p)
		}
		New(h, 0).Release()
	}
	pieces := 1
	for before := mem.Available(); Reap(); pieces++ {
		if n := mem.Available() - before; n >= piecePages+each {
			t.Errorf("piece %d gave back %d pages", pieces, n)
		}
		before = mem.Available()
	}
	if mem.Available() != all || pieces != files*each/(4*each) {
		t.Errorf("%d pages of %d are back after %d pieces", mem.Available(), all, pieces)
	}
}

// TestNestedClose: files that hold files are closed one after the other, not one inside the other.
func TestNestedClose(t *testing.T) {
	depth := 0
	var things []*thing
	var inner *File
	for range 5000 {
		o := &thing{depth: &depth}
		if inner != nil {
			o.holds = []*File{inner}
		}
		things = append(things, o)
		inner = New(o, 0)
	}
	inner.Release()
	reap()
	for i, o := range things {
		if o.closed != 1 {
			t.Fatalf("file %d closed %d times", i, o.closed)
		}
	}
	if Open() != 0 {
		t.Errorf("%d open", Open())
	}
}

// TestWithoutReference: a file that waits to be closed, or is closed, has no user any more.
func TestWithoutReference(t *testing.T) {
	for _, tt := range []struct {
		what string
		use  func(*File)
	}{
		{"file: release of a file without a reference", func(f *File) { f.Release() }},
		{"file: reference to a file without one", func(f *File) { f.Ref() }},
	} {
		for _, closed := range []bool{false, true} {
			f := New(new(thing), 0)
			f.Release()
			if closed {
				reap()
			}
			func() {
				defer func() {
					if got := recover(); got != tt.what {
						t.Errorf("closed %v: got %v, want a panic: %s", closed, got, tt.what)
					}
				}()
				tt.use(f)
			}()
			reap()
		}
	}
}

// TestClosedInACall: a call that has a file's position keeps the file.
func TestClosedInACall(t *testing.T) {
	f := New(new(thing), 0)
	f.Moving = true
	f.Release()
	func() {
		defer func() {
			const want = "file: closed while a call has its position"
			if got := recover(); got != want {
				t.Errorf("got %v, want a panic: %s", got, want)
			}
		}()
		reap()
	}()
	f.Moving = false
	reap()
}

func TestMaxFiles(t *testing.T) {
	var all []*File
	for range MaxFiles {
		all = append(all, New(new(thing), 0))
	}
	if New(new(thing), 0) != nil {
		t.Error("one file too many")
	}
	for _, f := range all {
		f.Release()
	}
	reap()
	if Open() != 0 {
		t.Errorf("%d open", Open())
	}
}

// owner notes which hooks were told.
type owner struct{ told []*Hook }

func (o *owner) FileClosed(h *Hook) { o.told = append(o.told, h) }

func TestHooks(t *testing.T) {
	f := New(new(thing), 0)
	var o owner
	hooks := make([]Hook, 4)
	for i := range hooks {
		hooks[i].Owner = &o
		f.Hook(&hooks[i])
	}
	hooks[1].Unhook()
	hooks[1].Unhook() // of no effect
	var got []*Hook
	for h := f.Hooked(); h != nil; h = h.Next() {
		got = append(got, h)
	}
	want := []*Hook{&hooks[3], &hooks[2], &hooks[0]}
	if !slices.Equal(got, want) {
		t.Errorf("%d hooks, want the other three", len(got))
	}
	f.Release()
	if len(o.told) != 0 {
		t.Error("told while an operation may be under way")
	}
	reap()
	if !slices.Equal(o.told, want) {
		t.Errorf("%d told, want three", len(o.told))
	}
	hooks[0].Unhook() // after the file is gone
}

// TestTableModel compares two tables with maps, for random calls.
func TestTableModel(t *testing.T) {
	mem.InitHost(256, 0)
	free := mem.Available()
	type slot struct {
		f       *File
		cloexec bool
	}
	rapid.Check(t, func(t *rapid.T) {
		var table Table
		model := map[int]slot{}
		// Descriptors around the borders of pages, and out of range.
		fds := rapid.OneOf(rapid.IntRange(-1, 6), rapid.IntRange(perLeaf-2, perLeaf+2), rapid.IntRange(MaxDescriptors-2, MaxDescriptors+1))
		// used is how many descriptors of the model stand for f, over all tables.
		newFile := func() *File { return New(new(thing), 0) }
		t.Repeat(map[string]func(*rapid.T){
			"install": func(t *rapid.T) {
				least, cloexec := fds.Draw(t, "least"), rapid.Bool().Draw(t, "cloexec")
				want, wantErr := least, abi.OK
				if least < 0 || least >= MaxDescriptors {
					wantErr = abi.EINVAL
				} else {
					for model[want].f != nil {
						want++
					}
					if want >= MaxDescriptors {
						wantErr = abi.EMFILE
					}
				}
				f := newFile()
				fd, err := table.Install(f, least, cloexec)
				if err != wantErr || err == abi.OK && fd != want {
					t.Fatalf("install from %d: %d, %d, want %d, %d", least, fd, err, want, wantErr)
				}
				if err != abi.OK {
					f.Release()
					return
				}
				model[fd] = slot{f, cloexec}
			},
			"replace": func(t *rapid.T) {
				fd, cloexec := fds.Draw(t, "fd"), rapid.Bool().Draw(t, "cloexec")
				f := newFile()
				err := table.Replace(fd, f, cloexec)
				if fd < 0 || fd >= MaxDescriptors {
					if err != abi.EBADF {
						t.Fatalf("replace %d: %d, want EBADF", fd, err)
					}
					f.Release()
					return
				}
				if err != abi.OK {
					t.Fatalf("replace %d: %d", fd, err)
				}
				if old := model[fd].f; old != nil && old.refs > 0 && old != f {
					t.Fatal("the old file is open")
				}
				model[fd] = slot{f, cloexec}
			},
			"close": func(t *rapid.T) {
				fd := fds.Draw(t, "fd")
				want := abi.OK
				if model[fd].f == nil {
					want = abi.EBADF
				}
				if err := table.Close(fd); err != want {
					t.Fatalf("close %d: %d, want %d", fd, err, want)
				}
				delete(model, fd)
			},
			"flag": func(t *rapid.T) {
				fd, on := fds.Draw(t, "fd"), rapid.Bool().Draw(t, "on")
				table.SetCloseOnExec(fd, on)
				if s, ok := model[fd]; ok {
					s.cloexec = on
					model[fd] = s
				}
			},
			"copy and exec": func(t *rapid.T) {
				var child Table
				if err := table.CopyTo(&child); err != abi.OK {
					t.Fatal(err)
				}
				child.Exec()
				for fd, s := range model {
					f, err := child.Get(fd)
					if s.cloexec && err != abi.EBADF || !s.cloexec && f != s.f {
						t.Fatalf("fd %d after exec: %d", fd, err)
					}
				}
				// Freed descriptors are the next to be given out.
				want := 0
				for s, ok := model[want]; ok && !s.cloexec; s, ok = model[want] {
					want++
				}
				f := newFile()
				if fd, err := child.Install(f, 0, false); fd != want || err != abi.OK {
					t.Fatalf("install after exec: %d, %d, want %d", fd, err, want)
				}
				child.Clear()
			},
			"": func(t *rapid.T) {
				for _, fd := range []int{-1, 0, 1, 2, 3, 4, 5, perLeaf - 1, perLeaf, perLeaf + 1, MaxDescriptors - 1, MaxDescriptors} {
					f, err := table.Get(fd)
					if s, ok := model[fd]; ok != (err == abi.OK) || ok && (f != s.f || table.CloseOnExec(fd) != s.cloexec) {
						t.Fatalf("fd %d: %d, want %v", fd, err, ok)
					}
				}
				reap()
				if Open() != len(model) {
					t.Fatalf("%d files open, want %d", Open(), len(model))
				}
			},
		})
		table.Clear()
		reap()
		if Open() != 0 || mem.Available() != free {
			t.Fatalf("left behind: %d files, %d pages", Open(), free-mem.Available())
		}
	})
}

// TestTableWithoutMemory: a table that cannot grow says so and loses nothing.
func TestTableWithoutMemory(t *testing.T) {
	mem.InitHost(8, 0)
	var held []mem.Phys
	for {
		p, ok := mem.Alloc()
		if !ok {
			break
		}
		held = append(held, p)
	}
	var table, child Table
	f := New(new(thing), 0)
	if _, err := table.Install(f, 0, false); err != abi.ENOMEM {
		t.Errorf("install: %d, want ENOMEM", err)
	}
	if err := table.Replace(3, f, false); err != abi.ENOMEM {
		t.Errorf("replace: %d, want ENOMEM", err)
	}
	mem.Free(held[0])
	if fd, err := table.Install(f, 0, false); fd != 0 || err != abi.OK {
		t.Errorf("install: %d, %d", fd, err)
	}
	if err := table.CopyTo(&child); err != abi.ENOMEM {
		t.Errorf("copy: %d, want ENOMEM", err)
	}
	child.Clear()
	table.Clear()
	reap()
	if Open() != 0 || mem.Available() != 1 {
		t.Errorf("left behind: %d files, %d pages free", Open(), mem.Available())
	}
}
