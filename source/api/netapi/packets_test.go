package netapi

import (
	"testing"
	"time"

	"capnproto.org/go/capnp/v3"

	"nexus/source/api/netcapnp"
	"nexus/source/libs/channel"
)

// FuzzPackets: whatever a server sends as packets is an error or can be written to a file, and is no larger than a few messages.
func FuzzPackets(f *testing.F) {
	message, segment := channel.NewMessage()
	reply, err := netcapnp.NewRootReply(segment)
	if err != nil {
		f.Fatal(err)
	}
	if err := SetPackets(reply, []Packet{{"virt0", true, time.Unix(1, 2), 60, []byte("frame")}, {"lo", false, time.Unix(3, 4), 0, nil}}, 5); err != nil {
		f.Fatal(err)
	}
	seed, err := message.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, data []byte) {
		message, err := capnp.Unmarshal(data)
		if err != nil {
			return
		}
		message.TraverseLimit = 4 * channel.MaxMessage // as channel sets it
		reply, err := netcapnp.ReadRootReply(message)
		if err != nil || reply.Which() != netcapnp.Reply_Which_packets {
			return
		}
		packets, err := packetsOf(reply)
		if err != nil {
			return
		}
		total := 0
		for _, p := range packets {
			if len(p.Data) > p.Length || p.Length < 0 {
				t.Fatalf("%d bytes of %d", len(p.Data), p.Length)
			}
			total += len(p.Data) + len(p.Interface)
		}
		if total > 4*channel.MaxMessage || len(packets) > PacketsRoom/packetSize {
			t.Fatalf("%d bytes in %d packets", total, len(packets))
		}
	})
}
