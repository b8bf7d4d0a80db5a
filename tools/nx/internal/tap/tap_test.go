package tap

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"

	"go.uber.org/goleak"

	"nexus/tools/nx/internal/frame"
)

// name is not the default, so that nothing depends on that.
const name = "taptest"

// The tests that need a TAP run in a child, inside the namespaces.
const inside = "TAP_TEST_INSIDE"

func TestMain(m *testing.M) {
	Probe()
	goleak.VerifyTestMain(m)
}

// enter runs the calling test again where a TAP can be made, and tells whether
// this is that run.
func enter(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inside) != "" {
		return true
	}
	if err := Usable(); err != nil {
		t.Skipf("no TAP here: %v", err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), inside+"=1")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := Run(cmd); err != nil {
		t.Errorf("%v\n%s", err, out.Bytes())
	}
	return false
}

func TestSetup(t *testing.T) {
	if !enter(t) {
		return
	}
	for range 2 { // a TAP that is there already is taken as it is
		if err := Setup(name); err != nil {
			t.Fatal(err)
		}
	}
	iface, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	addrs, err := iface.Addrs()
	if err != nil {
		t.Fatal(err)
	}
	want := netip.PrefixFrom(frame.Host.IP, frame.Subnet.Bits()).String()
	if len(addrs) != 1 || addrs[0].String() != want || iface.HardwareAddr.String() != frame.Host.MAC.String() || iface.Flags&net.FlagUp == 0 {
		t.Errorf("got %v %v %v", addrs, iface.HardwareAddr, iface.Flags)
	}
	all, err := net.Interfaces()
	if err != nil || len(all) != 2 {
		t.Errorf("interfaces %v, %v: want lo and the TAP alone", all, err)
	}
	for _, bad := range []string{"", "a-name-that-is-too-long"} {
		if err := Setup(bad); err == nil {
			t.Errorf("%q is made", bad)
		}
	}
}

func TestLink(t *testing.T) {
	if !enter(t) {
		return
	}
	if err := Setup(name); err != nil {
		t.Fatal(err)
	}
	type seen struct {
		at  time.Time
		len int
	}
	records := make(chan seen, 10)
	link, err := Open(name, func(at time.Time, raw []byte) { records <- seen{at, len(raw)} })
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- link.Run() }()
	before := time.Now()
	question := frame.ARPRequest(frame.Host, frame.Guest.IP)
	// Nobody has the TAP open: the frame may go nowhere, but it was sent.
	if err := link.Send(question); err != nil {
		t.Fatal(err)
	}
	if r := <-records; r.len != len(question) || r.at.Before(before) {
		t.Errorf("recorded %+v", r)
	}
	if err := link.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	if err := link.Send(question); err == nil {
		t.Error("sent on a closed link")
	}
	if _, err := Open("nowhere", nil); err == nil {
		t.Error("an interface that is not there is opened")
	}
}

func TestSockets(t *testing.T) {
	if !enter(t) {
		return
	}
	if err := Setup(name); err != nil {
		t.Fatal(err)
	}
	l, err := Sockets{}.Listen(8080)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p, err := Sockets{}.ListenPacket(7)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	elsewhere, err := Sockets{netip.AddrFrom4([4]byte{127, 0, 0, 1})}.Listen(8080)
	if err != nil {
		t.Fatal(err)
	}
	defer elsewhere.Close()
	if got := elsewhere.Addr().String(); got != "127.0.0.1:8080" {
		t.Errorf("elsewhere: %s", got)
	}
	if l.Addr().String() != "10.0.2.2:8080" || p.LocalAddr().String() != "10.0.2.2:7" {
		t.Errorf("listening on %v and %v", l.Addr(), p.LocalAddr())
	}
}

func TestName(t *testing.T) {
	t.Setenv("TAP_IF", "")
	if n := Name(); n != DefaultName {
		t.Errorf("got %q", n)
	}
	t.Setenv("TAP_IF", "tap7")
	if n := Name(); n != "tap7" {
		t.Errorf("got %q", n)
	}
}

func TestRunFails(t *testing.T) {
	if err := RunHere(exec.Command("/nowhere")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	cmd := exec.Command("/bin/sh", "-c", "exit 3")
	cmd.Stdout = io.Discard
	var exit *exec.ExitError
	if err := RunHere(cmd); !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Errorf("got %v", err)
	}
}

func TestPersist(t *testing.T) {
	if !enter(t) {
		return
	}
	for _, bad := range []string{"", ".", "..", "a-name-that-is-too-long", "tap%d", "a/b", "a b"} {
		if err := Persist(bad, NoOwner); !errors.Is(err, ErrName) {
			t.Errorf("Persist(%q): %v", bad, err)
		}
		if err := Remove(bad); !errors.Is(err, ErrName) {
			t.Errorf("Remove(%q): %v", bad, err)
		}
	}
	if err := Remove(name); !errors.Is(err, ErrMissing) {
		t.Errorf("removed what is not there: %v", err)
	}
	if err := Remove("lo"); !errors.Is(err, ErrForeign) {
		t.Errorf("removed lo: %v", err)
	}
	if err := Persist(name, 0); err != nil {
		t.Fatal(err)
	}
	if err := Persist(name, NoOwner); !errors.Is(err, ErrExists) {
		t.Errorf("made twice: %v", err)
	}
	guest, err := attach(name, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := Remove(name); !errors.Is(err, ErrBusy) {
		t.Errorf("removed while it is open: %v", err)
	}
	guest.Close()
	if _, err := net.InterfaceByName(name); err != nil {
		t.Errorf("it did not stay: %v", err)
	}
	if err := Remove(name); err != nil {
		t.Error(err)
	}
	if _, err := net.InterfaceByName(name); err == nil {
		t.Error("it is still there")
	}
}

// RunFirst gives a command's status, ends it when it is told to, and collects the
// processes that others left to it.
func TestRunFirst(t *testing.T) {
	if os.Getenv(inside) == "" {
		if err := Permitted(); err != nil {
			t.Skipf("needs namespaces: %v", err)
		}
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(self, "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), inside+"=1")
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := Enclose(cmd); err != nil {
			t.Errorf("%v\n%s", err, out.Bytes())
		}
		return
	}
	for _, tc := range []struct {
		script string
		status int
	}{
		{"exit 7", 7},
		{"kill -9 $$", 128 + 9},
		// The orphan ends first: its end must not be taken for the command's.
		{"(exit 3 & echo $! >&3) 3>&1 | read p; exit 5", 5},
	} {
		status, err := RunFirst(t.Context(), exec.Command("/bin/sh", "-c", tc.script), time.Hour)
		if err != nil || status != tc.status {
			t.Errorf("%s: %d, %v", tc.script, status, err)
		}
	}
	if _, err := RunFirst(t.Context(), exec.Command("/nowhere"), time.Hour); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	for _, tc := range []struct {
		script string
		grace  time.Duration
		status int
	}{
		{"exec sleep 1000", time.Hour, 128 + 15},
		{"trap '' TERM; while :; do sleep 1000; done", time.Millisecond, 128 + 9},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		status, err := RunFirst(ctx, exec.Command("/bin/sh", "-c", tc.script), tc.grace)
		// Told before it set its trap, the second ends at once.
		if err != nil || status != tc.status && status != 128+15 {
			t.Errorf("%s: %d, %v", tc.script, status, err)
		}
	}
}
