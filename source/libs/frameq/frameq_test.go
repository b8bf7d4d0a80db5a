package frameq

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
	"unsafe"
)

// countingBell counts rings.
type countingBell struct{ rings int }

func (b *countingBell) Ring() error { b.rings++; return nil }

func alignedBytes(n int) []byte {
	words := make([]uint64, n/8)
	return unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), n) // words keeps n bytes alive
}

type pair struct {
	pool, queue []byte
	driver      *Driver
	stack       *Stack
	rxBell      countingBell // rung by the driver
	txBell      countingBell // rung by the stack
}

func newPair(t testing.TB) *pair {
	t.Helper()
	p := &pair{pool: alignedBytes(PoolSize), queue: alignedBytes(QueueSize)}
	var err error
	if p.driver, err = Create(p.pool, p.queue, &p.rxBell); err != nil {
		t.Fatal(err)
	}
	if p.stack, err = Attach(p.pool, p.queue, &p.txBell); err != nil {
		t.Fatal(err)
	}
	return p
}

// poke writes a raw entry into queue which, as a hostile producer would.
func (p *pair) poke(which int, entries ...uint64) {
	r := ringOf(p.queue, which)
	next := r.producer.Load()
	for _, e := range entries {
		r.entries[next%Slots].Store(e)
		next++
	}
	r.producer.Store(next)
}

func raw(slot, offset, length, reserved int) uint64 {
	return uint64(slot) | uint64(offset)<<16 | uint64(length)<<32 | uint64(reserved)<<48
}

func TestFramesGoUpAndSlotsComeBack(t *testing.T) {
	p := newPair(t)
	frame := []byte("a frame of more than fourteen bytes")
	copy(p.driver.frame(7, FrameOffset, len(frame)), frame)

	if !p.driver.DeliverRx(7, len(frame)) {
		t.Fatal("DeliverRx refused")
	}
	if p.driver.DeliverRx(7, len(frame)) {
		t.Error("slot delivered twice")
	}
	got, slot, ok := p.stack.Recv()
	if !ok || slot != 7 || !bytes.Equal(got, frame) {
		t.Fatalf("Recv = %q, %d, %v; want %q, 7, true", got, slot, ok, frame)
	}
	if cap(got) != len(frame) {
		t.Errorf("frame can be grown to %d bytes over its neighbour", cap(got))
	}
	if _, _, ok := p.stack.Recv(); ok {
		t.Error("a second frame came out")
	}
	if _, ok := p.driver.ReclaimRx(); ok {
		t.Error("slot came back before Release")
	}
	p.stack.Release(slot)
	if slot, ok := p.driver.ReclaimRx(); !ok || slot != 7 {
		t.Errorf("ReclaimRx = %d, %v; want 7, true", slot, ok)
	}
	if got, want := p.stack.Stats(), (Stats{RxFrames: 1}); got != want {
		t.Errorf("stack stats %+v, want %+v", got, want)
	}
	if got, want := p.driver.Stats(), (Stats{RxFrames: 1, Misuse: 1}); got != want {
		t.Errorf("driver stats %+v, want %+v", got, want)
	}
}

