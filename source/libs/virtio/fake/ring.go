package fake

import (
	"encoding/binary"

	"nexus/source/libs/virtio/dma"
)

// buffer is one descriptor of a chain as the device sees it.
type buffer struct {
	bytes []byte
	write bool
}

// next takes the next available chain of queue q, 2.7.6 and 2.7.13.
func (d *Device) next(q int) (head uint16, chain []buffer, ok bool) {
	r := &d.queues[q]
	if r.ready != 1 || d.status&4 == 0 {
		return 0, nil, false
	}
	avail := d.at(r.avail, int(8+2*r.size))
	if avail == nil {
		return 0, nil, false
	}
	index := dma.Load16(avail, 2)
	if index == r.seen {
		return 0, nil, false
	}
	if index-r.seen > uint16(r.size) && r.size < 1<<15 {
		d.violate("2.7.13.3: avail index of queue %d went from %d to %d", q, r.seen, index)
		return 0, nil, false
	}
	head = binary.LittleEndian.Uint16(avail[4+2*(uint32(r.seen)&(r.size-1)):])
	r.seen++
	return head, d.chain(q, head), true
}

// chain follows the descriptors from head.
func (d *Device) chain(q int, head uint16) []buffer {
	r := &d.queues[q]
	var chain []buffer
	for i, n := uint32(head), uint32(0); n < r.size; n++ {
		if i >= r.size {
			d.violate("2.7.5: descriptor %d of %d", i, r.size)
			return chain
		}
		b := d.at(r.desc+16*uint64(i), 16)
		if b == nil {
			return chain
		}
		address, length := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint32(b[8:])
		flags, next := binary.LittleEndian.Uint16(b[12:]), binary.LittleEndian.Uint16(b[14:])
		if flags&^3 != 0 {
			d.violate("2.7.5: descriptor flags %#x", flags)
		}
		write := flags&2 != 0
		if len(chain) > 0 && chain[len(chain)-1].write && !write {
			d.violate("2.7.4.2: readable descriptor behind a writable one")
		}
		chain = append(chain, buffer{bytes: d.at(address, int(length)), write: write})
		if flags&1 == 0 {
			return chain
		}
		i = uint32(next)
	}
	d.violate("2.7.5.2: chain of queue %d has a loop", q)
	return chain
}

// used writes one used entry of queue q and publishes it, 2.7.8.
func (d *Device) used(q int, id, length uint32) {
	r := &d.queues[q]
	b := d.at(r.used, int(8+8*r.size))
	if b == nil {
		return
	}
	at := 4 + 8*(uint32(r.done)&(r.size-1))
	store32(b, int(at), id)
	store32(b, int(at)+4, length)
	r.done++
	dma.Store16(b, 2, r.done)
	dma.Fence()
	d.interrupt(q)
}

// interrupt raises the line unless the driver asked for quiet, 2.7.7.2.
func (d *Device) interrupt(q int) {
	avail := d.at(d.queues[q].avail, 4)
	if avail != nil && dma.Load16(avail, 0)&1 == 0 {
		d.raise(1)
	}
}

// store32 writes a u32 that the driver may be reading at the same time.
func store32(b []byte, off int, v uint32) {
	dma.Store16(b, off, uint16(v))
	dma.Store16(b, off+2, uint16(v>>16))
}

// PushUsed writes a used entry with any content, whether or not the driver made such a
// chain available.
func (d *Device) PushUsed(q int, id, length uint32) {
	d.Do(func() {
		if d.queues[q].ready == 1 {
			d.used(q, id, length)
		}
	})
}

// JumpUsed moves the used index of queue q by n without writing entries.
func (d *Device) JumpUsed(q int, n uint16) {
	d.Do(func() {
		r := &d.queues[q]
		if r.ready != 1 {
			return
		}
		r.done += n
		dma.Store16(d.at(r.used, 4), 2, r.done)
		d.interrupt(q)
	})
}

// Take takes the next available chain of queue q and keeps it: its head, for PushUsed.
func (d *Device) Take(q int) (head uint16, ok bool) {
	d.Do(func() { head, _, ok = d.next(q) })
	return head, ok
}
