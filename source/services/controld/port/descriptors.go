package port

import (
	"fmt"

	"nexus/source/libs/irq"
	"nexus/source/libs/svc"
	"nexus/source/libs/virtio"
	"nexus/source/libs/virtio/dma"
	"nexus/source/libs/virtio/mmio"
	"nexus/source/libs/virtio/serialdev"
)

// FromDescriptors makes a Config of the descriptors nexus-init handed over: window, irq and memory, which is DMA memory
// of serialdev.MemoryBytes.
func FromDescriptors(s *svc.Service) (Config, error) {
	var c Config
	for _, open := range []func(*svc.Service, *Config) error{openWindow, openInterrupt, openMemory} {
		if err := open(s, &c); err != nil {
			return Config{}, err
		}
	}
	return c, nil
}

func openWindow(s *svc.Service, c *Config) error {
	f, err := s.Descriptor("window")
	if err != nil {
		return err
	}
	w, err := mmio.Map(f, virtio.WindowSize)
	if err != nil {
		return err
	}
	c.Window, c.Base = w, w.Base()
	return nil
}

func openInterrupt(s *svc.Service, c *Config) error {
	f, err := s.Descriptor("irq")
	if err != nil {
		return err
	}
	c.Interrupt, c.Number, err = irq.Open(f)
	return err
}

func openMemory(s *svc.Service, c *Config) error {
	f, err := s.Descriptor("memory")
	if err != nil {
		return err
	}
	stat, err := f.Stat()
	if err != nil {
		return fmt.Errorf("descriptor memory: %w", err)
	}
	if stat.Size() < serialdev.MemoryBytes {
		return fmt.Errorf("descriptor memory has %d bytes, want %d: correct the manifest", stat.Size(), serialdev.MemoryBytes)
	}
	c.Memory, err = dma.Map(f, serialdev.MemoryBytes)
	return err
}
