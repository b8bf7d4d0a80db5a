package port

import (
	"fmt"

	"nexus/source/libs/svc"
	"nexus/source/libs/virtio/dma"
	"nexus/source/libs/virtio/serialdev"
	"nexus/source/libs/virtio/slot"
)

// FromDescriptors makes a Config of the descriptors nexus-init handed over: window, irq and memory, which is DMA memory
// of serialdev.MemoryBytes.
func FromDescriptors(s *svc.Service) (Config, error) {
	own, err := slot.Open(s)
	if err != nil {
		return Config{}, err
	}
	c := Config{Slot: own}
	if err := openMemory(s, &c); err != nil {
		return Config{}, err
	}
	return c, nil
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
