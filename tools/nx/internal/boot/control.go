package boot

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"nexus/tools/nx/internal/rundir"
)

// control is the host's side of the guest's control port.
type control struct {
	guest *os.File // QEMU's end, to be closed here once QEMU has it
	host  *os.File
}

// openControl makes the control port's two ends. What serves the host's end to
// clients, on rundir.SocketFile in the guest's folder, is started here and ended
// in shut.
func openControl(_ *rundir.Guest) (*control, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("control port: %w", os.NewSyscallError("socketpair", err))
	}
	if err := unix.SetNonblock(fds[1], true); err != nil {
		return nil, errors.Join(fmt.Errorf("control port: %w", err), unix.Close(fds[0]), unix.Close(fds[1]))
	}
	return &control{
		guest: os.NewFile(uintptr(fds[0]), "control-guest"),
		host:  os.NewFile(uintptr(fds[1]), "control-host"), // its waits can be bounded
	}, nil
}

// started lets go of QEMU's end, so that the port ends when QEMU does.
func (c *control) started() {
	if c.guest != nil {
		_ = c.guest.Close()
		c.guest = nil
	}
}

// shut closes both ends.
func (c *control) shut() error {
	c.started()
	return c.host.Close()
}
