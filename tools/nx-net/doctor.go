package nxnet

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"nexus/source/api/netcli"
	"nexus/tools/nx-net/doctor"
)

// doctor is `nx net doctor`.
func (c Config) doctor() *cobra.Command {
	services := &dialed{dial: c.Dial}
	cmd := doctor.New(doctor.Config{
		Collect: func(ctx context.Context) (doctor.Facts, doctor.Services, error) {
			facts, err := c.Facts(ctx, services.guest())
			if err != nil || facts.Boot == nil || !facts.Boot.Running {
				return facts, nil, err
			}
			return facts, services, nil
		},
		JSON: func() bool {
			flag := services.cmd.Flag("json")
			return flag != nil && flag.Value.String() == "true"
		},
		Out: c.Out,
	})
	services.cmd = cmd
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		defer services.close()
		err := run(cmd, args)
		if errors.Is(err, doctor.ErrFaulty) {
			return &netcli.Error{Status: netcli.StatusFault}
		}
		return err
	}
	return cmd
}
