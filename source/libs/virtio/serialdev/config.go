package serialdev

import (
	"errors"

	"nexus/source/libs/virtio"
	"nexus/source/libs/virtio/queue"
)

// featureMultiport says that the device has control queues and ports, 5.3.3. No other feature of the device is
// accepted: this driver is no terminal and writes no emergency bytes.
const featureMultiport virtio.Features = 1 << 1

// configMaxPorts is where the configuration space has max_nr_ports, u32, 5.3.4.
const configMaxPorts = 4

// Errors of Open and of the verbs.
var (
	ErrMemory  = errors.New("serialdev: memory is too small: give the device MemoryBytes")
	ErrNoPorts = errors.New("serialdev: device has no ports beside its console: give it some, " +
		"e.g. QEMU's -device virtio-serial-device,max_ports=2")
	ErrNoPort = errors.New("serialdev: no host has the port open")
	ErrBuffer = errors.New("serialdev: this receive buffer is not the caller's")
	ErrFull   = queue.ErrFull
	ErrBroken = queue.ErrBroken
)

// readMaxPorts reads how many ports the device can have, the console's at 0 included.
func readMaxPorts(t *virtio.Transport) (n uint32, err error) {
	err = t.ReadConfig(func() { n = t.Config32(configMaxPorts) })
	return n, err
}

// choose reads the offer and the configuration behind it, and says which features to accept and how many ports there
// may be. Between Begin and Negotiate that is allowed (2.5.1).
func choose(t *virtio.Transport) (wanted virtio.Features, ports uint32, err error) {
	wanted = t.Offered() & featureMultiport
	if wanted == 0 {
		return 0, 0, ErrNoPorts // max_nr_ports means nothing then, 5.3.4
	}
	ports, err = readMaxPorts(t)
	if err == nil && ports < 2 {
		err = ErrNoPorts
	}
	return wanted, ports, err
}
