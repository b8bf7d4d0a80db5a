package machine

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"nexus/source/kernel/neuron/internal/mem"
	"nexus/source/libs/fdt"
)

// compile makes a device tree of the project's own source with one text replaced.
func compile(t *testing.T, old, new string) []byte {
	t.Helper()
	source, err := os.ReadFile("../../../../../pkg/dts/virt-nexus.dts")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(source), old) {
		t.Fatalf("the source has no %q", old)
	}
	dtc := exec.Command("dtc", "-q", "-I", "dts", "-O", "dtb")
	dtc.Stdin = strings.NewReader(strings.Replace(string(source), old, new, 1))
	var stderr bytes.Buffer
	dtc.Stderr = &stderr
	out, err := dtc.Output()
	if err != nil {
		t.Fatalf("dtc (make setup installs it): %v\n%s", err, &stderr)
	}
	return out
}

func read(t *testing.T, blob []byte, hart uint64) (Machine, string) {
	t.Helper()
	var tree fdt.Tree
	if code := tree.Open(blob); code != fdt.OK {
		t.Fatal(code)
	}
	var m Machine
	return m, m.Read(&tree, hart)
}

func TestReadsOurTree(t *testing.T) {
	var tree fdt.Tree
	tree.Open(compile(t, "chosen {", `chosen {
		bootargs = "a nexus.profile=deterministic b";
		linux,initrd-start = <0x0 0x84000000>;
		linux,initrd-end = <0x0 0x84100000>;`))
	var m Machine
	if why := m.Read(&tree, 0); why != "" {
		t.Fatal(why)
	}
	if want := (mem.Range{Start: 0x80000000, End: 0x88000000}); m.Memory != want {
		t.Errorf("memory %+v, want %+v", m.Memory, want)
	}
	if want := (mem.Range{Start: 0x84000000, End: 0x84100000}); m.Archive != want {
		t.Errorf("archive %+v, want %+v", m.Archive, want)
	}
	if m.UART != 0x10000000 || m.UARTInterrupt != 10 || m.PLIC != 0xc000000 || m.PLICContext != 1 || m.Timebase != 10_000_000 {
		t.Errorf("%+v", m)
	}
	if m.RTC != 0x101000 || m.Test != 0x100000 || !m.Deterministic || !m.Sstc {
		t.Errorf("rtc %#x, test %#x, deterministic %v, Sstc %v", m.RTC, m.Test, m.Deterministic, m.Sstc)
	}
	for _, r := range m.Own() {
		if r.Start == 0x10002000 {
			t.Error("the kernel keeps the network device for itself")
		}
	}
}

func TestSaysWhatIsMissing(t *testing.T) {
	tests := []struct {
		name, old, new, want string
		hart                 uint64
	}{
		{"no serial port", `"ns16550a"`, `"other"`, "no serial port", 0},
		{"no memory", `memory@80000000 {
		device_type = "memory";`, `m@80000000 {`, "no memory node", 0},
		{"no timebase", "timebase-frequency = <10000000>;", "", "no usable timebase-frequency", 0},
		{"absurd timebase", "<10000000>", "<10>", "no usable timebase-frequency", 0},
		{"no interrupt controller", `"sifive,plic-1.0.0", "riscv,plic0"`, `"other"`, "no interrupt controller", 0},
		{"another hart", "chosen {", "chosen {", "no cpu node for the boot hart", 7},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, why := read(t, compile(t, tt.old, tt.new), tt.hart)
			if !strings.Contains(why, tt.want) {
				t.Errorf("says %q, want %q", why, tt.want)
			}
			if m.Test != 0x100000 {
				t.Errorf("test device at %#x: the machine cannot end with a status", m.Test)
			}
		})
	}
}

func TestWordsOfTheCommandLine(t *testing.T) {
	for line, want := range map[string]bool{
		"": false, "x": true, "a x b": true, "a xx": false, "x=1": false, " x": true, "a  x": true,
	} {
		if got := HasWord([]byte(line), "x"); got != want {
			t.Errorf("%q: %v, want %v", line, got, want)
		}
	}
}
