package sockserver

import (
	"bytes"

	"gvisor.dev/gvisor/pkg/tcpip"

	"nexus/source/libs/sockns"
	"nexus/source/services/netstackd/netstack"
)

// sendDatagram sends one datagram of the program's: an address, family 0 for the connected one, and the payload.
func (s *socket) sendDatagram(data []byte) {
	if len(data) < sockns.AddressSize {
		s.server.count.datagramShort.Add(1)
		return
	}
	var to sockns.Address
	to.Decode((*[sockns.AddressSize]byte)(data))
	payload := bytes.NewReader(data[sockns.AddressSize:])
	var options tcpip.WriteOptions
	switch to.Family {
	case sockns.FamilyNone:
	case sockns.FamilyIP4:
		address := destination(to)
		options.To = &address
	default:
		s.server.event(s, netstack.ErrnoOf(&tcpip.ErrAddressFamilyNotSupported{}))
		return
	}
	for {
		_, err := s.ep().Write(payload, options)
		switch err.(type) {
		case nil:
			return
		case *tcpip.ErrWouldBlock:
			if !s.awaitRoom() {
				return
			}
			payload.Reset(data[sockns.AddressSize:])
		default:
			s.server.event(s, netstack.ErrnoOf(err))
			return
		}
	}
}

// downloadDatagram moves one datagram from the stack to the program. It reports whether there may be more.
func (s *socket) downloadDatagram(buf []byte) bool {
	if s.finished || s.blocked() {
		return false
	}
	room := tcpip.SliceWriter(buf[sockns.AddressSize:])
	got, err := s.ep().Read(&room, tcpip.ReadOptions{NeedRemoteAddr: true})
	switch err.(type) {
	case nil:
	case *tcpip.ErrWouldBlock, *tcpip.ErrClosedForReceive:
		return false
	case *tcpip.ErrBadBuffer: // longer than a datagram can be
		s.server.count.datagramNoRoom.Add(1)
		return true
	default: // an ICMP error for an earlier datagram
		s.server.event(s, netstack.ErrnoOf(err))
		return true
	}
	if s.discard {
		return true
	}
	from := addressOf(got.RemoteAddr)
	from.Encode((*[sockns.AddressSize]byte)(buf))
	return s.give(buf[:sockns.AddressSize+got.Count])
}
