package cli

import (
	"github.com/spf13/cobra"

	"nexus/tools/nx/internal/machine"
)

func newDTB() *cobra.Command {
	var dtc string
	cmd := &cobra.Command{
		Use:   "dtb SOURCE DESTINATION",
		Short: "Compile a device tree with dtc",
		Long: `Compile the device tree SOURCE to DESTINATION with dtc, which has 10 s.

Exit status:
  0  done
  2  it was not: wrong usage, no dtc, an error in SOURCE, or DESTINATION cannot be written`,
		Example: "  nx dtb pkg/dts/virt-nexus.dts build/virt-nexus.dtb",
		Args:    exactly(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return machine.CompileTree(cmd.Context(), dtc, args[0], args[1])
		},
	}
	cmd.Flags().StringVar(&dtc, "dtc", "dtc", "device tree compiler to execute")
	return cmd
}
