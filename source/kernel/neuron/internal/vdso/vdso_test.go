package vdso

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"math/bits"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var le = binary.LittleEndian

const (
	testHz     = 10_000_000
	testOffset = int64(1_767_225_600_000_000_000) // 2026-01-01T00:00:00Z
)

func build(t testing.TB) (page *[PageSize]byte, sigreturn uint64) {
	t.Helper()
	page = new([PageSize]byte)
	sigreturn = Build(page, testHz, testOffset)
	return page, sigreturn
}

func TestLayout(t *testing.T) {
	page, sigreturn := build(t)
	for _, tc := range []struct {
		name string
		at   int
	}{{"dynamic section", dynamicAt}, {"symbols", symbolsAt}, {"code", codeAt}, {"data", dataAt}, {"program headers", phdrsAt}} {
		if tc.at%8 != 0 {
			t.Errorf("%s at %#x", tc.name, tc.at)
		}
	}
	if hashAt%4 != 0 || verdefAt%4 != 0 || versymAt%2 != 0 {
		t.Errorf("hash %#x, verdef %#x, versym %#x", hashAt, verdefAt, versymAt)
	}
	if sigreturn+8 > dataAt || sigreturn%4 != 0 {
		t.Errorf("signal return at %#x", sigreturn)
	}
	if got := [2]uint32{le.Uint32(page[sigreturn:]), le.Uint32(page[sigreturn+4:])}; got != [2]uint32{0x08b00893, 0x00000073} {
		t.Errorf("signal return %08x, want li a7, 139; ecall", got)
	}
}

// TestDebugELF reads the object with the standard library.
func TestDebugELF(t *testing.T) {
	page, _ := build(t)
	f, err := elf.NewFile(bytes.NewReader(page[:]))
	if err != nil {
		t.Fatal(err)
	}
	if f.Type != elf.ET_DYN || f.Machine != elf.EM_RISCV || f.Class != elf.ELFCLASS64 || len(f.Progs) != 2 {
		t.Errorf("%+v", f.FileHeader)
	}
	load := f.Progs[0]
	if load.Type != elf.PT_LOAD || load.Flags != elf.PF_R|elf.PF_X || load.Vaddr != 0 || load.Off != 0 || load.Memsz != PageSize {
		t.Errorf("%+v", load.ProgHeader)
	}
}

// object is what a loader finds in the page.
type object struct {
	page             *[PageSize]byte
	dynamic          map[uint64]uint64
	symtab, strtab   uint64
	versym, verdef   uint64
	buckets, chains  []uint32
	loadFound, valid bool
}

// parse does what the Go runtime does with AT_SYSINFO_EHDR (runtime/vdso_linux.go), every access bounds-checked.
func parse(page *[PageSize]byte) object {
	o := object{page: page, dynamic: map[uint64]uint64{}}
	phoff, phnum := le.Uint64(page[32:]), le.Uint16(page[56:])
	for i := range uint64(phnum) {
		ph := page[phoff+i*56:]
		offset, vaddr := le.Uint64(ph[8:]), le.Uint64(ph[16:])
		switch le.Uint32(ph) {
		case 1:
			o.loadFound = offset == 0 && vaddr == 0
		case 2:
			for at := offset; le.Uint64(page[at:]) != 0; at += 16 {
				o.dynamic[le.Uint64(page[at:])] = le.Uint64(page[at+8:])
			}
		}
	}
	o.strtab, o.symtab, o.versym, o.verdef = o.dynamic[5], o.dynamic[6], o.dynamic[0x6ffffff0], o.dynamic[0x6ffffffc]
	hash := o.dynamic[4]
	if o.strtab == 0 || o.symtab == 0 || hash == 0 || o.verdef == 0 {
		return o
	}
	nbucket, nchain := uint64(le.Uint32(page[hash:])), uint64(le.Uint32(page[hash+4:]))
	for i := range nbucket {
		o.buckets = append(o.buckets, le.Uint32(page[hash+8+4*i:]))
	}
	for i := range nchain {
		o.chains = append(o.chains, le.Uint32(page[hash+8+4*nbucket+4*i:]))
	}
	o.valid = o.loadFound
	return o
}

func (o object) text(at uint64) string {
	s, _, _ := strings.Cut(string(o.page[at:]), "\x00")
	return s
}

// version returns the index of a version, as vdsoFindVersion does.
func (o object) version(name string, hash uint32) int {
	for at := o.verdef; ; {
		flags, index := le.Uint16(o.page[at+2:]), le.Uint16(o.page[at+4:])
		aux := at + uint64(le.Uint32(o.page[at+12:]))
		if flags&1 == 0 && le.Uint32(o.page[at+8:]) == hash && o.text(o.strtab+uint64(le.Uint32(o.page[aux:]))) == name {
			return int(index & 0x7fff)
		}
		next := uint64(le.Uint32(o.page[at+16:]))
		if next == 0 {
			return -1
		}
		at += next
	}
}

