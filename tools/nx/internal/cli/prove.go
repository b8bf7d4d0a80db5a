package cli

import (
	"github.com/spf13/cobra"

	"nexus/tools/nx/internal/boot"
)

func newProve(s streams) *cobra.Command {
	o := boot.Saved{}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "prove REPORT",
		Short: "Judge a recorded boot again, from its report and capture",
		Long: `Judge a boot that nx boot --record REPORT --pcap FILE recorded, without running
anything: the same console, capture and contract give the same verdict.

Exit status:
  0  proven
  1  not proven
  2  nothing was judged: wrong usage, or a file cannot be read`,
		Example: `  nx boot --record boot.json --pcap boot.pcap
  nx prove boot.json --pcap boot.pcap`,
		Args: exactly(1),
		RunE: func(_ *cobra.Command, args []string) error {
			o.Report = args[0]
			report, err := boot.Rejudge(o)
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(s.out, report)
			} else {
				show := newConsole(s.out, true)
				show.finish(report)
				show.complain(s.err)
			}
			if err != nil {
				return err
			}
			if !report.Verdict.Proven {
				return statusError(exitUnproven)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the report with the new verdict as JSON")
	cmd.Flags().StringVar(&o.PCAP, "pcap", "", "the capture of the boot")
	cmd.Flags().StringVar(&o.Archive, "archive", defaultArchive, "boot archive")
	cmd.Flags().StringVar(&o.Contract, "contract", defaultContract, "marker contract")
	return cmd
}
