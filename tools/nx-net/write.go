package nxnet

import (
	"io"
	"os"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/spf13/cobra"

	"nexus/source/api/netcli"
)

// snapLength is what a capture says it keeps of a frame, in bytes: all.
const snapLength = 65535

// writeFile adds --write to recv, which run runs.
func (c Config) writeFile(cmd *cobra.Command, run netcli.Runner) {
	path := cmd.Flags().String("write", "", "also write the frames to this pcap `FILE`, with the time that nx got them")
	_ = cmd.MarkFlagFilename("write", "pcap") // the flag exists
	cmd.Example += "\n  nx net recv -c 100 --timeout 1m --write frames.pcap"
	plain := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !cmd.Flags().Changed("write") || len(args) > 0 {
			return plain(cmd, args)
		}
		out, err := os.Create(*path)
		if err != nil {
			return cannot(err, "name a file in a folder that can be written to")
		}
		defer out.Close()
		save, err := saver(out, c.now)
		if err != nil {
			return cannot(err, "is the disk full?")
		}
		if err := c.run(cmd, args, run, save); err != nil {
			return err
		}
		if err := out.Close(); err != nil {
			return cannot(err, "is the disk full?")
		}
		return nil
	}
}

// saver writes the head of a capture and returns what writes a frame to it.
func saver(to io.Writer, now func() time.Time) (func(frame []byte) error, error) {
	capture := pcapgo.NewWriter(to)
	if err := capture.WriteFileHeader(snapLength, layers.LinkTypeEthernet); err != nil {
		return nil, err
	}
	return func(frame []byte) error {
		info := gopacket.CaptureInfo{Timestamp: now(), CaptureLength: len(frame), Length: len(frame)}
		return capture.WritePacket(info, frame)
	}, nil
}

func (c Config) now() time.Time {
	if c.Clock != nil {
		return c.Clock.Now()
	}
	return time.Now()
}
