// Package arch is the processor: what a thread's registers are, how the kernel is entered and left, and the few
// instructions that Go has no words for. On the host its functions act on variables, so that the packages above can be
// tested there.
package arch

// Context is the user registers of a thread. X[0] holds the program counter, as x0 needs no place.
// The assembly reads it through go_asm.h.
type Context struct {
	X    [32]uint64
	Hart *Hart
	F    [32]uint64
	FCSR uint64
	// Vector is where the vector registers are saved, one behind the other; nil for a thread that has used none. Behind it are the
	// unit's control registers.
	Vector                  *[4096]byte
	VStart, VL, VType, VCSR uint64
}

// Numbers of the registers that the ABI gives a meaning (RISC-V psABI, integer register convention).
const (
	PC = 0
	RA = 1
	SP = 2
	TP = 4
	A0 = 10
	A1 = 11
	A2 = 12
	A3 = 13
	A4 = 14
	A5 = 15
	A7 = 17
)

// Hart is what belongs to one hardware thread. In the kernel, register tp points at it.
type Hart struct {
	// Stack is the top of the hart's kernel stack; G the fake goroutine whose stack bounds the compiler's prologues check.
	Stack uintptr
	G     uintptr
	// Trap handles a trap from user mode and returns the context to go on with.
	Trap func(c *Context, cause, value uint64) *Context
	// ID is the hart id that the firmware uses.
	ID uint64
	// Floating is the context whose floating-point registers the hart holds.
	Floating *Context
	// vector is that of the vector registers; vectorOn whether they can be used, vectorDirty whether there is something to save
	// that sstatus does not tell.
	vector                *Context
	vectorOn, vectorDirty bool
	// Satp is the address space in force.
	Satp uint64
	// Alarm is what stimecmp holds, in ticks; 0 if it has to be written again.
	Alarm uint64
}

// Trap causes (privileged specification 1.12, table 4.2).
const (
	Interrupt        = 1 << 63
	CauseTimer       = Interrupt | 5
	CauseExternal    = Interrupt | 9
	CauseFetchAlign  = 0
	CauseFetchAccess = 1
	CauseIllegal     = 2
	CauseBreakpoint  = 3
	CauseLoadAlign   = 4
	CauseLoadAccess  = 5
	CauseStoreAlign  = 6
	CauseStoreAccess = 7
	CauseUserCall    = 8
	CauseFetchFault  = 12
	CauseLoadFault   = 13
	CauseStoreFault  = 15
	PendingTimer     = 1 << 5 // sip.STIP
	PendingExternal  = 1 << 9 // sip.SEIP
	SatpSv39         = 8 << 60
	SatpASIDShift    = 44
	AlarmNever       = ^uint64(0)
)
