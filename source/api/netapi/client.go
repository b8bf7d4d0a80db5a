package netapi

import (
	"net/netip"
	"syscall"
	"time"

	"nexus/source/api/netcapnp"
	"nexus/source/libs/channel"
)

// Client asks a server of net.capnp. Each method is one call, bounded by Timeout; a refusal is an *Error. It is safe for
// concurrent use; calls run one after the other.
type Client struct {
	calls *channel.Client

	// Timeout bounds calls that do not wait by themselves; those that do (Recv, Ping, DHCP) get it on top.
	Timeout time.Duration
}

// DefaultTimeout is a new Client's Timeout.
const DefaultTimeout = 10 * time.Second

// NewClient returns a client on conn, which it takes over.
func NewClient(conn *channel.Conn) *Client {
	return &Client{calls: channel.NewClient(conn), Timeout: DefaultTimeout}
}

// Close closes the channel.
func (c *Client) Close() error { return c.calls.Close() }

var errWrongReply = Refused(syscall.EBADMSG, "the server sent the reply to another request")

// call makes one request and hands its reply, which must be of kind want, to read.
func (c *Client) call(extra time.Duration, fill func(netcapnp.Request) error, want netcapnp.Reply_Which,
	read func(netcapnp.Reply, *channel.Reply) error) error {
	message, segment := channel.NewMessage()
	request, err := netcapnp.NewRootRequest(segment)
	if err != nil {
		return err
	}
	if err := fill(request); err != nil {
		return err
	}
	got, err := c.calls.Call(c.Timeout+extra, message)
	if err != nil {
		return err
	}
	defer got.Close()
	reply := netcapnp.Reply(got.Root)
	switch reply.Which() {
	case want:
		if read == nil {
			return nil
		}
		return read(reply, got)
	case netcapnp.Reply_Which_error:
		text, err := reply.Error().Text()
		if err != nil {
			return err
		}
		return Refused(syscall.Errno(reply.Error().Errno()), text)
	default:
		return errWrongReply
	}
}

// plain is a request without parameters.
func plain(set func(netcapnp.Request)) func(netcapnp.Request) error {
	return func(r netcapnp.Request) error { set(r); return nil }
}

// named is a request with an interface's name as its only parameter.
func named(set func(netcapnp.Request, string) error, name string) func(netcapnp.Request) error {
	return func(r netcapnp.Request) error { return set(r, name) }
}

// Info returns the server's interface: the NIC or virt0.
func (c *Client) Info() (i Interface, err error) {
	err = c.call(0, plain(netcapnp.Request.SetInfo), netcapnp.Reply_Which_info,
		func(r netcapnp.Reply, _ *channel.Reply) error {
			from, err := r.Info()
			if err != nil {
				return err
			}
			i, err = InterfaceOf(from)
			return err
		})
	return i, err
}

// Send puts one raw Ethernet frame on the wire.
func (c *Client) Send(frame []byte) error {
	return c.call(0, func(r netcapnp.Request) error { return r.SetSend(frame) }, netcapnp.Reply_Which_done, nil)
}

// Recv returns the next received frame, or an error that is syscall.ETIMEDOUT.
func (c *Client) Recv(timeout time.Duration) (frame []byte, err error) {
	err = c.call(timeout, func(r netcapnp.Request) error {
		r.SetRecv()
		r.Recv().SetTimeoutMs(milliseconds(timeout))
		return nil
	}, netcapnp.Reply_Which_frame, func(r netcapnp.Reply, _ *channel.Reply) error {
		frame, err = r.Frame()
		return err
	})
	return frame, err
}

// Attach takes over virtionetd's frame queue.
func (c *Client) Attach() (a Attachment, err error) {
	err = c.call(0, plain(netcapnp.Request.SetAttach), netcapnp.Reply_Which_attach,
		func(r netcapnp.Reply, got *channel.Reply) error {
			from, err := r.Attach()
			if err != nil {
				return err
			}
			i, err := from.Interface()
			if err != nil {
				return err
			}
			if a.Interface, err = InterfaceOf(i); err != nil {
				return err
			}
			const sane = 1 << 30
			if from.FramesSize() > sane || from.QueueSize() > sane || len(got.Descriptors) != 4 {
				return Refused(syscall.EBADMSG, "attach: sizes or descriptors are not those of a frame queue")
			}
			a.SlotSize, a.Slots = int(from.SlotSize()), int(from.Slots())
			a.FramesSize, a.QueueSize = int(from.FramesSize()), int(from.QueueSize())
			fds := got.Take()
			a.Frames, a.Queue, a.RxBell, a.TxBell = fds[0], fds[1], fds[2], fds[3]
			return nil
		})
	return a, err
}

