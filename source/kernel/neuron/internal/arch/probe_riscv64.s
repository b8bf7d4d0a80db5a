//go:build neuron

#include "textflag.h"
#include "macros.h"

// Between TRY and TRIED stands one instruction of four bytes. X7 is 1 behind them if it exists, else 0.
#define TRY \
	MOV	$·missing(SB), X5; \
	CSRRW	X5, STVEC, X6; \
	MOV	$1, X7
#define TRIED \
	CSRRW	X6, STVEC, X0

// missing is the trap vector during a probe: it goes on behind the instruction.
TEXT ·missing(SB), NOSPLIT|NOFRAME, $0
	MOV	X0, X7
	CSRRS	X0, SEPC, X5
	ADD	$4, X5
	CSRRW	X5, SEPC, X0
	SRET

TEXT ·probeFloat(SB), NOSPLIT, $0-1
	TRY
	FMVDX	X0, F0	// D, and so F
	TRIED
	MOVB	X7, ret+0(FP)
	RET

TEXT ·probeAlarm(SB), NOSPLIT, $0-1
	TRY
	CSRRS	X0, STIMECMP, X0
	TRIED
	MOVB	X7, ret+0(FP)
	RET

TEXT ·probeVector(SB), NOSPLIT, $0-8
	MOV	$SSTATUS_VS, X8
	CSRRS	X8, SSTATUS, X0
	MOV	X0, X9
	TRY
	CSRRS	X0, VLENB, X9
	TRIED
	CSRRC	X8, SSTATUS, X0
	MOV	X9, ret+0(FP)
	RET

// probeASID: which bits of satp.ASID hold a one (privileged specification 1.12, §4.1.11).
TEXT ·probeASID(SB), NOSPLIT, $0-8
	CSRRS	X0, SATP, X5
	MOV	$0xffff, X6
	SLL	$44, X6, X7
	OR	X5, X7
	CSRRW	X7, SATP, X0
	CSRRS	X0, SATP, X7
	CSRRW	X5, SATP, X0
	SFENCE_VMA_ALL
	SRL	$44, X7
	AND	X6, X7
	MOV	X7, ret+0(FP)
	RET

// clearEnvironment: no cache-block instructions, landing pads, shadow stacks or pointer masks in user mode (senvcfg), no state
// of extensions that the kernel does not save (sstateen0 … sstateen3).
TEXT ·clearEnvironment(SB), NOSPLIT, $0-0
	TRY
	WORD	$0x10a01073	// csrrw x0, senvcfg, x0
	TRIED
	TRY
	WORD	$0x10c01073	// csrrw x0, sstateen0, x0
	TRIED
	TRY
	WORD	$0x10d01073
	TRIED
	TRY
	WORD	$0x10e01073
	TRIED
	TRY
	WORD	$0x10f01073
	TRIED
	RET
