package machine

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
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

// controlSlot is that of 0x10003000, IRQ 3; ControlPort is what the guest calls
// the port.
const (
	controlSlot = "virtio-mmio-bus.2"
	ControlPort = "nexus.control"
)

// Bounds of a machine that Nexus boots on.
const (
	DefaultMemory = 128  // MiB, what pkg/dts/virt-nexus.dts states
	MinMemory     = 64   // room for firmware, kernel, archive and the services
	MaxMemory     = 4096 // the most that is tested
	MaxSMP        = 8    // the most that QEMU's virt takes
)

// NIC is the host's side of the network card. The zero value is no card.
type NIC struct {
	TAP  string   // name of a TAP in this network namespace, or
	File *os.File // a connected stream socket, 4-byte length before each frame
	// Forward, with File, makes QEMU's own user network: datagrams to this
	// address of QEMU's network namespace go to the guest's UDP 7, and File is a
	// connected socket of packets that gets a copy of each frame.
	Forward netip.AddrPort
	Legacy  bool // offer the version 1 transport only
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
	Control *os.File // guest's end of the control port, a connected stream socket; nil is no port
	Devices []string // more devices, each as QEMU's -device takes it
	Stdin   *os.File // what is typed on the console; nil is nothing

	Deterministic bool          // fixed random seed and a clock that starts at Epoch
	Icount        bool          // count instructions: time is what the guest executed
	MemoryMiB     int           // 0 is DefaultMemory
	SMP           int           // harts; 0 is 1. Nexus runs on one of them
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
	memory := cmp.Or(c.MemoryMiB, DefaultMemory)
	harts := cmp.Or(c.SMP, 1)

	args := []string{"-M", "virt", "-smp", strconv.Itoa(harts), "-m", strconv.Itoa(memory) + "M"}
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
	args = append(args, c.controlArgs()...)
	for _, device := range c.Devices {
		args = append(args, "-device", device)
	}
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
	args := []string{"-netdev", "tap,id=n0,script=no,ifname=" + escape(c.NIC.TAP)}
	switch {
	case c.NIC.Forward.IsValid():
		args = c.userNetwork()
	case c.NIC.File != nil:
		args = []string{"-netdev", "stream,id=n0,server=off,addr.type=fd,addr.str=" + c.descriptor(c.NIC.File)}
	}
	return append(args, "-device", "virtio-net-device,netdev=n0,bus="+nicSlot+",mac="+frame.Guest.MAC.String())
}

// userNetwork is a hub of three ports: the card's, the user network's and the
// copy's. A hub serves its newest port first, so the copy has a frame before
// the card does.
func (c Config) userNetwork() []string {
	n := c.NIC
	return []string{
		"-netdev", fmt.Sprintf("user,id=u0,net=%v,host=%v,dhcpstart=%v,dns=%v,ipv6=off,hostfwd=udp:%v:%d-%v:7",
			frame.Subnet, frame.Host.IP, frame.Guest.IP, frame.DNS, n.Forward.Addr(), n.Forward.Port(), frame.Guest.IP),
		"-netdev", "hubport,id=h0,hubid=0,netdev=u0",
		"-netdev", "hubport,id=n0,hubid=0",
		"-netdev", "dgram,id=s0,local.type=fd,local.str=" + c.descriptor(n.File),
		"-netdev", "hubport,id=h1,hubid=0,netdev=s0",
	}
}

func (c Config) controlArgs() []string {
	if c.Control == nil {
		return nil
	}
	return []string{
		"-device", "virtio-serial-device,bus=" + controlSlot,
		"-chardev", "socket,id=control,fd=" + c.descriptor(c.Control),
		"-device", "virtserialport,chardev=control,name=" + ControlPort + ",nr=1",
	}
}

// files are what QEMU inherits.
func (c Config) files() []*os.File {
	var files []*os.File
	for _, f := range []*os.File{c.NIC.File, c.Control} {
		if f != nil {
			files = append(files, f)
		}
	}
	return files
}

// descriptor is the number of f in QEMU: the first that it inherits is 3.
func (c Config) descriptor(f *os.File) string {
	return strconv.Itoa(3 + slices.Index(c.files(), f))
}

// escape protects a value in one of QEMU's comma separated option lists.
func escape(value string) string { return strings.ReplaceAll(value, ",", ",,") }
