package boot

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"nexus/source/libs/named"
	"nexus/tools/nx/internal/capture"
	"nexus/tools/nx/internal/contract"
	"nexus/tools/nx/internal/hostpeer"
	"nexus/tools/nx/internal/machine"
	"nexus/tools/nx/internal/rundir"
)

// Report is everything about one boot. Its JSON is described in
// docs/bringup/virt_net_v1_2.md.
type Report struct {
	Name    string    `json:"name"`
	NIC     string    `json:"nic"`
	Why     string    `json:"nic_why,omitempty"`
	Net     string    `json:"net"`
	Profile string    `json:"profile"`
	Icount  bool      `json:"icount"`
	Stay    bool      `json:"stay"`
	Memory  int       `json:"memory_mib"`
	SMP     int       `json:"smp"`
	Started time.Time `json:"started"` // UTC, like EndedAt
	EndedAt time.Time `json:"ended_at,omitzero"`

	NX          string   `json:"nx_version"`
	System      string   `json:"host_system"` // the host's, as uname -srm
	QEMU        string   `json:"qemu"`
	QEMUVersion string   `json:"qemu_version"` // in full
	OpenSBI     string   `json:"opensbi,omitempty"`
	Kernel      Image    `json:"kernel"`
	Archive     Image    `json:"archive"`
	Command     []string `json:"command"` // QEMU's, with the program

	Exit     int                `json:"qemu_status"`
	Ended    string             `json:"ended"` // how the machine ended, in words
	Took     time.Duration      `json:"took_ns"`
	Frames   int                `json:"frames"`
	Host     []hostpeer.Outcome `json:"host_asked,omitempty"`
	Verdict  contract.Verdict   `json:"verdict"`
	Console  []Line             `json:"console"`
	Counters []Counters         `json:"counters,omitempty"` // of the guest's services, where they were asked
	Stderr   string             `json:"qemu_stderr,omitempty"`
	Advice   string             `json:"advice,omitempty"`
	Warnings []string           `json:"warnings,omitempty"`

	Capture []capture.Frame `json:"-"` // what the verdict was judged by
}

// Line is a line of the console in a report.
type Line struct {
	At   time.Duration `json:"at_ns"`
	Text string        `json:"text"`
}

// Image is a file that the machine was booted with.
type Image struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // the first 16 digits
}

// describe fills in what is known of a boot before it starts.
func (r *run) describe(qemu machine.QEMU, nic, why string) (err error) {
	o := &r.opts
	r.report = Report{
		Name: o.Guest.Name(), NIC: nic, Why: why, Net: o.Net, Profile: o.Profile, Icount: o.Icount, Stay: o.Stay,
		Memory: cmp.Or(o.Memory, machine.DefaultMemory), SMP: o.SMP,
		NX: version(), System: system(), QEMU: qemu.Version.String(), QEMUVersion: qemu.Full,
	}
	if r.report.Kernel, err = image(o.Kernel); err != nil {
		return err
	}
	if r.report.Archive, err = image(o.Archive); err != nil {
		return err
	}
	// Of an archive that cannot be read the guest's own refusal is what the boot
	// is about.
	r.files, err = archiveFiles(o.Archive)
	r.warn(err)
	return nil
}

func image(path string) (Image, error) {
	f, err := named.Open(path, machine.MaxFile)
	if err != nil {
		return Image{}, err
	}
	defer f.Close()
	sum := sha256.New()
	size, err := io.Copy(sum, f)
	if err != nil {
		return Image{}, err
	}
	return Image{path, size, hex.EncodeToString(sum.Sum(nil))[:16]}, nil
}

// version is nx's own, from what the Go tool stamped on it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return info.Main.Version
}

// system is the host's kernel and machine.
func system() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return "unknown"
	}
	return fmt.Sprintf("%s %s %s", word(u.Sysname[:]), word(u.Release[:]), word(u.Machine[:]))
}

func word(b []byte) string {
	text, _, _ := bytes.Cut(b, []byte{0})
	return string(text)
}

// firmware is OpenSBI's first line; an unprintable one is not looked at.
var firmware = regexp.MustCompile(`^OpenSBI (v[ -~]{1,60})$`)

// noteFirmware takes OpenSBI's version from a line of the console. Only the
// firmware speaks before the kernel does.
func (r *run) noteFirmware(l Line) {
	if r.report.OpenSBI != "" || strings.HasPrefix(l.Text, "neuron:") {
		r.kernel = true
	}
	if r.kernel {
		return
	}
	if m := firmware.FindStringSubmatch(l.Text); m != nil {
		r.report.OpenSBI = m[1]
	}
}

// short is the verdict in short.
func (r *run) short() *rundir.Verdict {
	v := &r.report.Verdict
	short := &rundir.Verdict{Proven: v.Proven, Markers: len(v.Markers), Evident: v.Evident, Took: v.Took}
	if len(v.Failures) > 0 {
		short.Failure = v.Failures[0]
	}
	return short
}

// ended puts the end of the run into the guest's state.
func (r *run) ended(s *rundir.State) {
	s.Phase, s.Verdict = rundir.Ended, r.short()
	s.Ended, s.Why = r.report.EndedAt, r.report.Ended
	if !r.report.Verdict.Proven {
		s.Exit = 1
	}
}

// maxKept bounds the frames that are kept in the guest's folder, in bytes.
const maxKept = 16 << 20

// keep writes report and capture into the guest's folder.
func (r *run) keep() {
	left, err := r.rec.WriteHead(r.opts.Guest.Path(rundir.CaptureFile), maxKept)
	r.warn(err)
	if left > 0 {
		r.warn(errors.New("the capture in the guest's folder is full, --pcap keeps the last frames too"))
	}
	data, err := json.MarshalIndent(&r.report, "", " ")
	if err == nil {
		err = os.WriteFile(r.opts.Guest.Path(rundir.ReportFile), append(data, '\n'), 0o600)
	}
	r.warn(err)
}
