//go:build neuron

package main

import (
	"nexus/source/kernel/neuron/internal/arch"
	"nexus/source/kernel/neuron/internal/console"
	"nexus/source/kernel/neuron/internal/proc"
	"nexus/source/kernel/neuron/internal/vm"
)

// System reset (SBI 1.0, chapter 10), and the firmware's console.
const (
	sbiReset        = 0x53525354
	sbiPutchar      = 1 // legacy extension, chapter 5
	resetShutdown   = 0
	reasonNone      = 0
	reasonSystemBad = 1

	// testFail ends QEMU with status 1 (sifive_test: FINISHER_FAIL, code 1).
	testFail = 1<<16 | 0x3333
)

// powerOff ends the machine: QEMU's exit status is 0 if all is well, else 1.
func powerOff(well bool) {
	console.Console.Drain()
	reason := uint64(reasonSystemBad)
	switch {
	case well:
		reason = reasonNone
	case board.Test != 0:
		// OpenSBI writes a failure without a code, which is QEMU's status 0; the test device that it would use can say more. QEMU only
		// notes the request and goes on, and a later one replaces the status: the firmware is asked when nothing has come of it.
		arch.Store32(kernelAddress(board.Test), testFail)
		for start := arch.ReadTime(); arch.ReadTime()-start < board.Second(); {
		}
	}
	arch.SBI(sbiReset, 0, resetShutdown, reason)
	for {
		arch.WaitForInterrupt()
	}
}

// stop ends a boot that cannot go on. Before there is a console the firmware prints.
func stop(what, why string) {
	console.Last()
	text := [...]string{"neuron: ", what, why, "\n"}
	for _, s := range &text {
		if board.UART != 0 {
			console.Text(s)
			continue
		}
		for i := 0; i < len(s); i++ {
			arch.SBI(sbiPutchar, 0, uint64(s[i]), 0)
		}
	}
	powerOff(false)
}

// initExited is the end of process 1, and so of the machine.
func initExited(status int32) {
	console.Last()
	if signal := status & 0x7f; signal != 0 {
		console.Text("neuron: power off, init killed by signal ")
		console.Number(uint64(signal))
	} else {
		console.Text("neuron: power off, init exited with status ")
		console.Number(uint64(status >> 8))
	}
	console.Text("\n")
	powerOff(status == 0)
}

// processEnds tells of a process that the kernel ends.
func processEnds(p *proc.Process, why string, address, pc uint64) {
	console.Text("neuron: process ")
	console.Number(uint64(p.ID))
	console.Text(" (")
	console.Bytes(p.Name())
	console.Text(") ended: ")
	console.Text(why)
	console.Text(" ")
	console.Hex(address)
	console.Text(", pc ")
	console.Hex(pc)
	console.Text("\n")
}

// fatals counts calls of fatal.
var fatals int

// fatal is a fault of the kernel itself: it tells what is known and ends the machine. A fault on the way there is not told of, and
// one of ending it leaves the machine standing. `mkkernel symbolize` names the addresses.
func fatal(kind string, a, b, c, sp uint64, why string) {
	fatals++
	for fatals > 2 {
		arch.WaitForInterrupt()
	}
	if fatals == 1 {
		console.Last()
		console.Text("neuron: fatal: ")
		console.Text(kind)
		console.Text(" ")
		console.Hex(a)
		console.Text(" ")
		console.Hex(b)
		console.Text(" ")
		console.Hex(c)
		console.Text(" sp ")
		console.Hex(sp)
		if kind == "trap" {
			why = vm.KernelFault(a, physical(uintptr(b)))
		}
		if why != "" {
			console.Text(": ")
			console.Text(why)
		}
		console.Text("\n")
	}
	powerOff(false)
}
