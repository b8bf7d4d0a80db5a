// Package virtio speaks the modern virtio-mmio transport: it finds a device behind a register
// window, brings it up in the order the standard prescribes, and gives access to its
// configuration space, interrupts and notifications.
//
// Clause numbers are those of virtio 1.2 (OASIS, "Virtual I/O Device (VIRTIO)
// Version 1.2"). What a kind of device adds lies in a package of its own (virtio/netdev, virtio/serialdev);
// the rings are in virtio/queue.
//
// Nothing a device answers is believed beyond what is checked here, and no wait for a device is
// unbounded.
package virtio
