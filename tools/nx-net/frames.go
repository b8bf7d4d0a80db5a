package nxnet

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/spf13/cobra"

	"nexus/source/api/netcli"
	"nexus/source/libs/named"
)

// Bounds of a capture whose frames are sent.
const (
	MaxFrames = 1 << 16
	maxFile   = 256 << 20 // bytes
)

// ErrCapture says that a file is no capture whose frames can be sent.
var ErrCapture = errors.New("not a capture of Ethernet frames")

// progressEvery is how often a long file says how far it is.
const progressEvery = time.Second

// sendFiles adds --file to sendraw.
func (c Config) sendFiles(cmd *cobra.Command) {
	path := cmd.Flags().String("file", "", "send the frames of this pcap or pcapng `FILE`, in order, without its pauses")
	_ = cmd.MarkFlagFilename("file", "pcap", "pcapng") // the flag exists
	cmd.Example += "\n  nx net sendraw --file frames.pcap"
	one := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case !cmd.Flags().Changed("file"):
			return one(cmd, args)
		case cmd.Flags().Changed("hex"):
			return netcli.Usagef("sendraw: --hex and --file are both given: want one of them")
		case len(args) > 0:
			return one(cmd, args) // which says what it wants
		}
		frames, err := readFile(*path)
		if err != nil {
			return cannot(err, "want a pcap or pcapng file of whole frames of 14 to 1514 bytes (tcpdump -w FILE)")
		}
		return c.run(cmd, nil, func(ctx context.Context, env *netcli.Env, _ []string) error {
			return netcli.SendFrames(ctx, env, frames, progress(env, len(frames)))
		}, nil)
	}
}

// progress returns what says how many of total were sent, once a second.
func progress(env *netcli.Env, total int) func(sent int) {
	last := env.Clock.Now()
	return func(sent int) {
		if now := env.Clock.Now(); now.Sub(last) >= progressEvery && sent < total {
			last = now
			// A progress line that cannot be written is no reason to stop.
			_, _ = fmt.Fprintf(env.Err, "nx: %d of %d frames sent\n", sent, total)
		}
	}
}

// readFile reads the frames of a capture and checks that each can be sent.
func readFile(path string) ([][]byte, error) {
	f, err := named.Open(path, maxFile)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	frames, err := readFrames(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return frames, nil
}

// source is what gives the frames of a capture, of either format.
type source interface {
	ReadPacketData() ([]byte, gopacket.CaptureInfo, error)
	LinkType() layers.LinkType
}

// readFrames reads a capture to its end. Frames that cannot be sent are errors: half of a test is none.
func readFrames(r io.Reader) ([][]byte, error) {
	in, err := openCapture(bufio.NewReader(io.LimitReader(r, maxFile)))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCapture, err)
	}
	if in.LinkType() != layers.LinkTypeEthernet {
		return nil, fmt.Errorf("%w: link type %v", ErrCapture, in.LinkType())
	}
	var frames [][]byte
	for {
		frame, info, err := in.ReadPacketData()
		n := len(frames) + 1
		switch {
		case errors.Is(err, io.EOF) && len(frames) > 0:
			return frames, nil
		case errors.Is(err, io.EOF):
			return nil, fmt.Errorf("%w: it has no frames", ErrCapture)
		case err != nil:
			return nil, fmt.Errorf("%w: frame %d: %w", ErrCapture, n, err)
		case n > MaxFrames:
			return nil, fmt.Errorf("%w: more than %d frames", ErrCapture, MaxFrames)
		case info.Length != len(frame):
			return nil, fmt.Errorf("frame %d was cut to %d of %d bytes when it was captured", n, len(frame), info.Length)
		}
		if err := netcli.CheckFrame(frame); err != nil {
			return nil, fmt.Errorf("frame %d: %w", n, err)
		}
		frames = append(frames, frame)
	}
}

// pcapngMagic is the type of the block that a pcapng file begins with (pcapng, "Section Header Block"), in either byte order.
const pcapngMagic = 0x0a0d0d0a

// openCapture tells the formats apart.
func openCapture(r *bufio.Reader) (source, error) {
	magic, err := r.Peek(4)
	if err != nil {
		return nil, errors.New("it is too short")
	}
	if binary.LittleEndian.Uint32(magic) == pcapngMagic {
		return pcapgo.NewNgReader(r, pcapgo.NgReaderOptions{ErrorOnMismatchingLinkType: true})
	}
	in, err := pcapgo.NewReader(r)
	if err != nil {
		return nil, err
	}
	in.SetSnaplen(netcli.MaxFrame) // whatever the file says: its records are no reason to use up memory
	return in, nil
}
