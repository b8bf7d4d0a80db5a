package netapi

import (
	"fmt"
	"syscall"
	"time"

	"nexus/source/api/netcapnp"
	"nexus/source/libs/channel"
)

// packetsOverhead bounds the bytes of a packets reply that are no packets: framing, root, the list's tag.
const packetsOverhead = 256

const (
	// packetSize is a Packet's struct: two words and two pointers.
	packetSize = 32
	// PacketsRoom is how many bytes of packets, as PacketSize counts them, one reply can carry.
	PacketsRoom = channel.MaxMessage - packetsOverhead
	// MaxPacketData bounds a Packet's Data, so that any fits a reply.
	MaxPacketData = PacketsRoom - packetsOverhead
	// MaxCaptureWait bounds a captureRead's time-out.
	MaxCaptureWait = 10 * time.Second
)

// PacketSize returns how many bytes p takes of a reply: its struct, the name with its NUL, the data.
func PacketSize(p Packet) int { return packetSize + words(len(p.Interface)+1) + words(len(p.Data)) }

// words rounds n up to whole words of 8 bytes.
func words(n int) int { return (n + 7) &^ 7 }

// SetPackets stores packets, which must fit PacketsRoom, and how many were dropped as the packets reply.
func SetPackets(reply netcapnp.Reply, packets []Packet, dropped uint64) error {
	reply.SetPackets()
	reply.Packets().SetDropped(dropped)
	list, err := reply.Packets().NewList(int32(len(packets)))
	if err != nil {
		return err
	}
	for i, p := range packets {
		to := list.At(i)
		to.SetOutgoing(p.Outgoing)
		to.SetNanoseconds(uint64(p.Time.UnixNano()))
		to.SetLength(uint32(p.Length))
		if err := to.SetInterface(p.Interface); err != nil {
			return err
		}
		if err := to.SetData(p.Data); err != nil {
			return err
		}
	}
	return nil
}

// packetsOf reads the packets of a packets reply.
func packetsOf(reply netcapnp.Reply) (packets []Packet, err error) {
	list, err := reply.Packets().List()
	if err != nil {
		return nil, err
	}
	if list.Len() > PacketsRoom/packetSize {
		return nil, Refused(syscall.EBADMSG, "captureRead: the server sent more packets than a message has room for")
	}
	for i := range list.Len() {
		one, err := packetOf(list.At(i))
		if err != nil {
			return nil, err
		}
		packets = append(packets, one)
	}
	return packets, nil
}

// packetOf reads a packet from its message form.
func packetOf(from netcapnp.Packet) (p Packet, err error) {
	if p.Interface, err = from.Interface(); err != nil {
		return p, err
	}
	if p.Data, err = from.Data(); err != nil {
		return p, err
	}
	p.Outgoing, p.Length = from.Outgoing(), int(from.Length())
	p.Time = time.Unix(0, int64(from.Nanoseconds()))
	if p.Length < len(p.Data) {
		return p, Refused(syscall.EBADMSG, fmt.Sprintf("captureRead: the server sent %d bytes of a packet of %d", len(p.Data), p.Length))
	}
	return p, nil
}

// CaptureOpen begins to capture on the named interface, or on all for "", keeping snap bytes of each packet, or for 0 up to
// MaxPacketData. The capture ends with CaptureClose, or when it was not read for 30 s.
func (c *Client) CaptureOpen(name string, snap int) (handle uint64, err error) {
	err = c.call(0, func(r netcapnp.Request) error {
		r.SetCaptureOpen()
		r.CaptureOpen().SetSnapLength(uint32(min(max(snap, 0), MaxPacketData)))
		return r.CaptureOpen().SetInterface(name)
	}, netcapnp.Reply_Which_capture, func(r netcapnp.Reply, _ *channel.Reply) error {
		handle = r.Capture()
		return nil
	})
	return handle, err
}

// CaptureRead takes packets out of a capture, at least one, oldest first, and tells how many found no room in it since it was
// opened. It waits up to timeout (at most MaxCaptureWait) for the first, whose error is syscall.ETIMEDOUT.
func (c *Client) CaptureRead(handle uint64, timeout time.Duration) (packets []Packet, dropped uint64, err error) {
	timeout = min(timeout, MaxCaptureWait)
	err = c.call(timeout, func(r netcapnp.Request) error {
		r.SetCaptureRead()
		r.CaptureRead().SetCapture(handle)
		r.CaptureRead().SetTimeoutMs(milliseconds(timeout))
		return nil
	}, netcapnp.Reply_Which_packets, func(r netcapnp.Reply, _ *channel.Reply) error {
		dropped = r.Packets().Dropped()
		packets, err = packetsOf(r)
		return err
	})
	return packets, dropped, err
}

// CaptureClose forgets a capture and what it holds.
func (c *Client) CaptureClose(handle uint64) error {
	return c.call(0, func(r netcapnp.Request) error { r.SetCaptureClose(handle); return nil }, netcapnp.Reply_Which_done, nil)
}
