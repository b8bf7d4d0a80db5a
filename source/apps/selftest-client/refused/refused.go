// Package refused proves the other side of the manifest: that a right which was
// not granted is refused. It tries to take devices, namespaces and sockets that
// this program was not given, and expects each try to fail as the contract says.
package refused

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// Attempt is one try to take a right.
type Attempt struct {
	What string
	Try  func() error // nil means that the right could be taken
	Want []error      // how it may be refused
}

// ErrNotRefused is a right that was not granted and could be taken.
var ErrNotRefused = errors.New("was not refused")

// Check makes every attempt and returns how many were refused as they must be;
// all others are in the error.
func Check(attempts []Attempt) (refused int, err error) {
	for _, a := range attempts {
		got := a.Try()
		switch {
		case got == nil:
			err = errors.Join(err, fmt.Errorf("%s: %w: the kernel gives away what the manifest does not", a.What, ErrNotRefused))
		case !slices.ContainsFunc(a.Want, func(w error) bool { return errors.Is(got, w) }):
			err = errors.Join(err, fmt.Errorf("%s: refused with %q, want one of %v", a.What, got, a.Want))
		default:
			refused++
		}
	}
	return refused, err
}

// Everywhere are the attempts that must fail in every service: devices by path
// and through descriptors that are no directory, sockets below IP, the namespaces
// of others, and signals to whoever is not a child.
func Everywhere() []Attempt {
	var all []Attempt
	for _, path := range []string{
		"/virtio_mmio@10002000/window", "/virtio_mmio@10002000/irq", "/dma", "/socketns", "/processes", "/fdt",
		"virtio_mmio@10002000/window", "/dev/mem", "/dev/uio0", "/dev/virtio_mmio@10002000/window",
	} {
		all = append(all, Attempt{"open " + path, open(unix.AT_FDCWD, path), []error{unix.ENOENT, unix.ENOTDIR, unix.EACCES}})
	}
	for fd := range 3 {
		all = append(all, Attempt{
			"open dma at descriptor " + strconv.Itoa(fd), open(fd, "dma"),
			[]error{unix.ENOTDIR, unix.EBADF, unix.ENOENT, unix.EACCES},
		})
	}
	return append(all,
		Attempt{"raw frames", socket(unix.AF_PACKET, unix.SOCK_RAW, 0), []error{unix.EAFNOSUPPORT, unix.EPERM}},
		Attempt{"raw IP", socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP),
			[]error{unix.EPERM, unix.ESOCKTNOSUPPORT, unix.EPROTONOSUPPORT, unix.EAFNOSUPPORT}},
		Attempt{"enter a namespace through standard input", func() error { return unix.Setns(0, unix.CLONE_NEWNET) },
			[]error{unix.EINVAL, unix.EPERM}},
		Attempt{"signal process 1", func() error { return unix.Kill(1, 0) }, []error{unix.EPERM}},
	)
}

// Outside are the attempts that must fail in a program outside every socket
// namespace.
func Outside() []Attempt {
	var all []Attempt
	for _, t := range []struct {
		what string
		kind int
	}{{"TCP socket", unix.SOCK_STREAM}, {"UDP socket", unix.SOCK_DGRAM}} {
		all = append(all, Attempt{t.what + " outside a namespace", socket(unix.AF_INET, t.kind, 0), []error{unix.EAFNOSUPPORT}})
	}
	return all
}

// open returns an attempt to open name under directory.
func open(directory int, name string) func() error {
	return func() error {
		fd, err := unix.Openat(directory, name, unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err == nil {
			unix.Close(fd)
		}
		return err
	}
}

// socket returns an attempt to make a socket.
func socket(family, kind, protocol int) func() error {
	return func() error {
		fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, protocol)
		if err == nil {
			unix.Close(fd)
		}
		return err
	}
}
