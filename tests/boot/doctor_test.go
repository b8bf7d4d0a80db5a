package boot

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// finding is what these tests read of doctor's findings.
type finding struct {
	ID, Level, Cause, Do string
	Evidence             []string
}

// all is everything that the finding says.
func (f finding) all() string {
	return strings.Join(append([]string{f.Cause, f.Do}, f.Evidence...), "\n")
}

// examine runs doctor and gives its findings. prefix is the command to run nx by, if any.
func examine(t *testing.T, prefix []string, args ...string) (status int, findings []finding) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	program, err := filepath.Abs(nx)
	if err != nil {
		t.Fatal(err)
	}
	argv := slices.Concat(prefix, []string{program, "net", "doctor", "--json"}, args)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	out, _ := cmd.Output() // its status is looked at
	var answer struct {
		Faulty   bool
		Findings []finding
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		t.Fatalf("%q: %v: %v\n%s", argv, cmd.ProcessState, err, out)
	}
	if status = cmd.ProcessState.ExitCode(); answer.Faulty != (status == 1) || !answer.Faulty && status != 0 {
		t.Errorf("%q: faulty is %v, status %d", argv, answer.Faulty, status)
	}
	return status, answer.Findings
}

// named fails the test unless the findings of a level are those with the ids, which the texts are said with, and each
// says what to do.
func named(t *testing.T, findings []finding, level string, ids []string, says ...string) {
	t.Helper()
	var got []string
	var text strings.Builder
	for _, f := range findings {
		if f.Level != level {
			continue
		}
		got = append(got, f.ID)
		text.WriteString(f.all() + "\n")
		if f.Cause == "" || f.Do == "" {
			t.Errorf("%+v does not say what to do", f)
		}
	}
	if !slices.Equal(got, ids) {
		t.Errorf("named as %s: %q, want %q: %+v", level, got, ids, findings)
	}
	for _, s := range says {
		if !strings.Contains(text.String(), s) {
			t.Errorf("does not say %q:\n%s", s, text.String())
		}
	}
}

// diagnosed fails the test unless doctor names one fault of the guest, with the texts.
func diagnosed(t *testing.T, name, id string, says ...string) {
	t.Helper()
	_, findings := examine(t, nil, "--guest", name)
	named(t, findings, "fault", []string{id}, says...)
}

// hidden is the command that runs another without what is in the folders, or a skip where there are no private mounts.
func hidden(t *testing.T, folders ...string) []string {
	t.Helper()
	argv := []string{"unshare", "-rm", "sh", "-ec", `for f in ` + strings.Join(folders, " ") + `; do [ ! -d "$f" ] || mount -t tmpfs none "$f"; done; exec "$@"`, "sh"}
	if out, err := exec.Command(argv[0], append(argv[1:], "true")...).CombinedOutput(); err != nil {
		t.Skipf("needs user namespaces: %s", out)
	}
	return argv
}

// What this machine lacks.
func TestDoctorHost(t *testing.T) {
	fresh := func(t *testing.T) {
		dir, err := os.MkdirTemp("/tmp", "nx")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		t.Setenv("NEXUS_RUN", dir)
	}
	t.Run("nothing", func(t *testing.T) {
		fresh(t)
		status, findings := examine(t, nil)
		named(t, findings, "fault", nil)
		named(t, findings, "note", []string{"no-guest"}, "nx boot")
		if status != 0 {
			t.Errorf("status %d", status)
		}
	})
	t.Run("no QEMU", func(t *testing.T) {
		fresh(t)
		t.Setenv("NEXUS_QEMU", "no-such-qemu")
		_, findings := examine(t, nil)
		named(t, findings, "fault", []string{"qemu"}, "no-such-qemu is not installed", "apt-get install", "$NEXUS_QEMU")
	})
	t.Run("old QEMU", func(t *testing.T) {
		fresh(t)
		t.Setenv("NEXUS_QEMU", qemuWith(t, `[[ $1 == --version ]] && exec echo "QEMU emulator version 6.2.0 (v6.2.0)"`))
		_, findings := examine(t, nil)
		named(t, findings, "fault", []string{"qemu"}, "is QEMU 6.2: too old, 7.2 or newer is needed")
	})
	t.Run("nothing is built", func(t *testing.T) {
		fresh(t)
		_, findings := examine(t, []string{"env", "-C", t.TempDir()})
		named(t, findings, "fault", []string{"build", "build", "build"}, "neuron.img", "boot.cpio", "virt-nexus.dtb", "make build")
	})
	t.Run("no firmware", func(t *testing.T) {
		fresh(t)
		folders, err := exec.Command("qemu-system-riscv64", "-L", "help").Output()
		if err != nil {
			t.Fatal(err)
		}
		prefix := hidden(t, strings.Fields(string(folders))...)
		_, findings := examine(t, prefix)
		named(t, findings, "fault", []string{"firmware"}, "opensbi")
		if r := boot(t, prefix, "--nic", "wire"); r.status != 1 || !strings.Contains(r.Advice, "opensbi") {
			t.Errorf("boot: status %d: %s", r.status, r.Advice)
		}
		_, findings = examine(t, nil)
		named(t, findings, "fault", []string{"firmware-missing"}, "Unable to ", "the RISC-V ", "opensbi")
	})
	t.Run("no TAP", func(t *testing.T) {
		fresh(t)
		prefix := hidden(t, "/dev/net")
		_, findings := examine(t, prefix)
		named(t, findings, "fault", nil) // there is the wire
		named(t, findings, "warning", []string{"tap"}, "/dev/net/tun", "--nic wire")
		status, out := script(t, exec.Command(prefix[0], append(prefix[1:], nx, "boot", "--nic", "tap")...))
		if status != 2 || !strings.Contains(out, "/dev/net/tun") || !strings.Contains(out, "--nic wire") {
			t.Errorf("boot: status %d:\n%s", status, out)
		}
	})
}

