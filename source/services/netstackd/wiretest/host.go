package wiretest

import (
	"sync"
	"time"

	"nexus/source/services/netstackd/guard"
	"nexus/source/services/netstackd/link"
	"nexus/source/services/netstackd/netstack"
)

// Host is a stack on a port of its own.
type Host struct {
	*netstack.Stack
	Port     *Port
	Guard    *guard.Guard
	Endpoint *link.Endpoint
	done     chan struct{}
}

// NewHost returns a host with virt0 up and no address. out gets what it sends.
func NewHost(mac [6]byte, config netstack.Config, out func(frame []byte)) (*Host, error) {
	stack, err := netstack.New(config)
	if err != nil {
		return nil, err
	}
	port, err := NewPort(mac, 200, out)
	if err != nil {
		return nil, err
	}
	h := &Host{Stack: stack, Port: port, Guard: guard.New(mac, stack.Neighbours()), done: make(chan struct{})}
	start := time.Now()
	h.Endpoint = link.New(link.Config{
		MAC: mac, MTU: port.MTU, Guard: h.Guard, OnDHCP: func([]byte) {},
		Now: func() time.Duration { return time.Since(start) },
	})
	if err := stack.AddEthernet(mac, h.Endpoint, h.Guard); err != nil {
		return nil, err
	}
	queue, bell, err := port.Stack()
	if err != nil {
		return nil, err
	}
	ring, err := link.NewBell(bell.File())
	if err != nil {
		return nil, err
	}
	h.Endpoint.Plug(queue)
	go func() {
		_ = h.Endpoint.Run(queue, ring) // ends when Close closes the bell
		close(h.done)
	}()
	return h, stack.SetUp(netstack.Ethernet, true)
}

// Close ends the host.
func (h *Host) Close() {
	h.Port.Close()
	<-h.done
	h.Stack.Close()
}

// Cable carries frames between two ports. It never blocks the sender: what does not fit is lost, as on a real one.
type Cable struct {
	mu     sync.Mutex
	ends   [2]*Port
	tamper func(from int, frame []byte) [][]byte
}

// SetTamper sets a function that may change, drop (no result) or multiply each frame. from is the sending end, 0 or 1.
func (c *Cable) SetTamper(tamper func(from int, frame []byte) [][]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tamper = tamper
}

// Plug puts a port at an end.
func (c *Cable) Plug(end int, p *Port) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ends[end] = p
}

// Out returns the function that sends from an end.
func (c *Cable) Out(from int) func(frame []byte) {
	return func(frame []byte) {
		c.mu.Lock()
		to, tamper := c.ends[1-from], c.tamper
		frames := [][]byte{frame}
		if tamper != nil {
			frames = tamper(from, frame)
		}
		c.mu.Unlock()
		if to == nil {
			return
		}
		for _, f := range frames {
			to.Inject(f)
		}
	}
}
