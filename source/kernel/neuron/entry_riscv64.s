//go:build neuron

#include "textflag.h"
#include "go_asm.h"

// The kernel's first instructions (mkkernel puts a jump to here at the image's start). The firmware enters at the physical address,
// paging off, interrupts off.
//
//	a0 (x10)	hart id
//	a1 (x11)	physical address of the device tree
//
// The root table serves until protectKernel: it maps all of physical memory at the upper half, a gigabyte an entry, and the gigabyte
// that this code lies in at its own address.
TEXT ·entry(SB), NOSPLIT|NOFRAME, $0
	MOV	X10, X8
	MOV	X11, X9
	MOV	$·rootTable(SB), X5	// relative to the program counter, hence physical
	MOV	$4095, X6
	ADD	X6, X5
	SRL	$12, X5
	SLL	$12, X5			// x5: the table, on a page boundary
	MOV	$2048, X7
	ADD	X5, X7
	MOV	$256, X6
	MOV	$0xef, X12		// valid, read, write, execute, global, accessed, dirty
	MOV	$1, X13
	SLL	$28, X13
fill:
	MOV	X12, (X7)
	ADD	$8, X7
	ADD	X13, X12
	ADD	$-1, X6
	BNE	X6, X0, fill
	SRL	$30, X5, X6
	SLL	$28, X6, X12
	OR	$0xef, X12
	SLL	$3, X6
	ADD	X5, X6
	MOV	X12, (X6)
	SRL	$12, X5, X6
	MOV	$8, X7
	SLL	$60, X7
	OR	X7, X6
	WORD	$0x12000073		// sfence.vma
	CSRRW	X6, SATP, X0
	WORD	$0x12000073
	CSRRS	X0, SATP, X7
	BNE	X6, X7, unpaged
	MOV	$·high(SB), X6
	MOV	$-1, X7
	SLL	$38, X7
	ADD	X7, X6
	JMP	(X6)
unpaged:
	// The hart has no Sv39 (a mode that is not there leaves satp as it was). The firmware prints and powers off.
	MOV	$·unpagedText(SB), X8
	MOV	$1, X17			// legacy console putchar
print:
	MOVBU	(X8), X10
	BEQ	X10, X0, off
	ECALL
	ADD	$1, X8
	JMP	print
off:
	MOV	$0x53525354, X17	// system reset: shutdown, system failure
	MOV	X0, X16
	MOV	X0, X10
	MOV	$1, X11
	ECALL
	JMP	off

DATA	·unpagedText+0(SB)/8, $"neuron: "
DATA	·unpagedText+8(SB)/8, $"cpu: no "
DATA	·unpagedText+16(SB)/8, $"Sv39 pag"
DATA	·unpagedText+24(SB)/8, $"ing\n\x00\x00\x00\x00"
GLOBL	·unpagedText(SB), RODATA, $32

// high runs at the kernel's own addresses.
TEXT ·high(SB), NOSPLIT|NOFRAME, $0
	MOV	$·bootStack(SB), X6
	MOV	$(const_stackRoom), X7
	ADD	X6, X7, X2
	MOV	$·bootG(SB), g
	MOV	$(2*4096+1024), X7	// what may be the guard page, and what functions without a check take
	ADD	X7, X6
	MOV	X6, 16(g)		// stackguard0
	MOV	X6, 24(g)		// stackguard1
	ADD	$-48, X2
	MOV	X8, 8(X2)
	MOV	X9, 16(X2)
	CALL	·boot(SB)
	MOV	$0, X31			// boot does not return
	JMP	nexus∕source∕kernel∕neuron∕internal∕arch·Fatal(SB)
