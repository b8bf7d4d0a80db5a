package machine

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"nexus/tools/nx/internal/frame"
)

// Profiles of a boot, as the kernel command line names them.
const (
	Deterministic = "deterministic"
	Default       = "default"
)

// nicSlot is the virtio-mmio bus of 0x10002000, IRQ 2; QEMU would fill the
// slots from the top.
const nicSlot = "virtio-mmio-bus.1"

// NIC is the host's side of the network card. The zero value is no card.
type NIC struct {
	TAP    string   // name of a TAP in this network namespace, or
	File   *os.File // a connected stream socket, 4-byte length before each frame
	Legacy bool     // offer the version 1 transport only
}

func (n NIC) present() bool { return n.TAP != "" || n.File != nil }

// Config is one machine.
type Config struct {
	QEMU    string // program to execute
	Kernel  string // flat image
	Archive string // boot archive; "" is none
	DTB     string // compiled device tree; "" is QEMU's own
	Append  string // kernel command line
	NIC     NIC
	Stdin   *os.File // what is typed on the console; nil is nothing

	Deterministic bool          // fixed random seed and a clock that starts at Epoch
	Icount        bool          // count instructions: time is what the guest executed
	MemoryMiB     int           // 0 is 128
	Timeout       time.Duration // the whole run; must be positive
}

// Epoch is where the deterministic profile's clock starts.
const Epoch = "2026-01-01T00:00:00"

var errConfig = errors.New("machine: invalid configuration")

// Args is QEMU's command line without the program.
func (c Config) Args() ([]string, error) {
	if c.Kernel == "" || c.QEMU == "" {
		return nil, fmt.Errorf("%w: QEMU and a kernel image are needed", errConfig)
	}
	if c.Timeout <= 0 {
		return nil, fmt.Errorf("%w: a run needs a time bound", errConfig)
	}
	memory := c.MemoryMiB
	if memory == 0 {
		memory = 128
	}

	args := []string{"-M", "virt", "-smp", "1", "-m", strconv.Itoa(memory) + "M"}
	if !c.NIC.Legacy {
		args = append(args, "-global", "virtio-mmio.force-legacy=false")
	}
	args = append(args, "-kernel", c.Kernel)
	if c.Archive != "" {
		args = append(args, "-initrd", c.Archive)
	}
	if c.DTB != "" {
		args = append(args, "-dtb", c.DTB)
	}
	if c.Append != "" {
		args = append(args, "-append", c.Append)
	}
	args = append(args, c.nicArgs()...)
	if c.Deterministic {
		args = append(args, "-seed", "1", "-rtc", "base="+Epoch+",clock=vm")
	}
	if c.Icount {
		args = append(args, "-icount", "shift=0,sleep=off")
	}
	return append(args, "-display", "none", "-serial", "stdio", "-monitor", "none", "-no-reboot"), nil
}

func (c Config) nicArgs() []string {
	if !c.NIC.present() {
		return nil
	}
	netdev := "tap,id=n0,script=no,ifname=" + escape(c.NIC.TAP)
	if c.NIC.File != nil {
		// The first of ExtraFiles is descriptor 3 in the child.
		netdev = "stream,id=n0,server=off,addr.type=fd,addr.str=3"
	}
	return []string{
		"-netdev", netdev,
		"-device", "virtio-net-device,netdev=n0,bus=" + nicSlot + ",mac=" + frame.Guest.MAC.String(),
	}
}

// escape protects a value in one of QEMU's comma separated option lists.
func escape(value string) string { return strings.ReplaceAll(value, ",", ",,") }
