#include "textflag.h"

// FENCE without operands is fence iorw,iorw: it orders memory against device
// registers as well, which the .aq and .rl bits of atomic instructions do not
// (RISC-V unprivileged ISA, "Zaamo", I/O ordering).
//
//	register  use
//	X10       address
//	X11       value

// func loadAcquire16(p *uint16) uint16
TEXT ·loadAcquire16(SB), NOSPLIT, $0-10
	MOV	p+0(FP), X10
	MOVHU	(X10), X11
	FENCE
	MOVH	X11, ret+8(FP)
	RET

// func storeRelease16(p *uint16, v uint16)
TEXT ·storeRelease16(SB), NOSPLIT, $0-10
	MOV	p+0(FP), X10
	MOVHU	v+8(FP), X11
	FENCE
	MOVH	X11, (X10)
	RET

// func load32(p *uint32) uint32
TEXT ·load32(SB), NOSPLIT, $0-12
	MOV	p+0(FP), X10
	MOVWU	(X10), X11
	MOVW	X11, ret+8(FP)
	RET

// func fence()
TEXT ·fence(SB), NOSPLIT, $0-0
	FENCE
	RET
