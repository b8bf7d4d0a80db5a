package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"nexus/source/api/netcli"
	nxnet "nexus/tools/nx-net"
)

func newNet(s streams) *cobra.Command {
	return nxnet.New(nxnet.Config{Dial: dialGuest, In: s.in, Out: s.out, Err: s.err})
}

var errNoControl = errors.New("no guest can be reached: this nx boots guests without a control channel; the same commands run inside the guest")

// dialGuest finds a running guest by its name, or the only one when the name is "", and gives its services.
func dialGuest(context.Context, string) (netcli.Services, error) {
	return nil, errNoControl
}
