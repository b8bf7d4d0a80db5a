package nxnet

import (
	"errors"

	"github.com/spf13/cobra"

	"nexus/source/api/netcli"
	"nexus/source/libs/channel"
	"nexus/tools/nx-net/pcapng"
)

// capture is `nx net capture`.
func (c Config) capture() *cobra.Command {
	services := &dialed{dial: c.Dial}
	cmd := pcapng.NewCapture(func(service string) (*channel.Conn, error) { return services.Open(service) })
	services.cmd = cmd
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		defer services.close()
		err := run(cmd, args)
		if errors.Is(err, pcapng.ErrGuest) {
			return &netcli.Error{Status: netcli.StatusRefused, Text: err.Error()}
		}
		return err
	}
	return cmd
}
