package fake

import "encoding/binary"

// Features the fake NIC offers unless told otherwise: what QEMU's offers that matters here, so
// that a driver which accepts too much is caught.
const (
	FeatureChecksum  = 1 << 0
	FeatureMTU       = 1 << 3
	FeatureMAC       = 1 << 5
	FeatureHostTSO4  = 1 << 11
	FeatureMergeable = 1 << 15
	FeatureStatus    = 1 << 16
	FeatureEventIdx  = 1 << 29
	FeatureVersion1  = 1 << 32

	offered = FeatureChecksum | FeatureMAC | FeatureHostTSO4 | FeatureMergeable | FeatureStatus |
		FeatureEventIdx | FeatureVersion1
	acceptable = FeatureMTU | FeatureMAC | FeatureStatus | FeatureVersion1
)

const headerSize = 12

// NIC is a fake network device.
type NIC struct {
	Device

	HoldTx bool               // frames are taken but never completed
	OnSend func(frame []byte) // called for each frame sent, instead of keeping it; must not call back

	sent    [][]byte
	dropped int
}

// NewNIC makes a device with mac over memory.
func NewNIC(mac [6]byte, memory ...*Memory) *NIC {
	n := &NIC{Device: newDevice(memory)}
	n.ID = 1
	n.Features = offered
	n.QueueMax = []uint32{1024, 1024, 64}
	n.Config = make([]byte, 12)
	copy(n.Config, mac[:])
	binary.LittleEndian.PutUint16(n.Config[6:], 1)
	n.queues = make([]ring, len(n.QueueMax))
	n.notify = func(q int) {
		if q == 1 {
			n.transmit()
		}
	}
	return n
}

// SetMTU offers the MTU feature with mtu.
func (n *NIC) SetMTU(mtu uint16) {
	n.Do(func() {
		n.Features |= FeatureMTU
		binary.LittleEndian.PutUint16(n.Config[10:], mtu)
	})
}

// SetLink plugs the cable in or out and tells the driver.
func (n *NIC) SetLink(up bool) {
	n.ChangeConfig(func(c []byte) {
		c[6] = 0
		if up {
			c[6] = 1
		}
	})
}

// Sent gives the frames sent since the last call.
func (n *NIC) Sent() (frames [][]byte) {
	n.Do(func() { frames, n.sent = n.sent, nil })
	return frames
}

// transmit sends what the driver made available.
func (n *NIC) transmit() {
	if n.driverFeatures&^acceptable != 0 {
		n.violate("driver accepted features %#x", n.driverFeatures&^acceptable)
	}
	if n.HoldTx {
		return
	}
	for {
		head, chain, ok := n.next(1)
		if !ok {
			return
		}
		var all []byte
		for _, b := range chain {
			if b.write {
				n.violate("5.1.6.2: writable buffer in the transmit queue")
			}
			all = append(all, b.bytes...)
		}
		if len(all) < headerSize {
			n.violate("5.1.6.2: %d bytes are no header", len(all))
		} else {
			n.send(all)
		}
		n.used(1, uint32(head), 0)
	}
}

func (n *NIC) send(all []byte) {
	for i, b := range all[:headerSize] {
		if b != 0 { // nothing was negotiated that would fill a field; num_buffers is 0 too
			n.violate("5.1.6.2: header byte %d is %#x", i, b)
		}
	}
	if n.OnSend != nil {
		n.OnSend(all[headerSize:])
		return
	}
	n.sent = append(n.sent, all[headerSize:])
}

// Release completes the frames that HoldTx kept back, and holds no more.
func (n *NIC) Release() {
	n.Do(func() {
		n.HoldTx = false
		n.transmit()
	})
}

// Inject receives frame: it goes into the next receive buffer. It reports false, and
// counts the drop, when the driver has none.
func (n *NIC) Inject(frame []byte) bool { return n.InjectHeader([headerSize]byte{}, frame) }

// InjectHeader receives frame with any header.
func (n *NIC) InjectHeader(header [headerSize]byte, frame []byte) (ok bool) {
	n.Do(func() {
		var head uint16
		var chain []buffer
		if head, chain, ok = n.next(0); !ok {
			n.dropped++
			return
		}
		if len(chain) == 0 || !chain[0].write {
			n.violate("5.1.6.3: receive buffer is not writable")
			return
		}
		b := chain[0].bytes
		if len(b) < 1526 {
			n.violate("5.1.6.3.1: receive buffer of %d bytes", len(b))
		}
		written := copy(b, header[:])
		written += copy(b[written:], frame)
		n.used(0, uint32(head), uint32(written))
	})
	return ok
}

// Dropped gives the number of injected frames that found no buffer.
func (n *NIC) Dropped() (count int) {
	n.Do(func() { count = n.dropped })
	return count
}
