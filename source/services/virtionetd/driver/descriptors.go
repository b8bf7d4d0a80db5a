package driver

import (
	"fmt"

	"nexus/source/libs/channel"
	"nexus/source/libs/frameq"
	"nexus/source/libs/svc"
	"nexus/source/libs/virtio/dma"
	"nexus/source/libs/virtio/slot"
)

// stackName is the descriptor of the one channel that may take the frame queue.
const stackName = "net.netstackd"

// ringBytes is the size of the manifest's `rings`.
const ringBytes = 64 << 10

// FromDescriptors makes a Config of the descriptors nexus-init handed over:
// window, irq, rings, frames and net.*.
func FromDescriptors(s *svc.Service) (Config, error) {
	own, err := slot.Open(s)
	if err != nil {
		return Config{}, err
	}
	c := Config{Slot: own, Mark: svc.Mark}
	for _, open := range []func(*svc.Service, *Config) error{openMemory, openChannels} {
		if err := open(s, &c); err != nil {
			return Config{}, err
		}
	}
	return c, nil
}

func openMemory(s *svc.Service, c *Config) error {
	rings, err := s.Descriptor("rings")
	if err != nil {
		return err
	}
	if c.Rings, err = dma.Map(rings, ringBytes); err != nil {
		return err
	}
	if c.FramesFile, err = s.Descriptor("frames"); err != nil {
		return err
	}
	c.Frames, err = dma.Map(c.FramesFile, frameq.PoolSize)
	return err
}

func openChannels(s *svc.Service, c *Config) error {
	for _, d := range s.Descriptors("net") {
		client, err := openChannel(d)
		if err != nil {
			return err
		}
		c.Clients = append(c.Clients, client)
	}
	return nil
}

func openChannel(d svc.Named) (Client, error) {
	conn, err := channel.Open(d.File)
	if err != nil {
		return Client{}, fmt.Errorf("descriptor %s: %w", d.Name, err)
	}
	return Client{Conn: conn, Stack: d.Name == stackName}, nil
}
