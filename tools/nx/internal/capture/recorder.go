package capture

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// Recorder keeps every frame that crosses the wire, both ways, with the time
// at which the host sent or got it.
type Recorder struct {
	mu      sync.Mutex
	frames  []recorded
	dropped int
}

type recorded struct {
	at  time.Time
	raw []byte
}

// Record keeps a copy of raw. Beyond MaxFrames frames are counted only.
func (r *Recorder) Record(at time.Time, raw []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.frames) == MaxFrames {
		r.dropped++
		return
	}
	r.frames = append(r.frames, recorded{at, append([]byte(nil), raw...)})
}

// Dropped is the number of frames that were counted only.
func (r *Recorder) Dropped() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dropped
}

// sorted is what was recorded, in the order of its times: a frame may have
// waited in a socket while a later one was recorded.
func (r *Recorder) sorted() []recorded {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := slices.Clone(r.frames)
	slices.SortStableFunc(s, func(a, b recorded) int { return a.at.Compare(b.at) })
	return s
}

// Frames describes what was recorded, in order; times are since start.
func (r *Recorder) Frames(start time.Time) []Frame {
	all := r.sorted()
	frames := make([]Frame, len(all))
	for i, f := range all {
		frames[i] = describe(f.at.Sub(start), f.raw)
	}
	return frames
}

// WriteFile writes what was recorded as a pcap file with nanoseconds.
func (r *Recorder) WriteFile(path string) error { return writeFile(path, r.sorted()) }

// WriteHead writes the first frames of what was recorded, those that take no
// more than limit bytes, and gives the number of those it left out.
func (r *Recorder) WriteHead(path string, limit int) (left int, err error) {
	frames := r.sorted()
	n := 0
	for n < len(frames) && len(frames[n].raw) <= limit {
		limit -= len(frames[n].raw)
		n++
	}
	return len(frames) - n, writeFile(path, frames[:n])
}

func writeFile(path string, frames []recorded) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("capture: %w", err)
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	buf := bufio.NewWriter(f)
	out := pcapgo.NewWriterNanos(buf)
	if err := out.WriteFileHeader(65536, layers.LinkTypeEthernet); err != nil {
		return fmt.Errorf("capture: %w", err)
	}
	for _, f := range frames {
		info := gopacket.CaptureInfo{Timestamp: f.at, CaptureLength: len(f.raw), Length: len(f.raw)}
		if err := out.WritePacket(info, f.raw); err != nil {
			return fmt.Errorf("capture: %w", err)
		}
	}
	return buf.Flush()
}
