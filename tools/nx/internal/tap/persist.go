package tap

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"nexus/tools/nx/internal/frame"
)

// Refusals of Persist and Remove.
var (
	ErrExists     = errors.New("tap: an interface of this name is there already")
	ErrMissing    = errors.New("tap: there is no interface of this name")
	ErrForeign    = errors.New("tap: this interface is none that nx made")
	ErrBusy       = errors.New("tap: the interface is in use")
	ErrPermission = errors.New("tap: not permitted")
	ErrNoDevice   = errors.New("tap: no " + device)
	ErrName       = errors.New("tap: an interface's name has 1 to 15 bytes, none of them a slash, a blank, a colon or a percent sign")
)

// NoOwner leaves a TAP to those with CAP_NET_ADMIN.
const NoOwner = -1

// Persist makes the TAP name in the current network namespace as Setup does,
// where no interface may have the name, and leaves it when this process ends.
// The user owner may open it too. A TAP that cannot be made ready is
// taken back.
func Persist(name string, owner int) error {
	if err := CheckName(name); err != nil {
		return err
	}
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("tap: %w", err)
	}
	defer unix.Close(s)
	// Exclusive: the kernel itself refuses a name that is there. Until it is
	// persistent, the TAP ends with the descriptor.
	f, err := attach(name, unix.IFF_TUN_EXCL)
	if errors.Is(err, syscall.EBUSY) {
		return fmt.Errorf("%w: %s", ErrExists, name)
	}
	if err != nil {
		return refusal(name, err)
	}
	defer f.Close()
	if owner != NoOwner {
		if err := unix.IoctlSetInt(int(f.Fd()), unix.TUNSETOWNER, owner); err != nil {
			return refusal(name, os.NewSyscallError("TUNSETOWNER", err))
		}
	}
	quiet(name)
	if err := configure(s, name); err != nil {
		return refusal(name, err)
	}
	if err := unix.IoctlSetInt(int(f.Fd()), unix.TUNSETPERSIST, 1); err != nil {
		return refusal(name, os.NewSyscallError("TUNSETPERSIST", err))
	}
	return nil
}

// Remove ends the TAP name of the current network namespace, if nx made it
// (its hardware address says so) and nobody has it open.
func Remove(name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	iface, err := net.InterfaceByName(name)
	if err != nil {
		return fmt.Errorf("%w: %s", ErrMissing, name)
	}
	if iface.HardwareAddr.String() != frame.Host.MAC.String() {
		return fmt.Errorf("%w: %s has the hardware address %v, not %v", ErrForeign, name, iface.HardwareAddr, frame.Host.MAC)
	}
	f, err := attach(name, 0)
	if err != nil {
		return refusal(name, err)
	}
	defer f.Close()
	if err := unix.IoctlSetInt(int(f.Fd()), unix.TUNSETPERSIST, 0); err != nil {
		return refusal(name, os.NewSyscallError("TUNSETPERSIST", err))
	}
	return nil
}

// CheckName refuses what the kernel would, and the % with which it chooses a
// number itself.
func CheckName(name string) error {
	if name == "" || len(name) >= unix.IFNAMSIZ || name == "." || name == ".." || strings.ContainsAny(name, "/:% \t\n\v\f\r") {
		return fmt.Errorf("%w: %q", ErrName, name)
	}
	return nil
}

// refusal names what the kernel's errors mean here.
func refusal(name string, err error) error {
	switch {
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%w: %s: %w", ErrPermission, name, err)
	case errors.Is(err, syscall.EBUSY):
		return fmt.Errorf("%w: %s: %w", ErrBusy, name, err)
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ENODEV), errors.Is(err, syscall.ENXIO):
		return fmt.Errorf("%w: %w", ErrNoDevice, err)
	}
	return fmt.Errorf("tap: %s: %w", name, err)
}
