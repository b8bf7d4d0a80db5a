package user_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/user"
	"nexus/source/kernel/neuron/internal/user/usertest"
)

// layout puts an array of struct iovec behind what it describes and returns where.
func layout(m usertest.Memory, at int, parts [][2]uint64) uint64 {
	for i, p := range parts {
		binary.LittleEndian.PutUint64(m[at+16*i:], p[0])
		binary.LittleEndian.PutUint64(m[at+16*i+8:], p[1])
	}
	return usertest.Base + uint64(at)
}

// TestModel reads and writes through vectors in random pieces and compares with the bytes that they name, one after the other.
func TestModel(t *testing.T) {
	const data, size = 400, 1000
	rapid.Check(t, func(t *rapid.T) {
		m := make(usertest.Memory, size)
		for i := range data {
			m[i] = byte(i)
		}
		// The parts do not overlap, so that a write is seen once.
		var parts [][2]uint64
		var places []int
		for at := 0; at < data; {
			at += rapid.IntRange(0, 30).Draw(t, "gap")
			n := min(rapid.IntRange(0, 60).Draw(t, "length"), max(data-at, 0))
			parts = append(parts, [2]uint64{usertest.Base + uint64(at), uint64(n)})
			for i := range n {
				places = append(places, at+i)
			}
			at += n
		}
		b, err := user.Vectors(m, layout(m, data, parts), uint64(len(parts)))
		if err != abi.OK || b.Len() != len(places) {
			t.Fatalf("%d bytes, %d, want %d", b.Len(), err, len(places))
		}
		t.Repeat(map[string]func(*rapid.T){
			"get": func(t *rapid.T) {
				p := make([]byte, rapid.IntRange(0, 100).Draw(t, "n"))
				n, ok := b.Get(p)
				if !ok || n != min(len(p), len(places)) {
					t.Fatalf("got %d of %d, %v", n, len(p), ok)
				}
				for i, at := range places[:n] {
					if p[i] != m[at] {
						t.Fatalf("byte %d is %d, want %d", i, p[i], m[at])
					}
				}
				places = places[n:]
			},
			"put": func(t *rapid.T) {
				p := bytes.Repeat([]byte{0xee}, rapid.IntRange(0, 100).Draw(t, "n"))
				n, ok := b.Put(p)
				if !ok || n != min(len(p), len(places)) {
					t.Fatalf("put %d of %d, %v", n, len(p), ok)
				}
				for _, at := range places[:n] {
					if m[at] != 0xee {
						t.Fatalf("byte at %d not written", at)
					}
				}
				places = places[n:]
			},
			"skip": func(t *rapid.T) {
				n := rapid.IntRange(0, 50).Draw(t, "n")
				b.Skip(n)
				places = places[min(n, len(places)):]
			},
			"limit": func(t *rapid.T) {
				n := rapid.IntRange(0, 500).Draw(t, "n")
				b.Limit(n)
				places = places[:min(n, len(places))]
			},
			"": func(t *rapid.T) {
				if b.Len() != len(places) {
					t.Fatalf("%d left, want %d", b.Len(), len(places))
				}
			},
		})
	})
}

// TestCurrent: the range at the position, where an empty one counts only at the begin.
func TestCurrent(t *testing.T) {
	m := make(usertest.Memory, 200)
	for _, tt := range []struct {
		what   string
		ranges [][2]uint64
		skips  []int
		want   []int // before each skip and behind the last
	}{
		{"whole ranges", [][2]uint64{{usertest.Base, 3}, {usertest.Base, 5}}, []int{3, 5}, []int{3, 5, 0}},
		{"a part", [][2]uint64{{usertest.Base, 3}, {usertest.Base, 5}}, []int{1, 2}, []int{3, 2, 5}},
		{"nothing between", [][2]uint64{{usertest.Base, 3}, {usertest.Base, 0}, {0, 0}, {usertest.Base, 5}}, []int{3}, []int{3, 5}},
		{"nothing at the begin", [][2]uint64{{usertest.Base, 0}, {usertest.Base, 5}}, nil, []int{0}},
		{"nothing at all", nil, nil, []int{0}},
	} {
		b, _ := user.Vectors(m, layout(m, 100, tt.ranges), uint64(len(tt.ranges)))
		var got []int
		for _, n := range tt.skips {
			got = append(got, b.Current())
			b.Skip(n)
		}
		if got = append(got, b.Current()); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.what, got, tt.want)
		}
	}
	b := user.Range(m, usertest.Base, 9)
	b.Skip(2)
	if b.Limit(4); b.Current() != 4 {
		t.Errorf("of a short one: %d, want 4", b.Current())
	}
}