func TestFramesGoDownAndSlotsComeBack(t *testing.T) {
	p := newPair(t)
	if _, _, ok := p.stack.Alloc(); ok {
		t.Fatal("Alloc gave a slot that nobody lent")
	}
	if !p.driver.CompleteTx(300) {
		t.Fatal("CompleteTx refused")
	}
	slot, buf, ok := p.stack.Alloc()
	if !ok || slot != 300 || len(buf) != MaxFrame {
		t.Fatalf("Alloc = %d, %d bytes, %v; want 300, %d bytes, true", slot, len(buf), ok, MaxFrame)
	}
	n := copy(buf, "a frame of more than fourteen bytes")
	if !p.stack.Send(slot, n) {
		t.Fatal("Send refused")
	}
	got, gotLen, ok := p.driver.TakeTx()
	if !ok || got != 300 || gotLen != n {
		t.Fatalf("TakeTx = %d, %d, %v; want 300, %d, true", got, gotLen, ok, n)
	}
	if at := int(got)*SlotSize + FrameOffset; !bytes.Equal(p.pool[at:at+n], buf[:n]) {
		t.Error("frame is not at FrameOffset of its slot")
	}
	p.driver.CompleteTx(got)
	if slot, _, ok := p.stack.Alloc(); !ok || slot != 300 {
		t.Errorf("Alloc after completion = %d, %v", slot, ok)
	}
	p.stack.Cancel(300)
	if _, _, ok := p.driver.TakeTx(); ok {
		t.Error("a cancelled slot was sent")
	}
	if slot, _, ok := p.stack.Alloc(); !ok || slot != 300 {
		t.Errorf("Alloc after Cancel = %d, %v; want 300", slot, ok)
	}
}

func TestEverySlotFitsInOneQueue(t *testing.T) {
	p := newPair(t)
	for round := range 5 {
		for slot := range Slot(Slots) {
			if !p.driver.DeliverRx(slot, 60) {
				t.Fatalf("round %d: slot %d refused", round, slot)
			}
		}
		for slot := range Slot(Slots) {
			_, got, ok := p.stack.Recv()
			if !ok || got != slot {
				t.Fatalf("round %d: Recv = %d, %v; want %d", round, got, ok, slot)
			}
			p.stack.Release(got)
		}
		for slot := range Slot(Slots) {
			if got, ok := p.driver.ReclaimRx(); !ok || got != slot {
				t.Fatalf("round %d: ReclaimRx = %d, %v; want %d", round, got, ok, slot)
			}
		}
	}
}

func TestIndicesWrap(t *testing.T) {
	p := newPair(t)
	// Start all four queues shortly before 2^32.
	const start = ^uint32(0) - 2
	for which := range 4 {
		r := ringOf(p.queue, which)
		r.producer.Store(start)
		r.consumer.Store(start)
	}
	p.driver.rxFilled.next.Store(start)
	p.driver.rxFree.next = start
	p.stack.rxFilled.next = start
	p.stack.rxFree.next.Store(start)
	for i := range 8 {
		armed := p.stack.ArmRx()
		if !armed || !p.driver.DeliverRx(Slot(i), 60) {
			t.Fatalf("frame %d: armed %v", i, armed)
		}
		p.driver.Flush()
		_, slot, ok := p.stack.Recv()
		if !ok || slot != Slot(i) {
			t.Fatalf("frame %d: Recv = %d, %v", i, slot, ok)
		}
		p.stack.Release(slot)
		if got, ok := p.driver.ReclaimRx(); !ok || got != slot {
			t.Fatalf("frame %d: ReclaimRx = %d, %v", i, got, ok)
		}
	}
	if p.rxBell.rings != 8 {
		t.Errorf("bell rang %d times, want 8", p.rxBell.rings)
	}
}

func TestBellRingsOnlyForASleeper(t *testing.T) {
	p := newPair(t)
	p.driver.DeliverRx(1, 60)
	p.driver.Flush()
	if p.rxBell.rings != 0 {
		t.Error("bell rang though nobody sleeps")
	}
	if p.stack.ArmRx() {
		t.Error("ArmRx lets the stack sleep on a waiting frame")
	}
	p.stack.Recv()
	p.driver.DeliverRx(2, 60)
	p.driver.Flush()
	if p.rxBell.rings != 0 {
		t.Error("bell rang after ArmRx had refused")
	}
	p.stack.Recv()
	if !p.stack.ArmRx() {
		t.Fatal("ArmRx refused on an empty queue")
	}
	p.driver.Flush()
	if p.rxBell.rings != 0 {
		t.Error("bell rang without a frame")
	}
	p.driver.DeliverRx(3, 60)
	p.driver.DeliverRx(4, 60)
	p.driver.Flush()
	p.driver.Flush()
	if p.rxBell.rings != 1 {
		t.Errorf("bell rang %d times for one sleep, want 1", p.rxBell.rings)
	}
}

