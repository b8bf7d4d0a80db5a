// Package program is netstackd: it owns the network: lo and virt0, ARP, IPv4, ICMP, UDP, TCP and DHCP. It serves the socket namespace, through
// which every program's sockets come, and net.capnp. nexus-init starts it with the descriptors virtionetd, sockets and net.*.
package program

import (
	"context"
	"os"

	"nexus/source/libs/svc"
	"nexus/source/services/netstackd/service"
)

// Main is the program.
func Main() { svc.Fail(run()) }

func run() error {
	inherited, err := svc.Open()
	if err != nil {
		return err
	}
	options, err := service.Parse(os.Args[1:])
	if err != nil {
		return svc.Permanent(err)
	}
	descriptors, err := service.Inherited(inherited)
	if err != nil {
		return err
	}
	ctx := context.Background()
	s, err := service.New(ctx, options, descriptors, svc.Mark)
	if err != nil {
		return err
	}
	return s.Run(ctx, inherited.Ready)
}
