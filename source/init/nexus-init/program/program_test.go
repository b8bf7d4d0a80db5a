package program

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nexus/source/init/nexus-init/devices/devicetest"
	"nexus/source/init/nexus-init/manifest"
	"nexus/source/init/nexus-init/supervise"
	"nexus/source/libs/svc"
)

// TestMain also plays a service that is ready and holds what it was given:
// netstackd, whose part Linux has, and a client of fetchd.
func TestMain(m *testing.M) {
	if os.Getenv("ROLE") != "hold" {
		os.Exit(m.Run())
	}
	s, err := svc.Open()
	if err == nil {
		err = errors.Join(s.Ready(), unix.Pause())
	}
	svc.Fail(err)
}

// The services themselves, booted on Linux: echod and fetchd inside a network
// namespace of its own, packagefsd outside, joined by their channel.
func TestBootOfRealServices(t *testing.T) {
	if testing.Short() {
		t.Skip("builds programs")
	}
	bin := t.TempDir()
	build := exec.Command("go", "build", "-o", bin, "nexus/source/services/packagefsd",
		"nexus/source/services/echod", "nexus/source/services/fetchd")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	packages, err := filepath.Abs("../../../../pkg")
	if err != nil {
		t.Fatal(err)
	}
	m, err := manifest.Parse(fmt.Appendf(nil, `{"services": [
		{"name": "netstackd", "program": %[1]q, "environment": ["ROLE=hold"], "ready": "notify", "timeoutMs": 20000,
		 "descriptors": [{"name": "sockets", "sockets": "inet"}]},
		{"name": "packagefsd", "program": "%[2]s/packagefsd", "arguments": ["-directory=%[3]s"], "ready": "notify", "timeoutMs": 20000,
		 "descriptors": [{"name": "pkg.fetchd", "serve": "packages"}]},
		{"name": "echod", "program": "%[2]s/echod", "namespace": "inet", "ready": "notify", "timeoutMs": 20000},
		{"name": "fetchd", "program": "%[2]s/fetchd", "namespace": "inet", "ready": "notify", "timeoutMs": 20000,
		 "arguments": ["-host=http://127.0.0.1:1/"],
		 "descriptors": [{"name": "packages", "connect": "packages"}, {"name": "fetch.client", "serve": "fetch"}]},
		{"name": "client", "program": %[1]q, "environment": ["ROLE=hold"], "ready": "notify", "timeoutMs": 20000,
		 "descriptors": [{"name": "fetchd", "connect": "fetch"}]}]}`, os.Args[0], bin, packages))
	if err != nil {
		t.Fatal(err)
	}
	console, err := os.OpenFile(filepath.Join(t.TempDir(), "console"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer console.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	err = supervise.Run(supervise.Config{
		Devices: &devicetest.Directory{
			OnEnter:   enterLoopback,
			Processes: func() string { return "" },
			Console:   console.Name(),
		},
		Manifest: m,
		Mark:     func(line string) { fmt.Fprintln(console, line) },
		After:    supervise.After,
		Input:    null.Fd(),
	})
	if errors.Is(err, unix.EPERM) {
		t.Skip("NOT RUN: this user may not make network namespaces")
	}
	text, readErr := os.ReadFile(console.Name())
	if err != nil || readErr != nil {
		t.Fatalf("%v, %v; console:\n%s", err, readErr, text)
	}
	got := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	want := []string{
		"nexus-init: profile default",
		"nexus-init: start netstackd",
		"nexus-init: netstackd ready",
		"nexus-init: start packagefsd",
		"packagefsd: ready",
		"nexus-init: packagefsd ready",
		"nexus-init: start echod",
		"echod: ready",
		"echod: listen udp/7",
		"nexus-init: echod ready",
		"nexus-init: start fetchd",
		"fetchd: ready",
		"fetchd: get http://127.0.0.1:8080/hello ok bytes=17",
		"fetchd: body hello from echod",
		"fetchd: get pkg://fixtures/hello.txt ok bytes=28",
		`fetchd: get http://127.0.0.1:1/ failed: Get "http://127.0.0.1:1/": dial tcp 127.0.0.1:1: connect: connection refused: does the server run, and at this port?`,
		"nexus-init: fetchd ready",
		"nexus-init: start client",
		"nexus-init: client ready",
		"nexus-init: rights ok n=6",
		"nexus-init: done",
	}
	if !slices.Equal(got, want) {
		t.Errorf("console:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// enterLoopback moves the thread into a new network namespace with lo up.
func enterLoopback() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}