func TestTransmitSleeperIsWoken(t *testing.T) {
	p := newPair(t)
	if !p.stack.ArmTx() || !p.driver.ArmTx() {
		t.Fatal("arm refused on empty queues")
	}
	p.driver.CompleteTx(5)
	p.driver.Flush()
	if p.rxBell.rings != 1 {
		t.Errorf("rxbell rang %d times for a returned transmit slot, want 1", p.rxBell.rings)
	}
	slot, _, _ := p.stack.Alloc()
	p.stack.Send(slot, 60)
	p.stack.Flush()
	if p.txBell.rings != 1 {
		t.Errorf("txbell rang %d times for a frame, want 1", p.txBell.rings)
	}
}

func TestReleasedSlotsWakeTheDriverAtItsThreshold(t *testing.T) {
	p := newPair(t)
	for slot := range Slot(3) {
		p.driver.DeliverRx(slot, 60)
	}
	if !p.driver.ArmRxFree(2) {
		t.Fatal("ArmRxFree refused on an empty queue")
	}
	for want := range 3 {
		if p.txBell.rings != max(0, want-1) {
			t.Errorf("after %d released slots the bell rang %d times", want, p.txBell.rings)
		}
		_, slot, _ := p.stack.Recv()
		p.stack.Release(slot)
		p.stack.Flush()
	}
	if p.txBell.rings != 1 {
		t.Errorf("bell rang %d times, want 1", p.txBell.rings)
	}
}

func TestHostileDriver(t *testing.T) {
	for _, tc := range []struct {
		name  string
		entry uint64
		want  Stats
	}{
		{"slot beyond the pool", raw(Slots, FrameOffset, 60, 0), Stats{BadSlot: 1}},
		{"largest slot", raw(0xffff, 0xffff, 0xffff, 0), Stats{BadSlot: 1}},
		{"reserved bits", raw(3, FrameOffset, 60, 1), Stats{BadSlot: 1}},
		{"slot the stack holds", raw(9, FrameOffset, 60, 0), Stats{NotLent: 1}},
		{"frame past the slot's end", raw(3, 2000, 60, 0), Stats{BadFrame: 1}},
		{"longest possible", raw(3, 0xffff, 0xffff, 0), Stats{BadFrame: 1}},
		{"frame shorter than a header", raw(3, FrameOffset, 13, 0), Stats{BadFrame: 1}},
		{"empty frame", raw(3, FrameOffset, 0, 0), Stats{BadFrame: 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPair(t)
			p.driver.DeliverRx(9, 60)
			p.stack.Recv()
			p.poke(rxFilled, tc.entry)
			if f, _, ok := p.stack.Recv(); ok {
				t.Errorf("a frame of %d bytes came out", len(f))
			}
			// The next sound frame is not lost.
			p.poke(rxFilled, raw(4, FrameOffset, 60, 0))
			if _, slot, ok := p.stack.Recv(); !ok || slot != 4 {
				t.Errorf("frame after the bad one: %d, %v", slot, ok)
			}
			tc.want.RxFrames = 2
			if got := p.stack.Stats(); got != tc.want {
				t.Errorf("stats %+v, want %+v", got, tc.want)
			}
		})
	}
}

