package virtio

import "errors"

// Why a device cannot be used. Each text says what the operator can do.
var (
	ErrMagic = errors.New("virtio: no virtio-mmio transport at this address: " +
		"check the device tree's virtio_mmio node against the machine")
	ErrLegacy = errors.New("virtio: legacy (version 1) transport: " +
		"start QEMU with -global virtio-mmio.force-legacy=false")
	ErrVersion  = errors.New("virtio: unknown transport version: only version 2 is supported")
	ErrNoDevice = errors.New("virtio: no device in this slot: " +
		"name the slot on QEMU's command line, e.g. -device virtio-net-device,bus=virtio-mmio-bus.1 for 0x10002000, " +
		"-device virtio-serial-device,bus=virtio-mmio-bus.2 for 0x10003000")
	ErrWrongDevice = errors.New("virtio: the slot holds another kind of device: " +
		"check bus= of QEMU's -device options against the device tree")
	ErrReset       = errors.New("virtio: device does not finish its reset: restart the machine")
	ErrNotModern   = errors.New("virtio: device does not offer VERSION_1: use a device without disable-modern or legacy options")
	ErrFeatures    = errors.New("virtio: device refuses the features chosen from its own offer")
	ErrQueue       = errors.New("virtio: device does not have this queue")
	ErrQueueSize   = errors.New("virtio: queue size is not a power of two that the device supports")
	ErrQueueInUse  = errors.New("virtio: queue is already in use")
	ErrQueueRefuse = errors.New("virtio: device does not take the queue")
	ErrConfig      = errors.New("virtio: device's configuration never stays the same long enough to be read")
	ErrNotReady    = errors.New("virtio: device left the DRIVER_OK state")
)
