package boot

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// unshared is a command in new user and network namespaces, where it is root,
// or a skip where these are not to be had.
func unshared(t *testing.T, argv ...string) *exec.Cmd {
	t.Helper()
	if tapError != nil {
		t.Skipf("needs a TAP: %v", tapError)
	}
	if out, err := exec.Command("unshare", "-rn", "true").CombinedOutput(); err != nil {
		t.Skipf("needs user namespaces: %s", out)
	}
	return exec.Command("unshare", append([]string{"-rn"}, argv...)...)
}

// What follows is bash for the scripts' users: a page and a datagram by
// address and ports, once they are served.
const ask = `
set -u
PATH=$PATH:/usr/sbin:/sbin
ask() { # ADDRESS UDP-PORT HTTP-PORT
	curl -s --retry 200 --retry-connrefused --retry-delay 0 --retry-max-time 30 "http://$1:$3/hello"
	exec 3<>"/dev/udp/$1/$2"
	echo "datagram to $1" >&3
	timeout 10 head -n 1 <&3
}
`

const asked = "hello from the host\ndatagram to 10.0.2.2\n"

func TestSetupTAPScript(t *testing.T) {
	cmd := unshared(t, "bash", "-c", `
		outside=$(readlink /proc/self/ns/net)
		export outside
		tools/net/setup-tap.sh bash -c '`+ask+`
			ip -br addr show dev "$TAP_IF" | grep -o 10.0.2.2/24
			[ -z "$(ip -o link show master 0 2>/dev/null)$(ip route show default)" ] && echo bridged to nothing
			[ "$(readlink /proc/self/ns/net)" != "$outside" ] && echo apart
			ask 10.0.2.2 7 8080
			exit 7'
		echo "status $?"
		TAP_IF=tap9 tools/net/setup-tap.sh bash -c 'PATH=$PATH:/usr/sbin; ip -br addr show dev tap9 | grep -o 10.0.2.2/24'
		ls /proc/self/net/dev_snmp6`)
	status, out := script(t, cmd)
	if want := "10.0.2.2/24\nbridged to nothing\napart\n" + asked + "status 7\n10.0.2.2/24\nlo\n"; status != 0 || out != want {
		t.Errorf("status %d, want\n%s\ngot\n%s", status, want, out)
	}
}

// --persist makes the TAP where the caller is, beside which echo-host.sh serves.
func TestPersistentTAP(t *testing.T) {
	status, out := script(t, unshared(t, "bash", "-c", ask+`
		ip link set lo up # what the host sends itself goes there
		tools/net/setup-tap.sh --persist
		tools/net/setup-tap.sh --persist 2>&1 | grep -o 'there already: tap0; remove it'
		tools/net/echo-host.sh 2>/dev/null &
		ask 10.0.2.2 7 8080
		tools/net/echo-host.sh 2>&1 | grep -o 'address already in use: end who has it'
		kill %1; wait %1; echo "status $?"
		tools/net/setup-tap.sh --remove
		tools/net/setup-tap.sh --remove 2>&1 | grep -o 'no interface of this name: tap0'
		tools/net/setup-tap.sh --persist --remove 2>&1 | grep -o 'exclude each other'
		tools/net/setup-tap.sh --forever 2>&1`))
	want := `tap0 has 10.0.2.2/24 in this network namespace, bridged to nothing, and stays.
serve beside it:  tools/net/echo-host.sh
remove it:        TAP_IF=tap0 tools/net/setup-tap.sh --remove
there already: tap0; remove it
` + asked + `address already in use: end who has it
status 0
tap0 is removed.
no interface of this name: tap0
exclude each other
nx: tap: unknown flag: --forever: see nx tap --help
`
	if status != 2 || out != want {
		t.Errorf("status %d, want\n%s\ngot\n%s", status, want, out)
	}
	// Not without a right to it, and nothing is half made.
	status, out = script(t, unshared(t, "setpriv", "--bounding-set=-all", "--inh-caps=-all", "tools/net/setup-tap.sh", "--persist"))
	if status != 2 || !strings.Contains(out, "tap: not permitted: tap0: ") || !strings.Contains(out, "it needs root or CAP_NET_ADMIN") {
		t.Errorf("without capabilities: status %d:\n%s", status, out)
	}
}

