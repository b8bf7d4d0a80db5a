package boot

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"nexus/tools/nx/internal/capture"
	"nexus/tools/nx/internal/contract"
	"nexus/tools/nx/internal/machine"
	"nexus/tools/nx/internal/rundir"
)

// How long a guest may take to power off after its last marker, and after it was
// asked to, which the operator waits for.
const (
	powerOffBound = 5 * time.Second
	askedBound    = 2 * time.Second
)

// stayingUp is what nexus-init prints when its system goes on after the proof.
const stayingUp = "nexus-init: staying up"

// waitTick is how often a watcher is told what the boot waits for.
const waitTick = 100 * time.Millisecond

// BySignal begins how a machine ended that somebody else killed.
const BySignal = "QEMU was ended by a signal: "

// Watcher is told of a boot while it goes on. Its methods are called from one
// goroutine at a time, and must not keep the report.
type Watcher interface {
	// Starting is called once, before QEMU is executed.
	Starting(r *Report)
	// Line is called for each console line; hit is the marker it is, or nil.
	Line(l Line, hit *contract.Hit, forbidden bool)
	// Waiting is called again and again between lines, until the verdict.
	Waiting(w Wait)
	// Standing is called with the verdict on a guest that stays up.
	Standing(r *Report)
}

// Wait is what a boot waits for.
type Wait struct {
	Next *contract.Marker // nil is the power-off
	For  time.Duration    // since the last marker, or the start
	At   time.Duration    // since the start
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
	control *controlPort
	log     *consoleLog
	lines   chan machine.Line
	last    time.Duration // when the last marker came
	kernel  bool          // it has spoken
	stopped string        // why this run stopped the machine
	report  Report
	up      bool // the guest said that it stays up
}

// Run boots once. nic is NICTap, NICWire, NICUser or NICNone, and why says for what
// reason. An error means that nothing was booted; all else is in the report.
func Run(ctx context.Context, o Options, nic, why string, w Watcher) (*Report, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	qemu, err := o.prepare(ctx)
	if err != nil {
		return nil, err
	}
	rules, err := contract.Load(o.Contract)
	if err != nil {
		return nil, err
	}
	r := &run{opts: o, watch: w, rules: rules, lines: make(chan machine.Line, 1024)}
	if err := r.describe(qemu, nic, why); err != nil {
		return nil, err
	}
	r.track = rules.Track(r.report.mode())
	if err := r.open(nic); err != nil {
		return nil, err
	}
	defer r.shut()
	w.Starting(&r.report)
	if err := r.boot(ctx, qemu.Path); err != nil {
		return nil, err
	}
	return &r.report, nil
}

// open opens the host's ends of the machine.
func (r *run) open(nic string) (err error) {
	if r.log, err = newConsoleLog(r.opts.Guest.Path(rundir.ConsoleFile)); err != nil {
		return err
	}
	if r.control, err = openControl(r.opts.Guest); err == nil {
		r.backend, err = openBackend(nic, &r.opts, &r.rec)
	}
	if err != nil {
		r.shut()
	}
	return err
}

// shut closes what open opened; what went wrong with it is a warning.
func (r *run) shut() {
	if r.backend != nil {
		r.warn(r.backend.shut())
	}
	if r.control != nil {
		r.warn(r.control.shut())
	}
	r.warn(r.log.close())
	r.backend, r.control = nil, nil
}

// warn puts err into the report, once.
func (r *run) warn(err error) {
	if err != nil && !slices.Contains(r.report.Warnings, err.Error()) {
		r.report.Warnings = append(r.report.Warnings, err.Error())
	}
}

// boot runs the machine to its end and judges it.
func (r *run) boot(ctx context.Context, qemu string) error {
	// The machine does not end with ctx: follow asks the guest first.
	m, err := machine.Start(context.WithoutCancel(ctx), machine.Config{
		QEMU: qemu, Kernel: r.opts.Kernel, Archive: r.opts.Archive, DTB: r.opts.DTB,
		Append: r.opts.commandLine(), NIC: r.backend.nic, Control: r.control.guest, Devices: r.opts.Devices,
		Deterministic: r.opts.Profile == machine.Deterministic,
		Icount:        r.opts.Icount,
		MemoryMiB:     r.opts.Memory,
		SMP:           r.opts.SMP,
		Timeout:       r.opts.Timeout,
	}, func(l machine.Line) { r.lines <- l })
	if err != nil {
		return err
	}
	r.backend.started()
	r.control.started()
	r.report.Started, r.report.Command = m.Started().UTC(), m.Args()
	r.warn(r.opts.Guest.Update(func(s *rundir.State) { s.QEMU = m.Pid() }))
	r.follow(ctx, m)

	exit := m.Wait()
	r.forgetSeed()
	r.report.EndedAt = r.report.Started.Add(exit.Took)
	r.report.Host = r.backend.outcomes()
	r.shut()
	r.describeExit(ctx, exit)
	code := &exit.Code
	if r.opts.Stay && exit.Stopped {
		code = nil // it was to be ended from outside
	}
	r.judge(code)
	if n := r.rec.Dropped(); n > 0 {
		r.warn(fmt.Errorf("the capture is full, %d frames are not in it", n))
	}
	if r.opts.PCAP != "" {
		r.warn(r.rec.WriteFile(r.opts.PCAP))
	}
	r.keep()
	r.warn(r.opts.Guest.Update(r.ended))
	return nil
}

