package pcapng

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"golang.org/x/sys/unix"

	"nexus/source/api/netapi"
)

// Names of the guest's interfaces.
const (
	loopback = "lo"
	ethernet = "virt0"
)

// maxInterfaces bounds the interfaces of one file, whatever the guest says.
const maxInterfaces = 16

var (
	errNobodyReads = errors.New("capture: nobody reads it any more")
	errInterfaces  = fmt.Errorf("%w: packets of more than %d interfaces: the guest has two", ErrGuest, maxInterfaces)
)

// file is a pcapng file being written: one interface block an interface, nanoseconds, the direction in each packet's flags.
//
// The first interface block comes with the head, so that a capture without packets is a whole file; others come when the
// interface is first seen, because libpcap, and so tcpdump, reads on only while all interfaces have one link type.
type file struct {
	out        *pcapgo.NgWriter
	snap       uint32
	interfaces map[string]int // number in the file
}

// newFile writes the head of a file of packets on the named interface, or on all for "".
func newFile(w *bufio.Writer, name string, snap int) (*file, error) {
	if name == "" {
		name = ethernet
	}
	f := &file{snap: uint32(max(snap, 0)), interfaces: map[string]int{name: 0}}
	section := pcapgo.NgWriterOptions{SectionInfo: pcapgo.NgSectionInfo{Hardware: "riscv64", OS: "Nexus", Application: "nx net capture"}}
	var err error
	if f.out, err = pcapgo.NewNgWriterInterface(w, f.describe(name), section); err != nil {
		return nil, explain(err)
	}
	return f, explain(f.out.Flush())
}

// describe is an interface's block.
func (f *file) describe(name string) pcapgo.NgInterface {
	i := pcapgo.NgInterface{Name: name, LinkType: layers.LinkTypeEthernet, SnapLength: f.snap}
	if name == loopback {
		i.LinkType = layers.LinkTypeRaw
	}
	return i
}

// write writes packets and hands them on at once.
func (f *file) write(packets []netapi.Packet) error {
	for _, p := range packets {
		if err := f.writeOne(p); err != nil {
			_ = f.out.Flush() // the packets before it; the error is the first
			return explain(err)
		}
	}
	return explain(f.out.Flush())
}

func (f *file) writeOne(p netapi.Packet) error {
	number, ok := f.interfaces[p.Interface]
	if !ok {
		if len(f.interfaces) == maxInterfaces {
			return errInterfaces
		}
		var err error
		if number, err = f.out.AddInterface(f.describe(p.Interface)); err != nil {
			return err
		}
		f.interfaces[p.Interface] = number
	}
	flags := pcapgo.NgEpbFlags{Direction: pcapgo.NgEpbFlagDirectionInbound}
	if p.Outgoing {
		flags.Direction = pcapgo.NgEpbFlagDirectionOutbound
	}
	info := gopacket.CaptureInfo{Timestamp: p.Time, CaptureLength: len(p.Data), Length: p.Length, InterfaceIndex: number}
	return f.out.WritePacketWithOptions(info, p.Data, pcapgo.NgPacketOptions{Flags: &flags})
}

// explain tells the end of a pipe from other errors of writing.
func explain(err error) error {
	switch {
	case err == nil, errors.Is(err, ErrGuest), errors.Is(err, ErrStuck):
		return err
	case errors.Is(err, syscall.EPIPE), errors.Is(err, io.ErrClosedPipe):
		return errNobodyReads
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("capture: %w: is the disk full?", err)
	default:
		return fmt.Errorf("capture: %w", err)
	}
}

// hungUp reports whether w is a pipe or socket whose other end is closed: without packets no write would tell.
func hungUp(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return false
	}
	gone := false
	err = raw.Control(func(fd uintptr) {
		state := []unix.PollFd{{Fd: int32(fd)}}
		n, err := unix.Poll(state, 0)
		gone = err == nil && n == 1 && state[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0
	})
	return err == nil && gone
}

// endable is a writer whose writes do not outlive ctx by more than grace: a pipe that nobody empties would keep Run for ever.
type endable struct {
	ctx context.Context
	w   io.Writer
}

// Write implements io.Writer. After ErrStuck b may still be read, by a goroutine that ends with the write.
func (e *endable) Write(b []byte) (int, error) {
	type result struct {
		n   int
		err error
	}
	done := make(chan result, 1)
	go func() {
		n, err := e.w.Write(b)
		done <- result{n, err}
	}()
	select {
	case r := <-done:
		return r.n, r.err
	case <-e.ctx.Done():
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case r := <-done:
		return r.n, r.err
	case <-timer.C:
		return 0, ErrStuck
	}
}
