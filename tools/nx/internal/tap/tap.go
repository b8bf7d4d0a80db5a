// Package tap makes the specification's TAP without touching the machine's own
// network: a private network namespace (and user namespace, unless root) in
// which tap0 carries 10.0.2.2/24 and is bridged to nothing. The namespace, and
// with it the TAP, is gone when the last process in it is.
package tap

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"nexus/tools/nx/internal/frame"
)

const device = "/dev/net/tun"

// DefaultName is the TAP's name where TAP_IF says nothing.
const DefaultName = "tap0"

// Name is the TAP's name: $TAP_IF, or tap0.
func Name() string {
	if name := os.Getenv("TAP_IF"); name != "" {
		return name
	}
	return DefaultName
}

// Setup makes the TAP name in the current network namespace, gives it the
// host's address and brings it and lo up. The TAP stays (it is persistent), as
// long as the namespace does.
func Setup(name string) error {
	if err := create(name); err != nil {
		if errors.Is(err, unix.EINVAL) {
			err = fmt.Errorf("%w: there is another kind of interface of this name: choose another with TAP_IF", err)
		}
		return fmt.Errorf("tap: create %s: %w", name, err)
	}
	quiet(name)
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("tap: %w", err)
	}
	defer unix.Close(s)
	if err := configure(s, name); err != nil {
		return fmt.Errorf("tap: configure %s: %w", name, err)
	}
	if err := up(s, "lo"); err != nil {
		return fmt.Errorf("tap: lo up: %w", err)
	}
	return nil
}

// Loopback brings lo of the current network namespace up.
func Loopback() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("tap: %w", err)
	}
	defer unix.Close(s)
	if err := up(s, "lo"); err != nil {
		return fmt.Errorf("tap: lo up: %w", err)
	}
	return nil
}

// quiet switches IPv6 off, without which the host says nothing on its own. Where
// /proc/sys is read only it does, and the guest drops it.
func quiet(name string) {
	_ = os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/disable_ipv6", []byte("1"), 0)
}

// create makes the TAP name, or takes the one that is there, and has it stay
// when it is closed.
func create(name string) error {
	f, err := attach(name, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return os.NewSyscallError("TUNSETPERSIST", unix.IoctlSetInt(int(f.Fd()), unix.TUNSETPERSIST, 1))
}

// attach opens the TAP name, which it makes if need be.
func attach(name string, flags uint16) (*os.File, error) {
	f, err := os.OpenFile(device, os.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	req, err := unix.NewIfreq(name)
	if err != nil {
		f.Close()
		return nil, err
	}
	req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | flags)
	if err := unix.IoctlIfreq(int(f.Fd()), unix.TUNSETIFF, req); err != nil {
		f.Close()
		return nil, os.NewSyscallError("TUNSETIFF", err)
	}
	return f, nil
}

// configure gives the interface its MAC and address and brings it up.
func configure(s int, name string) error {
	if err := setMAC(s, name, frame.Host.MAC); err != nil {
		return os.NewSyscallError("SIOCSIFHWADDR", err)
	}
	if err := setInet4(s, name, unix.SIOCSIFADDR, frame.Host.IP); err != nil {
		return os.NewSyscallError("SIOCSIFADDR", err)
	}
	mask := netip.AddrFrom4([4]byte(net.CIDRMask(frame.Subnet.Bits(), 32)))
	if err := setInet4(s, name, unix.SIOCSIFNETMASK, mask); err != nil {
		return os.NewSyscallError("SIOCSIFNETMASK", err)
	}
	return up(s, name)
}

func setInet4(s int, name string, request uint, addr netip.Addr) error {
	req, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	if err := req.SetInet4Addr(addr.AsSlice()); err != nil {
		return err
	}
	return unix.IoctlIfreq(s, request, req)
}

func up(s int, name string) error {
	req, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(s, unix.SIOCGIFFLAGS, req); err != nil {
		return os.NewSyscallError("SIOCGIFFLAGS", err)
	}
	req.SetUint16(req.Uint16() | unix.IFF_UP)
	return os.NewSyscallError("SIOCSIFFLAGS", unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, req))
}