// follow takes the console's lines until the machine is gone, and ends a
// machine that has said all there is to say.
func (r *run) follow(ctx context.Context, m *machine.Machine) {
	tick := time.NewTicker(waitTick)
	defer tick.Stop()
	interrupted := ctx.Done()
	var end, late <-chan time.Time
	if r.opts.Stay {
		late = time.After(r.rules.Budget())
	}
	for standing := false; ; {
		select {
		case l := <-r.lines:
			r.take(l)
			if l.Text == stayingUp && !r.up { // a guest may say it again and again
				r.up = true
				if r.opts.Count {
					r.askCounters(ctx)
				}
				if !r.opts.Stay {
					end = r.askToStop(m)
				}
			}
			switch {
			case r.track.Complete() && r.opts.Stay && !standing:
				standing = true
				r.stand(m)
			case r.track.Complete() && !r.opts.Stay && end == nil:
				end = time.After(powerOffBound)
			}
		case <-late: // a marker that is missing now makes the verdict
			if !standing {
				standing = true
				r.stand(m)
			}
		case <-end:
			r.stop(m, "it did not power off in time")
			end = nil
		case <-interrupted:
			interrupted = nil
			if !r.up {
				m.Stop()
				break
			}
			end = r.askToStop(m)
		case <-tick.C:
			if at := time.Since(m.Started()); !standing {
				r.watch.Waiting(Wait{Next: r.track.Next(), For: at - r.last, At: at})
			}
		case <-m.Done():
			r.drain()
			return
		}
	}
}

// askToStop asks a guest that is up to power off, and gives the time when it has
// not done so. A guest that cannot be asked is stopped at once.
func (r *run) askToStop(m *machine.Machine) <-chan time.Time {
	if err := r.control.stop(); err != nil {
		r.stop(m, "it could not be asked to: "+err.Error())
		return nil
	}
	return time.After(askedBound)
}

// stand gives the verdict on a guest that stays up.
func (r *run) stand(m *machine.Machine) {
	r.report.Host = r.backend.outcomes()
	r.judge(nil)
	if r.opts.Ends && !r.report.Verdict.Proven {
		r.stop(m, "its boot is not proven")
		return
	}
	r.keep()
	r.warn(r.opts.Guest.Update(func(s *rundir.State) { s.Phase, s.Verdict = rundir.Standing, r.short() }))
	r.watch.Standing(&r.report)
}

func (r *run) stop(m *machine.Machine, why string) {
	r.stopped = why
	m.Stop()
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
	r.forgetSeed()
	line := Line{At: l.At, Text: l.Text}
	r.report.Console = append(r.report.Console, line)
	r.noteFirmware(line)
	hit, forbidden := r.track.Feed(contract.Line(line))
	if hit != nil {
		r.last = l.At
	}
	r.log.add(line, hit != nil, forbidden)
	r.watch.Line(line, hit, forbidden)
}

// forgetSeed removes the device tree that has the boot's seed in it. QEMU has read it before the firmware's first line.
func (r *run) forgetSeed() {
	if r.opts.seeded {
		r.opts.seeded = false
		r.warn(os.Remove(r.opts.DTB))
	}
}

// judge applies the contract to what is known so far.
func (r *run) judge(exit *int) {
	asked := map[string]bool{}
	for _, o := range r.report.Host {
		asked[o.Ask] = o.OK
	}
	frames := r.rec.Frames(r.report.Started)
	r.report.Frames, r.report.Capture = len(frames), frames
	r.report.Verdict = r.track.Judge(contract.Outside{
		Frames: frames, HostAsked: asked, Files: r.files, Exit: exit,
	})
}

func (r *run) describeExit(ctx context.Context, e machine.Exit) {
	r.report.Exit, r.report.Took, r.report.Stderr = e.Code, e.Took, e.Stderr
	switch {
	case e.TimedOut:
		r.report.Ended = fmt.Sprintf("the machine was stopped after %v, its time bound", r.opts.Timeout)
	case e.Stopped && r.stopped != "":
		r.report.Ended = "the machine was stopped: " + r.stopped
	case e.Stopped:
		r.report.Ended = fmt.Sprintf("the machine was stopped: %v", context.Cause(ctx))
	case ctx.Err() != nil && e.Code == 0:
		r.report.Ended = fmt.Sprintf("the guest powered off when it was asked to: %v", context.Cause(ctx))
	case e.Signal != "":
		r.report.Ended = BySignal + e.Signal
	default:
		r.report.Ended = fmt.Sprintf("QEMU ended with status %d", e.Code)
	}
	if e.Code != 0 {
		r.report.Advice = machine.Explain(e.Stderr)
	}
}
