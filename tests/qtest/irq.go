package qtest

import (
	"os"
	"sync"
)

// IRQ is the interrupt line of one virtio-mmio slot where it enters the PLIC: a level, masked
// from its firing until it is armed, as the kernel hands it out.
type IRQ struct {
	mu     sync.Mutex
	level  bool
	open   bool
	raised int
	fired  chan struct{}
	closed chan struct{}
	once   sync.Once
}

// IRQ gives slot n's line. Before the device is used.
func (m *Machine) IRQ(n int) (*IRQ, error) {
	path, err := m.interruptController()
	if err != nil {
		return nil, err
	}
	i := &IRQ{fired: make(chan struct{}, 1), closed: make(chan struct{})}
	m.mu.Lock()
	m.onIRQ[firstIRQ+n] = i.set
	m.mu.Unlock()
	if _, err := m.Command("irq_intercept_in %s", path); err != nil {
		return nil, err
	}
	return i, nil
}

func (i *IRQ) set(level bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if level && !i.level {
		i.raised++
	}
	i.level = level
	i.fire()
}

func (i *IRQ) fire() {
	if !i.level || !i.open {
		return
	}
	i.open = false
	select {
	case i.fired <- struct{}{}:
	default: // nobody has taken the last one yet
	}
}

// Raised gives how often the line went up.
func (i *IRQ) Raised() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.raised
}

// Level reports whether the line is up.
func (i *IRQ) Level() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.level
}

// Arm unmasks the line.
func (i *IRQ) Arm() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.open = true
	i.fire()
	return nil
}

// Wait blocks until the line fires.
func (i *IRQ) Wait() error {
	select {
	case <-i.fired:
		return nil
	case <-i.closed:
		return os.ErrClosed
	}
}

// Close ends Wait.
func (i *IRQ) Close() error {
	i.once.Do(func() { close(i.closed) })
	return nil
}
