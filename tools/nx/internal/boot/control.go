package boot

import (
	"context"
	"fmt"
	"os"

	"nexus/tools/nx/internal/control"
	"nexus/tools/nx/internal/rundir"
)

// controlPort is the host's side of the guest's control port: it is shared among
// clients, who find it as rundir.SocketFile in the guest's folder.
type controlPort struct {
	guest  *os.File // QEMU's end, to be closed here once QEMU has it
	mux    *control.Mux
	cancel context.CancelFunc
	ended  chan error
}

// openControl makes the port and lets clients come.
func openControl(guest *rundir.Guest) (*controlPort, error) {
	file, port, err := control.Pair()
	if err != nil {
		return nil, err
	}
	mux, err := control.Listen(guest.Path(rundir.SocketFile), port)
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("control port: %w", err)
	}
	// Not the boot's: the port ends when QEMU does, whatever ends that.
	ctx, cancel := context.WithCancel(context.Background())
	c := &controlPort{guest: file, mux: mux, cancel: cancel, ended: make(chan error, 1)}
	go func() { c.ended <- mux.Serve(ctx) }()
	return c, nil
}

// started lets go of QEMU's end, so that the port ends when QEMU does.
func (c *controlPort) started() {
	if c.guest != nil {
		_ = c.guest.Close()
		c.guest = nil
	}
}

// stop asks the guest to end its system.
func (c *controlPort) stop() error { return c.mux.Stop() }

// shut ends the port and its clients.
func (c *controlPort) shut() error {
	c.started()
	c.cancel()
	return <-c.ended
}
