package cli

import (
	"context"

	"github.com/spf13/cobra"

	"nexus/source/api/netcli"
	nxnet "nexus/tools/nx-net"
	"nexus/tools/nx/internal/control"
	"nexus/tools/nx/internal/rundir"
)

func newNet(s streams) *cobra.Command {
	return nxnet.New(nxnet.Config{
		Dial: dialGuest, Facts: doctorFacts, Guests: runningGuests,
		In: s.in, Out: s.out, Err: s.err,
	})
}

// dialGuest finds a running guest by its name, or the only one when the name is "", and gives its services.
func dialGuest(ctx context.Context, name string) (netcli.Services, error) {
	guest, err := rundir.Select(name)
	if err != nil {
		return nil, err
	}
	return control.Dial(ctx, guest.Path(rundir.SocketFile)), nil
}

// runningGuests are the names of the guests that run, for completion.
func runningGuests() []string {
	root, err := rundir.Open(rundir.Default())
	if err != nil {
		return nil
	}
	guests, err := root.Running()
	if err != nil {
		return nil
	}
	var names []string
	for _, g := range guests {
		names = append(names, g.Name)
	}
	return names
}
