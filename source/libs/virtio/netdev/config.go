package netdev

import (
	"errors"
	"fmt"

	"nexus/source/libs/virtio"
)

// Feature bits of a network device, 5.1.3. Only what this driver ever accepts has a
// name here; checksum and segmentation offload, merged receive buffers and more
// queues are never accepted, even where a device offers them.
const (
	featureMTU    virtio.Features = 1 << 3
	featureMAC    virtio.Features = 1 << 5
	featureStatus virtio.Features = 1 << 16
)

// Configuration space, 5.1.4.
const (
	configMAC    = 0  // 6 bytes
	configStatus = 6  // u16
	configMTU    = 10 // u16

	statusLinkUp = 1
)

const (
	// DefaultMTU holds when the device does not name one.
	DefaultMTU = 1500
	// minMTU is the least a device may name, 5.1.4.1.
	minMTU = 68
)

// Errors of the configuration.
var (
	ErrNoMAC  = errors.New("netdev: device offers no MAC address: give it one, e.g. QEMU's mac=02:00:00:00:00:01")
	ErrBadMAC = errors.New("netdev: device's MAC address is no unicast address: give it another, e.g. QEMU's mac=02:00:00:00:00:01")
)

// MAC is an Ethernet address.
type MAC [6]byte

// String writes m as 02:00:00:00:00:01.
func (m MAC) String() string {
	const hex = "0123456789abcdef"
	var b [17]byte
	for i, v := range m {
		if i > 0 {
			b[3*i-1] = ':'
		}
		b[3*i], b[3*i+1] = hex[v>>4], hex[v&15]
	}
	return string(b[:])
}

// config is what the driver takes from the configuration space.
type config struct {
	mac    MAC
	mtu    int
	linkUp bool
}

// readConfig reads the fields that features stand for.
func readConfig(t *virtio.Transport, features virtio.Features) (config, error) {
	c := config{mtu: DefaultMTU, linkUp: true}
	err := t.ReadConfig(func() {
		// 4.2.2.2: the MAC is an array of bytes, so it is read by 8-bit accesses.
		for i := range c.mac {
			c.mac[i] = t.Config8(configMAC + i)
		}
		if features.Has(featureStatus) {
			c.linkUp = t.Config16(configStatus)&statusLinkUp != 0
		}
		if features.Has(featureMTU) {
			c.mtu = int(t.Config16(configMTU))
		}
	})
	if err != nil {
		return config{}, err
	}
	return c, nil
}

// choose reads the offer and the configuration behind it and says which features to
// accept. Between Begin and Negotiate that is allowed (2.5.1, 5.1.4.2).
func choose(t *virtio.Transport, maxMTU int) (virtio.Features, config, error) {
	wanted := t.Offered() & (featureMAC | featureMTU | featureStatus)
	c, err := readConfig(t, wanted)
	if err != nil {
		return 0, config{}, err
	}
	if !wanted.Has(featureMAC) {
		return 0, config{}, ErrNoMAC
	}
	if c.mac[0]&1 != 0 || c.mac == (MAC{}) {
		return 0, config{}, fmt.Errorf("%w (%s)", ErrBadMAC, c.mac)
	}
	// 5.1.4.2: accepting MTU promises receive buffers of that size. What does not
	// fit, or is below the standard's minimum, is not accepted.
	if c.mtu < minMTU || c.mtu > maxMTU {
		wanted &^= featureMTU
		c.mtu = DefaultMTU
	}
	return wanted, c, nil
}
