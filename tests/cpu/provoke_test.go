package cpu

import (
	"regexp"
	"testing"
)

// TestFatal: each fault of the kernel that a command line asks a kernel built for it to commit ends the machine with status 1,
// and one line that has its name.
func TestFatal(t *testing.T) {
	image := kernel(t, "provoke")
	initrd := archive(t, []byte("never executed"))
	for word, want := range map[string]string{
		"panic": `runtime 0x7 0x\w+ 0x\w+ sp 0x\w+: mem: free of a free page`,
	} {
		t.Run(word, func(t *testing.T) {
			console, status := boot(t, image, "-initrd", initrd, "-append", "nexus.provoke="+word)
			if status != 1 {
				t.Errorf("QEMU's status is %d, want 1", status)
			}
			line := regexp.MustCompile(`neuron: hart .*\nneuron: fatal: ` + want + "\n$")
			if !line.MatchString(console) {
				t.Errorf("the console lacks %q at its end:\n%s", want, console)
			}
		})
	}
}
