package boot

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Of TestHostile; make fuzz-kernel says others.
var (
	hostileSeed   = flag.Int("hostile.seed", 1, "TestHostile: the first seed")
	hostileSeeds  = flag.Int("hostile.seeds", 3, "TestHostile: how many")
	hostileCalls  = flag.Int("hostile.calls", 4000, "TestHostile: calls of each seed")
	hostileKernel = flag.String("hostile.kernel", "", "TestHostile: another kernel's image")
)

// hostile builds the archive of the default boot with one service more, before the self-tests: random system calls of programs that hold no
// right at all (docs/fuzzing-the-kernel.md).
func hostile(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, flags := range map[string]string{"director": "-s -w", "executor": "-s -w -E main.entry"} {
		build := exec.Command("go", "build", "-trimpath", "-ldflags="+flags, "-o", filepath.Join(dir, name), "./tests/fuzzkernel/cmd/"+name)
		build.Env = append(os.Environ(), "GOOS=linux", "GOARCH=riscv64", "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	var manifest struct {
		Net      string            `json:"net"`
		Services []json.RawMessage `json:"services"`
	}
	if err := json.Unmarshal(read(t, "pkg/manifests/default.json"), &manifest); err != nil {
		t.Fatal(err)
	}
	before := slices.IndexFunc(manifest.Services, func(s json.RawMessage) bool { return strings.Contains(string(s), `"selftest-client"`) })
	if before < 0 {
		t.Fatal("the default manifest has no selftest-client")
	}
	manifest.Services = slices.Insert(manifest.Services, before, json.RawMessage(fmt.Sprintf(
		`{"name": "hostile", "program": "/bin/director", "arguments": ["beside", "fuzz.seed=%d", "fuzz.seeds=%d", "fuzz.calls=%d"], "ready": "notify", "timeoutMs": 30000}`,
		*hostileSeed, *hostileSeeds, *hostileCalls)))
	text, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "archive")
	make := exec.Command("go", "run", "./tools/mkarchive", "-o", path, "/init=build/nexus", "/etc/hosts=pkg/etc/hosts", "/pkg/dts=pkg/dts",
		"/pkg/fixtures=pkg/fixtures", "/etc/nexus/manifest.json="+file(t, "manifest", text), "/bin/director="+filepath.Join(dir, "director"),
		"/bin/executor="+filepath.Join(dir, "executor"), "/canary=build/virt-nexus.dtb")
	if out, err := make.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// TestHostile: a program without rights does to the kernel what it can, and the system boots, serves, and serves on. It has more memory than
// such a program takes in the time it is given, for there are no quotas.
func TestHostile(t *testing.T) {
	const name = "hostile"
	limit := 5*time.Minute + time.Duration(*hostileSeeds**hostileCalls)*10*time.Millisecond
	args := []string{"--nic", "wire", "--memory", "1024", "--timeout", limit.String(), "--archive", hostile(t)}
	if *hostileKernel != "" {
		args = append(args, "--kernel", *hostileKernel)
	}
	detached(t, name, args...)
	serves := func() {
		t.Helper()
		for _, c := range []struct {
			line    string
			pattern string
		}{
			{"net fetch http://127.0.0.1:8080/hello", "hello from echod\nnx: net fetch bytes=17\n"},
			{"net ping 127.0.0.1 -c 2 -i 0.05", pinged("127.0.0.1", 2)},
			{"net ping 10.0.2.2 -c 2 -i 0.05", pinged(`10\.0\.2\.2`, 2)},
		} {
			operate(t, c.line).matches(t, c.line, 0, c.pattern)
		}
	}
	serves() // while it runs
	out := until(t, name, "fuzz: done: ", limit)
	serves() // and after it
	at := func(text string) int { return strings.Index(out, text) }
	if !(at("fuzz: run ") < at("SELFTEST: net lo ping ok") && at("nexus-init: done") < at("fuzz: done: ")) {
		t.Errorf("the self-tests did not run beside the hostile program:\n%s", out)
	}
	for _, bad := range []string{"fuzz: finding ", "fuzz: the canary has ended"} {
		if strings.Contains(out, bad) {
			t.Errorf("%q:\n%s", bad, out)
		}
	}
}

// until is what a guest says up to a line with this text in it, after which it is still there.
func until(t *testing.T, name, text string, limit time.Duration) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	follow := exec.CommandContext(ctx, nx, "logs", "-f", name)
	said, err := follow.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := follow.Start(); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	found := false
	for lines := bufio.NewScanner(said); !found && lines.Scan(); {
		out.WriteString(lines.Text() + "\n")
		found = strings.Contains(lines.Text(), text)
	}
	cancel()
	_ = follow.Wait() // it was ended
	if !found {
		t.Fatalf("the guest never says %q:\n%s", text, out.String())
	}
	is(t, name, "standing")
	return out.String()
}
