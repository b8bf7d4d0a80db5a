package syscall

import (
	"encoding/binary"
	"testing"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/mem"
)

const nrFtruncate, nrReadv, nrWritev, nrPread64, nrMemfdCreate = 46, 65, 66, 67, 279

// finish makes the call again until it is done, and returns in how many pieces that was.
func (p *caller) finish() (value int64, err abi.Errno, pieces int) {
	p.t.Helper()
	for blocked := true; blocked; pieces++ {
		value, err, blocked = p.woken()
	}
	return value, err, pieces + 1
}

// vector is an array of struct iovec: count times the same n bytes.
func (p *caller) vector(at uint64, n, count int) uint64 {
	var b []byte
	for range count {
		b = binary.LittleEndian.AppendUint64(b, at)
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
	return p.put(b...)
}

// TestLongTransfers: what takes long is done in pieces of bounded size, and is none the different for it.
func TestLongTransfers(t *testing.T) {
	const size = 100 * mem.PageSize
	p := start(t)
	name := p.put('m', 0)
	fd := uint64(p.must(nrMemfdCreate, name, 0))
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i * 7 % 251)
	}
	at := p.put(data...)
	_, _, blocked := p.call(nrWrite, fd, at, size)
	n, err, pieces := p.finish()
	if want := (size + piece - 1) / piece; !blocked || n != size || err != abi.OK || pieces != want {
		t.Errorf("write: %d, %v in %d pieces, want %d in %d", n, err, pieces, size, want)
	}
	var got []byte
	back := p.room(piece + 10)
	for len(got) < size {
		n, err, blocked := p.call(nrPread64, fd, back, piece+10, uint64(len(got)))
		if blocked {
			n, err, _ = p.finish()
		}
		if err != abi.OK || n == 0 {
			t.Fatalf("pread64 at %d: %d, %v", len(got), n, err)
		}
		got = append(got, p.bytes(back, int(n))...)
	}
	if string(got) != string(data) {
		t.Error("other bytes came back")
	}
	p.must(nrFtruncate, fd, 1<<30)
	v := p.vector(back, piece, 64)
	p.call(nrReadv, fd, v, 64)
	if n, err, pieces := p.finish(); n != 64*piece || err != abi.OK || pieces != 64 {
		t.Errorf("readv: %d, %v in %d pieces, want %d in 64", n, err, pieces, 64*piece)
	}
	p.must(nrClose, fd)
}

// TestManyVectors: the pages of a long list are brought in piece by piece before anything is moved, and then all moves at once.
func TestManyVectors(t *testing.T) {
	const count = 100
	p := start(t)
	r, w := p.pipe()
	first := uint64(base + 50*mem.PageSize) // pages that nothing has touched
	list := make([]byte, 0, 16*count)
	for i := range uint64(count) {
		list = binary.LittleEndian.AppendUint64(list, first+i*mem.PageSize)
		list = binary.LittleEndian.AppendUint64(list, 2)
	}
	vectors := p.put(list...)
	if _, _, more := p.call(nrWritev, w, vectors, count); !more {
		t.Fatal("all pages in one piece")
	}
	if f, _ := p.thread.Files().Get(int(r)); f.Object.Ready()&abi.EPOLLIN != 0 {
		t.Error("some bytes went before the others")
	}
	if n, err, _ := p.finish(); n != 2*count || err != abi.OK {
		t.Errorf("writev: %d, error %d", n, err)
	}
	if _, _, more := p.call(nrReadv, r, vectors, count); !more {
		t.Fatal("all pages in one piece")
	}
	if n, err, _ := p.finish(); n != 2*count || err != abi.OK {
		t.Errorf("readv: %d, error %d", n, err)
	}
}
