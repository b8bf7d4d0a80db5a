package cpu

import (
	"regexp"
	"strings"
	"testing"
)

// TestFatal: each fault of the kernel that a command line asks a kernel built for it to commit ends the machine with status 1,
// and one line that has its name.
func TestFatal(t *testing.T) {
	image := kernel(t, "provoke")
	initrd := archive(t, []byte("never executed"))
	for word, want := range map[string]string{
		"panic": `runtime 0x7 0x\w+ 0x\w+ sp 0x\w+: mem: free of a free page`,
		// What the kernel's map of itself forbids (scause 12: fetch, 15: store).
		"text":       `trap 0xf 0xffffffc080201000 0x\w+ sp 0x\w+: store to read-only memory of the kernel`,
		"rodata":     `trap 0xf 0x\w+ 0x\w+ sp 0x\w+: store to read-only memory of the kernel`,
		"archive":    `trap 0xf 0x\w+ 0x\w+ sp 0x\w+: store to read-only memory of the kernel`,
		"run-data":   `trap 0xc 0x\w+ 0x\w+ sp 0x\w+: execution of data`,
		"run-rodata": `trap 0xc 0x\w+ 0x\w+ sp 0x\w+: execution of data`,
		"run-memory": `trap 0xc 0x\w+ 0x\w+ sp 0x\w+: execution of data`,
		"stack":      `trap 0xf 0x\w+ 0x\w+ sp 0x\w+: kernel stack overflow`,
		// The check at a function's beginning is first.
		"stack-check": `runtime 0x1 0x\w+ 0x\w+ sp 0x\w+`,
	} {
		t.Run(word, func(t *testing.T) {
			console, status := boot(t, image, "-initrd", initrd, "-append", "nexus.provoke="+word)
			if status != 1 {
				t.Errorf("QEMU's status is %d, want 1", status)
			}
			line := regexp.MustCompile(`\nneuron: fatal: ` + want + "\n$")
			if !line.MatchString(console) || strings.Count(console, "neuron: fatal") != 1 {
				t.Errorf("the console lacks %q, once, at its end:\n%s", want, console)
			}
		})
	}
}
