//go:build neuron && provoke

package main

import (
	"nexus/source/kernel/neuron/internal/machine"
	"nexus/source/kernel/neuron/internal/mem"
)

// provoke commits the fault of the kernel that the command line names by nexus.provoke=…, so that a test can see it end the
// machine. The image that is shipped has no such code.
func provoke() {
	line := tree.BootArgs()
	switch {
	case machine.HasWord(line, "nexus.provoke=panic"):
		p, _ := mem.Alloc()
		mem.Free(p)
		mem.Free(p)
	}
}