// Stats returns every counter of the server.
func (c *Client) Stats() (counters []Counter, err error) {
	err = c.call(0, plain(netcapnp.Request.SetStats), netcapnp.Reply_Which_stats,
		func(r netcapnp.Reply, _ *channel.Reply) error {
			list, err := r.Stats()
			if err != nil {
				return err
			}
			for i := range list.Len() {
				name, err := list.At(i).Name()
				if err != nil {
					return err
				}
				counters = append(counters, Counter{name, list.At(i).Value()})
			}
			return nil
		})
	return counters, err
}

// IfUp sets an interface up.
func (c *Client) IfUp(name string) error {
	return c.call(0, named(netcapnp.Request.SetIfUp, name), netcapnp.Reply_Which_done, nil)
}

// IfDown sets an interface down.
func (c *Client) IfDown(name string) error {
	return c.call(0, named(netcapnp.Request.SetIfDown, name), netcapnp.Reply_Which_done, nil)
}

// IfList returns all interfaces, lo first.
func (c *Client) IfList() (all []Interface, err error) {
	err = c.call(0, plain(netcapnp.Request.SetIfList), netcapnp.Reply_Which_ifList,
		func(r netcapnp.Reply, _ *channel.Reply) error {
			list, err := r.IfList()
			if err != nil {
				return err
			}
			for i := range list.Len() {
				one, err := InterfaceOf(list.At(i))
				if err != nil {
					return err
				}
				all = append(all, one)
			}
			return nil
		})
	return all, err
}

// maxDHCP is how long a server may take over DHCP on the wire.
const maxDHCP = 60 * time.Second

// DHCP obtains a lease for an interface.
func (c *Client) DHCP(name string) (Address, error) {
	return c.address(maxDHCP, named(netcapnp.Request.SetDhcp, name))
}

// AddrGet returns an interface's address.
func (c *Client) AddrGet(name string) (Address, error) {
	return c.address(0, named(netcapnp.Request.SetAddrGet, name))
}

func (c *Client) address(extra time.Duration, fill func(netcapnp.Request) error) (a Address, err error) {
	err = c.call(extra, fill, netcapnp.Reply_Which_address, func(r netcapnp.Reply, _ *channel.Reply) error {
		from, err := r.Address()
		if err != nil {
			return err
		}
		a, err = AddressOf(from)
		return err
	})
	return a, err
}

// AddrSet replaces an interface's address; Origin, DNS and Lease of a are ignored.
func (c *Client) AddrSet(name string, a Address) error {
	return c.call(0, func(r netcapnp.Request) error {
		r.SetAddrSet()
		if err := r.AddrSet().SetName(name); err != nil {
			return err
		}
		to, err := r.AddrSet().NewAddress()
		if err != nil {
			return err
		}
		return SetAddress(to, a)
	}, netcapnp.Reply_Which_done, nil)
}

// Ping sends count ICMP echoes with size bytes of payload and waits up to timeout for each. It returns how many were
// sent and the replies in order of arrival.
func (c *Client) Ping(to netip.Addr, count int, timeout time.Duration, size int) (sent int, echoes []Echo, err error) {
	err = c.call(time.Duration(count)*timeout, func(r netcapnp.Request) error {
		r.SetPing()
		r.Ping().SetCount(uint16(count))
		r.Ping().SetTimeoutMs(milliseconds(timeout))
		r.Ping().SetSize(uint16(size))
		return r.Ping().SetAddress(bytesOf(to))
	}, netcapnp.Reply_Which_ping, func(r netcapnp.Reply, _ *channel.Reply) error {
		sent = int(r.Ping().Sent())
		list, err := r.Ping().Echoes()
		if err != nil {
			return err
		}
		for i := range list.Len() {
			e := list.At(i)
			echoes = append(echoes, Echo{int(e.Sequence()), int(e.Ttl()), int(e.Size()), time.Duration(e.Nanoseconds())})
		}
		return nil
	})
	return sent, echoes, err
}

// ARP returns the neighbour table.
func (c *Client) ARP() (all []Neighbour, err error) {
	err = c.call(0, plain(netcapnp.Request.SetArp), netcapnp.Reply_Which_arp,
		func(r netcapnp.Reply, _ *channel.Reply) error {
			list, err := r.Arp()
			if err != nil {
				return err
			}
			for i := range list.Len() {
				one, err := neighbourOf(list.At(i))
				if err != nil {
					return err
				}
				all = append(all, one)
			}
			return nil
		})
	return all, err
}

func neighbourOf(from netcapnp.Neighbour) (n Neighbour, err error) {
	if n.Interface, err = from.Interface(); err != nil {
		return n, err
	}
	if n.State, err = from.State(); err != nil {
		return n, err
	}
	ip, err := from.Ip()
	if err != nil {
		return n, err
	}
	mac, err := from.Mac()
	if err != nil {
		return n, err
	}
	n.IP = ip4(ip)
	copy(n.MAC[:], mac)
	return n, nil
}

// milliseconds rounds up, so that a short wait does not become none.
func milliseconds(d time.Duration) uint32 {
	return uint32(min(max(d+time.Millisecond-1, 0)/time.Millisecond, 1<<32-1))
}
