// Package random is the kernel's random generator: ChaCha20 (RFC 8439, §2.3) run as a stream under a key that replaces itself
// after every request, so that what was handed out cannot be computed from a later state.
package random

import (
	"math/bits"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/user"
)

// MaxRead is the most that one call gives a program: the kernel is not preempted meanwhile.
const MaxRead = 64 << 10

// Read fills b, up to MaxRead bytes, and returns how many; EFAULT if not even the first part of it is there.
func Read(b *user.Buffer) (int, abi.Errno) {
	b.Limit(MaxRead)
	n := 0
	for b.Len() > 0 {
		var part [64]byte
		Fill(part[:])
		k, ok := b.Put(part[:])
		n += k
		if !ok && n == 0 {
			return 0, abi.EFAULT
		}
		if !ok {
			break
		}
	}
	return n, abi.OK
}

var state struct {
	key     [8]uint32
	counter uint32
	seeded  bool
}

// Seed mixes seed into the key. Equal seeds from the start give equal streams.
func Seed(seed []byte) {
	for i, b := range seed {
		state.key[i/4%8] ^= uint32(b) << (8 * (i % 4))
		if i%32 == 31 {
			rekey()
		}
	}
	rekey()
	state.seeded = len(seed) > 0 || state.seeded
}

// Seeded reports whether there ever was a seed.
func Seeded() bool { return state.seeded }

// Fill fills b.
func Fill(b []byte) {
	var out [16]uint32
	for len(b) > 0 {
		state.counter++
		block(&out, &state.key, state.counter)
		for i := 0; i < 64 && len(b) > 0; i++ {
			b[0] = byte(out[i/4] >> (8 * (i % 4)))
			b = b[1:]
		}
	}
	rekey()
}

func rekey() {
	var out [16]uint32
	block(&out, &state.key, 0)
	copy(state.key[:], out[:8])
	state.counter = 0
}

// block is the ChaCha20 block function with a zero nonce.
func block(out *[16]uint32, key *[8]uint32, counter uint32) {
	var in [16]uint32
	in[0], in[1], in[2], in[3] = 0x61707865, 0x3320646e, 0x79622d32, 0x6b206574
	copy(in[4:12], key[:])
	in[12] = counter
	x := in
	for range 10 {
		quarter(&x, 0, 4, 8, 12)
		quarter(&x, 1, 5, 9, 13)
		quarter(&x, 2, 6, 10, 14)
		quarter(&x, 3, 7, 11, 15)
		quarter(&x, 0, 5, 10, 15)
		quarter(&x, 1, 6, 11, 12)
		quarter(&x, 2, 7, 8, 13)
		quarter(&x, 3, 4, 9, 14)
	}
	for i := range x {
		out[i] = x[i] + in[i]
	}
}

func quarter(x *[16]uint32, a, b, c, d int) {
	x[a] += x[b]
	x[d] = bits.RotateLeft32(x[d]^x[a], 16)
	x[c] += x[d]
	x[b] = bits.RotateLeft32(x[b]^x[c], 12)
	x[a] += x[b]
	x[d] = bits.RotateLeft32(x[d]^x[a], 8)
	x[c] += x[d]
	x[b] = bits.RotateLeft32(x[b]^x[c], 7)
}
