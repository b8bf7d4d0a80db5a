//go:build neuron

package arch

// Load8 … Store32 access a device register at a kernel address: one access of that width, never elided or reordered.
func Load8(addr uintptr) uint8
func Store8(addr uintptr, v uint8)
func Load32(addr uintptr) uint32
func Store32(addr uintptr, v uint32)

// ReadTime is the time counter, in ticks of the timebase.
func ReadTime() uint64

// writeStimecmp sets the hart's own alarm (Sstc).
func writeStimecmp(ticks uint64)

// Each tries an instruction out.
func probeFloat() bool
func probeAlarm() bool
func probeVector() uint64
func probeASID() uint64
func clearEnvironment()

// Pending is sip: which interrupts are waiting.
func Pending() uint64

// EnableInterrupts sets sie for timer and external interrupts. They reach user mode only: sstatus.SIE stays 0.
func EnableInterrupts()

// WaitForInterrupt sleeps until an enabled interrupt is pending.
func WaitForInterrupt()

// WriteSatp switches the address space.
func WriteSatp(v uint64)

// FlushTLB forgets all translations; FlushCode makes stores visible to instruction fetch.
func FlushTLB()
func FlushCode()

// SaveFloat saves the floating-point registers if they are dirty, and fcsr, of whose flags not all processors keep track; LoadFloat
// loads both, which are clean then.
func SaveFloat(c *Context)
func LoadFloat(c *Context)

// SaveVector and LoadVector move the vector registers, to and from c.Vector. The vector unit is on.
func SaveVector(c *Context)
func LoadVector(c *Context)

// vectorUnit is sstatus.VS, which setVectorUnit sets.
func vectorUnit() uint64
func setVectorUnit(state uint64)

// SBI calls the firmware (RISC-V SBI 1.0, chapter 3).
func SBI(extension, function, a0, a1 uint64) (err int64, value uint64)

// Resume enters user mode with c, for the first time on a hart.
func Resume(c *Context)

// SetTrapVector makes the entry stub the hart's trap handler and h what tp points at.
func SetTrapVector(h *Hart)

// acquire and release are a spin lock's halves (amoswap.w.aq / .rl).
func acquire(l *uint32)
func release(l *uint32)

// dispatch is where the entry stub comes out.
//
//go:nosplit
func dispatch(c *Context, cause, value uint64) *Context { return c.Hart.Trap(c, cause, value) }
