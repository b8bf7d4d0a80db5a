//go:build neuron

#include "textflag.h"
#include "go_asm.h"
#include "macros.h"

// Device registers: the FENCEs order an access with the memory accesses around it (a driver's ring is
// in memory, its doorbell is not).

TEXT ·Load8(SB), NOSPLIT, $0-9
	MOV	addr+0(FP), X5
	MOVBU	(X5), X6
	FENCE
	MOVB	X6, ret+8(FP)
	RET

TEXT ·Store8(SB), NOSPLIT, $0-9
	MOV	addr+0(FP), X5
	MOVBU	v+8(FP), X6
	FENCE
	MOVB	X6, (X5)
	RET

TEXT ·Load32(SB), NOSPLIT, $0-12
	MOV	addr+0(FP), X5
	MOVWU	(X5), X6
	FENCE
	MOVW	X6, ret+8(FP)
	RET

TEXT ·Store32(SB), NOSPLIT, $0-12
	MOV	addr+0(FP), X5
	MOVWU	v+8(FP), X6
	FENCE
	MOVW	X6, (X5)
	RET

TEXT ·ReadTime(SB), NOSPLIT, $0-8
	CSRRS	X0, TIME, X5
	MOV	X5, ret+0(FP)
	RET

TEXT ·writeStimecmp(SB), NOSPLIT, $0-8
	MOV	ticks+0(FP), X5
	CSRRW	X5, STIMECMP, X0
	RET

TEXT ·Pending(SB), NOSPLIT, $0-8
	CSRRS	X0, SIP, X5
	MOV	X5, ret+0(FP)
	RET

TEXT ·EnableInterrupts(SB), NOSPLIT, $0-0
	MOV	$0x220, X5	// sie.STIE, sie.SEIE
	CSRRW	X5, SIE, X0
	RET

TEXT ·WaitForInterrupt(SB), NOSPLIT, $0-0
	WFI
	RET

TEXT ·WriteSatp(SB), NOSPLIT, $0-8
	MOV	v+0(FP), X5
	CSRRW	X5, SATP, X0
	RET

TEXT ·FlushTLB(SB), NOSPLIT, $0-0
	SFENCE_VMA_ALL
	RET

TEXT ·FlushCode(SB), NOSPLIT, $0-0
	FENCE_I
	RET

#define FLOATS(OP) \
	OP(0, F0); OP(1, F1); OP(2, F2); OP(3, F3); OP(4, F4); OP(5, F5); OP(6, F6); OP(7, F7); \
	OP(8, F8); OP(9, F9); OP(10, F10); OP(11, F11); OP(12, F12); OP(13, F13); OP(14, F14); OP(15, F15); \
	OP(16, F16); OP(17, F17); OP(18, F18); OP(19, F19); OP(20, F20); OP(21, F21); OP(22, F22); OP(23, F23); \
	OP(24, F24); OP(25, F25); OP(26, F26); OP(27, F27); OP(28, F28); OP(29, F29); OP(30, F30); OP(31, F31)
#define SAVE(n, r)	MOVD	r, (Context_F+8*n)(X5)
#define LOAD(n, r)	MOVD	(Context_F+8*n)(X5), r

TEXT ·SaveFloat(SB), NOSPLIT, $0-8
	MOV	c+0(FP), X5
	CSRRS	X0, FCSR, X6
	MOV	X6, Context_FCSR(X5)
	MOV	$SSTATUS_FS, X6
	CSRRS	X0, SSTATUS, X7
	AND	X6, X7
	BNE	X6, X7, saved		// not dirty: all bits are not set
	FLOATS(SAVE)
saved:
	RET

TEXT ·LoadFloat(SB), NOSPLIT, $0-8
	MOV	c+0(FP), X5
	FLOATS(LOAD)
	MOV	Context_FCSR(X5), X6
	CSRRW	X6, FCSR, X0
	MOV	$0x2000, X6		// dirty becomes clean
	CSRRC	X6, SSTATUS, X0
	RET

// A whole-register move does eight registers from element vstart on; X7 is their length.
#define VECTORS(OP) \
	OP(V0); ADD X7, X6; OP(V8); ADD X7, X6; OP(V16); ADD X7, X6; OP(V24)
#define SAVE8(r)	VS8RV	r, (X6)
#define LOAD8(r)	VL8RE8V	(X6), r

TEXT ·SaveVector(SB), NOSPLIT, $0-8
	MOV	c+0(FP), X5
	MOV	Context_Vector(X5), X6
	CSRRS	X0, VSTART, X8
	CSRRW	X0, VSTART, X0
	CSRRS	X0, VL, X9
	CSRRS	X0, VTYPE, X10
	CSRRS	X0, VCSR, X11
	MOV	X8, Context_VStart(X5)
	MOV	X9, Context_VL(X5)
	MOV	X10, Context_VType(X5)
	MOV	X11, Context_VCSR(X5)
	CSRRS	X0, VLENB, X7
	SLL	$3, X7
	VECTORS(SAVE8)
	CSRRW	X8, VSTART, X0
	RET

TEXT ·LoadVector(SB), NOSPLIT, $0-8
	MOV	c+0(FP), X5
	MOV	Context_Vector(X5), X6
	CSRRW	X0, VSTART, X0
	CSRRS	X0, VLENB, X7
	SLL	$3, X7
	VECTORS(LOAD8)
	MOV	Context_VL(X5), X7
	MOV	Context_VType(X5), X8
	VSETVL	X8, X7, X0
	MOV	Context_VCSR(X5), X7
	CSRRW	X7, VCSR, X0
	MOV	Context_VStart(X5), X7
	CSRRW	X7, VSTART, X0
	RET

TEXT ·vectorUnit(SB), NOSPLIT, $0-8
	CSRRS	X0, SSTATUS, X5
	SRL	$9, X5
	AND	$3, X5
	MOV	X5, ret+0(FP)
	RET

TEXT ·setVectorUnit(SB), NOSPLIT, $0-8
	MOV	$SSTATUS_VS, X5
	MOV	state+0(FP), X6
	SLL	$9, X6
	CSRRC	X5, SSTATUS, X0
	CSRRS	X6, SSTATUS, X0
	RET

TEXT ·SBI(SB), NOSPLIT, $0-48
	MOV	extension+0(FP), X17
	MOV	function+8(FP), X16
	MOV	a0+16(FP), X10
	MOV	a1+24(FP), X11
	ECALL
	MOV	X10, err+32(FP)
	MOV	X11, value+40(FP)
	RET

TEXT ·acquire(SB), NOSPLIT, $0-8
	MOV	l+0(FP), X5
	MOV	$1, X6
spin:
	AMOSWAPW	X6, (X5), X7
	BNE	X7, X0, spin
	FENCE
	RET

TEXT ·release(SB), NOSPLIT, $0-8
	MOV	l+0(FP), X5
	FENCE
	AMOSWAPW	X0, (X5), X7
	RET
