// Package device is what programs may have of the machine: register windows, interrupts and DMA memory, each as a descriptor
// that only the holder of the device directory can open (docs/architecture/07-contracts-map.md).
package device

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/console"
	"nexus/source/kernel/neuron/internal/file"
	"nexus/source/kernel/neuron/internal/mem"
	"nexus/source/kernel/neuron/internal/plic"
	"nexus/source/kernel/neuron/internal/user"
	"nexus/source/kernel/neuron/internal/wait"
	"nexus/source/libs/fdt"
)

// MaxDevices bounds the devices that programs may drive; further ones of the tree are left out (and counted by Scan).
const MaxDevices = 64

// device is a node of the tree.
type device struct {
	name   []byte // in the tree
	window Window
	irq    IRQ
}

var (
	devices [MaxDevices]device
	count   int
	tree    []byte
)

// Scan lists the devices of t that programs may drive: those that are enabled, with a page-aligned register window that is
// none of the kernel's own. It returns how many it lists and how many it had no place for.
func Scan(t *fdt.Tree, own []mem.Range) (listed, left int) {
	count, tree = 0, t.Bytes()
	w := t.Walk()
	for n, ok := w.Next(); ok; n, ok = w.Next() {
		r, ok := n.Window(0)
		if !ok || !n.Okay() || r.Address%mem.PageSize != 0 || r.Size%mem.PageSize != 0 || taken(r, own) {
			continue
		}
		if count == MaxDevices {
			left++
			continue
		}
		d := &devices[count]
		count++
		*d = device{name: n.Name(), window: Window{base: mem.Phys(r.Address), size: r.Size}}
		if i, ok := n.Interrupt(0); ok && i.Number > 0 && i.Number < plic.MaxSources {
			d.irq.source = int(i.Number)
		}
	}
	return count, left
}

func taken(r fdt.Range, own []mem.Range) bool {
	for i := range own {
		if mem.Phys(r.Address) < own[i].End && mem.Phys(r.Address+r.Size) > own[i].Start {
			return true
		}
	}
	return false
}

// Interrupt handles interrupt source of a device; it reports false if no program has it open.
func Interrupt(source int) bool {
	for i := range devices[:count] {
		if q := &devices[i].irq; q.source == source && q.open {
			q.fire()
			return true
		}
	}
	return false
}

// Directory is the device directory.
type Directory struct{ file.Defaults }

// Root is the one there is.
var Root Directory

// Stat calls it a directory.
func (*Directory) Stat(st *abi.Stat) {
	st.Dev, st.Ino, st.Mode, st.Nlink = 3, 1, abi.S_IFDIR|0o700, 1
}

// Open opens a name of the directory: "fdt", "console", "dma", "processes", "accounts", NODE/window, NODE/irq.
// (Socket namespaces are package inet's; the system-call layer asks there first.)
func Open(name []byte) (file.Object, abi.Errno) {
	switch string(name) {
	case "fdt":
		return &theTree, abi.OK
	case "console":
		return &console.Console, abi.OK
	case "dma":
		return newMemory()
	case "processes":
		return &theProcesses, abi.OK
	case "accounts":
		return &theAccounts, abi.OK
	}
	for i := range name {
		if name[i] != '/' {
			continue
		}
		for j := range devices[:count] {
			d := &devices[j]
			if string(d.name) != string(name[:i]) {
				continue
			}
			switch string(name[i+1:]) {
			case "window":
				return &d.window, abi.OK
			case "irq":
				return d.irq.take()
			}
		}
	}
	return nil, abi.ENOENT
}

// Window is a device's registers.
type Window struct {
	file.Defaults
	base mem.Phys
	size uint64
}

// Mapping is file.Object's.
func (w *Window) Mapping() file.Mapping { return file.MapsPages }

// Map gives page index of the window.
func (w *Window) Map(index uint64, write bool) (mem.Phys, abi.Errno) {
	if index >= w.size/mem.PageSize {
		return 0, abi.EFAULT
	}
	return w.base + mem.Phys(index*mem.PageSize), abi.OK
}

// Stat tells the holder where the window is.
func (w *Window) Stat(st *abi.Stat) {
	st.Dev, st.Ino, st.Mode, st.Nlink = 3, uint64(w.base), abi.S_IFCHR|0o600, 1
	st.Size = int64(w.size)
}

// IRQ is a device's interrupt, as UIO shows one: reading gives the number of times it came and waits for the next, writing 1
// lets it come again. It is masked from the moment it comes, so a storm costs one interrupt.
type IRQ struct {
	file.Defaults
	source int
	open   bool
	count  uint32
	seen   uint32
	queue  wait.Queue
}

func (q *IRQ) take() (file.Object, abi.Errno) {
	if q.source == 0 {
		return nil, abi.ENOENT
	}
	if q.open {
		return nil, abi.EBUSY
	}
	q.open, q.count, q.seen = true, 0, 0
	return q, abi.OK
}

func (q *IRQ) fire() {
	plic.Mask(q.source)
	q.count++
	q.queue.Notify(abi.EPOLLIN)
}

// Read gives the count as a u32, once for each change.
func (q *IRQ) Read(b *user.Buffer, pos int64) (int, abi.Errno) {
	if b.Len() < 4 {
		return 0, abi.EINVAL
	}
	if q.count == q.seen {
		return 0, abi.EAGAIN
	}
	var w [4]byte
	user.PutUint32(w[:], q.count)
	if _, ok := b.Put(w[:]); !ok {
		return 0, abi.EFAULT
	}
	q.seen = q.count
	return 4, abi.OK
}

// Write takes a u32: 1 unmasks, 0 masks.
func (q *IRQ) Write(b *user.Buffer, pos int64) (int, abi.Errno) {
	var w [4]byte
	if b.Len() != 4 {
		return 0, abi.EINVAL
	}
	if _, ok := b.Get(w[:]); !ok {
		return 0, abi.EFAULT
	}
	switch user.Uint32(w[:]) {
	case 1:
		plic.Unmask(q.source)
	case 0:
		plic.Mask(q.source)
	default:
		return 0, abi.EINVAL
	}
	return 4, abi.OK
}

func (q *IRQ) Ready() abi.Events {
	if q.count != q.seen {
		return abi.EPOLLIN | abi.EPOLLOUT
	}
	return abi.EPOLLOUT
}

func (q *IRQ) Queue() *wait.Queue { return &q.queue }

// Stat tells the holder the interrupt's number.
func (q *IRQ) Stat(st *abi.Stat) {
	st.Dev, st.Ino, st.Mode, st.Nlink = 3, uint64(q.source), abi.S_IFCHR|0o600, 1
}

// Close masks the interrupt; it can be opened again.
func (q *IRQ) Close() bool {
	if !q.open {
		panic("device: an interrupt is closed twice")
	}
	plic.Mask(q.source)
	q.open = false
	q.queue.Gone()
	return true
}
