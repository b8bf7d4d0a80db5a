package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"nexus/tools/nx/internal/boot"
	"nexus/tools/nx/internal/machine"
	"nexus/tools/nx/internal/tap"
)

// bootFlags are the flags of nx boot.
type bootFlags struct {
	boot.Options
	json    bool
	verbose bool
	record  string
	here    bool   // use the TAP of this process's network namespace
	why     string // the back end was chosen for, in the process that chose it
}

func newBoot(s streams) *cobra.Command {
	f := new(bootFlags)
	cmd := &cobra.Command{
		Use:   "boot",
		Short: "Boot Nexus in QEMU and check the boot against the marker contract",
		Long: `Boot Nexus in QEMU, show its console with the time of each line since the
exec of QEMU, and judge the boot by the marker contract: every marker in order,
in time, with its evidence in the capture of the wire.

The network card is on a TAP in a private network namespace where /dev/net/tun
can be opened, else on a socket to a host played by nx; --nic chooses.
` + exitHelp,
		Example: `  nx boot
  nx boot --nic wire --net dhcp --pcap boot.pcap
  nx boot --profile deterministic --icount --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd, s) },
	}
	f.register(cmd)
	return cmd
}

func (f *bootFlags) register(cmd *cobra.Command) {
	fs := cmd.Flags()
	qemu := os.Getenv("NEXUS_QEMU")
	if qemu == "" {
		qemu = "qemu-system-riscv64"
	}
	fs.StringVar(&f.NIC, "nic", boot.NICAuto, "network card's back end: auto, tap, wire or none")
	fs.StringVar(&f.Net, "net", boot.NetStub, "how virt0 gets its address: stub, static or dhcp")
	fs.StringVar(&f.Profile, "profile", machine.Deterministic, "deterministic or default")
	fs.BoolVar(&f.Icount, "icount", false, "count instructions: guest time is what the guest executed")
	fs.BoolVar(&f.Stay, "stay", false, "serve on after the proof, until ^C or --timeout")
	fs.DurationVar(&f.Timeout, "timeout", 30*time.Second, "bound on the whole run; with --stay the default is 24h")
	fs.StringVar(&f.Kernel, "kernel", "build/neuron.img", "kernel image")
	fs.StringVar(&f.Archive, "archive", "build/boot.cpio", "boot archive")
	fs.StringVar(&f.DTB, "dtb", "build/virt-nexus.dtb", "compiled device tree")
	fs.StringVar(&f.Contract, "contract", "tests/contract/markers.json", "marker contract")
	fs.StringVar(&f.QEMU, "qemu", qemu, "QEMU to execute ($NEXUS_QEMU)")
	fs.StringArrayVar(&f.Append, "append", nil, "more words for the kernel command line")
	fs.StringVar(&f.PCAP, "pcap", "", "write what crossed the wire to this file")
	fs.StringVar(&f.record, "record", "", "write the report, for nx prove, to this file")
	fs.BoolVar(&f.json, "json", false, "print the report as JSON instead of the console")
	fs.BoolVarP(&f.verbose, "verbose", "v", false, "show the firmware's lines too")
	fs.BoolVar(&f.Legacy, "legacy-nic", false, "offer a version 1 card, which Nexus must refuse")
	fs.BoolVar(&f.NoLease, "no-lease", false, "with --net dhcp: leave DHCP to another server on the TAP, or to none")
	fs.BoolVar(&f.Noise, "noise", false, "the host also sends garbage frames, the same in every boot")
	fs.BoolVar(&f.here, "here", false, "with --nic tap: use the TAP of this network namespace, e.g. in nx tap")
	fs.StringVar(&f.why, "nic-why", "", "")
	_ = fs.MarkHidden("nic-why") // the flag exists
}

func (f *bootFlags) run(cmd *cobra.Command, s streams) error {
	if f.Stay && !cmd.Flags().Changed("timeout") {
		f.Timeout = 24 * time.Hour
	}
	if err := f.Check(); err != nil {
		return err
	}
	if f.here && f.NIC != boot.NICTap {
		return fmt.Errorf("--here is for --nic %s", boot.NICTap)
	}
	nic, why := f.NIC, f.why
	if !f.here {
		var err error
		if nic, why, err = choose(f.NIC); err != nil {
			return err
		}
		if nic == boot.NICTap {
			return inNamespace(cmd.Context(), s, append(os.Args[1:], "--nic", nic, "--here", "--nic-why", why)...)
		}
	}
	if nic == boot.NICTap {
		if err := tap.Setup(tap.Name()); err != nil {
			return err
		}
	}
	return f.boot(cmd, s, nic, why)
}

// choose turns auto into a back end, and says why.
func choose(nic string) (chosen, why string, err error) {
	switch nic {
	case boot.NICTap:
		if err := tap.Usable(); err != nil {
			return "", "", fmt.Errorf("no TAP: %w; run as root or with access to /dev/net/tun, or use --nic wire", err)
		}
		return nic, "as asked", nil
	case boot.NICAuto:
		if err := tap.Usable(); err != nil {
			return boot.NICWire, "no TAP: " + err.Error(), nil
		}
		return boot.NICTap, "/dev/net/tun can be opened", nil
	}
	return nic, "as asked", nil
}

// boot boots and reports.
func (f *bootFlags) boot(cmd *cobra.Command, s streams, nic, why string) error {
	show := newConsole(s.out, f.verbose)
	if f.json {
		show = newConsole(nil, false)
	}
	report, err := boot.Run(cmd.Context(), f.Options, nic, why, show)
	if err != nil {
		return err
	}
	if f.record != "" {
		if err := writeReport(f.record, report); err != nil {
			return err
		}
	}
	if f.json {
		out := json.NewEncoder(s.out)
		out.SetIndent("", " ")
		if err := out.Encode(report); err != nil {
			return err
		}
	} else {
		show.finish(report)
	}
	if !report.Verdict.Proven {
		return statusError(exitUnproven)
	}
	return nil
}

func writeReport(path string, report *boot.Report) error {
	data, err := json.MarshalIndent(report, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}