func TestHostileStack(t *testing.T) {
	for _, tc := range []struct {
		name  string
		entry uint64
		want  Stats
		back  bool // the slot is lent again
	}{
		{"slot beyond the pool", raw(Slots, FrameOffset, 60, 0), Stats{BadSlot: 1}, false},
		{"reserved bits", raw(300, FrameOffset, 60, 0x8000), Stats{BadSlot: 1}, false},
		{"slot of the driver", raw(1, FrameOffset, 60, 0), Stats{NotLent: 1}, false},
		{"receive slot sent", raw(9, FrameOffset, 60, 0), Stats{NotLent: 1}, false},
		{"offset in the header room", raw(300, FrameOffset-1, 60, 0), Stats{BadFrame: 1}, true},
		{"short frame", raw(300, FrameOffset, 13, 0), Stats{BadFrame: 1}, true},
		{"long frame", raw(300, FrameOffset, MaxFrame+1, 0), Stats{BadFrame: 1}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPair(t)
			p.driver.DeliverRx(9, 60)
			p.driver.CompleteTx(300)
			ringOf(p.queue, txFree).consumer.Store(1) // read by the hostile stack
			p.stack.txFree.next = 1
			p.poke(txFilled, tc.entry)
			if slot, n, ok := p.driver.TakeTx(); ok {
				t.Errorf("slot %d of %d bytes would be sent", slot, n)
			}
			tc.want.RxFrames = 1
			if got := p.driver.Stats(); got != tc.want {
				t.Errorf("stats %+v, want %+v", got, tc.want)
			}
			if slot, _, ok := p.stack.Alloc(); ok != tc.back {
				t.Errorf("slot lent again: %d, %v; want %v", slot, ok, tc.back)
			}
		})
	}
}

func TestReleaseTwiceIsCountedByBothSides(t *testing.T) {
	p := newPair(t)
	p.driver.DeliverRx(9, 60)
	_, slot, _ := p.stack.Recv()
	p.stack.Release(slot)
	p.stack.Release(slot)
	p.stack.Release(Slots)
	if got := p.stack.Stats().Misuse; got != 2 {
		t.Errorf("misuse %d, want 2", got)
	}
	p.poke(rxFree, raw(9, FrameOffset, 0, 0)) // a hostile stack does it anyway
	p.driver.ReclaimRx()
	if _, ok := p.driver.ReclaimRx(); ok {
		t.Error("slot reclaimed twice")
	}
	if got := p.driver.Stats().NotLent; got != 1 {
		t.Errorf("not lent %d, want 1", got)
	}
}

func TestIndexJump(t *testing.T) {
	for _, jump := range []uint32{Slots + 1, 1 << 31, ^uint32(0)} {
		p := newPair(t)
		r := ringOf(p.queue, rxFilled)
		r.producer.Store(jump)
		if _, _, ok := p.stack.Recv(); ok {
			t.Errorf("jump to %d: a frame came out", jump)
		}
		if got := p.stack.Stats().IndexJumps; got != 1 {
			t.Errorf("jump to %d: counted %d times, want 1", jump, got)
		}
		r.producer.Store(jump + 1 + 2*Slots)
		if !p.stack.ArmRx() {
			t.Errorf("jump to %d: a lying index keeps the stack awake", jump)
		}
	}
}

func TestConsumerIndexLiesLeaveTheSlotWithTheProducer(t *testing.T) {
	p := newPair(t)
	ringOf(p.queue, rxFilled).consumer.Store(5) // ahead of the producer
	if p.driver.DeliverRx(1, 60) {
		t.Error("queued into a queue whose consumer lies")
	}
	ringOf(p.queue, rxFilled).consumer.Store(0)
	if !p.driver.DeliverRx(1, 60) {
		t.Error("slot lost")
	}
	if got := p.driver.Stats().Full; got != 1 {
		t.Errorf("full %d, want 1", got)
	}
}

func TestFloodOfBadEntriesIsBounded(t *testing.T) {
	p := newPair(t)
	bad := make([]uint64, Slots)
	for i := range bad {
		bad[i] = raw(0xffff, 0, 0, 0)
	}
	p.poke(rxFilled, bad...)
	p.stack.Recv()
	if got := p.stack.Stats().BadSlot; got != Slots {
		t.Errorf("consumed %d bad entries in one call, want %d", got, Slots)
	}
}

