// Package random is the kernel's random generator: ChaCha20 (RFC 8439, §2.3) as a stream under a key that replaces itself after
// every request (fast key erasure), so that what was handed out cannot be computed from a later state. What is mixed in goes
// through the block function together with the key: it adds to what an attacker has to guess and never takes away.
package random

import (
	"math/bits"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/user"
	"nexus/source/kernel/neuron/internal/wait"
)

const (
	// piece is how many bytes one Read gives a program: some 200,000 instructions.
	piece = 4 << 10
	// SeedSize is how many bytes make a seed: as many as the key has. Fewer are mixed in and do not count.
	SeedSize = 32
	// events is how many interrupts are gathered before their times are mixed in: all at once, for who knows the key could
	// otherwise try out each alone.
	events = 64
)

var state struct {
	key     [8]uint32
	counter uint32
	seeded  bool
	fixed   bool
	block   [16]uint32 // being handed out
	part    [1024]byte // of Read
	pool    [2]uint64  // of Stir
	stirred int
}

// Seeding is notified with EPOLLIN once there is a seed.
var Seeding wait.Queue

// Read fills b and returns how many bytes that were: with abi.Again a piece of it, with EFAULT none, for not even its first part is
// there. It does not ask whether there is a seed.
func Read(b *user.Buffer) (int, abi.Errno) {
	behind := b.Limit(piece)
	n := 0
	err := abi.OK
	if behind > 0 {
		err = abi.Again
	}
	for b.Len() > 0 {
		part := state.part[:min(b.Len(), len(state.part))]
		Fill(part)
		k, ok := b.Put(part)
		n += k
		if !ok {
			err = abi.OK
			if n == 0 {
				err = abi.EFAULT
			}
			break
		}
	}
	b.Extend(behind)
	clear(state.part[:])
	return n, err
}

// Seed mixes seed into the key. With SeedSize bytes or more the generator is seeded from then on.
func Seed(seed []byte) {
	for i, b := range seed {
		state.key[i/4%8] ^= uint32(b) << (8 * (i % 4))
		if i%32 == 31 {
			rekey()
		}
	}
	rekey()
	if len(seed) >= SeedSize {
		state.seeded = true
		Seeding.Notify(abi.EPOLLIN)
	}
}

// Fix makes the generator's stream the same in every boot. Nothing is mixed in from then on.
func Fix() {
	state.key, state.seeded, state.fixed = [8]uint32{}, true, true
	rekey()
}

// Seeded reports whether there ever was a seed.
func Seeded() bool { return state.seeded }

// Mix mixes in what an attacker may know a part of, and does not count it as a seed.
func Mix(a, b uint64) {
	if state.fixed {
		return
	}
	state.key[0] ^= uint32(a)
	state.key[1] ^= uint32(a >> 32)
	state.key[2] ^= uint32(b)
	state.key[3] ^= uint32(b >> 32)
	rekey()
}

// Stir notes the time of an interrupt. It costs next to nothing; the next Fill mixes in what was gathered.
func Stir(time uint64) {
	p := &state.pool[state.stirred&1]
	*p = bits.RotateLeft64(*p, 7) ^ time
	state.stirred++
}

// Fill fills b.
func Fill(b []byte) {
	if state.stirred >= events {
		Mix(state.pool[0], state.pool[1])
		state.pool, state.stirred = [2]uint64{}, 0
	}
	for len(b) > 0 {
		state.counter++
		block(&state.block, &state.key, state.counter)
		for i := 0; i < 64 && len(b) > 0; i++ {
			b[0] = byte(state.block[i/4] >> (8 * (i % 4)))
			b = b[1:]
		}
	}
	rekey()
}

// rekey replaces the key by block 0 of its stream, which is never handed out, and wipes what it was made from.
func rekey() {
	block(&state.block, &state.key, 0)
	copy(state.key[:], state.block[:8])
	state.counter = 0
	clear(state.block[:])
}

// block is the ChaCha20 block function with a zero nonce. Its words stay in registers as far as there are any.
func block(out *[16]uint32, key *[8]uint32, counter uint32) {
	const c0, c1, c2, c3 = 0x61707865, 0x3320646e, 0x79622d32, 0x6b206574
	x0, x1, x2, x3 := uint32(c0), uint32(c1), uint32(c2), uint32(c3)
	x4, x5, x6, x7 := key[0], key[1], key[2], key[3]
	x8, x9, x10, x11 := key[4], key[5], key[6], key[7]
	x12, x13, x14, x15 := counter, uint32(0), uint32(0), uint32(0)
	for range 10 {
		x0, x4, x8, x12 = quarter(x0, x4, x8, x12)
		x1, x5, x9, x13 = quarter(x1, x5, x9, x13)
		x2, x6, x10, x14 = quarter(x2, x6, x10, x14)
		x3, x7, x11, x15 = quarter(x3, x7, x11, x15)
		x0, x5, x10, x15 = quarter(x0, x5, x10, x15)
		x1, x6, x11, x12 = quarter(x1, x6, x11, x12)
		x2, x7, x8, x13 = quarter(x2, x7, x8, x13)
		x3, x4, x9, x14 = quarter(x3, x4, x9, x14)
	}
	*out = [16]uint32{
		x0 + c0, x1 + c1, x2 + c2, x3 + c3, x4 + key[0], x5 + key[1], x6 + key[2], x7 + key[3],
		x8 + key[4], x9 + key[5], x10 + key[6], x11 + key[7], x12 + counter, x13, x14, x15,
	}
}

func quarter(a, b, c, d uint32) (uint32, uint32, uint32, uint32) {
	a += b
	d = bits.RotateLeft32(d^a, 16)
	c += d
	b = bits.RotateLeft32(b^c, 12)
	a += b
	d = bits.RotateLeft32(d^a, 8)
	c += d
	b = bits.RotateLeft32(b^c, 7)
	return a, b, c, d
}
