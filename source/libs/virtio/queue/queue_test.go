package queue

import (
	"encoding/binary"
	"errors"
	"testing"
	"unsafe"

	"nexus/source/libs/virtio/dma"
)

const base = dma.Addr(0x1_8000_0000)

// device plays the other side of a queue through the shared bytes.
type device struct {
	q    *Queue
	used uint16
}

func newQueue(t testing.TB, size int) (*Queue, *device) {
	t.Helper()
	words := make([]uint64, (Bytes(size)+partAlign)/8)
	b := unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), 8*len(words)) // words keeps the bytes alive
	for uintptr(unsafe.Pointer(&b[0]))%partAlign != 0 {
		b = b[8:]
	}
	q, err := New(dma.Region{Bytes: b, Base: base}, size)
	if err != nil {
		t.Fatal(err)
	}
	return q, &device{q: q}
}

func (d *device) push(id, written uint32) {
	at := usedEntries + usedEntrySize*(int(d.used)%d.q.size)
	binary.LittleEndian.PutUint32(d.q.used[at:], id)
	binary.LittleEndian.PutUint32(d.q.used[at+4:], written)
	d.used++
	dma.Store16(d.q.used, ringIndex, d.used)
}

// head gives entry i of the avail ring.
func (d *device) head(i int) uint16 { return d.q.heads[i%d.q.size] }

// available gives the avail index as the device sees it.
func (d *device) available() uint16 { return dma.Load16(d.q.avail, ringIndex) }

func writable(n uint32) []Buffer { return []Buffer{{Addr: 0x1000, Len: n}} }

func TestNewChecksSizeAndMemory(t *testing.T) {
	mem := dma.Region{Bytes: make([]byte, 1<<20), Base: base}
	for _, size := range []int{-8, 0, 3, 6, MaxSize * 2} {
		if _, err := New(mem, size); !errors.Is(err, ErrSize) {
			t.Errorf("size %d: %v, want %v", size, err, ErrSize)
		}
	}
	_, d := newQueue(t, 8)
	good := d.q.mem
	for name, mem := range map[string]dma.Region{
		"short":            {Bytes: good.Bytes[:len(good.Bytes)-1], Base: base},
		"odd address":      {Bytes: good.Bytes, Base: base + 32},
		"odd bus address":  {Bytes: good.Bytes[8:], Base: base},
		"nothing whatever": {},
	} {
		if _, err := New(mem, 8); !errors.Is(err, ErrMemory) {
			t.Errorf("%s: %v, want %v", name, err, ErrMemory)
		}
	}
}

// TestLayout compares the sizes with 2.7's formulas.
func TestLayout(t *testing.T) {
	for _, size := range []int{1, 2, 256, MaxSize} {
		l := layoutOf(size)
		if l.avail < 16*size || l.avail%2 != 0 {
			t.Errorf("size %d: avail at %d", size, l.avail)
		}
		if l.used < l.avail+6+2*size || l.used%4 != 0 {
			t.Errorf("size %d: used at %d", size, l.used)
		}
		if l.end < l.used+6+8*size {
			t.Errorf("size %d: end at %d", size, l.end)
		}
	}
	q, _ := newQueue(t, 256)
	r := q.Rings()
	if r.Size != 256 || r.Descriptors != base || r.Avail != base+4096 || r.Used <= r.Avail {
		t.Errorf("rings %+v", r)
	}
}

func TestChainAsTheDeviceSeesIt(t *testing.T) {
	q, d := newQueue(t, 8)
	out := []Buffer{{Addr: 0x2_0000_1000, Len: 12}, {Addr: 0x3000, Len: 1514}}
	in := []Buffer{{Addr: 0x4000, Len: 64}}
	if err := q.Add(7, out, in); err != nil {
		t.Fatal(err)
	}
	if got := d.available(); got != 0 {
		t.Fatalf("avail index %d before Publish", got)
	}
	if !q.Publish() {
		t.Error("Publish wants no notification")
	}
	if q.Publish() {
		t.Error("nothing new, but a notification")
	}
	if got := d.available(); got != 1 {
		t.Fatalf("avail index %d, want 1", got)
	}
	i := d.head(0)
	for step, want := range []struct {
		address uint64
		length  uint32
		flags   uint16
	}{{0x2_0000_1000, 12, flagNext}, {0x3000, 1514, flagNext}, {0x4000, 64, flagWrite}} {
		b := q.mem.Bytes[16*int(i):]
		address, length := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint32(b[8:])
		flags := binary.LittleEndian.Uint16(b[12:])
		if address != want.address || length != want.length || flags != want.flags {
			t.Errorf("descriptor %d: %#x %d %#x, want %+v", step, address, length, flags, want)
		}
		i = binary.LittleEndian.Uint16(b[14:])
	}
	if q.Free() != 5 || q.InFlight() != 1 {
		t.Errorf("free %d, in flight %d", q.Free(), q.InFlight())
	}
	d.push(uint32(d.head(0)), 64)
	if got, ok := q.Pop(); !ok || got != (Chain{Token: 7, Written: 64}) {
		t.Errorf("Pop = %+v, %v", got, ok)
	}
	if q.Free() != 8 || q.InFlight() != 0 {
		t.Errorf("after Pop free %d, in flight %d", q.Free(), q.InFlight())
	}
}

