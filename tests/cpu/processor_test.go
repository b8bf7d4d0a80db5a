package cpu

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// dumpTree writes the device tree of a machine with that processor. QEMU replaces the file, whatever it is.
func dumpTree(cpu, file string) error {
	out, err := exec.Command("qemu-system-riscv64", "-display", "none", "-M", "virt,dumpdtb="+file, "-cpu", cpu).CombinedOutput()
	if err != nil {
		return fmt.Errorf("qemu: %w\n%s", err, out)
	}
	return nil
}

// has reports whether QEMU can be that processor; dir has no comma in its path.
func has(dir, cpu string) bool { return dumpTree(cpu, filepath.Join(dir, "tree.dtb")) == nil }

// TestProcessors: what a processor lacks is done without or said in one line, also when the device tree is that of another.
func TestProcessors(t *testing.T) {
	image := kernel(t, "")
	initrd := archive(t, program(t, "./clock", ""))
	other := filepath.Join(t.TempDir(), "other.dtb")
	if err := dumpTree("rv64", other); err != nil {
		t.Fatal(err)
	}
	const works = "clock: ok\nneuron: power off, init exited with status 0\n"
	for _, tt := range []struct {
		cpu, want string
		other     bool
		status    int
	}{
		{cpu: "rv64", want: works},
		{cpu: "rv64,sstc=false", want: works},
		{cpu: "rv64,sstc=false", other: true, want: works},
		{cpu: "sifive-u54", want: works},
		{cpu: "sifive-u54", other: true, want: works},
		{cpu: "rva22s64", want: works},
		{cpu: "rva22s64", other: true, want: works},
		{cpu: "rva23s64", want: works},
		{cpu: "max", want: works},
		{cpu: "rv64,f=false,d=false", want: "neuron: cpu: no double-precision floating point (F and D), which every program needs\n", status: 1},
		// Nothing tells the kernel of a device that QEMU's status could come from.
		{cpu: "rv64,mmu=off", want: "neuron: cpu: no Sv39 paging\n"},
	} {
		name := tt.cpu
		args := []string{"-cpu", tt.cpu, "-initrd", initrd}
		if tt.other {
			name += " with another's tree"
			args = append(args, "-dtb", other)
		}
		t.Run(name, func(t *testing.T) {
			if !has(filepath.Dir(other), tt.cpu) {
				t.Skip("this QEMU has no such processor")
			}
			console, status := boot(t, image, args...)
			if tt.other && strings.Contains(console, "neuron: cpu: no Sstc, though the device tree claims it and the firmware believes that") {
				return // as OpenSBI 1.6 does
			}
			if !strings.HasSuffix(console, tt.want) || status != tt.status {
				t.Errorf("status %d, want %d; the console does not end with %q:\n%s", status, tt.status, tt.want, console)
			}
		})
	}
}
