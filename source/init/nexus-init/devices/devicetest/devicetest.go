// Package devicetest is a device directory for tests on a developer's Linux:
// memfds, eventfds and socket pairs behave as the kernel's descriptors do.
package devicetest

import (
	"fmt"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Physical is the address that every piece of DMA memory says it has.
const Physical = 0x8700_0000

// Directory is a device directory. The zero value has no devices.
type Directory struct {
	Nodes     []string      // device-tree nodes with a window and an interrupt
	Shared    bool          // wrongly allow a second owner of an interrupt or namespace
	Address   uint64        // of DMA memory; 0 is Physical
	Processes func() string // text of "processes"
	Console   string        // file that "console" opens, for appending; without one it is /dev/null
	OnEnter   func() error  // what Enter does

	mu      sync.Mutex
	held    map[string]bool
	entered int
}

// Open implements devices.Directory.
func (d *Directory) Open(name string) (int, error) {
	node, part, _ := strings.Cut(name, "/")
	switch {
	case name == "console" && d.Console == "":
		return unix.Open(os.DevNull, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	case name == "console":
		return unix.Open(d.Console, unix.O_WRONLY|unix.O_APPEND|unix.O_CLOEXEC, 0)
	case name == "dma":
		return d.dma()
	case name == "socketns":
		return unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	case name == "processes":
		return d.processes()
	case part == "window" && d.has(node):
		return memory(make([]byte, 512))
	case part == "irq" && d.has(node):
		if d.taken(name) {
			return -1, unix.EBUSY
		}
		return unix.Eventfd(0, unix.EFD_CLOEXEC)
	default:
		return -1, unix.ENOENT
	}
}

// Serve implements devices.Directory.
func (d *Directory) Serve(namespace int) (int, error) {
	if d.taken(fmt.Sprint("namespace ", namespace)) {
		return -1, unix.EBUSY
	}
	return unix.Eventfd(0, unix.EFD_CLOEXEC)
}

// Enter implements devices.Directory.
func (d *Directory) Enter(int) error {
	d.mu.Lock()
	d.entered++
	d.mu.Unlock()
	if d.OnEnter == nil {
		return nil
	}
	return d.OnEnter()
}

// Entered returns how many threads entered a namespace.
func (d *Directory) Entered() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.entered
}

func (d *Directory) has(node string) bool {
	for _, n := range d.Nodes {
		if n == node {
			return true
		}
	}
	return false
}

// taken notes that name is held and reports whether it was already.
func (d *Directory) taken(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.held == nil {
		d.held = make(map[string]bool)
	}
	before := d.held[name]
	d.held[name] = true
	return before && !d.Shared
}

func (d *Directory) dma() (int, error) {
	address := d.Address
	if address == 0 {
		address = Physical
	}
	content := make([]byte, 8)
	for i := range content {
		content[i] = byte(address >> (8 * i))
	}
	return memory(content)
}

func (d *Directory) processes() (int, error) {
	if d.Processes == nil {
		return -1, unix.ENOENT
	}
	return memory([]byte(d.Processes()))
}

// memory returns a memfd with that content, to be read from its begin.
func memory(content []byte) (int, error) {
	fd, err := unix.MemfdCreate("devicetest", unix.MFD_CLOEXEC)
	if err != nil {
		return -1, os.NewSyscallError("memfd_create", err)
	}
	if _, err := unix.Pwrite(fd, content, 0); err != nil {
		unix.Close(fd)
		return -1, os.NewSyscallError("pwrite", err)
	}
	return fd, nil
}
