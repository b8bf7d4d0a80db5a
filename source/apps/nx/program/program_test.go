package program

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nexus/source/api/netcli/netclitest"
	"nexus/source/libs/channel"
)

// The test program plays two parts: the tests, and nx.
func TestMain(m *testing.M) {
	if os.Getenv("NX_TEST_ROLE") == "nx" {
		Main()
	}
	os.Exit(m.Run())
}

// nx runs the program with channels to these services, as nexus-init starts it.
func nx(t *testing.T, guest *netclitest.Guest, services []string, args ...string) (status int, out, errs string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "NX_TEST_ROLE=nx", "GORACE=atexit_sleep_ms=0",
		"LISTEN_FDS="+strconv.Itoa(len(services)), "LISTEN_FDNAMES="+strings.Join(services, ":"))
	for _, service := range services {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := channel.FromDescriptor(fds[0], service)
		if err != nil {
			t.Fatal(err)
		}
		guest.Serve(service, conn)
		near := os.NewFile(uintptr(fds[1]), service)
		defer near.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, near)
	}
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()
}

func TestProgram(t *testing.T) {
	tests := []struct {
		services  string
		args      string
		status    int
		out, errs string
	}{
		{"netstackd", "net if -q", 0, "nx: net if n=2\n", ""},
		{"virtionetd netstackd", "net addr lo", 0, "lo 127.0.0.1/8 loopback\n", ""},
		{"fetchd", "net fetch http://127.0.0.1:8080/hello", 0, "hello from echod\nnx: net fetch bytes=17\n", ""},
		{"fetchd", "net fetch -o - pkg://a/raw", 0, "?[2J raw?\nnot ended\n", "nx: net fetch bytes=19\n"},
		{"netstackd virtionetd", "net stats nic.rx.f", 0, "virtionetd\n  nic.rx.frames  104\n",
			"nx: left out: controld cannot be opened: no such service: descriptor controld: no such descriptor: give it to the service in the manifest\n"},
		{"fetchd", "net ping 127.0.0.1 -c 1", 2, "",
			"nx: netstackd cannot be opened: no such service: descriptor netstackd: no such descriptor: give it to the service in the manifest\n"},
		{"netstackd", "net addr eth7", 3, "", "nx: netstackd: no such interface: there are lo and virt0: nx net if lists them\n"},
		{"netstackd", "", 2, "", "nx: want `nx net COMMAND`, with one of: if, addr, dhcp, up, down, ping, fetch, arp, stats, sendraw, recv\n"},
	}
	for _, tt := range tests {
		guest := netclitest.New(t)
		guest.Bodies["pkg://a/raw"] = "\x1b[2J raw\r\nnot ended"
		status, out, errs := nx(t, guest, strings.Fields(tt.services), strings.Fields(tt.args)...)
		if status != tt.status || out != tt.out || errs != tt.errs {
			t.Errorf("nx %s with %s: status %d, want %d\n%q\n%q\nwant\n%q\n%q", tt.args, tt.services, status, tt.status, out, errs, tt.out, tt.errs)
		}
	}
}

// A program that nexus-init did not start as it should says so.
func TestEnvironment(t *testing.T) {
	cmd := exec.Command(os.Args[0], "net", "if")
	cmd.Env = append(os.Environ(), "NX_TEST_ROLE=nx", "LISTEN_FDS=x")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "start this program from nexus-init") || cmd.ProcessState.ExitCode() != 125 {
		t.Errorf("%v: %s", err, out)
	}
}
