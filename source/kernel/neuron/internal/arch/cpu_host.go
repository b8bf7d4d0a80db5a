//go:build !neuron

package arch

// Host is the processor that tests see.
var Host struct {
	Time       uint64
	Alarm      uint64
	PendingSet uint64
	Satp       uint64
	Flushes    int
	Fetches    int // of FlushCode
	Calls      int // of the firmware's timer
	// HasStimecmp and MaxASID are what Probe finds.
	HasStimecmp bool
	MaxASID     uint64
	// Vector, VL and VectorUnit are the vector unit's.
	Vector     byte
	VL         uint64
	VectorUnit uint64
	// Float is register f0.
	Float uint64
	// OpenSBI is the firmware's version.
	OpenSBI uint64
	// Device answers accesses to device registers, of any width.
	Device interface {
		Load(addr uintptr) uint32
		Store(addr uintptr, v uint32)
	}
}

func Load8(addr uintptr) uint8       { return uint8(Host.Device.Load(addr)) }
func Store8(addr uintptr, v uint8)   { Host.Device.Store(addr, uint32(v)) }
func Load32(addr uintptr) uint32     { return Host.Device.Load(addr) }
func Store32(addr uintptr, v uint32) { Host.Device.Store(addr, v) }

func ReadTime() uint64           { return Host.Time }
func writeStimecmp(ticks uint64) { Host.Alarm = ticks }
func Pending() uint64            { return Host.PendingSet }
func EnableInterrupts()          {}

// WaitForInterrupt moves time to the alarm.
func WaitForInterrupt() { Host.Time = Host.Alarm }

func WriteSatp(v uint64)   { Host.Satp = v }
func FlushTLB()            { Host.Flushes++ }
func FlushCode()           { Host.Fetches++ }
func SaveFloat(c *Context) { c.F[0] = Host.Float }
func LoadFloat(c *Context) { Host.Float = c.F[0] }

// The host's vector unit has one register that tests look at.
func SaveVector(c *Context)      { c.Vector[0], c.VL = Host.Vector, Host.VL }
func LoadVector(c *Context)      { Host.Vector, Host.VL = c.Vector[0], c.VL }
func vectorUnit() uint64         { return Host.VectorUnit }
func setVectorUnit(state uint64) { Host.VectorUnit = state }

// SBI is a firmware that has a timer and nothing else.
func SBI(extension, function, a0, a1 uint64) (err int64, value uint64) {
	switch {
	case extension == sbiBase && function == sbiImplementation:
		return 0, openSBI
	case extension == sbiBase && function == sbiVersion:
		return 0, Host.OpenSBI
	case extension == sbiBase && function == sbiProbeExtension && a0 == sbiTime:
		return 0, 1
	case extension == sbiTime && function == 0:
		Host.Alarm = a0
		Host.Calls++
		return 0, 0
	}
	return -2, 0
}

func probeFloat() bool    { return true }
func probeAlarm() bool    { return Host.HasStimecmp }
func probeVector() uint64 { return 0 }
func probeASID() uint64   { return Host.MaxASID }
func clearEnvironment()   {}

func Resume(c *Context)     {}
func SetTrapVector(h *Hart) {}

func acquire(l *uint32) {
	if *l != 0 {
		panic("arch: lock taken twice")
	}
	*l = 1
}
func release(l *uint32) { *l = 0 }
