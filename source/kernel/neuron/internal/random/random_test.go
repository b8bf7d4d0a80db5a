package random

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"testing"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/user"
	"nexus/source/kernel/neuron/internal/user/usertest"
	"nexus/source/kernel/neuron/internal/wait"
)

// RFC 8439, appendix A.1: the vectors with a zero nonce.
func TestBlockVectors(t *testing.T) {
	for _, tt := range []struct {
		name    string
		key     [8]uint32
		counter uint32
		want    string
	}{
		{"#1", [8]uint32{}, 0, "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7" +
			"da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586"},
		{"#2", [8]uint32{}, 1, "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed" +
			"29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f"},
		{"#3", [8]uint32{7: 0x01000000}, 1, "3aeb5224ecf849929b9d828db1ced4dd832025e8018b8160b82284f3c949aa5a" +
			"8eca00bbb4a73bdad192b5c42f73f2fd4e273644c8b36125a64addeb006c13a0"},
		{"#4", [8]uint32{0: 0xff00}, 2, "72d54dfbf12ec44b362692df94137f328fea8da73990265ec1bbbea1ae9af0ca" +
			"13b25aa26cb4a648cb9b9d1be65b2c0924a66c54d545ec1b7374f4872e99f096"},
	} {
		var out [16]uint32
		block(&out, &tt.key, tt.counter)
		var got []byte
		for _, w := range out {
			got = binary.LittleEndian.AppendUint32(got, w)
		}
		if hex.EncodeToString(got) != tt.want {
			t.Errorf("A.1 %s: got %x, want %s", tt.name, got, tt.want)
		}
	}
}

var fresh = state

// reset brings the generator into the state of a machine that has just started.
func reset() { state = fresh }

func taken(n int) []byte {
	b := make([]byte, n)
	Fill(b)
	return b
}

func stream(seed []byte, n int) []byte {
	reset()
	Seed(seed)
	return taken(n)
}

func TestSeedsDecide(t *testing.T) {
	long := bytes.Repeat([]byte{1}, 2*SeedSize)
	for i := range long {
		other := bytes.Clone(long)
		other[i] ^= 0x80
		a, b, c := stream(long, 200), stream(long, 200), stream(other, 200)
		if !bytes.Equal(a, b) {
			t.Fatal("equal seeds gave different streams")
		}
		if bytes.Equal(a, c) {
			t.Errorf("byte %d of the seed does not count", i)
		}
	}
	if a := stream(long, 200); bytes.Equal(a[:64], a[64:128]) {
		t.Error("the stream repeats")
	}
}

// Fewer bytes than the key has are mixed in, but are no seed: Linux is ready at 256 bits.
func TestSeeded(t *testing.T) {
	for size, want := range map[int]bool{0: false, 1: false, SeedSize - 1: false, SeedSize: true, 2 * SeedSize: true} {
		reset()
		Seed(make([]byte, size))
		if Seeded() != want {
			t.Errorf("%d bytes: seeded %v", size, Seeded())
		}
	}
	reset()
	Seed(make([]byte, SeedSize))
	Seed(nil)
	Mix(1, 2)
	if !Seeded() {
		t.Error("a seed was forgotten")
	}
}

type sink struct{ told abi.Events }

func (s *sink) Wake(w *wait.Waiter, ev abi.Events) { s.told |= ev; w.Remove() }

func TestSeedWakes(t *testing.T) {
	reset()
	var s sink
	Seeding.Add(&wait.Waiter{Sink: &s, Mask: abi.EPOLLIN})
	Seed(make([]byte, SeedSize-1))
	if s.told != 0 {
		t.Error("woken without a seed")
	}
	Seed(make([]byte, SeedSize))
	if s.told != abi.EPOLLIN {
		t.Errorf("told %#x", s.told)
	}
}

