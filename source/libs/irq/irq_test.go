package irq

import (
	"errors"
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// pair gives an irq descriptor as the kernel makes one, and its other end:
// each datagram from there is the count, each one to there unmasks.
func pair(t *testing.T) (line Line, kernel *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	kernel = os.NewFile(uintptr(fds[1]), "kernel")
	t.Cleanup(func() { kernel.Close() })
	line, number, err := Open(os.NewFile(uintptr(fds[0]), "irq"))
	if err != nil {
		t.Fatal(err)
	}
	if number == 0 {
		t.Error("no interrupt number")
	}
	return line, kernel
}

func TestInterruptDescriptor(t *testing.T) {
	line, kernel := pair(t)
	defer line.Close()
	if err := line.Arm(); err != nil {
		t.Fatal(err)
	}
	var armed [8]byte
	if n, err := kernel.Read(armed[:]); err != nil || n != 4 || armed != [8]byte{1} {
		t.Errorf("armed with % x, %v; want u32 1", armed[:n], err)
	}
	if _, err := kernel.Write([]byte{7, 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
	if err := line.Wait(); err != nil {
		t.Errorf("wait: %v", err)
	}
	if _, err := kernel.Write([]byte{7}); err != nil {
		t.Fatal(err)
	}
	if err := line.Wait(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("wait for a short count: %v, want %v", err, io.ErrUnexpectedEOF)
	}
}

func TestClosedInterruptEndsTheWait(t *testing.T) {
	line, _ := pair(t)
	ended := make(chan error, 1)
	go func() { ended <- line.Wait() }()
	line.Close()
	if err := <-ended; !errors.Is(err, os.ErrClosed) {
		t.Errorf("wait ended with %v, want %v", err, os.ErrClosed)
	}
}

func TestInterruptMustBeWaitable(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "irq")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := Open(f); !errors.Is(err, ErrNotPollable) {
		t.Errorf("a regular file as an interrupt: %v, want %v", err, ErrNotPollable)
	}
}
