package link_test

import (
	"errors"
	"testing"
	"time"

	"nexus/source/libs/frameq"
	"nexus/source/services/netstackd/capture"
	"nexus/source/services/netstackd/guard"
	"nexus/source/services/netstackd/link"
)

// loop is a frame queue that gives one frame left times and takes any number without keeping them.
type loop struct {
	frame []byte
	left  int
	slot  [frameq.MaxFrame]byte
}

func (l *loop) Recv() ([]byte, frameq.Slot, bool) { l.left--; return l.frame, 0, l.left >= 0 }
func (l *loop) Release(frameq.Slot)               {}
func (l *loop) ArmRx() bool                       { return true }
func (l *loop) Alloc() (frameq.Slot, []byte, bool) {
	return 0, l.slot[:], true
}
func (l *loop) Send(frameq.Slot, int) bool { return true }
func (l *loop) Cancel(frameq.Slot)         {}
func (l *loop) ArmTx() bool                { return true }
func (l *loop) Flush()                     {}
func (l *loop) Stats() frameq.Stats        { return frameq.Stats{} }

var errEnd = errors.New("no more frames")

func (l *loop) Sleep(func() bool) error { return errEnd }

// endpoint returns an endpoint for benchmarks.
func endpoint() *link.Endpoint {
	g := guard.New(ourMAC, strangers{})
	g.SetAddress([4]byte{10, 0, 2, 15}, 24)
	return link.New(link.Config{MAC: ourMAC, MTU: 1500, Guard: g, Now: func() time.Duration { return 0 }, Tap: capture.New(time.Now).Tap("virt0")})
}

// BenchmarkReceive is what a frame costs that the guard drops: the path without the stack.
func BenchmarkReceive(b *testing.B) {
	frame := udp(15, 7, make([]byte, 60)...)
	frame[0] = 4 // for somebody else
	e := endpoint()
	b.ReportAllocs()
	if err := e.Run(&loop{frame: frame, left: b.N}, &loop{}); err != errEnd {
		b.Fatal(err)
	}
}

// BenchmarkSend is what one packet of the stack's costs.
func BenchmarkSend(b *testing.B) {
	e := endpoint()
	e.Plug(&loop{})
	list := packet(100, 10)
	for _, p := range list.AsSlice() {
		e.AddHeader(p)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.WritePackets(list); err != nil {
			b.Fatal(err)
		}
	}
}