func TestMisuse(t *testing.T) {
	p := newPair(t)
	p.driver.CompleteTx(300)
	slot, _, _ := p.stack.Alloc()
	for _, n := range []int{-1, 0, MinFrame - 1, MaxFrame + 1} {
		if p.stack.Send(slot, n) {
			t.Errorf("Send of %d bytes accepted", n)
		}
		if p.driver.DeliverRx(1, n) {
			t.Errorf("DeliverRx of %d bytes accepted", n)
		}
	}
	if p.stack.Send(slot+1, 60) || p.stack.Send(Slots, 60) {
		t.Error("Send of a slot that is not held accepted")
	}
	if !p.stack.Send(slot, MaxFrame) {
		t.Error("longest frame refused")
	}
	if got := p.stack.Stats().Misuse; got != 6 {
		t.Errorf("misuse %d, want 6", got)
	}
}

func TestCreateAndAttachCheckTheirMemory(t *testing.T) {
	pool, queue := alignedBytes(PoolSize), alignedBytes(QueueSize+8)
	bell := &countingBell{}
	for _, tc := range []struct {
		name        string
		pool, queue []byte
		want        error
	}{
		{"short pool", pool[:PoolSize-1], queue[:QueueSize], ErrPoolSize},
		{"short queue", pool, queue[:QueueSize-8], ErrQueueSize},
		{"odd queue", pool, queue[1 : QueueSize+1], ErrAlign},
	} {
		if _, err := Create(tc.pool, tc.queue, bell); !errors.Is(err, tc.want) {
			t.Errorf("%s: Create: %v, want %v", tc.name, err, tc.want)
		}
		if _, err := Attach(tc.pool, tc.queue, bell); !errors.Is(err, tc.want) {
			t.Errorf("%s: Attach: %v, want %v", tc.name, err, tc.want)
		}
	}
	if _, err := Attach(pool, queue[:QueueSize], bell); !errors.Is(err, ErrMagic) {
		t.Errorf("blank queue memory: %v, want %v", err, ErrMagic)
	}
}

func TestNothingAllocates(t *testing.T) {
	p := newPair(t)
	p.driver.CompleteTx(300)
	allocs := testing.AllocsPerRun(1000, func() { p.roundTrip(t) })
	if allocs != 0 {
		t.Errorf("%v allocations a round trip, want 0", allocs)
	}
}

// roundTrip moves one frame up and one down.
func (p *pair) roundTrip(t testing.TB) {
	p.driver.DeliverRx(1, 60)
	p.driver.Flush()
	_, slot, ok := p.stack.Recv()
	if !ok {
		t.Fatal("no frame")
	}
	p.stack.Release(slot)
	out, _, ok := p.stack.Alloc()
	if !ok || !p.stack.Send(out, 60) {
		t.Fatal("nothing to send with")
	}
	p.stack.Flush()
	p.driver.ReclaimRx()
	got, _, _ := p.driver.TakeTx()
	p.driver.CompleteTx(got)
}

// TestTwoGoroutinesLoseNothing runs both sides at once over real eventfds and checks
// that sleeping and waking lose no frame: every byte is checked at the far end.
func TestTwoGoroutinesLoseNothing(t *testing.T) {
	const frames = 20000
	pool, queue := alignedBytes(PoolSize), alignedBytes(QueueSize)
	rxBell, txBell := newBell(t), newBell(t)
	driver, err := Create(pool, queue, rxBell)
	if err != nil {
		t.Fatal(err)
	}
	stack, err := Attach(pool, queue, txBell)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { sendUp(t, driver, txBell, frames) })
	wg.Go(func() {
		for want := uint32(0); want < frames; {
			frame, slot, ok := stack.Recv()
			if ok {
				if got := binary.LittleEndian.Uint32(frame); got != want {
					t.Errorf("frame %d, want %d", got, want)
					return
				}
				want++
				stack.Release(slot)
				continue
			}
			stack.Flush()
			if want < frames && stack.ArmRx() {
				if err := rxBell.Wait(); err != nil {
					t.Errorf("after %d frames: %v", want, err)
					return
				}
			}
		}
		stack.Flush()
	})
	wg.Wait()
	if got := stack.Stats().RxFrames; got != frames {
		t.Errorf("%d frames arrived, want %d", got, frames)
	}
}