func TestAddRefusesWhatIsNoChain(t *testing.T) {
	q, _ := newQueue(t, 2)
	for name, add := range map[string]func() error{
		"nothing":             func() error { return q.Add(0, nil, nil) },
		"empty to read":       func() error { return q.Add(0, writable(0), nil) },
		"empty to write":      func() error { return q.Add(0, nil, writable(0)) },
		"more than 4 GiB":     func() error { return q.Add(0, nil, []Buffer{{0, 1 << 31}, {0, 1 << 31}}) },
		"short behind a long": func() error { return q.Add(0, writable(1), writable(0)) },
	} {
		if err := add(); !errors.Is(err, ErrChain) {
			t.Errorf("%s: %v, want %v", name, err, ErrChain)
		}
	}
	if q.Free() != 2 {
		t.Errorf("a refused chain took descriptors: %d free", q.Free())
	}
	if err := q.Add(0, writable(1), writable(1)); err != nil {
		t.Fatal(err)
	}
	if err := q.Add(0, nil, writable(1)); !errors.Is(err, ErrFull) {
		t.Errorf("full queue: %v, want %v", err, ErrFull)
	}
}

// TestIndicesRunFreely takes every size around the 16-bit wrap, out of order within batches.
func TestIndicesRunFreely(t *testing.T) {
	for _, size := range []int{1, 2, 8, 256} {
		q, d := newQueue(t, size)
		for round := range (1<<16)/size + 3 {
			for token := range size {
				if err := q.Add(uint32(token), nil, writable(256)); err != nil {
					t.Fatalf("size %d round %d: %v", size, round, err)
				}
			}
			q.Publish()
			first := int(d.available()) - size
			for i := size - 1; i >= 0; i-- {
				d.push(uint32(d.head((first+i+1<<16)%(1<<16))), uint32(i))
			}
			for i := size - 1; i >= 0; i-- {
				if got, ok := q.Pop(); !ok || got != (Chain{Token: uint32(i), Written: i}) {
					t.Fatalf("size %d round %d: Pop = %+v, %v; want %d", size, round, got, ok, i)
				}
			}
			if _, ok := q.Pop(); ok || q.Free() != size {
				t.Fatalf("size %d round %d: %d free", size, round, q.Free())
			}
		}
	}
}

func TestHostileUsedEntries(t *testing.T) {
	for _, tc := range []struct {
		name string
		push func(d *device)
		want Stats
	}{
		{"id out of range", func(d *device) { d.push(8, 10) }, Stats{BadID: 1}},
		{"largest id", func(d *device) { d.push(^uint32(0), ^uint32(0)) }, Stats{BadID: 1}},
		{"free descriptor", func(d *device) { d.push(6, 10) }, Stats{NotInFlight: 1}},
		{"middle of a chain", func(d *device) { d.push(uint32(d.q.next[d.head(1)]), 10) }, Stats{NotInFlight: 1}},
		{"twice", func(d *device) { d.push(uint32(d.head(0)), 10); d.push(uint32(d.head(0)), 10) },
			Stats{Completed: 1, NotInFlight: 1}},
		{"longer than posted", func(d *device) { d.push(uint32(d.head(0)), 101) }, Stats{Completed: 1, BadLength: 1}},
		{"longest", func(d *device) { d.push(uint32(d.head(0)), ^uint32(0)) }, Stats{Completed: 1, BadLength: 1}},
		{"index jump", func(d *device) { d.used += 9; dma.Store16(d.q.used, ringIndex, d.used) },
			Stats{IndexJumps: 1, Broken: 1}},
		{"index goes back", func(d *device) { dma.Store16(d.q.used, ringIndex, ^uint16(0)) },
			Stats{IndexJumps: 1, Broken: 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			q, d := newQueue(t, 8)
			// Two chains in flight: token 40 is one buffer, 41 is two.
			if err := errors.Join(q.Add(40, nil, writable(100)), q.Add(41, writable(12), writable(100))); err != nil {
				t.Fatal(err)
			}
			q.Publish()
			tc.push(d)
			for c, ok := q.Pop(); ok; c, ok = q.Pop() {
				if c.Token != 40 || c.Written > 100 {
					t.Errorf("came out: %+v", c)
				}
			}
			if q.stats != tc.want {
				t.Errorf("stats %+v, want %+v", q.stats, tc.want)
			}
			if q.Broken() {
				return
			}
			// The next sound entry is not lost.
			d.push(uint32(d.head(1)), 100)
			if got, ok := q.Pop(); !ok || got != (Chain{Token: 41, Written: 100}) {
				t.Errorf("entry after the bad one: %+v, %v", got, ok)
			}
		})
	}
}

