package fake

import (
	"encoding/binary"
	"fmt"
	"sync"

	"nexus/source/libs/virtio/dma"
)

// Access is one access of the driver to a register.
type Access struct {
	Write bool
	Off   int
	Value uint32
}

// Device is the transport half of a fake device. Set the exported fields before the
// driver sees it, or under Do. All methods may be called from several goroutines.
type Device struct {
	mu sync.Mutex

	Magic    uint32
	Version  uint32
	ID       uint32
	Vendor   uint32
	Features uint64
	Config   []byte
	QueueMax []uint32 // by queue; 0: no such queue

	RefuseFeatures bool          // FEATURES_OK does not stay set
	ResetReads     int           // reads of status after a reset that do not yet give 0
	RefuseQueues   bool          // QueueReady reads 0 whatever was written
	RefuseLive     bool          // DRIVER_OK does not stay set
	OnConfigRead   func(off int) // called before a read of the configuration
	OnInterrupt    func()        // called when the interrupt line is raised; must not call back

	memory []*Memory // all the device can reach

	status         uint32
	resetReads     int
	deviceSel      uint32
	driverSel      uint32
	driverFeatures uint64
	queueSel       uint32
	queues         []ring
	isr            uint32
	generation     uint32
	notify         func(queue int)
	onReset        func()

	log        []Access
	logged     bool
	violations []string
}

// ring is the device's side of one queue.
type ring struct {
	size              uint32
	ready             uint32
	desc, avail, used uint64

	seen, done uint16 // avail and used index
}

func newDevice(memory []*Memory) Device {
	return Device{Magic: 0x74726976, Version: 2, Vendor: 0x554d4551, memory: memory}
}

// Do runs f while nothing else touches the device.
func (d *Device) Do(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

// Log starts to write down every register access.
func (d *Device) Log() { d.Do(func() { d.logged, d.log = true, nil }) }

// Accesses gives what was written down since Log.
func (d *Device) Accesses() (log []Access) {
	d.Do(func() { log = append(log, d.log...) })
	return log
}

// Violations gives what the driver did against the standard.
func (d *Device) Violations() (v []string) {
	d.Do(func() { v = append(v, d.violations...) })
	return v
}

func (d *Device) violate(format string, args ...any) {
	if len(d.violations) < 100 {
		d.violations = append(d.violations, fmt.Sprintf(format, args...))
	}
}

// InterruptStatus gives the reasons for which the interrupt line is raised; 0: it is not.
func (d *Device) InterruptStatus() (isr uint32) {
	d.Do(func() { isr = d.isr })
	return isr
}

// ChangeConfig changes the configuration with f and tells the driver (2.5).
func (d *Device) ChangeConfig(f func(config []byte)) {
	d.Do(func() {
		f(d.Config)
		d.generation++
		d.raise(2)
	})
}

// BumpGeneration changes the configuration's generation, from within OnConfigRead or Do.
func (d *Device) BumpGeneration() { d.generation++ }

// NeedReset sets DEVICE_NEEDS_RESET and tells the driver (2.1.2).
func (d *Device) NeedReset() {
	d.Do(func() {
		d.status |= 64
		d.raise(2)
	})
}

// Raise raises the interrupt line for the reasons in isr, as a storm would.
func (d *Device) Raise(isr uint32) { d.Do(func() { d.raise(isr) }) }

func (d *Device) raise(isr uint32) {
	d.isr |= isr
	if d.OnInterrupt != nil {
		d.OnInterrupt()
	}
}

// Read8 reads the configuration space.
func (d *Device) Read8(off int) uint8 { return uint8(d.readConfig(off, 1)) }

// Read16 reads the configuration space.
func (d *Device) Read16(off int) uint16 { return uint16(d.readConfig(off, 2)) }

func (d *Device) readConfig(off, n int) uint32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.record(Access{Off: off})
	if off < 0x100 {
		d.violate("4.2.2.2: %d-byte read of register %#x", n, off)
		return 0
	}
	off -= 0x100
	if d.OnConfigRead != nil {
		d.OnConfigRead(off)
	}
	if off+n > len(d.Config) {
		return 0
	}
	if n == 1 {
		return uint32(d.Config[off])
	}
	return uint32(binary.LittleEndian.Uint16(d.Config[off:]))
}

// Read32 reads a register.
func (d *Device) Read32(off int) uint32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	v := d.read(off)
	d.record(Access{Off: off, Value: v})
	return v
}

func (d *Device) read(off int) uint32 {
	// An empty slot answers its identity and nothing else.
	if d.ID == 0 && off > 0x00c {
		return 0
	}
	switch off {
	case 0x000:
		return d.Magic
	case 0x004:
		return d.Version
	case 0x008:
		return d.ID
	case 0x00c:
		return d.Vendor
	case 0x010:
		if d.deviceSel > 1 {
			return 0
		}
		return uint32(d.Features >> (32 * d.deviceSel))
	case 0x034:
		if int(d.queueSel) < len(d.QueueMax) {
			return d.QueueMax[d.queueSel]
		}
		return 0
	case 0x044:
		if q := d.selected(); q != nil && !d.RefuseQueues {
			return q.ready
		}
		return 0
	case 0x060:
		return d.isr
	case 0x070:
		if d.resetReads > 0 {
			d.resetReads--
			return 1
		}
		return d.status
	case 0x0fc:
		return d.generation
	}
	if off >= 0x100 && d.OnConfigRead != nil {
		d.OnConfigRead(off - 0x100)
	}
	if off >= 0x100 && off+4 <= 0x100+len(d.Config) {
		return binary.LittleEndian.Uint32(d.Config[off-0x100:])
	}
	return 0
}

