#include "textflag.h"

// FENCE without operands is fence iorw,iorw. Before a write it makes memory that
// the device will read visible first; after a read it keeps what follows behind it.
//
//	register  use
//	X10       address
//	X11       value

// func read8(p *uint8) uint8
TEXT ·read8(SB), NOSPLIT, $0-9
	MOV	p+0(FP), X10
	MOVBU	(X10), X11
	FENCE
	MOVB	X11, ret+8(FP)
	RET

// func read16(p *uint16) uint16
TEXT ·read16(SB), NOSPLIT, $0-10
	MOV	p+0(FP), X10
	MOVHU	(X10), X11
	FENCE
	MOVH	X11, ret+8(FP)
	RET

// func read32(p *uint32) uint32
TEXT ·read32(SB), NOSPLIT, $0-12
	MOV	p+0(FP), X10
	MOVWU	(X10), X11
	FENCE
	MOVW	X11, ret+8(FP)
	RET

// func write32(p *uint32, v uint32)
TEXT ·write32(SB), NOSPLIT, $0-12
	MOV	p+0(FP), X10
	MOVWU	v+8(FP), X11
	FENCE
	MOVW	X11, (X10)
	RET
