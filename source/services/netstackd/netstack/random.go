package netstack

import (
	crand "crypto/rand"
	"encoding/binary"
	"io"
	"math/rand"
	randv2 "math/rand/v2"
	"sync"

	library "gvisor.dev/gvisor/pkg/rand"
)

// randomness returns the stack's two sources of random numbers: the same for the same seed, else keyed by the system. It also
// makes such a source the library's global one, once in a process: IP identifications come from there.
func randomness(seed *uint64) (rand.Source, io.Reader) {
	global.Do(func() { library.Reader = newSource(seed, "global") })
	return newSource(seed, "insecure"), newSource(seed, "secure")
}

var global sync.Once

// source is a locked ChaCha8 generator. It is a rand.Source64 and a Reader that always fills.
type source struct {
	mu sync.Mutex
	g  *randv2.ChaCha8
}

func newSource(seed *uint64, purpose string) *source {
	var key [32]byte
	if seed == nil {
		_, _ = crand.Read(key[:]) // never fails (crypto/rand)
	} else {
		binary.LittleEndian.PutUint64(key[:], *seed)
		copy(key[8:], purpose)
	}
	return &source{g: randv2.NewChaCha8(key)}
}

// Uint64 implements rand.Source64.
func (s *source) Uint64() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.g.Uint64()
}

// Int63 implements rand.Source.
func (s *source) Int63() int64 { return int64(s.Uint64() >> 1) }

// Seed implements rand.Source. The seed was given to newSource; nobody calls this.
func (s *source) Seed(int64) {}

// Read implements io.Reader.
func (s *source) Read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.g.Read(b)
}
