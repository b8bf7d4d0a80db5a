package hostpeer

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"time"

	"nexus/tools/nx/internal/frame"
)

// The noise: how many frames, and how long between them.
const (
	noiseFrames   = 2000
	noiseInterval = 200 * time.Microsecond
)

// makeNoise sends garbage to the guest, the same in every run, once the guest
// has sent its first frame.
func makeNoise(ctx context.Context, link Link) {
	alive := make(chan struct{}, 1)
	stop := link.Watch(func([]byte) {
		select {
		case alive <- struct{}{}:
		default:
		}
	})
	defer stop()
	select {
	case <-alive:
	case <-ctx.Done():
		return
	}
	r := rand.New(rand.NewPCG(1, 2))
	tick := time.NewTicker(noiseInterval)
	defer tick.Stop()
	for range noiseFrames {
		select {
		case <-tick.C:
			// The guest may be too slow to take it all.
			_ = link.Send(garbage(r))
		case <-ctx.Done():
			return
		}
	}
}

// garbage is a frame that no guest should act on, and that must do it no harm.
func garbage(r *rand.Rand) []byte {
	payload := make([]byte, r.IntN(1400))
	for i := range payload {
		payload[i] = byte(r.Uint32())
	}
	switch r.IntN(6) {
	case 0: // for the guest, of an unknown or IP type, of nothing but noise
		raw := append([]byte(nil), frame.Guest.MAC...)
		raw = append(raw, frame.Host.MAC...)
		kinds := []uint16{0x0800, 0x0806, 0x86dd, 0x8100, 0xffff}
		raw = binary.BigEndian.AppendUint16(raw, kinds[r.IntN(len(kinds))])
		return append(raw, payload...)
	case 1: // cut short, down to less than an Ethernet header
		raw := frame.UDP(frame.Host, frame.Guest, 40000, 7, payload)
		return raw[:1+r.IntN(len(raw)-1)]
	case 2: // a datagram or a ping with some bit wrong
		raw := frame.UDP(frame.Host, frame.Guest, 40000, 7, payload)
		if r.IntN(2) == 0 {
			raw = frame.Ping(frame.Host, frame.Guest, 1, 1, payload)
		}
		bit := 14*8 + r.IntN((len(raw)-14)*8)
		raw[bit/8] ^= 1 << (bit % 8)
		return raw
	case 3: // claims the guest's own address
		return frame.ARPRequest(frame.Station{MAC: frame.Host.MAC, IP: frame.Guest.IP}, frame.Guest.IP)
	case 4: // from the loopback network, which no wire has
		return frame.UDP(frame.Station{MAC: frame.Host.MAC, IP: netip.AddrFrom4([4]byte{127, 0, 0, 1})}, frame.Guest, 40000, 7, payload)
	default: // for somebody else, to a closed port
		other := frame.Station{MAC: frame.Guest.MAC, IP: netip.AddrFrom4([4]byte{10, 0, 2, byte(16 + r.IntN(200))})}
		return frame.UDP(frame.Host, other, 40000, 40001, payload)
	}
}
