package main

import (
	"encoding/binary"
	"testing"
)

// TestDecode uses words as the toolchain's disassembler shows them.
func TestDecode(t *testing.T) {
	for _, tc := range []struct {
		text string
		word uint32
		want instruction
	}{
		{"JAL X5, -0x1e1c", 0x9e4fe2ef, instruction{size: 4, op: opJAL, rd: 5, rs1: 31, offset: -0x1e1c, jumps: true}},
		{"JAL X0, -20", 0xfedff06f, instruction{size: 4, op: opJAL, rs1: 31, offset: -20, jumps: true}},
		{"JAL X1, 12", 0x00c000ef, instruction{size: 4, op: opJAL, rd: 1, offset: 12, jumps: true}},
		{"AUIPC $165, X6", 0x000a5317, instruction{size: 4, op: opAUIPC, rd: 6, rs1: 20, offset: 165 << 12}},
		{"AUIPC $-1, X6", 0xfffff317, instruction{size: 4, op: opAUIPC, rd: 6, rs1: 31, offset: -4096}},
		{"JALR X1, -4(X6)", 0xffc300e7, instruction{size: 4, op: opJALR, rd: 1, rs1: 6, offset: -4}},
		{"FLD 8(X2), F10", 0x00813507, instruction{size: 4, op: opLoadFP, rd: 10, rs1: 2, float: true}},
		{"FADD.D", 0x02b57553, instruction{size: 4, op: opFP, rd: 10, rs1: 10, float: true}},
		{"C.J -2", 0xbffd, instruction{size: 2, offset: -2, jumps: true}},
		{"C.J 2046", 0xaffd, instruction{size: 2, offset: 2046, jumps: true}},
		{"C.FLD", 0x2188, instruction{size: 2, float: true}},
		{"C.FSDSP", 0xa42a, instruction{size: 2, float: true}},
		{"C.ADDI", 0x1141, instruction{size: 2}},
		{"C.ADDI16SP", 0x7139, instruction{size: 2}},
	} {
		var code [4]byte
		binary.LittleEndian.PutUint32(code[:], tc.word)
		got, err := decode(code[:])
		if err != nil || got != tc.want {
			t.Errorf("%s: %+v, %v; want %+v", tc.text, got, err, tc.want)
		}
	}
	for _, code := range [][]byte{{}, {1}, {0x6f, 0}, {0x1f, 0, 0, 0}} {
		if i, err := decode(code); err == nil {
			t.Errorf("% x decoded as %+v", code, i)
		}
	}
}

// TestJumps decodes what the encoders make, at the ends of their reach.
func TestJumps(t *testing.T) {
	const from = 0xffffffc0_80200000
	for _, d := range []int64{0, 2, -2, 0x7fe, 0x800, 0xfffe, -1 << 20, 1<<20 - 2} {
		w, err := nearJump(from, uint64(int64(from-1<<63)+d)+1<<63)
		if err != nil {
			t.Fatal(err)
		}
		i, err := decode(binary.LittleEndian.AppendUint32(nil, w))
		if err != nil || !i.jumps || i.rd != 0 || i.offset != d {
			t.Errorf("near %d: %+v, %v", d, i, err)
		}
	}
	for _, d := range []uint64{1 << 20, 1<<64 - 1<<20 - 2, 1} {
		if w, err := nearJump(from, from+d); err == nil {
			t.Errorf("near %#x encoded as %#x", d, w)
		}
	}
	for _, d := range []int64{0, 0x7fe, 0x800, 0xfff, -0x800, -0x802, 0x4dfb0, 1<<31 - 0x802, -1 << 31} {
		words, err := farJump(1<<40, uint64(1<<40+d))
		if err != nil {
			t.Fatalf("far %#x: %v", d, err)
		}
		first, err1 := decode(binary.LittleEndian.AppendUint32(nil, words[0]))
		second, err2 := decode(binary.LittleEndian.AppendUint32(nil, words[1]))
		if err1 != nil || err2 != nil || first.op != opAUIPC || second.op != opJALR || first.rd != second.rs1 || second.rd != 0 || first.offset+second.offset != d {
			t.Errorf("far %#x: %+v %+v", d, first, second)
		}
	}
	if words, err := farJump(1<<40, 1<<40+1<<31); err == nil {
		t.Errorf("too far: %#x", words)
	}
}

func TestPackageOf(t *testing.T) {
	for symbol, want := range map[string]string{
		"main.start":                          "main",
		"nexus/source/kernel/neuron/a.(*T).M": "nexus/source/kernel/neuron/a",
		"nexus/a%2eb.f":                       "nexus/a%2eb",
		"a/b.F[go.shape.struct { x/y.T }]":    "a/b",
		"runtime.memmove":                     "runtime",
		"type:.eq.main.point":                 "type:",
		"_rt0_riscv64_linux":                  "",
		"go:struct { main.x int }":            "",
	} {
		if got := packageOf(symbol); got != want {
			t.Errorf("packageOf(%q) = %q, want %q", symbol, got, want)
		}
	}
}
