package boot

import (
	"context"
	"fmt"
	"time"

	"nexus/tools/nx/internal/capture"
	"nexus/tools/nx/internal/contract"
	"nexus/tools/nx/internal/hostpeer"
	"nexus/tools/nx/internal/machine"
)

// powerOffBound is how long a guest may take to power off after its last marker.
const powerOffBound = 5 * time.Second

// Report is everything about one boot.
type Report struct {
	NIC      string             `json:"nic"`
	Why      string             `json:"nic_why,omitempty"`
	Net      string             `json:"net"`
	Profile  string             `json:"profile"`
	Icount   bool               `json:"icount"`
	Stay     bool               `json:"stay"`
	Started  time.Time          `json:"started"`
	QEMU     string             `json:"qemu"`
	Exit     int                `json:"qemu_status"`
	Ended    string             `json:"ended"` // how the machine ended, in words
	Took     time.Duration      `json:"took_ns"`
	Frames   int                `json:"frames"`
	Host     []hostpeer.Outcome `json:"host_asked,omitempty"`
	Verdict  contract.Verdict   `json:"verdict"`
	Console  []Line             `json:"console"`
	Stderr   string             `json:"qemu_stderr,omitempty"`
	Advice   string             `json:"advice,omitempty"`
	Warnings []string           `json:"warnings,omitempty"`
}

// Line is a line of the console in a report.
type Line struct {
	At   time.Duration `json:"at_ns"`
	Text string        `json:"text"`
}

// Watcher is told of a boot while it goes on. Its methods are called from one
// goroutine at a time.
type Watcher interface {
	// Starting is called once, before QEMU is executed.
	Starting(nic, why string, qemu machine.Version)
	// Line is called for each console line; hit is the marker it is, or nil.
	Line(l Line, hit *contract.Hit, forbidden bool)
	// Standing is called with the verdict of a guest that stays up.
	Standing(v contract.Verdict)
}

// run is one boot in progress.
type run struct {
	opts    Options
	watch   Watcher
	rules   *contract.Contract
	track   *contract.Tracker
	files   map[string]int64
	rec     capture.Recorder
	backend *backend
	lines   chan machine.Line
	report  Report
}

// Run boots once. nic is NICTap, NICWire or NICNone, and why says for what
// reason. An error means that nothing was booted; all else is in the report.
func Run(ctx context.Context, o Options, nic, why string, w Watcher) (*Report, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	qemu, version, err := o.prepare(ctx)
	if err != nil {
		return nil, err
	}
	rules, err := contract.Load(o.Contract)
	if err != nil {
		return nil, err
	}
	r := &run{opts: o, watch: w, rules: rules, lines: make(chan machine.Line, 1024)}
	var warnings []string
	if r.files, err = archiveFiles(o.Archive); err != nil {
		// The guest's own refusal is what the boot is about then.
		warnings = append(warnings, err.Error())
	}
	r.report = Report{
		NIC: nic, Why: why, Net: o.Net, Profile: o.Profile, Icount: o.Icount, Stay: o.Stay,
		QEMU: version.String(), Warnings: warnings,
	}
	r.track = rules.Track(r.report.mode())
	if r.backend, err = openBackend(nic, &o, &r.rec); err != nil {
		return nil, err
	}
	w.Starting(nic, why, version)
	if err := r.boot(ctx, qemu); err != nil {
		return nil, err
	}
	return &r.report, nil
}

// boot runs the machine to its end and judges it.
func (r *run) boot(ctx context.Context, qemu string) error {
	m, err := machine.Start(ctx, machine.Config{
		QEMU: qemu, Kernel: r.opts.Kernel, Archive: r.opts.Archive, DTB: r.opts.DTB,
		Append: r.opts.commandLine(), NIC: r.backend.nic,
		Deterministic: r.opts.Profile == machine.Deterministic,
		Icount:        r.opts.Icount,
		Timeout:       r.opts.Timeout,
	}, func(l machine.Line) { r.lines <- l })
	if err != nil {
		_ = r.backend.shut() // the start's error is the one that counts
		return err
	}
	r.backend.started()
	r.report.Started = m.Started()
	r.follow(m)

	exit := m.Wait()
	r.report.Host = r.backend.outcomes()
	if err := r.backend.shut(); err != nil {
		r.report.Warnings = append(r.report.Warnings, err.Error())
	}
	if n := r.rec.Dropped(); n > 0 {
		r.report.Warnings = append(r.report.Warnings, fmt.Sprintf("the capture is full, %d frames are not in it", n))
	}
	r.describeExit(exit)
	code := &exit.Code
	if r.opts.Stay && exit.Stopped {
		code = nil // the operator's ^C is the end that was asked for
	}
	r.judge(m.Started(), code)
	if r.opts.PCAP != "" {
		if err := r.rec.WriteFile(r.opts.PCAP); err != nil {
			r.report.Warnings = append(r.report.Warnings, err.Error())
		}
	}
	return nil
}

// follow takes the console's lines until the machine is gone, and ends a
// machine that has said all there is to say.
func (r *run) follow(m *machine.Machine) {
	var end <-chan time.Time
	standing := false
	for {
		select {
		case l := <-r.lines:
			r.take(l)
			switch {
			case r.track.Complete() && r.opts.Stay && !standing:
				standing = true
				r.report.Host = r.backend.outcomes()
				r.judge(m.Started(), nil)
				r.watch.Standing(r.report.Verdict)
			case r.track.Complete() && !r.opts.Stay && end == nil:
				end = time.After(powerOffBound)
			}
		case <-end:
			m.Stop()
			end = nil
		case <-m.Done():
			r.drain()
			return
		}
	}
}

// drain takes the lines that were read before the machine's end.
func (r *run) drain() {
	for {
		select {
		case l := <-r.lines:
			r.take(l)
		default:
			return
		}
	}
}

// take takes one line.
func (r *run) take(l machine.Line) {
	line := Line{At: l.At, Text: l.Text}
	r.report.Console = append(r.report.Console, line)
	hit, forbidden := r.track.Feed(contract.Line(line))
	r.watch.Line(line, hit, forbidden)
}

// judge applies the contract to what is known so far.
func (r *run) judge(start time.Time, exit *int) {
	asked := map[string]bool{}
	for _, o := range r.report.Host {
		asked[o.Ask] = o.OK
	}
	frames := r.rec.Frames(start)
	r.report.Frames = len(frames)
	r.report.Verdict = r.track.Judge(contract.Outside{
		Frames: frames, HostAsked: asked, Files: r.files, Exit: exit,
	})
}

func (r *run) describeExit(e machine.Exit) {
	r.report.Exit, r.report.Took, r.report.Stderr = e.Code, e.Took, e.Stderr
	switch {
	case e.TimedOut:
		r.report.Ended = fmt.Sprintf("the machine was stopped after %v, its time bound", r.opts.Timeout)
	case e.Stopped:
		r.report.Ended = "the machine was stopped"
	case e.Signal != "":
		r.report.Ended = "QEMU was ended by a signal: " + e.Signal
	default:
		r.report.Ended = fmt.Sprintf("QEMU ended with status %d", e.Code)
	}
	if e.Code != 0 {
		r.report.Advice = machine.Explain(e.Stderr)
	}
}
