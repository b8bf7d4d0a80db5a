package gateway

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nexus/source/libs/svc"
)

// childRole makes this test binary a service that prints its pools.
const childRole = "GATEWAY_TEST_CHILD"

func printPools() {
	s, err := svc.Open()
	if err != nil {
		svc.Fail(err)
	}
	pools, err := FromDescriptors(s, "window", "memory")
	if err != nil {
		svc.Fail(svc.Permanent(err))
	}
	for _, p := range pools {
		line := p.Service + ":"
		for _, conn := range p.Channels {
			line += " " + conn.Name()
		}
		svc.Mark(line)
	}
	svc.Fail(nil)
}

func TestFromDescriptors(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	a, b := os.NewFile(uintptr(fds[0]), "a"), os.NewFile(uintptr(fds[1]), "b")
	defer a.Close()
	defer b.Close()
	plain, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	for _, tc := range []struct {
		names  string
		files  []*os.File
		want   string
		status int
	}{
		{"window:netstackd.0:fetchd:memory.1:netstackd.x:notify", []*os.File{plain, a, a, plain, a, plain},
			"netstackd: netstackd.0 netstackd.x\nfetchd: fetchd\n", svc.ExitDone},
		{"window:memory:notify", []*os.File{plain, plain, plain}, "", svc.ExitDone},
		{"netstackd.0:window:irq", []*os.File{a, plain, plain}, "descriptor irq: ", svc.ExitNoRestart},
	} {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childRole+"=1", "LISTEN_FDS="+string(rune('0'+len(tc.files))), "LISTEN_FDNAMES="+tc.names)
		cmd.ExtraFiles = tc.files
		out, _ := cmd.CombinedOutput() // the status tells
		if status := cmd.ProcessState.ExitCode(); status != tc.status || !strings.Contains(string(out), tc.want) || tc.want == "" && len(out) > 0 {
			t.Errorf("%s: status %d, %q; want %d, %q", tc.names, status, out, tc.status, tc.want)
		}
	}
}
