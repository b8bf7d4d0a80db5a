// Fields of sstatus (privileged specification 1.12, §4.1.1).
#define SSTATUS_FS	0x6000
#define SSTATUS_VS	0x600

// Instructions for which the assembler has no word.
#define SRET		WORD $0x10200073
#define WFI		WORD $0x10500073
#define SFENCE_VMA_ALL	WORD $0x12000073
#define FENCE_I		WORD $0x0000100f