// sendUp delivers numbered frames through 8 slots, so that it sleeps often.
func sendUp(t *testing.T, driver *Driver, txBell *EventBell, frames uint32) {
	free := []Slot{0, 1, 2, 3, 4, 5, 6, 7}
	for n := uint32(0); n < frames; {
		for len(free) > 0 && n < frames {
			slot := free[len(free)-1]
			free = free[:len(free)-1]
			binary.LittleEndian.PutUint32(driver.frame(slot, FrameOffset, 60), n)
			if !driver.DeliverRx(slot, 60) {
				t.Error("DeliverRx refused")
				return
			}
			n++
		}
		driver.Flush()
		if n < frames && driver.ArmRxFree(1) {
			if err := txBell.Wait(); err != nil {
				t.Errorf("after %d frames: %v", n, err)
				return
			}
		}
		for slot, ok := driver.ReclaimRx(); ok; slot, ok = driver.ReclaimRx() {
			free = append(free, slot)
		}
	}
}

func newBell(t *testing.T) *EventBell {
	t.Helper()
	b, err := NewEventBell()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	// A lost wake-up ends the test with an error instead of hanging it.
	if err := b.File().SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return b
}

// TestHostileMemory lets the whole queue memory change at random between
// calls, for both sides: nothing panics, every frame lies in the pool, and no slot is
// held twice.
func TestHostileMemory(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	p := newPair(t)
	held := map[Slot]bool{}
	for range 20000 {
		which := rng.IntN(4)
		r := ringOf(p.queue, which)
		switch rng.IntN(6) {
		case 0:
			r.producer.Store(rng.Uint32())
		case 1:
			r.consumer.Store(rng.Uint32())
		case 2:
			r.wake.Store(rng.Uint64())
		case 3:
			p.poke(which, rng.Uint64())
		default:
			p.poke(which, raw(rng.IntN(Slots+2), rng.IntN(SlotSize), rng.IntN(SlotSize), 0))
		}
		if f, slot, ok := p.stack.Recv(); ok {
			if held[slot] || len(f) < MinFrame || len(f) > SlotSize {
				t.Fatalf("slot %d held %v, %d bytes", slot, held[slot], len(f))
			}
			held[slot] = true
			if rng.IntN(2) == 0 {
				delete(held, slot)
				p.stack.Release(slot)
			}
		}
		if slot, n, ok := p.driver.TakeTx(); ok && (slot >= Slots || n < MinFrame || n > MaxFrame) {
			t.Fatalf("TakeTx gave slot %d, %d bytes", slot, n)
		}
		p.driver.ReclaimRx()
		p.stack.ArmRx()
		p.driver.ArmTx()
		p.stack.Flush()
		p.driver.Flush()
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	p := newPair(b)
	p.driver.CompleteTx(300)
	b.ReportAllocs()
	for b.Loop() {
		p.roundTrip(b)
	}
}

func BenchmarkBatch64(b *testing.B) {
	p := newPair(b)
	b.ReportAllocs()
	b.SetBytes(64 * 1514)
	for b.Loop() {
		for slot := range Slot(64) {
			p.driver.DeliverRx(slot, 1514)
		}
		p.driver.Flush()
		for _, slot, ok := p.stack.Recv(); ok; _, slot, ok = p.stack.Recv() {
			p.stack.Release(slot)
		}
		p.stack.Flush()
		for _, ok := p.driver.ReclaimRx(); ok; _, ok = p.driver.ReclaimRx() {
		}
	}
}
