package arch

// CPU is what the boot hart can do, as far as the kernel chooses by it. Probe tries it out: the device tree may describe another
// processor, and what a processor has the firmware may have turned off.
var CPU struct {
	// Float: F and D, which every program needs.
	Float bool
	// Alarm: the alarm is a register of the hart (Sstc); else the firmware's.
	Alarm bool
	// VectorBytes is the length of a vector register (V 1.0), 0 without; VectorTooLong what it would be if the kernel could save it.
	VectorBytes, VectorTooLong uint64
	// MaxASID is the highest address-space id.
	MaxASID uint64
}

// The firmware's timer (SBI 1.0, chapters 4 and 6).
const (
	sbiBase           = 0x10
	sbiImplementation = 1
	sbiVersion        = 2
	sbiProbeExtension = 3
	sbiTime           = 0x54494d45

	openSBI   = 1
	openSBI11 = 1<<16 | 1
)

// Probe fills in CPU and takes from user mode what the firmware may have left on. It runs once, with the trap vector set and
// the kernel's address space in force.
func Probe() {
	CPU.Float = probeFloat()
	CPU.Alarm = probeAlarm()
	if CPU.VectorBytes = probeVector(); CPU.VectorBytes > MaxVectorBytes {
		CPU.VectorTooLong, CPU.VectorBytes = CPU.VectorBytes, 0
	}
	CPU.MaxASID = probeASID()
	clearEnvironment()
}

// NoAlarm says why WriteAlarm cannot work, or nothing. claimed is whether the device tree says that the hart has Sstc: OpenSBI 1.1
// tries it out as Probe does, 1.6 believes the tree and its timer dies of an illegal instruction.
func NoAlarm(claimed bool) string {
	if CPU.Alarm {
		return ""
	}
	if err, has := SBI(sbiBase, sbiProbeExtension, sbiTime, 0); err != 0 || has == 0 {
		return "no timer: neither Sstc nor the firmware's (SBI TIME)"
	}
	_, firmware := SBI(sbiBase, sbiImplementation, 0, 0)
	_, version := SBI(sbiBase, sbiVersion, 0, 0)
	if claimed && (firmware != openSBI || version > openSBI11) {
		return "no Sstc, though the device tree claims it and the firmware believes that: give QEMU the processor's own tree"
	}
	return ""
}

// WriteAlarm asks for a timer interrupt at that tick.
func WriteAlarm(ticks uint64) {
	if CPU.Alarm {
		writeStimecmp(ticks)
	} else {
		SBI(sbiTime, 0, ticks, 0)
	}
}
