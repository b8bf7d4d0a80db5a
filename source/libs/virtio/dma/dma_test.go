package dma

import (
	"errors"
	"sync"
	"testing"
	"unsafe"
)

func aligned(n int) []byte {
	words := make([]uint64, n/8)
	return unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), n) // words keeps n bytes alive
}

func TestCut(t *testing.T) {
	r := Region{Bytes: make([]byte, 100), Base: 0x8000}
	for _, tc := range []struct {
		off, n int
		ok     bool
	}{
		{0, 100, true}, {0, 0, true}, {100, 0, true}, {40, 60, true},
		{40, 61, false}, {101, 0, false}, {-1, 2, false}, {2, -1, false},
		{int(^uint(0) >> 1), 2, false}, {2, int(^uint(0) >> 1), false},
	} {
		got, err := r.Cut(tc.off, tc.n)
		if tc.ok != (err == nil) {
			t.Errorf("Cut(%d, %d): %v", tc.off, tc.n, err)
			continue
		}
		if err != nil {
			if !errors.Is(err, ErrBounds) {
				t.Errorf("Cut(%d, %d): %v, want %v", tc.off, tc.n, err, ErrBounds)
			}
			continue
		}
		if len(got.Bytes) != tc.n || cap(got.Bytes) != tc.n || got.Base != 0x8000+Addr(tc.off) {
			t.Errorf("Cut(%d, %d) = %d bytes at %#x", tc.off, tc.n, len(got.Bytes), got.Base)
		}
	}
}

func TestHalvesDoNotDisturbEachOther(t *testing.T) {
	b := aligned(8)
	Store16(b, 0, 0x1122)
	Store16(b, 2, 0x3344)
	Store16(b, 4, 0x5566)
	if got := Load32(b, 0); got != 0x33441122 {
		t.Errorf("u32 at 0 = %#x, want 0x33441122", got)
	}
	for off, want := range map[int]uint16{0: 0x1122, 2: 0x3344, 4: 0x5566, 6: 0} {
		if got := Load16(b, off); got != want {
			t.Errorf("u16 at %d = %#x, want %#x", off, got, want)
		}
	}
}

func TestReleaseShowsEarlierWrites(t *testing.T) {
	b := aligned(64)
	var wg sync.WaitGroup
	wg.Go(func() {
		b[32] = 1
		Fence()
		Store16(b, 2, 1)
	})
	wg.Go(func() {
		for Load16(b, 2) == 0 {
		}
		if b[32] != 1 {
			t.Error("index visible before the data it publishes")
		}
	})
	wg.Wait()
}

func TestAligned(t *testing.T) {
	b := aligned(64)
	for _, tc := range []struct {
		r    Region
		want bool
	}{
		{Region{b, 0x1000}, true},
		{Region{b, 0x1004}, false},
		{Region{b[4:], 0x1000}, false},
	} {
		if got := tc.r.Aligned(8); got != tc.want {
			t.Errorf("aligned at %#x: %v, want %v", tc.r.Base, got, tc.want)
		}
	}
}
