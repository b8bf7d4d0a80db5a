#include "textflag.h"

#define SETF(n, r)	FMVDX	X10, r
#define GETF(n, r)	MOVD	r, (8*n)(X13)
#define EACH(OP) \
	OP(0, F0); OP(1, F1); OP(2, F2); OP(3, F3); OP(4, F4); OP(5, F5); OP(6, F6); OP(7, F7); OP(8, F8); OP(9, F9); OP(10, F10); OP(11, F11); OP(12, F12); OP(13, F13); OP(14, F14); OP(15, F15); \
	OP(16, F16); OP(17, F17); OP(18, F18); OP(19, F19); OP(20, F20); OP(21, F21); OP(22, F22); OP(23, F23); OP(24, F24); OP(25, F25); OP(26, F26); OP(27, F27); OP(28, F28); OP(29, F29); OP(30, F30); OP(31, F31)

// func float(seed, turns uint64, f *[32]uint64)
TEXT ·float(SB), NOSPLIT, $0-24
	MOV	seed+0(FP), X10
	MOV	turns+8(FP), X11
	MOV	f+16(FP), X13
	EACH(SETF)
loop:
	ADD	$-1, X11
	BNE	X11, X0, loop
	EACH(GETF)
	RET

// func vector(seed, turns uint64, v *[4096]byte) uint64
TEXT ·vector(SB), NOSPLIT, $0-32
	MOV	seed+0(FP), X10
	MOV	turns+8(FP), X11
	MOV	v+16(FP), X13
	VSETVLI	X0, E64, M8, TA, MA, X5
	VMVVX	X10, V0
	VMVVX	X10, V8
	VMVVX	X10, V16
	VMVVX	X10, V24
	VSETVLI	$3, E16, M2, TA, MA, X5
loop:
	ADD	$-1, X11
	BNE	X11, X0, loop
	CSRRS	X0, VL, X6		// 3 as long as vtype is kept
	CSRRS	X0, VLENB, X7
	SLL	$3, X7
	VS8RV	V0, (X13)
	ADD	X7, X13
	VS8RV	V8, (X13)
	ADD	X7, X13
	VS8RV	V16, (X13)
	ADD	X7, X13
	VS8RV	V24, (X13)
	SRL	$3, X7
	SLL	$8, X6
	OR	X6, X7
	MOV	X7, ret+24(FP)
	RET

// func look(v *[4096]byte) uint64
TEXT ·look(SB), NOSPLIT, $0-16
	MOV	v+0(FP), X13
	CSRRS	X0, VLENB, X7
	SLL	$3, X7
	VS8RV	V0, (X13)
	ADD	X7, X13
	VS8RV	V8, (X13)
	ADD	X7, X13
	VS8RV	V16, (X13)
	ADD	X7, X13
	VS8RV	V24, (X13)
	SRL	$3, X7
	MOV	X7, ret+8(FP)
	RET
