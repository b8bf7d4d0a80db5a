package wire

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"nexus/tools/nx/internal/frame"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func ignore(time.Time, []byte) {}

// pair gives both ends of a wire, read until the test's end.
func pair(t *testing.T) (host, guest *Link) {
	t.Helper()
	file, host, err := New(ignore)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.FileConn(file)
	file.Close()
	if err != nil {
		t.Fatal(err)
	}
	guest = NewLink(conn, ignore)
	done := make(chan error, 2)
	go func() { done <- host.Run() }()
	go func() { done <- guest.Run() }()
	t.Cleanup(func() {
		host.Close()
		guest.Close()
		for range 2 {
			if err := <-done; err != nil {
				t.Errorf("link: %v", err)
			}
		}
	})
	return host, guest
}

func TestFramesBothWays(t *testing.T) {
	host, guest := pair(t)
	got := make(chan []byte, 10)
	defer guest.Watch(func(f []byte) { got <- bytes.Clone(f) })()
	for _, n := range []int{1, 60, 1514, maxFrame} {
		want := bytes.Repeat([]byte{byte(n)}, n)
		if err := host.Send(want); err != nil {
			t.Fatal(err)
		}
		if f := <-got; !bytes.Equal(f, want) {
			t.Errorf("%d bytes arrived as %d", n, len(f))
		}
	}
	for _, n := range []int{0, maxFrame + 1} {
		if err := host.Send(make([]byte, n)); !errors.Is(err, ErrFraming) {
			t.Errorf("%d bytes: got %v", n, err)
		}
	}
	if _, sent, dropped := host.Counts(); sent != 4 || dropped != 0 {
		t.Errorf("sent %d, dropped %d", sent, dropped)
	}
}

// What QEMU could write wrongly ends the link with a word, or just ends it.
func TestBrokenFraming(t *testing.T) {
	for name, tc := range map[string]struct {
		bytes []byte
		want  error
	}{
		"a length of 0":         {[]byte{0, 0, 0, 0}, ErrFraming},
		"a length beyond all":   {[]byte{0xff, 0xff, 0xff, 0xff}, ErrFraming},
		"a length one too long": {binary.BigEndian.AppendUint32(nil, maxFrame+1), ErrFraming},
		"half a length":         {[]byte{0, 0}, nil},
		"half a frame":          {[]byte{0, 0, 0, 9, 1, 2, 3}, nil},
		"nothing":               {nil, nil},
	} {
		here, there := net.Pipe()
		link := NewLink(here, ignore)
		go func() {
			there.Write(tc.bytes)
			there.Close()
		}()
		err := link.Run()
		here.Close()
		if !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, want %v", name, err, tc.want)
		}
	}
}

func TestSendToNobodyIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe() // has no buffer, and nobody reads
		defer there.Close()
		link := NewLink(here, ignore)
		defer link.Close()
		start := time.Now()
		if err := link.Send(make([]byte, 60)); err == nil {
			t.Error("sent")
		}
		if took := time.Since(start); took != sendBound {
			t.Errorf("given up after %v", took)
		}
		if _, _, dropped := link.Counts(); dropped != 1 {
			t.Errorf("dropped %d", dropped)
		}
	})
}

func TestStacksTalk(t *testing.T) {
	hostLink, guestLink := pair(t)
	host, err := NewStack(hostLink, frame.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	guest, err := NewStack(guestLink, frame.Guest)
	if err != nil {
		t.Fatal(err)
	}
	defer guest.Close()

	l, err := host.Listen(80)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	text := strings.Repeat("0123456789abcdef", 1<<16) // 1 MiB
	go func() {
		c, err := l.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		io.WriteString(c, text)
		c.Close()
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, err := guest.Dial(ctx, frame.Host, 80)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got, err := io.ReadAll(c)
	if err != nil || string(got) != text {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
}
