package vdso

// Registers, by their names in the psABI.
const (
	zero = 0
	ra   = 1
	t0   = 5
	t1   = 6
	t2   = 7
	a0   = 10
	a1   = 11
	a7   = 17
	t3   = 28
	t4   = 29
)

// Numbers of Linux/riscv64.
const (
	sysClockGettime = 113
	sysRtSigreturn  = 139
)

// The clocks the page answers for, as bits: CLOCK_REALTIME 0 and CLOCK_REALTIME_COARSE 5; CLOCK_MONOTONIC 1,
// CLOCK_MONOTONIC_RAW 4, CLOCK_MONOTONIC_COARSE 6 and CLOCK_BOOTTIME 7. All others are left to the system call.
const (
	clockLimit      = 8
	realtimeClocks  = 1<<0 | 1<<5
	monotonicClocks = 1<<1 | 1<<4 | 1<<6 | 1<<7
)

// emitClockGettime writes int clock_gettime(clockid_t a0, struct timespec *a1). It keeps to the C calling convention,
// uses t0 to t4 and no stack.
func emitClockGettime(page *[PageSize]byte, start int) (at, end uint64) {
	const (
		realtime = 20 // labels: the number of the instruction
		store    = 22
		fallback = 30
		count    = 33
	)
	data := int32(dataAt - (start + 2*4)) // as seen from the auipc
	high := (data + 0x800) &^ 0xfff
	code := [count]uint32{
		addi(t1, zero, clockLimit),
		branch(bgeu, a0, t1, fallback-1),
		auipc(t0, high),
		addi(t0, t0, data-high),
		rdtime(t2),
		ld(t3, multiplierAt, t0),
		register(0x02003033, t4, t2, t3), // mulhu
		register(0x02000033, t2, t2, t3), // mul
		shift(0x5013, t2, t2, 32),        // srli
		shift(0x1013, t4, t4, 32),        // slli
		register(0x6033, t2, t2, t4),     // or: t2 = nanoseconds
		addi(t3, zero, realtimeClocks),
		register(0x5033, t3, t3, a0), // srl
		andi(t3, t3, 1),
		branch(bne, t3, zero, realtime-14),
		addi(t3, zero, monotonicClocks),
		register(0x5033, t3, t3, a0), // srl
		andi(t3, t3, 1),
		branch(beq, t3, zero, fallback-18),
		branch(beq, zero, zero, store-19),
		// realtime:
		ld(t3, realtimeAt, t0),
		register(0x0033, t2, t2, t3), // add
		// store:
		lui(t3, 1_000_000_000+1536),
		addi(t3, t3, -1536),
		register(0x02005033, t4, t2, t3), // divu
		register(0x02007033, t2, t2, t3), // remu
		sd(t4, 0, a1),
		sd(t2, 8, a1),
		addi(a0, zero, 0),
		jalr(zero, ra),
		// fallback:
		addi(a7, zero, sysClockGettime),
		ecall,
		jalr(zero, ra),
	}
	for i, w := range code {
		put32(page, start+4*i, w)
	}
	return uint64(start), uint64(start + 4*count)
}

// emitSigreturn writes the end of every signal handler. Unwinders know the two instructions by their bytes.
func emitSigreturn(page *[PageSize]byte, start uint64) (at, end uint64) {
	put32(page, int(start), addi(a7, zero, sysRtSigreturn))
	put32(page, int(start)+4, ecall)
	return start, start + 8
}

// Instruction formats, RISC-V unprivileged ISA, chapter "RV32/64G Instruction Set Listings". Offsets of branches count
// instructions.
const (
	ecall = 0x00000073
	beq   = 0x0063
	bne   = 0x1063
	bgeu  = 0x7063
)

func register(op, rd, rs1, rs2 uint32) uint32 { return op | rd<<7 | rs1<<15 | rs2<<20 }
func immediate(op, rd, rs1 uint32, v int32) uint32 {
	return op | rd<<7 | rs1<<15 | uint32(v)&0xfff<<20
}
func addi(rd, rs1 uint32, v int32) uint32      { return immediate(0x0013, rd, rs1, v) }
func andi(rd, rs1 uint32, v int32) uint32      { return immediate(0x7013, rd, rs1, v) }
func shift(op, rd, rs1 uint32, n int32) uint32 { return immediate(op, rd, rs1, n) }
func ld(rd uint32, offset int32, base uint32) uint32 {
	return immediate(0x3003, rd, base, offset)
}
func jalr(rd, rs1 uint32) uint32      { return immediate(0x0067, rd, rs1, 0) }
func rdtime(rd uint32) uint32         { return immediate(0x2073, rd, zero, 0xc01-0x1000) } // csrrs rd, time, x0
func auipc(rd uint32, v int32) uint32 { return 0x17 | rd<<7 | uint32(v)&^0xfff }
func lui(rd uint32, v int32) uint32   { return 0x37 | rd<<7 | uint32(v)&^0xfff }
func sd(rs2 uint32, offset int32, base uint32) uint32 {
	v := uint32(offset)
	return 0x3023 | v&0x1f<<7 | base<<15 | rs2<<20 | v>>5&0x7f<<25
}
func branch(op, rs1, rs2 uint32, instructions int32) uint32 {
	v := uint32(instructions * 4)
	return op | v>>11&1<<7 | v>>1&0xf<<8 | rs1<<15 | rs2<<20 | v>>5&0x3f<<25 | v>>12&1<<31
}
