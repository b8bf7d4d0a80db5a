package boot

import (
	"encoding/json"
	"errors"
	"fmt"

	"nexus/source/libs/named"
	"nexus/tools/nx/internal/capture"
	"nexus/tools/nx/internal/contract"
)

// Saved names what is left of an earlier boot.
type Saved struct {
	Report   string // as Report in JSON
	PCAP     string // "" is a boot without a network card
	Archive  string
	Contract string
}

// Rejudge judges a recorded boot by the contract once more.
func Rejudge(s Saved) (*Report, error) {
	rules, err := contract.Load(s.Contract)
	if err != nil {
		return nil, err
	}
	report, err := ReadReport(s.Report)
	if err != nil {
		return nil, err
	}
	outside := contract.Outside{HostAsked: map[string]bool{}}
	if outside.Files, err = archiveFiles(s.Archive); err != nil {
		return nil, err
	}
	if s.PCAP != "" {
		if outside.Frames, err = capture.ReadFile(s.PCAP, report.Started); err != nil {
			return nil, err
		}
	}
	for _, o := range report.Host {
		outside.HostAsked[o.Ask] = o.OK
	}
	if !report.Stay {
		outside.Exit = &report.Exit
	}
	track := rules.Track(report.mode())
	for _, l := range report.Console {
		track.Feed(contract.Line(l))
	}
	report.Verdict = track.Judge(outside)
	return report, nil
}

// MaxReport bounds the size of a report, in bytes: a console may have 8 MiB.
const MaxReport = 128 << 20

// ErrReport says that a file is no report.
var ErrReport = errors.New("not the report of a boot")

// ReadReport reads the report in file path, which nx boot --record wrote.
func ReadReport(path string) (*Report, error) {
	const advice = "; nx boot --record FILE writes one"
	data, err := named.Read(path, MaxReport)
	if err != nil {
		return nil, fmt.Errorf("report: %w%s", err, advice)
	}
	report := new(Report)
	if err := json.Unmarshal(data, report); err != nil {
		return nil, fmt.Errorf("report %s: %w: %w%s", path, ErrReport, err, advice)
	}
	if report.Started.IsZero() || len(report.Command) == 0 {
		return nil, fmt.Errorf("report %s: %w: it says no time and no command%s", path, ErrReport, advice)
	}
	return report, nil
}

// mode is the kind of boot, in the contract's words.
func (r *Report) mode() contract.Mode {
	return contract.Mode{"net": r.Net, "nic": r.NIC, "profile": r.Profile, "stay": yesNo(r.Stay)}
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
