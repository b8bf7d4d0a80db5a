// Package pcapng is `nx net capture`: it reads the packets that pass the guest's netstackd and writes them as a pcapng file, or
// into the pipe of whoever looks at them meanwhile.
package pcapng

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"nexus/source/api/netapi"
)

const (
	// wait is how long one read waits for packets: so long an end that was asked for may take.
	wait = 250 * time.Millisecond
	// grace is what a call, or a reader of the file, gets once the end was asked for.
	grace = 3 * time.Second
	// bufferSize holds a batch of packets.
	bufferSize = 128 << 10
)

var (
	// ErrGuest says that the guest refused or did not answer.
	ErrGuest = errors.New("capture")
	// ErrStuck says that the end was asked for while nobody took what was written.
	ErrStuck = errors.New("capture: its reader does not read; the last packets are cut off")
)

// Source is the guest; *netapi.Client is one.
type Source interface {
	CaptureOpen(name string, snap int) (handle uint64, err error)
	CaptureRead(handle uint64, timeout time.Duration) (packets []netapi.Packet, dropped uint64, err error)
	CaptureClose(handle uint64) error
	// Close ends pending calls.
	Close() error
}

// Options say what is captured and when it is enough.
type Options struct {
	Interface string        // "" for all
	Snap      int           // bytes of each packet; 0 for as many as the guest can give
	Count     uint64        // packets; 0 for no end
	Duration  time.Duration // 0 for no end

	// Started, unless nil, is called once every packet from then on will be seen.
	Started func()
}

// Stats are what a capture came to.
type Stats struct {
	Packets uint64 // written
	Dropped uint64 // by the guest, which had no room for them
}

// Run captures until ctx is done, Options says that it is enough, or nobody reads w any more: those are clean ends. What was read
// is written before Run returns, also with an error, so that w is a whole file. It closes the capture; source is closed only if it
// does not answer after ctx is done.
func Run(ctx context.Context, source Source, options Options, w io.Writer) (Stats, error) {
	if options.Duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, options.Duration)
		defer cancel()
	}
	handle, err := source.CaptureOpen(options.Interface, options.Snap)
	if err != nil {
		return Stats{}, fmt.Errorf("%w: open: %w", ErrGuest, err)
	}
	finished := make(chan struct{})
	defer close(finished)
	defer context.AfterFunc(ctx, func() { closeAfter(grace, source, finished) })()
	defer func() { _ = source.CaptureClose(handle) }() // else the guest forgets it in 30 s

	stats, err := record(ctx, source, handle, options, w)
	if errors.Is(err, errNobodyReads) {
		err = nil
	}
	return stats, err
}

// closeAfter closes source after a bound, unless all is finished by then.
func closeAfter(bound time.Duration, source Source, finished <-chan struct{}) {
	timer := time.NewTimer(bound)
	defer timer.Stop()
	select {
	case <-timer.C:
		_ = source.Close()
	case <-finished:
	}
}

// record writes what an open capture gives.
func record(ctx context.Context, source Source, handle uint64, options Options, w io.Writer) (stats Stats, err error) {
	file, err := newFile(bufio.NewWriterSize(&endable{ctx, w}, bufferSize), options.Interface, options.Snap)
	if err != nil {
		return stats, err
	}
	if options.Started != nil {
		options.Started()
	}
	for ctx.Err() == nil {
		packets, dropped, err := source.CaptureRead(handle, wait)
		switch {
		case errors.Is(err, syscall.ETIMEDOUT):
			if hungUp(w) {
				return stats, errNobodyReads
			}
			continue
		case err != nil && ctx.Err() != nil:
			return stats, nil // it was to end anyway
		case err != nil:
			return stats, fmt.Errorf("%w: the guest gives no more packets, the file ends with those before: %w", ErrGuest, err)
		}
		stats.Dropped = dropped
		enough := options.Count > 0 && uint64(len(packets)) >= options.Count-stats.Packets
		if enough {
			packets = packets[:options.Count-stats.Packets]
		}
		if err := file.write(packets); err != nil {
			return stats, err
		}
		if stats.Packets += uint64(len(packets)); enough {
			break
		}
	}
	return stats, nil
}
