package cpu

import (
	"strings"
	"testing"
)

// TestRegisters: processes and threads that keep patterns in F and V registers lose none and see none of each other's, over
// switches, signals and execs; the vector unit is offered where the processor has one that can be saved.
func TestRegisters(t *testing.T) {
	image := kernel(t, "")
	dir := t.TempDir()
	for _, tt := range []struct{ cpu, level, vector string }{
		{"rv64", "", "false"}, {"rv64,v=true", "", "true"}, {"rv64,v=true,vlen=1024", "", "true"},
		{"max", "", "true"}, {"max", "rva23u64", "true"}, {"rva23s64", "rva23u64", "true"},
	} {
		t.Run(tt.cpu+" "+tt.level, func(t *testing.T) {
			if !has(dir, tt.cpu) {
				t.Skip("this QEMU has no such processor")
			}
			initrd := archive(t, program(t, "./registers", tt.level))
			console, status := boot(t, image, "-cpu", tt.cpu, "-initrd", initrd)
			for _, want := range []string{"registers: vector " + tt.vector + "\n", "registers: ok\n"} {
				if !strings.Contains(console, want) || status != 0 {
					t.Errorf("status %d, want 0; the console lacks %q:\n%s", status, want, console)
				}
			}
		})
	}
}
