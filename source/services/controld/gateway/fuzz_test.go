package gateway

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"nexus/source/libs/channel"
	"nexus/source/libs/control"
)

// FuzzHost: whatever a host sends, the next one is served, and the service's replies go where they belong.
func FuzzHost(f *testing.F) {
	stream := func(frames ...control.Frame) []byte {
		var b bytes.Buffer
		w := control.NewWriter(&b, control.Host)
		for _, one := range frames {
			if _, err := w.Write(one); err != nil {
				f.Fatal(err)
			}
		}
		return b.Bytes()
	}
	opened := control.Frame{Session: 1, Kind: control.Open, Body: []byte("echo")}
	asked := control.Frame{Session: 1, Kind: control.Data, Body: []byte("request")}
	closed := control.Frame{Session: 1, Kind: control.Close}
	f.Add(stream(opened, asked, closed))
	f.Add(stream(opened, asked, asked, opened, closed, closed, asked))
	f.Add(stream(opened, asked)[:40])
	f.Add(stream(control.Frame{Session: 9, Kind: control.Open, Body: []byte(Self)}, control.Frame{Session: 9, Kind: control.Data, Body: []byte("no message")}))
	f.Add([]byte("\x00garbage that is longer than a header"))
	r := newRig(f, map[string]int{"echo": 2})
	for _, far := range r.far["echo"] {
		go echo(far)
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		r.t = t
		h := r.connect()
		if _, err := h.conn.Write(sent); err != nil {
			t.Fatal(err)
		}
		h.close()
		h = r.connect()
		defer h.close()
		r.drained(h, 77, "echo")
		h.say(77, control.Data, "mine")
		h.hear(77, control.Data, 0, "mine")
	})
}

// echo answers each datagram with itself until the channel ends.
func echo(far *channel.Conn) {
	buf := make([]byte, channel.MaxMessage)
	for {
		n, err := far.ReceiveDatagram(buf, time.Time{})
		if errors.Is(err, channel.ErrTooLarge) {
			continue
		}
		if err != nil || far.SendDatagram(buf[:n], time.Now().Add(patience)) != nil {
			return
		}
	}
}
