package port

import "nexus/source/libs/virtio/serialdev"

// inbox is what came from hosts and was not read: buffers of the device, and between them the places where a host went
// away. Its length is bounded: there are so many buffers, and hosts that came and went without a byte in between are one.
//
// Invariant: of two items next to each other, one is a buffer.
type inbox struct {
	items [2*serialdev.RxBuffers + 1]item
	first int
	n     int
	ends  int // items that are the end of a host
}

// item is one buffer, or the end of a host.
type item struct {
	end    bool
	buffer int
	bytes  []byte // not read yet
}

func (b *inbox) empty() bool { return b.n == 0 }

// put keeps what Pop gave.
func (b *inbox) put(e serialdev.Event) {
	switch e.Kind {
	case serialdev.Received:
		b.push(item{buffer: e.Buffer, bytes: e.Bytes})
	case serialdev.Closed:
		if b.n > 0 && b.items[(b.first+b.n-1)%len(b.items)].end {
			return
		}
		b.push(item{end: true})
		b.ends++
	}
}

func (b *inbox) push(i item) {
	b.items[(b.first+b.n)%len(b.items)] = i
	b.n++
}

// head gives the first item; there is one.
func (b *inbox) head() *item { return &b.items[b.first] }

// pop forgets the first item.
func (b *inbox) pop() {
	if b.items[b.first].end {
		b.ends--
	}
	b.items[b.first] = item{}
	b.first = (b.first + 1) % len(b.items)
	b.n--
}
