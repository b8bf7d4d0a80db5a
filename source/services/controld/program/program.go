// Package program is controld: it owns the control port, over which programs of the host talk to services of the guest, and
// relays their datagrams. It is started by nexus-init with the descriptors window, irq and memory of the virtio console
// device, and with channels to services, each named for its service: netstackd.0, netstackd.1, fetchd.0.
package program

import (
	"context"
	"errors"

	"nexus/source/libs/svc"
	"nexus/source/services/controld/gateway"
	"nexus/source/services/controld/port"
)

// Main is the program.
func Main() { svc.Fail(run()) }

func run() error {
	service, err := svc.Open()
	if err != nil {
		return err
	}
	config, err := port.FromDescriptors(service)
	if err != nil {
		return svc.Permanent(err)
	}
	pools, err := gateway.FromDescriptors(service, "window", "irq", "memory")
	if err != nil {
		return svc.Permanent(err)
	}
	p, err := port.Open(config)
	if err != nil {
		return svc.Permanent(err)
	}
	g, err := gateway.New(gateway.Config{Stream: p, Pools: pools, Stats: p.Stats, Mark: svc.Mark, Stop: service.Stop})
	if err != nil {
		return svc.Permanent(err)
	}
	svc.Mark("controld: ready")
	if err := service.Ready(); err != nil {
		return err
	}
	return serve(p, g)
}

// serve runs the port and the gateway until one of them cannot go on, which ends the other.
func serve(p *port.Port, g *gateway.Gateway) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	err := g.Run(ctx)
	cancel()
	return errors.Join(err, <-ended)
}
