package frameq

import (
	"encoding/binary"
	"testing"
)

// FuzzHostileQueue lets the other side write anything into the queue memory between the
// steps of both ends: nothing panics, every frame lies in its slot, and no slot is
// held twice.
func FuzzHostileQueue(f *testing.F) {
	f.Add([]byte{0, 0, 1, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{1, 8, 200, 1, 18, 0, 60, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0})
	p := newPair(f)
	f.Fuzz(func(t *testing.T, script []byte) {
		var err error
		if p.driver, err = Create(p.pool, p.queue, &p.rxBell); err != nil {
			t.Fatal(err)
		}
		if p.stack, err = Attach(p.pool, p.queue, &p.txBell); err != nil {
			t.Fatal(err)
		}
		for slot := Slot(256); slot < 264; slot++ {
			p.driver.CompleteTx(slot)
		}
		received, taken := map[Slot]bool{}, map[Slot]bool{}
		for ; len(script) >= 10; script = script[10:] {
			where, value := int(binary.LittleEndian.Uint16(script)), binary.LittleEndian.Uint64(script[2:])
			switch r := ringOf(p.queue, where%4); where / 4 % 4 {
			case 0:
				r.producer.Store(uint32(value))
			case 1:
				r.consumer.Store(uint32(value))
			case 2:
				r.wake.Store(value)
			case 3:
				p.poke(where%4, value)
			}
			p.driver.DeliverRx(Slot(where%256), MinFrame+where%1500)
			if frame, slot, ok := p.stack.Recv(); ok {
				if received[slot] || len(frame) < MinFrame || len(frame) > SlotSize {
					t.Fatalf("slot %d, held %v, %d bytes", slot, received[slot], len(frame))
				}
				received[slot] = true
				if where&1 == 0 {
					delete(received, slot)
					p.stack.Release(slot)
				}
			}
			if slot, buf, ok := p.stack.Alloc(); ok && !p.stack.Send(slot, len(buf)) {
				p.stack.Cancel(slot)
			}
			if slot, n, ok := p.driver.TakeTx(); ok {
				if taken[slot] || slot >= Slots || n < MinFrame || n > MaxFrame {
					t.Fatalf("slot %d, held %v, %d bytes", slot, taken[slot], n)
				}
				taken[slot] = !p.driver.CompleteTx(slot)
			}
			p.driver.ReclaimRx()
			p.stack.ArmRx()
			p.driver.ArmTx()
			p.stack.Flush()
			p.driver.Flush()
		}
	})
}
