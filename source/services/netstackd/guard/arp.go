package guard

import "encoding/binary"

// Offsets in an ARP packet for IPv4 over Ethernet (RFC 826), from the end of the Ethernet header.
const (
	arpHardware   = 0 // 1
	arpProtocol   = 2 // 0x0800
	arpSizes      = 4 // 6, 4
	arpOperation  = 6
	arpSenderMAC  = 8
	arpSenderIP   = 14
	arpTargetMAC  = 18
	arpTargetIP   = 24
	arpLength     = 28
	arpRequest    = 1
	arpReply      = 2
	arpEthernetIP = 0x0001_0800_0604 // the first 6 bytes
)

// arp lets a packet reach the stack, which learns from whatever it sees, only when learning from it is right.
func (g *Guard) arp(frame []byte) Result {
	if len(frame) < ethHeader+arpLength {
		return g.drop(ARPMalformed)
	}
	p := frame[ethHeader:]
	if binary.BigEndian.Uint64(p)>>16 != arpEthernetIP {
		return g.drop(ARPMalformed)
	}
	senderMAC, senderIP := [6]byte(p[arpSenderMAC:]), binary.BigEndian.Uint32(p[arpSenderIP:])
	if senderMAC[0]&1 != 0 || senderMAC == [6]byte{} || senderMAC == g.mac {
		return g.drop(ARPMalformed)
	}
	own, mask, ok := g.own()
	if !ok {
		return g.drop(ARPNotForUs)
	}
	if senderIP == own { // somebody else claims our address (RFC 5227 section 2.4)
		return g.drop(ARPAddressConflict)
	}
	switch binary.BigEndian.Uint16(p[arpOperation:]) {
	case arpRequest:
		return g.request(p, own, senderIP, senderMAC, mask)
	case arpReply:
		return g.reply(senderIP, senderMAC)
	default:
		return g.drop(ARPMalformed)
	}
}

// request handles the question who has an address.
func (g *Guard) request(p []byte, own, senderIP uint32, senderMAC [6]byte, mask uint32) Result {
	if binary.BigEndian.Uint32(p[arpTargetIP:]) != own {
		return g.drop(ARPNotForUs)
	}
	result := Result{Verdict: Pass, Asked: true}
	switch state, known := g.neighbours.Lookup(ip4Of(senderIP)); {
	case state == Live && known != senderMAC:
		// A live entry stays what it is; the asker gets its answer all the same.
		g.counts[ARPConflict].Add(1)
		result.Verdict, result.Reason = Answer, ARPConflict
	case !learnable(senderIP, own, mask):
		result.Verdict = Answer // a probe (RFC 5227), or a sender that is not of this network
	}
	if result.Verdict == Answer {
		g.answer(&result.Reply, senderMAC, senderIP, own)
	}
	return result
}

// learnable reports whether ip may have an entry in the table.
func learnable(ip, own, mask uint32) bool {
	host := ip &^ mask
	return ip&mask == own&mask && (mask >= 0xfffffffe || host != 0 && host != ^mask)
}

// reply handles an answer: only one that was asked for, and that does not move a live entry, goes on.
func (g *Guard) reply(senderIP uint32, senderMAC [6]byte) Result {
	switch state, known := g.neighbours.Lookup(ip4Of(senderIP)); {
	case state == Unknown || state == Stale:
		return g.drop(ARPUnsolicited)
	case state == Live && known != senderMAC:
		return g.drop(ARPConflict)
	default:
		return Result{Verdict: Pass}
	}
}

// answer builds the reply that own is at our hardware address.
func (g *Guard) answer(frame *[42]byte, mac [6]byte, ip, own uint32) {
	copy(frame[ethDst:], mac[:])
	packet(frame, g.mac, arpReply, own, mac, ip)
}

// Announcement returns the gratuitous ARP request that tells the network who has ip now (RFC 5227 section 2.3).
func Announcement(mac [6]byte, ip [4]byte) (frame [42]byte) {
	copy(frame[ethDst:], broadcast[:])
	own := binary.BigEndian.Uint32(ip[:])
	packet(&frame, mac, arpRequest, own, [6]byte{}, own)
	return frame
}

// packet fills in everything but the frame's destination.
func packet(frame *[42]byte, mac [6]byte, operation uint16, own uint32, target [6]byte, targetIP uint32) {
	copy(frame[ethSrc:], mac[:])
	binary.BigEndian.PutUint16(frame[ethType:], typeARP)
	p := frame[ethHeader:]
	binary.BigEndian.PutUint16(p[arpHardware:], 1)
	binary.BigEndian.PutUint16(p[arpProtocol:], typeIP4)
	p[arpSizes], p[arpSizes+1] = 6, 4
	binary.BigEndian.PutUint16(p[arpOperation:], operation)
	copy(p[arpSenderMAC:], mac[:])
	binary.BigEndian.PutUint32(p[arpSenderIP:], own)
	copy(p[arpTargetMAC:], target[:])
	binary.BigEndian.PutUint32(p[arpTargetIP:], targetIP)
}

func ip4Of(v uint32) (ip [4]byte) {
	binary.BigEndian.PutUint32(ip[:], v)
	return ip
}