// What a running guest's network lacks: on the wire, where everything is well but for what is done to it here.
func TestDoctorLive(t *testing.T) {
	g := detached(t, "live", "--nic", "wire")
	t.Setenv("NEXUS_GUEST", g.Name)
	well := func(t *testing.T) {
		t.Helper()
		status, findings := examine(t, nil)
		named(t, findings, "fault", nil)
		named(t, findings, "warning", nil)
		if status != 0 {
			t.Errorf("status %d", status)
		}
	}
	do := func(t *testing.T, line string) {
		t.Helper()
		if a := operate(t, line); a.status != 0 {
			t.Fatalf("nx %s: %+v", line, a)
		}
	}
	if tapError == nil {
		well(t)
	}
	for _, tc := range []struct {
		name, line string // what is done
		target     []string
		id         string
		says       []string
	}{
		{"gateway is not there", "net addr virt0 set 10.0.2.15/24 gw 10.0.2.99", nil, "arp-unresolved",
			[]string{"nobody on the wire answers for 10.0.2.99", "ping: no route to host", "10.0.2.99 is incomplete", "nx net addr virt0 set"}},
		{"no gateway", "net addr virt0 set 10.0.2.15/24", []string{"192.0.2.1"}, "no-route",
			[]string{"no route to 192.0.2.1", "nx net addr virt0 set A.B.C.D/N gw A.B.C.D"}},
		{"nobody there", "net dhcp virt0", []string{"10.0.2.98"}, "arp-unresolved", []string{"10.0.2.98"}},
		{"silence beyond", "net dhcp virt0", []string{"192.0.2.1"}, "ping-lost", []string{"192.0.2.1 does not answer ping", "0 of 2", "nx net capture"}},
		{"down", "net down virt0", nil, "interface-down", []string{"virt0 is down", "nx net up virt0"}},
		{"lo is down", "net down lo", nil, "interface-down", []string{"lo is down", "nx net up lo"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			do(t, tc.line)
			_, findings := examine(t, nil, tc.target...)
			named(t, findings, "fault", []string{tc.id}, tc.says...)
			do(t, "net up virt0")
			do(t, "net up lo")
		})
	}
	t.Run("well again", func(t *testing.T) {
		do(t, "net dhcp virt0") // as doctor says
		a := operate(t, "net doctor")
		a.matches(t, "net doctor", 0, ".*ok +virt0 is up with 10.0.2.15/24\nok +the gateway 10.0.2.2 answers ping \\(2 of 2\\)\nnx: net doctor: no fault found\n")
	})
}

// QEMU's user network answers for its own addresses alone.
func TestDoctorUserNetwork(t *testing.T) {
	if userError != nil {
		t.Skipf("needs private network namespaces: %v", userError)
	}
	g := detached(t, "user", "--nic", "user", "--net", "dhcp")
	_, findings := examine(t, nil, "--guest", g.Name, "192.0.2.1")
	named(t, findings, "fault", []string{"user-network-ping"}, "192.0.2.1 cannot answer", "0 of 2", "--nic tap")
}
