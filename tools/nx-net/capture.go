package nxnet

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"nexus/source/api/netcli"
	"nexus/source/libs/channel"
	"nexus/tools/nx-net/pcapng"
)

// capture is `nx net capture`.
func (c Config) capture() *cobra.Command {
	services := &dialed{dial: c.Dial}
	cmd := pcapng.NewCapture(func(service string) (*channel.Conn, error) {
		conn, err := services.Open(service)
		if err != nil {
			return nil, netcli.Unavailable(service, err)
		}
		return conn, nil
	})
	cmd.SetOut(c.Out)
	cmd.SetErr(c.Err)
	services.cmd = cmd
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		defer services.close()
		err := run(cmd, args)
		if errors.Is(err, pcapng.ErrGuest) {
			return netcli.Explain(context.WithoutCancel(cmd.Context()), services, netcli.Netstackd, err)
		}
		return err
	}
	return cmd
}
