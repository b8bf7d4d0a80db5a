package netapi_test

import (
	"bytes"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"capnproto.org/go/capnp/v3"

	"nexus/source/api/netapi"
	"nexus/source/api/netcapnp"
	"nexus/source/libs/channel"
)

// server answers captureRead with what the test says.
type server struct{ answer func(netcapnp.Reply) error }

func (s *server) Handle(call *channel.Call) error {
	reply, err := netcapnp.NewRootReply(call.Reply)
	if err != nil {
		return err
	}
	return s.answer(reply)
}

func (s *server) Refuse(reply *capnp.Segment, err error) { netapi.Refuse(reply, err) }

// serve returns a client of s.
func serve(t *testing.T, s *server) *netapi.Client {
	ours, theirs, err := channel.Pair()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- channel.Serve(theirs, s) }()
	client := netapi.NewClient(ours)
	t.Cleanup(func() {
		client.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return client
}

func packet(name string, size int) netapi.Packet {
	return netapi.Packet{
		Interface: name, Outgoing: size%2 == 1, Time: time.Unix(1700000000, int64(size)),
		Length: size + 1, Data: bytes.Repeat([]byte{byte(size)}, size),
	}
}

// TestPacketsFit: what PacketSize says fits does, for few large packets and for many small ones.
func TestPacketsFit(t *testing.T) {
	for _, size := range []int{1, 7, 8, 60, 1514, 9000, netapi.MaxPacketData} {
		for _, name := range []string{"lo", "virt0", strings.Repeat("n", 15)} {
			var want []netapi.Packet
			for room := netapi.PacketsRoom; ; {
				p := packet(name, size)
				if room -= netapi.PacketSize(p); room < 0 {
					break
				}
				want = append(want, p)
			}
			client := serve(t, &server{func(r netcapnp.Reply) error { return netapi.SetPackets(r, want, 5) }})
			got, dropped, err := client.CaptureRead(1, time.Second)
			if err != nil || dropped != 5 || len(want) == 0 || !reflect.DeepEqual(got, want) {
				t.Errorf("%d packets of %d bytes on %s: got %d, dropped %d, %v", len(want), size, name, len(got), dropped, err)
			}
		}
	}
}

// TestHostilePackets: replies that cannot be are errors.
func TestHostilePackets(t *testing.T) {
	for name, answer := range map[string]func(netcapnp.Reply) error{
		"another reply": func(r netcapnp.Reply) error { r.SetDone(); return nil },
		"more data than packet": func(r netcapnp.Reply) error {
			p := packet("lo", 100)
			p.Length = 99
			return netapi.SetPackets(r, []netapi.Packet{p}, 0)
		},
		"a long list of nothing": func(r netcapnp.Reply) error {
			r.SetPackets()
			list, err := capnp.NewCompositeList(r.Segment(), capnp.ObjectSize{}, 1<<14)
			if err != nil {
				return err
			}
			return r.Packets().SetList(netcapnp.Packet_List(list))
		},
	} {
		client := serve(t, &server{answer})
		if got, _, err := client.CaptureRead(1, time.Second); netapi.ErrnoOf(err) != syscall.EBADMSG {
			t.Errorf("%s: %d packets, %v", name, len(got), err)
		}
	}
}