// The key that made the last bytes, and the bytes, are nowhere in the state afterwards.
func TestForwardSecrecy(t *testing.T) {
	reset()
	Seed(bytes.Repeat([]byte{7}, SeedSize))
	for _, n := range []int{0, 1, 16, 63, 64, 65, 200, 5000} {
		before := state.key
		given := taken(n)
		left := slices.Concat(state.key[:], state.block[:])
		for i, w := range before {
			if slices.Contains(left, w) {
				t.Errorf("%d bytes: word %d of the key that made them is still there", n, i)
			}
		}
		for i := 0; i+4 <= len(given); i += 4 {
			if slices.Contains(left, binary.LittleEndian.Uint32(given[i:])) {
				t.Errorf("%d bytes: those at %d are still there", n, i)
			}
		}
		if state.counter != 0 {
			t.Errorf("%d bytes: the counter is %d", n, state.counter)
		}
	}
}

func TestRead(t *testing.T) {
	for _, tt := range []struct {
		b    *user.Buffer
		n    int
		err  abi.Errno
		what string
	}{
		{usertest.Out(make([]byte, 0)), 0, abi.OK, "nothing"},
		{usertest.Out(make([]byte, 3000)), 3000, abi.OK, "several parts"},
		{usertest.Out(make([]byte, piece+1)), piece, abi.Again, "more than a piece"},
		{usertest.Broken(make([]byte, 1500), 3000), 1500, abi.OK, "memory that ends"},
		{usertest.Broken(nil, 10), 0, abi.EFAULT, "no memory"},
	} {
		reset()
		if n, err := Read(tt.b); n != tt.n || err != tt.err {
			t.Errorf("%s: got %d, %v, want %d, %v", tt.what, n, err, tt.n, tt.err)
		}
		if state.part != fresh.part {
			t.Errorf("%s: what was read is still there", tt.what)
		}
	}
}

// Requests of any size never share a byte of the stream: the next begins under the next key.
func TestRequestsDiffer(t *testing.T) {
	reset()
	Seed(make([]byte, SeedSize))
	seen := map[string]bool{}
	for range 1000 {
		if got := string(taken(16)); seen[got] {
			t.Fatalf("% x came twice", got)
		} else {
			seen[got] = true
		}
	}
}

// Times of interrupts count once enough are gathered, all at once.
func TestStir(t *testing.T) {
	seed := make([]byte, SeedSize)
	stirred := func(n int, time uint64) []byte {
		reset()
		Seed(seed)
		for i := range n {
			Stir(uint64(i))
		}
		Stir(time)
		return taken(64)
	}
	if a, b := stirred(events-2, 1), stirred(events-2, 2); !bytes.Equal(a, b) {
		t.Error("a few were mixed in, which who knows the key can try out")
	}
	if a, b := stirred(events-1, 1), stirred(events-1, 2); bytes.Equal(a, b) {
		t.Error("the last time does not count")
	}
	if state.stirred != 0 || state.pool != [2]uint64{} {
		t.Error("what was mixed in is still there")
	}
	if Stir(1); Seeded() != true {
		t.Error("a seed was forgotten")
	}
}

func TestMix(t *testing.T) {
	mixed := func(a, b uint64) []byte {
		reset()
		Mix(a, b)
		return taken(32)
	}
	for i := range 64 {
		if bytes.Equal(mixed(0, 0), mixed(1<<i, 0)) || bytes.Equal(mixed(0, 0), mixed(0, 1<<i)) {
			t.Errorf("bit %d does not count", i)
		}
	}
	if mixed(1, 2); Seeded() {
		t.Error("it counts as a seed")
	}
}

// Two deterministic machines give the same, whatever happened to them.
func TestFix(t *testing.T) {
	reset()
	Fix()
	want := taken(100)
	reset()
	Stir(5)
	Mix(1, 2)
	Seed([]byte{1, 2, 3})
	Fix()
	Mix(3, 4)
	for range 2 * events {
		Stir(9)
	}
	if got := taken(100); !bytes.Equal(got, want) {
		t.Errorf("got % x, want % x", got[:8], want[:8])
	}
	if !Seeded() {
		t.Error("not ready")
	}
}

func BenchmarkFill(b *testing.B) {
	reset()
	buf := make([]byte, 1024)
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		Fill(buf)
	}
}
