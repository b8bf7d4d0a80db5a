package svc

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if role := os.Getenv("SVC_TEST_ROLE"); role != "" {
		child(role)
	}
	os.Exit(m.Run())
}

// child is the program that the tests start as nexus-init would.
func child(role string) {
	s, err := Open()
	if err != nil {
		Fail(err)
	}
	switch role {
	case "ready":
		if os.Getenv("LISTEN_FDS") != "" || os.Getenv("LISTEN_FDNAMES") != "" {
			Fail(errors.New("the environment still names descriptors"))
		}
		f, err := s.Descriptor("net.nx")
		if err != nil {
			Fail(err)
		}
		flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC == 0 {
			Fail(errors.New("not close-on-exec"))
		}
		if err := errors.Join(s.Status("two\nlines"), s.Refused(3), s.Ready()); err != nil {
			Fail(err)
		}
		for _, d := range s.Descriptors("net") {
			Mark("child: " + d.Name)
		}
		for _, d := range s.All() {
			Mark("all: " + d.Name)
		}
		Fail(nil)
	case "permanent":
		Fail(Permanent(errors.New("no such\ndevice")))
	case "restart":
		Fail(errors.New("lost the device"))
	}
}

// start runs this test binary as a service with the descriptors files.
func start(role string, environment []string, files ...*os.File) (stdout, stderr string, status int) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append([]string{"SVC_TEST_ROLE=" + role}, environment...)
	cmd.ExtraFiles = files
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run() // the status tells
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func TestStartedService(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	stdout, stderr, status := start("ready",
		[]string{"LISTEN_FDS=4", "LISTEN_FDNAMES=net:netx:net.nx:notify"}, w, w, w, w)
	w.Close()
	if status != ExitDone || stderr != "" {
		t.Fatalf("status %d, %s", status, stderr)
	}
	if want := "child: net\nchild: net.nx\nall: net\nall: netx\nall: net.nx\nall: notify\n"; stdout != want {
		t.Errorf("stdout %q, want %q", stdout, want)
	}
	notified := make([]byte, 100)
	n, _ := r.Read(notified)
	if got, want := string(notified[:n]), "STATUS=two?lines\nX_REFUSED=3\nREADY=1\n"; got != want {
		t.Errorf("notified %q, want %q", got, want)
	}
}

func TestExitStatuses(t *testing.T) {
	tests := []struct {
		role, listen, names string
		status              int
		says                string
	}{
		{"restart", "", "", ExitRestart, ".test: failed: lost the device\n"},
		{"permanent", "", "", ExitNoRestart, ".test: failed: no such?device\n"},
		{"ready", "", "", ExitNoRestart, "descriptor net.nx: " + ErrNoDescriptor.Error()},
		{"ready", "x", "net", ExitNoRestart, `LISTEN_FDS="x"`},
	}
	for _, tt := range tests {
		_, stderr, status := start(tt.role, []string{"LISTEN_FDS=" + tt.listen, "LISTEN_FDNAMES=" + tt.names})
		if status != tt.status || !strings.Contains(stderr, tt.says) {
			t.Errorf("%s: status %d, want %d; %q, want %q in it", tt.role, status, tt.status, stderr, tt.says)
		}
	}
}

func TestParse(t *testing.T) {
	tests := []struct {
		count, names string
		want         []string
		err          error
	}{
		{"", "", nil, nil},
		{"0", "", nil, nil},
		{"1", "notify", []string{"notify"}, nil},
		{"2", "net:net.nx", []string{"net", "net.nx"}, nil},
		{"2", "net", nil, ErrEnvironment},
		{"", "net", nil, ErrEnvironment},
		{"-1", "", nil, ErrEnvironment},
		{"65", strings.Repeat("a:", 64) + "a", nil, ErrEnvironment},
		{"99999999999999999999", "a", nil, ErrEnvironment},
		{"2", "net:", nil, ErrEnvironment},
		{"2", "net:net", nil, ErrEnvironment},
		{"1", "Net", nil, ErrEnvironment},
		{"1", "a/b", nil, ErrEnvironment},
		{"1", ".a", nil, ErrEnvironment},
		{"1", "a.", nil, ErrEnvironment},
	}
	for _, tt := range tests {
		got, err := parse(tt.count, tt.names)
		if !reflect.DeepEqual(got, tt.want) || !errors.Is(err, tt.err) {
			t.Errorf("parse(%q, %q) = %q, %v; want %q, %v", tt.count, tt.names, got, err, tt.want, tt.err)
		}
	}
}

// The number is one no process here has open: 3 itself may be the runtime's own.
func TestDescriptorNotOpen(t *testing.T) {
	_, err := wrap([]string{"net"}, 1<<20)
	if !errors.Is(err, ErrNotOpen) || ExitStatus(err) != ExitNoRestart {
		t.Errorf("got %v, status %d", err, ExitStatus(err))
	}
}

func TestNoNotifyDescriptor(t *testing.T) {
	s := &Service{}
	if err := errors.Join(s.Ready(), s.Status("up")); err != nil {
		t.Errorf("started by hand: %v", err)
	}
}

func TestPrintable(t *testing.T) {
	tests := []struct{ text, want string }{
		{"plain – text", "plain – text"},
		{"a\nSELFTEST: net lo ping ok", "a?SELFTEST: net lo ping ok"},
		{"\x1b[2J\x9b\u0085\u2028", "?[2J???"},
		{"\r\t\x00\x7f", "????"},
	}
	for _, tt := range tests {
		if got := Printable(tt.text); got != tt.want {
			t.Errorf("Printable(%q) = %q, want %q", tt.text, got, tt.want)
		}
	}
}

func TestSeed(t *testing.T) {
	for _, tt := range []struct {
		text string
		seed uint64
		ok   bool
	}{
		{"", 0, false}, {"7", 7, true}, {"18446744073709551615", 1<<64 - 1, true}, {"-1", 0, false},
	} {
		t.Setenv("NEXUS_SEED", tt.text)
		if seed, ok := Seed(); ok != tt.ok || ok && seed != tt.seed {
			t.Errorf("NEXUS_SEED=%q: %d, %v", tt.text, seed, ok)
		}
	}
}

func TestPermanentKeepsTheCause(t *testing.T) {
	cause := errors.New("cause")
	err := fmt.Errorf("step: %w", Permanent(cause))
	if !errors.Is(err, cause) || ExitStatus(err) != ExitNoRestart || Permanent(nil) != nil {
		t.Errorf("got %v, status %d", err, ExitStatus(err))
	}
}