// symbol returns the value of a symbol of that version, as vdsoParseSymbols does.
func (o object) symbol(name string, hash uint32, version int) (value, size uint64) {
	for i := o.buckets[hash%uint32(len(o.buckets))]; i != 0; i = o.chains[i] {
		sym := o.page[o.symtab+24*uint64(i):]
		kind, bind, section := sym[4]&15, sym[4]>>4, le.Uint16(sym[6:])
		if kind != 2 || bind != 1 || section == 0 || o.text(o.strtab+uint64(le.Uint32(sym))) != name {
			continue
		}
		if int(le.Uint16(o.page[o.versym+2*uint64(i):])&0x7fff) == version {
			return le.Uint64(sym[8:]), le.Uint64(sym[16:])
		}
	}
	return 0, 0
}

// elfHash is the SysV hash of the gABI.
func elfHash(name string) (h uint32) {
	for i := range len(name) {
		h = h<<4 + uint32(name[i])
		h ^= h >> 24 & 0xf0
		h &= 0x0fff_ffff
	}
	return h
}

func TestLoader(t *testing.T) {
	page, sigreturn := build(t)
	o := parse(page)
	if !o.valid {
		t.Fatalf("not valid: %+v", o)
	}
	version := o.version("LINUX_4.15", 0xae77f75)
	if version != versionLinux {
		t.Fatalf("version %d", version)
	}
	if hashVersion != elfHash("LINUX_4.15") || hashObject != elfHash("linux-vdso.so.1") {
		t.Errorf("hashes %#x, %#x", elfHash("LINUX_4.15"), elfHash("linux-vdso.so.1"))
	}
	if got, size := o.symbol("__vdso_clock_gettime", 0xd35ec75, version); got != uint64(codeAt) || got+size != sigreturn {
		t.Errorf("__vdso_clock_gettime at %#x, %d bytes; signal return at %#x", got, size, sigreturn)
	}
	if got, size := o.symbol("__vdso_rt_sigreturn", elfHash("__vdso_rt_sigreturn"), version); got != sigreturn || size != 8 {
		t.Errorf("__vdso_rt_sigreturn at %#x, %d bytes", got, size)
	}
	if got, _ := o.symbol("__vdso_gettimeofday", elfHash("__vdso_gettimeofday"), version); got != 0 {
		t.Errorf("a symbol nobody defined at %#x", got)
	}
	if got := o.text(o.strtab + o.dynamic[14]); got != "linux-vdso.so.1" {
		t.Errorf("soname %q", got)
	}
	if o.dynamic[10] != uint64(len(names)) || o.page[o.strtab+o.dynamic[10]-1] != 0 || o.dynamic[11] != 24 || o.dynamic[0x6ffffffd] != 2 {
		t.Errorf("dynamic section %x", o.dynamic)
	}
}

// machine runs the page's code.
type machine struct {
	t    *testing.T
	page *[PageSize]byte
	time uint64 // what rdtime gives
	x    [32]uint64
	out  [2]uint64 // timespec, at address timespecAt
}

const (
	timespecAt = 0x10_0000
	returnTo   = 0x20_0000
)

// clockGettime calls the function at entry. It reports whether the code made the system call instead of an answer.
func (m *machine) clockGettime(entry uint64, clock int) (fellBack bool) {
	m.x = [32]uint64{ra: returnTo, a0: uint64(clock), a1: timespecAt}
	pc := entry
	for range 100 {
		if pc == returnTo {
			return fellBack
		}
		w := le.Uint32(m.page[pc:])
		if w == ecall {
			if m.x[a7] != sysClockGettime || m.x[a0] != uint64(clock) || m.x[a1] != timespecAt {
				m.t.Errorf("system call %d with %#x, %#x", m.x[a7], m.x[a0], m.x[a1])
			}
			fellBack = true
			pc += 4
			continue
		}
		pc = m.step(pc, w)
		m.x[0] = 0
	}
	m.t.Fatal("the code does not return")
	return false
}

