// Package devices opens what the kernel gives to process 1 and to nobody else:
// register windows, interrupts, DMA memory and socket namespaces, all of them
// names under one directory descriptor. The names and what the descriptors do
// are in docs/architecture/07-contracts-map.md, "Device directory".
package devices

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Names in the directory that are not those of a device-tree node.
const (
	NameConsole   = "console"
	NameDMA       = "dma"
	NameNamespace = "socketns"
	NameProcesses = "processes"
)

// Directory is the device directory. Errors are errno values: ENOENT for a
// device that is not there, EBUSY for one that somebody else holds, ENOMEM when
// a pool is used up. Descriptors are close-on-exec and the caller's to close.
type Directory interface {
	// Open opens a name of the directory, such as NODE/window.
	Open(name string) (int, error)
	// Serve opens the serving end of a socket namespace that Open gave.
	Serve(namespace int) (int, error)
	// Enter moves the calling thread, and what it then executes, into a
	// socket namespace.
	Enter(namespace int) error
}

// Window returns the name of a node's register window.
func Window(node string) string { return node + "/window" }

// IRQ returns the name of a node's interrupt.
func IRQ(node string) string { return node + "/irq" }

// Kernel is the kernel's device directory, by its descriptor.
type Kernel int

// Open implements Directory.
func (k Kernel) Open(name string) (int, error) { return openat(int(k), name) }

// Serve implements Directory.
func (k Kernel) Serve(namespace int) (int, error) { return openat(namespace, "serve") }

// Enter implements Directory.
func (k Kernel) Enter(namespace int) error {
	return unix.Setns(namespace, unix.CLONE_NEWNET)
}

// openat opens name under directory, again after a signal.
func openat(directory int, name string) (int, error) {
	for {
		fd, err := unix.Openat(directory, name, unix.O_RDWR|unix.O_CLOEXEC, 0)
		if !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}
