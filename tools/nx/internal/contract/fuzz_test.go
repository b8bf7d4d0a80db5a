package contract

import (
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"nexus/tools/nx/internal/capture"
	"nexus/tools/nx/internal/frame"
)

var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// discover is a DHCPDISCOVER of the guest.
var discover = func() []byte {
	m, err := dhcpv4.NewDiscovery(frame.Guest.MAC)
	if err != nil {
		panic(err)
	}
	from := frame.Station{MAC: frame.Guest.MAC, IP: netip.IPv4Unspecified()}
	to := frame.Station{MAC: frame.Broadcast, IP: netip.AddrFrom4([4]byte{255, 255, 255, 255})}
	return frame.UDP(from, to, 68, 67, m.ToBytes())
}()

// FuzzParse: no text makes the reader panic, and what it accepts can be used.
func FuzzParse(f *testing.F) {
	data, err := os.ReadFile(file)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"budget_ms":1,"markers":[{"id":"a","owner":"o","line":"(?P<n>x)","evidence":[{"frames":[{"len":"$n"},{"echoes":1}]}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse(data)
		if err != nil {
			return
		}
		b := good()
		track := c.Track(b.mode)
		for _, l := range b.lines {
			track.Feed(l)
		}
		track.Judge(Outside{Frames: b.frames})
	})
}

// FuzzConsole: no console alone is ever a proven boot, and its faults stay
// bounded.
func FuzzConsole(f *testing.F) {
	var all strings.Builder
	for _, l := range good().lines {
		all.WriteString(l.Text + "\n")
	}
	f.Add(all.String())
	f.Add(strings.Repeat("neuron: fatal\n", 1000))
	c, err := Load(file)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, console string) {
		b := good()
		track := c.Track(b.mode)
		for line := range strings.Lines(console) {
			track.Feed(Line{At: time.Millisecond, Text: strings.TrimSuffix(line, "\n")})
		}
		v := track.Judge(Outside{Exit: new(int)})
		if v.Proven {
			t.Fatal("proven without a capture")
		}
		if len(v.Failures) > maxFailures+3*len(c.Markers) {
			t.Fatalf("%d failures", len(v.Failures))
		}
	})
}

// FuzzCapture: the right console with any one frame in its capture is not a
// proven boot: the contract needs several.
func FuzzCapture(f *testing.F) {
	f.Add(discover)
	f.Add(frame.ARPRequest(frame.Host, frame.Guest.IP))
	f.Fuzz(func(t *testing.T, raw []byte) {
		b := good()
		b.frames = []capture.Frame{{At: ms, Summary: frame.Describe(raw)}}
		if b.judge(t).Proven {
			t.Fatal("proven by one frame")
		}
	})
}