// Write32 writes a register.
func (d *Device) Write32(off int, v uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.record(Access{Write: true, Off: off, Value: v})
	if d.ID == 0 {
		return
	}
	switch off {
	case 0x014:
		d.deviceSel = v
	case 0x020:
		d.writeFeatures(v)
	case 0x024:
		d.driverSel = v
	case 0x030:
		d.queueSel = v
	case 0x050:
		d.writeNotify(v)
	case 0x064:
		if v&^d.isr != 0 {
			d.violate("4.2.2: acknowledged %#x while only %#x was pending", v, d.isr)
		}
		d.isr &^= v
	case 0x070:
		d.writeStatus(v)
	case 0x038, 0x044, 0x080, 0x084, 0x090, 0x094, 0x0a0, 0x0a4:
		d.writeQueue(off, v)
	default:
		d.violate("write of %#x to register %#x", v, off)
	}
}

func (d *Device) record(a Access) {
	if d.logged {
		d.log = append(d.log, a)
	}
}

func (d *Device) selected() *ring {
	if int(d.queueSel) >= len(d.queues) {
		return nil
	}
	return &d.queues[d.queueSel]
}

func (d *Device) writeFeatures(v uint32) {
	if d.status&2 == 0 || d.status&8 != 0 {
		d.violate("3.1.1: features written in status %#x", d.status)
	}
	if d.driverSel > 1 {
		return
	}
	shift := 32 * d.driverSel
	d.driverFeatures = d.driverFeatures&^(0xffffffff<<shift) | uint64(v)<<shift
}

func (d *Device) writeNotify(v uint32) {
	if d.status&4 == 0 {
		d.violate("3.1.1: queue %d notified before DRIVER_OK", v)
		return
	}
	if int(v) < len(d.queues) && d.queues[v].ready == 1 && d.notify != nil {
		d.notify(int(v))
	}
}

func (d *Device) writeStatus(v uint32) {
	if v == 0 {
		d.reset()
		return
	}
	if d.status&^v != 0 {
		d.violate("2.1.1: status %#x cleared bits of %#x", v, d.status)
	}
	// 3.1.1: each bit needs those before it.
	for _, step := range []struct{ bit, needs uint32 }{{2, 1}, {8, 3}, {4, 11}} {
		if v&step.bit != 0 && v&step.needs != step.needs {
			d.violate("3.1.1: status %#x without %#x", v, step.needs)
		}
	}
	if v&8 != 0 && d.status&8 == 0 && (d.RefuseFeatures || d.driverFeatures&^d.Features != 0 || d.driverFeatures>>32&1 == 0) {
		v &^= 8
	}
	if v&4 != 0 && d.RefuseLive {
		v &^= 4
	}
	d.status = v
}

func (d *Device) writeQueue(off int, v uint32) {
	q := d.selected()
	if q == nil {
		d.violate("4.2.3.2: queue %d does not exist", d.queueSel)
		return
	}
	if d.status&8 == 0 {
		d.violate("3.1.1: queue %d set up before FEATURES_OK", d.queueSel)
	}
	if q.ready == 1 {
		d.violate("4.2.2.2: register %#x of queue %d written while ready", off, d.queueSel)
	}
	half := func(p *uint64, low int) {
		shift := 8 * (off - low)
		*p = *p&^(0xffffffff<<shift) | uint64(v)<<shift
	}
	switch off {
	case 0x038:
		if v == 0 || v > d.QueueMax[d.queueSel] || v&(v-1) != 0 {
			d.violate("4.2.2.2: queue %d of %d entries", d.queueSel, v)
			return
		}
		q.size = v
	case 0x044:
		if q.size == 0 {
			d.violate("4.2.3.2: queue %d ready without a size", d.queueSel)
			return
		}
		q.ready = v & 1
	case 0x080, 0x084:
		half(&q.desc, 0x080)
	case 0x090, 0x094:
		half(&q.avail, 0x090)
	case 0x0a0, 0x0a4:
		half(&q.used, 0x0a0)
	}
}

func (d *Device) reset() {
	d.status, d.deviceSel, d.driverSel, d.driverFeatures, d.queueSel, d.isr = 0, 0, 0, 0, 0, 0
	d.queues = make([]ring, len(d.QueueMax))
	d.resetReads = d.ResetReads
	if d.onReset != nil {
		d.onReset()
	}
}

// at gives n bytes of DMA memory; nil, and a violation, when there is none.
func (d *Device) at(a uint64, n int) []byte {
	for _, m := range d.memory {
		if b, err := m.at(dma.Addr(a), n); err == nil {
			return b
		}
	}
	d.violate("device was sent to %d bytes at %#x, outside its memory", n, a)
	return nil
}