// step executes one instruction and returns the next one's address.
func (m *machine) step(pc uint64, w uint32) uint64 {
	rd, funct3, rs1, rs2 := w>>7&31, w>>12&7, w>>15&31, w>>20&31
	immediate := uint64(int64(int32(w)) >> 20)
	x := &m.x
	switch w & 0x7f {
	case 0x13:
		switch funct3 {
		case 0:
			x[rd] = x[rs1] + immediate
		case 1:
			x[rd] = x[rs1] << (immediate & 63)
		case 5:
			x[rd] = x[rs1] >> (immediate & 63)
		case 7:
			x[rd] = x[rs1] & immediate
		default:
			m.t.Fatalf("instruction %08x", w)
		}
	case 0x17:
		x[rd] = pc + uint64(int64(int32(w&^0xfff)))
	case 0x37:
		x[rd] = uint64(int64(int32(w &^ 0xfff)))
	case 0x33:
		x[rd] = m.arithmetic(w>>25<<4|funct3, x[rs1], x[rs2])
	case 0x03:
		x[rd] = le.Uint64(m.page[x[rs1]+immediate:])
	case 0x23:
		m.out[(x[rs1]+uint64(int64(int32(w))>>25<<5|int64(w>>7&31))-timespecAt)/8] = x[rs2]
	case 0x63:
		taken := funct3 == 0 && x[rs1] == x[rs2] || funct3 == 1 && x[rs1] != x[rs2] || funct3 == 7 && x[rs1] >= x[rs2]
		if taken {
			offset := int64(int32(w))>>31<<12 | int64(w>>7&1<<11|w>>25&0x3f<<5|w>>8&0xf<<1)
			return pc + uint64(offset)
		}
	case 0x67:
		return x[rs1] + immediate
	case 0x73:
		if w>>20 != 0xc01 || funct3 != 2 || rs1 != 0 {
			m.t.Fatalf("instruction %08x", w)
		}
		x[rd] = m.time
	default:
		m.t.Fatalf("instruction %08x", w)
	}
	return pc + 4
}

// arithmetic does register operations, by funct7 and funct3.
func (m *machine) arithmetic(operation uint32, a, b uint64) uint64 {
	switch operation {
	case 0x00:
		return a + b
	case 0x05:
		return a >> (b & 63)
	case 0x06:
		return a | b
	case 0x10:
		return a * b
	case 0x13:
		high, _ := bits.Mul64(a, b)
		return high
	case 0x15:
		return a / b
	case 0x17:
		return a % b
	}
	m.t.Fatalf("register operation %#x", operation)
	return 0
}

func TestClocks(t *testing.T) {
	page, _ := build(t)
	for _, ticks := range []uint64{0, 1, 9_999_999, 10_000_000, 123_456_789_012, 1 << 56} {
		for clock := -2; clock < 12; clock++ {
			m := machine{t: t, page: page, time: ticks}
			fellBack := m.clockGettime(uint64(codeAt), clock)
			realtime := clock == 0 || clock == 5
			answered := realtime || clock == 1 || clock == 4 || clock == 6 || clock == 7
			if fellBack == answered {
				t.Errorf("clock %d: fell back %v", clock, fellBack)
			}
			if !answered {
				continue
			}
			ns := ticks * 100
			if realtime {
				ns += uint64(testOffset)
			}
			if want := [2]uint64{ns / 1e9, ns % 1e9}; m.out != want || m.x[a0] != 0 {
				t.Errorf("clock %d at %d ticks: %d, result %d; want %d", clock, ticks, m.out, m.x[a0], want)
			}
		}
	}
}

func TestMultiplier(t *testing.T) {
	for _, hz := range []uint64{1, 32_768, 1_000_000, 3_579_545, 10_000_000, 24_000_000, 1_000_000_000, 4_000_000_000} {
		page := new([PageSize]byte)
		Build(page, hz, 0)
		const seconds = 1000
		ticks := hz * seconds
		got := Nanoseconds(ticks, Multiplier(hz))
		if want := uint64(seconds * 1_000_000_000); got > want || want-got > 1+ticks>>32 {
			t.Errorf("%d Hz: %d ns after %d s", hz, got, seconds)
		}
		m := machine{t: t, page: page, time: ticks}
		m.clockGettime(uint64(codeAt), 1)
		if m.out[0]*1e9+m.out[1] != got {
			t.Errorf("%d Hz: the code says %d, Nanoseconds %d", hz, m.out, got)
		}
	}
	if Multiplier(0) != 0 {
		t.Error("a clock of 0 Hz runs")
	}
}

func TestNoAllocation(t *testing.T) {
	page := new([PageSize]byte)
	if got := testing.AllocsPerRun(10, func() { Build(page, testHz, testOffset) }); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

// TestOnRISCV runs this package's tests for riscv64, with the one that calls the code, where an emulator is installed.
func TestOnRISCV(t *testing.T) {
	emulator, err := exec.LookPath("qemu-riscv64-static")
	if err != nil { // some distributions have static ones under the plain name
		emulator, err = exec.LookPath("qemu-riscv64")
	}
	if err != nil {
		t.Skip("no qemu-riscv64 here")
	}
	program := filepath.Join(t.TempDir(), "vdso.test")
	command := exec.Command("go", "test", "-c", "-o", program)
	command.Env = append(command.Environ(), "GOOS=linux", "GOARCH=riscv64", "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.Command(emulator, program, "-test.v", "-test.run", "^TestCall$").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestCall") {
		t.Errorf("%v\n%s", err, out)
	}
}
