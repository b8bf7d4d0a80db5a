// Package user is the kernel's one way to the memory of a program. A Buffer is what a program named in a system call: one
// range of addresses or a list of them. Every copy is checked page by page; a range that is not there ends in EFAULT, or in
// a short count where part of the work is done.
package user

import (
	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/escape"
)

// Memory is an address space as seen by a copy.
type Memory interface {
	// Load copies len(p) bytes from va and returns how many it could.
	Load(p []byte, va uint64) int
	// Store copies p to va and returns how many bytes it could.
	Store(va uint64, p []byte) int
}

// Load copies len(p) bytes from va of m and returns how many it could. Unlike the method it leaves p where it is.
func Load(m Memory, p []byte, va uint64) int { return m.Load(escape.HideBytes(p), va) }

// Store copies p to va of m, in the same way.
func Store(m Memory, va uint64, p []byte) int { return m.Store(va, escape.HideBytes(p)) }

// MaxVectors is IOV_MAX (limits.h).
const MaxVectors = 1024

// MaxTransfer is the most that one call moves (Linux's MAX_RW_COUNT).
const MaxTransfer = 0x7ffff000

// Buffer is a position in a program's memory and what is left from there on.
type Buffer struct {
	mem  Memory
	addr uint64 // of the current range
	n    int    // bytes left in it, maybe more than left
	left int    // bytes left in all
	next uint64 // address of the next struct iovec
	vecs int    // number of those left
	seen int    // how many of them Ahead has given
}

// Range is the buffer of n bytes at addr.
func Range(m Memory, addr uint64, n uint64) Buffer {
	if n > MaxTransfer {
		n = MaxTransfer
	}
	return Buffer{mem: m, addr: addr, n: int(n), left: int(n)}
}

// Vectors is the buffer that count entries of struct iovec at addr describe, MaxTransfer bytes at most. EINVAL for too many or a
// negative length, EFAULT if the entries cannot be read.
func Vectors(m Memory, addr uint64, count uint64) (Buffer, abi.Errno) {
	if count > MaxVectors {
		return Buffer{}, abi.EINVAL
	}
	const batch = 16 // entries that are looked at together
	total := uint64(0)
	for i := uint64(0); i < count; i += batch {
		var b [batch * 16]byte
		want := min(count-i, batch)
		got := uint64(Load(m, b[:16*want], addr+16*i)) / 16
		for k := range got {
			n := Uint64(b[16*k+8:])
			if int64(n) < 0 {
				return Buffer{}, abi.EINVAL
			}
			total = min(total+n, MaxTransfer)
		}
		if got < want {
			return Buffer{}, abi.EFAULT
		}
	}
	b := Buffer{mem: m, left: int(total), next: addr, vecs: int(count)}
	if count <= few {
		b.seen = b.vecs
	}
	return b, abi.OK
}

func vector(m Memory, va uint64) (addr, n uint64, ok bool) {
	var b [16]byte
	if Load(m, b[:], va) != len(b) {
		return 0, 0, false
	}
	return Uint64(b[:8]), Uint64(b[8:]), true
}

// few vectors are not worth a look ahead.
const few = 64

// Ahead gives the ranges of a long list one after the other without moving the position; ok is false after the last, or if it cannot be
// read. It comes before the first move.
func (b *Buffer) Ahead() (addr uint64, n int, ok bool) {
	if b.seen >= b.vecs {
		return 0, 0, false
	}
	addr, size, ok := vector(b.mem, b.next+16*uint64(b.seen))
	if b.seen++; !ok {
		b.seen = b.vecs
	}
	return addr, int(min(size, MaxTransfer)), ok
}

// Len is the number of bytes left.
func (b *Buffer) Len() int { return b.left }

// step makes the current range one with bytes left in it. It fails when the list ends or cannot be read any more.
func (b *Buffer) step() bool {
	for b.n == 0 {
		if !b.enter() {
			return false
		}
	}
	return true
}

