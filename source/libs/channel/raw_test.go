package channel_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nexus/source/libs/channel"
)

func soon() time.Time { return time.Now().Add(patience) }

func pair(t *testing.T) (*channel.Conn, *channel.Conn) {
	t.Helper()
	a, b, err := channel.Pair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

func TestDatagrams(t *testing.T) {
	a, b := pair(t)
	buf := make([]byte, channel.MaxMessage)
	for _, size := range []int{0, 1, 17, channel.MaxMessage} {
		want := bytes.Repeat([]byte{0x5a}, size)
		if err := a.SendDatagram(want, soon()); err != nil {
			t.Fatal(size, err)
		}
		if err := b.Wait(soon()); err != nil {
			t.Fatal(size, err)
		}
		n, err := b.ReceiveDatagram(buf, soon())
		if err != nil || !bytes.Equal(buf[:n], want) {
			t.Errorf("size %d: got %d bytes, %v", size, n, err)
		}
	}
	if err := a.SendDatagram(make([]byte, channel.MaxMessage+1), soon()); !errors.Is(err, channel.ErrTooLarge) {
		t.Errorf("over-long SendDatagram: %v", err)
	}
	if err := a.TrySendDatagram(make([]byte, channel.MaxMessage+1)); !errors.Is(err, channel.ErrTooLarge) {
		t.Errorf("over-long TrySendDatagram: %v", err)
	}
}

// A datagram that is longer than the buffer is not taken for a shorter one, and the next is whole.
func TestReceiveDatagramCut(t *testing.T) {
	a, b := pair(t)
	for _, text := range []string{"too long for it", "fits"} {
		if err := a.SendDatagram([]byte(text), soon()); err != nil {
			t.Fatal(err)
		}
	}
	buf := make([]byte, 8)
	if _, err := b.ReceiveDatagram(buf, soon()); !errors.Is(err, channel.ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
	if n, err := b.ReceiveDatagram(buf, soon()); err != nil || string(buf[:n]) != "fits" {
		t.Errorf("got %q, %v", buf[:n], err)
	}
}

func TestReceiveDatagramClosesDescriptors(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[0])
	b, err := channel.FromDescriptor(fds[1], "relay")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := unix.Sendmsg(fds[0], []byte("x"), unix.UnixRights(int(w.Fd())), nil, 0); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if n, err := b.ReceiveDatagram(make([]byte, 8), soon()); n != 1 || err != nil {
		t.Fatalf("got %d, %v", n, err)
	}
	// The pipe ends only if no writing end is left.
	if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("the descriptor beside the datagram is still open: %d, %v", n, err)
	}
}

// What does not fit is EAGAIN at once and within the deadline ErrTimeout; neither loses what was sent before.
func TestSendDatagramToOneThatDoesNotRead(t *testing.T) {
	a, b := pair(t)
	data := make([]byte, 32<<10)
	sent := 0
	for sent < 1000 {
		err := a.TrySendDatagram(data)
		if err == syscall.EAGAIN {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		sent++
	}
	if sent == 0 || sent == 1000 {
		t.Fatalf("%d datagrams fit", sent)
	}
	if err := a.SendDatagram(data, time.Now().Add(time.Millisecond)); !errors.Is(err, channel.ErrTimeout) {
		t.Errorf("got %v, want ErrTimeout", err)
	}
	for range sent {
		if n, err := b.ReceiveDatagram(data, soon()); n != len(data) || err != nil {
			t.Fatalf("got %d, %v", n, err)
		}
	}
	if err := b.Wait(time.Now().Add(time.Millisecond)); !errors.Is(err, channel.ErrTimeout) {
		t.Errorf("Wait on an empty channel: %v, want ErrTimeout", err)
	}
	if err := a.TrySendDatagram(data); err != nil {
		t.Errorf("after the other end read: %v", err)
	}
}

func TestDatagramsEnd(t *testing.T) {
	a, b := pair(t)
	waits := make(chan error, 1)
	go func() { waits <- b.Wait(time.Time{}) }()
	a.Close()
	if err := <-waits; err != nil {
		t.Errorf("Wait at the end: %v", err)
	}
	if _, err := b.ReceiveDatagram(make([]byte, 8), soon()); err != io.EOF {
		t.Errorf("got %v, want io.EOF", err)
	}
	if err := b.TrySendDatagram([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("got %v, want EPIPE", err)
	}
	go func() { waits <- a.Wait(time.Time{}) }()
	if err := <-waits; !errors.Is(err, os.ErrClosed) {
		t.Errorf("Wait on a closed channel: %v", err)
	}
	if err := a.TrySendDatagram([]byte("x")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("TrySendDatagram on a closed channel: %v", err)
	}
}
