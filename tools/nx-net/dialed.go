package nxnet

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"nexus/source/api/netcli"
	"nexus/source/libs/channel"
)

// dialed is the guest that a command's flags name. It is looked for when its first service is opened: by then the flags are
// parsed, and the command has checked what it was given.
type dialed struct {
	cmd  *cobra.Command
	dial func(ctx context.Context, guest string) (netcli.Services, error)

	mu       sync.Mutex
	services netcli.Services
}

// guest returns the name that the flag gives the guest, or else the environment; "" for the only one.
func (d *dialed) guest() string {
	if flag := d.cmd.Flag("guest"); flag != nil && flag.Changed {
		return flag.Value.String()
	}
	return os.Getenv(GuestVariable)
}

// Open implements netcli.Services.
func (d *dialed) Open(service string) (*channel.Conn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.services == nil {
		services, err := d.dial(d.cmd.Root().Context(), d.guest())
		if err != nil {
			return nil, noGuest(err)
		}
		d.services = services
	}
	return d.services.Open(service)
}

// noGuest gives the error of Dial its status, unless it has one.
func noGuest(err error) error {
	var own *netcli.Error
	if errors.As(err, &own) {
		return err
	}
	return &netcli.Error{Status: netcli.StatusNotRun, Text: err.Error()}
}

// Ended implements netcli.Ender.
func (d *dialed) Ended(service string) error {
	d.mu.Lock()
	services := d.services
	d.mu.Unlock()
	if ender, ok := services.(netcli.Ender); ok {
		if err := ender.Ended(service); err != nil {
			return err
		}
	}
	name := d.guest()
	if name == "" {
		name = "NAME"
	}
	return &netcli.Error{
		Status: netcli.StatusRefused, Errno: syscall.ECONNRESET,
		Text: "the guest ended during the call: nx ps --all, nx logs " + name,
	}
}

// close ends what Dial gave, where it can be ended.
func (d *dialed) close() {
	if closer, ok := d.services.(io.Closer); ok {
		_ = closer.Close() // nothing more is wanted of it
	}
}