// enter makes the next range of the list the current one.
func (b *Buffer) enter() bool {
	if b.vecs == 0 {
		return false
	}
	addr, n, ok := vector(b.mem, b.next)
	if !ok {
		return false
	}
	b.addr, b.n = addr, int(min(n, MaxTransfer))
	b.next += 16
	b.vecs--
	return true
}

// Current is how many bytes are left in the range at the position. Empty ranges are passed over, but not a list's first.
func (b *Buffer) Current() int {
	if b.addr == 0 && b.n == 0 {
		b.enter()
		return min(b.n, b.left)
	}
	b.step()
	return min(b.n, b.left)
}

func (b *Buffer) advance(n int) {
	b.addr += uint64(n)
	b.n -= n
	b.left -= n
}

// Put stores p at the position and moves on. It returns how many bytes it stored, fewer than len(p) when the
// buffer ends; ok is false if the program's memory was not there.
func (b *Buffer) Put(p []byte) (n int, ok bool) {
	for n < len(p) && b.left > 0 {
		if !b.step() {
			return n, false
		}
		part := p[n:]
		part = part[:min(len(part), b.n, b.left)]
		k := b.mem.Store(b.addr, escape.HideBytes(part))
		b.advance(k)
		n += k
		if k < len(part) {
			return n, false
		}
	}
	return n, true
}

// Get loads up to len(p) bytes from the position and moves on; results as for Put.
func (b *Buffer) Get(p []byte) (n int, ok bool) {
	for n < len(p) && b.left > 0 {
		if !b.step() {
			return n, false
		}
		part := p[n:]
		part = part[:min(len(part), b.n, b.left)]
		k := b.mem.Load(escape.HideBytes(part), b.addr)
		b.advance(k)
		n += k
		if k < len(part) {
			return n, false
		}
	}
	return n, true
}

// Skip moves on by n bytes, or to the end.
func (b *Buffer) Skip(n int) {
	for n > 0 && b.left > 0 && b.step() {
		k := min(n, b.n, b.left)
		b.advance(k)
		n -= k
	}
}

// Limit shortens the buffer to n bytes and returns how many it took off.
func (b *Buffer) Limit(n int) (off int) {
	off = max(b.left-n, 0)
	b.left -= off
	return off
}

// Extend takes back a Limit that took off n bytes.
func (b *Buffer) Extend(n int) { b.left += n }

// Uint64 reads eight little-endian bytes.
func Uint64(b []byte) uint64 {
	_ = b[7]
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}

// Uint32 reads four little-endian bytes.
func Uint32(b []byte) uint32 {
	_ = b[3]
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}

// PutUint64 writes eight little-endian bytes.
func PutUint64(b []byte, v uint64) {
	_ = b[7]
	for i := range 8 {
		b[i] = byte(v >> (8 * i))
	}
}

// PutUint32 writes four little-endian bytes.
func PutUint32(b []byte, v uint32) {
	_ = b[3]
	for i := range 4 {
		b[i] = byte(v >> (8 * i))
	}
}

// LoadUint64 reads a 64-bit number of a program.
func LoadUint64(m Memory, va uint64) (uint64, bool) {
	var b [8]byte
	if Load(m, b[:], va) != 8 {
		return 0, false
	}
	return Uint64(b[:]), true
}

// LoadUint32 reads a 32-bit number of a program.
func LoadUint32(m Memory, va uint64) (uint32, bool) {
	var b [4]byte
	if Load(m, b[:], va) != 4 {
		return 0, false
	}
	return Uint32(b[:]), true
}

// StoreUint64 writes a 64-bit number of a program.
func StoreUint64(m Memory, va uint64, v uint64) bool {
	var b [8]byte
	PutUint64(b[:], v)
	return Store(m, va, b[:]) == 8
}

// StoreUint32 writes a 32-bit number of a program.
func StoreUint32(m Memory, va uint64, v uint32) bool {
	var b [4]byte
	PutUint32(b[:], v)
	return Store(m, va, b[:]) == 4
}
