// Package vdso makes the page of kernel-supplied code that every process finds mapped: an ELF shared object with
// __vdso_clock_gettime, which reads the clock without a system call, and __vdso_rt_sigreturn, where signal handlers
// return to. vdso(7); the object has what a loader needs to find a symbol, and no section headers.
//
// The page is the same for all processes and does not depend on its address.
package vdso

import "math/bits"

// PageSize is the size of the object.
const PageSize = 4096

// Layout of the page. Everything is addressed from its start, which is also virtual address 0 of the object.
const (
	headerAt  = 0x000                          // ELF header
	phdrsAt   = headerAt + 64                  // two program headers
	dynamicAt = phdrsAt + 2*56                 // dynamic section
	symbolsAt = dynamicAt + dynamicCount*16    // symbol table
	hashAt    = symbolsAt + symbolCount*24     // SysV hash table: one bucket
	versymAt  = hashAt + (3+symbolCount)*4     // version of each symbol
	verdefAt  = versymAt + (symbolCount*2 + 2) // version definitions, 4-aligned
	stringsAt = verdefAt + 2*verdefSize        // string table
	codeAt    = (stringsAt + len(names) + 7) &^ 7
	dataAt    = PageSize - dataSize

	dynamicCount = 10
	symbolCount  = 3
	verdefSize   = 20 + 8 // a definition and its one name
)

// Data words, at dataAt.
const (
	multiplierAt = 0 // u64
	realtimeAt   = 8 // i64, nanoseconds
	dataSize     = 16
)

// names is the string table; a name is given by its offset in it.
const (
	names = "\x00__vdso_clock_gettime\x00__vdso_rt_sigreturn\x00LINUX_4.15\x00linux-vdso.so.1\x00"

	nameClockGettime = 1
	nameSigreturn    = nameClockGettime + len("__vdso_clock_gettime") + 1
	nameVersion      = nameSigreturn + len("__vdso_rt_sigreturn") + 1
	nameObject       = nameVersion + len("LINUX_4.15") + 1
)

// Symbol versions and their SysV ELF hashes.
const (
	versionBase  = 1
	versionLinux = 2

	hashVersion = 0x0ae77f75 // of "LINUX_4.15"
	hashObject  = 0x0deebfa1 // of "linux-vdso.so.1"
)

// Multiplier returns what turns ticks of a clock of hz ticks a second into nanoseconds: nanoseconds a tick, as a 32.32
// fixed-point number. hz must be at least 1; 0 gives 0, a clock that stands still.
func Multiplier(hz uint64) uint64 {
	if hz == 0 {
		return 0
	}
	return (1_000_000_000 << 32) / hz
}

// Nanoseconds converts ticks just as the page's code does, so that a system call and the page agree to the nanosecond.
func Nanoseconds(ticks, multiplier uint64) uint64 {
	high, low := bits.Mul64(ticks, multiplier)
	return high<<32 | low>>32
}

// Build fills page. CLOCK_MONOTONIC and its like are the time counter, which runs at timebaseHz; CLOCK_REALTIME is
// realtimeOffset nanoseconds ahead of it. It returns the offset of the signal return code in the page: a signal
// handler's return address.
func Build(page *[PageSize]byte, timebaseHz uint64, realtimeOffset int64) (sigreturn uint64) {
	*page = [PageSize]byte{}
	clockGettime, end := emitClockGettime(page, codeAt)
	sigreturn, end = emitSigreturn(page, end)

	putHeaders(page)
	putDynamic(page)
	putSymbol(page, 1, nameClockGettime, clockGettime, sigreturn)
	putSymbol(page, 2, nameSigreturn, sigreturn, end)
	putHash(page)
	putVersions(page)
	for i := range len(names) {
		page[stringsAt+i] = names[i]
	}
	put64(page, dataAt+multiplierAt, Multiplier(timebaseHz))
	put64(page, dataAt+realtimeAt, uint64(realtimeOffset))
	return sigreturn
}

