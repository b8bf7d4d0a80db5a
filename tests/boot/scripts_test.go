package boot

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// script runs a command to its end and gives its status and all its output.
func script(t *testing.T, cmd *exec.Cmd) (int, string) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

func TestRunScript(t *testing.T) {
	status, out := script(t, exec.Command("scripts/run-qemu-rv64.sh", "--nic", "wire"))
	if status != 0 || !strings.Contains(out, "nexus: boot proven: ") {
		t.Errorf("status %d:\n%s", status, out)
	}
	if status, out := script(t, exec.Command("scripts/run-qemu-rv64.sh", "--nic", "none")); status != 1 {
		t.Errorf("without a card: status %d:\n%s", status, out)
	}
}

func TestQEMUTestScript(t *testing.T) {
	status, out := script(t, exec.Command("scripts/qemu-test.sh"))
	if proven := strings.Count(out, "nexus: boot proven: "); status != 0 || proven != len(nics(t)) {
		t.Errorf("status %d, %d proven:\n%s", status, proven, out)
	}
	if status, out := script(t, exec.Command("scripts/qemu-test.sh", "--qemu", "no-such-qemu")); status != 2 {
		t.Errorf("without QEMU: status %d:\n%s", status, out)
	}
}

func TestSetupScript(t *testing.T) {
	if status, out := script(t, exec.Command("scripts/setup.sh")); status != 0 || out != "" {
		t.Errorf("with everything there: status %d:\n%s", status, out)
	}

	// With next to nothing in PATH it says what is missing.
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Fatal(err)
	}
	poor := func(programs ...string) *exec.Cmd {
		dir := t.TempDir()
		for _, p := range programs {
			if err := os.WriteFile(filepath.Join(dir, p), []byte("#!"+bash+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command(bash, "scripts/setup.sh", "--check")
		cmd.Env = []string{"PATH=" + dir}
		return cmd
	}
	status, out := script(t, poor("go", "dtc"))
	if status != 1 || !strings.HasPrefix(out, "setup: missing: qemu-system-misc ") ||
		strings.Contains(out, "device-tree-compiler") || !strings.Contains(out, " groff-base") || strings.Count(out, "\n") != 1 {
		t.Errorf("without QEMU: status %d:\n%s", status, out)
	}
	status, out = script(t, poor("dtc"))
	if status != 1 || !strings.Contains(out, "Go 1.26 or newer is not in PATH") {
		t.Errorf("without Go: status %d:\n%s", status, out)
	}
}

func TestTreeCompilerMissing(t *testing.T) {
	status, out := script(t, exec.Command(nx, "dtb", "--dtc", "no-such-dtc", "pkg/dts/virt-nexus.dts", filepath.Join(t.TempDir(), "x.dtb")))
	if status != 2 || !strings.Contains(out, "apt-get install device-tree-compiler") || strings.Count(out, "\n") != 1 {
		t.Errorf("status %d:\n%s", status, out)
	}
}