func TestBadLengthGivesTheBufferBack(t *testing.T) {
	q, d := newQueue(t, 4)
	if err := q.Add(3, nil, writable(100)); err != nil {
		t.Fatal(err)
	}
	q.Publish()
	d.push(uint32(d.head(0)), 101)
	if got, ok := q.Pop(); !ok || got != (Chain{Token: 3, BadLength: true}) {
		t.Errorf("Pop = %+v, %v", got, ok)
	}
	if q.Free() != 4 {
		t.Errorf("%d free, want 4", q.Free())
	}
}

func TestTooManyBadEntriesBreakTheQueueUntilReset(t *testing.T) {
	q, d := newQueue(t, 8)
	if err := q.Add(1, nil, writable(100)); err != nil {
		t.Fatal(err)
	}
	q.Publish()
	pushed := 0
	for ; !q.Broken() && pushed < 1000; pushed++ {
		d.push(1000, 0)
		q.Pop()
	}
	if pushed != maxBad {
		t.Errorf("broken after %d bad entries, want %d", pushed, maxBad)
	}
	d.push(uint32(d.head(0)), 1)
	if c, ok := q.Pop(); ok {
		t.Errorf("broken queue gave %+v", c)
	}
	if err := q.Add(2, nil, writable(1)); !errors.Is(err, ErrBroken) {
		t.Errorf("Add to a broken queue: %v, want %v", err, ErrBroken)
	}
	q.Reset()
	d.used = 0
	if q.Broken() || q.Free() != 8 || q.InFlight() != 0 {
		t.Fatalf("after Reset: broken %v, free %d, in flight %d", q.Broken(), q.Free(), q.InFlight())
	}
	if err := q.Add(2, nil, writable(1)); err != nil {
		t.Fatal(err)
	}
	q.Publish()
	d.push(uint32(d.head(0)), 1)
	if got, ok := q.Pop(); !ok || got.Token != 2 {
		t.Errorf("after Reset: %+v, %v", got, ok)
	}
}

func TestNotificationAndInterruptSuppression(t *testing.T) {
	q, d := newQueue(t, 8)
	dma.Store16(q.used, ringFlags, usedNoNotify)
	if err := q.Add(1, nil, writable(1)); err != nil {
		t.Fatal(err)
	}
	if q.Publish() {
		t.Error("notification though the device asked for none")
	}
	q.Quiet()
	if got := dma.Load16(q.avail, ringFlags); got != availNoInterrupt {
		t.Errorf("avail flags %d, want %d", got, availNoInterrupt)
	}
	if !q.Arm() {
		t.Error("Arm reports entries in an empty ring")
	}
	if got := dma.Load16(q.avail, ringFlags); got != 0 {
		t.Errorf("avail flags %d, want 0", got)
	}
	d.push(uint32(d.head(0)), 0)
	if q.Arm() {
		t.Error("Arm lets the driver sleep on a used entry")
	}
}

func TestNothingAllocates(t *testing.T) {
	q, d := newQueue(t, 8)
	if got := testing.AllocsPerRun(1000, func() { cycle(t, q, d) }); got != 0 {
		t.Errorf("%v allocations a chain, want 0", got)
	}
}

func cycle(t testing.TB, q *Queue, d *device) {
	out := [2]Buffer{{Addr: 0x1000, Len: 12}, {Addr: 0x2000, Len: 1514}}
	if err := q.Add(1, out[:], nil); err != nil {
		t.Fatal(err)
	}
	q.Publish()
	d.push(uint32(d.head(int(d.used))), 0)
	if _, ok := q.Pop(); !ok {
		t.Fatal("chain did not come back")
	}
}

func BenchmarkChain(b *testing.B) {
	q, d := newQueue(b, 256)
	b.ReportAllocs()
	for b.Loop() {
		cycle(b, q, d)
	}
}

func BenchmarkBatch64(b *testing.B) {
	q, d := newQueue(b, 256)
	in := []Buffer{{Addr: 0x1000, Len: 2042}}
	b.ReportAllocs()
	for b.Loop() {
		for token := range uint32(64) {
			if err := q.Add(token, nil, in); err != nil {
				b.Fatal(err)
			}
		}
		q.Publish()
		for range 64 {
			d.push(uint32(d.head(int(d.used))), 60)
		}
		for range 64 {
			if _, ok := q.Pop(); !ok {
				b.Fatal("chain did not come back")
			}
		}
	}
}
