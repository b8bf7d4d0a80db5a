package netstack

import (
	"encoding/binary"
	"io"
	"math/rand"
	randv2 "math/rand/v2"
	"sync"
)

// seeded returns two sources that give the same numbers for the same seed.
func seeded(seed uint64) (rand.Source, io.Reader) {
	return newSource(seed, "insecure"), newSource(seed, "secure")
}

// source is a locked ChaCha8 generator. It is a rand.Source64 and a Reader that always fills.
type source struct {
	mu sync.Mutex
	g  *randv2.ChaCha8
}

func newSource(seed uint64, purpose string) *source {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	copy(key[8:], purpose)
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
