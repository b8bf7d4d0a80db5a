package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"nexus/source/libs/named"
	"nexus/tools/nx/internal/boot"
	"nexus/tools/nx/internal/machine"
	"nexus/tools/nx/internal/report"
	"nexus/tools/nx/internal/rundir"
	"nexus/tools/nx/internal/tap"
)

// bootFlags are the flags of nx boot.
type bootFlags struct {
	boot.Options
	json    bool
	verbose bool
	color   string
	record  string
	page    string
	name    string
	detach  bool
	keep    bool   // with detach: a guest whose boot is not proven too
	forget  bool   // leave nothing in the run directory
	here    bool   // use this process's network namespace
	why     string // the back end was chosen for, in the process that chose it
	show    *console
	waiter  int // descriptor on which the process that detached waits; 0 is none
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
can be opened, else on a socket to a host played by nx; --nic chooses. With --nic
user it is on QEMU's own user network, whose DHCP server and host are QEMU's.

Guests run side by side, each by its name: nx ps lists them, nx stop ends them,
nx logs shows what they said, also after their end. They are known in the run
directory: $NEXUS_RUN, else nexus in $XDG_RUNTIME_DIR, else /tmp/nexus-UID.
` + exitHelp,
		Example: `  nx boot
  nx boot --nic wire --net dhcp --pcap boot.pcap
  nx boot --nic user --net dhcp
  nx boot --detach --name web && nx logs web && nx stop web
  nx boot --profile deterministic --icount --json`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd, s) },
	}
	f.register(cmd)
	return cmd
}

func (f *bootFlags) register(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&f.NIC, "nic", boot.NICAuto, "network card's back end: auto, tap, wire, user or none")
	fs.StringVar(&f.Net, "net", boot.NetStub, "how virt0 gets its address: stub, static or dhcp")
	fs.StringVar(&f.Profile, "profile", "", "clock and randomness: deterministic, or default, which are the host's; the default is deterministic, with --stay or --detach it is default")
	fs.BoolVar(&f.Icount, "icount", false, "count instructions: guest time is what the guest executed")
	fs.BoolVar(&f.Stay, "stay", false, "serve on after the proof, until ^C or --timeout")
	fs.DurationVar(&f.Timeout, "timeout", 30*time.Second, "bound on the whole run; with --stay the default is 24h")
	fs.StringVar(&f.name, "name", "", "the guest's name, of a-z, 0-9 and -; the default is g1, g2, … whichever is free")
	fs.BoolVarP(&f.detach, "detach", "d", false, "with the verdict return, and leave the guest running (--stay is implied)")
	fs.BoolVar(&f.keep, "keep", false, "with --detach: leave a guest running whose boot is not proven too")
	fs.BoolVar(&f.forget, "forget", false, "leave nothing in the run directory at the end")
	fs.IntVar(&f.Memory, "memory", 0, fmt.Sprintf("memory in MiB, %d to %d; the default is the device tree's, %d", machine.MinMemory, machine.MaxMemory, machine.DefaultMemory))
	fs.IntVar(&f.SMP, "smp", 1, fmt.Sprintf("harts of the machine, 1 to %d; Nexus runs on one of them", machine.MaxSMP))
	fs.StringVar(&f.color, "color", colorAuto, "colour the console: auto, always or never; auto minds $NO_COLOR and TERM=dumb")
	fs.StringVar(&f.Kernel, "kernel", defaultKernel, "kernel image")
	fs.StringVar(&f.Archive, "archive", defaultArchive, "boot archive")
	fs.StringVar(&f.DTB, "dtb", defaultDTB, "compiled device tree")
	fs.StringVar(&f.Contract, "contract", defaultContract, "marker contract")
	fs.StringVar(&f.QEMU, "qemu", defaultQEMU(), "QEMU to execute ($NEXUS_QEMU)")
	fs.StringArrayVar(&f.Append, "append", nil, "more words for the kernel command line")
	fs.StringArrayVar(&f.Devices, "device", nil, "plug in one more `DEVICE`, as QEMU's -device takes it, e.g. virtio-rng-device,bus=virtio-mmio-bus.3")
	fs.StringVar(&f.PCAP, "pcap", "", "write what crossed the wire to this file")
	fs.StringVar(&f.record, "record", "", "write the report, for nx prove, to this file")
	fs.StringVar(&f.page, "report", "", "write the boot as one HTML page to this file")
	fs.BoolVar(&f.json, "json", false, "print the report as JSON instead of the console")
	fs.BoolVarP(&f.verbose, "verbose", "v", false, "show the firmware's lines too")
	fs.BoolVar(&f.Legacy, "legacy-nic", false, "offer a version 1 card, which Nexus must refuse")
	fs.BoolVar(&f.NoLease, "no-lease", false, "with --net dhcp: leave DHCP to another server on the TAP, or to none")
	fs.BoolVar(&f.Noise, "noise", false, "the host also sends garbage frames, the same in every boot")
	fs.BoolVar(&f.here, "here", false, "with --nic tap or user: use this network namespace, e.g. in nx tap")
	fs.StringVar(&f.why, "nic-why", "", "")
	fs.IntVar(&f.waiter, "waiter", 0, "")
	completeFlag(cmd, "nic", boot.NICAuto, boot.NICTap, boot.NICWire, boot.NICUser, boot.NICNone)
	completeFlag(cmd, "net", boot.NetStub, boot.NetStatic, boot.NetDHCP)
	completeFlag(cmd, "profile", machine.Deterministic, machine.Default)
	completeFlag(cmd, "color", colorAuto, colorAlways, colorNever)
	_ = fs.MarkHidden("nic-why") // the flags exist
	_ = fs.MarkHidden("waiter")
}

func (f *bootFlags) run(cmd *cobra.Command, s streams) error {
	if f.detach {
		f.Stay, f.Ends = true, !f.keep
	}
	if f.Stay && !cmd.Flags().Changed("timeout") {
		f.Timeout = 24 * time.Hour
	}
	f.Profile = cmp.Or(f.Profile, f.usualProfile())
	if err := f.check(cmd); err != nil {
		return err
	}
	nic, why := f.NIC, f.why
	if f.here && why == "" {
		why = "as asked"
	}
	if why == "" {
		var err error
		if nic, why, err = choose(f.NIC); err != nil {
			return err
		}
		again := append(os.Args[1:], "--nic", nic, "--nic-why", why)
		if ownNamespace(nic) {
			again = append(again, "--here")
		}
		if f.detach {
			return detach(cmd.Context(), s, ownNamespace(nic), again)
		}
		if ownNamespace(nic) {
			return inNamespace(cmd.Context(), s, tap.Run, again...)
		}
	}
	if err := prepareNamespace(nic); err != nil {
		return err
	}
	return f.boot(cmd.Context(), s, nic, why)
}

// usualProfile is for who names none: a boot that is only judged is the same every time, a guest that serves somebody must have
// secrets of its own and the right time. Who counts instructions has asked for the former.
func (f *bootFlags) usualProfile() string {
	if f.Stay && !f.Icount {
		return machine.Default
	}
	return machine.Deterministic
}

// check refuses flags that mean nothing.
func (f *bootFlags) check(cmd *cobra.Command) error {
	if err := f.Check(); err != nil {
		return err
	}
	if f.here && !ownNamespace(f.NIC) {
		return fmt.Errorf("--here is for --nic %s and %s", boot.NICTap, boot.NICUser)
	}
	if f.detach && f.here && f.waiter == 0 {
		return errors.New("--detach is not for --here: the network ends with its namespace")
	}
	if f.keep && !f.detach {
		return errors.New("--keep is for --detach")
	}
	if cmd.Flags().Changed("memory") && f.Memory == 0 {
		return fmt.Errorf("--memory 0 is not within %d to %d MiB", machine.MinMemory, machine.MaxMemory)
	}
	for flag, path := range map[string]string{"pcap": f.PCAP, "record": f.record, "report": f.page} {
		if !cmd.Flags().Changed(flag) {
			continue
		}
		if err := named.Writable(path); err != nil {
			return fmt.Errorf("--%s: %w", flag, err)
		}
	}
	if f.NIC == boot.NICTap {
		if err := tap.CheckName(tap.Name()); err != nil {
			return fmt.Errorf("%w; $TAP_IF names it", err)
		}
	}
	if cmd.Flags().Changed("name") {
		if err := rundir.CheckName(f.name); err != nil {
			return err
		}
	}
	return checkColor(f.color)
}

// choose turns auto into a back end, and says why.
func choose(nic string) (chosen, why string, err error) {
	switch nic {
	case boot.NICTap:
		if err := tap.Usable(); err != nil {
			return "", "", fmt.Errorf("no TAP: %w; run as root or with access to /dev/net/tun, or use --nic wire", err)
		}
		return nic, "as asked", nil
	case boot.NICUser:
		if err := tap.Permitted(); err != nil {
			return "", "", fmt.Errorf("no user network: %w; %s, or use --nic wire", err, tap.Advice)
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
func (f *bootFlags) boot(ctx context.Context, s streams, nic, why string) error {
	root, err := rundir.Make(rundir.Default())
	if err != nil {
		return err
	}
	f.Guest, err = root.Create(f.name, rundir.State{
		NIC: nic, Net: f.Net, Profile: f.Profile, SMP: f.SMP, Memory: cmp.Or(f.Memory, machine.DefaultMemory),
	})
	if err != nil {
		return err
	}
	f.Count = f.page != ""
	result, err := boot.Run(ctx, f.Options, nic, why, f.watcher(s))
	// Of what never ran nothing is left.
	if closeErr := f.Guest.Close(f.forget || err != nil); closeErr != nil {
		fmt.Fprintln(s.err, "nx: warning:", closeErr)
	}
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("nothing was booted: %w", context.Cause(ctx))
	}
	if err != nil {
		return err
	}
	f.show.finish(result)
	f.show.complain(s.err)
	if err := f.save(s, result); err != nil {
		return err
	}
	if result.Verdict.Proven {
		return nil
	}
	if !f.forget {
		f.show.printf("nexus: `nx net doctor --guest %s` names the cause, as far as it shows\n", f.Guest.Name())
	}
	return statusError(exitUnproven)
}

// watcher shows the boot and, for a guest that detaches, lets its starter go.
func (f *bootFlags) watcher(s streams) boot.Watcher {
	out := s.out
	if f.json {
		out = nil
	}
	f.show = newBootConsole(out, f.verbose, f.color)
	if f.waiter == 0 {
		return f.show
	}
	return &detached{console: f.show, waiter: f.waiter, save: func(r *boot.Report) error { return f.save(s, r) }, errs: s.err}
}

// save writes the report where that was asked for.
func (f *bootFlags) save(s streams, result *boot.Report) error {
	if f.record != "" {
		if err := writeReport(f.record, result); err != nil {
			return err
		}
	}
	if f.page != "" {
		if err := writePage(f.page, report.Input{Boot: result, Frames: report.Captured(result.Capture)}); err != nil {
			return err
		}
	}
	if !f.json {
		return nil
	}
	out := json.NewEncoder(s.out)
	out.SetIndent("", " ")
	return out.Encode(result)
}

func writeReport(path string, report *boot.Report) error {
	data, err := json.MarshalIndent(report, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}
