package boot

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// chance builds a boot archive whose /init tells what it finds.
func chance(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "chance")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, "./tests/boot/chance")
	build.Env = append(os.Environ(), "GOOS=linux", "GOARCH=riscv64", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return file(t, "archive", archive(t, map[string][]byte{"init": read(t, program)}))
}

// told is what chance said, by its first word.
func told(console string) map[string]string {
	found := map[string]string{}
	for line := range strings.Lines(console) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "chance: "); ok {
			what, value, _ := strings.Cut(text, " ")
			found[what] = value
		}
	}
	return found
}

// Two boots of the default profile share no random byte and no key, and have the host's time; two deterministic ones have the
// same, and the year 2026. QEMU's version makes no difference: since 9.2 it puts no seed into a tree that it is given.
func TestEntropy(t *testing.T) {
	archive := chance(t)
	two := func(profile string) (a, b map[string]string) {
		first := boot(t, nil, "--nic", "none", "--profile", profile, "--archive", archive)
		second := boot(t, nil, "--nic", "none", "--profile", profile, "--archive", archive)
		return told(first.text()), told(second.text())
	}
	secrets := []string{"insecure", "urandom", "key"}

	a, b := two("default")
	for _, what := range secrets {
		if len(a[what]) < 64 || a[what] == b[what] {
			t.Errorf("default: %s of two boots: %q and %q", what, a[what], b[what])
		}
	}
	now := time.Now().Unix()
	if clock, err := strconv.ParseInt(b["clock"], 10, 64); err != nil || clock > now+1 || clock < now-60 {
		t.Errorf("default: the clock shows %s at %d", b["clock"], now)
	}
	for _, what := range []string{"nonblock", "random"} {
		if a[what] != "<nil>" {
			t.Errorf("default: %s: %s", what, a[what])
		}
	}

	a, b = two("deterministic")
	for _, what := range secrets {
		if len(a[what]) < 64 || a[what] != b[what] {
			t.Errorf("deterministic: %s of two boots: %q and %q", what, a[what], b[what])
		}
	}
	const start = 1767225600 // 2026-01-01T00:00:00Z
	if clock, err := strconv.ParseInt(a["clock"], 10, 64); err != nil || clock < start || clock > start+60 {
		t.Errorf("deterministic: the clock shows %s", a["clock"])
	}
}

// aside is a tree in which the kernel, which prefers a node's full name, finds another /chosen than QEMU, which takes the first and
// puts its seed there: so the kernel boots with this seed, or none, on every QEMU.
func aside(t *testing.T, archive, seed string) string {
	t.Helper()
	info, err := os.Stat(archive)
	if err != nil {
		t.Fatal(err)
	}
	end := strconv.FormatInt(archiveAt+info.Size(), 10)
	return tree(t, "	chosen {", `	chosen@0 {
	};

	chosen {
		bootargs = "nexus.profile=default";
		linux,initrd-start = <`+strconv.Itoa(archiveAt)+`>;
		linux,initrd-end = <`+end+`>;
		`+seed)
}

const archiveAt = 0x84000000

// bare boots QEMU without nx and gives the console.
func bare(t *testing.T, archive, dtb string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	qemu := os.Getenv("NEXUS_QEMU")
	if qemu == "" {
		qemu = "qemu-system-riscv64"
	}
	out, err := exec.CommandContext(ctx, qemu, "-M", "virt", "-m", "128M", "-kernel", "build/neuron.img", "-dtb", dtb,
		"-device", "loader,file="+archive+",force-raw=on,addr="+strconv.Itoa(archiveAt),
		"-display", "none", "-serial", "stdio", "-monitor", "none", "-no-reboot").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// Without a seed the kernel says so, and who needs secrets waits: getrandom(2), random(4).
func TestUnseeded(t *testing.T) {
	archive := chance(t)
	for name, seed := range map[string]string{"none": "", "too short": "rng-seed = [" + strings.Repeat("a5 ", 31) + "];"} {
		t.Run(name, func(t *testing.T) {
			console := bare(t, archive, aside(t, archive, seed))
			if !strings.Contains(console, "neuron: entropy missing, getrandom waits for ever: ") {
				t.Error("the kernel does not say so")
			}
			got := told(console)
			const again = "resource temporarily unavailable"
			for what, want := range map[string]string{"nonblock": again, "random": again, "key": "waits"} {
				if got[what] != want {
					t.Errorf("%s: got %q, want %q", what, got[what], want)
				}
			}
			for _, what := range []string{"insecure", "urandom"} {
				if !strings.HasSuffix(got[what], "<nil>") {
					t.Errorf("%s: got %q", what, got[what])
				}
			}
			if t.Failed() {
				t.Log(console)
			}
		})
	}
}

// No program reads the seed out of the tree: Linux wipes it too.
func TestSeedIsErased(t *testing.T) {
	archive := chance(t)
	console := bare(t, archive, aside(t, archive, "rng-seed = ["+strings.Repeat("a5 ", 32)+"];"))
	if !strings.Contains(console, "neuron: entropy seeded") || told(console)["tree"] != "seed false" {
		t.Errorf("tree: %q\n%s", told(console)["tree"], console)
	}
}
