// Package mem hands out physical memory: single pages with a reference count, and contiguous zeroed pieces of a bounded pool
// for DMA.
//
// Invariant: a page is on the free list exactly when its count is zero. Pages that are not handed out (the kernel, the
// boot archive, devices) have no count; Ref and Free leave them alone, so that a mapping need not know what it maps.
package mem

const (
	PageShift = 12
	PageSize  = 1 << PageShift
)

// Phys is a physical address.
type Phys uint64

// Page is the contents of one page.
type Page [PageSize]byte

// page is what is known of one page.
type page struct {
	next uint32 // free list: index+1 of the next page. Of a page in use its holder's Note
	refs uint32
}

var pool struct {
	base  Phys
	pages []page
	free  uint32 // index+1 of the page freed last
	nfree int
	dma   region
}

// region is the pool of contiguous memory: one byte a page, 0 free.
type region struct {
	base Phys
	used []byte
}

// Range is a piece of physical memory, from Start up to End.
type Range struct{ Start, End Phys }

// pinned is the count of a page that is never handed out.
const pinned = 1 << 31

// Init takes over the pages from base to end (page aligned) except those that touch a reserved range. The bookkeeping lives
// in the first of them and the last dma bytes become the pool for contiguous memory; neither may meet a reserved range.
func Init(base, end Phys, dma uint64, reserved []Range) {
	n := int(end-base) >> PageShift
	ndma := int(dma >> PageShift)
	meta := bytesAt(base, n*pageRecord+ndma)
	clear(meta)
	pool.pages = pageRecords(meta[:n*pageRecord])
	pool.base = base
	pool.dma = region{base: end - Phys(ndma<<PageShift), used: meta[n*pageRecord:]}
	pool.free, pool.nfree = 0, 0
	first := (n*pageRecord + ndma + PageSize - 1) >> PageShift
	// Low pages end up at the head, so that a boot touches memory in order.
	for i := n - ndma - 1; i >= first; i-- {
		if p := base + Phys(i)<<PageShift; meets(p, reserved) {
			pool.pages[i].refs = pinned
		} else {
			push(uint32(i))
		}
	}
}

func meets(p Phys, ranges []Range) bool {
	for i := range ranges {
		if p < ranges[i].End && p+PageSize > ranges[i].Start {
			return true
		}
	}
	return false
}

func push(i uint32) {
	pool.pages[i].next = pool.free
	pool.free = i + 1
	pool.nfree++
}

// Available is the number of free pages.
func Available() int { return pool.nfree }

// Total is the number of managed pages.
func Total() int { return len(pool.pages) }

// AllocDirty returns a page with one reference and unknown contents; ok is false when memory is used up.
func AllocDirty() (p Phys, ok bool) {
	if pool.free == 0 {
		return 0, false
	}
	i := pool.free - 1
	rec := &pool.pages[i]
	pool.free = rec.next
	pool.nfree--
	rec.next, rec.refs = 0, 1
	return pool.base + Phys(i)<<PageShift, true
}

// Alloc returns a zeroed page with one reference.
func Alloc() (p Phys, ok bool) {
	if p, ok = AllocDirty(); ok {
		clear(Bytes(p)[:])
	}
	return p, ok
}

// Contains reports whether p is RAM: memory that the kernel may copy to and from.
func Contains(p Phys) bool {
	return p >= pool.base && uint64(p-pool.base)>>PageShift < uint64(len(pool.pages))
}

func record(p Phys) *page {
	if p < pool.base {
		return nil
	}
	i := uint64(p-pool.base) >> PageShift
	if i >= uint64(len(pool.pages)) || p >= pool.dma.base || pool.pages[i].refs == pinned {
		return nil
	}
	return &pool.pages[i]
}

// Ref takes one more reference.
func Ref(p Phys) {
	if r := record(p); r != nil {
		if r.refs == 0 {
			panic("mem: reference to a free page")
		}
		r.refs++
	}
}

// Refs is the number of references to p; zero for a page that is not managed.
func Refs(p Phys) int {
	if r := record(p); r != nil {
		return int(r.refs)
	}
	return 0
}

// Note is a number that the holder of page p, which Alloc gave, keeps about it; zero at first.
func Note(p Phys) *uint32 { return &record(p).next }

// Free drops a reference; with the last one the page returns to the pool and is the next to be handed out (its translated
// code and cache lines are warm).
func Free(p Phys) {
	r := record(p)
	if r == nil {
		return
	}
	if r.refs == 0 {
		panic("mem: free of a free page")
	}
	if r.refs--; r.refs == 0 {
		push(uint32((p - pool.base) >> PageShift))
	}
}

// AllocContiguous returns n pages of zeroed, physically contiguous memory of the DMA pool, first fit.
func AllocContiguous(n int) (p Phys, ok bool) {
	if n <= 0 {
		return 0, false
	}
	used := pool.dma.used
	run := 0
	for i := range used {
		if used[i] != 0 {
			run = 0
			continue
		}
		if run++; run < n {
			continue
		}
		first := i - n + 1
		p = pool.dma.base + Phys(first)<<PageShift
		for j := first; j <= i; j++ {
			used[j] = 1
			clear(Bytes(pool.dma.base + Phys(j)<<PageShift)[:])
		}
		return p, true
	}
	return 0, false
}

// FreeContiguous returns what AllocContiguous gave.
func FreeContiguous(p Phys, n int) {
	first := int(p-pool.dma.base) >> PageShift
	used := pool.dma.used[first : first+n]
	for _, u := range used {
		if u == 0 {
			panic("mem: free of contiguous memory that is free")
		}
	}
	clear(used)
}
