// Package boot runs one boot of Nexus from start to verdict: the machine, the
// host on its wire, the capture, and the judgement by the marker contract.
package boot

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"nexus/source/libs/named"
	"nexus/tools/nx/internal/frame"
	"nexus/tools/nx/internal/machine"
	"nexus/tools/nx/internal/rundir"
)

// Back ends of the network card.
const (
	NICAuto = "auto" // TAP where it can be had, else the wire
	NICTap  = "tap"
	NICWire = "wire"
	NICUser = "user" // QEMU's own user network
	NICNone = "none"
)

// How the guest gets its address.
const (
	NetStub   = "stub"   // a DHCP exchange with the server inside the guest
	NetStatic = "static" // from the command line
	NetDHCP   = "dhcp"   // from the host, on the wire; with NICUser from QEMU
)

// Options say how to boot.
type Options struct {
	QEMU     string
	Kernel   string
	Archive  string
	DTB      string
	Contract string

	NIC     string
	Legacy  bool // offer a version 1 card, to see it refused
	Net     string
	NoLease bool // with NetDHCP: the host leaves DHCP to somebody else
	Noise   bool // the host also sends garbage frames
	Profile string
	Icount  bool
	Append  []string // more words for the kernel command line
	Devices []string // more devices, as QEMU's -device takes them
	Stay    bool
	Timeout time.Duration
	Memory  int  // MiB; 0 leaves what the device tree says
	SMP     int  // harts of the machine, of which Nexus uses one
	Ends    bool // with Stay: a guest whose boot is not proven is ended
	Count   bool // ask for the guest's counters once all is done

	Guest *rundir.Guest // the guest's folder, for its console, report and capture

	PCAP string // write the capture here

	seeded bool // DTB is a tree with this boot's seed in it
}

// leastTimeout is the shortest bound on a run.
const leastTimeout = 100 * time.Millisecond

// ErrOptions says that the options contradict each other.
var ErrOptions = errors.New("invalid options")

// Check refuses options that mean nothing.
func (o *Options) Check() error {
	for _, c := range []struct {
		name, value string
		allowed     []string
	}{
		{"nic", o.NIC, []string{NICAuto, NICTap, NICWire, NICUser, NICNone}},
		{"net", o.Net, []string{NetStub, NetStatic, NetDHCP}},
		{"profile", o.Profile, []string{machine.Deterministic, machine.Default}},
	} {
		if !slices.Contains(c.allowed, c.value) {
			return fmt.Errorf("%w: --%s %q is not one of %s", ErrOptions, c.name, c.value, strings.Join(c.allowed, ", "))
		}
	}
	if o.Timeout <= 0 {
		return fmt.Errorf("%w: --timeout must be positive", ErrOptions)
	}
	if o.Timeout < leastTimeout {
		return fmt.Errorf("%w: --timeout %v is too short to start a machine: give %v or more", ErrOptions, o.Timeout, leastTimeout)
	}
	if slices.Contains(o.Devices, "") {
		return fmt.Errorf("%w: --device names no device; give what QEMU's -device takes, with the slot as bus=", ErrOptions)
	}
	if o.NIC == NICUser && (o.NoLease || o.Noise) {
		return fmt.Errorf("%w: with --nic %s QEMU is the host, which leases always and sends no noise: leave out --no-lease and --noise, or use --nic %s",
			ErrOptions, NICUser, NICWire)
	}
	if o.Icount && o.Profile != machine.Deterministic {
		return fmt.Errorf("%w: --icount needs --profile %s", ErrOptions, machine.Deterministic)
	}
	if o.Memory != 0 && (o.Memory < machine.MinMemory || o.Memory > machine.MaxMemory) {
		return fmt.Errorf("%w: --memory %d is not within %d to %d MiB", ErrOptions, o.Memory, machine.MinMemory, machine.MaxMemory)
	}
	if o.SMP < 1 || o.SMP > machine.MaxSMP {
		return fmt.Errorf("%w: --smp %d is not within 1 to %d harts", ErrOptions, o.SMP, machine.MaxSMP)
	}
	return nil
}

// prepare looks for QEMU and the files, and makes the device tree that the
// options ask for. Its errors say what to do.
func (o *Options) prepare(ctx context.Context) (machine.QEMU, error) {
	qemu, err := machine.Find(ctx, o.QEMU)
	if err != nil {
		return qemu, err
	}
	const build = "run `make build`"
	for _, f := range []struct{ what, path string }{
		{"kernel image", o.Kernel}, {"boot archive", o.Archive}, {"device tree", o.DTB},
	} {
		if err := machine.CheckFile(f.what, f.path, build); err != nil {
			return qemu, err
		}
	}
	return qemu, o.ownTree()
}

// ownTree puts a device tree with the memory asked for, and a seed that no other boot has, into the guest's folder. The
// deterministic profile has no use for a seed.
func (o *Options) ownTree() error {
	o.seeded = o.Profile == machine.Default
	if o.Memory == 0 && !o.seeded {
		return nil
	}
	tree, err := named.Read(o.DTB, machine.MaxFile)
	if err != nil {
		return err // CheckFile just read it
	}
	if o.Memory != 0 {
		if tree, err = machine.SetMemory(tree, o.Memory); err != nil {
			return fmt.Errorf("--memory %d: %s: %w", o.Memory, o.DTB, err)
		}
	}
	if o.seeded {
		seed := make([]byte, machine.SeedSize)
		_, _ = rand.Read(seed) // never fails (crypto/rand)
		if tree, err = machine.SetSeed(tree, seed); err != nil {
			return fmt.Errorf("a seed cannot be put into %s: %w", o.DTB, err)
		}
	}
	o.DTB = o.Guest.Path(rundir.TreeFile)
	return os.WriteFile(o.DTB, tree, 0o600)
}

// commandLine is the kernel's.
func (o *Options) commandLine() string {
	words := []string{"nexus.profile=" + o.Profile, "nexus.net=" + o.Net}
	if o.Net == NetStatic {
		words = append(words, "nexus.addr="+netip.PrefixFrom(frame.Guest.IP, frame.Subnet.Bits()).String(), "nexus.gw="+frame.Host.IP.String())
	}
	if o.Stay || o.Count { // it must be there to be asked
		words = append(words, "nexus.stay=1")
	}
	return strings.Join(append(words, o.Append...), " ")
}
