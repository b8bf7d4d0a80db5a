// Package guard looks at every frame that comes in on an Ethernet interface before the IP stack does: it drops what must not
// enter, answers ARP requests that the stack must not learn from, limits ICMP echo and tells DHCP apart.
//
// It is pure: a frame and the time go in, a verdict comes out. Every drop has a reason and is counted.
package guard

import (
	"encoding/binary"
	"sync/atomic"
	"time"
)

// Verdict says what to do with a frame.
type Verdict int

// Verdicts.
const (
	Drop   Verdict = iota // counted; do nothing
	Pass                  // give it to the stack
	DHCP                  // give it to the DHCP client
	Answer                // send Result.Reply; the stack must not see the frame
	Echo                  // a whole ICMP echo request for our address: send what EchoReply makes of it
)

// Reason says why a frame was dropped or answered outside the stack.
type Reason int

// Reasons, in the order of the counters.
const (
	None Reason = iota
	Short
	OtherHost
	BadSource
	EtherType
	IPMalformed
	Martian
	EchoRate
	BroadcastEcho
	ARPMalformed
	ARPNotForUs
	ARPUnsolicited
	ARPConflict
	ARPAddressConflict
	reasons
)

var reasonNames = [reasons]string{
	None:               "",
	Short:              "short",
	OtherHost:          "other-host",
	BadSource:          "bad-source-mac",
	EtherType:          "ethertype",
	IPMalformed:        "ip-malformed",
	Martian:            "martian",
	EchoRate:           "echo-rate",
	BroadcastEcho:      "broadcast-echo",
	ARPMalformed:       "arp-malformed",
	ARPNotForUs:        "arp-not-for-us",
	ARPUnsolicited:     "arp-unsolicited",
	ARPConflict:        "arp-conflict",
	ARPAddressConflict: "arp-address-conflict",
}

func (r Reason) String() string { return reasonNames[r] }

// State is what the stack knows about a neighbour.
type State int

// Neighbour states.
const (
	Unknown    State = iota
	Incomplete       // asked, no answer yet
	Stale            // has an address that was not confirmed lately
	Live             // has an address that was
)

// Neighbours is the stack's ARP table.
type Neighbours interface {
	// Lookup returns the state of ip and, when Stale or Live, its hardware address.
	Lookup(ip [4]byte) (State, [6]byte)
}

// Guard protects one interface. Inspect may be called by one goroutine, everything else by any.
type Guard struct {
	mac        [6]byte
	neighbours Neighbours
	address    atomic.Uint64 // IPv4 address <<8 | prefix length; 0 = none
	dhcp       atomic.Bool
	echo       bucket
	counts     [reasons]atomic.Uint64
}

// Echo limit of ICMP requests: sustained per second, and burst. It holds a flood below what a guest can answer while a
// ping that waits for each reply never meets it.
const (
	echoRate  = 5000
	echoBurst = 500
)

// New returns a guard for an interface with this hardware address.
func New(mac [6]byte, neighbours Neighbours) *Guard {
	return &Guard{mac: mac, neighbours: neighbours, echo: bucket{rate: echoRate, burst: echoBurst}}
}

// SetAddress tells the interface's IPv4 address and prefix length; 0 bits means that it has none.
func (g *Guard) SetAddress(ip [4]byte, bits int) {
	g.address.Store(uint64(binary.BigEndian.Uint32(ip[:]))<<8 | uint64(uint8(bits)))
}

// SetDHCP says whether a DHCP client listens; without one its datagrams go to the stack like any other.
func (g *Guard) SetDHCP(on bool) { g.dhcp.Store(on) }

// Count returns how many frames met their end for a reason.
func (g *Guard) Count(r Reason) uint64 { return g.counts[r].Load() }

// Each calls f with every reason's name and count, in a fixed order.
func (g *Guard) Each(f func(name string, count uint64)) {
	for r := None + 1; r < reasons; r++ {
		f(reasonNames[r], g.counts[r].Load())
	}
}

// Result is a verdict with what belongs to it.
type Result struct {
	Verdict Verdict
	Reason  Reason   // of Drop and Answer
	Asked   bool     // an ARP request for our address
	Reply   [42]byte // of Answer: an Ethernet frame
}

func (g *Guard) drop(r Reason) Result {
	g.counts[r].Add(1)
	return Result{Verdict: Drop, Reason: r}
}

// own returns the interface's address and mask; ok is false when it has none.
func (g *Guard) own() (ip, mask uint32, ok bool) {
	v := g.address.Load()
	bits := uint(v & 0xff)
	if bits == 0 || bits > 32 {
		return 0, 0, false
	}
	return uint32(v >> 8), ^uint32(0) << (32 - bits), true
}

// Offsets in an Ethernet frame (IEEE 802.3) and its types.
const (
	ethDst    = 0
	ethSrc    = 6
	ethType   = 12
	ethHeader = 14

	typeIP4 = 0x0800
	typeARP = 0x0806
)

var broadcast = [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// Inspect returns what to do with frame, which is not kept. now never goes back.
func (g *Guard) Inspect(now time.Duration, frame []byte) Result {
	if len(frame) < ethHeader {
		return g.drop(Short)
	}
	dst := [6]byte(frame[ethDst:])
	if dst != g.mac && dst[0]&1 == 0 {
		return g.drop(OtherHost)
	}
	if src := [6]byte(frame[ethSrc:]); src[0]&1 != 0 || src == g.mac {
		return g.drop(BadSource)
	}
	switch binary.BigEndian.Uint16(frame[ethType:]) {
	case typeARP:
		return g.arp(frame)
	case typeIP4:
		return g.ip4(now, frame, dst != g.mac)
	default:
		return g.drop(EtherType)
	}
}