// putHeaders writes the ELF header and two program headers: the page, readable and executable, and the dynamic section
// in it (gABI, "ELF Header" and "Program Header").
func putHeaders(page *[PageSize]byte) {
	put32(page, headerAt, 0x464c457f)   // magic
	put32(page, headerAt+4, 0x00010102) // 64-bit, little-endian, version 1, System V
	put16(page, headerAt+16, 3)         // ET_DYN
	put16(page, headerAt+18, 243)       // EM_RISCV
	put32(page, headerAt+20, 1)         // EV_CURRENT
	put64(page, headerAt+32, phdrsAt)
	put32(page, headerAt+48, 4) // EF_RISCV_FLOAT_ABI_DOUBLE
	put16(page, headerAt+52, 64)
	put16(page, headerAt+54, 56)
	put16(page, headerAt+56, 2) // program headers
	put16(page, headerAt+58, 64)

	putProgram(page, phdrsAt, 1, 5, 0, PageSize, PageSize)                // PT_LOAD, R+X
	putProgram(page, phdrsAt+56, 2, 4, dynamicAt, symbolsAt-dynamicAt, 8) // PT_DYNAMIC, R
}

func putProgram(page *[PageSize]byte, at int, kind, flags uint32, offset, size, align uint64) {
	put32(page, at, kind)
	put32(page, at+4, flags)
	put64(page, at+8, offset)
	put64(page, at+16, offset) // virtual address
	put64(page, at+24, offset) // physical address
	put64(page, at+32, size)   // in the file
	put64(page, at+40, size)   // in memory
	put64(page, at+48, align)
}

// putDynamic writes dynamicCount entries, the last one DT_NULL.
func putDynamic(page *[PageSize]byte) {
	at := dynamicAt
	at = putDyn(page, at, 14, uint64(nameObject)) // DT_SONAME
	at = putDyn(page, at, 4, hashAt)              // DT_HASH
	at = putDyn(page, at, 5, stringsAt)           // DT_STRTAB
	at = putDyn(page, at, 6, symbolsAt)           // DT_SYMTAB
	at = putDyn(page, at, 10, uint64(len(names))) // DT_STRSZ
	at = putDyn(page, at, 11, 24)                 // DT_SYMENT
	at = putDyn(page, at, 0x6ffffff0, versymAt)   // DT_VERSYM
	at = putDyn(page, at, 0x6ffffffc, verdefAt)   // DT_VERDEF
	at = putDyn(page, at, 0x6ffffffd, 2)          // DT_VERDEFNUM
	putDyn(page, at, 0, 0)                        // DT_NULL
}

func putDyn(page *[PageSize]byte, at int, tag, value uint64) (next int) {
	put64(page, at, tag)
	put64(page, at+8, value)
	return at + 16
}

// putSymbol writes a global function from start to end. Its section index means nothing but "defined".
func putSymbol(page *[PageSize]byte, index, name int, start, end uint64) {
	at := symbolsAt + index*24
	put32(page, at, uint32(name))
	page[at+4] = 1<<4 | 2 // STB_GLOBAL, STT_FUNC
	put16(page, at+6, 1)
	put64(page, at+8, start)
	put64(page, at+16, end-start)
}

// putHash chains all symbols into one bucket, so that their hashes do not matter.
func putHash(page *[PageSize]byte) {
	put32(page, hashAt, 1)             // buckets
	put32(page, hashAt+4, symbolCount) // chains
	put32(page, hashAt+8, 1)           // the bucket: symbol 1
	put32(page, hashAt+12+4, 2)        // behind it symbol 2, which ends the chain
}

// putVersions writes the version of each symbol and the definitions of the object's own version and Linux's.
func putVersions(page *[PageSize]byte) {
	put16(page, versymAt+2, versionLinux)
	put16(page, versymAt+4, versionLinux)
	putVerdef(page, verdefAt, 1, versionBase, hashObject, nameObject, verdefSize)
	putVerdef(page, verdefAt+verdefSize, 0, versionLinux, hashVersion, nameVersion, 0)
}

func putVerdef(page *[PageSize]byte, at int, flags, index uint16, hash uint32, name int, next uint32) {
	put16(page, at, 1) // VER_DEF_CURRENT
	put16(page, at+2, flags)
	put16(page, at+4, index)
	put16(page, at+6, 1) // names
	put32(page, at+8, hash)
	put32(page, at+12, 20) // offset of the first name
	put32(page, at+16, next)
	put32(page, at+20, uint32(name))
}

func put16(page *[PageSize]byte, at int, v uint16) {
	page[at] = byte(v)
	page[at+1] = byte(v >> 8)
}

func put32(page *[PageSize]byte, at int, v uint32) {
	put16(page, at, uint16(v))
	put16(page, at+2, uint16(v>>16))
}

func put64(page *[PageSize]byte, at int, v uint64) {
	put32(page, at, uint32(v))
	put32(page, at+4, uint32(v>>32))
}
