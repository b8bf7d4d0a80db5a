// Package capture keeps what crosses the network card's wire, writes it as a
// pcap file and reads such files again.
package capture

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"nexus/source/libs/named"
	"nexus/tools/nx/internal/frame"
)

// MaxFrames bounds what one capture may hold.
const MaxFrames = 1 << 16

// ErrFormat says that a capture is not one of Ethernet frames, or is too long.
var ErrFormat = errors.New("capture: not an Ethernet capture")

// Frame is one captured frame.
type Frame struct {
	At  time.Duration // since the machine's start
	Raw []byte        // as it crossed the wire; must not be changed
	frame.Summary
}

func describe(at time.Duration, raw []byte) Frame {
	return Frame{At: at, Raw: raw, Summary: frame.Describe(raw)}
}

// Read reads a pcap file to its end; times are since start. A last record that was cut
// off is left out.
func Read(r io.Reader, start time.Time) ([]Frame, error) {
	in, err := pcapgo.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if in.LinkType() != layers.LinkTypeEthernet {
		return nil, fmt.Errorf("%w: link type %v", ErrFormat, in.LinkType())
	}
	var frames []Frame
	for {
		data, info, err := in.ReadPacketData()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return frames, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%w: frame %d: %w", ErrFormat, len(frames), err)
		}
		if len(frames) == MaxFrames {
			return nil, fmt.Errorf("%w: more than %d frames", ErrFormat, MaxFrames)
		}
		frames = append(frames, describe(info.Timestamp.Sub(start), data))
	}
}

// maxSize bounds a capture's file, in bytes: MaxFrames of the largest there are.
const maxSize = 256 << 20

// ReadFile reads the pcap file path.
func ReadFile(path string, start time.Time) ([]Frame, error) {
	f, err := named.Open(path, maxSize)
	if err != nil {
		return nil, fmt.Errorf("capture: %w; nx boot --pcap FILE writes one", err)
	}
	defer f.Close()
	frames, err := Read(bufio.NewReader(f), start)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; nx boot --pcap FILE writes one", path, err)
	}
	return frames, nil
}