func TestEchoHostScript(t *testing.T) {
	status, out := script(t, unshared(t, "bash", "-c", ask+`
		ip link set lo up
		for signal in INT TERM; do
			tools/net/echo-host.sh --address 127.0.0.1 --udp-port 7007 --http-port 8088 2>said &
			ask 127.0.0.1 7007 8088
			kill -$signal $!; wait $!; echo "status $?"
			cat said; rm said
		done
		tools/net/echo-host.sh 2>&1
		tools/net/echo-host.sh --address localhost 2>&1
		tools/net/echo-host.sh --address ::1 2>&1
		tools/net/echo-host.sh --http-port 0 2>&1
		tools/net/echo-host.sh --udp-port 65536 2>&1
		tools/net/echo-host.sh now 2>&1`))
	const served = "hello from the host\ndatagram to 127.0.0.1\nstatus 0\n" +
		"nx: UDP echo at 127.0.0.1:7007, http://127.0.0.1:8088/hello has 20 bytes; ^C ends\n"
	want := served + served + `nx: hostpeer: listen udp4 10.0.2.2:7: bind: cannot assign requested address: no interface here has it; run it beside a TAP, e.g. in ` + "`nx tap`" + `, or give one that is there, e.g. --address 127.0.0.1
nx: invalid echo service: --address "localhost" is no IPv4 address, as 10.0.2.2 is
nx: invalid echo service: --address "::1" is no IPv4 address, as 10.0.2.2 is
nx: invalid echo service: --udp-port and --http-port are from 1 to 65535
nx: echo: invalid argument "65536" for "--udp-port" flag: want a whole number from 0 to 65535
nx: echo: "now" is one word too many: see nx echo --help
`
	if status != 2 || out != want {
		t.Errorf("status %d, want\n%s\ngot\n%s", status, want, out)
	}
}

func TestHelpOfScripts(t *testing.T) {
	for name, says := range map[string][]string{
		"tools/net/setup-tap.sh": {"--persist", "--remove", "/dev/net/tun", "CAP_NET_ADMIN", "user\nnamespace"},
		"tools/net/echo-host.sh": {"--address", "--udp-port", "--http-port", "CAP_NET_BIND_SERVICE"},
	} {
		status, out := script(t, exec.Command(name, "--help"))
		for _, s := range says {
			if !strings.Contains(out, s) {
				t.Errorf("%s: does not say %q", name, s)
			}
		}
		if status != 0 {
			t.Errorf("%s: status %d:\n%s", name, status, out)
		}
	}
}

// Where no network namespace is to be had, nx says so and what to do.
func TestNamespaceNotPermitted(t *testing.T) {
	status, out := script(t, unshared(t, "bash", "-c",
		`echo 0 >/proc/sys/user/max_net_namespaces && exec build/nx boot --nic user`))
	if status != 2 || !strings.HasPrefix(out, "nx: no user network: a private network namespace: ") ||
		!strings.Contains(out, "run as root, or allow user namespaces") || !strings.HasSuffix(out, "or use --nic wire\n") {
		t.Errorf("status %d:\n%s", status, out)
	}
}

// process is one whose end can be waited for.
type process struct {
	pid, parent int
	fd          int // a pidfd
	command     string
}

// tagged finds every process whose environment has the tag.
func tagged(t *testing.T, tag string) []process {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	var found []process
	for _, file := range files {
		// A process may end meanwhile; a dead one has no environment.
		environ, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(environ, []byte(tag)) {
			continue
		}
		p := process{}
		if p.pid, err = strconv.Atoi(filepath.Base(filepath.Dir(file))); err != nil {
			t.Fatal(err)
		}
		stat, err := os.ReadFile(filepath.Dir(file) + "/stat")
		if err != nil {
			continue
		}
		name, rest, _ := strings.Cut(string(stat), ") ")
		p.command = name[strings.IndexByte(name, '(')+1:]
		if _, err := fmt.Sscanf(rest, "%c %d", new(rune), &p.parent); err != nil {
			t.Fatal(err)
		}
		if p.fd, err = unix.PidfdOpen(p.pid, 0); err != nil {
			continue
		}
		t.Cleanup(func() { unix.Close(p.fd) })
		found = append(found, p)
	}
	return found
}

