#include "textflag.h"

// tp is the running thread's record (threadSize bytes below threads), as CLONE_SETTLS leaves it.

TEXT ·entry(SB), NOSPLIT|NOFRAME, $0
	MOV	X2, X10
	ADD	$-64, X2
	MOV	X10, 8(X2)
	CALL	·begin(SB)
halt:
	JMP	halt

// func call(number, a, b, c, d, e, f uintptr) uintptr
TEXT ·call(SB), NOSPLIT, $0-64
	MOV	number+0(FP), X17
	MOV	a+8(FP), X10
	MOV	b+16(FP), X11
	MOV	c+24(FP), X12
	MOV	d+32(FP), X13
	MOV	e+40(FP), X14
	MOV	f+48(FP), X15
	ECALL
	MOV	X10, ret+56(FP)
	RET

// func clone(flags, stack, id, record, list uintptr) uintptr
//
// The child goes on in child(list, flags) on its own stack.
TEXT ·clone(SB), NOSPLIT, $0-48
	MOV	flags+0(FP), X10
	MOV	stack+8(FP), X11
	MOV	id+16(FP), X12
	MOV	record+24(FP), X13
	MOV	id+16(FP), X14
	MOV	list+32(FP), X20
	MOV	X10, X21
	MOV	$220, X17
	ECALL
	BEQ	X10, X0, inside
	MOV	X10, ret+40(FP)
	RET
inside:
	ADD	$-64, X2
	MOV	X20, 8(X2)
	MOV	X21, 16(X2)
	MOV	$·child(SB), X5	// not CALL: the linker would see an endless stack
	CALL	X5
halt:
	JMP	halt

// func record() uintptr
TEXT ·record(SB), NOSPLIT, $0-8
	MOV	TP, ret+0(FP)
	RET

// func setRecord(at uintptr)
TEXT ·setRecord(SB), NOSPLIT, $0-8
	MOV	at+0(FP), TP
	RET

// func access(address, value, mode uintptr) (result, ok uintptr)
//
// The one place that touches a program's addresses. mode is the number of bytes, negative for a store. The signal
// handler sends a fault from here on to recovered, which has the same frame.
TEXT ·access(SB), NOSPLIT|NOFRAME, $0-40
	MOV	address+0(FP), X5
	MOV	value+8(FP), X6
	MOV	mode+16(FP), X7
	MOV	$1, X8
	MOV	X8, ok+32(FP)
	BLT	X7, X0, store
	BEQ	X7, X8, load1
	MOV	$4, X8
	BEQ	X7, X8, load4
	MOV	(X5), X6
	JMP	loaded
load4:
	MOVWU	(X5), X6
	JMP	loaded
load1:
	MOVBU	(X5), X6
loaded:
	MOV	X6, result+24(FP)
	RET
store:
	MOV	$-1, X8
	BEQ	X7, X8, store1
	MOV	$-4, X8
	BEQ	X7, X8, store4
	MOV	X6, (X5)
	JMP	loaded
store4:
	MOVW	X6, (X5)
	JMP	loaded
store1:
	MOVB	X6, (X5)
	JMP	loaded

TEXT ·recovered(SB), NOSPLIT|NOFRAME, $0-40
	MOV	X0, ok+32(FP)
	MOV	$-14, X6
	MOV	X6, result+24(FP)
	RET

// func accessAt() uintptr
TEXT ·accessAt(SB), NOSPLIT, $0-8
	MOV	$·access(SB), X5
	MOV	X5, ret+0(FP)
	RET

// func recoveredAt() uintptr
TEXT ·recoveredAt(SB), NOSPLIT, $0-8
	MOV	$·recovered(SB), X5
	MOV	X5, ret+0(FP)
	RET

// func handlerAt() uintptr
TEXT ·handlerAt(SB), NOSPLIT, $0-8
	MOV	$·handler(SB), X5
	MOV	X5, ret+0(FP)
	RET

// handler is every signal's: x1 leads to rt_sigreturn.
TEXT ·handler(SB), NOSPLIT, $32
	MOV	X10, 8(X2)
	MOV	X11, 16(X2)
	MOV	X12, 24(X2)
	CALL	·signalled(SB)
	RET
