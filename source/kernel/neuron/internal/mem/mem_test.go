package mem

import (
	"testing"

	"pgregory.net/rapid"
)

// TestModel compares the pool with a map from pages to counts, for random allocations, references and frees.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(4, 40).Draw(t, "pages")
		InitHost(n, 0)
		total := Available()
		counts := map[Phys]int{}
		var held []Phys
		some := func(t *rapid.T) Phys {
			if len(held) == 0 {
				t.Skip()
			}
			return held[rapid.IntRange(0, len(held)-1).Draw(t, "page")]
		}
		t.Repeat(map[string]func(*rapid.T){
			"alloc": func(t *rapid.T) {
				p, ok := Alloc()
				if ok != (len(held) < total) {
					t.Fatalf("alloc with %d of %d pages held: %v", len(held), total, ok)
				}
				if !ok {
					return
				}
				if counts[p] != 0 || p%PageSize != 0 || p < HostBase || p >= HostBase+Phys(n*PageSize) {
					t.Fatalf("page %#x is in use, or none", p)
				}
				if *Bytes(p) != (Page{}) {
					t.Fatalf("page %#x is dirty", p)
				}
				Bytes(p)[7] = 1
				counts[p] = 1
				held = append(held, p)
			},
			"ref": func(t *rapid.T) {
				p := some(t)
				Ref(p)
				counts[p]++
			},
			"free": func(t *rapid.T) {
				p := some(t)
				Free(p)
				if counts[p]--; counts[p] > 0 {
					return
				}
				for i := range held {
					if held[i] == p {
						held = append(held[:i], held[i+1:]...)
						break
					}
				}
				if q, ok := AllocDirty(); !ok || q != p {
					t.Fatalf("the page freed last is not the next: %#x, want %#x", q, p)
				}
				Free(p)
			},
			"": func(t *rapid.T) {
				if Available() != total-len(held) {
					t.Fatalf("%d available, want %d", Available(), total-len(held))
				}
				for _, p := range held {
					if Refs(p) != counts[p] {
						t.Fatalf("page %#x: %d references, want %d", p, Refs(p), counts[p])
					}
				}
			},
		})
	})
}

// TestUnmanaged: references to what no allocation gave do nothing.
func TestUnmanaged(t *testing.T) {
	InitHost(16, 4)
	free := Available()
	dma, ok := AllocContiguous(1)
	if !ok {
		t.Fatal("no contiguous page")
	}
	for _, p := range []Phys{0, 0x1000_2000, HostBase - PageSize, HostBase + 16*PageSize, 1 << 60, dma} {
		Ref(p)
		Free(p)
		Free(p)
		if Refs(p) != 0 {
			t.Errorf("page %#x is counted", p)
		}
	}
	if Available() != free {
		t.Errorf("%d available, want %d", Available(), free)
	}
}

func TestFreeTwicePanics(t *testing.T) {
	InitHost(8, 0)
	p, _ := Alloc()
	Free(p)
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	Free(p)
}

func TestUnownedMemoryPanics(t *testing.T) {
	InitHost(8, 1)
	p, _ := Alloc()
	Free(p)
	dma, ok := AllocContiguous(1)
	if !ok {
		t.Fatal("no contiguous memory")
	}
	FreeContiguous(dma, 1)
	for what, use := range map[string]func(){
		"mem: reference to a free page":               func() { Ref(p) },
		"mem: free of contiguous memory that is free": func() { FreeContiguous(dma, 1) },
	} {
		func() {
			defer func() {
				if got := recover(); got != what {
					t.Errorf("got %v, want a panic: %s", got, what)
				}
			}()
			use()
		}()
	}
}

func TestReserved(t *testing.T) {
	InitHost(32, 0)
	// One page that a range only touches, one inside, and one that it begins in.
	reserved := []Range{{HostBase + 10*PageSize + 5, HostBase + 12*PageSize + 1}}
	Init(HostBase, HostBase+32*PageSize, 0, reserved)
	got := map[Phys]bool{}
	for {
		p, ok := Alloc()
		if !ok {
			break
		}
		got[p] = true
	}
	for i := range Phys(32) {
		p := HostBase + i*PageSize
		if want := i > 0 && (i < 10 || i > 12); got[p] != want {
			t.Errorf("page %d handed out: %v, want %v", i, got[p], want)
		}
	}
}

// TestContiguous compares the pool for DMA with a bit for each page.
func TestContiguous(t *testing.T) {
	const pages = 12
	rapid.Check(t, func(t *rapid.T) {
		InitHost(32, pages)
		free := Available()
		base := HostBase + (32-pages)*PageSize
		var used [pages]bool
		type piece struct {
			p Phys
			n int
		}
		var held []piece
		t.Repeat(map[string]func(*rapid.T){
			"alloc": func(t *rapid.T) {
				n := rapid.IntRange(-1, pages+1).Draw(t, "n")
				want := -1
				for i := 0; n > 0 && want < 0 && i+n <= pages; i++ {
					want = i
					for _, u := range used[i : i+n] {
						if u {
							want = -1
						}
					}
				}
				p, ok := AllocContiguous(n)
				if ok != (want >= 0) || ok && p != base+Phys(want*PageSize) {
					t.Fatalf("%d pages: %#x, %v, want page %d", n, p, ok, want)
				}
				if !ok {
					return
				}
				for i := range n {
					q := p + Phys(i*PageSize)
					if *Bytes(q) != (Page{}) {
						t.Fatal("dirty")
					}
					Bytes(q)[9] = 9
					used[want+i] = true
				}
				held = append(held, piece{p, n})
			},
			"free": func(t *rapid.T) {
				if len(held) == 0 {
					t.Skip()
				}
				i := rapid.IntRange(0, len(held)-1).Draw(t, "piece")
				FreeContiguous(held[i].p, held[i].n)
				for j := range held[i].n {
					used[int(held[i].p-base)/PageSize+j] = false
				}
				held = append(held[:i], held[i+1:]...)
			},
		})
		if Available() != free {
			t.Fatal("single pages were taken")
		}
	})
}
