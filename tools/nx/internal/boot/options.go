// Package boot runs one boot of Nexus from start to verdict: the machine, the
// host on its wire, the capture, and the judgement by the marker contract.
package boot

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"nexus/tools/nx/internal/frame"
	"nexus/tools/nx/internal/machine"
)

// Back ends of the network card.
const (
	NICAuto = "auto" // TAP where it can be had, else the wire
	NICTap  = "tap"
	NICWire = "wire"
	NICNone = "none"
)

// How the guest gets its address.
const (
	NetStub   = "stub"   // a DHCP exchange with the server inside the guest
	NetStatic = "static" // from the command line
	NetDHCP   = "dhcp"   // from the host, on the wire
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
	Stay    bool
	Timeout time.Duration

	PCAP string // write the capture here
}

// ErrOptions says that the options contradict each other.
var ErrOptions = errors.New("invalid options")

// Check refuses options that mean nothing.
func (o *Options) Check() error {
	for _, c := range []struct {
		name, value string
		allowed     []string
	}{
		{"nic", o.NIC, []string{NICAuto, NICTap, NICWire, NICNone}},
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
	if o.Icount && o.Profile != machine.Deterministic {
		return fmt.Errorf("%w: --icount needs --profile %s", ErrOptions, machine.Deterministic)
	}
	return nil
}

// prepare looks for QEMU and the files. Its errors say what to do.
func (o *Options) prepare(ctx context.Context) (qemu string, v machine.Version, err error) {
	qemu, v, err = machine.Find(ctx, o.QEMU)
	if err != nil {
		return "", v, err
	}
	const build = "run `make build`"
	for _, f := range []struct{ what, path string }{
		{"kernel image", o.Kernel}, {"boot archive", o.Archive}, {"device tree", o.DTB},
	} {
		if err := machine.CheckFile(f.what, f.path, build); err != nil {
			return "", v, err
		}
	}
	return qemu, v, nil
}

// commandLine is the kernel's.
func (o *Options) commandLine() string {
	words := []string{"nexus.profile=" + o.Profile, "nexus.net=" + o.Net}
	if o.Net == NetStatic {
		words = append(words, "nexus.addr="+netip.PrefixFrom(frame.Guest.IP, frame.Subnet.Bits()).String(), "nexus.gw="+frame.Host.IP.String())
	}
	if o.Stay {
		words = append(words, "nexus.stay=1")
	}
	return strings.Join(append(words, o.Append...), " ")
}
