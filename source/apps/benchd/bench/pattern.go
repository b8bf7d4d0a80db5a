package bench

import (
	"io"
	"sync"
)

// blockSize is the period of the pattern, in bytes.
const blockSize = 64 << 10

// block is one period: the low bytes of Marsaglia's xorshift32 (13, 17, 5) that
// starts from his seed. Byte i of a body is block()[i%blockSize]. It is made when first asked for: other programs share
// benchd's file.
var block = sync.OnceValue(newBlock)

func newBlock() []byte {
	b := make([]byte, blockSize)
	state := uint32(2463534242)
	for i := range b {
		state ^= state << 13
		state ^= state >> 17
		state ^= state << 5
		b[i] = byte(state)
	}
	return b
}

// writePattern writes the first n bytes of the pattern.
func writePattern(w io.Writer, n int64) error {
	for n > 0 {
		part := block()[:min(n, blockSize)]
		if _, err := w.Write(part); err != nil {
			return err
		}
		n -= int64(len(part))
	}
	return nil
}
