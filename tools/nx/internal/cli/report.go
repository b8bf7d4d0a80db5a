package cli

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"nexus/source/libs/named"
	"nexus/tools/nx/internal/boot"
	"nexus/tools/nx/internal/capture"
	"nexus/tools/nx/internal/report"
)

func newReport() *cobra.Command {
	var pcap, out string
	cmd := &cobra.Command{
		Use:   "report REPORT -o FILE",
		Short: "Write the page of a recorded boot, from its report and capture",
		Long: `Write what nx boot --record REPORT --pcap FILE recorded as one HTML page that needs
nothing else, without running or judging anything: verdict, timeline, markers
with their evidence, packets, memory, console.

Exit status:
  0  the page is written, whatever its verdict
  2  it is not: wrong usage, or a file cannot be read or written`,
		Example: `  nx boot --record boot.json --pcap boot.pcap
  nx report boot.json --pcap boot.pcap -o boot.html`,
		Args: exactly(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if out == "" {
				return errors.New("report: --output is missing: name the file to write, e.g. -o boot.html")
			}
			if err := named.Writable(out); err != nil {
				return fmt.Errorf("report: --output: %w", err)
			}
			in, err := recorded(args[0], pcap)
			if err != nil {
				return err
			}
			return writePage(out, in)
		},
	}
	cmd.Flags().StringVar(&pcap, "pcap", "", "the capture of the boot; without it the page has no packets")
	cmd.Flags().StringVarP(&out, "output", "o", "", "write the page to this file")
	return cmd
}

// recorded reads a boot's report and, if pcap is not "", its capture.
func recorded(path, pcap string) (report.Input, error) {
	recorded, err := boot.ReadReport(path)
	if err != nil {
		return report.Input{}, err
	}
	in := report.Input{Boot: recorded}
	if pcap == "" {
		return in, nil
	}
	frames, err := capture.ReadFile(pcap, in.Boot.Started)
	if err != nil {
		return report.Input{}, err
	}
	in.Frames = report.Captured(frames)
	return in, nil
}

// writePage writes the page to the file path once all of it is made.
func writePage(path string, in report.Input) error {
	var page bytes.Buffer
	if err := report.Write(&page, in); err != nil {
		return err
	}
	if err := os.WriteFile(path, page.Bytes(), 0o644); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}
