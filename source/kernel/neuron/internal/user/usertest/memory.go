// Package usertest gives tests a program's memory.
package usertest

import "nexus/source/kernel/neuron/internal/user"

// Memory is an address space whose only mapping is its bytes, from address Base on.
type Memory []byte

// Base is the address of the first byte.
const Base = 0x10000

// span is the part of m that n bytes from va on cover.
func (m Memory) span(va uint64, n int) []byte {
	if va < Base || va-Base >= uint64(len(m)) {
		return nil
	}
	b := m[va-Base:]
	return b[:min(n, len(b))]
}

// Load is user.Memory.
func (m Memory) Load(p []byte, va uint64) int { return copy(p, m.span(va, len(p))) }

// Store is user.Memory.
func (m Memory) Store(va uint64, p []byte) int { return copy(m.span(va, len(p)), p) }

// In is a buffer that holds p, for a call that reads from the program.
func In(p []byte) *user.Buffer { return Out(append([]byte(nil), p...)) }

// Out is the buffer whose memory is p, for a call that writes to the program.
func Out(p []byte) *user.Buffer {
	b := user.Range(Memory(p), Base, uint64(len(p)))
	return &b
}

// Broken is a buffer of n bytes of which only the first len(p), which are p, are there.
func Broken(p []byte, n int) *user.Buffer {
	b := user.Range(Memory(p), Base, uint64(n))
	return &b
}
