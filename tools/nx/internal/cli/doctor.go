package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"strings"

	"nexus/tools/nx-net/doctor"
	"nexus/tools/nx/internal/boot"
	"nexus/tools/nx/internal/capture"
	"nexus/tools/nx/internal/machine"
	"nexus/tools/nx/internal/rundir"
	"nexus/tools/nx/internal/tap"
)

// doctorFacts gathers what doctor judges by: this machine, and the guest called name, or the one that runs, or the one that ran last.
func doctorFacts(ctx context.Context, name string) (doctor.Facts, error) {
	facts := doctor.Facts{Host: hostFacts(ctx)}
	guest, err := toDiagnose(name)
	if errors.Is(err, rundir.ErrNoGuest) {
		return facts, nil
	}
	if err != nil {
		return facts, err
	}
	facts.Boot, err = bootFacts(guest)
	return facts, err
}

// toDiagnose finds the guest called name, running or not, or the one that runs, or the one that ran last.
func toDiagnose(name string) (rundir.Info, error) {
	if name != "" {
		return toShow([]string{name})
	}
	if _, err := rundir.Select(""); errors.Is(err, rundir.ErrSeveral) {
		return rundir.Info{}, err
	}
	return toShow(nil)
}

// hostFacts looks at this machine.
func hostFacts(ctx context.Context) doctor.Host {
	var h doctor.Host
	qemu, err := machine.Find(ctx, defaultQEMU())
	if h.QEMUError = err; err == nil {
		h.QEMU = qemu.Version.String()
		h.Firmware = machine.FindFirmware(ctx, qemu.Path)
	}
	for _, f := range []struct{ what, path string }{
		{"kernel image", defaultKernel}, {"boot archive", defaultArchive}, {"device tree", defaultDTB},
	} {
		if err := machine.CheckFile(f.what, f.path, "run `make build` in the repository"); err != nil {
			h.Files = append(h.Files, err)
		}
	}
	if h.TAP = tap.Usable(); h.TAP != nil {
		h.Namespaces = tap.Permitted()
	}
	return h
}

// bootFacts reads what a guest left in its folder. A guest that still boots has no report yet, one that died neither.
func bootFacts(guest rundir.Info) (*doctor.Boot, error) {
	b := &doctor.Boot{Name: guest.Name, NIC: guest.NIC, Net: guest.Net, Running: guest.Phase.Running(), Ended: guest.Why}
	if guest.Phase == rundir.Died {
		b.Ended = "its nx was killed, and QEMU with it"
	}
	b.Died = guest.Phase == rundir.Died || strings.HasPrefix(guest.Why, boot.BySignal)
	var err error
	if b.Console, err = loggedConsole(guest.Path(rundir.ConsoleFile)); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(guest.Path(rundir.ReportFile))
	if errors.Is(err, fs.ErrNotExist) {
		return b, nil
	}
	if err != nil {
		return nil, err
	}
	var r boot.Report
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, err
	}
	b.QEMU, b.Stderr, b.Proven, b.Failures = r.Command, r.Stderr, r.Verdict.Proven, r.Verdict.Failures
	frames, err := capture.ReadFile(guest.Path(rundir.CaptureFile), r.Started)
	if err != nil {
		return nil, err
	}
	for _, f := range frames {
		b.Frames = append(b.Frames, doctor.Frame{
			At: f.At, FromGuest: f.FromGuest(), Kind: string(f.Kind), SrcIP: f.SrcIP, DstIP: f.DstIP,
		})
	}
	return b, nil
}

// loggedConsole reads the lines of a console's log.
func loggedConsole(path string) ([]string, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var lines []string
	in := bufio.NewScanner(f)
	in.Buffer(nil, 2*machine.MaxLine)
	for in.Scan() {
		if l, ok := boot.ParseLogged(in.Text()); ok {
			lines = append(lines, l.Text)
		}
	}
	return lines, in.Err()
}
