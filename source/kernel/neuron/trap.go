//go:build neuron

package main

import (
	"nexus/source/kernel/neuron/internal/arch"
	"nexus/source/kernel/neuron/internal/console"
	"nexus/source/kernel/neuron/internal/device"
	"nexus/source/kernel/neuron/internal/plic"
	"nexus/source/kernel/neuron/internal/proc"
	"nexus/source/kernel/neuron/internal/random"
	"nexus/source/kernel/neuron/internal/syscall"
	"nexus/source/kernel/neuron/internal/vm"
)

// trap handles every trap from user mode, classified by its cause, and returns who goes on.
func trap(c *arch.Context, cause, value uint64) *arch.Context {
	proc.BigLock.Acquire()
	t := proc.Current(c)
	proc.Enter(c.Hart, cause, t.X[arch.A7])
	switch cause {
	case arch.CauseUserCall:
		syscall.Handle(t)
	case arch.CauseTimer:
		proc.Rang(c.Hart) // Schedule looks at the clock
	case arch.CauseExternal:
		interrupts()
	case arch.CauseLoadFault:
		pageFault(t, value, vm.Read)
	case arch.CauseStoreFault:
		pageFault(t, value, vm.Write)
	case arch.CauseFetchFault:
		pageFault(t, value, vm.Exec)
	case arch.CauseLoadAccess, arch.CauseStoreAccess, arch.CauseFetchAccess:
		// The page is there, and the machine has nothing at its place: a hole in a device's window.
		t.Fault(proc.SIGBUS, proc.BusAdrErr, value)
	case arch.CauseBreakpoint:
		t.Fault(proc.SIGTRAP, proc.TrapBrkpt, t.X[arch.PC])
	case arch.CauseLoadAlign, arch.CauseStoreAlign, arch.CauseFetchAlign:
		t.Fault(proc.SIGBUS, proc.BusAdrAln, value)
	default:
		if cause != arch.CauseIllegal || !t.UseVector() {
			t.Fault(proc.SIGILL, proc.IllIllOpc, t.X[arch.PC])
		}
	}
	next := proc.Schedule(c.Hart)
	proc.Leave(c.Hart)
	proc.BigLock.Release()
	return next
}

func pageFault(t *proc.Thread, va uint64, need vm.Prot) {
	switch t.Process.Space.Touch(va, need) {
	case vm.FaultMap:
		t.Fault(proc.SIGSEGV, proc.SegvMapErr, va)
	case vm.FaultAccess:
		t.Fault(proc.SIGSEGV, proc.SegvAccErr, va)
	case vm.FaultBus:
		t.Fault(proc.SIGBUS, proc.BusAdrErr, va)
	case vm.FaultMemory:
		t.Die(proc.SIGKILL, "out of memory at", va)
	}
}

// interrupts handles all device interrupts that wait.
func interrupts() {
	for {
		source := plic.Claim()
		if source == 0 {
			return
		}
		random.Stir(arch.ReadTime())
		switch {
		case source == board.UARTInterrupt:
			console.Console.Interrupt()
			plic.Complete(source)
		default:
			// Complete before the mask takes hold: the controller ignores a completion of a masked source.
			plic.Complete(source)
			if !device.Interrupt(source) {
				plic.Mask(source)
			}
		}
	}
}
