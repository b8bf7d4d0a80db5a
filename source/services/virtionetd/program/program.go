// Package program is virtionetd: it owns the network device: it drives virtio-mmio's network
// device, shares its frames with netstackd, and answers net.capnp. It is started by
// nexus-init with the descriptors window, irq, rings, frames and net.*.
package program

import (
	"context"

	"nexus/source/libs/svc"
	"nexus/source/services/virtionetd/driver"
)

// Main is the program.
func Main() { svc.Fail(run()) }

func run() error {
	service, err := svc.Open()
	if err != nil {
		return err
	}
	config, err := driver.FromDescriptors(service)
	if err != nil {
		return svc.Permanent(err)
	}
	d, err := driver.Open(config)
	if err != nil {
		return svc.Permanent(err)
	}
	d.Announce()
	if err := service.Ready(); err != nil {
		return err
	}
	return d.Run(context.Background())
}
