package main

import (
	"encoding/binary"
	"fmt"
)

// Major opcodes, RISC-V unprivileged ISA, chapter "RV32/64G Instruction Set Listings".
const (
	opLoadFP  = 0x07
	opAUIPC   = 0x17
	opStoreFP = 0x27
	opFMADD   = 0x43
	opFMSUB   = 0x47
	opFNMSUB  = 0x4b
	opFNMADD  = 0x4f
	opFP      = 0x53
	opV       = 0x57
	opJALR    = 0x67
	opJAL     = 0x6f
)

// instruction is what check needs to know of one.
type instruction struct {
	size   uint64 // bytes, 2 or 4
	op     uint32 // major opcode, 0 for compressed ones
	rd     uint32
	rs1    uint32
	offset int64 // of JAL, C.J, AUIPC and JALR
	jumps  bool  // to pc+offset: JAL and C.J
	float  bool  // uses a floating-point or vector register
}

// decode reads the instruction at the start of code.
func decode(code []byte) (instruction, error) {
	if len(code) < 2 {
		return instruction{}, fmt.Errorf("cut instruction")
	}
	half := uint32(binary.LittleEndian.Uint16(code))
	if half&3 != 3 {
		return decodeCompressed(half), nil
	}
	if half&0x1f == 0x1f || len(code) < 4 {
		return instruction{}, fmt.Errorf("instruction of unknown length %#04x", half)
	}
	w := binary.LittleEndian.Uint32(code)
	i := instruction{size: 4, op: w & 0x7f, rd: w >> 7 & 31, rs1: w >> 15 & 31}
	switch i.op {
	case opJAL:
		i.jumps = true
		i.offset = signed(w>>31&1<<20|w>>12&0xff<<12|w>>20&1<<11|w>>21&0x3ff<<1, 21)
	case opAUIPC:
		i.offset = signed(w&^0xfff, 32)
	case opJALR:
		i.offset = signed(w>>20, 12)
	case opLoadFP, opStoreFP, opFMADD, opFMSUB, opFNMSUB, opFNMADD, opFP, opV:
		i.float = true
	}
	return i, nil
}

// decodeCompressed knows C.J, and the loads and stores of doubles (C.FLD, C.FSD, C.FLDSP, C.FSDSP).
func decodeCompressed(h uint32) instruction {
	i := instruction{size: 2}
	quadrant, funct3 := h&3, h>>13&7
	switch {
	case quadrant == 1 && funct3 == 5:
		i.jumps = true
		i.offset = signed(h>>12&1<<11|h>>11&1<<4|h>>9&3<<8|h>>8&1<<10|h>>7&1<<6|h>>6&1<<7|h>>3&7<<1|h>>2&1<<5, 12)
	case quadrant != 1 && (funct3 == 1 || funct3 == 5):
		i.float = true
	}
	return i
}

// signed extends the sign of a number of that many bits.
func signed(v uint32, bits uint) int64 { return int64(uint64(v)<<(64-bits)) >> (64 - bits) }

// nearJump encodes jal x0 from one address to another, at most 1 MiB away.
func nearJump(from, to uint64) (uint32, error) {
	d := int64(to - from)
	if d < -1<<20 || d >= 1<<20 || d%2 != 0 {
		return 0, fmt.Errorf("jump from %#x to %#x is out of reach", from, to)
	}
	v := uint32(d)
	return v>>20&1<<31 | v>>1&0x3ff<<21 | v>>11&1<<20 | v>>12&0xff<<12 | opJAL, nil
}

// farJump encodes auipc x31 and jalr x0, x31 from one address to another, at most 2 GiB away.
func farJump(from, to uint64) ([2]uint32, error) {
	d := int64(to - from)
	high := (d + 0x800) &^ 0xfff
	if high < -1<<31 || high >= 1<<31 {
		return [2]uint32{}, fmt.Errorf("jump from %#x to %#x is out of reach", from, to)
	}
	low := uint32(d-high) & 0xfff
	return [2]uint32{uint32(high) | 31<<7 | opAUIPC, low<<20 | 31<<15 | opJALR}, nil
}

// loadCode encodes addi x31, x0, code.
func loadCode(code int) uint32 { return uint32(code)<<20 | 31<<7 | 0x13 }
