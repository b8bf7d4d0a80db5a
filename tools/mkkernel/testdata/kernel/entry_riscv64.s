//go:build neuron

#include "textflag.h"

// entry is where the firmware jumps, by way of the image's first instructions: at the physical address, paging off.
TEXT ·entry(SB), NOSPLIT|NOFRAME, $0
	MOV	$·stack(SB), X2
	MOV	$(16384-64), X5
	ADD	X5, X2
	MOV	$·fakeG(SB), g
	MOV	$·kfatal(SB), X5	// or the linker would leave it out
	CALL	·start(SB)
halt:
	JMP	halt

// kfatal is where the patched runtime entries lead: the code of the entry is in x31.
TEXT ·kfatal(SB), NOSPLIT|NOFRAME, $0
	MOV	$·stack(SB), X2
	MOV	$(16384-64), X5
	ADD	X5, X2
	MOV	$·fakeG(SB), g
	MOV	X31, 8(X2)
	MOV	X1, 16(X2)
	CALL	·fatal(SB)
halt:
	JMP	halt

// func sbi(extension, function, a0 uint64)
TEXT ·sbi(SB), NOSPLIT, $0-24
	MOV	extension+0(FP), X17
	MOV	function+8(FP), X16
	MOV	a0+16(FP), X10
	MOV	X0, X11
	ECALL
	RET