// ended waits for a process's end, until deadline.
func (p process) ended(deadline time.Time) bool {
	for {
		left := max(0, int(time.Until(deadline).Milliseconds()))
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}, left)
		if err == unix.EINTR {
			continue
		}
		return n == 1
	}
}

// children are those of the processes whose parent is pid.
func children(all []process, pid int) []process {
	var found []process
	for _, p := range all {
		if p.parent == pid {
			found = append(found, p)
		}
	}
	return found
}

// Whichever process is killed, and however the script is told to end, nothing is left: no
// process, not even one that the command disowned, and so no namespace and no interface.
func TestNothingIsLeft(t *testing.T) {
	if tapError != nil {
		t.Skipf("needs a TAP: %v", tapError)
	}
	// In the test's own namespace, which must not change, and in one made for it.
	for _, where := range [][]string{nil, {"unshare", "-rn"}} {
		for _, tc := range []struct {
			name   string
			signal syscall.Signal
			victim func(script, inner, command int) int
		}{
			{"interrupt", syscall.SIGINT, func(script, _, _ int) int { return -script }}, // as ^C does, its whole group
			{"terminate", syscall.SIGTERM, func(script, _, _ int) int { return script }},
			{"kill the script", syscall.SIGKILL, func(script, _, _ int) int { return script }},
			{"kill nx", syscall.SIGKILL, func(_, inner, _ int) int { return inner }},
			{"kill the command", syscall.SIGKILL, func(_, _, command int) int { return command }},
		} {
			t.Run(strings.Join(append(where, tc.name), " "), func(t *testing.T) {
				if where != nil {
					unshared(t, "true") // or skip
				}
				before := interfaces(t)
				tag := fmt.Sprintf("NEXUS_TEST_TAG=%d-%s", os.Getpid(), t.Name())
				argv := append(where, "tools/net/setup-tap.sh", "bash", "-c",
					`setsid sleep 1000 & disown; readlink /proc/self/ns/net; sleep 1000; sleep 1000`)
				cmd := exec.Command(argv[0], argv[1:]...)
				cmd.Env = append(os.Environ(), tag)
				cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
				out, err := cmd.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				stuck := time.AfterFunc(bound, func() { _ = cmd.Process.Kill() })
				defer stuck.Stop()
				namespace, err := bufio.NewReader(out).ReadString('\n')
				if err != nil {
					t.Fatalf("it never started: %v", err)
				}

				// The script has become nx; nx is once more the namespace's first process,
				// and has the command.
				all := tagged(t, tag)
				inner := children(all, cmd.Process.Pid)
				if len(inner) != 1 || len(children(all, inner[0].pid)) == 0 {
					t.Fatalf("processes %+v", all)
				}
				command := children(all, inner[0].pid)[0]
				if err := syscall.Kill(tc.victim(cmd.Process.Pid, inner[0].pid, command.pid), tc.signal); err != nil {
					t.Fatal(err)
				}
				deadline := time.Now().Add(bound)
				_ = cmd.Wait() // however it ended
				for _, p := range all {
					if !p.ended(deadline) {
						t.Errorf("%s (%d) lives on", p.command, p.pid)
						_ = unix.PidfdSendSignal(p.fd, unix.SIGKILL, nil, 0)
					}
				}
				if left := tagged(t, tag); len(left) > 0 {
					t.Errorf("left: %+v", left)
				}
				if user := namespaceUser(t, strings.TrimSpace(namespace)); user != "" {
					t.Errorf("the network namespace lives on in %s", user)
				}
				if after := interfaces(t); after != before {
					t.Errorf("interfaces: %s before, %s after", before, after)
				}
			})
		}
	}
}

// namespaceUser names a process that is in the network namespace.
func namespaceUser(t *testing.T, namespace string) string {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if ns, err := os.Readlink(link); err == nil && ns == namespace {
			return link
		}
	}
	return ""
}

func interfaces(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("/proc/self/net/dev")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(data)) {
		if name, _, found := strings.Cut(line, ":"); found {
			names = append(names, strings.TrimSpace(name))
		}
	}
	return strings.Join(names, " ")
}
