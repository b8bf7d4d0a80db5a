//go:build neuron && provoke

package main

import (
	"unsafe"

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
	case machine.HasWord(line, "nexus.provoke=text"):
		store(uintptr(loadAddress) + mem.PhysmapBase + mem.PageSize)
	case machine.HasWord(line, "nexus.provoke=rodata"):
		store(uintptr(unsafe.Pointer(unsafe.StringData("constant"))))
	case machine.HasWord(line, "nexus.provoke=archive"):
		store(uintptr(board.Archive.Start) + mem.PhysmapBase)
	case machine.HasWord(line, "nexus.provoke=run-data"):
		run(uintptr(unsafe.Pointer(&hart)))
	case machine.HasWord(line, "nexus.provoke=run-rodata"):
		run(uintptr(unsafe.Pointer(unsafe.StringData("constant"))))
	case machine.HasWord(line, "nexus.provoke=run-memory"):
		p, _ := mem.Alloc()
		run(uintptr(p) + mem.PhysmapBase)
	case machine.HasWord(line, "nexus.provoke=stack"):
		clear(bootG[16:24]) // stackguard0: no check any more
		deep(1)
	case machine.HasWord(line, "nexus.provoke=stack-check"):
		deep(1)
	}
}

func store(at uintptr) { *(*byte)(unsafe.Pointer(at)) = 1 }

func run(at uintptr) {
	target := &at
	(*(*func())(unsafe.Pointer(&target)))()
}

//go:noinline
func deep(n int) int {
	var frame [256]byte
	frame[n%256] = byte(n)
	return deep(n+1) + int(frame[n%7])
}