func TestVectorsRefuses(t *testing.T) {
	m := make(usertest.Memory, 64)
	at := layout(m, 0, [][2]uint64{{usertest.Base, 1 << 40}, {usertest.Base, 1 << 40}, {usertest.Base, 1 << 63}})
	for _, tt := range []struct {
		what  string
		addr  uint64
		count uint64
		want  abi.Errno
	}{
		{"none", at, 0, abi.OK},
		{"too large", at, 2, abi.OK}, // bounded, as Linux does
		{"a negative length", at, 3, abi.EINVAL},
		{"too many", at, user.MaxVectors + 1, abi.EINVAL},
		{"an array that ends in nowhere", at, 5, abi.EINVAL}, // the third is looked at first
		{"an array in nowhere", 0, 1, abi.EFAULT},
		{"an array at the end of the address space", 1<<64 - 8, 1, abi.EFAULT},
	} {
		b, err := user.Vectors(m, tt.addr, tt.count)
		if err != tt.want {
			t.Errorf("%s: %d, want %d", tt.what, err, tt.want)
		}
		if err == abi.OK && b.Len() > user.MaxTransfer {
			t.Errorf("%s: %d bytes", tt.what, b.Len())
		}
	}
}

// TestFaults: what is not there ends a copy short, in the middle of a range and of a list.
func TestFaults(t *testing.T) {
	m := make(usertest.Memory, 40)
	copy(m, "0123456789")
	b := user.Range(m, usertest.Base+35, 10)
	p := make([]byte, 10)
	if n, ok := b.Get(p); n != 5 || ok {
		t.Errorf("get across the end: %d, %v, want 5", n, ok)
	}
	if n, ok := b.Get(p); n != 0 || ok {
		t.Errorf("get again: %d, %v", n, ok)
	}
	b = user.Range(m, 0, 10)
	if n, ok := b.Put(p); n != 0 || ok {
		t.Errorf("put to nowhere: %d, %v", n, ok)
	}
	at := layout(m, 8, [][2]uint64{{usertest.Base, 4}, {0, 4}})
	v, err := user.Vectors(m, at, 2)
	if err != abi.OK {
		t.Fatal(err)
	}
	if n, ok := v.Get(p); n != 4 || ok || string(p[:4]) != "0123" {
		t.Errorf("get from a list that ends in nowhere: %d, %v", n, ok)
	}
	// The list itself may go away between two copies.
	v, _ = user.Vectors(m, at, 2)
	m = m[:0]
	v.Skip(100)
	if huge := user.Range(m, usertest.Base, 1<<40); huge.Len() != user.MaxTransfer {
		t.Errorf("a range of %d bytes, want %d", huge.Len(), user.MaxTransfer)
	}
}

func TestNumbers(t *testing.T) {
	m := make(usertest.Memory, 16)
	if !user.StoreUint64(m, usertest.Base+8, 0x1122334455667788) || !user.StoreUint32(m, usertest.Base+1, 0xaabbccdd) {
		t.Fatal("no store")
	}
	want := []byte{0, 0xdd, 0xcc, 0xbb, 0xaa, 0, 0, 0, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11}
	if !bytes.Equal(m, want) {
		t.Errorf("got % x, want % x", []byte(m), want)
	}
	a, ok := user.LoadUint64(m, usertest.Base+8)
	b, ok2 := user.LoadUint32(m, usertest.Base+1)
	if !ok || !ok2 || a != 0x1122334455667788 || b != 0xaabbccdd {
		t.Errorf("got %#x and %#x back", a, b)
	}
	_, ok = user.LoadUint64(m, usertest.Base+9)
	_, ok2 = user.LoadUint32(m, usertest.Base+13)
	if ok || ok2 || user.StoreUint64(m, usertest.Base+9, 0) || user.StoreUint32(m, usertest.Base+13, 0) {
		t.Error("a number across the end")
	}
}

// TestAhead gives the ranges of a long list, and of it only, and leaves the position where it is.
func TestAhead(t *testing.T) {
	for _, count := range []int{0, 1, 64, 65, 200, user.MaxVectors} {
		m := make(usertest.Memory, 16*count)
		parts := make([][2]uint64, count)
		for i := range parts {
			parts[i] = [2]uint64{usertest.Base + uint64(i), uint64(i % 3)}
		}
		b, err := user.Vectors(m, layout(m, 0, parts), uint64(count))
		if err != abi.OK {
			t.Fatal(err)
		}
		before, seen := b.Len(), 0
		for ; ; seen++ {
			at, n, ok := b.Ahead()
			if !ok {
				break
			}
			if at != parts[seen][0] || n != int(parts[seen][1]) {
				t.Fatalf("range %d of %d: %#x, %d bytes", seen, count, at, n)
			}
		}
		if want := map[bool]int{true: count}[count > 64]; seen != want || b.Len() != before {
			t.Errorf("%d of %d, want %d; %d bytes left of %d", seen, count, want, b.Len(), before)
		}
		if n, ok := b.Get(make([]byte, before)); n != before || !ok {
			t.Errorf("%d vectors: got %d of %d bytes afterwards", count, n, before)
		}
		if _, _, ok := b.Ahead(); ok {
			t.Errorf("%d vectors: a range after the last", count)
		}
	}
}
