//go:build neuron

#include "textflag.h"
#include "go_asm.h"
#include "macros.h"

// Registers x1 … x30 but x27, which the assembler calls g; x31 is the pointer to the context meanwhile.
#define REGISTERS(OP) \
	OP(1, X1); OP(2, X2); OP(3, GP); OP(4, TP); OP(5, X5); OP(6, X6); OP(7, X7); OP(8, X8); OP(9, X9); \
	OP(10, X10); OP(11, X11); OP(12, X12); OP(13, X13); OP(14, X14); OP(15, X15); OP(16, X16); OP(17, X17); \
	OP(18, X18); OP(19, X19); OP(20, X20); OP(21, X21); OP(22, X22); OP(23, X23); OP(24, X24); OP(25, X25); \
	OP(26, X26); OP(27, g); OP(28, X28); OP(29, X29); OP(30, X30)
#define SAVE(n, r)	MOV	r, (Context_X+8*n)(X31)
#define LOAD(n, r)	MOV	(Context_X+8*n)(X31), r

// The trap entry. sscratch is the context of the running thread in user mode and 0 in the kernel.
//
//	x31	context
//	tp	hart
//	x2	the hart's kernel stack
//	g	the hart's fake goroutine
TEXT ·trapEntry(SB), NOSPLIT|NOFRAME, $0
	CSRRW	X31, SSCRATCH, X31
	BEQ	X31, X0, kernel
	REGISTERS(SAVE)
	CSRRW	X0, SSCRATCH, X5	// the user's x31; from here on a trap is the kernel's own
	MOV	X5, (Context_X+8*31)(X31)
	CSRRS	X0, SEPC, X5
	MOV	X5, Context_X(X31)
	MOV	Context_Hart(X31), TP
	MOV	Hart_Stack(TP), X2
	MOV	Hart_G(TP), g
	ADD	$-48, X2
	MOV	X31, 8(X2)
	CSRRS	X0, SCAUSE, X5
	MOV	X5, 16(X2)
	CSRRS	X0, STVAL, X5
	MOV	X5, 24(X2)
	CALL	·dispatch(SB)
	MOV	32(X2), X31
	JMP	·leave(SB)
kernel:
	// A fault of the kernel itself. x31 is lost, which is the assembler's own register.
	CSRRW	X0, SSCRATCH, X31
	MOV	X2, X6
	MOV	$·fatalStack(SB), X2
	MOV	$(const_fatalSize-64), X5
	ADD	X5, X2
	MOV	$·fatalG(SB), g
	CSRRS	X0, SCAUSE, X5
	MOV	X5, 8(X2)
	CSRRS	X0, STVAL, X5
	MOV	X5, 16(X2)
	CSRRS	X0, SEPC, X5
	MOV	X5, 24(X2)
	MOV	X6, 32(X2)
	CALL	·kernelFault(SB)
halt:
	JMP	halt

// leave returns to user mode with the context in x31.
TEXT ·leave(SB), NOSPLIT|NOFRAME, $0
	CSRRW	X31, SSCRATCH, X0
	MOV	Context_X(X31), X5
	CSRRW	X5, SEPC, X0
	REGISTERS(LOAD)
	MOV	(Context_X+8*31)(X31), X31
	SRET

TEXT ·Resume(SB), NOSPLIT, $0-8
	MOV	$0x100, X5		// sstatus.SPP = 0: sret goes to user mode
	CSRRC	X5, SSTATUS, X0
	MOV	c+0(FP), X31
	JMP	·leave(SB)

TEXT ·SetTrapVector(SB), NOSPLIT, $0-8
	MOV	h+0(FP), TP
	CSRRW	X0, SSCRATCH, X0
	MOV	$·trapEntry(SB), X5
	CSRRW	X5, STVEC, X0
	MOV	$7, X5
	CSRRW	X5, SCOUNTEREN, X0	// cycle, time, instret readable in user mode
	MOV	$2, X5			// UXL = 64 bits, FS = dirty, all else that the firmware left is off
	SLL	$32, X5
	OR	$SSTATUS_FS, X5
	CSRRW	X5, SSTATUS, X0
	RET

// Fatal is where the image's patched runtime entries end up: x31 is the code of the patch, x1 or x5 the return address,
// x10 and x11 what gopanic was given.
TEXT ·Fatal(SB), NOSPLIT|NOFRAME, $0
	MOV	X2, X6
	MOV	X31, X7			// which the assembler may use from here on
	MOV	$·fatalStack(SB), X2
	MOV	$(const_fatalSize-64), X8
	ADD	X8, X2
	MOV	$·fatalG(SB), g
	MOV	X7, 8(X2)
	MOV	X1, 16(X2)
	MOV	X5, 24(X2)
	MOV	X6, 32(X2)
	MOV	X10, 40(X2)
	MOV	X11, 48(X2)
	CALL	·runtimeFault(SB)
halt:
	JMP	halt
