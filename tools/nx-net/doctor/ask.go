package doctor

import (
	"net/netip"
	"time"

	"nexus/source/api/netapi"
	"nexus/source/libs/channel"
)

// Services opens channels to a running guest's services.
type Services interface {
	Open(service string) (*channel.Conn, error)
}

// Bounds of the questions to a guest.
const (
	askBound  = netapi.DefaultTimeout
	pings     = 2
	pingBound = time.Second
	pingSize  = 56 // bytes of payload
)

// Ask asks a running guest; also, when it is valid, whether target answers ping. It always returns: a guest that does not answer
// is a fact too.
func Ask(services Services, target netip.Addr) *Live {
	l := &Live{Counters: map[string]uint64{}}
	if l.Error = l.ask(services, target); l.Error != nil {
		return l
	}
	l.Error = with(services, "virtionetd", l.count)
	return l
}

// with calls ask with a client of service.
func with(services Services, service string, ask func(*netapi.Client) error) error {
	conn, err := services.Open(service)
	if err != nil {
		return err
	}
	client := netapi.NewClient(conn)
	defer client.Close()
	client.Timeout = askBound
	return ask(client)
}

func (l *Live) ask(services Services, target netip.Addr) error {
	return with(services, "netstackd", func(c *netapi.Client) (err error) {
		if l.Interfaces, err = c.IfList(); err != nil {
			return err
		}
		if i, found := interfaceNamed(l.Interfaces, cardName); found && i.Up && i.Address.Gateway.IsValid() {
			l.ping(c, i.Address.Gateway, true)
		}
		if target.IsValid() {
			l.ping(c, target, false)
		}
		// Behind the pings, so that it tells what became of them.
		if l.Neighbours, err = c.ARP(); err != nil {
			return err
		}
		return l.count(c)
	})
}

func (l *Live) ping(c *netapi.Client, to netip.Addr, gateway bool) {
	p := Ping{To: to, Gateway: gateway}
	var echoes []netapi.Echo
	p.Sent, echoes, p.Error = c.Ping(to, pings, pingBound, pingSize)
	p.Got = len(echoes)
	l.Pings = append(l.Pings, p)
}

// count adds a service's counters.
func (l *Live) count(c *netapi.Client) error {
	all, err := c.Stats()
	for _, one := range all {
		l.Counters[one.Name] = one.Value
	}
	return err
}
